//! Owns the shape of what a document says of the backend. Must not judge values.

use serde::{Deserialize, Serialize};

use super::Secret;

/// The backend that knows the credentials this document does not name.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// The proxy's cluster of its node API; it should speak HTTP/2 over TLS.
    pub cluster: String,
    /// The host named in requests to it. Default: `cluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// What the node presents itself with, from `tollgate nodes credentials create`.
    pub credential: Secret,
    /// How long a request waits until its credential is resolved: 50ms to 30s. Default: `1s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// How long what the backend said is trusted without hearing of it: 1s to 1h. Default: `60s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_staleness: Option<String>,
    /// Credentials a worker resolves at once: 1 to 1,024. Default: 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolves_in_flight: Option<usize>,
    /// Unknown credentials an address may present in a minute: 1 to 1,000,000. Those that turn out valid, or that an issuer key
    /// has made, do not count. Default: 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_per_address: Option<u32>,
    /// Such credentials of all addresses that a node has resolved in a second: 1 to 1,000,000. Default: 2,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_per_node: Option<u32>,
}
