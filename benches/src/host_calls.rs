//! Owns counting what crosses the border between Envoy and a module: Envoy's own trace log says each call by name.
//!
//! It measures no time: a tracing Envoy is slow.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::envoy::{Envoy, Launch};
use crate::load::{Load, Until};
use crate::measure::Settings;
use crate::rows::Row;

/// Calls of a number of requests.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct HostCalls {
    /// How many requests.
    pub(crate) requests: u64,
    /// Host to module: callback → calls.
    pub(crate) callbacks: BTreeMap<String, u64>,
    /// Module to host, within a request's callbacks: function → calls.
    pub(crate) calls: BTreeMap<String, u64>,
    /// The same by callback: callback → function → calls. Calls within `proxy_on_tick` are only here.
    pub(crate) by_callback: BTreeMap<String, BTreeMap<String, u64>>,
}

const REQUESTS: u64 = 100;
const WARM_UP: u64 = 500;
/// Envoy writes its log at once, but the answers come first.
const SETTLE: Duration = Duration::from_millis(300);

const TICK: &str = "proxy_on_tick";

/// Counts the calls of 100 warm requests of `row`.
///
/// # Errors
/// As [`crate::measure::run`].
pub(crate) fn count(row: &Row, settings: &Settings) -> Result<HostCalls> {
    let name = format!("{}-trace", row.name);
    let launch = Launch {
        program: &settings.program,
        directory: &settings.directory,
        name: &name,
        workers: 1,
        logging: &["-l", "warning", "--component-log-level", "wasm:trace"],
    };
    let envoy = Envoy::start(&launch, &row.listener, (row.requests)().next(), row.expected)?;
    let mut load = Load::open(envoy.port, 1, (row.requests)(), row.expected)?;
    load.run(Until::Count(WARM_UP))?;
    sleep(SETTLE);
    let warm = fs::read(&envoy.log)?.len();
    load.run(Until::Count(REQUESTS))?;
    sleep(SETTLE);
    let log = fs::read(&envoy.log)?;
    let log = String::from_utf8_lossy(log.get(warm..).unwrap_or_default()).into_owned();
    Ok(HostCalls { requests: REQUESTS, ..HostCalls::from_log(&log) })
}

// === impl HostCalls ===

impl HostCalls {
    /// Calls from the module, per request.
    pub(crate) fn per_request(&self) -> f64 {
        self.calls.values().sum::<u64>() as f64 / self.requests.max(1) as f64
    }

    fn from_log(log: &str) -> Self {
        let mut counted = Self::default();
        // Each thread has a VM of its own: thread → the callbacks it is in, outermost first.
        let mut inside: HashMap<&str, Vec<&str>> = HashMap::new();
        for line in log.lines() {
            let Some((thread, event)) = thread_and_event(line) else { continue };
            let stack = inside.entry(thread).or_default();
            if let Some(name) = called(event, "[host->vm] ") {
                stack.push(name);
                *counted.callbacks.entry(name.to_owned()).or_default() += 1;
            } else if event.contains("[host<-vm] ") {
                stack.pop();
            } else if let Some(name) = called(event, "[vm->host] ") {
                let callback = stack.first().copied().unwrap_or("none");
                *counted.by_callback.entry(callback.to_owned()).or_default().entry(name.to_owned()).or_default() += 1;
                if callback != TICK {
                    *counted.calls.entry(name.to_owned()).or_default() += 1;
                }
            }
        }
        counted
    }
}

/// `[time][thread][level][component] [source] event` → thread and event.
fn thread_and_event(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.strip_prefix('[')?.split_once("][")?;
    rest.split_once(']')
}

/// The function's name in `… [vm->host] env.name(arguments)`.
fn called<'a>(event: &'a str, direction: &str) -> Option<&'a str> {
    let (_, call) = event.split_once(direction)?;
    let (name, _) = call.split_once('(')?;
    Some(name.rsplit_once('.').map_or(name, |(_, name)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_callbacks_from_calls_and_requests_from_ticks() {
        let say = |thread, text| format!("[2026-01-01 00:00:00.000][{thread}][trace][wasm] [source/wasm_vm.cc:39] {text}\n");
        let log = [
            say(7, "[host->vm] proxy_on_request_headers(2, 8, 1)"),
            say(9, "[host->vm] proxy_on_tick(1)"),
            say(7, "[vm->host] env.proxy_get_header_map_pairs(0, 1, 2)"),
            say(7, "[host->vm] proxy_on_memory_allocate(300)"),
            say(7, "[host<-vm] proxy_on_memory_allocate return: 4096"),
            say(7, "[vm<-host] env.proxy_get_header_map_pairs return: 0"),
            say(9, "[vm->host] env.proxy_get_shared_data(0, 1, 2)"),
            say(9, "[host<-vm] proxy_on_tick return: void"),
            say(7, "[vm->host] env.proxy_set_property(0, 1)"),
            say(7, "[host<-vm] proxy_on_request_headers return: 0"),
        ];
        let counted = HostCalls::from_log(&log.concat());
        assert_eq!(counted.callbacks["proxy_on_request_headers"], 1);
        assert_eq!(counted.callbacks["proxy_on_memory_allocate"], 1);
        assert_eq!(counted.calls.len(), 2);
        assert_eq!(counted.calls["proxy_get_header_map_pairs"], 1);
        assert_eq!(counted.by_callback["proxy_on_tick"]["proxy_get_shared_data"], 1);
        assert_eq!(counted.by_callback["proxy_on_request_headers"]["proxy_set_property"], 1);
    }
}
