//! Owns how the token service refuses: the codes of RFC 6749, or what the rest of the API says. Must not decide what is refused.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::super::super::problem::Refusal;
use super::Failure;
use super::TokenError;

/// Why a client does not get what it asked for.
pub(in crate::http::public) enum Declined {
    /// In the words of RFC 6749, section 5.2.
    OAuth(Box<Refused>),
    /// In those of the rest of the API.
    Other(Box<Refusal>),
}

/// An error of RFC 6749.
pub(in crate::http::public) struct Refused {
    status: StatusCode,
    error: &'static str,
    description: Cow<'static, str>,
    challenge: bool,
    retry_after: Option<u64>,
}

/// What a client of the token service is told when it does not get what it asked for (RFC 6749, section 5.2).
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http::public) struct OAuthError {
    /// What is wrong, for programs: one of the codes in docs/tokens.md.
    #[schema(examples("invalid_client"))]
    error: &'static str,
    /// What is wrong, for people.
    error_description: String,
}

impl Declined {
    fn new(error: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        let (status, description) = (StatusCode::BAD_REQUEST, description.into());
        Self::OAuth(Box::new(Refused { status, error, description, challenge: false, retry_after: None }))
    }

    /// The request is none.
    pub(super) fn request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new("invalid_request", description)
    }

    /// Another way to get a token than there is.
    pub(super) fn grant_type() -> Self {
        Self::new("unsupported_grant_type", "grant_type: client_credentials, refresh_token, or that of a token exchange")
    }

    /// The client does not prove itself. Whoever tried by the header is told how.
    pub(super) fn client(parts: &Parts) -> Self {
        let description = "a client proves itself by the id of an API key and the key";
        let challenge = parts.headers.contains_key(AUTHORIZATION);
        let status = StatusCode::UNAUTHORIZED;
        Self::OAuth(Box::new(Refused { status, error: "invalid_client", description: description.into(), challenge, retry_after: None }))
    }

    /// Too often.
    pub(super) fn limited(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let (status, retry_after) = (StatusCode::TOO_MANY_REQUESTS, Some(seconds.max(1)));
        let (error, description) = ("temporarily_unavailable", "too many were asked for: try again later".into());
        Self::OAuth(Box::new(Refused { status, error, description, challenge: false, retry_after }))
    }
}

impl From<TokenError> for Declined {
    fn from(error: TokenError) -> Self {
        let description = error.to_string();
        match error {
            TokenError::InvalidClient => Self::new("invalid_client", description),
            TokenError::InvalidGrant => Self::new("invalid_grant", description),
            TokenError::InvalidScope(_) => Self::new("invalid_scope", description),
            TokenError::InvalidTarget(_) => Self::new("invalid_target", description),
            TokenError::Failure(failure) => failure.into(),
        }
    }
}

impl From<Refusal> for Declined {
    fn from(refusal: Refusal) -> Self {
        Self::Other(Box::new(refusal))
    }
}

impl From<Failure> for Declined {
    fn from(failure: Failure) -> Self {
        Refusal::from(failure).into()
    }
}

impl IntoResponse for Declined {
    fn into_response(self) -> Response {
        let refused = match self {
            Self::OAuth(refused) => refused,
            Self::Other(refusal) => return refusal.into_response(),
        };
        // RFC 6749 allows these characters and no others.
        let plain = |character: &char| matches!(character, ' '..='~') && !matches!(character, '"' | '\\');
        let error_description = refused.description.chars().filter(plain).collect();
        let body = serde_json::to_vec(&OAuthError { error: refused.error, error_description }).unwrap_or_default();
        let mut response = (refused.status, [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response();
        if let Some(seconds) = refused.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if refused.challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"tollgate\""));
        }
        response
    }
}
