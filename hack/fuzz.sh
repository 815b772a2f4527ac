#!/usr/bin/env bash
# Every parser of bytes that a client chooses, under libFuzzer for FUZZ_SECONDS each (a minute if not set), or
# those that are named. What it finds worth keeping replaces the corpus that the ordinary tests run.
source "$(dirname "$0")/lib.sh"
trap 'summary; rm -rf "$WORK"' EXIT
WORK=$(mktemp -d)

FUZZ_SECONDS=${FUZZ_SECONDS:-60}
# Inputs of a target that are kept, the shortest first, so that the ordinary tests stay fast.
KEPT=600
LENGTH_MAX=4096
CORPUS=apiserver/server/fuzz/corpus
BUILT=${CARGO_TARGET_DIR:-target}/fuzz
COVERAGE='--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares'

build() {
    RUSTFLAGS=$COVERAGE cargo build --locked --quiet --release --target "$HOST" --target-dir "$BUILT" \
        --manifest-path apiserver/server/fuzz/Cargo.toml
}

# Kept inputs are lines of base64, so that a corpus is one file.
unpack() {
    local line number=0
    while read -r line; do
        base64 --decode <<<"$line" >"$2/kept-$((number++))"
    done < <(cat "$1" 2>/dev/null)
}

pack() {
    local file
    find "$1" -type f -size -"${LENGTH_MAX}c" -printf '%s %p\n' | sort -n | awk -v kept="$KEPT" 'NR <= kept { print $2 }' |
        while read -r file; do
            base64 --wrap=0 "$file" && echo
        done | sort >"$2"
}

run() {
    local target=$1 found=$WORK/$1 least=$WORK/$1.least
    mkdir -p "$found" "$least"
    unpack "$CORPUS/$target.txt" "$found"
    FUZZ_TARGET=$target FUZZ_SEEDS=$found "$PROGRAM" -max_total_time="$FUZZ_SECONDS" -max_len="$LENGTH_MAX" \
        -timeout=10 -print_final_stats=1 -verbosity=1 -artifact_prefix="$found-" "$found" >"$WORK/$target.log" 2>&1 || {
        tail -n 40 "$WORK/$target.log"
        cp "$found"-* "$BUILT/" 2>/dev/null && echo "the input is in $BUILT"
        return 1
    }
    awk -v target="$target" '/stat::number_of_executed_units/ { runs = $2 } / cov: / { coverage = $4 }
        END { printf "%-28s %10d inputs, %5d edges\n", target, runs, coverage }' "$WORK/$target.log"
    FUZZ_TARGET=$target "$PROGRAM" -merge=1 "$least" "$found" >"$WORK/$target.log" 2>&1 || {
        tail -n 40 "$WORK/$target.log"
        return 1
    }
    pack "$least" "$CORPUS/$target.txt"
}

HOST=$(rustc -vV | sed -n 's/^host: //p')
PROGRAM=$BUILT/$HOST/release/fuzz
step 'build with coverage' build
for target in ${*:-$("$PROGRAM" | tr '\n' ' ')}; do
    step "fuzz $target" run "$target"
done
