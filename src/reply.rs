//! Owns what clients are told. Must not judge anything.

mod limits;

use tollgate_core::limit::{Counted, Period};
use tollgate_core::policy::{BodyStyle, Policy, Source};
use tollgate_core::time::seconds_ceil;
use tollgate_core::verdict::Reason;

use crate::admission::Denial;
use crate::head::Head;
use crate::tiers::Tiers;
pub use limits::limit_headers;

/// Headers a page of another origin may read on a denial.
const EXPOSED: &str =
    "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate";

/// An answer given in the upstream's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// gRPC status for clients that speak gRPC, whose message is then the body.
    pub grpc_status: Option<u8>,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: String,
}

/// Writes answers under one policy.
#[derive(Debug)]
pub struct Replies {
    /// What a request without credential is told: where to put one.
    unauthenticated: String,
    /// `WWW-Authenticate` without parameters of the error.
    challenge: String,
}

impl Replies {
    /// Prepares what does not change from answer to answer.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let scheme = policy.sources.iter().find_map(|source| match source {
            Source::Header { scheme, .. } => scheme.clone(),
            Source::Query(_) => None,
        });
        Self {
            unauthenticated: unauthenticated(
                &policy.sources,
                if policy.tokens.issuers.is_empty() { "API key" } else { "API key or access token" },
            ),
            challenge: format!("{} realm=\"{}\"", scheme.as_deref().unwrap_or("Bearer"), policy.realm),
        }
    }

    /// The answer to a denied request. `wall` is nanoseconds since 1970.
    #[must_use]
    pub fn denial(&self, policy: &Policy, tiers: &Tiers, head: &Head<'_>, denial: &Denial, wall: u64) -> Answer {
        let status = status(denial.reason);
        let retry_after = match (denial.reason, denial.wait) {
            (
                Reason::Blocked | Reason::RateLimited | Reason::QuotaExceeded | Reason::TooManyUnknownKeys | Reason::TooManyFailedTokens,
                wait,
            ) => wait.map(|wait| seconds_ceil(wait).max(1)),
            (Reason::Unavailable | Reason::ReplayUnknown, wait) => Some(wait.map_or(1, |wait| seconds_ceil(wait).max(1))),
            (_, _) => None,
        };
        let message =
            if denial.reason == Reason::QuotaExceeded { spent_quota(tiers, denial) } else { self.message(denial.reason, retry_after) };
        let mut headers = Vec::new();
        if let Some(seconds) = retry_after {
            headers.push(("retry-after", seconds.to_string()));
        }
        if let Some(challenge) = self.challenge(policy, denial) {
            headers.push(("www-authenticate", challenge));
        }
        if let Some(limited) = &denial.limited {
            limit_headers(policy, tiers, limited, wall, |name, value| headers.push((name, value.to_owned())));
        }
        cors(policy, head, denial, &mut headers);
        if head.is_grpc() {
            return Answer { status, grpc_status: Some(grpc_status(denial.reason)), headers, body: message };
        }
        headers.push(("content-type", content_type(policy.answers.body).to_owned()));
        let body = body(policy.answers.body, status, denial.reason, &message, retry_after);
        Answer { status, grpc_status: None, headers, body }
    }

    fn message(&self, reason: Reason, retry_after: Option<u64>) -> String {
        match (reason, retry_after) {
            (Reason::Unauthenticated, _) => self.unauthenticated.clone(),
            (Reason::RateLimited, Some(seconds)) => format!("{}. Retry after {seconds} seconds", reason.message()),
            (Reason::RateLimited, None) => format!("{}. The request costs more than the limit ever admits", reason.message()),
            (reason, _) => reason.message().to_owned(),
        }
    }

    /// RFC 6750, section 3.
    fn challenge(&self, policy: &Policy, denial: &Denial) -> Option<String> {
        let reason = denial.reason;
        let error = match reason {
            Reason::Unauthenticated => return Some(self.challenge.clone()),
            Reason::SignatureRequired | Reason::InvalidSignature | Reason::ExpiredSignature | Reason::ReplayedSignature => {
                return Some(format!("Signature realm=\"{}\", error=\"{}\"", policy.realm, reason.code()));
            }
            Reason::InvalidKey | Reason::InvalidToken | Reason::ExpiredToken | Reason::TokenNotYetValid | Reason::WrongAudience => {
                "invalid_token"
            }
            Reason::InsufficientScope => "insufficient_scope",
            Reason::DuplicateCredentials | Reason::ConflictingCredentials => "invalid_request",
            Reason::AmbiguousPath
            | Reason::AmbiguousHost
            | Reason::AddressDenied
            | Reason::Blocked
            | Reason::UnknownConsumer
            | Reason::WrongDigest
            | Reason::TooManyUnknownKeys
            | Reason::TooManyFailedTokens
            | Reason::RateLimited
            | Reason::QuotaExceeded
            | Reason::ReplayUnknown
            | Reason::Unavailable => {
                return None;
            }
        };
        let scope = if reason == Reason::InsufficientScope { required_scope(policy, denial) } else { None };
        let scope = scope.map(|scope| format!(", scope=\"{scope}\"")).unwrap_or_default();
        Some(format!("{}, error=\"{error}\", error_description=\"{}\"{scope}", self.challenge, reason.message()))
    }
}

/// The scopes that a denied request's route requires, if it names any.
fn required_scope(policy: &Policy, denial: &Denial) -> Option<String> {
    let route = policy.routes.get(usize::from(denial.route?))?;
    let requirement = policy.requirements.get(usize::from(route.requirement?))?;
    Some(requirement.scope_text()).filter(|scopes| !scopes.is_empty())
}

