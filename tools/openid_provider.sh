#!/bin/sh
# Prints where the OpenID provider of tests/oidc/ is, installing it into .tools/ on first use.
set -eu
. "$(dirname -- "$0")/common.sh"

npm_home "$ROOT/tests/oidc" "$TOOLS_DIR/openid-provider" "the OpenID provider of tests/oidc"
printf '%s\n' "$TOOLS_DIR/openid-provider"
