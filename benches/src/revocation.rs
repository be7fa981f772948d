//! Owns the revocation run: keys are revoked while two Envoys serve them, and every worker is watched until it refuses.
//!
//! It must find that no worker admits a key again once it has refused it, and that all refuse within the promised time.

mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use serde_json::json;

use self::watch::{Watched, Watcher};
use crate::Files;
use crate::backend::Backend;
use crate::backend::api::Api;
use crate::backend::bulk::{Group, Keys, UNLIMITED, load};
use crate::envoy::bootstrap::{Listener, wasm};
use crate::envoy::{Envoy, Launch};
use crate::figures::Figure;
use crate::plugin;
use crate::random::Random;
use crate::report::write_json;
use crate::request::Requests;
use crate::statistics::{Spread, spread};

/// `tollgate-benches revocation`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Keys revoked in each row
    #[arg(long, default_value_t = 200)]
    keys: usize,
    /// Microseconds between a worker's requests where the load is paced
    #[arg(long, default_value_t = 1_000)]
    pause: u64,
    /// Changes of other keys a second where the feed is busy
    #[arg(long, default_value_t = 200)]
    changes: u64,
    /// Decides when within the workers' ticks keys are revoked
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the single times go
    #[arg(long, default_value = "target/bench-revocation.json")]
    json: PathBuf,
    /// Fail where the promised time is missed
    #[arg(long)]
    check: bool,
}

const ENVOYS: u8 = 2;
const WORKERS: u8 = 2;
/// The promise, in milliseconds, from the revocation's answer.
const PROMISED: f64 = 250.0;
/// Keys that change where the feed is busy: none of them is ever presented.
const OTHERS: usize = 1_000;
/// What one connection to the public API can change in a second with ease.
const CHANGES_EACH: u64 = 250;
/// Between two keys: the answers of the last one have come to rest, and the next begins anywhere within a tick (50 ms).
const BETWEEN: Duration = Duration::from_millis(20);
const TICK_MICROSECONDS: u64 = 50_000;

/// What differs from row to row.
#[derive(Clone, Copy, Serialize)]
struct Setting {
    load: &'static str,
    #[serde(skip)]
    pause: Duration,
    /// Asked for a second.
    changes: u64,
}

/// What a row found. Times are milliseconds.
#[derive(Serialize)]
struct Found {
    setting: Setting,
    /// Requests a second, all workers together.
    requests_per_second: f64,
    changes_per_second: f64,
    /// Until a worker first refuses, from the revocation's request; one for each key and worker.
    from_request: Vec<f64>,
    /// The same from its answer: below 0 where the worker was earlier.
    from_answer: Vec<f64>,
    /// Until the last worker of all refuses, from the answer; one for each key.
    slowest: Vec<f64>,
    /// What the revocation itself took.
    revoking: Vec<f64>,
    /// After a worker's first refusal: must be none.
    admitted_again: u64,
    /// Neither admitted nor refused as invalid.
    other_answers: u64,
}

/// Everything that runs.
struct Stage {
    backend: Backend,
    _envoys: Vec<Envoy>,
    watchers: Vec<Watcher>,
    random: Random,
}

