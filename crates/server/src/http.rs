//! Owns what is spoken over HTTP: listeners, routes, documents, statuses. Must not hold what an operation does, nor name a database.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;

pub mod backend;
pub mod connection;
pub mod listener;

mod access_log;
mod answer;
mod auth;
mod client_address;
mod document;
mod limiter;
mod node;
mod once;
mod operations;
mod parameters;
mod prefixed;
mod problem;
mod public;

pub use public::openapi;

use backend::Backend;
use connection::Bounds;
use problem::Refusal;

/// The names of the listeners, in logs and metrics.
pub mod name {
    /// Of the public API.
    pub const PUBLIC: &str = "public";
    /// Of the node API.
    pub const NODE: &str = "node";
    /// Of health and metrics.
    pub const OPERATIONS: &str = "operations";
}

/// What connections of people and programs may take.
pub const PUBLIC_BOUNDS: Bounds = bounds(2_048, 64);
/// What connections of nodes may take: each worker of an Envoy has some, one of them with a poll that waits.
pub const NODE_BOUNDS: Bounds = bounds(4_096, 1_024);
/// What connections of probes and scrapers may take.
pub const OPERATIONS_BOUNDS: Bounds = bounds(256, 16);

/// Requests under way at once on the public API and on operations; more are told to come back.
const REQUESTS: usize = 512;
/// The same on the node API, where most of them are polls that wait.
const NODE_REQUESTS: usize = 16_384;

const fn bounds(connections: usize, streams: u32) -> Bounds {
    Bounds { connections, streams, head: Duration::from_secs(20), idle: Duration::from_secs(60) }
}

/// The public API.
pub fn public(backend: Arc<Backend>) -> Router {
    finished(name::PUBLIC, public::router().with_state(backend), REQUESTS)
}

/// The node API.
pub fn node(backend: Arc<Backend>) -> Router {
    finished(name::NODE, node::router().with_state(backend), NODE_REQUESTS)
}

/// Health and metrics.
pub fn operations(backend: Arc<Backend>, metrics: PrometheusHandle) -> Router {
    finished(name::OPERATIONS, operations::router(backend, metrics), REQUESTS)
}

/// What is the same on every listener.
fn finished(listener: &'static str, routes: Router, requests: usize) -> Router {
    routes
        .fallback(|| async { Refusal::not_found() })
        .method_not_allowed_fallback(|| async { Refusal::method_not_allowed() })
        .layer(middleware::from_fn_with_state(Arc::new(Semaphore::new(requests)), bounded))
        .layer(middleware::from_fn(move |request: Request, next: Next| access_log::tell(listener, request, next)))
}

/// Refuses requests beyond the bound, and keeps answers out of caches: some show a key.
async fn bounded(State(places): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let mut response = match places.try_acquire() {
        Ok(_place) => next.run(request).await,
        Err(_) => Refusal::busy().into_response(),
    };
    const HEADERS: [(HeaderName, HeaderValue); 2] =
        [(CACHE_CONTROL, HeaderValue::from_static("no-store")), (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))];
    response.headers_mut().extend(HEADERS);
    response
}
