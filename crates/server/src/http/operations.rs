//! Owns the operations listener: is the process alive, can it serve, what has it counted. Must not tell anything of consumers or credentials.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::backend::Backend;

/// For how long a look at the store holds: however often somebody asks, it is written to once in that time.
const PROBED: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Operations {
    backend: Arc<Backend>,
    metrics: PrometheusHandle,
    probed: Mutex<Option<(Instant, bool)>>,
}

/// Whether requests can be served. Secrets are: without them the process does not start.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    /// The store can be written to.
    store: bool,
    /// The process is about to end.
    ending: bool,
}

pub(super) fn router(backend: Arc<Backend>, metrics: PrometheusHandle) -> Router {
    let operations = Arc::new(Operations { backend, metrics, probed: Mutex::new(None) });
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(read_metrics)).with_state(operations)
}

async fn healthz() -> Response {
    json(StatusCode::OK, r#"{"status":"ok"}"#.to_owned())
}

async fn readyz(State(operations): State<Arc<Operations>>) -> Response {
    let ending = operations.backend.ending.has_begun();
    let store = operations.is_store_writable().await;
    let readiness = Readiness { ready: store && !ending, store, ending };
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = json(status, serde_json::to_string(&readiness).unwrap_or_default());
    if !readiness.ready {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

async fn read_metrics(State(operations): State<Arc<Operations>>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], operations.metrics.render()).into_response()
}

impl Operations {
    async fn is_store_writable(&self) -> bool {
        // Whoever asks meanwhile waits for this look.
        let mut probed = self.probed.lock().await;
        if let Some((at, writable)) = *probed
            && at.elapsed() < PROBED
        {
            return writable;
        }
        let writable =
            self.backend.store.probe().await.inspect_err(|error| tracing::warn!(%error, "the store cannot be written to")).is_ok();
        *probed = Some((Instant::now(), writable));
        writable
    }
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
