#!/usr/bin/env bash
# The server under load and faults for LOAD_SECONDS (ten minutes if not set): see e2e/tests/load.rs.
source "$(dirname "$0")/lib.sh"
trap 'summary' EXIT

export RUST_BACKTRACE=${RUST_BACKTRACE:-0}
export LOAD_SECONDS=${LOAD_SECONDS:-600}

load() {
    e2e run --tier control-plane -- cargo test --locked -p e2e --test load -- --ignored --nocapture
}

step 'programs of the test clusters' e2e programs --build
step 'programs that run as local processes' cargo build --locked -p operator -p extension-apiserver -p apiserver --bins --examples
step 'build the test' cargo test --locked -p e2e --test load --no-run
step "load test of $LOAD_SECONDS seconds" load
