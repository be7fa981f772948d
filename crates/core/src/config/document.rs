//! Owns the shape of a plugin configuration, as it is written in JSON. Values are judged when it is compiled.

mod abuse;
mod answers;
mod backend;
mod signatures;
mod tokens;

use serde::{Deserialize, Serialize};

pub use abuse::{Abuse, AbuseAddresses, AbuseDenials, AbuseMode, AbuseVelocity, AbuseWeights};
pub use answers::{Answers, BodyStyle, IdentityHeaders, LimitHeaders, Reset};
pub use backend::Backend;
pub use signatures::{Nonce, Replay, Signature, SignatureForm, SignedBody, Signing};
pub use tokens::{
    ClaimRule, ClaimRules, ConsumerClaim, Encoding, Introspection, Issuer, Keys, KnownBy, Names, NamesClaim, RemoteKeys, Requirement,
    TierClaim, TokenSecret, Tokens,
};

/// Tollgate's plugin configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Plugin {
    /// The realm named in `WWW-Authenticate`. Default: `tollgate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// Where credentials are and how they are recognised.
    pub credentials: Credentials,
    /// Access tokens. Default: none are accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// Named sets of limits. Default: free 100/min, basic 500/min, pro 1,000/min, enterprise unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Vec<Tier>>,
    /// Consumers known without a backend.
    pub consumers: Vec<Consumer>,
    /// Routes; the first that matches is taken.
    pub routes: Vec<Route>,
    /// What is asked of requests that no route matches; without `name` and `match`.
    pub default_route: Route,
    /// The tier whose limits anonymous requests meet, per address. Default: none, unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous_tier: Option<String>,
    /// Address rules of every route.
    pub addresses: Addresses,
    /// How answers look.
    pub answers: Answers,
    /// Which headers tell the upstream who is asking.
    pub identity_headers: IdentityHeaders,
    /// Whether consumer, credential, tier, route and verdict are left in filter state (`wasm.tollgate.*`) for access logs. Default: false.
    pub filter_state: bool,
    /// Sizes of what a node keeps.
    pub node: Node,
    /// The backend that knows the credentials this document does not name. Default: none; others are then unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<Backend>,
    /// How abuse is detected and what becomes of it. Default: it is not looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abuse: Option<Abuse>,
    /// How requests must be signed with keys that are of no use without a signature, on routes that do not say. Default: such keys are
    /// refused there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signatures: Option<Signature>,
}

/// Where credentials are and how they are recognised.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Credentials {
    /// Places a credential may be in. Default: `Authorization: Bearer …` and `X-API-Key: …`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<Source>>,
    /// Whether the upstream gets the credential too. Default: false.
    pub forward: bool,
    /// Keys that tell issued credentials from forged ones.
    pub issuer_keys: Vec<IssuerKey>,
    /// What `hmac-sha256:` hashes were made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pepper: Option<Secret>,
}

/// A place a credential may be in.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Source {
    /// A header's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The authentication scheme before the credential, such as `Bearer`; only with `header`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// A query parameter's name. The filter takes it out of the path before the upstream and the access log; a request that
    /// Envoy itself refuses is logged as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// A key that tells issued credentials from forged ones.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct IssuerKey {
    /// Its version, as the issuer counts them.
    pub version: u32,
    /// The prefix of the credentials: `[a-z][a-z0-9]{1,15}`.
    pub prefix: String,
    /// The key.
    pub secret: Secret,
}

/// A reference to a secret: exactly one of the fields.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// The environment variable of the VM that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// The secret itself. For development only: it shows in configuration dumps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Secret").field("env", &self.env).field("inline", &self.inline.as_ref().map(|_| "…")).finish()
    }
}

/// A named set of limits.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Its name: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// Its limits, at most 8; a request passes all or none of them. None: unlimited.
    #[serde(default)]
    pub limits: Vec<Limit>,
}

/// A rate limit.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Its name, as clients see it in `RateLimit-Policy`: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// How units are counted.
    pub algorithm: Algorithm,
    /// Units per period: 1 to 1,000,000,000; of a quota: 1 to 9,007,199,254,740,991.
    pub rate: u64,
    /// The period: `100ms`, `1s`, `60s`, `1m`, `1h`, at most `1d`; of a `global` sliding window at least `10s`. Of a quota: `day`, `month` or `lifetime`,
    /// by the calendar.
    pub per: String,
    /// Units a token bucket holds. Default: `rate`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub burst: Option<u64>,
    /// Over what the limit is counted. Default: `node`; a quota is always `global`. Only tiers of the backend have limits of this scope.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scope: Option<Scope>,
    /// Where a quota's days begin, as the IANA database names it: `Europe/Berlin`. Default: `UTC`. Another one acts from the next period.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time_zone: Option<String>,
    /// Names of the routes it applies to. Default: all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub routes: Option<Vec<String>>,
    /// Judged and counted, not enforced. Default: false.
    #[serde(default)]
    pub shadow: bool,
    /// What happens when it cannot be judged. Default: `degrade`; of a quota: `deny`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure_mode: Option<FailureMode>,
    /// What a `global` limit that degrades admits on each node. Default: its own rate; a quota must say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub degrade_to: Option<DegradeTo>,
}

/// A rate on one node.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DegradeTo {
    /// Units per period: 1 to 1,000,000,000.
    pub rate: u64,
    /// The period: `100ms`, `1s`, `60s`, `1m`, `1h`, at most `1d`.
    pub per: String,
    /// Units that may come at once. Default: `rate`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub burst: Option<u64>,
}