/// Runs all rows.
///
/// # Errors
/// When something does not start, or a key is not served or not refused.
pub(crate) fn run(arguments: &Arguments, files: &Files) -> Result<ExitCode> {
    let (paced, flat_out) = (Duration::from_micros(arguments.pause), Duration::ZERO);
    let settings =
        [("paced", paced, 0), ("paced", paced, arguments.changes), ("flat out", flat_out, 0), ("flat out", flat_out, arguments.changes)];
    // Without limits: workers that hold units of one tick more often, and hear of changes sooner.
    let groups = [
        Group { name: "revoked", consumers: 1, keys_each: arguments.keys * settings.len(), tier: UNLIMITED },
        Group { name: "other", consumers: 1, keys_each: OTHERS, tier: UNLIMITED },
    ];
    let (backend, keys) = Backend::start(files, "revocation", |data| load(data, &groups))?;
    let [keys, others] = keys.as_slice() else { bail!("not the keys of two groups") };
    let mut stage = Stage::set(backend, keys, files, arguments.seed)?;
    let mut found = Vec::new();
    for (row, (load, pause, changes)) in settings.into_iter().enumerate() {
        let keys: Vec<&str> = (row * arguments.keys..(row + 1) * arguments.keys).map(|index| keys.get(index)).collect();
        eprintln!("{load}, {changes} changes/s");
        found.push(stage.row(Setting { load, pause, changes }, &keys, others)?);
    }
    let version = files.envoy_version()?;
    print(&found, arguments, &version);
    write_json(&arguments.json, &json!({"envoy": version, "envoys": ENVOYS, "workers": WORKERS, "rows": found}))?;
    println!("single times: {}", arguments.json.display());
    let slowest = found.iter().flat_map(|row| row.slowest.iter().copied()).fold(0.0, f64::max);
    let promise = Figure { about: "a revoked key refused by all workers, from the answer", found: slowest, at_most: PROMISED, unit: "ms" };
    promise.print();
    let again: u64 = found.iter().map(|row| row.admitted_again).sum();
    println!("admitted again after a worker's first refusal: {again}");
    let failed = again > 0 || (arguments.check && !promise.holds());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

// === impl Stage ===

impl Stage {
    fn set(backend: Backend, keys: &Keys, files: &Files, seed: u64) -> Result<Self> {
        let configuration = plugin::told(backend.plugin(true, &json!({}))?, &json!({}));
        let filters = vec![wasm(files.module()?, &configuration)];
        let listener = Listener { filters, clusters: vec![backend.cluster()], ..Listener::default() };
        let mut envoys = Vec::new();
        let mut watchers = Vec::new();
        for number in 0..ENVOYS {
            let name = format!("revocation-{number}");
            let logging = ["-l", "error"];
            let launch = Launch { program: &files.envoy, directory: &files.directory, name: &name, workers: WORKERS, logging: &logging };
            let envoy = Envoy::start(&launch, &listener, Requests::with_key(keys.get(0)).next(), 200)?;
            for worker in 0..WORKERS {
                watchers.push(Watcher::start(envoy.connect_to_worker(worker)?)?);
            }
            envoys.push(envoy);
        }
        Ok(Self { backend, _envoys: envoys, watchers, random: Random::new(seed) })
    }

    fn row(&mut self, setting: Setting, keys: &[&str], others: &Keys) -> Result<Found> {
        let (changed, over) = (AtomicU64::new(0), AtomicBool::new(false));
        let started = Instant::now();
        let found = thread::scope(|scope| {
            let changers = setting.changes.div_ceil(CHANGES_EACH);
            let changing: Vec<_> = (0..changers)
                .map(|number| {
                    let (backend, changed, over) = (&self.backend, &changed, &over);
                    let rate = setting.changes as f64 / changers as f64;
                    scope.spawn(move || change(backend, others, number, rate, changed, over))
                })
                .collect();
            let found = revoke_all(&self.backend, &self.watchers, &mut self.random, setting, keys);
            over.store(true, Ordering::Relaxed);
            for changer in changing {
                changer.join().map_err(|_| anyhow!("a thread stopped"))?.context("keeping the feed busy")?;
            }
            found
        });
        let mut found = found?;
        found.changes_per_second = changed.into_inner() as f64 / started.elapsed().as_secs_f64();
        // Every worker refuses every one of them for good.
        for key in keys {
            for watcher in &self.watchers {
                let status = watcher.ask(key)?;
                found.admitted_again += u64::from(status == 200);
                found.other_answers += u64::from(status != 200 && status != 401);
            }
        }
        Ok(found)
    }
}

fn revoke_all(backend: &Backend, watchers: &[Watcher], random: &mut Random, setting: Setting, keys: &[&str]) -> Result<Found> {
    let mut api = Api::open(backend)?;
    let mut found = Found::new(setting);
    let (mut requests, mut watching) = (0, Duration::ZERO);
    for key in keys {
        let begun = Instant::now();
        watchers.iter().try_for_each(|watcher| watcher.watch(key, setting.pause))?;
        watchers.iter().try_for_each(Watcher::await_warm)?;
        sleep(BETWEEN + Duration::from_micros(random.next() % TICK_MICROSECONDS));
        let (sent, answered) = api.revoke(key)?;
        let watched = watchers.iter().map(Watcher::await_refused).collect::<Result<Vec<_>>>()?;
        watching += begun.elapsed();
        requests += watched.iter().map(|watched| watched.requests).sum::<u64>();
        found.add(sent, answered, &watched)?;
    }
    found.requests_per_second = requests as f64 / watching.as_secs_f64();
    Ok(found)
}

/// Changes other keys at an even rate until told that it is over.
fn change(backend: &Backend, others: &Keys, number: u64, rate: f64, changed: &AtomicU64, over: &AtomicBool) -> Result<()> {
    let mut api = Api::open(backend)?;
    let started = Instant::now();
    for turn in 0_u64.. {
        let due = Duration::from_secs_f64(turn as f64 / rate);
        sleep(due.saturating_sub(started.elapsed()));
        if over.load(Ordering::Relaxed) {
            break;
        }
        // Each changer has keys of its own, and each change is one.
        let index = usize::try_from(number * 97 + turn * 7919)? % others.len().max(1);
        // Another year each time.
        api.set_end(others.get(index), &format!("{}-01-01T00:00:00Z", 2100 + turn % 7_900))?;
        changed.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

// === impl Found ===

impl Found {
    fn new(setting: Setting) -> Self {
        Self {
            setting,
            requests_per_second: 0.0,
            changes_per_second: 0.0,
            from_request: Vec::new(),
            from_answer: Vec::new(),
            slowest: Vec::new(),
            revoking: Vec::new(),
            admitted_again: 0,
            other_answers: 0,
        }
    }

    fn add(&mut self, sent: Instant, answered: Instant, watched: &[Watched]) -> Result<()> {
        let mut slowest = f64::MIN;
        for watched in watched {
            if watched.refused < sent {
                bail!("a key was refused before it was revoked");
            }
            let from_answer = milliseconds(watched.refused, answered);
            self.from_request.push(milliseconds(watched.refused, sent));
            self.from_answer.push(from_answer);
            slowest = slowest.max(from_answer);
            self.admitted_again += watched.admitted_again;
            self.other_answers += watched.other_answers;
        }
        self.slowest.push(slowest);
        self.revoking.push(milliseconds(answered, sent));
        Ok(())
    }
}

fn milliseconds(later: Instant, earlier: Instant) -> f64 {
    let ahead = later.saturating_duration_since(earlier).as_secs_f64();
    (ahead - earlier.saturating_duration_since(later).as_secs_f64()) * 1e3
}

fn print(found: &[Found], arguments: &Arguments, version: &str) {
    println!("{version}\n{ENVOYS} Envoys of {WORKERS} workers, one backend over TLS; {} keys revoked in each row\n", arguments.keys);
    println!("Milliseconds until a worker answers 401 (all workers), from the revocation's request / from its answer");
    println!("{:<10}{:>11}{:>11}{:>18}{:>18}{:>18}{:>18}{:>18}", "load", "requests/s", "changes/s", "min", "median", "p90", "p99", "max");
    for row in found {
        let pair = |pick: fn(&Spread) -> f64| {
            let shown = |sample: &[f64]| spread(sample).map_or_else(String::new, |spread| format!("{:.1}", pick(&spread)));
            format!("{} / {}", shown(&row.from_request), shown(&row.from_answer))
        };
        let columns = [
            pair(|spread| spread.least),
            pair(|spread| spread.median),
            pair(|spread| spread.p90),
            pair(|spread| spread.p99),
            pair(|spread| spread.most),
        ];
        let [least, median, p90, p99, most] = columns;
        let (load, requests, changes) = (row.setting.load, row.requests_per_second, row.changes_per_second);
        println!("{load:<10}{requests:>11.0}{changes:>11.0}{least:>18}{median:>18}{p90:>18}{p99:>18}{most:>18}");
    }
    println!(
        "\nMilliseconds until the last of the {} workers does, from the answer; what the revocation's own answer took",
        ENVOYS * WORKERS
    );
    println!(
        "{:<10}{:>11}{:>9}{:>9}{:>9}{:>9}{:>9}{:>22}{:>16}{:>14}",
        "load", "changes/s", "min", "median", "p90", "p99", "max", "answer median, max", "admitted again", "other answers"
    );
    for row in found {
        let (Some(slowest), Some(revoking)) = (spread(&row.slowest), spread(&row.revoking)) else { continue };
        println!(
            "{:<10}{:>11.0}{:>9.1}{:>9.1}{:>9.1}{:>9.1}{:>9.1}{:>22}{:>16}{:>14}",
            row.setting.load,
            row.changes_per_second,
            slowest.least,
            slowest.median,
            slowest.p90,
            slowest.p99,
            slowest.most,
            format!("{:.1}, {:.1}", revoking.median, revoking.most),
            row.admitted_again,
            row.other_answers,
        );
    }
    println!();
}
