#!/usr/bin/env bash
# Simulates the leases: many nodes and the ledger, under loss, delay, crashes and whatever else can happen between them.
# usage: tools/sim.sh [--seeds N] [--from N] [--seed N] [--sabotage [RULE]] [--first] [--threads N] [--steady]
set -euo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/.."

# Millions of requests: our own code, too, is worth optimising here.
exec cargo run --quiet --locked --package tollgate-sim --features sabotage \
    --config 'profile.dev.package.tollgate-core.opt-level=2' \
    --config 'profile.dev.package.tollgate-filter.opt-level=2' \
    --config 'profile.dev.package.tollgate-sim.opt-level=2' \
    -- "$@"
