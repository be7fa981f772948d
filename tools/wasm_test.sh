#!/bin/sh
# Runs core's wasm-bindgen tests on wasm32-unknown-unknown under Node.
# usage: tools/wasm_test.sh     TOLLGATE_WASM_TOOLCHAIN=rustup|debian|auto chooses the compiler.
set -eu
. "$(dirname -- "$0")/common.sh"
cd "$ROOT"
. tools/wasm_toolchain.sh

target=wasm32-unknown-unknown
have node || apt_install nodejs || die "Node is needed to run core's tests under wasm (Debian: apt-get install nodejs)"

# The runner must be of exactly the version of the wasm-bindgen that core is built with.
version=$(locked_version wasm-bindgen)
[ -n "$version" ] || die "Cargo.lock names no wasm-bindgen: core's tests under wasm are missing"
runner=$TOOLS_DIR/wasm-bindgen-$version/bin/wasm-bindgen-test-runner
[ -x "$runner" ] || tools/cargo_tool.sh wasm-bindgen-cli "$version" "$TOOLS_DIR/wasm-bindgen-$version" \
    --no-default-features --bin wasm-bindgen-test-runner

arguments="test --locked --package tollgate-core --test wasm --target $target"
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER="$runner"
toolchain=$(choose_toolchain "$target")
# shellcheck disable=SC2086 # lists of arguments
case $toolchain in
rustup) cargo $arguments ;;
debian)
    debian_env
    /usr/bin/cargo $arguments -Z build-std=std,panic_abort --target-dir "$TARGET_DIR/debian-wasm"
    ;;
esac
