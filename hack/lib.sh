# Shared by the scripts in this directory: steps that say what they do and how long they took.
# shellcheck shell=bash

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

TARGET=x86_64-unknown-linux-gnu
IMAGES_DIR=target/$TARGET/release
OPERATOR_IMAGE=cluster.test/extension-api-operator
SERVER_IMAGE=cluster.test/extension-apiserver
IMAGE_TAG=dev
CHART=charts/extension-api-operator

STEP_NAMES=()
STEP_SECONDS=()

# step NAME COMMAND…: runs a command under a heading, and says how long it took. A function that is run so has
# to join its commands with &&: `set -e` does not count in it.
step() {
    local name=$1 start=$SECONDS status=0
    shift
    printf '\n==> %s\n' "$name"
    "$@" || status=$?
    STEP_NAMES+=("$name")
    STEP_SECONDS+=("$((SECONDS - start))")
    if [ "$status" -ne 0 ]; then
        printf '==> FAILED after %ds: %s\n' "$((SECONDS - start))" "$name"
        exit "$status"
    fi
    printf '    done in %ds\n' "$((SECONDS - start))"
}

# What every step took.
summary() {
    local i
    printf '\n%-52s %8s\n' 'stage' 'seconds'
    for i in "${!STEP_NAMES[@]}"; do
        printf '%-52s %8d\n' "${STEP_NAMES[$i]}" "${STEP_SECONDS[$i]}"
    done
    printf '%-52s %8d\n' 'all' "$SECONDS"
}

# The Debian packages of the node tier and of the storage tests, installed if one is missing.
prerequisites() {
    local missing=() package
    for package in containerd runc containernetworking-plugins iproute2 nftables iptables postgresql; do
        dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    command -v cargo >/dev/null || { echo "cargo is missing: install Rust with rustup, https://rustup.rs"; return 1; }
    command -v go >/dev/null || { echo "go is missing: install Go 1.26 or newer, https://go.dev/doc/install"; return 1; }
    [ ${#missing[@]} -eq 0 ] && { echo "    all there"; return; }
    if [ "$(id -u)" -ne 0 ]; then
        echo "missing: ${missing[*]}; run: sudo apt-get install -y ${missing[*]}"
        return 1
    fi
    apt-get update -q &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# The programs that go into images: static, so that an image holds nothing else.
static_programs() {
    local -x CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS='-C target-feature=+crt-static'
    cargo build --locked --release --target "$TARGET" -p operator -p extension-apiserver --bins &&
        cargo build --locked --release --target "$TARGET" -p apiserver --example wardle
}

# Not `cargo run`: a cargo under it sees variables that make it compile half of the dependencies anew.
e2e() {
    cargo build --locked --quiet -p e2e && "${CARGO_TARGET_DIR:-target}/debug/e2e" "$@"
}
