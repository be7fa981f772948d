//! Owns the run of many keys: a backend with a million of them beside one with a single key, alone and behind Envoy.
//!
//! It must compare what only the number of keys tells apart, and in one run.

mod cold;
mod resolve;
mod warm;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::json;

use crate::Files;
use crate::backend::Backend;
use crate::backend::bulk::{Group, Keys, TIER, load};
use crate::cpu;
use crate::report::write_json;

/// `tollgate-benches keys`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Keys in the large store
    #[arg(long, default_value_t = 1_000_000)]
    count: usize,
    /// Rounds of resolving, a second for each setting
    #[arg(long, default_value_t = 10)]
    resolve_rounds: u32,
    /// Keys presented to Envoy for the first time, for each setting
    #[arg(long, default_value_t = 20_000)]
    first: usize,
    /// Rounds of warm requests through Envoy
    #[arg(long, default_value_t = 101)]
    rounds: u32,
    /// Seconds each time
    #[arg(long, default_value_t = 0.1)]
    seconds: f64,
    /// Decides the order of rows within each round
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the raw numbers go
    #[arg(long, default_value = "target/bench-keys.json")]
    json: PathBuf,
    /// Fail where a promised figure is missed
    #[arg(long)]
    check: bool,
}

/// Consumers that share half of the large store's keys; one more has the other half.
const CONSUMERS: usize = 10_000;

/// Two backends that differ in the number of their keys.
struct Backends {
    one: Backend,
    key: String,
    many: Backend,
    /// Of one consumer.
    of_one: Keys,
    /// Of [`CONSUMERS`] consumers, each with equally many in a row.
    of_all: Keys,
    loading: f64,
}

/// Loads and measures.
///
/// # Errors
/// When something does not start, or answers what it should not.
pub(crate) fn run(arguments: &Arguments, files: &Files) -> Result<ExitCode> {
    let version = files.envoy_version()?;
    let backends = Backends::start(arguments.count, files)?;
    let size = backends.size_mib()?;
    println!("{}, {} cores; {version}", cpu::model(), std::thread::available_parallelism().map_or(0, usize::from));
    println!("{} keys loaded in {:.1} s; the database has {size:.0} MiB\n", arguments.count, backends.loading);
    let resolved = resolve::run(&backends, arguments.resolve_rounds)?;
    resolve::print(&resolved);
    let cold = cold::run(&backends, arguments.first, files)?;
    cold::print(&cold);
    let warm = warm::run(&backends, arguments, files)?;
    warm.print();
    let document = json!({
        "envoy": version, "keys": arguments.count, "loading_s": backends.loading, "database_mib": size,
        "resolve": resolved, "cold": cold, "warm": warm.json(),
    });
    write_json(&arguments.json, &document)?;
    println!("raw numbers: {}", arguments.json.display());
    let failed = arguments.check && !warm.figure().is_some_and(|figure| figure.holds());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

// === impl Backends ===

impl Backends {
    fn start(count: usize, files: &Files) -> Result<Self> {
        let each = count / 2 / CONSUMERS;
        let groups = [
            Group { name: "one", consumers: 1, keys_each: count - each * CONSUMERS, tier: TIER },
            Group { name: "many", consumers: CONSUMERS, keys_each: each, tier: TIER },
        ];
        eprintln!("loading {count} keys");
        let (many, (keys, loading)) = Backend::start(files, "keys-many", |data| {
            let started = Instant::now();
            let keys = load(data, &groups)?;
            Ok((keys, started.elapsed().as_secs_f64()))
        })?;
        let Ok([of_one, of_all]) = <[Keys; 2]>::try_from(keys) else { bail!("not the keys of two groups") };
        let (one, keys) =
            Backend::start(files, "keys-one", |data| load(data, &[Group { name: "one", consumers: 1, keys_each: 1, tier: TIER }]))?;
        let key = keys.first().map(|keys| keys.get(0).to_owned()).unwrap_or_default();
        Ok(Self { one, key, many, of_one, of_all, loading })
    }

    fn size_mib(&self) -> Result<f64> {
        Ok(std::fs::metadata(self.many.data.join("tollgate.db"))?.len() as f64 / 1024.0 / 1024.0)
    }

    /// Key `number` of those that each consumer has in turn: the first `CONSUMERS` are of different consumers.
    fn of_turn(&self, number: usize) -> &str {
        let each = self.of_all.len() / CONSUMERS;
        self.of_all.get(number % CONSUMERS * each + number / CONSUMERS % each.max(1))
    }
}
