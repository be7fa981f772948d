#!/bin/sh
# Compiles a cargo tool into .tools/, once: minutes the first time, nothing afterwards.
# usage: tools/cargo_tool.sh CRATE VERSION ROOT [cargo install options]
set -eu
. "$(dirname -- "$0")/common.sh"
[ $# -ge 3 ] || die "usage: tools/cargo_tool.sh CRATE VERSION ROOT [options]"
crate=$1 version=$2 home=$3
shift 3

say "compiling $crate $version into ${home#"$ROOT"/} (a few minutes, once)"
scratch=$TOOLS_DIR/target-$crate
# These tools wait for disks and networks: time to compile them matters more than their own speed.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1
install() { cargo install "$crate" --version "$version" --root "$home" --target-dir "$scratch" "$@" >&2; }
# A registry mirror may lag behind and lack a version that the tool's own lock names.
install --locked "$@" || { say "trying again without the lock of $crate" && install "$@"; } \
    || die "could not install $crate $version (no network, or the compiler is too old for it)"
rm -rf "$scratch"
