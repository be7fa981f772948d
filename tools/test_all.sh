#!/bin/sh
# `make test`, then what is too slow for every commit. Each stage stands alone: copy its line to run it by itself.
# Fuzzing keeps the dev profile: overflow and debug assertions are half of what it looks for.
set -eu
. "$(dirname -- "$0")/common.sh"
cd "$ROOT"
. tools/stages.sh

# end_to_end ENVOY_VERSION MODULE
end_to_end() {
    envoy_path=$(ENVOY='' tools/envoy.sh "$1") || return
    ENVOY=$envoy_path TOLLGATE_WASM=$2 TOLLGATE_BIN=$ROOT/dist/tollgate cargo test --package tollgate-tests --locked
}
debian_module() {
    TOLLGATE_WASM_TOOLCHAIN=debian tools/wasm.sh tollgate-filter "$TARGET_DIR/dist/tollgate-debian.wasm" \
        && tools/check_exports.py "$TARGET_DIR/dist/tollgate-debian.wasm"
}
fuzz() { BOLERO_RANDOM_TEST_TIME_MS=20000 cargo test --package tollgate-fuzz --locked; }

stage "make test" make --no-print-directory test
stage "exports" tools/check_exports.py dist/tollgate.wasm
stage "end to end, oldest Envoy (1.36.2)" end_to_end 1.36.2 "$ROOT/dist/tollgate.wasm"
# The packages of 1.38 come without the V8 runtime.
stage "end to end, Envoy 1.37.0" end_to_end 1.37.0 "$ROOT/dist/tollgate.wasm"
stage "end to end, Envoy 1.39.0" end_to_end 1.39.0 "$ROOT/dist/tollgate.wasm"
stage "module of Debian's compiler" debian_module
stage "end to end, module of Debian's compiler" end_to_end 1.40.0 "$TARGET_DIR/dist/tollgate-debian.wasm"
stage "simulation of the leases, 10,000 stories" tools/sim.sh --seeds 10000
stage "simulation of a hundred nodes" tools/sim.sh --steady
stage "fuzzing, 20 s a target" fuzz
