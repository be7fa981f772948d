#!/bin/sh
# Prints where the token libraries of tests/mint/ are, installing them into .tools/ on first use.
set -eu
. "$(dirname -- "$0")/common.sh"

wanted=$ROOT/tests/mint
home=$TOOLS_DIR/token-libraries
if cmp -s "$wanted/package-lock.json" "$home/package-lock.json" && cmp -s "$wanted/requirements.txt" "$home/requirements.txt"; then
    printf '%s\n' "$home"
    exit 0
fi

have python3 || die "python3 is needed to install the token libraries"
mkdir -p "$TOOLS_DIR"
scratch=$(mktemp -d "$TOOLS_DIR/token-libraries.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

say "installing the token libraries of tests/mint into ${home#"$ROOT"/}"
cp "$wanted/requirements.txt" "$scratch/"
npm_packages "$wanted" "$scratch" "the token libraries"

find_pip "$scratch" || die "python3 has neither venv nor pip (Debian: apt-get install python3-venv)"
pip_install --no-deps --target "$scratch/python" --requirement "$wanted/requirements.txt" >&2 || die "pip could not install the packages of tests/mint/requirements.txt"
rm -rf "$scratch/venv"

# Moved into place whole: an interrupted installation leaves nothing behind that looks finished.
rm -rf "$home"
mv "$scratch" "$home"
printf '%s\n' "$home"
