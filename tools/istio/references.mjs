// Owns whether documents that name each other agree. Must not judge a document by itself: its schema does.

import { containers, gates, of, selected, selectorOf, template, title } from "./cluster.mjs";

const has = (documents, kind, namespace, name) => of(documents, kind).some((one) => one.metadata.namespace === namespace && one.metadata.name === name);

function* selectors(documents) {
  for (const document of documents) {
    const selector = selectorOf(document);
    if (selector === undefined) {
      if (["WasmPlugin", "EnvoyFilter"].includes(document.kind)) yield `${title(document)}: selects every pod of its namespace`;
      continue;
    }
    const deployments = selected(documents, document.metadata.namespace, selector);
    if (deployments.length === 0) yield `${title(document)}: selects no pod`;
    for (const { targetPort } of document.kind === "Service" ? document.spec.ports : []) {
      const ports = deployments.flatMap(containers).flatMap((one) => one.ports ?? []).map((one) => one.name);
      if (typeof targetPort === "string" && !ports.includes(targetPort)) yield `${title(document)}: no container has a port \`${targetPort}\``;
    }
  }
}

// `made` are ConfigMaps that README.md tells to make by command.
function* pods(documents, made) {
  for (const deployment of of(documents, "Deployment")) {
    const { namespace } = deployment.metadata;
    const wanted = [];
    const volumes = template(deployment).spec.volumes ?? [];
    for (const { secret, configMap, persistentVolumeClaim } of volumes) {
      if (secret) wanted.push(["Secret", secret.secretName]);
      if (configMap && !made.includes(configMap.name)) wanted.push(["ConfigMap", configMap.name]);
      if (persistentVolumeClaim) wanted.push(["PersistentVolumeClaim", persistentVolumeClaim.claimName]);
    }
    for (const container of containers(deployment)) {
      for (const { valueFrom } of container.env ?? []) if (valueFrom?.secretKeyRef) wanted.push(["Secret", valueFrom.secretKeyRef.name]);
      for (const { name } of container.volumeMounts ?? []) {
        if (!volumes.some((one) => one.name === name)) yield `${title(deployment)}: mounts \`${name}\`, which is no volume`;
      }
      const ports = (container.ports ?? []).map((one) => one.name);
      for (const probe of ["startupProbe", "livenessProbe", "readinessProbe"]) {
        const port = container[probe]?.httpGet?.port;
        if (port !== undefined && !ports.includes(port)) yield `${title(deployment)}: ${probe} asks \`${port}\`, which is no port`;
      }
    }
    for (const [kind, name] of wanted) if (!has(documents, kind, namespace, name)) yield `${title(deployment)}: no ${kind} ${namespace}/${name}`;
  }
}

function* gate(documents, { document, deployments, filter, clusters }) {
  const { code, environment_variables } = filter.typed_config.config.vm_config;
  const plugin = JSON.parse(filter.typed_config.config.configuration.value);
  const cluster = clusters.find((one) => one.name === plugin.backend.cluster);
  if (!cluster) yield `${title(document)}: no EnvoyFilter adds the cluster \`${plugin.backend.cluster}\``;
  const files = [code.local.filename, ...filenames(cluster)];
  for (const deployment of deployments) {
    const proxy = containers(deployment).find((one) => one.name === "istio-proxy");
    const variables = (proxy?.env ?? []).map((one) => one.name);
    for (const name of environment_variables.host_env_keys) {
      if (!variables.includes(name)) yield `${title(document)}: the proxy of ${title(deployment)} has no variable ${name}`;
    }
    for (const file of files) {
      const mounted = (proxy?.volumeMounts ?? []).some((one) => file.startsWith(`${one.mountPath}/`));
      if (!mounted) yield `${title(document)}: the proxy of ${title(deployment)} mounts nothing at ${file}`;
    }
  }
  if (cluster) yield* address(documents, cluster);
}

// The name in the cluster must be that of a Service, of its port, and of the certificate that the backend makes for itself.
function* address(documents, cluster) {
  const { address: host, port_value: port } = cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address;
  const service = of(documents, "Service").find((one) => host === `${one.metadata.name}.${one.metadata.namespace}.svc.cluster.local`);
  if (!service?.spec.ports.some((one) => one.port === port)) yield `cluster ${cluster.name}: no Service has ${host}:${port}`;
  const named = of(documents, "Deployment").flatMap(containers).flatMap((one) => one.args ?? []);
  const { sni, common_tls_context } = cluster.transport_socket.typed_config;
  const expected = common_tls_context.validation_context.match_typed_subject_alt_names.map((one) => one.matcher.exact);
  for (const name of [sni, ...expected]) {
    if (!named.includes(`--name=${name}`)) yield `cluster ${cluster.name}: the backend's certificate is not made for ${name}`;
  }
}

function filenames(node) {
  if (node === null || typeof node !== "object") return [];
  return Object.entries(node).flatMap(([name, value]) => (name === "filename" ? [value] : filenames(value)));
}

// What does not agree, as text.
export function problems(documents, made) {
  const found = gates(documents).flatMap((one) => [...gate(documents, one)]);
  return [...new Set([...selectors(documents), ...pods(documents, made), ...found])];
}
