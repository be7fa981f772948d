#!/bin/sh
# Builds the backend and command line in a profile of its own.
# usage: tools/server.sh OUT
set -eu
. "$(dirname -- "$0")/common.sh"
[ $# = 1 ] || die "usage: tools/server.sh OUT"
out=$1
case $out in /*) ;; *) out=$PWD/$out ;; esac
cd "$ROOT"

cargo build --profile server --locked --package tollgate-server
built=$TARGET_DIR/server/tollgate
[ -f "$built" ] || die "cargo left no $built"
cmp -s "$built" "$out" && exit 0
mkdir -p "$(dirname -- "$out")"
# Copied beside it and renamed: a running binary cannot be written to.
cp "$built" "$out.$$"
mv "$out.$$" "$out"
