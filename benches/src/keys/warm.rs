//! Owns what Envoy spends on requests with one key or many, known to it or not, beside a backend with one key or a million.
//!
//! It leaves the measuring to `measure`: all rows in one run, interleaved.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Arguments, Backends, CONSUMERS};
use crate::Files;
use crate::backend::Backend;
use crate::envoy::bootstrap::{Listener, wasm};
use crate::figures::{Figure, Summary, envoy_us, summaries};
use crate::measure::{self, Measured, Settings};
use crate::plugin;
use crate::report;
use crate::request::{Requests, key};
use crate::rows::{Asked, BARE, Row};
use crate::statistics::{over, quartiles, ratio};

/// What all others are compared with.
const ONE_OF_ONE: &str = "1-of-1";
const ONE_OF_MANY: &str = "1-of-many";
/// A working set that a worker remembers (`node.known_keys`: 8,192).
const FITS: usize = 5_000;
/// One that it does not.
const TOO_MANY: usize = 100_000;
/// The promise: no more than noise.
const UNCHANGED: f64 = 1.03;

/// All rows and their numbers.
pub(super) struct Warm {
    measured: Vec<Measured>,
    summaries: Vec<Summary>,
}

/// Measures.
///
/// # Errors
/// When an Envoy does not start, or a key is not served.
pub(super) fn run(backends: &Backends, arguments: &Arguments, files: &Files) -> Result<Warm> {
    let settings = Settings {
        program: files.envoy.clone(),
        directory: files.directory.clone(),
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        connections: 4,
        pause: 0,
        seed: arguments.seed,
    };
    let measured = measure::run(rows(backends, files)?, 0, &settings)?;
    let summaries = summaries(&measured);
    Ok(Warm { measured, summaries })
}

fn rows(backends: &Backends, files: &Files) -> Result<Vec<Row>> {
    let row = |name: &str, about, backend: &Backend, node: Value, requests: Vec<String>| -> Result<Row> {
        let bounds = json!({"unknown_per_node": 1_000_000});
        let filter = wasm(files.module()?, &plugin::told(backend.plugin(true, &bounds)?, &node));
        let listener = Listener { clusters: vec![backend.cluster()], ..Listener::with_filter(filter) };
        // Twice round: what can be remembered is remembered.
        let warm_up = (2 * requests.len() as u64).max(30_000);
        let requests = Box::new(move || Requests::with_keys(requests.iter().cloned()));
        Ok(Row { requests, warm_up, asks: Some(Asked::Backend(backend.pid())), ..Row::with_key(name, about, listener) })
    };
    let Backends { one, many, of_one, .. } = backends;
    let first = |count: usize| (0..count.min(of_one.len())).map(|index| of_one.get(index).to_owned()).collect::<Vec<_>>();
    let of_all = (0..FITS.min(CONSUMERS)).map(|number| backends.of_turn(number).to_owned()).collect();
    let configured = Listener::with_filter(wasm(files.module()?, &plugin::purse()));
    let remembered = json!({"known_keys": 131_072});
    Ok(vec![
        Row::new(BARE, "a listener without Tollgate", Listener::default(), || Requests::with_key(&key(0))),
        Row::with_key("configured", "one key, in the configuration; no backend", configured),
        row(ONE_OF_ONE, "one key; the backend has 1 key", one, json!({}), vec![backends.key.clone()])?,
        row(ONE_OF_MANY, "one key; the backend has all keys", many, json!({}), first(1))?,
        row("5000-keys", "5,000 keys in turn, of one consumer; all are remembered", many, json!({}), first(FITS))?,
        row(
            "5000-consumers",
            "5,000 keys in turn, each of a consumer of its own, so each with a limit of its own",
            many,
            json!({}),
            of_all,
        )?,
        row(
            "100000-remembered",
            "100,000 keys in turn, of one consumer; node.known_keys raised to 131,072",
            many,
            remembered,
            first(TOO_MANY),
        )?,
        row(
            "100000-keys",
            "100,000 keys in turn; node.known_keys is 8,192: the backend is asked each time",
            many,
            json!({}),
            first(TOO_MANY),
        )?,
    ])
}

// === impl Warm ===

impl Warm {
    /// The cost of one key with all keys in the backend, beside one key there.
    pub(super) fn figure(&self) -> Option<Figure> {
        let found = quartiles(&self.beside_one(ONE_OF_MANY))?.median;
        let about = "Envoy CPU per request of one key, the backend having all keys, beside the backend having one";
        Some(Figure { about, found, at_most: UNCHANGED, unit: "times" })
    }

    pub(super) fn print(&self) {
        let Some(first) = self.measured.first() else { return };
        println!("Envoy CPU per request, {} interleaved rounds, one worker; medians [quartiles], paired by round", first.slices.len());
        println!(
            "{:<20}{:>9}{:>11}{:>25}{:>25}{:>12}{:>14}",
            "row", "µs", "over bare", "beside 1-of-1", "over bare, beside it", "requests/s", "backend µs"
        );
        let bare = envoy_us(&self.measured, BARE);
        let one = over(&envoy_us(&self.measured, ONE_OF_ONE), &bare);
        for summary in &self.summaries {
            let over_bare = ratio(&over(&envoy_us(&self.measured, &summary.name), &bare), &one);
            println!(
                "{:<20}{:>9}{:>11}{:>25}{:>25}{:>12}{:>14}",
                summary.name,
                report::median(summary.envoy_us, 2),
                report::median(summary.over_bare_us, 2),
                report::spread(quartiles(&self.beside_one(&summary.name))),
                report::spread(quartiles(&over_bare).filter(|_| summary.name != BARE)),
                report::median(summary.per_second, 0),
                report::median(summary.service_us, 2),
            );
        }
        println!("\nWhat the rows are:");
        for row in &self.measured {
            println!("  {:<18} {}", row.row.name, row.row.about);
        }
        println!();
        if let Some(figure) = self.figure() {
            figure.print();
        }
    }

    pub(super) fn json(&self) -> Value {
        let rows = self.measured.iter().zip(&self.summaries);
        let rows = rows.map(|(measured, summary)| json!({"about": measured.row.about, "summary": summary, "rounds": measured.slices}));
        Value::Array(rows.collect())
    }

    fn beside_one(&self, name: &str) -> Vec<f64> {
        ratio(&envoy_us(&self.measured, name), &envoy_us(&self.measured, ONE_OF_ONE))
    }
}
