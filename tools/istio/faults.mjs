// Owns the faults that the check must find, each in otherwise good documents. Must not know how they are found.

import { of, patches } from "./cluster.mjs";

const named = (documents, kind, name, namespace) =>
  documents.find((one) => one.kind === kind && one.metadata.name === name && (!namespace || one.metadata.namespace === namespace));
const plugin = (documents) => named(documents, "WasmPlugin", "tollgate", "istio-ingress").spec;
const gateway = (documents) => named(documents, "Deployment", "istio-ingressgateway").spec.template;
const proxy = (documents) => gateway(documents).spec.containers[0];
const backend = (documents) => named(documents, "Deployment", "tollgate-backend").spec.template.spec;
const filters = (documents, namespace) => of(documents, "EnvoyFilter").filter((one) => one.metadata.namespace === namespace);
const cluster = (documents) => filters(documents, "istio-ingress").flatMap((one) => patches(one, "CLUSTER"))[0];
const manager = (documents) => filters(documents, "istio-ingress").flatMap((one) => patches(one, "NETWORK_FILTER"))[0];
const loaded = (documents) => filters(documents, "istio-ingress").flatMap((one) => patches(one, "HTTP_FILTER"))[0].typed_config.config;

// What is wrong, how it is made so, and what must be said of it.
export const faults = [
  ["a value outside its list", (all) => (plugin(all).failStrategy = "FAIL_RELOADS"), "/spec/failStrategy: enum"],
  ["a value of another type", (all) => (named(all, "Deployment", "orders").spec.replicas = "2"), "/spec/replicas: type"],
  ["a misspelt member", (all) => (plugin(all).failStategy = "FAIL_RELOAD"), "/spec/failStategy: the kind has no such member"],
  ["a misspelt member in a list", (all) => (plugin(all).vmConfig.env[0].valueFom = "HOST"), "/spec/vmConfig/env/0/valueFom: the kind"],
  ["a misspelt member of Kubernetes' own", (all) => (backend(all).containers[0].readinesProbe = {}), "readinesProbe: the kind has no such member"],
  ["an unknown patch target", (all) => (filters(all, "orders")[0].spec.configPatches[0].applyTo = "CLUSTERS"), "/spec/configPatches/0/applyTo: enum"],
  ["a kind that nobody published", (all) => (all[0].kind = "Namespaces"), "no published schema"],
  ["no namespace", (all) => delete named(all, "WasmPlugin", "tollgate", "orders").metadata.namespace, "/metadata/namespace: missing"],

  ["a selector that means no pod", (all) => (plugin(all).selector.matchLabels = { istio: "ingress" }), "selects no pod"],
  ["a plugin for every pod", (all) => delete plugin(all).selector, "selects every pod"],
  ["a port that no container has", (all) => (named(all, "Service", "tollgate-backend").spec.ports[1].targetPort = "nodes"), "has a port `nodes`"],
  ["a probe of another port", (all) => (backend(all).containers[0].livenessProbe.httpGet.port = "health"), "livenessProbe asks `health`"],
  ["a mount of no volume", (all) => (proxy(all).volumeMounts[0].name = "module"), "mounts `module`"],
  ["a Secret that is nowhere", (all) => (proxy(all).env[0].valueFrom.secretKeyRef.name = "node"), "no Secret istio-ingress/node"],
  ["a ConfigMap that is nowhere", (all) => (named(all, "ConfigMap", "tollgate-backend").metadata.name = "other"), "no ConfigMap tollgate-system/tollgate-backend"],
  ["a claim that is nowhere", (all) => (backend(all).volumes[0].persistentVolumeClaim.claimName = "data"), "no PersistentVolumeClaim"],
  ["a variable that the proxy lacks", (all) => proxy(all).env.pop(), "has no variable TOLLGATE_ISSUER_KEY_1"],
  ["a module that is not mounted", (all) => (plugin(all).url = "file:///opt/tollgate.wasm"), "mounts nothing at /opt/tollgate.wasm"],
  ["certificates that are not mounted", (all) => proxy(all).volumeMounts.pop(), "mounts nothing at /etc/tollgate/tls/client.pem"],
  ["a cluster of another name", (all) => (cluster(all).name = "tollgate"), "adds the cluster `tollgate-backend`"],
  ["another port of the backend", (all) => (endpoint(all).port_value = 443), "no Service has"],
  ["another name in the certificate", (all) => (cluster(all).transport_socket.typed_config.sni = "backend"), "is not made for backend"],

  ["a plugin configuration the filter refuses", (all) => (plugin(all).pluginConfig.routes[2].cost = -1), "routes[2].cost"],
  ["a secret in the plugin configuration", (all) => (plugin(all).pluginConfig.backend.credential = { inline: "0123456789abcdef0123" }), "backend.credential.inline"],
  ["a variable the VM does not get", (all) => plugin(all).vmConfig.env.shift(), "backend.credential.env"],
  ["a filter that fails open", (all) => (loaded(all).failure_policy = "FAIL_OPEN"), "failure_policy"],
];

// The same of what only a proxy can find.
export const proxyFaults = [
  ["a member that Envoy does not know", (all) => (manager(all).typed_config.merge_slash = true), "merge_slash"],
  ["a cluster that Envoy cannot build", (all) => (cluster(all).transport_socket.typed_config.common_tls_context.alpn_protocol = "h2"), "alpn_protocol"],
  ["a file that is not there", (all) => (cluster(all).transport_socket.typed_config.common_tls_context.validation_context.trusted_ca.filename = "/etc/tollgate/tls/cas.pem"), "cas.pem"],
  ["a plugin configuration that the filter does not take", (all) => (plugin(all).pluginConfig.realms = "api"), "wrong configuration: realms"],
];

// The same of what only shows when requests are made.
export const trialFaults = [
  ["TLS versions that do not meet", (all) => delete tls(all).tls_params.tls_maximum_protocol_version, "a good key is answered with 503"],
  ["another authority", (all) => (tls(all).validation_context.trusted_ca.filename = "/etc/tollgate/tls/client.pem"), "a good key is answered with 503"],
  ["no certificate to show", (all) => delete tls(all).tls_certificates, "a good key is answered with 503"],
];

function tls(documents) {
  return cluster(documents).transport_socket.typed_config.common_tls_context;
}

function endpoint(documents) {
  return cluster(documents).load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address;
}
