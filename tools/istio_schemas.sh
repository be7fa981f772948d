#!/bin/sh
# Prints where the packages of tools/istio/package.json are, installing them into .tools/ on first use.
set -eu
. "$(dirname -- "$0")/common.sh"

wanted=$ROOT/tools/istio
home=$TOOLS_DIR/istio-schemas
if cmp -s "$wanted/package-lock.json" "$home/package-lock.json"; then
    printf '%s\n' "$home/node_modules"
    exit 0
fi

mkdir -p "$TOOLS_DIR"
scratch=$(mktemp -d "$TOOLS_DIR/istio-schemas.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

say "installing the schemas of Istio's and Kubernetes' kinds into ${home#"$ROOT"/}"
npm_packages "$wanted" "$scratch" "the schemas of Istio's kinds"

# Moved into place whole: an interrupted installation leaves nothing behind that looks finished.
rm -rf "$home"
mv "$scratch" "$home"
printf '%s\n' "$home/node_modules"
