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

pub mod backend;
pub mod connection;
pub mod listener;

mod access_log;
mod answer;
mod auth;
mod client_address;
mod cookies;
mod document;
mod limiter;
mod node;
mod once;
mod operations;
mod parameters;
mod places;
mod prefixed;
mod problem;
mod public;
mod shares;

pub use public::openapi;

use backend::Backend;
use connection::Bounds;
use places::Places;
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

/// What connections of people and programs may take. A quarter is more than an office behind one address needs, and leaves most to others.
pub const PUBLIC_BOUNDS: Bounds = bounds(2_048, 512, 64);
/// What connections of nodes may take: each worker of an Envoy has some, one of them with a poll that waits. Half for one address: a
/// site's nodes may all come from one.
pub const NODE_BOUNDS: Bounds = bounds(4_096, 2_048, 1_024);
/// What connections of probes and scrapers may take.
pub const OPERATIONS_BOUNDS: Bounds = bounds(256, 64, 16);

/// Requests under way at once on the public API and on operations; more are told to come back.
const REQUESTS: usize = 512;
/// The same on the node API, where most of them are polls that wait.
const NODE_REQUESTS: usize = 16_384;
/// Of those of the public API, by one address: an eighth, as many as one connection over HTTP/2 may have.
const REQUESTS_OF_ONE: usize = 64;

const fn bounds(connections: usize, share: usize, streams: u32) -> Bounds {
    Bounds { connections, share, streams, head: Duration::from_secs(20), idle: Duration::from_secs(60) }
}

/// The public API.
pub fn public(backend: Arc<Backend>) -> Router {
    let places = Places::new(REQUESTS, REQUESTS_OF_ONE, backend.trusted_proxies.clone());
    finished(name::PUBLIC, public::router().with_state(backend), places)
}

/// The node API.
pub fn node(backend: Arc<Backend>) -> Router {
    // Whoever can make a request last here has a node credential, and the nodes of a site may share an address.
    finished(name::NODE, node::router().with_state(backend), Places::new(NODE_REQUESTS, NODE_REQUESTS, Vec::new()))
}

/// Health and metrics.
pub fn operations(backend: Arc<Backend>, metrics: PrometheusHandle) -> Router {
    finished(name::OPERATIONS, operations::router(backend, metrics), Places::new(REQUESTS, REQUESTS, Vec::new()))
}

/// What is the same on every listener.
fn finished(listener: &'static str, routes: Router, places: Arc<Places>) -> Router {
    routes
        .fallback(|| async { Refusal::not_found() })
        .method_not_allowed_fallback(|| async { Refusal::method_not_allowed() })
        .layer(middleware::from_fn_with_state(places, bounded))
        .layer(middleware::from_fn(move |request: Request, next: Next| access_log::tell(listener, request, next)))
}

/// Refuses requests beyond the bound, and keeps answers out of caches: some show a key.
async fn bounded(State(places): State<Arc<Places>>, mut request: Request, next: Next) -> Response {
    let mut response = match places.hold(&mut request) {
        Ok(_held) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    const HEADERS: [(HeaderName, HeaderValue); 2] =
        [(CACHE_CONTROL, HeaderValue::from_static("no-store")), (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))];
    response.headers_mut().extend(HEADERS);
    response
}
