#!/usr/bin/env bash
# The installation under load for SOAK_SECONDS (ten minutes if not set): nothing may grow or get lost.
source "$(dirname "$0")/lib.sh"
trap 'summary' EXIT

export RUST_BACKTRACE=${RUST_BACKTRACE:-0}
export SOAK_SECONDS=${SOAK_SECONDS:-600}

soak() {
    e2e run --tier node -- cargo test --locked -p e2e --test soak -- --ignored --nocapture
}

step 'install what is missing' prerequisites
step 'programs of the test clusters' e2e programs --build
step 'static programs' static_programs
step 'build the test' cargo test --locked -p e2e --test soak --no-run
step "soak test of $SOAK_SECONDS seconds" soak
