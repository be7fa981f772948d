# Sourced after common.sh: which compiler builds for a wasm target, and how to have it installed.
# choose_toolchain TARGET prints `rustup` or `debian`; debian_env prepares the environment for Debian's.

DEBIAN_PACKAGES="rustc-web cargo-web rust-web-src wasi-libc"

has_rustup_target() {
    have rustc && [ -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/$1/lib" ]
}

# A machine without the way to rustup's server should fall back within seconds, a slow one should be let finish.
add_rustup_target() {
    have rustup || return 1
    say "rustup target add $1"
    RUSTUP_MAX_RETRIES=1 timeout 180 rustup target add "$1" >&2 && has_rustup_target "$1"
}

# Debian's release also has packages of older compilers under the same names: the workspace says which is too old.
debian_is_new_enough() {
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
    found=$(/usr/bin/rustc --version | cut -d ' ' -f 2)
    [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ]
}

has_debian() {
    [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] && debian_is_new_enough && [ -f /usr/lib/wasm32-wasi/libc.a ] \
        && [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std" ] \
        && find_lld >/dev/null
}

# rust-lld of a rustup toolchain, or an lld of Debian's that knows what LLVM 19 and later write.
find_lld() {
    for lld in "${RUSTUP_HOME:-$HOME/.rustup}"/toolchains/*/lib/rustlib/*/bin/rust-lld \
        /usr/lib/llvm-22/bin/lld /usr/lib/llvm-21/bin/lld /usr/lib/llvm-20/bin/lld /usr/lib/llvm-19/bin/lld; do
        [ -x "$lld" ] || continue
        printf '%s\n' "$lld"
        return 0
    done
    return 1
}

install_debian() {
    # shellcheck disable=SC2086 # a list of packages
    apt_install $DEBIAN_PACKAGES || return 1
    find_lld >/dev/null || apt_install lld-19 || return 1
    has_debian
}

choose_toolchain() {
    case ${TOLLGATE_WASM_TOOLCHAIN:-auto} in
    rustup)
        has_rustup_target "$1" || add_rustup_target "$1" || die "rustup could not install $1"
        echo rustup
        ;;
    debian)
        has_debian || install_debian || die_debian "$1"
        echo debian
        ;;
    auto)
        if has_rustup_target "$1"; then echo rustup
        elif has_debian; then echo debian
        elif add_rustup_target "$1"; then echo rustup
        elif say "rustup cannot supply $1: falling back on Debian's compiler" && install_debian; then echo debian
        else die_debian "$1"
        fi
        ;;
    *) die "TOLLGATE_WASM_TOOLCHAIN is '$TOLLGATE_WASM_TOOLCHAIN': must be rustup, debian or auto" ;;
    esac
}

die_debian() {
    [ ! -x /usr/bin/rustc ] || debian_is_new_enough || say "/usr/bin/rustc is older than the workspace's rust-version"
    die "no compiler for $1: needs 'rustup target add $1' or, on Debian as root, 'apt-get install $DEBIAN_PACKAGES lld-19'"
}

# Debian's cargo finds the linker as `rust-lld` on PATH; flags and toolchain choices meant for rustup's must not reach it.
debian_env() {
    mkdir -p "$TOOLS_DIR/lld"
    ln -sfn "$(find_lld)" "$TOOLS_DIR/lld/rust-lld"
    PATH=$TOOLS_DIR/lld:$PATH
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS RUSTUP_TOOLCHAIN RUSTC_WRAPPER CARGO
    RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1
    export PATH RUSTC RUSTDOC RUSTC_BOOTSTRAP
}
