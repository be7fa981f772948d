#!/bin/sh
# Benchmarks in the release profile, beside the SDK's no-op module.
# usage: tools/bench.sh [arguments of tollgate-benches]
set -eu
. "$(dirname -- "$0")/common.sh"
cd "$ROOT"
noop=$TARGET_DIR/dist/tollgate-noop.wasm
make --no-print-directory build
tools/wasm.sh tollgate-noop "$noop"
ENVOY=$(tools/envoy.sh)
export ENVOY TOLLGATE_WASM="$ROOT/dist/tollgate.wasm" TOLLGATE_BIN="$ROOT/dist/tollgate" TOLLGATE_NOOP_WASM="$noop"
exec cargo run --release --locked --package tollgate-benches -- "$@"
