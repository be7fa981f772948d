#!/bin/sh
# A demonstration in the foreground: an upstream, the backend, and Envoy with envoy.yaml. Ctrl-C stops them.
# Ports: 10000 the proxy, 9901 Envoy's admin, 8081 the upstream, 8080, 8443 and 8090 the backend (public, nodes, operations); all on 127.0.0.1.
# What the backend keeps is in target/demo, which envoy.yaml names too; remove that directory to start anew.
set -eu
. "$(dirname -- "$0")/common.sh"
cd "$ROOT" # envoy.yaml names the module relative to the repository

# Whatever else this shell speaks to, the demonstration is to be its own.
for name in $(env | sed -n 's/^\(TOLLGATE_[A-Z0-9_]*\)=.*/\1/p'); do unset "$name"; done

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
# The demonstration's key, unless there is one that was not revoked since.
if ! dist/tollgate keys list --consumer demo --json --data "$data" 2>/dev/null | python3 -c '
import json, sys
key = open(sys.argv[1]).read().strip()
active = [item["id"] for item in json.load(sys.stdin)["items"] if item["status"] == "active"]
sys.exit(key.partition("_")[2][:16] not in active)' "$data/demo.key" 2>/dev/null; then
    dist/tollgate consumers show demo --data "$data" >/dev/null 2>&1 || dist/tollgate consumers create demo --tier free --data "$data" >/dev/null
    (umask 077 && dist/tollgate keys create --consumer demo --label demo --quiet --data "$data" >"$data/demo.key")
fi

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

Ready. Try, in another terminal, in this directory:

  # a good key: 200, with the identity the upstream sees and limit headers; no key: 401; a forged one: 401, without asking the backend
  KEY=\$(cat $data/demo.key)
  curl -i -H "X-API-Key: \$KEY" http://127.0.0.1:10000/hello
  curl -i http://127.0.0.1:10000/hello
  curl -i -H "X-API-Key: foil_\$(printf %057d 0)" http://127.0.0.1:10000/hello

  # create a key, as a developer who helps himself, and call with it: 200
  curl -s -X POST -H 'content-type: application/json' -d '{"tier":"free","email":"user@example.com"}' http://127.0.0.1:8080/api/auth/keys | tee target/key.json
  NEW=\$(python3 -c 'import json; print(json.load(open("target/key.json"))["api_key"])')
  curl -i -H "Authorization: Bearer \$NEW" http://127.0.0.1:10000/hello

  # list keys and revoke that one, as an administrator: everywhere refused within a quarter of a second
  dist/tollgate keys list --data $data
  curl -i -X DELETE -H "Authorization: Bearer \$(cat $data/admin.key)" "http://127.0.0.1:8080/api/v1/keys/\$(echo "\$NEW" | cut -c 6-21)"
  sleep 0.25; curl -i -H "Authorization: Bearer \$NEW" http://127.0.0.1:10000/hello

  # over the limit: 200s, then 429s with Retry-After
  for i in \$(seq 150); do curl -s -o /dev/null -w '%{http_code}\n' -H "X-API-Key: \$KEY" http://127.0.0.1:10000/hello; done | sort | uniq -c

Envoy's admin: http://127.0.0.1:9901/stats?filter=wasm    the backend's metrics: http://127.0.0.1:8090/metrics    Ctrl-C stops.

TEXT

while running "$envoy_pid"; do
    running "$upstream_pid" || die "the demonstration upstream has stopped"
    running "$backend_pid" || die "the backend has stopped; see $data.log"
    sleep 1 &
    wait $! || true
done
die "Envoy has stopped"
