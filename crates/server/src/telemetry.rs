//! Owns what operators see of the process: its log and its metrics. Must not decide what is worth telling, nor keep anything a client chose as a label.

use std::sync::{Mutex, PoisonError};

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
    // A fault in one request ends that request alone: its trace belongs among the lines of the others.
    std::panic::set_hook(Box::new(|fault| {
        let place = fault.location().map(ToString::to_string).unwrap_or_default();
        let what = fault.payload_as_str().unwrap_or_default();
        tracing::error!(place, what, "a fault of the program");
    }));
    Ok(flush)
}

/// The metrics of this process, recorded from the first call on.
///
/// # Errors
/// If another recorder was installed before.
pub fn metrics() -> Result<PrometheusHandle, BuildError> {
    static RECORDER: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    // Held while one is installed: whoever comes meanwhile gets that one.
    let mut recorder = RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(recorder) = recorder.as_ref() {
        return Ok(recorder.clone());
    }
    let installed = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?.install_recorder()?;
    Ok(recorder.insert(installed).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "a part of the next, in a process of its own: there is one log to a process"]
    fn fault_in_a_thread() {
        let _log = log(Targets::new().with_default(tracing::Level::INFO)).unwrap();
        std::thread::spawn(|| panic!("it \"broke\"")).join().unwrap_err();
    }

    #[test]
    fn a_fault_of_the_program_is_a_line_like_the_others() {
        let this = std::env::current_exe().unwrap();
        let arguments = ["--exact", "telemetry::tests::fault_in_a_thread", "--ignored", "--nocapture"];
        let output = std::process::Command::new(this).args(arguments).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let line = log.lines().find(|line| line.contains("broke")).unwrap_or_else(|| panic!("nothing in {log}"));
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["level"], &line["what"]), (&"ERROR".into(), &"it \"broke\"".into()));
        assert!(line["place"].as_str().unwrap().contains("telemetry.rs"), "{line}");
    }
}
