#!/bin/sh
# A demonstration in the foreground: an upstream, the backend, and Envoy with envoy.yaml. Ctrl-C stops them.
# Ports: 10000 the proxy, 9901 Envoy's admin, 8081 the upstream, 8080, 8443 and 8090 the backend (public, nodes, operations); all on 127.0.0.1.
# What the backend keeps is in target/demo, which envoy.yaml names too; remove that directory to start anew.
set -eu
. "$(dirname -- "$0")/common.sh"
cd "$ROOT" # envoy.yaml names the module relative to the repository

have python3 || die "python3 is needed for the demonstration upstream"
[ -f envoy.yaml ] || die "envoy.yaml is missing"
[ -f dist/tollgate.wasm ] || die "dist/tollgate.wasm is missing: run 'make build'"
envoy=$(tools/envoy.sh)
[ -x dist/tollgate ] || die "dist/tollgate is missing: run 'make build'"
data=target/demo

for port in 10000 9901 8081 8080 8443 8090; do
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

upstream_pid='' envoy_pid='' backend_pid=''
stop() {
    trap '' INT TERM
    # shellcheck disable=SC2086 # any number of them
    kill $envoy_pid $backend_pid $upstream_pid 2>/dev/null || true
    wait
}
trap stop EXIT
trap 'exit 0' INT TERM

python3 tools/demo_upstream.py 8081 &
upstream_pid=$!

# Does nothing where it has been done.
mkdir -p target
dist/tollgate init --data "$data" >"$data.init.log" 2>&1 || { cat "$data.init.log" >&2; die "the backend's data directory cannot be made"; }
dist/tollgate serve --data "$data" --self-service >/dev/null 2>"$data.log" &
backend_pid=$!
say "waiting for the backend; its log is $data.log"
tries=0
until [ "$(status http://127.0.0.1:8090/readyz)" = 200 ]; do
    running "$backend_pid" || { tail -n 5 "$data.log" >&2; die "the backend has stopped; its last lines above say why"; }
    tries=$((tries + 1))
    [ "$tries" -le 100 ] || die "the backend is not ready after 100 attempts; see $data.log"
    sleep 0.2
done
if [ ! -s "$data/demo.key" ]; then
    dist/tollgate consumers show demo --data "$data" >/dev/null 2>&1 || dist/tollgate consumers create demo --tier free --data "$data" >/dev/null
    (umask 077 && dist/tollgate keys create --consumer demo --label demo --quiet --data "$data" >"$data/demo.key")
fi
key=$(cat "$data/demo.key")

# envoy.yaml takes these from its environment.
TOLLGATE_NODE_CREDENTIAL=$(cat "$data/node.credential")
TOLLGATE_ISSUER_KEY_1=$(cat "$data/secrets/issuer.1")
export TOLLGATE_NODE_CREDENTIAL TOLLGATE_ISSUER_KEY_1
"$envoy" --config-path envoy.yaml --service-node demo --service-cluster demo --concurrency 2 --use-dynamic-base-id --log-level warning --component-log-level wasm:info &
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

  # no key: 401; a forged one: 401, without asking the backend
  curl -i http://127.0.0.1:10000/hello
  curl -i -H 'x-api-key: ${key}x' http://127.0.0.1:10000/hello

  # create a key, as a developer who helps himself, and call with it
  curl -s -X POST -H 'content-type: application/json' -d '{"tier":"free","email":"user@example.com"}' http://127.0.0.1:8080/api/auth/keys

  # list keys and revoke one, as an administrator: refused everywhere within a quarter of a second
  dist/tollgate keys list --data $data
  curl -i -X DELETE -H "authorization: Bearer \$(cat $data/admin.key)" http://127.0.0.1:8080/api/v1/keys/KEY_ID
  dist/tollgate keys revoke KEY_ID --data $data

  # over the limit: 200s, then 429s with retry-after
  for i in \$(seq 150); do curl -s -o /dev/null -w '%{http_code}\n' -H 'x-api-key: $key' http://127.0.0.1:10000/hello; done | sort | uniq -c

Envoy's admin: http://127.0.0.1:9901/stats?filter=wasm    the backend's metrics: http://127.0.0.1:8090/metrics    Ctrl-C stops.

TEXT

while running "$envoy_pid"; do
    running "$upstream_pid" || die "the demonstration upstream has stopped"
    running "$backend_pid" || die "the backend has stopped; see $data.log"
    sleep 1 &
    wait $! || true
done
die "Envoy has stopped"
