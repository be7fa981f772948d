//! Owns the shape of what a document says of answers, and of headers for the upstream. Must not judge values.

use serde::{Deserialize, Serialize};

/// How answers look.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Answers {
    /// The form of error bodies. Default: `coded`.
    pub body: BodyStyle,
    /// Which limit headers are sent. Default: `x-ratelimit` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_headers: Option<Vec<LimitHeaders>>,
    /// The form of `X-RateLimit-Reset`. Default: `epoch`.
    pub reset: Reset,
}

/// The form of error bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BodyStyle {
    /// `{"error":{"code":"…","message":"…"}}`.
    #[default]
    Coded,
    /// `{"error":"…"}`.
    Simple,
    /// `application/problem+json` (RFC 9457).
    Problem,
}

/// A family of limit headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum LimitHeaders {
    /// `X-RateLimit-Limit`, `-Remaining`, `-Reset`.
    #[serde(rename = "x-ratelimit")]
    XRateLimit,
    /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11).
    #[serde(rename = "ratelimit")]
    RateLimit,
}

/// The form of `X-RateLimit-Reset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// Seconds since 1970.
    #[default]
    Epoch,
    /// `2026-01-14T00:00:00Z`.
    Rfc3339,
    /// Seconds from now.
    Delta,
}

/// Names of the headers that tell the upstream who is asking. What a client sends in them never gets through.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct IdentityHeaders {
    /// Default: `x-consumer-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// Default: `x-consumer-tier`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Default: `x-credential-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}
