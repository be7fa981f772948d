#!/bin/sh
# Form and rules, without running the product; the first failing stage ends it.
set -eu
. "$(dirname -- "$0")/common.sh"
cd "$ROOT"
. tools/stages.sh
. tools/wasm_toolchain.sh

format() {
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt >&2 || die "cargo fmt is missing: rustup component add rustfmt"
    cargo fmt --all --check
}
clippy() {
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy >&2 || die "cargo clippy is missing: rustup component add clippy"
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo clippy --package tollgate-sim --features sabotage --locked -- -D warnings
}
# What only exists in the module. Debian's clippy may know lints that the workspace's does not: there, what
# Cargo.toml denies fails, and warnings are only shown.
clippy_wasm() {
    toolchain=$(choose_toolchain wasm32-wasip1) || return
    case $toolchain in
    rustup) cargo clippy --package tollgate-filter --package tollgate-noop --lib --target wasm32-wasip1 --locked -- -D warnings ;;
    debian)
        [ -x /usr/bin/cargo-clippy ] || apt_install rust-web-clippy || {
            say "notice: clippy of the module left out: neither rustup's target nor Debian's rust-web-clippy can be had"
            return 0
        }
        # Called by name: cargo would prefer rustup's cargo-clippy.
        (debian_env && CARGO=/usr/bin/cargo /usr/bin/cargo-clippy clippy --package tollgate-filter --lib --target wasm32-wasip1 --locked \
            -Z build-std=std,panic_abort --target-dir "$TARGET_DIR/debian-wasm")
        ;;
    esac
}
architecture() { tools/check_architecture.py --self-test && tools/check_architecture.py; }

stage "format" format
stage "clippy" clippy
stage "clippy of the module" clippy_wasm
stage "dependency rules" architecture
stage "files named in the docs" tools/check_docs.py
stage "licences, bans, sources, advisories" tools/deny.sh
