//! Owns what a proxy's cluster must be for the talk with the backend. Must not know what is said there.

use serde_json::Value;
use tollgate_core::policy::Backend;

use super::envoy::unpack;
use super::finding::Finding;
use super::tree::{Path, descend, list, member, text};

const TLS: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
const HTTP: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// What is wrong with the backend's cluster in a bootstrap document; nothing can be said of clusters that come from elsewhere.
pub(super) fn of_backend(document: &Value, root: &Path, backend: &Backend) -> Vec<Finding> {
    let path = root.member("static_resources").member("clusters");
    let clusters = list(document, &["static_resources", "clusters"]).iter().enumerate();
    let Some((position, cluster)) = clusters.into_iter().find(|(_, cluster)| text(cluster, &["name"]) == Some(&backend.cluster)) else {
        let dynamic = ["cds_config", "ads_config"].iter().any(|source| descend(document, &["dynamic_resources", source]).is_some());
        let whole = member(document, "static_resources").is_some();
        let found = format!("no cluster `{}`, which `backend.cluster` names", backend.cluster);
        let missing = Finding::error(path, found, "a cluster of this name: without it no key of the backend's is admitted");
        return if whole && !dynamic { vec![missing] } else { Vec::new() };
    };
    let path = path.element(position);
    let mut findings = Vec::new();
    let socket = member(cluster, "transport_socket").and_then(|socket| member(socket, "typed_config"));
    match socket.and_then(|socket| unpack(socket, &path)).filter(|(name, ..)| *name == TLS) {
        None => findings.push(Finding::warning(
            path.member("transport_socket"),
            "no TLS: the node's credential and token pass in the clear",
            "an UpstreamTlsContext with the backend's `trusted_ca`",
        )),
        Some((_, context, _)) => {
            let common = ["validation_context", "combined_validation_context", "validation_context_sds_secret_config"];
            if !common.iter().any(|field| descend(context, &["common_tls_context", field]).is_some()) {
                findings.push(Finding::warning(
                    path.member("transport_socket"),
                    "no `validation_context`: whoever answers is taken for the backend",
                    "`validation_context` with `trusted_ca`",
                ));
            }
        }
    }
    if !speaks_http2(cluster, &path) {
        findings.push(Finding::warning(
            path.member("typed_extension_protocol_options"),
            "HTTP/1.1: a connection for each call that is under way",
            "HttpProtocolOptions with `explicit_http_config.http2_protocol_options`",
        ));
    }
    findings
}

fn speaks_http2(cluster: &Value, path: &Path) -> bool {
    let options = member(cluster, "typed_extension_protocol_options").and_then(Value::as_object);
    let explicit = options.into_iter().flatten().filter_map(|(_, options)| unpack(options, path)).any(|(name, options, _)| {
        let http2 = |configuration: &str| descend(options, &[configuration, "http2_protocol_options"]).is_some();
        name == HTTP
            && (http2("explicit_http_config") || http2("use_downstream_protocol_config") || member(options, "auto_config").is_some())
    });
    explicit || member(cluster, "http2_protocol_options").is_some()
}
