//! Owns the policy that targets judge by, its keys, and the host it runs in. Must not assert anything.

use std::net::IpAddr;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bolero::TypeGenerator;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384};
use tollgate_core::config;
use tollgate_core::credential::{IssuerKey, KeyHash, digest};
use tollgate_core::jws::Accelerator;
use tollgate_core::policy::Policy;
use tollgate_core::secret::Secret;
use tollgate_filter::admission::Node;
use tollgate_filter::shared::{Broken, Memory, SharedData, Version};

const ISSUER: &str = "issuer-key-of-sixteen-bytes";
const PEPPER: &str = "pepper-of-sixteen-bytes";
/// Long enough for HS384, which its issuer may not use.
const TOKEN_SECRET: &[u8] = b"token-secret-of-forty-eight-bytes-so-that-more-fit";

/// Seconds since 1970.
pub(crate) const NOW: u64 = 1_768_348_740;
/// The longest token that is read.
pub(crate) const LONGEST_TOKEN: usize = 1_024;

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
    let keys: Vec<_> = (0..KEYS.len()).map(|position| json!({"id": format!("key-{position}"), "hash": hash(position)})).collect();
    let cors = json!({"origins": ["https://a.example"], "credentials": true});
    policy(&json!({
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
            {"name": "scoped", "match": {"prefix": "/scoped"}, "require": {"scopes": {"all": ["read"]}}},
        ],
        "default_route": {"cors": &cors},
        "tokens": {"issuers": Signer::ALL.map(Signer::document), "longest": LONGEST_TOKEN},
        "answers": {"limit_headers": ["x-ratelimit", "ratelimit"]},
        "node": {"known_keys": 16, "unknown_keys": 16, "known_tokens": 16},
    }))
});

/// Who issues access tokens, with a secret or with a pair of keys of which the gate has the public one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TypeGenerator)]
pub(crate) enum Signer {
    Secret,
    Pair,
}

impl Signer {
    /// In the order of [`POLICY`].
    pub(crate) const ALL: [Self; 2] = [Self::Secret, Self::Pair];

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Secret => Self::Pair,
            Self::Pair => Self::Secret,
        }
    }

    pub(crate) const fn issuer(self) -> &'static str {
        match self {
            Self::Secret => "https://secret.example",
            Self::Pair => "https://pair.example",
        }
    }

    pub(crate) const fn key_id(self) -> &'static str {
        match self {
            Self::Secret => "s",
            Self::Pair => "p",
        }
    }

    pub(crate) fn sign(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Secret => hmac::<Hmac<Sha256>>(TOKEN_SECRET, text),
            Self::Pair => pair().sk.sign(text, None).to_vec(),
        }
    }

    /// With HS384.
    pub(crate) fn sign_otherwise(text: &[u8]) -> Vec<u8> {
        hmac::<Hmac<Sha384>>(TOKEN_SECRET, text)
    }

    /// What would fool a gate that took the public key for a secret.
    pub(crate) fn sign_with_public_key(text: &[u8]) -> Vec<u8> {
        hmac::<Hmac<Sha256>>(pair().pk.as_slice(), text)
    }

    fn document(self) -> Value {
        let base64 = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Secret => json!({
                "issuer": self.issuer(),
                "audiences": ["api"],
                "keys": {"secrets": [{"kid": self.key_id(), "secret": {"inline": str::from_utf8(TOKEN_SECRET).unwrap()}}]},
                "algorithms": ["HS256"],
                "longest_life": "1d",
                "consumer": {"prefix": "s:"},
                "tier": {"claim": "plan", "values": {"basic": "free", "7": "free"}},
            }),
            Self::Pair => json!({
                "issuer": self.issuer(),
                "audiences": [],
                "keys": {"jwks": {"keys": [
                    {"kty": "OKP", "crv": "Ed25519", "x": base64(pair().pk.as_slice()), "kid": self.key_id()},
                    {"kty": "EC", "crv": "P-521", "x": base64(&[1; 66]), "y": base64(&[2; 66]), "kid": "other"},
                ]}},
                "types": ["at+jwt"],
                "leeway": "1s",
                "consumer": {"claim": "/org/id", "known_by": "configuration"},
                "scopes": {"claim": "rights", "strip_prefix": "api:"},
            }),
        }
    }
}

fn pair() -> &'static ed25519_compact::KeyPair {
    static PAIR: LazyLock<ed25519_compact::KeyPair> =
        LazyLock::new(|| ed25519_compact::KeyPair::from_seed(ed25519_compact::Seed::new([7; 32])));
    &PAIR
}

fn hmac<M: Mac + KeyInit>(secret: &[u8], text: &[u8]) -> Vec<u8> {
    <M as KeyInit>::new_from_slice(secret).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

/// The policy of a document that is right.
pub(crate) fn policy(document: &Value) -> Policy {
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
