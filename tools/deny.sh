#!/bin/sh
# Licences, bans and sources of every dependency; advisories too where their database can be fetched.
set -eu
. "$(dirname -- "$0")/common.sh"
cd "$ROOT"

version=0.20.2
home=$TOOLS_DIR/cargo-deny-$version
deny=$home/bin/cargo-deny
[ -x "$deny" ] || tools/cargo_tool.sh cargo-deny "$version" "$home" --no-default-features

"$deny" --locked check bans licenses sources
if timeout 120 "$deny" --locked fetch db >/dev/null 2>&1; then
    "$deny" --locked check --disable-fetch advisories
else
    say "notice: the advisory database cannot be fetched here: advisories left out"
fi
