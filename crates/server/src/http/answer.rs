//! Owns what a client gets when it gets what it asked for. Must not know what that is.

use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::parameters::tag;
use super::problem::Refusal;

/// An answer: it can be kept, to be given again word for word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    status: u16,
    location: Option<String>,
    version: Option<u32>,
    body: String,
}

impl Answer {
    /// 200 and a document.
    pub(super) fn of(document: &impl Serialize) -> Result<Self, Refusal> {
        Ok(Self { status: 200, location: None, version: None, body: serde_json::to_string(document)? })
    }

    /// 201 and what was made.
    pub(super) fn made(document: &impl Serialize, location: String) -> Result<Self, Refusal> {
        Ok(Self { location: Some(location), ..Self::of(document)?.created() })
    }

    /// The same with 201.
    pub(super) fn created(self) -> Self {
        Self { status: 201, ..self }
    }

    /// 202: it will be done, and what comes of it is not told here.
    pub(super) const fn accepted() -> Self {
        Self { status: 202, location: None, version: None, body: String::new() }
    }

    /// 204.
    pub(super) const fn nothing() -> Self {
        Self { status: 204, location: None, version: None, body: String::new() }
    }

    /// The version of the document, as an `ETag`.
    pub(super) fn version(self, version: u32) -> Self {
        Self { version: Some(version), ..self }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response = (status, self.body).into_response();
        let headers = response.headers_mut();
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::ACCEPTED) {
            headers.remove(CONTENT_TYPE);
        } else {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(tag) = self.version.and_then(|version| HeaderValue::from_str(&tag(version)).ok()) {
            headers.insert(ETAG, tag);
        }
        if let Some(location) = self.location.and_then(|location| HeaderValue::from_str(&location).ok()) {
            headers.insert(LOCATION, location);
        }
        response
    }
}
