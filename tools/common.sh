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
