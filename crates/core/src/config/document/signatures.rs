//! Owns the shape of what a document says of request signatures. Must not judge values.

use serde::{Deserialize, Serialize};

use super::Secret;

/// How requests are signed (RFC 9421, `hmac-sha256`). `@method` and either `@target-uri` or `@authority`, `@path` and `@query` must always be
/// signed, and `content-digest` where there is a body.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Signature {
    /// Components that must be signed beside those: header names in lower case, or `@scheme`, `@request-target` and the like. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// How long after `created` a signature is taken: 1s to 1h. Default: `5m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
    /// By how much clocks may differ: 0s to 5m. Default: `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew: Option<String>,
    /// What the signature's `tag` must be. Default: it need not have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Whether a nonce is needed. Without one, a signature is told from others by itself. Default: `required`.
    pub nonce: Nonce,
    /// Where a signature is taken once. Default: `node`.
    pub replay: Replay,
    /// Who compares the body with its signed digest. Default: `check`.
    pub body: SignedBody,
    /// Forms of signatures that are taken. Default: `rfc9421` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forms: Option<Vec<SignatureForm>>,
}

/// Whether a nonce is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Nonce {
    /// Each signature has one of 8 to 128 characters, and each is taken once.
    #[default]
    Required,
    /// Whoever wants to send the same request twice in a second gives one.
    Optional,
}

/// Where a signature is taken once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// On each proxy by itself.
    #[default]
    Node,
    /// On all proxies of the backend, which is asked about each request. Where it does not answer, the request is refused.
    Mesh,
}

/// Who compares the body with its signed digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SignedBody {
    /// The filter, before the upstream sees anything of the request. The proxy holds the body: it must have
    /// `allow_on_headers_stop_iteration`, and a larger body than its buffer is refused.
    #[default]
    Check,
    /// The upstream: the filter makes sure that the digest is there and signed, and passes the body on as it comes.
    Upstream,
}

/// A form of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SignatureForm {
    /// `Signature-Input` and `Signature`.
    Rfc9421,
    /// `Authorization: Signature` of draft-cavage-http-signatures-12, which has no nonce and no tag.
    Cavage,
}

/// What a key's owner signs requests with.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Signing {
    /// The shared secret, as it is typed.
    pub secret: Secret,
    /// Whether the key is of no use without a signature, on whatever route. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}
