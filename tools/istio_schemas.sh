#!/bin/sh
# Prints where the packages of tools/istio/package.json are, installing them into .tools/ on first use.
set -eu
. "$(dirname -- "$0")/common.sh"

npm_home "$ROOT/tools/istio" "$TOOLS_DIR/istio-schemas" "the schemas of Istio's and Kubernetes' kinds"
printf '%s\n' "$TOOLS_DIR/istio-schemas/node_modules"
