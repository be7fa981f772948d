//! Owns resolving without a proxy: how many keys a second the backend tells, how soon, and for how much CPU.
//!
//! It asks as Envoys do, over HTTP/2 and TLS, and never twice about the same key of the large store.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;
use tokio::task::{JoinSet, LocalSet};

use super::Backends;
use crate::backend::Backend;
use crate::cpu;
use crate::node_api::NodeApi;
use crate::report;
use crate::statistics::{quartiles, ratio, spread};

/// Calls under way at once; 64 is `backend.resolves_in_flight`.
const IN_FLIGHT: [usize; 3] = [1, 16, 64];
/// Connections: those of a node of two workers.
const CONNECTIONS: u64 = 2;
const SLICE: Duration = Duration::from_secs(1);
const AWAKEN: Duration = Duration::from_millis(50);
/// A thread's account lags by up to a scheduler tick.
const SETTLE: Duration = Duration::from_millis(10);

/// One setting over all rounds.
#[derive(Serialize)]
pub(super) struct Resolved {
    keys: usize,
    in_flight: usize,
    /// A second, by round.
    per_second: Vec<f64>,
    /// The backend's CPU per call, by round, in microseconds.
    cpu_us: Vec<f64>,
    /// From a call's start to its answer, in microseconds, of all rounds.
    #[serde(skip)]
    latency_us: Vec<f64>,
    /// Of those.
    spread_us: Option<crate::statistics::Spread>,
}

/// Resolves from both backends in turn.
///
/// # Errors
/// When a call fails, or a key is not known.
pub(super) fn run(backends: &Backends, rounds: u32) -> Result<Vec<Resolved>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run_rounds(backends, rounds))
}

async fn run_rounds(backends: &Backends, rounds: u32) -> Result<Vec<Resolved>> {
    let sizes = [1, backends.of_one.len() + backends.of_all.len()];
    let mut found: Vec<Resolved> = IN_FLIGHT.iter().flat_map(|in_flight| sizes.map(|keys| Resolved::new(keys, *in_flight))).collect();
    let mut nodes = [Vec::new(), Vec::new()];
    for (nodes, backend) in nodes.iter_mut().zip([&backends.one, &backends.many]) {
        for number in 0..CONNECTIONS {
            nodes.push(NodeApi::open(backend, number + 1).await?);
        }
    }
    let [nodes_of_one, nodes_of_many] = &nodes;
    // Strides that are prime reach every key, far from the last one.
    let stride = 611_953 % backends.of_all.len().max(1);
    let place = Rc::new(Cell::new(0));
    for round in 0..rounds {
        eprintln!("resolving, round {} of {rounds}", round + 1);
        for setting in &mut found {
            let key = || match setting.keys {
                1 => backends.key.clone(),
                _ => {
                    place.set((place.get() + stride) % backends.of_all.len().max(1));
                    backends.of_all.get(place.get()).to_owned()
                }
            };
            let (backend, nodes) = if setting.keys == 1 { (&backends.one, nodes_of_one) } else { (&backends.many, nodes_of_many) };
            let slice = slice(backend, nodes, setting.in_flight, key).await?;
            setting.per_second.push(slice.calls / slice.seconds);
            setting.cpu_us.push(slice.cpu_us / slice.calls);
            setting.latency_us.extend(slice.latency_us);
        }
    }
    for setting in &mut found {
        setting.spread_us = spread(&setting.latency_us);
    }
    Ok(found)
}

// === impl Resolved ===

impl Resolved {
    fn new(keys: usize, in_flight: usize) -> Self {
        Self { keys, in_flight, per_second: Vec::new(), cpu_us: Vec::new(), latency_us: Vec::new(), spread_us: None }
    }
}

struct Slice {
    calls: f64,
    seconds: f64,
    cpu_us: f64,
    latency_us: Vec<f64>,
}

async fn slice(backend: &Backend, nodes: &[NodeApi], in_flight: usize, key: impl Fn() -> String) -> Result<Slice> {
    ask(nodes, in_flight, &key, AWAKEN).await?;
    std::thread::sleep(SETTLE);
    let before = cpu::account(backend.pid())?;
    let started = Instant::now();
    let latency_us = ask(nodes, in_flight, &key, SLICE).await?;
    let seconds = started.elapsed().as_secs_f64();
    std::thread::sleep(SETTLE);
    let spent = cpu::account(backend.pid())? - before;
    Ok(Slice { calls: latency_us.len() as f64, seconds, cpu_us: spent.running as f64 / 1e3, latency_us })
}

/// Keeps so many calls under way for a while; how long each took.
async fn ask(nodes: &[NodeApi], in_flight: usize, key: &impl Fn() -> String, length: Duration) -> Result<Vec<f64>> {
    let started = Instant::now();
    let mut latency_us = Vec::new();
    let mut calls = JoinSet::new();
    let call = |calls: &mut JoinSet<Result<(NodeApi, f64)>>, mut node: NodeApi| {
        let key = key();
        calls.spawn_local(async move {
            let sent = Instant::now();
            let known = node.resolve(&key).await?;
            let taken = sent.elapsed();
            if !known {
                bail!("a key of the store is not known");
            }
            Ok((node, taken.as_secs_f64() * 1e6))
        });
    };
    nodes.iter().cycle().take(in_flight).for_each(|node| call(&mut calls, node.clone()));
    while let Some(done) = calls.join_next().await {
        let (node, taken) = done??;
        latency_us.push(taken);
        if started.elapsed() < length {
            call(&mut calls, node);
        }
    }
    Ok(latency_us)
}

/// Prints the table.
pub(super) fn print(found: &[Resolved]) {
    println!("Resolving from the backend alone, over HTTP/2 and TLS ({CONNECTIONS} connections), the client on the same machine");
    println!(
        "{:<12}{:>10}{:>12}{:>10}{:>10}{:>10}{:>14}{:>25}",
        "in flight", "keys", "resolves/s", "p50 µs", "p99 µs", "max µs", "CPU µs each", "CPU beside 1 key"
    );
    for pair in found.chunks(2) {
        let one = pair.first().map(|setting| setting.cpu_us.as_slice()).unwrap_or_default();
        for setting in pair {
            let beside = if setting.keys == 1 { None } else { quartiles(&ratio(&setting.cpu_us, one)) };
            let Some(latency) = setting.spread_us else { continue };
            println!(
                "{:<12}{:>10}{:>12}{:>10.0}{:>10.0}{:>10.0}{:>14}{:>25}",
                setting.in_flight,
                setting.keys,
                report::median(quartiles(&setting.per_second), 0),
                latency.median,
                latency.p99,
                latency.most,
                report::median(quartiles(&setting.cpu_us), 1),
                report::spread(beside),
            );
        }
    }
    println!();
}
