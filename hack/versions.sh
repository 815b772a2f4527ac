#!/usr/bin/env bash
# The tests of the control-plane tier on a kube-apiserver that shows the features and APIs of older versions of
# Kubernetes, VERSIONS if set.
source "$(dirname "$0")/lib.sh"
trap 'summary' EXIT

export RUST_LIB_BACKTRACE=0
VERSIONS=${VERSIONS:-1.34 1.35}

tests() {
    e2e run --tier control-plane --emulated-version "$1" -- \
        cargo test --locked -p e2e --test testing --test control_plane --test differential -- \
        --ignored --nocapture --test-threads=4
}

step 'programs of the test clusters' e2e programs --build --with clients
step 'programs that run as local processes' cargo build --locked --workspace --bins --examples
for version in $VERSIONS; do
    step "control-plane tier as $version" tests "$version"
done
