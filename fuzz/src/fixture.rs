//! Owns the policy that targets judge by, its keys, and the host it runs in. Must not assert anything.

use std::net::IpAddr;
use std::sync::LazyLock;

use tollgate_core::config;
use tollgate_core::credential::{IssuerKey, KeyHash, digest};
use tollgate_core::jws::Accelerator;
use tollgate_core::policy::Policy;
use tollgate_core::secret::Secret;
use tollgate_filter::admission::Node;
use tollgate_filter::shared::{Broken, Memory, SharedData, Version};

const ISSUER: &str = "issuer-key-of-sixteen-bytes";
const PEPPER: &str = "pepper-of-sixteen-bytes";

/// The valid keys, by position in [`POLICY`]: one stored plainly, one under the pepper, one issued.
pub(crate) static KEYS: LazyLock<[String; 3]> =
    LazyLock::new(|| ["imported-key".to_owned(), "peppered-key".to_owned(), issuer_key().issue(&mut |bytes: &mut [u8]| bytes.fill(40))]);

/// A route of each kind, and by default a credential is needed. `plain` tells where none is.
pub(crate) static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let pepper = Secret::new(PEPPER.as_bytes().to_vec());
    let hash = |position: usize| {
        let pepper = if position == 1 { Some(&pepper) } else { None };
        KeyHash::of(&digest(KEYS[position].as_bytes()), pepper).to_string()
    };
    let keys: Vec<_> =
        (0..KEYS.len()).map(|position| serde_json::json!({"id": format!("key-{position}"), "hash": hash(position)})).collect();
    let cors = serde_json::json!({"origins": ["https://a.example"], "credentials": true});
    policy(&serde_json::json!({
        "credentials": {
            "sources": [{"header": "authorization", "scheme": "Bearer"}, {"header": "x-api-key"}, {"query": "api_key"}],
            "issuer_keys": [{"version": 1, "prefix": "foil", "secret": {"inline": ISSUER}}],
            "pepper": {"inline": PEPPER},
        },
        "tiers": [
            {"name": "free", "limits": [{"name": "m", "algorithm": "sliding_window", "rate": 1_000, "per": "60s"}]},
            {"name": "anonymous", "limits": [{"name": "s", "algorithm": "token_bucket", "rate": 1, "per": "1s"}]},
        ],
        "consumers": [{"id": "acme", "tier": "free", "keys": keys}],
        "routes": [
            {"name": "health", "match": {"path": "/healthz"}, "exempt": true},
            {"name": "open", "match": {"prefix": "/open"}, "auth": "none", "anonymous_tier": "anonymous"},
            {"name": "either", "match": {"prefix": "/either"}, "auth": "optional"},
            {"name": "page", "match": {"prefix": "/page"}, "preflight": true, "cors": &cors},
            {"name": "user", "match": {"template": "/users/{id}"}, "addresses": {"allow": ["10.0.0.0/8"]}},
            {"name": "report", "match": {"regex": "/reports/[0-9]+", "hosts": ["*.example.org"]}, "cost": 2_000},
        ],
        "default_route": {"cors": &cors},
        "answers": {"limit_headers": ["x-ratelimit", "ratelimit"]},
        "node": {"known_keys": 16, "unknown_keys": 16},
    }))
});

/// The policy of a document that is right.
pub(crate) fn policy(document: &serde_json::Value) -> Policy {
    config::load(document.to_string().as_bytes(), &|_: &str| None).unwrap()
}

pub(crate) fn issuer_key() -> IssuerKey {
    IssuerKey::new(1, "foil", Secret::new(ISSUER.as_bytes().to_vec())).unwrap()
}

/// A node whose shared data is well.
#[derive(Default)]
pub(crate) struct Host {
    pub(crate) shared: Memory,
    pub(crate) address: Option<IpAddr>,
}

impl SharedData for Host {
    fn get(&mut self, key: &str, value: &mut Vec<u8>) -> Result<Option<Version>, Broken> {
        self.shared.get(key, value)
    }

    fn set(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> Result<bool, Broken> {
        self.shared.set(key, value, expected)
    }
}

impl Accelerator for Host {}

impl Node for Host {
    fn source_address(&mut self) -> Option<IpAddr> {
        self.address
    }
}

/// Writes a header map the way the host does.
pub(crate) fn map(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let length = |text: &[u8]| u32::try_from(text.len()).unwrap().to_le_bytes();
    let lengths = pairs.iter().flat_map(|(name, value)| [length(name), length(value)]).flatten();
    let texts = pairs.iter().flat_map(|(name, value)| [name, &b"\0"[..], value, b"\0"].concat());
    u32::try_from(pairs.len()).unwrap().to_le_bytes().into_iter().chain(lengths).chain(texts).collect()
}
