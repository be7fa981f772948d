// Owns the judgement of what proxies get: by `tollgate check`, and by a real Envoy that loads it. Must not know Kubernetes.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const ROUTER = { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } };
const MANAGER = {
  name: "envoy.filters.network.http_connection_manager",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "api",
    route_config: { virtual_hosts: [{ name: "api", domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: { status: 200 } }] }] },
  },
};

function merged(base, patch) {
  if (patch === null || typeof patch !== "object" || Array.isArray(patch)) return patch;
  const all = { ...base };
  for (const [name, value] of Object.entries(patch)) all[name] = merged(base?.[name], value);
  return all;
}

// A whole configuration around a gate's filter, as its proxy would have it.
export function bootstrap({ filter, clusters, managers }) {
  const manager = managers.reduce(merged, MANAGER);
  manager.typed_config.http_filters = [filter, ROUTER];
  const listener = {
    name: "api",
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [{ filters: [manager] }],
  };
  return { static_resources: { listeners: [listener], clusters } };
}

function run(program, args, options = {}) {
  const { status, error, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: 120_000, ...options });
  if (error) throw error;
  return { status, said: `${stdout}${stderr}`.trim() };
}

// What `tollgate check` finds in text.
export function checked(tollgate, text) {
  const { status, said } = run(tollgate, ["check", "--strict", "-"], { input: text });
  return status === 0 ? [] : said.split("\n").map((line) => `tollgate ${line}`);
}

// Loads what gates need into an Envoy, with this module and certificates made for the occasion.
export class Envoy {
  constructor({ envoy, module, tollgate }) {
    Object.assign(this, { envoy, module });
    this.directory = mkdtempSync(path.join(tmpdir(), "tollgate-istio-"));
    const made = run(tollgate, ["init", `--data=${path.join(this.directory, "backend")}`]);
    if (made.status !== 0) throw new Error(`tollgate init: ${made.said}`);
  }

  problems(gate) {
    const { host_env_keys: variables } = gate.filter.typed_config.config.vm_config.environment_variables;
    const text = JSON.stringify(bootstrap(gate))
      .replaceAll("/etc/tollgate/tls/", `${path.join(this.directory, "backend/tls")}/`)
      .replaceAll("/etc/tollgate/module/tollgate.wasm", this.module);
    const file = path.join(this.directory, "envoy.json");
    writeFileSync(file, text);
    const env = Object.fromEntries(variables.map((name) => [name, "placeholder-placeholder-placeholder-0000"]));
    const { status, said } = run(this.envoy, ["--mode", "validate", "--config-path", file, "--log-level", "warning"], { env: { ...process.env, ...env } });
    const lines = said.split("\n");
    const deprecated = lines.filter((line) => line.includes("Deprecated field")).map((line) => `Envoy: ${line}`);
    return status === 0 ? deprecated : [`Envoy: ${lines.filter((line) => !line.includes("[warning]")).join(" ")}`];
  }

  end() {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
