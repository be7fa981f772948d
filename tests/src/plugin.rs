//! Owns the words in which cases write the plugin's configuration.
//!
//! It must not fill in defaults: what a case does not write, the filter decides.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

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
