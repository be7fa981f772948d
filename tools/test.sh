#!/bin/sh
# What must pass before a commit; the first failing stage ends it.
set -eu
. "$(dirname -- "$0")/common.sh"
cd "$ROOT"
. tools/stages.sh

native() { cargo test --workspace --locked --exclude tollgate-tests --exclude tollgate-noop; }
envoy() { envoy_path=$(tools/envoy.sh) && say "$envoy_path"; }
end_to_end() {
    libraries=$(tools/token_libraries.sh) || return
    provider=$(tools/openid_provider.sh) || return
    mail_server=$(tools/mail_server.sh) || return
    MAIL_SERVER=$mail_server OPENID_PROVIDER=$provider TOKEN_LIBRARIES=$libraries ENVOY=$envoy_path TOLLGATE_WASM=$ROOT/dist/tollgate.wasm TOLLGATE_BIN=$ROOT/dist/tollgate \
        cargo test --package tollgate-tests --locked
}
istio() {
    packages=$(tools/istio_schemas.sh) || return
    PACKAGES=$packages ENVOY=$envoy_path TOLLGATE_WASM=$ROOT/dist/tollgate.wasm TOLLGATE_BIN=$ROOT/dist/tollgate tools/check_istio.mjs --self-test
}

stage "module and backend" make --no-print-directory build
stage "Envoy" envoy
stage "native unit and property tests" native
stage "simulation of the leases" tools/sim.sh --seeds 1000
stage "simulation replays a seed exactly" tools/sim_replays.sh
stage "simulation without one rule" tools/sim.sh --seeds 2000 --sabotage --first
stage "core under wasm" tools/wasm_test.sh
stage "Istio manifests" istio
stage "end to end" end_to_end
