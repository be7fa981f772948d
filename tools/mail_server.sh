#!/bin/sh
# Prints where the mail server of tests/mail/ is, installing it into .tools/ on first use.
set -eu
. "$(dirname -- "$0")/common.sh"

npm_home "$ROOT/tests/mail" "$TOOLS_DIR/mail-server" "the mail server of tests/mail"
printf '%s\n' "$TOOLS_DIR/mail-server"