/// How a limit counts units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// `rate` units per period flow into a bucket that holds `burst`.
    TokenBucket,
    /// At most `rate` units in any period.
    SlidingWindow,
    /// At most `rate` units in each day or month of the calendar, or in all.
    Quota,
}

/// Over what a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// This Envoy, all its workers together.
    Node,
    /// All Envoys of the backend together.
    Global,
}

/// What happens when a limit cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailureMode {
    /// 503.
    Deny,
    /// A `node` limit: the same rate in each worker's own memory. A `global` one: `degrade_to` on each node.
    Degrade,
    /// The request passes.
    Allow,
}

impl Limit {
    /// A limit with the defaults in all other fields.
    #[must_use]
    pub fn new(name: &str, algorithm: Algorithm, rate: u64, per: &str) -> Self {
        Self {
            name: name.to_owned(),
            algorithm,
            rate,
            per: per.to_owned(),
            burst: None,
            scope: None,
            time_zone: None,
            routes: None,
            shadow: false,
            failure_mode: None,
            degrade_to: None,
        }
    }

    /// Whether it is counted over all nodes, from leases of the backend's ledger.
    #[must_use]
    pub fn is_leased(&self) -> bool {
        self.algorithm == Algorithm::Quota || self.scope == Some(Scope::Global)
    }
}

/// A consumer known without a backend.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// Its id: visible ASCII, at most 128 characters.
    pub id: String,
    /// Its tier's name.
    pub tier: String,
    /// Its API keys.
    #[serde(default)]
    pub keys: Vec<ApiKey>,
    /// Address rules of all its credentials, beside those of everybody; all must pass.
    #[serde(default, skip_serializing_if = "Addresses::are_none")]
    pub addresses: Addresses,
}

/// A static API key.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Its id, which is no secret: visible ASCII, at most 128 characters.
    pub id: String,
    /// What it may be used for. Default: nothing that a route requires scopes for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Its roles. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Address rules of its own, beside those of its consumer; all must pass.
    #[serde(default, skip_serializing_if = "Addresses::are_none")]
    pub addresses: Addresses,
    /// What its owner signs requests with. Default: it signs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// Its hash, from `tollgate hash`: `sha256:` or `hmac-sha256:` and 64 hexadecimal digits.
    pub hash: String,
}

/// A class of requests and what is asked of them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// Its name, required in `routes`: lower-case letters, digits, `-` and `_`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which requests it matches, required in `routes`.
    #[serde(skip_serializing_if = "Option::is_none", rename = "match")]
    pub matching: Option<Match>,
    /// Neither authenticated nor limited. Default: false.
    pub exempt: bool,
    /// Whether CORS preflights pass without credential and uncounted. Default: false.
    pub preflight: bool,
    /// Whether a credential is needed. Default: `required`.
    pub auth: Auth,
    /// What is asked of whoever has a credential. Default: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require: Option<Requirement>,
    /// The tier whose limits anonymous requests meet here, per address. Default: the global one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous_tier: Option<String>,
    /// Units a request costs: 0 to 1,000,000. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<u32>,
    /// Statuses that are charged, such as `2xx` or `404`; other answers give their units back. Default: all are charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge_when: Option<Vec<String>>,
    /// Address rules beside the global ones; both must pass.
    pub addresses: Addresses,
    /// How requests must be signed. Default: only those of keys that require it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// Origins whose pages may read denials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
}

/// Which requests a route matches: everything given must agree.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// Hosts, such as `api.example.com` or `*.example.com`. Default: all.
    pub hosts: Vec<String>,
    /// Methods. Default: all.
    pub methods: Vec<String>,
    /// This path. At most one of `path`, `prefix`, `template` and `regex` may be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// This path and those below it, by whole segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// A template: `/users/{id}`, `/files/{*rest}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// A regular expression over the whole decoded path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
}

/// Whether a route needs a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// A valid credential, or 401.
    #[default]
    Required,
    /// None or a valid one.
    Optional,
    /// Credentials are not looked at.
    None,
}

/// Address rules: networks such as `10.0.0.0/8`, or single addresses.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Addresses {
    /// If any is given, all others are refused.
    pub allow: Vec<String>,
    /// Refused, also when allowed.
    pub deny: Vec<String>,
}

impl Addresses {
    /// Whether there are no rules.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

/// Origins whose pages may read denials.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// Origins such as `https://app.example.com`, or `*` alone.
    pub origins: Vec<String>,
    /// Whether credentialed requests may be read; not with `*`. Default: false.
    pub credentials: bool,
}

/// Sizes of what a node keeps, so that no client can make it grow.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    /// Subjects kept in each of the two tables, consumers and addresses: 64 to 1,048,576. Default: 65,536.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Valid keys a worker remembers: 16 to 1,000,000. Default: 8,192.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_keys: Option<usize>,
    /// Refused keys a worker remembers: 16 to 1,000,000. Default: 8,192.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_keys: Option<usize>,
    /// Verified access tokens a worker remembers, and as many refused ones: 16 to 1,000,000. Default: 8,192.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_tokens: Option<usize>,
    /// Signatures of requests the node remembers, so that each is taken once: 256 to 4,194,304. Default: 65,536.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonces: Option<u32>,
    /// Bits of an IPv6 address that make a client: 32 to 128. Default: 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_prefix: Option<u8>,
}
