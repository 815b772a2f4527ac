#!/usr/bin/env bash
# Kubernetes' own conformance specs of the API machinery, with the DataRecord API registered: 98 specs.
# CONFORMANCE_FOCUS and CONFORMANCE_SKIP choose others, by regular expressions over their names.
source "$(dirname "$0")/lib.sh"
trap 'summary' EXIT

export RUST_BACKTRACE=${RUST_BACKTRACE:-0}
export CONFORMANCE_FOCUS=${CONFORMANCE_FOCUS-'\[sig-api-machinery\].*\[Conformance\]'}
# The spec that is skipped waits for etcd's compaction, more than five minutes. An empty expression
# would skip every spec, hence none is passed on.
CONFORMANCE_SKIP=${CONFORMANCE_SKIP-compacted away}
if [ -n "$CONFORMANCE_SKIP" ]; then export CONFORMANCE_SKIP; else unset CONFORMANCE_SKIP; fi

specs() {
    e2e run --tier node -- cargo test --locked -p e2e --test conformance -- --ignored --nocapture
}

step 'install what is missing' prerequisites
step 'programs of the test clusters' e2e programs --build --with upstream
step 'static programs' static_programs
step 'build the test' cargo test --locked -p e2e --test conformance --no-run
step "Kubernetes' own specs" specs
