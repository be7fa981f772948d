//! Owns the run of limits over all nodes: what a quota and a global rate add to the usual request, and how many calls a thousand requests cost.
//!
//! It must compare what only the limit tells apart, in one run, and count calls where the backend counts them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use serde::Serialize;
use serde_json::json;

use crate::Files;
use crate::backend::Backend;
use crate::backend::bulk::{GLOBAL, Group, METERED, TIER, load};
use crate::cpu;
use crate::envoy::bootstrap::{Listener, wasm};
use crate::envoy::{Envoy, Launch};
use crate::figures::{envoy_us, summaries};
use crate::load::{Load, Until};
use crate::measure::{self, Measured, Settings};
use crate::plugin;
use crate::report::{self, write_json};
use crate::request::{Requests, key};
use crate::rows::{Asked, BARE, Row};
use crate::statistics::{over, quartiles, ratio};

/// `tollgate-benches quotas`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How often every row is measured
    #[arg(long, default_value_t = 101)]
    rounds: u32,
    /// Seconds each time
    #[arg(long, default_value_t = 0.1)]
    seconds: f64,
    /// Seconds over which calls are counted, for each load
    #[arg(long, default_value_t = 20.0)]
    steady: f64,
    /// Decides the order of rows within each round
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the raw numbers go
    #[arg(long, default_value = "target/bench-quotas.json")]
    json: PathBuf,
}

/// What the others are compared with: a limit that each node counts by itself.
const LIMIT: &str = "node-limit";
/// Microseconds before each request, for about 2,000 a second; and none.
const PAUSES: [u64; 2] = [400, 0];
const CONNECTIONS: usize = 4;
const WARM_UP: u64 = 30_000;
/// The routes on which a node speaks of leases.
const CALLS: [&str; 2] = ["/internal/v1/leases", "/internal/v1/reports"];

/// The limits that are compared: the row's name, what it is, and the tier.
const ROWS: [(&str, &str, &str); 3] = [
    (LIMIT, "a token bucket on the node", TIER),
    ("quota", "the same, and a quota by the month", METERED),
    ("global-rate", "the same, and a token bucket over all nodes", GLOBAL),
];

/// How many calls a load cost.
#[derive(Debug, Serialize)]
struct Calls {
    row: &'static str,
    per_second: f64,
    requests: u64,
    calls: u64,
}

/// Measures.
///
/// # Errors
/// When something does not start, or answers what it should not.
pub(crate) fn run(arguments: &Arguments, files: &Files) -> Result<ExitCode> {
    let version = files.envoy_version()?;
    let groups = ROWS.map(|(name, _, tier)| Group { name, consumers: 1, keys_each: 1, tier });
    let (backend, keys) = Backend::start(files, "quotas", |data| load(data, &groups))?;
    let keys: Vec<String> = keys.iter().map(|keys| keys.get(0).to_owned()).collect();
    println!("{}, {} cores; {version}\n", cpu::model(), std::thread::available_parallelism().map_or(0, usize::from));
    let settings = Settings {
        program: files.envoy.clone(),
        directory: files.directory.clone(),
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        connections: CONNECTIONS,
        pause: 0,
        seed: arguments.seed,
    };
    let measured = measure::run(rows(&backend, &keys, files)?, 0, &settings)?;
    print(&measured);
    let mut counted = Vec::new();
    for (row, pause) in ROWS.iter().zip(&keys).skip(1).flat_map(|row| PAUSES.map(|pause| (row, pause))) {
        let ((name, ..), key) = row;
        counted.push(calls(name, key, pause, &backend, files, Duration::from_secs_f64(arguments.steady))?);
    }
    println!("\n{:<14}{:>12}{:>12}{:>8}{:>20}", "row", "requests/s", "requests", "calls", "calls per 1,000");
    for Calls { row, per_second, requests, calls } in &counted {
        println!("{row:<14}{per_second:>12.0}{requests:>12}{calls:>8}{:>20.3}", *calls as f64 * 1_000.0 / *requests as f64);
    }
    let slices = measured.iter().map(|measured| json!({"row": measured.row.name, "rounds": measured.slices})).collect::<Vec<_>>();
    write_json(&arguments.json, &json!({"envoy": version, "rows": slices, "calls": counted}))?;
    println!("\nraw numbers: {}", arguments.json.display());
    Ok(ExitCode::SUCCESS)
}

