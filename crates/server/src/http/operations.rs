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
use tokio::time::{Instant, timeout};

use super::backend::Backend;
use crate::changes;

/// For how long a look at the store holds: however often somebody asks, it is written to once in that time.
const PROBED: Duration = Duration::from_secs(1);
/// A store that takes longer than this cannot be used now. Orchestrators wait a second for the answer.
const PROBED_WITHIN: Duration = Duration::from_millis(400);

#[derive(Debug)]
struct Operations {
    backend: Arc<Backend>,
    metrics: PrometheusHandle,
    probed: Mutex<Option<(Instant, Probe)>>,
}

/// Whether requests can be served. Secrets are there: without them the process does not start.
///
/// A store that can only be read is ready: taken out of service, it could not tell nodes whose keys are, and traffic would end that goes on
/// without a write.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    #[serde(flatten)]
    store: Probe,
    /// The process is about to end.
    ending: bool,
}

/// What the store can do.
#[derive(Clone, Copy, Debug, Serialize)]
struct Probe {
    /// It can be read.
    readable: bool,
    /// It can be written to; otherwise writes are refused with 503.
    writable: bool,
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
    let store = operations.probe().await;
    let readiness = Readiness { ready: store.readable && !ending, store, ending };
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
    async fn probe(&self) -> Probe {
        // Whoever asks meanwhile waits for this look.
        let mut probed = self.probed.lock().await;
        if let Some((at, probe)) = *probed
            && at.elapsed() < PROBED
        {
            return probe;
        }
        let store = &self.backend.store;
        let readable = matches!(timeout(PROBED_WITHIN, changes::after(store, None, Duration::ZERO)).await, Ok(Ok(_)));
        let writable = matches!(timeout(PROBED_WITHIN, store.probe()).await, Ok(Ok(())));
        if !(readable && writable) {
            tracing::warn!(readable, writable, "the store cannot be used as it should");
        }
        let probe = Probe { readable, writable };
        *probed = Some((Instant::now(), probe));
        probe
    }
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
