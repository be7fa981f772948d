// Owns the trial of the manifests: the backend as its pod would run it, proxies as Istio would configure them, and requests through
// both. Must not know Kubernetes: paths and addresses are those of this machine.

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";

import { containers, of } from "./cluster.mjs";
import { bootstrap } from "./proxy.mjs";

// How long something may take that takes a second, in milliseconds.
const DEADLINE = 20_000;
// How long a node may take to be taken in.
const HELLO = 5_000;

// Waits until `ask` answers with something, and gives that; undefined where it never does.
async function eventually(ask, deadline = DEADLINE) {
  const end = Date.now() + deadline;
  while (Date.now() < end) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await new Promise((go) => setTimeout(go, 20));
  }
  return undefined;
}

async function fetched(url, options) {
  try {
    const response = await fetch(url, options);
    return { status: response.status, text: await response.text() };
  } catch {
    return { status: 0, text: "" };
  }
}

export class Trial {
  #directory = mkdtempSync(path.join(tmpdir(), "tollgate-istio-trial-"));
  #children = [];
  #listeners = {};
  #variables = {};

  constructor(tools) {
    Object.assign(this, tools);
  }

  // A path of a pod, here.
  #here(text) {
    return text.replaceAll("/var/lib/tollgate", this.#directory).replaceAll("/etc/tollgate", path.join(this.#directory, "etc"));
  }

  #spawn(program, args, env) {
    const child = spawn(program, args, { env: { PATH: process.env.PATH, ...env }, stdio: ["ignore", "ignore", "pipe"] });
    this.#children.push(child);
    return child;
  }

  // Runs the backend with the arguments, variables and settings that the documents have.
  async backend(documents) {
    const pod = of(documents, "Deployment").find((one) => one.metadata.name === "tollgate-backend");
    const [init, serve] = containers(pod);
    const settings = of(documents, "ConfigMap")[0].data["tollgate.toml"];
    mkdirSync(path.join(this.#directory, "etc"));
    writeFileSync(path.join(this.#directory, "etc/tollgate.toml"), this.#here(settings).replaceAll(/"0\.0\.0\.0:\d+"/g, '"127.0.0.1:0"'));
    const made = spawnSync(this.tollgate, init.args.map((one) => this.#here(one)), { encoding: "utf8" });
    if (made.status !== 0) throw new Error(`tollgate init: ${made.stderr}`);

    for (const { name, value } of serve.env) this.#variables[name] = this.#here(value);
    const child = this.#spawn(this.tollgate, serve.args.map((one) => this.#here(one)), this.#variables);
    const said = [];
    createInterface({ input: child.stderr }).on("line", (line) => {
      said.push(line);
      const entry = JSON.parse(line.startsWith("{") ? line : "{}");
      if (entry.message === "listening") this.#listeners[entry.listener] = entry.address;
    });
    const ready = await eventually(async () => {
      if (child.exitCode !== null) throw new Error(`tollgate serve: ${said.join(" ")}`);
      const { operations } = this.#listeners;
      return operations && (await fetched(`http://${operations}/readyz`)).status === 200 ? true : undefined;
    });
    if (!ready) throw new Error(`tollgate serve is not ready: ${said.join(" ")}`);
    this.#variables.TOLLGATE_URL = `https://${this.#listeners.public}`;
    this.#command("consumers", "create", "acme", "--tier", "free");
  }

  #command(...args) {
    const { status, stdout, stderr } = spawnSync(this.tollgate, args, { encoding: "utf8", env: this.#variables });
    if (status !== 0) throw new Error(`tollgate ${args.join(" ")}: ${stderr}`);
    return stdout.trim();
  }

  // What goes otherwise than it should with requests through a gate.
  async problems(gate) {
    const [address, port] = this.#listeners.node.split(":");
    const directory = mkdtempSync(path.join(this.#directory, "proxy-"));
    const configuration = bootstrap(gate);
    configuration.admin = { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } };
    const text = JSON.stringify(configuration, (name, value) => (name === "socket_address" && value.port_value === 8443 ? { address, port_value: Number(port) } : value))
      .replaceAll("/etc/tollgate/tls/", `${this.#directory}/data/tls/`)
      .replaceAll("/etc/tollgate/module/tollgate.wasm", this.module);
    writeFileSync(path.join(directory, "envoy.json"), text);
    const key = this.#command("keys", "create", "--consumer", "acme", "--quiet");
    const label = path.basename(directory);
    const child = this.#spawn(
      this.envoy,
      ["--config-path", `${directory}/envoy.json`, "--admin-address-path", `${directory}/admin`, "--disable-hot-restart", "--concurrency", "2",
        "--service-node", label, "--service-cluster", "trial", "--log-level", "warning"],
      {
        TOLLGATE_NODE_CREDENTIAL: this.#command("nodes", "credentials", "create", "--label", label, "--quiet"),
        TOLLGATE_ISSUER_KEY_1: readFileSync(`${this.#directory}/data/secrets/issuer.1`, "utf8").trim(),
      },
    );
    const said = [];
    createInterface({ input: child.stderr }).on("line", (line) => said.push(line));
    const found = await this.#requests(child, directory, key, label);
    child.kill();
    return found.map((problem) => `in a trial: ${problem}; the proxy says: ${said.slice(-2).join(" ")}`);
  }

  async #requests(child, directory, key, label) {
    const url = await eventually(async () => {
      if (child.exitCode !== null) return "";
      const { text } = await fetched(`http://${read(`${directory}/admin`)}/listeners?format=json`);
      const [listener] = text ? JSON.parse(text).listener_statuses ?? [] : [];
      return listener && `http://127.0.0.1:${listener.local_address.socket_address.port_value}/`;
    });
    if (!url) return ["it does not listen"];
    const statusOf = async (headers) => (await fetched(url, { headers })).status;
    const eventuallyIs = (status, headers) => eventually(async () => ((await statusOf(headers)) === status ? true : undefined));

    const found = [];
    // Until the node has been taken in, keys cannot be judged: 503.
    let status = 503;
    await eventually(async () => ((status = await statusOf({ "x-api-key": key })) === 503 ? undefined : status), HELLO);
    if (status !== 200) return [`a good key is answered with ${status}`];
    if ((await statusOf({})) !== 401) found.push("a request without a key is not answered with 401");
    if ((await statusOf({ "x-api-key": `${key}x` })) !== 401) found.push("a forged key is not answered with 401");
    if (!this.#command("nodes", "list").includes(label)) found.push(`the backend does not know the node: ${this.#command("nodes", "list", "--json")}`);
    this.#command("keys", "revoke", key.split("_")[1].slice(0, 16));
    if (!(await eventuallyIs(401, { "x-api-key": key }))) found.push("a revoked key still passes");
    return found;
  }

  end() {
    for (const child of this.#children) child.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function read(file) {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return "";
  }
}
