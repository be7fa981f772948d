#!/bin/sh
# Prints where the OpenID provider of tests/oidc/ is, installing it into .tools/ on first use.
set -eu
. "$(dirname -- "$0")/common.sh"

wanted=$ROOT/tests/oidc
home=$TOOLS_DIR/openid-provider
if cmp -s "$wanted/package-lock.json" "$home/package-lock.json"; then
    printf '%s\n' "$home"
    exit 0
fi

mkdir -p "$TOOLS_DIR"
scratch=$(mktemp -d "$TOOLS_DIR/openid-provider.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

say "installing the OpenID provider of tests/oidc into ${home#"$ROOT"/}"
npm_packages "$wanted" "$scratch" "the OpenID provider"

# Moved into place whole: an interrupted installation leaves nothing behind that looks finished.
rm -rf "$home"
mv "$scratch" "$home"
printf '%s\n' "$home"