/// Which quota is spent, how much of it is left, and when it begins anew.
fn spent_quota(tiers: &Tiers, denial: &Denial) -> String {
    let message = Reason::QuotaExceeded.message();
    let quota = denial.limited.as_ref().and_then(|limited| {
        let leasing = limited.leasing.as_ref()?;
        let position = leasing.refused?;
        Some((tiers.get(limited.tier)?.leased.get(position)?, leasing.standings.get(position).copied()??))
    });
    let Some((leased, standing)) = quota else {
        return message.to_owned();
    };
    let (left, limit) = (standing.remaining, standing.limit);
    let anew = match leased.counted {
        Counted::Quota(Period::Lifetime) => String::new(),
        Counted::Quota(Period::Day | Period::Month) | Counted::Rate(_) => {
            format!(", which begins anew in {} seconds", seconds_ceil(standing.until_full))
        }
    };
    format!("{message}: {left} of {limit} left of `{}`{anew}", leased.name)
}

/// The HTTP status of a reason.
#[must_use]
pub const fn status(reason: Reason) -> u16 {
    match reason {
        Reason::AmbiguousPath | Reason::AmbiguousHost | Reason::ConflictingCredentials | Reason::WrongDigest => 400,
        Reason::Unauthenticated
        | Reason::InvalidKey
        | Reason::InvalidToken
        | Reason::ExpiredToken
        | Reason::TokenNotYetValid
        | Reason::WrongAudience
        | Reason::SignatureRequired
        | Reason::InvalidSignature
        | Reason::ExpiredSignature
        | Reason::ReplayedSignature
        | Reason::DuplicateCredentials => 401,
        Reason::AddressDenied | Reason::Blocked | Reason::UnknownConsumer | Reason::InsufficientScope => 403,
        Reason::TooManyUnknownKeys | Reason::TooManyFailedTokens | Reason::RateLimited | Reason::QuotaExceeded => 429,
        Reason::ReplayUnknown | Reason::Unavailable => 503,
    }
}

/// The gRPC status of a reason: `INVALID_ARGUMENT`, `UNAUTHENTICATED`, `PERMISSION_DENIED`, `RESOURCE_EXHAUSTED`, `UNAVAILABLE`.
#[must_use]
pub const fn grpc_status(reason: Reason) -> u8 {
    match status(reason) {
        400 => 3,
        401 => 16,
        403 => 7,
        429 => 8,
        _ => 14,
    }
}

const fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        429 => "Too Many Requests",
        _ => "Service Unavailable",
    }
}

const fn content_type(style: BodyStyle) -> &'static str {
    match style {
        BodyStyle::Coded | BodyStyle::Simple => "application/json",
        BodyStyle::Problem => "application/problem+json",
    }
}

/// Messages hold no character that JSON escapes (a test holds them to it).
fn body(style: BodyStyle, status: u16, reason: Reason, message: &str, retry_after: Option<u64>) -> String {
    let code = reason.code();
    let retry_after = retry_after.map(|seconds| format!(",\"retry_after\":{seconds}")).unwrap_or_default();
    match style {
        BodyStyle::Coded => format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"{message}\"}}{retry_after}}}"),
        BodyStyle::Simple if reason == Reason::RateLimited => format!("{{\"error\":\"{}\"}}", reason.message()),
        BodyStyle::Simple => format!("{{\"error\":\"{message}\"}}"),
        BodyStyle::Problem => format!(
            "{{\"type\":\"about:blank\",\"title\":\"{}\",\"status\":{status},\"detail\":\"{message}\",\"code\":\"{code}\"{retry_after}}}",
            phrase(status)
        ),
    }
}

fn cors(policy: &Policy, head: &Head<'_>, denial: &Denial, headers: &mut Vec<(&'static str, String)>) {
    let route = denial.route.and_then(|position| policy.routes.get(usize::from(position)));
    let Some(cors) = route.and_then(|route| route.cors.as_ref()) else {
        return;
    };
    headers.push(("vary", "origin".to_owned()));
    let Some(origin) = head.origin.filter(|origin| cors.admits(origin)) else {
        return;
    };
    let origin = if cors.origins.is_none() { Some("*") } else { std::str::from_utf8(origin).ok() };
    if let Some(origin) = origin {
        headers.push(("access-control-allow-origin", origin.to_owned()));
        headers.push(("access-control-expose-headers", EXPOSED.to_owned()));
        if cors.credentials {
            headers.push(("access-control-allow-credentials", "true".to_owned()));
        }
    }
}

/// "Authentication required. Provide API key in Authorization or X-API-Key header".
fn unauthenticated(sources: &[Source], what: &str) -> String {
    let headers: Vec<String> =
        sources.iter().filter_map(|source| if let Source::Header { name, .. } = source { Some(title_case(name)) } else { None }).collect();
    let queries: Vec<&str> =
        sources.iter().filter_map(|source| if let Source::Query(name) = source { Some(name.as_str()) } else { None }).collect();
    let mut places = Vec::new();
    if !headers.is_empty() {
        places.push(format!("{} header", headers.join(" or ")));
    }
    if !queries.is_empty() {
        places.push(format!("{} query parameter", queries.join(" or ")));
    }
    format!("Authentication required. Provide {what} in {}", places.join(" or "))
}

/// A header's name as people write it: `X-API-Key`.
fn title_case(name: &str) -> String {
    let part = |part: &str| match part {
        "api" | "id" => part.to_ascii_uppercase(),
        part => part.chars().enumerate().map(|(place, letter)| if place == 0 { letter.to_ascii_uppercase() } else { letter }).collect(),
    };
    name.split('-').map(part).collect::<Vec<String>>().join("-")
}

#[cfg(test)]
mod tests;
