//! Owns what operators see of the process: its log and its metrics. Must not decide what is worth telling, nor keep anything a client chose as a label.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

mod lines;

pub use lines::{Flush, Lines};

/// The target of the access log: `log = "info,access=off"` silences it alone.
pub const ACCESS: &str = "access";

/// Upper bounds of the histograms of durations, in seconds: from a read of memory to the longest wait for a lock.
const SECONDS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0];

/// Sends the log as JSON lines to standard error. What is returned ends it: keep it until the process ends.
///
/// # Errors
/// If there is a log already, or no thread to write it.
pub fn log(levels: Targets) -> Result<Flush, Box<dyn std::error::Error + Send + Sync>> {
    let (lines, flush) = Lines::to(std::io::stderr())?;
    let format = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    tracing_subscriber::registry().with(format.with_writer(lines)).with(levels).try_init()?;
    Ok(flush)
}

/// The metrics of this process, recorded from the first call on.
///
/// # Errors
/// If another recorder was installed before.
pub fn metrics() -> Result<PrometheusHandle, BuildError> {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(recorder) = RECORDER.get() {
        return Ok(recorder.clone());
    }
    let recorder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?.install_recorder();
    match recorder {
        Ok(recorder) => Ok(RECORDER.get_or_init(|| recorder).clone()),
        // Another thread was faster, between the two lines above.
        Err(error) => RECORDER.get().cloned().ok_or(error),
    }
}
