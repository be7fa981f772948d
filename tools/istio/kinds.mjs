// Owns the judgement of one document by the published schema of its kind. Must not know what the document is for.

import { existsSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const capitalised = (word) => word.slice(0, 1).toUpperCase() + word.slice(1);

// The file with the compiled schema of a kind: Kubernetes' own, or Istio's by its group's name.
function schemaFile(packages, apiVersion, kind) {
  const [group, version] = apiVersion.includes("/") ? apiVersion.split("/") : ["core", apiVersion];
  const words = group.split(".").map(capitalised).join("");
  return group.endsWith(".istio.io")
    ? path.join(packages, "@kubernetes-models/istio/_schemas", `${words}${capitalised(version)}${kind}.js`)
    : path.join(packages, "kubernetes-models/_schemas", `IoK8sApi${words}${capitalised(version)}${kind}.js`);
}

// The schemas let members pass that they do not name, and a cluster drops those: a misspelt field would be no field. So the schema
// gets to see the document through this, which remembers what it looked for. It looks for each member it knows, there or not; where
// it looked for none, anything may be.
function watched(value, place, seen) {
  if (value === null || typeof value !== "object") return value;
  if (seen.has(value)) return seen.get(value).proxy;
  const entry = { place, asked: new Set(), all: false };
  entry.proxy = new Proxy(value, {
    get(target, name) {
      if (typeof name !== "string") return target[name];
      entry.asked.add(name);
      return watched(target[name], `${place}/${name}`, seen);
    },
    ownKeys(target) {
      entry.all = true;
      return Reflect.ownKeys(target);
    },
  });
  seen.set(value, entry);
  return entry.proxy;
}

function unknownMembers(seen) {
  const found = [];
  for (const [value, { place, asked, all }] of seen) {
    if (Array.isArray(value) || all || asked.size === 0) continue;
    for (const name of Object.keys(value)) if (!asked.has(name)) found.push(`${place}/${name}: the kind has no such member`);
  }
  return found;
}

// What is wrong with a document, as text.
export async function problems(packages, document) {
  const { apiVersion, kind, metadata } = document ?? {};
  if (typeof apiVersion !== "string" || typeof kind !== "string") return ["not a document with `apiVersion` and `kind`"];
  const file = schemaFile(packages, apiVersion, kind);
  if (!existsSync(file)) return [`no published schema of ${apiVersion} ${kind}`];
  const { validate } = await import(pathToFileURL(file));
  const seen = new Map();
  const valid = validate(watched(document, "", seen));
  const found = valid ? [] : validate.errors.map((error) => `${error.instancePath}: ${error.keyword} ${JSON.stringify(error.params)}`);
  found.push(...unknownMembers(seen));
  if (!metadata?.name) found.push("/metadata/name: missing");
  if (kind !== "Namespace" && !metadata?.namespace) found.push("/metadata/namespace: missing: it would land wherever it is applied from");
  return found;
}