fn listener(backend: &Backend, files: &Files) -> Result<Listener> {
    let filter = wasm(files.module()?, &plugin::told(backend.plugin(true, &json!({}))?, &json!({})));
    Ok(Listener { clusters: vec![backend.cluster()], ..Listener::with_filter(filter) })
}

fn rows(backend: &Backend, keys: &[String], files: &Files) -> Result<Vec<Row>> {
    let mut rows = vec![Row::new(BARE, "a listener without Tollgate", Listener::default(), || Requests::with_key(&key(0)))];
    for ((name, about, _), key) in ROWS.iter().zip(keys) {
        let key = key.clone();
        let requests = Box::new(move || Requests::with_key(&key));
        let asks = Some(Asked::Backend(backend.pid()));
        rows.push(Row { requests, warm_up: WARM_UP, asks, ..Row::with_key(name, about, listener(backend, files)?) });
    }
    Ok(rows)
}

fn print(measured: &[Measured]) {
    let rounds = measured.first().map_or(0, |row| row.slices.len());
    println!("Envoy CPU per request, {rounds} interleaved rounds, one worker; medians [quartiles], paired by round");
    println!("{:<14}{:>9}{:>11}{:>25}{:>25}{:>14}", "row", "µs", "over bare", "beside node-limit", "over bare, beside it", "backend µs");
    let bare = envoy_us(measured, BARE);
    let own = |name: &str| envoy_us(measured, name);
    for summary in summaries(measured) {
        let name = summary.name.as_str();
        let beside = quartiles(&ratio(&own(name), &own(LIMIT)));
        let over_bare = quartiles(&ratio(&over(&own(name), &bare), &over(&own(LIMIT), &bare))).filter(|_| name != BARE);
        println!(
            "{name:<14}{:>9}{:>11}{:>25}{:>25}{:>14}",
            report::median(summary.envoy_us, 2),
            report::median(summary.over_bare_us, 2),
            report::spread(beside),
            report::spread(over_bare),
            report::median(summary.service_us, 2),
        );
    }
    println!("\nWhat the rows are:");
    measured.iter().for_each(|row| println!("  {:<12} {}", row.row.name, row.row.about));
}

/// Counts the calls about leases, reports included, of a steady load of one key on an Envoy of two workers.
fn calls(name: &'static str, key: &str, pause: u64, backend: &Backend, files: &Files, long: Duration) -> Result<Calls> {
    let file = format!("quotas-{name}-{pause}");
    let launch = Launch { program: &files.envoy, directory: &files.directory, name: &file, workers: 2, logging: &["-l", "warning"] };
    let mut requests = Requests::with_key(key);
    let envoy = Envoy::start(&launch, &listener(backend, files)?, requests.next(), 200)?;
    let mut load = Load::open(envoy.port, CONNECTIONS, requests, 200)?;
    load.pause = Duration::from_micros(pause);
    // Until it is known what is spent.
    load.run(Until::Elapsed(Duration::from_secs(5)))?;
    let told = || CALLS.iter().map(|route| backend.answered(route)).sum::<Result<u64>>();
    let before = told()?;
    let done = load.run(Until::Elapsed(long))?;
    let calls = told()?.checked_sub(before).ok_or_else(|| anyhow!("a count that goes down"))?;
    if done.requests == 0 {
        bail!("no requests");
    }
    Ok(Calls { row: name, per_second: done.requests as f64 / done.elapsed.as_secs_f64(), requests: done.requests, calls })
}
