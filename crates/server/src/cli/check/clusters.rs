//! Owns what a proxy's clusters must be for the talk with the backend and with issuers of access tokens. Must not know what is said there.

use std::collections::BTreeSet;

use serde_json::Value;
use tollgate_core::issuer::{Issuer, Keys};
use tollgate_core::policy::Backend;

use super::envoy::unpack;
use super::finding::Finding;
use super::tls::{self, Danger};
use super::tree::{Path, descend, list, member, text};

const HTTP: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// A cluster that the filter calls.
struct Called<'a> {
    name: &'a str,
    /// The field that names it.
    field: String,
    /// What happens without it.
    without: &'static str,
    danger: Danger,
}

/// What is wrong with the backend's cluster in a bootstrap document; nothing can be said of clusters that come from elsewhere.
pub(super) fn of_backend(document: &Value, root: &Path, backend: &Backend) -> Vec<Finding> {
    let called = Called {
        name: &backend.cluster,
        field: "backend.cluster".to_owned(),
        without: "no key of the backend's is admitted",
        danger: Danger {
            in_the_clear: "the node's credential and token pass in the clear",
            another: "is taken for the backend",
            several_hosts: false,
        },
    };
    let (cluster, path) = match find(document, root, &called) {
        Ok(found) => found,
        Err(missing) => return missing.into_iter().collect(),
    };
    let options = http_options(cluster, &path);
    let mut findings = tls::of_cluster(cluster, &path, &options, &called.danger);
    if !speaks_http2(cluster, &options) {
        findings.push(Finding::warning(
            path.member("typed_extension_protocol_options"),
            "HTTP/1.1: a connection for each call that is under way",
            "HttpProtocolOptions with `explicit_http_config.http2_protocol_options`",
        ));
    }
    findings
}

/// The same for the clusters that issuers of access tokens publish their keys behind, each cluster once.
pub(super) fn of_issuers(document: &Value, root: &Path, issuers: &[Issuer]) -> Vec<Finding> {
    let mut judged = BTreeSet::new();
    let mut findings = Vec::new();
    for (position, issuer) in issuers.iter().enumerate() {
        let (cluster, field, [in_the_clear, another]) = match &issuer.keys {
            Keys::Known(_) => continue,
            Keys::Remote(remote) => {
                let chooses = [
                    "whoever is in between chooses the keys that tokens are checked with",
                    "chooses the keys that tokens are checked with",
                ];
                (&remote.cluster, "remote", chooses)
            }
            Keys::Asked(asked) => {
                let says = ["whoever is in between reads tokens, and says which are active", "reads tokens, and says which are active"];
                (&asked.cluster, "introspection", says)
            }
        };
        if !judged.insert(cluster) {
            continue;
        }
        let called = Called {
            name: cluster,
            field: format!("tokens.issuers[{position}].keys.{field}.cluster"),
            without: "no token of the issuer's is admitted",
            danger: Danger { in_the_clear, another, several_hosts: true },
        };
        match find(document, root, &called) {
            Ok((cluster, path)) => findings.extend(tls::of_cluster(cluster, &path, &http_options(cluster, &path), &called.danger)),
            Err(missing) => findings.extend(missing),
        }
    }
    findings
}

/// The cluster and where it is; else what is wrong, if all clusters are in the document.
fn find<'a>(document: &'a Value, root: &Path, called: &Called<'_>) -> Result<(&'a Value, Path), Option<Finding>> {
    let path = root.member("static_resources").member("clusters");
    let clusters = list(document, &["static_resources", "clusters"]).iter().enumerate();
    if let Some((position, cluster)) = clusters.into_iter().find(|(_, cluster)| text(cluster, &["name"]) == Some(called.name)) {
        return Ok((cluster, path.element(position)));
    }
    let dynamic = ["cds_config", "ads_config"].iter().any(|source| descend(document, &["dynamic_resources", source]).is_some());
    let whole = member(document, "static_resources").is_some();
    let Called { name, field, without, .. } = called;
    let missing = || {
        let found = format!("no cluster `{name}`, which `{field}` names");
        Finding::error(path, found, format!("a cluster of this name: without it {without}"))
    };
    Err((whole && !dynamic).then(missing))
}

/// The HttpProtocolOptions of a cluster.
fn http_options<'a>(cluster: &'a Value, path: &Path) -> Vec<&'a Value> {
    let options = member(cluster, "typed_extension_protocol_options").and_then(Value::as_object);
    let options = options.into_iter().flatten().filter_map(|(_, options)| unpack(options, path));
    options.filter(|(name, ..)| *name == HTTP).map(|(_, options, _)| options).collect()
}

fn speaks_http2(cluster: &Value, options: &[&Value]) -> bool {
    let explicit = options.iter().any(|options| {
        let http2 = |configuration: &str| descend(options, &[configuration, "http2_protocol_options"]).is_some();
        http2("explicit_http_config") || http2("use_downstream_protocol_config") || member(options, "auto_config").is_some()
    });
    explicit || member(cluster, "http2_protocol_options").is_some()
}
