#!/bin/sh
# Durable grants of the ledger, in the profile that ships.
# usage: tools/bench_ledger.sh [--consumers N] [--seconds S] [--directory DIR]
set -eu
. "$(dirname -- "$0")/common.sh"
cd "$ROOT"
exec cargo bench --quiet --profile server --locked --package tollgate-server --bench ledger -- --directory "$TARGET_DIR/bench/ledger" "$@"
