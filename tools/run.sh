#!/bin/sh
# A demonstration in the foreground: an upstream and Envoy with envoy.yaml. Ctrl-C stops both.
# Ports: 10000 the proxy, 9901 Envoy's admin, 8081 the upstream; all on 127.0.0.1.
set -eu
. "$(dirname -- "$0")/common.sh"
cd "$ROOT" # envoy.yaml names the module relative to the repository

have python3 || die "python3 is needed for the demonstration upstream"
[ -f envoy.yaml ] || die "envoy.yaml is missing"
[ -f dist/tollgate.wasm ] || die "dist/tollgate.wasm is missing: run 'make build'"
envoy=$(tools/envoy.sh)
key=$(sed -n 's/^ *# demo key: *\([A-Za-z0-9_]*\).*/\1/p' envoy.yaml | head -n 1)
[ -n "$key" ] || die "envoy.yaml has no line '# demo key: ...'"

for port in 10000 9901 8081; do
    python3 -c "import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.1', $port))" 2>/dev/null \
        || die "port $port is in use: stop what listens there (ss -ltnp 'sport = :$port' names it)"
done

# status URL: the status code of a GET, 000 where nothing answers.
status() {
    python3 - "$1" <<'PYTHON'
import sys, urllib.error, urllib.request
try:
    print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=1).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError:
    print("000")
PYTHON
}
running() { kill -0 "$1" 2>/dev/null; }

upstream_pid='' envoy_pid=''
stop() {
    trap '' INT TERM
    # shellcheck disable=SC2086 # zero, one or two
    kill $envoy_pid $upstream_pid 2>/dev/null || true
    wait
}
trap stop EXIT
trap 'exit 0' INT TERM

python3 tools/demo_upstream.py 8081 &
upstream_pid=$!
"$envoy" --config-path envoy.yaml --concurrency 2 --use-dynamic-base-id --log-level warning --component-log-level wasm:info &
envoy_pid=$!

say "waiting for Envoy"
tries=0
until [ "$(status http://127.0.0.1:9901/ready)" = 200 ] && [ "$(status http://127.0.0.1:10000/)" != 000 ] \
    && [ "$(status http://127.0.0.1:8081/healthz)" = 200 ]; do
    running "$envoy_pid" || die "Envoy has stopped; its last lines above say why"
    running "$upstream_pid" || die "the demonstration upstream has stopped"
    tries=$((tries + 1))
    [ "$tries" -le 100 ] || die "not ready after 100 attempts; see http://127.0.0.1:9901/"
    sleep 0.2
done

cat <<TEXT

Ready. Try, in another terminal:

  # a good key: 200, with the identity the upstream sees and limit headers
  curl -i -H 'x-api-key: $key' http://127.0.0.1:10000/hello

  # no key: 401
  curl -i http://127.0.0.1:10000/hello

  # a forged key: 401
  curl -i -H 'x-api-key: ${key}x' http://127.0.0.1:10000/hello

  # over the limit: 200s, then 429s with retry-after
  for i in \$(seq 150); do curl -s -o /dev/null -w '%{http_code}\n' -H 'x-api-key: $key' http://127.0.0.1:10000/hello; done | sort | uniq -c

Envoy's admin: http://127.0.0.1:9901/stats?filter=wasm    Ctrl-C stops.

TEXT

while running "$envoy_pid"; do
    running "$upstream_pid" || die "the demonstration upstream has stopped"
    sleep 1 &
    wait $! || true
done
die "Envoy has stopped"
