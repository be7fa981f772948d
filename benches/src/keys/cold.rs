//! Owns the first request of a key through Envoy: the backend is asked, and the request waits for the answer.
//!
//! It presents every key once, and no key of another run's.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use serde::Serialize;
use serde_json::json;

use super::Backends;
use crate::Files;
use crate::connection::Connection;
use crate::envoy::bootstrap::{Listener, wasm};
use crate::envoy::{Envoy, Launch};
use crate::plugin;
use crate::request::Requests;
use crate::statistics::{Spread, spread};

const WORKERS: u8 = 2;
/// Connections, each with one request under way.
const CONNECTIONS: [usize; 3] = [1, 16, 64];

/// One setting.
#[derive(Serialize)]
pub(super) struct Cold {
    connections: usize,
    about: &'static str,
    per_second: f64,
    latency_us: Option<Spread>,
}

/// Presents `first` keys for each number of connections, and as often one that is known.
///
/// # Errors
/// When a key is not served.
pub(super) fn run(backends: &Backends, first: usize, files: &Files) -> Result<Vec<Cold>> {
    // Full speed is more than a node has resolved by default.
    let bounds = json!({"unknown_per_node": 1_000_000});
    let configuration = plugin::told(backends.many.plugin(true, &bounds)?, &json!({}));
    let filters = vec![wasm(files.module()?, &configuration)];
    let listener = Listener { filters, clusters: vec![backends.many.cluster()], ..Listener::default() };
    let launch =
        Launch { program: &files.envoy, directory: &files.directory, name: "keys-cold", workers: WORKERS, logging: &["-l", "error"] };
    let known = backends.of_one.get(0);
    let envoy = Envoy::start(&launch, &listener, Requests::with_key(known).next(), 200)?;
    let mut found = Vec::new();
    let mut used = 0;
    for connections in CONNECTIONS {
        // Those of before are out of both workers' memory by now, and are not presented again.
        if used + first > backends.of_all.len() {
            bail!("{} keys are too few to present {first} for the first time with each number of connections", backends.of_all.len());
        }
        eprintln!("first requests over {connections} connections");
        found.push(present(&envoy, connections, first, "first request", &|index| backends.of_turn(used + index))?);
        used += first;
        found.push(present(&envoy, connections, first, "known key", &|_| known)?);
    }
    Ok(found)
}

fn present<'a>(
    envoy: &Envoy,
    connections: usize,
    count: usize,
    about: &'static str,
    key: &(dyn Fn(usize) -> &'a str + Sync),
) -> Result<Cold> {
    let next = AtomicUsize::new(0);
    let open = (0..connections).map(|_| Connection::open(envoy.port)).collect::<Result<Vec<_>>>()?;
    let started = Instant::now();
    let latencies = thread::scope(|scope| {
        let clients: Vec<_> = open
            .into_iter()
            .map(|mut connection| {
                let next = &next;
                scope.spawn(move || {
                    let mut latencies = Vec::new();
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= count {
                            return Ok(latencies);
                        }
                        let mut request = Requests::with_key(key(index));
                        let sent = Instant::now();
                        connection.send(request.next())?;
                        let status = connection.receive()?;
                        latencies.push(sent.elapsed().as_secs_f64() * 1e6);
                        if status != 200 {
                            bail!("{about}: answered {status}");
                        }
                    }
                })
            })
            .collect();
        let latencies = clients.into_iter().map(|client| client.join().map_err(|_| anyhow!("a client stopped"))?);
        latencies.collect::<Result<Vec<_>>>()
    })?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(Cold { connections, about, per_second: count as f64 / seconds, latency_us: spread(&latencies.concat()) })
}

/// Prints the table.
pub(super) fn print(found: &[Cold]) {
    println!(
        "Through Envoy ({WORKERS} workers): keys of the large store, each presented once, beside a key that is known; clients on the same machine"
    );
    println!("{:<14}{:<16}{:>12}{:>10}{:>10}{:>10}{:>10}", "connections", "", "requests/s", "p50 µs", "p90 µs", "p99 µs", "max µs");
    for row in found {
        let Some(latency) = row.latency_us else { continue };
        println!(
            "{:<14}{:<16}{:>12.0}{:>10.0}{:>10.0}{:>10.0}{:>10.0}",
            row.connections, row.about, row.per_second, latency.median, latency.p90, latency.p99, latency.most
        );
    }
    println!();
}
