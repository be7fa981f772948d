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
    /// Why it is not ready, or grants nothing of any limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// What the store can do.
#[derive(Clone, Copy, Debug, Serialize)]
struct Probe {
    /// It can be read.
    readable: bool,
    /// It can be written to; otherwise writes are refused with 503.
    writable: bool,
    /// The ledger can be read; otherwise no node is granted anything of a quota.
    ledger: bool,
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
    let reason = match store {
        _ if ending => Some("the process is about to end"),
        Probe { readable: false, .. } => Some("the database tollgate.db cannot be read"),
        Probe { ledger: false, .. } => Some("the ledger's database ledger.db cannot be read, or is another one than at the start"),
        Probe { .. } => None,
    };
    // Without the ledger nodes still hear which keys are good.
    let readiness = Readiness { ready: store.readable && !ending, store, ending, reason };
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
        let (read, written, ledger) = tokio::join!(
            timeout(PROBED_WITHIN, changes::after(store, None, Duration::ZERO)),
            timeout(PROBED_WITHIN, store.probe()),
            timeout(PROBED_WITHIN, store.probe_ledger()),
        );
        let probe = Probe { readable: matches!(read, Ok(Ok(_))), writable: written == Ok(Ok(())), ledger: ledger == Ok(Ok(())) };
        let Probe { readable, writable, ledger: ledger_readable } = probe;
        if !(readable && writable && ledger_readable) {
            // The text of an error may name paths: it is for the log.
            let error = ledger.ok().and_then(Result::err).map(|error| error.to_string());
            tracing::warn!(readable, writable, ledger_readable, error, "the store cannot be used as it should");
        }
        *probed = Some((Instant::now(), probe));
        probe
    }
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
