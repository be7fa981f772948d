//! Owns the shape of what a document says of access tokens and of what routes ask of them. Must not judge values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Secret;
use crate::json::Unambiguous;

/// Access tokens: whose are accepted, and what they may cost.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// Who may issue access tokens (JWT, RFC 7519), at most 32.
    pub issuers: Vec<Issuer>,
    /// The longest token that is read, in bytes: 512 to 65,536. Default: 8,192.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest: Option<usize>,
    /// Checks of signatures that may fail in a minute for tokens of an address, and unknown keys that these may name: 4 to 1,000,000. Default: 60.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_per_address: Option<u32>,
}

/// Somebody whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// `iss` of its tokens, compared exactly.
    pub issuer: String,
    /// Who this API is to the issuer: `aud` of a token must name one of them. An empty list accepts tokens that are meant for anybody.
    pub audiences: Vec<String>,
    /// Its keys: exactly one of the fields.
    pub keys: Keys,
    /// The algorithms it may sign with, such as `RS256` or `EdDSA`. Default: all that its keys fit; an RSA key without `alg` then fits RS256, RS384 and RS512, not PS256 to PS512.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithms: Option<Vec<String>>,
    /// What the header `typ` of its tokens must be, such as `at+jwt`. Default: `JWT`, `at+jwt`, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// By how much its clock may differ: whole seconds, 0s to 5m. Default: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leeway: Option<String>,
    /// How far ahead a token may end: whole seconds, 1s to 365d. Default: any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_life: Option<String>,
    /// Which consumer a token is for.
    #[serde(default)]
    pub consumer: ConsumerClaim,
    /// Which tier the consumer has: required where the consumer is known by its token alone, not allowed elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<TierClaim>,
    /// Which scopes a token grants. Default: those of the claim `scope`, or of `scp`.
    #[serde(default)]
    pub scopes: NamesClaim,
    /// Which roles a token grants. Default: those of the claim `roles`.
    #[serde(default)]
    pub roles: NamesClaim,
}

/// An issuer's keys: exactly one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// Public keys, as the issuer publishes them: `{"keys": [{"kty": …}]}` (RFC 7517).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Unambiguous>,
    /// Where the issuer publishes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteKeys>,
    /// None: its tokens are opaque, and it is asked about each (RFC 7662). One issuer at most can be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection: Option<Introspection>,
    /// Secrets it shares with this API, for `HS256` and its like; at most 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<TokenSecret>>,
}

/// Where an issuer publishes its keys.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RemoteKeys {
    /// The proxy's cluster; it should speak TLS and check the issuer's certificate.
    pub cluster: String,
    /// The host named in requests to it. Default: `cluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The path, such as `/.well-known/jwks.json`.
    pub path: String,
    /// How long an answer is waited for, and how long a request waits for it: 50ms to 30s. Default: `2s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// How often they are fetched: 10s to 1d. Default: `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
    /// How long to wait at least between two fetches, also when a token names an unknown key: 100ms to 10m. Less than `timeout`, so that such a token can wait for the next. Default: `1s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<String>,
    /// How long the last good ones are trusted while they cannot be fetched: 1m to 30d. Default: `1d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_staleness: Option<String>,
}

/// Where an issuer is asked about opaque tokens (RFC 7662).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// The proxy's cluster; it should speak TLS and check the issuer's certificate.
    pub cluster: String,
    /// The host named in requests to it. Default: `cluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The path of the introspection endpoint, such as `/token/introspection`.
    pub path: String,
    /// The id of the client that this API is to the issuer.
    pub client_id: String,
    /// That client's secret.
    pub client_secret: Secret,
    /// How long an answer is waited for: 50ms to 30s. Default: `2s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// How long a worker believes that a token is active, at most until the token ends: 1s to 1h. Default: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// How long a worker believes that one is not: 1s to 10m. Default: `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_refused: Option<String>,
}

/// A secret that an issuer shares with this API.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TokenSecret {
    /// Its key id. Default: none; it is then tried for tokens that name no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The secret, of at least 32 bytes.
    pub secret: Secret,
    /// How the secret is written. Default: `text`.
    #[serde(default)]
    pub encoding: Encoding,
}

/// How a secret is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Its bytes are the text's.
    #[default]
    Text,
    /// Base64url without padding, as in a JWK.
    Base64url,
}

/// Which consumer a token is for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ConsumerClaim {
    /// The claim that names it: a member's name, or a JSON pointer that starts with `/`. Default: `sub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// What is put before the claim's value, to keep apart the consumers of several issuers. Default: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Who knows the consumer. Default: `token`.
    pub known_by: KnownBy,
}

/// Who knows a token's consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KnownBy {
    /// Nobody: the token is enough.
    #[default]
    Token,
    /// `consumers` of this document.
    Configuration,
    /// The backend.
    Backend,
    /// The backend, which issues these tokens itself: a token is as good as the API key it came from.
    Credential,
}

/// Which tier a token's consumer has.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TierClaim {
    /// The claim that says it. Default: none; all have the default tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// The tier for each value of the claim. Default: each tier for its own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<BTreeMap<String, String>>,
    /// The tier where there is no such claim or value. Default: none; the token is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// Which names a token grants.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct NamesClaim {
    /// The claim that holds them, as a list or with spaces between them: a member's name, or a JSON pointer that starts with `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// Only names that start so are taken, without it. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip_prefix: Option<String>,
    /// The names of tokens without the claim. Default: none.
    pub default: Vec<String>,
}

/// What a route asks of whoever has a credential: all of it. Otherwise 403.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Requirement {
    /// Scopes.
    pub scopes: Names,
    /// Roles.
    pub roles: Names,
    /// Claims, which only a token has.
    pub claims: ClaimRules,
}

/// Names that are asked for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Names {
    /// Each of these.
    pub all: Vec<String>,
    /// One of these. Default: nothing is asked.
    pub any: Vec<String>,
}

/// Claims that are asked for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ClaimRules {
    /// Each of these.
    pub all: Vec<ClaimRule>,
    /// One of these. Default: nothing is asked.
    pub any: Vec<ClaimRule>,
}

/// What a claim must be.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClaimRule {
    /// The claim: a member's name, or a JSON pointer that starts with `/`.
    pub claim: String,
    /// One of these, or a list that holds one of them. Numbers and truth values are compared as JSON writes them. Default: anything but `null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<String>>,
}
