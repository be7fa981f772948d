# Sourced by the scripts beside it: where the repository is, how to speak, how to install a Debian package.
# Progress goes to stderr, so that a script's stdout holds only its answer.

ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
TOOLS_DIR=$ROOT/.tools
TARGET_DIR=${CARGO_TARGET_DIR:-$ROOT/target}

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# The version of package $1 in Cargo.lock (the first one named there).
locked_version() {
    awk -v want="\"$1\"" '$1 == "name" { name = $3 } $1 == "version" && name == want { gsub(/"/, "", $3); print $3; exit }' "$ROOT/Cargo.lock"
}

# Runs a command as root, or fails at once when that would need a password.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif have sudo; then sudo -n "$@"
    else return 1
    fi
}

# apt_install PACKAGE...: quiet, without questions; fails where apt or the right to use it is missing, and
# rather than remove another package (Debian's compilers exclude each other).
apt_install() {
    have apt-get || return 1
    as_root true 2>/dev/null || return 1
    say "installing with apt-get: $*"
    if ! apt-cache show "$@" >/dev/null 2>&1; then
        as_root apt-get update -qq >&2 || return 1
    fi
    apt_log=$(mktemp)
    if as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-remove --no-install-recommends "$@" >"$apt_log" 2>&1; then
        rm -f "$apt_log"
    else
        tail -n 20 "$apt_log" >&2
        rm -f "$apt_log"
        return 1
    fi
}

# find_pip SCRATCH: sets $pip to a command that runs pip, that of a virtual environment in SCRATCH/venv or python3's own. Debian has
# neither venv nor pip in python3 itself.
find_pip() {
    make_pip "$1" && return
    apt_install python3-venv || true
    make_pip "$1"
}
make_pip() {
    if python3 -m venv "$1/venv" >/dev/null 2>&1; then pip="$1/venv/bin/python -m pip"
    elif python3 -m pip --version >/dev/null 2>&1; then pip="python3 -m pip"
    else return 1
    fi
}

# pip_install ARGUMENT...: after find_pip.
pip_install() {
    # shellcheck disable=SC2086 # a command and its arguments
    PIP_ROOT_USER_ACTION=ignore $pip install --quiet --disable-pip-version-check --no-warn-script-location "$@"
}

# npm_home WANTED HOME WHAT: has in HOME what the lock file in WANTED pins, installing it on first use.
npm_home() {
    cmp -s "$1/package-lock.json" "$2/package-lock.json" && return
    mkdir -p "$TOOLS_DIR"
    npm_scratch=$(mktemp -d "$2.XXXXXX")
    trap 'rm -rf "$npm_scratch"' EXIT
    trap 'exit 130' INT TERM
    say "installing $3 into ${2#"$ROOT"/}"
    npm_packages "$1" "$npm_scratch" "$3"
    # Moved into place whole: an interrupted installation leaves nothing behind that looks finished.
    rm -rf "$2"
    mv "$npm_scratch" "$2"
}

# npm_packages WANTED SCRATCH WHAT: installs into SCRATCH what the lock file in WANTED pins.
npm_packages() {
    have npm || apt_install npm || die "npm is needed to install $3 (Debian: apt-get install npm)"
    cp "$1/package.json" "$1/package-lock.json" "$2/"
    (cd "$2" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2 || die "npm could not install the packages of ${1#"$ROOT"/}/package.json"
}
