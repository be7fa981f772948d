//! Owns the node API: the routes of `tollgate_core::wire` and how its messages travel. Must not know what they mean: operations do.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tollgate_core::wire::{self, WireError};

use super::backend::Backend;
use super::document::collect;
use super::problem::Refusal;
use crate::failure::Failure;

mod blocks;
mod changes;
mod consumers;
mod credentials;
mod incarnations;
mod leases;
mod nonces;
mod reports;
mod resolve;
mod revocations;

/// The largest message of a node, in bytes.
const LARGEST_MESSAGE: usize = 256 * 1024;

pub(super) fn router() -> Router<Arc<Backend>> {
    Router::new()
        .route("/internal/v1/incarnations", post(incarnations::hello))
        .route("/internal/v1/resolve", post(resolve::resolve))
        .route("/internal/v1/consumers", post(consumers::resolve))
        .route("/internal/v1/credentials", post(credentials::resolve))
        .route("/internal/v1/revocations", get(revocations::list))
        .route("/internal/v1/changes", get(changes::after))
        .route("/internal/v1/leases", post(leases::settle))
        .route("/internal/v1/nonces", post(nonces::take))
        .route("/internal/v1/blocks", get(blocks::list))
        .route("/internal/v1/reports", post(reports::apply))
}

/// A message, on its way in or out.
#[derive(Debug)]
struct Message<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Message<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let bytes = collect(&parts.headers, body, LARGEST_MESSAGE).await?;
        wire::decode(&bytes).map(Self).map_err(|error| match error {
            WireError::Version(_) => Refusal::field("wire", error.to_string()),
            // Not the words of the message: it may hold what a client sent to the node.
            WireError::Malformed(_) => Refusal::field("", "not a message of this kind"),
        })
    }
}

impl<T: Serialize> IntoResponse for Message<T> {
    fn into_response(self) -> Response {
        match wire::encode(&self.0) {
            Ok(bytes) => ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response(),
            Err(error) => Refusal::from(Failure::internal(&error)).into_response(),
        }
    }
}
