//! Owns the shape of what a document says of abuse. Must not judge values.

use serde::{Deserialize, Serialize};

/// How abuse is detected and what becomes of it. An empty object enforces the defaults.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Abuse {
    /// Whether blocks are enforced, only reported, or nothing is looked at. Default: `enforce`.
    pub mode: AbuseMode,
    /// Points at which an address, consumer or credential is blocked: 1 to 100,000. Default: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
    /// The same for a network (/24, /48), as a multiple: up to 1,000; 0: networks are not judged. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_multiple: Option<u32>,
    /// The time in which a score loses half: `1s` to `1d`. Default: `5m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_life: Option<String>,
    /// Points of each signal.
    pub weights: AbuseWeights,
    /// How long the first block lasts; each that follows lasts twice as long: `1s` to `1d`. Default: `1m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_block: Option<String>,
    /// How long a block lasts at most: `1s` to `30d`. Default: `1d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_block: Option<String>,
    /// Whoever was quiet for so long after a block starts anew: `1s` to `30d`. Default: `1d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forgotten_after: Option<String>,
    /// The interval in which requests and refusals are counted: `1s` to `10m`. Default: `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// A consumer asks many times as often as it used to.
    pub velocity: AbuseVelocity,
    /// Far more is refused (403, 429) than admitted.
    pub denials: AbuseDenials,
    /// One credential comes from many networks.
    pub many_addresses: AbuseAddresses,
    /// Subjects the node keeps a score of: 256 to 1,048,576. Default: 16,384.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects: Option<u32>,
}

/// What becomes of abuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AbuseMode {
    /// Nothing is looked at. What an operator blocks is blocked all the same.
    Off,
    /// Counted and reported, not blocked; nor are other nodes' automatic blocks in force here.
    Shadow,
    /// Blocked.
    #[default]
    Enforce,
}

/// Points of each signal: 0 to 100,000; 0: it does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AbuseWeights {
    /// A key nobody knows, not seen from there before. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_key: Option<u32>,
    /// A key without its issuer's tag, not seen from there before. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forged_key: Option<u32>,
    /// An access token its issuer did not sign, not seen from there before. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_token: Option<u32>,
    /// A wrong request signature, not seen from there before. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong_signature: Option<u32>,
    /// An interval of far more refusals than admissions. Default: 34.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denial_storm: Option<u32>,
    /// An unusual pace. Default: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub velocity: Option<u32>,
    /// A credential from many networks. Default: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub many_addresses: Option<u32>,
}

/// A consumer asks many times as often as it used to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AbuseVelocity {
    /// So many times its usual pace is unusual: up to 1,000,000; 0: pace is not judged. Default: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiple: Option<u32>,
    /// For so many intervals in a row: 1 to 1,000. Default: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intervals: Option<u32>,
    /// Fewer requests in an interval are never unusual: 64 to 10,000,000. Default: 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least: Option<u32>,
    /// Whether the consumer is blocked, not only reported. Default: false.
    pub block: bool,
}

/// Far more is refused than admitted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AbuseDenials {
    /// Refusals in an interval that may be a storm: up to 10,000,000; 0: none are. Default: 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least: Option<u32>,
    /// If they are also so many times what was admitted: 1 to 1,000. Default: 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiple: Option<u32>,
}

/// One credential comes from many networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AbuseAddresses {
    /// Networks (/24, /48) that one credential may come from: up to 300; 0: any number. Default: 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
    /// In so long a time: `1s` to `1d`. Default: `1h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// Whether the credential is blocked, not only reported. Default: false.
    pub block: bool,
}
