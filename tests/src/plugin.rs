//! Owns the words in which cases write the plugin's configuration.
//!
//! It must not fill in defaults: what a case does not write, the filter decides.

use std::sync::LazyLock;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::signer::Signer;

/// The key of the consumer that most cases need.
pub const ACME: &str = "acme-key-0123456789";

/// A consumer's key, told from its id.
#[must_use]
pub fn key(consumer: &str) -> String {
    format!("{consumer}-key-0123456789")
}

/// The form in which the configuration holds a key: `sha256:` and the hex SHA-256 of the whole key.
#[must_use]
pub fn hash(key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A consumer with one key, whose credential id is `<id>-key`.
#[must_use]
pub fn consumer(id: &str, tier: &str, key: &str) -> Value {
    json!({"id": id, "tier": tier, "keys": [{"id": format!("{id}-key"), "hash": hash(key)}]})
}

/// A tier with these limits; none is unlimited.
#[must_use]
pub fn tier(name: &str, limits: &[Value]) -> Value {
    json!({"name": name, "limits": limits})
}

/// A token bucket of `burst` units, refilled by `rate` each `per` (such as `60s`).
#[must_use]
pub fn bucket(name: &str, rate: u32, per: &str, burst: u32) -> Value {
    json!({"name": name, "algorithm": "token_bucket", "rate": rate, "per": per, "burst": burst})
}

/// A token bucket of `burst` units that no case sees refill.
#[must_use]
pub fn hourly(burst: u32) -> Value {
    bucket("hourly", 1, "3600s", burst)
}

/// A sliding window of `rate` units in any `per`.
#[must_use]
pub fn window(name: &str, rate: u32, per: &str) -> Value {
    json!({"name": name, "algorithm": "sliding_window", "rate": rate, "per": per})
}

/// A backend in the cluster that [`Setup::backend`](crate::Setup::backend) adds, with these settings besides.
#[must_use]
pub fn backend(settings: &Value) -> Value {
    let mut backend = json!({"cluster": "backend", "credential": {"env": "TOLLGATE_NODE_CREDENTIAL"}});
    backend.as_object_mut().expect("an object").extend(settings.as_object().expect("settings").clone());
    backend
}

/// An issuer of this name, meant for `api`, whose consumers all have the tier `open`, with these settings besides or instead; `null`
/// takes one away.
#[must_use]
pub fn issuer(name: &str, keys: &Value, settings: &Value) -> Value {
    let mut issuer = json!({"issuer": name, "audiences": ["api"], "keys": keys, "tier": {"default": "open"}});
    let members = issuer.as_object_mut().expect("an object");
    members.extend(settings.as_object().expect("settings").clone());
    members.retain(|_, value| !value.is_null());
    issuer
}

/// Keys that are in the configuration.
#[must_use]
pub fn inline(signers: &[&Signer]) -> Value {
    json!({"jwks": set(signers)})
}

/// A set of the signers' public keys.
#[must_use]
pub fn set(signers: &[&Signer]) -> Value {
    json!({"keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>()})
}

/// Keys at this path of the cluster that [`Setup::issuer`](crate::Setup::issuer) adds, with these settings besides.
#[must_use]
pub fn remote(path: &str, settings: &Value) -> Value {
    let mut remote = json!({"cluster": "issuer", "path": path});
    remote.as_object_mut().expect("an object").extend(settings.as_object().expect("settings").clone());
    json!({"remote": remote})
}

/// When tokens end: the same for all, so that what a case mints twice is the same token, also a second later.
static ENDS: LazyLock<u64> = LazyLock::new(|| now() + 3_600);

/// Claims of a token of this issuer for this consumer, meant for `api` and valid for an hour, with these besides or instead; `null`
/// takes one away.
#[must_use]
pub fn claims(issuer: &str, consumer: &str, more: &Value) -> Value {
    let mut claims = json!({"iss": issuer, "sub": consumer, "aud": "api", "exp": *ENDS});
    let members = claims.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("claims").clone());
    members.retain(|_, value| !value.is_null());
    claims
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock that is set").as_secs()
}
