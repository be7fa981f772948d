#!/bin/sh
# Builds a cdylib package for wasm32-wasip1 and optimises it.
# usage: tools/wasm.sh PACKAGE OUT.wasm     TOLLGATE_WASM_TOOLCHAIN=rustup|debian|auto chooses the compiler.
#
# rustup:  the toolchain on PATH with its precompiled standard library.
# debian:  Debian's rustc-web with the standard library built from rust-web-src, for machines whose only
#          network is a package mirror. It has a target directory of its own, so that the two never rebuild each other.
set -eu
. "$(dirname -- "$0")/common.sh"

[ $# = 2 ] || die "usage: tools/wasm.sh PACKAGE OUT.wasm"
package=$1
out=$2
case $out in /*) ;; *) out=$PWD/$out ;; esac
cd "$ROOT"

# `--crate-type cdylib`: cargo drops link-time optimisation for a library that is also built as an rlib.
case $package in tollgate-filter) profile=module ;; *) profile=release ;; esac
cargo_arguments="rustc --profile $profile --locked --package $package --lib --crate-type cdylib --target wasm32-wasip1"

# Panics name source files. Where a machine keeps those of dependencies must decide neither what the module says nor how large it is.
flags="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src/="

. tools/wasm_toolchain.sh
toolchain=$(choose_toolchain wasm32-wasip1)
# shellcheck disable=SC2086 # lists of arguments
case $toolchain in
rustup)
    target_dir=$TARGET_DIR
    CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS=$flags cargo $cargo_arguments
    ;;
debian)
    target_dir=$TARGET_DIR/debian-wasm
    debian_env
    CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="$flags -Lnative=/usr/lib/wasm32-wasi -Clink-self-contained=no" \
        /usr/bin/cargo $cargo_arguments -Z build-std=std,panic_abort --target-dir "$target_dir"
    ;;
esac

built=$target_dir/wasm32-wasip1/$profile/$(printf %s "$package" | tr - _).wasm
[ -f "$built" ] || die "cargo left no $built: is $package a cdylib?"
exec tools/wasm_opt.sh "$built" "$out"
