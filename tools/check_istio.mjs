#!/usr/bin/env node
// Checks the manifests in examples/istio: each by its kind's published schema, all against each other, and what they give to proxies
// by `tollgate check` and a real Envoy; then requests are made through such proxies, with the backend that the manifests describe.
//
// usage: PACKAGES=… TOLLGATE_BIN=… ENVOY=… TOLLGATE_WASM=… tools/check_istio.mjs [--self-test]
//
// Prints each problem and exits with 1 if there was one. With --self-test: makes each fault it must find, and fails where it did not.

import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { gates, title } from "./istio/cluster.mjs";
import { faults, proxyFaults, trialFaults } from "./istio/faults.mjs";
import { problems as kindProblems } from "./istio/kinds.mjs";
import { checked, Envoy } from "./istio/proxy.mjs";
import { problems as referenceProblems } from "./istio/references.mjs";
import { Trial } from "./istio/trial.mjs";

const manifests = path.join(path.dirname(fileURLToPath(import.meta.url)), "../examples/istio");
const readme = readFileSync(path.join(manifests, "README.md"), "utf8");

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}
const packages = required("PACKAGES");
const tollgate = required("TOLLGATE_BIN");
const yaml = await import(pathToFileURL(createRequire(path.join(packages, "_")).resolve("yaml")));

function read() {
  const files = readdirSync(manifests).filter((name) => name.endsWith(".yaml")).sort();
  const unnamed = files.filter((name) => !readme.includes(name));
  if (unnamed.length > 0) throw new Error(`examples/istio/README.md does not name ${unnamed.join(", ")}`);
  return files.flatMap((name) => {
    const documents = yaml.parseAllDocuments(readFileSync(path.join(manifests, name), "utf8"), { merge: false });
    for (const one of documents) if (one.errors.length > 0) throw new Error(`${name}: ${one.errors[0].message}`);
    return documents.map((one) => one.toJS());
  });
}

// Each problem of the documents by themselves and among each other.
async function problems(documents) {
  const found = [];
  for (const document of documents) {
    for (const problem of await kindProblems(packages, document)) found.push(`${title(document)}: ${problem}`);
  }
  if (found.length > 0) return found; // The rest relies on shapes.
  const made = [...readme.matchAll(/create configmap ([\w-]+)/g)].map((match) => match[1]);
  found.push(...referenceProblems(documents, made));
  for (const { document } of gates(documents)) {
    found.push(...checked(tollgate, yaml.stringify(document)).map((line) => `${title(document)}: ${line}`));
  }
  return found;
}

const proxyProblems = (envoy, documents) => gates(documents).flatMap((gate) => envoy.problems(gate).map((line) => `${title(gate.document)}: ${line}`));

// What is wrong with a check that should say `expected` once the documents are changed so.
async function missed([name, change, expected], check) {
  const documents = read();
  change(documents);
  const found = await check(documents);
  if (found.length === 0) return [`not found: ${name}`];
  return found.some((problem) => problem.includes(expected)) ? [] : [`${name}: found something else: ${found[0]}`];
}

async function trialProblems(trial, gates) {
  const found = await Promise.all(gates.map(async (gate) => (await trial.problems(gate)).map((line) => `${title(gate.document)}: ${line}`)));
  return found.flat();
}

async function selfTest(envoy, trial) {
  const wrong = [];
  for (const fault of faults) wrong.push(...(await missed(fault, problems)));
  for (const fault of proxyFaults) wrong.push(...(await missed(fault, (documents) => proxyProblems(envoy, documents))));
  const tried = trialFaults.map((fault) => missed(fault, (documents) => trialProblems(trial, gates(documents).slice(0, 1))));
  wrong.push(...(await Promise.all(tried)).flat());
  if (wrong.length === 0) console.log(`self-test: ${faults.length + proxyFaults.length + trialFaults.length} faults found`);
  return wrong.map((line) => `self-test: ${line}`);
}

async function main() {
  const tools = { envoy: required("ENVOY"), module: required("TOLLGATE_WASM"), tollgate };
  const envoy = new Envoy(tools);
  const trial = new Trial(tools);
  try {
    const documents = read();
    const found = [...(await problems(documents)), ...proxyProblems(envoy, documents)];
    if (found.length === 0) {
      await trial.backend(documents);
      found.push(...(await trialProblems(trial, gates(documents))));
    }
    if (found.length === 0 && process.argv.includes("--self-test")) found.push(...(await selfTest(envoy, trial)));
    for (const problem of found) console.log(problem);
    if (found.length > 0) return 1;
    console.log(`${documents.length} documents follow their schemas and each other; ${gates(documents).length} proxies and the backend judge requests by them`);
    return 0;
  } finally {
    envoy.end();
    trial.end();
  }
}

process.exitCode = await main();
