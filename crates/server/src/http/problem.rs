//! Owns how a refusal is told: status, `application/problem+json` (RFC 9457), and which headers go with it. Must not decide what is refused.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::failure::{Failure, Problem};
use crate::store::StoreError;

/// After how long to come back where nobody knows better.
const SOON: Duration = Duration::from_secs(1);

/// What a client is told when it does not get what it asked for.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ProblemDetails {
    /// Always `about:blank`: `code` says more.
    #[serde(rename = "type")]
    #[schema(examples("about:blank"))]
    kind: &'static str,
    /// The status in words.
    #[schema(examples("Bad Request"))]
    title: &'static str,
    /// The HTTP status.
    #[schema(examples(400))]
    status: u16,
    /// What is wrong, for people.
    detail: Cow<'static, str>,
    /// What is wrong, for programs: one of the codes in docs/backend.md.
    #[schema(examples("invalid"))]
    code: &'static str,
    /// Seconds after which to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// Each field that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<Problem>,
}

/// A refusal on its way out.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    problem: Box<ProblemDetails>,
    challenge: Option<HeaderValue>,
    private: Option<String>,
}

/// What the log may say of an answer and its receiver not: left among the extensions of the response.
#[derive(Clone, Debug)]
pub(super) struct Private(pub(super) String);

impl Refusal {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        let problem = ProblemDetails {
            kind: "about:blank",
            title,
            status: status.as_u16(),
            detail: detail.into(),
            code,
            retry_after: None,
            errors: Vec::new(),
        };
        Self { status, problem: Box::new(problem), challenge: None, private: None }
    }

    fn with_errors(mut self, errors: Vec<Problem>) -> Self {
        self.problem.errors = errors;
        self
    }

    fn retry_after(mut self, duration: Duration) -> Self {
        // Rounded up: who comes back too early is refused again.
        let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
        self.problem.retry_after = Some(seconds.max(1));
        self
    }

    fn with_private(mut self, private: impl Into<String>) -> Self {
        self.private = Some(private.into());
        self
    }

    /// Some fields are wrong.
    pub(super) fn invalid(errors: Vec<Problem>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", "The request is not valid").with_errors(errors)
    }

    /// One field is wrong.
    pub(super) fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::invalid(vec![Problem::new(field, reason)])
    }

    /// Each field that is wrong.
    #[cfg(test)]
    pub(super) fn problems(&self) -> &[Problem] {
        &self.problem.errors
    }

    /// There is no credential, or more than one.
    pub(super) fn unauthenticated(detail: &'static str) -> Self {
        let mut refusal = Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail);
        refusal.challenge = Some(HeaderValue::from_static("Bearer realm=\"tollgate\""));
        refusal
    }

    /// There is a credential, and it is nobody's that may pass.
    pub(super) fn invalid_credential() -> Self {
        let mut refusal = Self::new(StatusCode::UNAUTHORIZED, "invalid_key", "The credential is unknown, revoked or expired");
        refusal.challenge = Some(HeaderValue::from_static("Bearer realm=\"tollgate\", error=\"invalid_token\""));
        refusal
    }

    /// There is a session, and it is over or nobody's.
    pub(super) fn no_session() -> Self {
        let mut refusal = Self::new(StatusCode::UNAUTHORIZED, "invalid_session", "The session is over: sign in");
        refusal.challenge = Some(HeaderValue::from_static("Bearer realm=\"tollgate\""));
        refusal
    }

    /// Nobody signs in with this address and this password. Which of the two is wrong is not told.
    pub(super) fn wrong_password() -> Self {
        let mut refusal = Self::new(StatusCode::UNAUTHORIZED, "wrong_password", "Nobody signs in with this address and this password");
        refusal.challenge = Some(HeaderValue::from_static("Bearer realm=\"tollgate\""));
        refusal
    }

    /// A page of another site may be behind it.
    pub(super) fn forged(detail: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "csrf", detail)
    }

    /// Too often.
    pub(super) fn limited(after: Duration, detail: &'static str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(after)
    }

    /// There is nothing here.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here")
    }

    /// The path is known, and not with this method.
    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This path does not know this method")
    }

    /// The body is larger than `most` bytes.
    pub(super) fn too_large(most: usize) -> Self {
        let problem = Problem::new("", format!("larger than {most} bytes"));
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too large").with_errors(vec![problem])
    }

    /// The body is no JSON, by its own words.
    pub(super) fn media_type(reason: &'static str) -> Self {
        let problem = Problem::new("", reason);
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body's type is not supported")
            .with_errors(vec![problem])
    }

    /// The body does not come.
    pub(super) fn slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", "The body came too slowly")
    }

    /// More is under way from one address than it may have.
    pub(super) fn crowded() -> Self {
        Self::limited(SOON, "Too much is under way from this address")
    }

    /// More is under way than there is room for.
    pub(super) fn busy() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Too much is under way").retry_after(SOON)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let private = failure.private().map(ToOwned::to_owned);
        let refusal = match failure {
            Failure::Invalid { problems } => Self::invalid(problems),
            Failure::NotFound => Self::not_found(),
            Failure::Conflict { field, reason } => {
                let detail = "The request contradicts what there is";
                Self::new(StatusCode::CONFLICT, "conflict", detail).with_errors(vec![Problem::new(field, reason)])
            }
            Failure::Stale => {
                let problem = Problem::new("If-Match", "names another version than the one there is: read it again");
                Self::new(StatusCode::PRECONDITION_FAILED, "stale", "It was changed since").with_errors(vec![problem])
            }
            Failure::Forbidden => Self::new(StatusCode::FORBIDDEN, "forbidden", "This credential does not permit it"),
            Failure::LimitReached { retry_after } => Self::limited(retry_after, "Too many requests"),
            Failure::Unavailable { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not possible at the moment").retry_after(SOON)
            }
            Failure::Internal { .. } => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side"),
        };
        private.into_iter().fold(refusal, Self::with_private)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Failure::from(error).into()
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Failure::internal(&error).into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.problem).unwrap_or_default();
        let mut response = (self.status, [(CONTENT_TYPE, "application/problem+json")], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.problem.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(private) = self.private {
            response.extensions_mut().insert(Private(private));
        }
        response
    }
}
