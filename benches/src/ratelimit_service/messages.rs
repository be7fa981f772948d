//! Owns the messages of `envoy.service.ratelimit.v3` as far as this service needs them (unknown fields are skipped).

/// `RateLimitRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RateLimitRequest {
    /// Which limits are meant.
    #[prost(string, tag = "1")]
    pub(crate) domain: String,
    /// What to count by.
    #[prost(message, repeated, tag = "2")]
    pub(crate) descriptors: Vec<RateLimitDescriptor>,
    /// How much to count; 0 means 1.
    #[prost(uint32, tag = "3")]
    pub(crate) hits_addend: u32,
}

/// `envoy.extensions.common.ratelimit.v3.RateLimitDescriptor`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RateLimitDescriptor {
    /// Its parts.
    #[prost(message, repeated, tag = "1")]
    pub(crate) entries: Vec<Entry>,
}

/// `RateLimitDescriptor.Entry`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Entry {
    /// Its name.
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    /// What the request has there.
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

/// `RateLimitResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RateLimitResponse {
    /// The verdict.
    #[prost(enumeration = "Code", tag = "1")]
    pub(crate) overall_code: i32,
    /// One for each descriptor.
    #[prost(message, repeated, tag = "2")]
    pub(crate) statuses: Vec<DescriptorStatus>,
}

/// `RateLimitResponse.DescriptorStatus`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DescriptorStatus {
    /// This descriptor's verdict.
    #[prost(enumeration = "Code", tag = "1")]
    pub(crate) code: i32,
    /// The limit in force.
    #[prost(message, optional, tag = "2")]
    pub(crate) current_limit: Option<RateLimit>,
    /// Units left.
    #[prost(uint32, tag = "3")]
    pub(crate) limit_remaining: u32,
}

/// `RateLimitResponse.RateLimit`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RateLimit {
    /// Units.
    #[prost(uint32, tag = "1")]
    pub(crate) requests_per_unit: u32,
    /// Per what.
    #[prost(enumeration = "Unit", tag = "2")]
    pub(crate) unit: i32,
}

/// `RateLimitResponse.Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Code {
    /// Never sent.
    Unknown = 0,
    /// Within the limit.
    Ok = 1,
    /// Over it.
    OverLimit = 2,
}

/// `RateLimitResponse.RateLimit.Unit`, the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Unit {
    /// Never sent.
    Unknown = 0,
    /// Per second.
    Second = 1,
}

// === impl RateLimitDescriptor ===

impl RateLimitDescriptor {
    /// What it is counted under.
    pub(crate) fn name(&self) -> String {
        let mut name = String::new();
        for Entry { key, value } in &self.entries {
            name.extend([key.as_str(), "=", value, ";"]);
        }
        name
    }
}
