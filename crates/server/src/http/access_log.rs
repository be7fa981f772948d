//! Owns what is told of each request: one line in the log, one count, one duration. Must not repeat what a client wrote: no path, query, header or
//! body, because any of them may hold a credential that went astray.

use std::sync::{Arc, OnceLock};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;

use super::problem::Private;
use crate::telemetry::ACCESS;

/// The header that names a request, in and out.
const REQUEST_ID: &str = "x-request-id";
/// The status of a request whose client went away before there was an answer.
const CLIENT_GONE: u16 = 499;
/// The route of a path that has none.
const NO_ROUTE: &str = "none";

/// What is found out about a request while it is served.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted(Arc<OnceLock<String>>);

impl Noted {
    /// Whose request it is: an id, which is no secret.
    pub(super) fn principal(&self, id: &str) {
        let _ = self.0.set(id.to_owned());
    }
}

/// A request that is served. It is told of once: with its answer, or, if the client goes away before that, when it is dropped.
struct Served {
    listener: &'static str,
    started: tokio::time::Instant,
    method: &'static str,
    route: Option<MatchedPath>,
    traceparent: Option<String>,
    id: String,
    noted: Noted,
    status: u16,
}

/// Serves a request and tells of it.
pub(super) async fn tell(listener: &'static str, mut request: Request, next: Next) -> Response {
    let mut served = Served {
        listener,
        started: tokio::time::Instant::now(),
        method: method(request.method()),
        route: request.extensions().get::<MatchedPath>().cloned(),
        traceparent: traceparent(request.headers()).map(ToOwned::to_owned),
        id: request_id(request.headers()),
        noted: Noted::default(),
        status: CLIENT_GONE,
    };
    request.extensions_mut().insert(served.noted.clone());
    let mut response = next.run(request).await;
    served.status = response.status().as_u16();
    if let Some(Private(private)) = response.extensions_mut().remove::<Private>() {
        let (method, route, id) = (served.method, served.route(), &served.id);
        tracing::error!(listener, method, route, request_id = id, private, "not done");
    }
    if let Ok(id) = HeaderValue::from_str(&served.id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

impl Served {
    fn route(&self) -> &str {
        self.route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let Self { listener, method, status, .. } = *self;
        let (elapsed, route) = (self.started.elapsed(), self.route());
        let (id, traceparent) = (self.id.as_str(), self.traceparent.as_deref());
        let principal = self.noted.0.get().map(String::as_str);
        #[expect(clippy::cast_precision_loss, reason = "a duration of a century would lose a microsecond")]
        let ms = elapsed.as_micros() as f64 / 1_000.0;
        tracing::info!(target: ACCESS, listener, method, route, status, ms, principal, request_id = id, traceparent);
        let route = route.to_owned();
        metrics::histogram!("tollgate_http_request_seconds", "listener" => listener, "method" => method, "route" => route.clone())
            .record(elapsed.as_secs_f64());
        let status = status.to_string();
        metrics::counter!("tollgate_http_requests_total", "listener" => listener, "method" => method, "route" => route, "status" => status)
            .increment(1);
    }
}

/// A method by a name of ours: clients can make up their own.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}

/// The id a proxy gave the request, if it is a UUID as Envoy makes them, else a new one: anything else may be anything.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    given.filter(|id| is_hex_in_groups(id, &[8, 4, 4, 4, 12])).map_or_else(new_id, ToOwned::to_owned)
}

fn new_id() -> String {
    let mut bytes = [0; 16];
    // Without randomness the id is all zeros, and nothing else is wrong.
    let _ = getrandom::fill(&mut bytes);
    let digits = format!("{:032x}", u128::from_ne_bytes(bytes));
    let group = |range| digits.get(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", group(0..8), group(8..12), group(12..16), group(16..20), group(20..32))
}

/// The trace the request is part of (W3C Trace Context), if that is what the header holds.
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    headers.get("traceparent").and_then(|trace| trace.to_str().ok()).filter(|trace| is_hex_in_groups(trace, &[2, 32, 16, 2]))
}

fn is_hex_in_groups(text: &str, lengths: &[usize]) -> bool {
    let groups = text.split('-');
    groups.clone().count() == lengths.len()
        && groups.zip(lengths).all(|(group, length)| group.len() == *length && group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
