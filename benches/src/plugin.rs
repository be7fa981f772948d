//! Owns the plugin configurations that the Tollgate rows run with (`docs/configuration.md` describes the document).

use serde_json::{Value, json};

use crate::request::{SIGNING_SECRET, hash, key};
use crate::tokens::{AUDIENCE, ISSUER, Issued};

/// Keys of the exact row: so many that each stays far below its limit at any speed Envoy can reach.
pub(crate) const EXACT_KEYS: u64 = 20_000;

/// The fewest tokens that a worker can be told to remember; each of more in turn is forgotten before it comes again.
const REMEMBERED_TOKENS: usize = 16;

/// The exempt route's path.
pub(crate) const EXEMPT_PATH: &str = "/healthz";

/// The anonymous route's path.
pub(crate) const ANONYMOUS_PATH: &str = "/public/search";

/// One key on a limit so high that workers hold units of it: what the usual request meets.
pub(crate) fn purse() -> Value {
    let limit = json!({"name": "bench", "algorithm": "token_bucket", "rate": 1_000_000, "per": "1s", "burst": 1_000_000});
    document(&limit, 1)
}

/// [`purse`] with these limit headers.
pub(crate) fn purse_with_limit_headers(names: &[&str]) -> Value {
    let mut document = purse();
    if let Some(fields) = document.as_object_mut() {
        fields.insert("answers".to_owned(), json!({"limit_headers": names}));
    }
    document
}

/// [`purse`] with so many denied ranges that are apart from each other, none of which the client is in.
pub(crate) fn denying(ranges: u32) -> Value {
    let mut document = purse();
    let address = |number: u32| std::net::Ipv4Addr::from(0x0a00_0000 + 2 * number).to_string();
    if let Some(fields) = document.as_object_mut() {
        fields.insert("addresses".to_owned(), json!({"deny": (0..ranges).map(address).collect::<Vec<_>>()}));
    }
    document
}

/// [`purse`] whose requests must be signed. Each is remembered for 3 s, so that the table has room at any speed Envoy can reach.
pub(crate) fn signed() -> Value {
    let mut document = purse();
    if let Some(fields) = document.as_object_mut() {
        let route = json!({"name": "signed", "match": {"prefix": "/"}, "signature": {"max_age": "1s", "clock_skew": "1s"}});
        if let Some(routes) = fields.get_mut("routes").and_then(Value::as_array_mut) {
            routes.push(route);
        }
        fields.insert("node".to_owned(), json!({"nonces": 262_144}));
    }
    let signing = json!({"secret": {"inline": SIGNING_SECRET}});
    if let Some(Value::Object(key)) = document.pointer_mut("/consumers/0/keys/0") {
        key.insert("signing".to_owned(), signing);
    }
    document
}

/// Many keys, each on a limit so low that every request is decided in shared data.
pub(crate) fn exact() -> Value {
    let limit = json!({"name": "bench", "algorithm": "token_bucket", "rate": 10, "per": "1s", "burst": 100});
    document(&limit, EXACT_KEYS)
}

/// [`purse`] with a route for everybody, limited per address.
pub(crate) fn anonymous() -> Value {
    let mut document = purse();
    if let Some(fields) = document.as_object_mut() {
        // Every address stays in use for a minute, so that the table fills.
        let limit = json!({"name": "address", "algorithm": "sliding_window", "rate": 100, "per": "60s"});
        if let Some(tiers) = fields.get_mut("tiers").and_then(Value::as_array_mut) {
            tiers.push(json!({"name": "anonymous", "limits": [limit]}));
        }
        let route = json!({"name": "public", "match": {"prefix": "/public/"}, "auth": "optional", "anonymous_tier": "anonymous"});
        if let Some(routes) = fields.get_mut("routes").and_then(Value::as_array_mut) {
            routes.push(route);
        }
    }
    document
}

/// [`purse`], whose limit whoever has a token meets too.
pub(crate) fn tokens(issued: &Issued) -> Value {
    let mut document = purse();
    if let Some(fields) = document.as_object_mut() {
        let tier = json!({"default": "bench"});
        let issuer = json!({"issuer": ISSUER, "audiences": [AUDIENCE], "keys": issued.plugin_keys(), "tier": tier});
        fields.insert("tokens".to_owned(), json!({"issuers": [issuer]}));
    }
    document
}

/// [`tokens`], of which no more than [`REMEMBERED_TOKENS`] are remembered.
pub(crate) fn forgetful_tokens(issued: &Issued) -> Value {
    let mut document = tokens(issued);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("node".to_owned(), json!({"known_tokens": REMEMBERED_TOKENS}));
    }
    document
}

/// Keys that only a backend knows: `backend` is [`crate::backend::Backend::plugin`], `node` the sizes of what is kept.
pub(crate) fn told(mut backend: Value, node: &Value) -> Value {
    if let Some(fields) = backend.as_object_mut() {
        fields.insert("node".to_owned(), node.clone());
        fields.insert("routes".to_owned(), routes());
    }
    backend
}

fn document(limit: &Value, keys: u64) -> Value {
    let consumers: Vec<Value> = (0..keys)
        .map(|index| {
            json!({"id": format!("bench-{index}"), "tier": "bench", "keys": [{"id": format!("key-{index}"), "hash": hash(&key(index))}]})
        })
        .collect();
    json!({
        "tiers": [{"name": "bench", "limits": [limit]}],
        "consumers": consumers,
        "routes": routes(),
    })
}

fn routes() -> Value {
    json!([{"name": "health", "match": {"path": EXEMPT_PATH}, "exempt": true}])
}
