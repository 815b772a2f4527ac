#!/usr/bin/env bash
# Every test of the project, the fast ones first; a summary of what each stage took at the end.
source "$(dirname "$0")/lib.sh"
LOG=$(mktemp)
trap 'summary; totals' EXIT

# How many tests ran, over all of the runner's closing lines.
totals() {
    awk '/^test result:/ { passed += $4; failed += $6 } END { printf "%d passed, %d failed\n", passed, failed }' "$LOG"
    rm -f "$LOG"
}
exec > >(tee "$LOG") 2>&1

# The errors of tests say what happened; where they were made is noise.
export RUST_LIB_BACKTRACE=0

TRACES=apiserver/otlp-tests,extension-apiserver/otlp

documentation() {
    RUSTDOCFLAGS='-D warnings' cargo doc --locked --quiet --workspace --no-deps --document-private-items
}

chart() {
    local helm
    helm=$(e2e programs | sed -n 's/^helm: //p')
    "$helm" lint --strict "$CHART" &&
        "$helm" lint --strict "$CHART" --set monitoring.dashboard.enabled=true,monitoring.rules.enabled=true
}

cluster_tests() {
    local tier=$1
    shift
    e2e run --tier "$tier" -- cargo test --locked -p e2e "$@" -- --ignored --nocapture --test-threads=4
}

differential_on() {
    E2E_STORAGE=$1 cluster_tests control-plane --test differential
}

step 'install what is missing' prerequisites
step 'formatting' cargo fmt --all --check
step 'every line of the contract has a test' bash hack/contract.sh
step 'clippy' cargo clippy --locked --quiet --workspace --all-targets -- -D warnings
step 'clippy with traces' cargo clippy --locked --quiet -p apiserver -p extension-apiserver --features "$TRACES" --all-targets -- -D warnings
step 'documentation' documentation
step 'generated files' cargo run --locked --quiet -p crds --bin crdgen -- --check
step 'licences' cargo test --locked --quiet -p e2e --test licences
step 'unit tests and tests on sockets' cargo test --locked --workspace
step 'tests with traces' cargo test --locked -p apiserver -p extension-apiserver --features "$TRACES" --test identity --bins
step 'programs of the test clusters' e2e programs --build --with upstream --with clients
step 'static programs' static_programs
step 'chart' chart
step 'the harness: nothing is left behind' cargo test --locked -p e2e --test harness -- --ignored --nocapture
step 'programs that run as local processes' cargo build --locked -p operator -p extension-apiserver -p apiserver --bins --examples
step 'control-plane tier' cluster_tests control-plane --test testing --test control_plane --test differential --test load
step 'differential test on SQLite' differential_on sqlite
step 'differential test on PostgreSQL' differential_on postgres
step 'rotation of the authorities of a cluster' cluster_tests control-plane --test rotation
step 'node tier' cluster_tests node --test node --test soak --test conformance
