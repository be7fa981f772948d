// Owns what the documents say of each other: which pods are selected, what they mount, which proxies run the filter. Must not judge.

const entries = (labels) => Object.entries(labels ?? {});
const selects = (selector, labels) => entries(selector).length > 0 && entries(selector).every(([name, value]) => labels?.[name] === value);

export const title = ({ kind, metadata }) => `${kind} ${metadata.namespace ? `${metadata.namespace}/` : ""}${metadata.name}`;
export const of = (documents, kind) => documents.filter((document) => document.kind === kind);
export const template = (deployment) => deployment.spec.template;
export const containers = (deployment) => [...(template(deployment).spec.initContainers ?? []), ...template(deployment).spec.containers];

// The Deployments whose pods a selector of a namespace means.
export const selected = (documents, namespace, selector) =>
  of(documents, "Deployment").filter((one) => one.metadata.namespace === namespace && selects(selector, template(one).metadata.labels));

// The labels by which a document chooses pods; undefined where it chooses none.
export function selectorOf({ kind, spec }) {
  switch (kind) {
    case "Deployment":
    case "WasmPlugin":
      return spec.selector?.matchLabels;
    case "EnvoyFilter":
      return spec.workloadSelector?.labels;
    case "Service":
    case "Gateway":
      return spec.selector;
    default:
      return undefined;
  }
}

export const patches = (document, applyTo) => document.spec.configPatches.filter((one) => one.applyTo === applyTo).map((one) => one.patch.value);

// The Wasm filter of a document, as Envoy gets it: Istio makes it of a WasmPlugin, an EnvoyFilter holds it.
function filterOf(document) {
  if (document.kind === "EnvoyFilter") return patches(document, "HTTP_FILTER")[0];
  const { metadata, spec } = document;
  const variables = spec.vmConfig?.env ?? [];
  const name = `${metadata.namespace}.${metadata.name}`;
  return {
    name,
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
      config: {
        name,
        root_id: spec.pluginName,
        failure_policy: spec.failStrategy,
        vm_config: {
          runtime: "envoy.wasm.runtime.v8",
          code: { local: { filename: spec.url.replace(/^file:\/\//, "") } },
          environment_variables: { host_env_keys: variables.filter((one) => one.valueFrom === "HOST").map((one) => one.name) },
        },
        configuration: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: JSON.stringify(spec.pluginConfig) },
      },
    },
  };
}

// Each way a proxy comes to run the filter: the document that loads it, the pods, and what else is patched into those.
export function gates(documents) {
  const loads = [...of(documents, "WasmPlugin"), ...of(documents, "EnvoyFilter").filter((one) => patches(one, "HTTP_FILTER").length > 0)];
  return loads.map((document) => {
    const { namespace } = document.metadata;
    const deployments = selected(documents, namespace, selectorOf(document));
    const around = of(documents, "EnvoyFilter").filter(
      (other) => other.metadata.namespace === namespace && selected(documents, namespace, selectorOf(other)).some((one) => deployments.includes(one)),
    );
    return {
      document,
      deployments,
      filter: filterOf(document),
      clusters: around.flatMap((other) => patches(other, "CLUSTER")),
      managers: around.flatMap((other) => patches(other, "NETWORK_FILTER")),
    };
  });
}
