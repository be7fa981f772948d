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
have npm || apt_install npm || die "npm is needed to install the token libraries (Debian: apt-get install npm)"
mkdir -p "$TOOLS_DIR"
scratch=$(mktemp -d "$TOOLS_DIR/token-libraries.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

say "installing the token libraries of tests/mint into ${home#"$ROOT"/}"
cp "$wanted/package.json" "$wanted/package-lock.json" "$wanted/requirements.txt" "$scratch/"
(cd "$scratch" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2 || die "npm could not install the packages of tests/mint/package.json"

# A virtual environment brings its own pip. Debian has neither venv nor pip in python3 itself.
make_pip() {
    if python3 -m venv "$scratch/venv" >/dev/null 2>&1; then pip="$scratch/venv/bin/python -m pip"
    elif python3 -m pip --version >/dev/null 2>&1; then pip="python3 -m pip"
    else return 1
    fi
}
pip=
if ! make_pip; then
    apt_install python3-venv || true
    make_pip || die "python3 has neither venv nor pip (Debian: apt-get install python3-venv)"
fi
PIP_ROOT_USER_ACTION=ignore $pip install --quiet --disable-pip-version-check --no-warn-script-location --no-deps \
    --target "$scratch/python" --requirement "$wanted/requirements.txt" >&2 || die "pip could not install the packages of tests/mint/requirements.txt"
rm -rf "$scratch/venv"

# Moved into place whole: an interrupted installation leaves nothing behind that looks finished.
rm -rf "$home"
mv "$scratch" "$home"
printf '%s\n' "$home"
