#!/bin/sh
# Runs a module through wasm-opt, when there is one and the module has changed since.
# usage: tools/wasm_opt.sh IN.wasm OUT.wasm
set -eu
. "$(dirname -- "$0")/common.sh"
[ $# = 2 ] || die "usage: tools/wasm_opt.sh IN.wasm OUT.wasm"

# The release profile strips the section that names the features in use: these are rustc's defaults for
# wasm32-wasip1 (`rustc --print cfg --target wasm32-wasip1`).
flags="-O3 --enable-bulk-memory --enable-sign-ext --enable-nontrapping-float-to-int
    --enable-mutable-globals --enable-multivalue --enable-reference-types"

have wasm-opt || apt_install binaryen || true
if have wasm-opt; then version=$(wasm-opt --version); else version=none; fi

# The stamp names what went in, not when: two toolchains may write the same OUT in turn.
stamp=$TARGET_DIR/wasm-opt/$(basename -- "$2").stamp
mkdir -p "$(dirname -- "$stamp")" "$(dirname -- "$2")"
now="$(sha256sum <"$1") $version $flags"
if [ -f "$2" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$now" ] && [ ! "$2" -nt "$stamp" ]; then
    exit 0
fi

scratch=$2.$$
trap 'rm -f "$scratch"' EXIT
if [ "$version" = none ]; then
    say "notice: no wasm-opt (Debian: apt-get install binaryen): the module is larger and slower than it need be"
    cp "$1" "$scratch"
else
    # shellcheck disable=SC2086 # a list of flags
    wasm-opt $flags "$1" -o "$scratch"
fi
say "$(basename -- "$2"): $(wc -c <"$1") bytes from rustc, $(wc -c <"$scratch") from wasm-opt ($version)"
mv "$scratch" "$2"
printf '%s\n' "$now" >"$stamp"
