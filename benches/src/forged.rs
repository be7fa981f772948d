//! Owns the run of forged keys: millions of keys that nobody issued, and how often the backend is asked about them.
//!
//! It must find no call more than the bounds allow, Envoy's memory flat, and genuine keys served meanwhile.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::json;

use crate::Files;
use crate::backend::bulk::{Group, Keys, TIER, load};
use crate::backend::{Backend, CLUSTER};
use crate::connection::Connection;
use crate::envoy::bootstrap::{Listener, wasm};
use crate::envoy::{Envoy, Launch};
use crate::flood::Flood;
use crate::memory::{Sample, address, growth_kib};
use crate::plugin;
use crate::random::Random;
use crate::report::write_json;
use crate::request::{forged_key, get};

/// `tollgate-benches forged`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Forged keys in each of the first two phases, all distinct; a tenth of that in the third
    #[arg(long, default_value_t = 10_000_000)]
    count: u64,
    /// Samples in each phase
    #[arg(long, default_value_t = 10)]
    samples: u64,
    /// Fail when Envoy's resident memory grows by more than so many KiB after the first tenth of a phase
    #[arg(long, default_value_t = 4096)]
    tolerance: u64,
    /// Where the samples go
    #[arg(long, default_value = "target/bench-forged.json")]
    json: PathBuf,
}

const WORKERS: u8 = 2;
const PATH: &str = "/v1/search?q=abc";
const RESOLVE: &str = "/internal/v1/resolve";
/// Workers publish what they count once a second.
const PUBLISHED: Duration = Duration::from_millis(1_500);
/// The defaults of `backend.unknown_per_address`, a minute, and `backend.unknown_per_node`, a second.
const PER_ADDRESS: f64 = 60.0;
const PER_NODE: f64 = 2_000.0;
/// The address that genuine keys come from.
const GENUINE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

/// Where forged keys come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// One address.
    One,
    /// Three addresses, and a network of 64 bits that shows another address each time: four accounts.
    Few,
    /// Another address or network each time.
    Many,
}

/// Forged keys of one kind.
struct Phase {
    name: &'static str,
    count: u64,
    issuer_key: bool,
    source: Source,
}

/// What a phase found.
#[derive(Serialize)]
struct Found {
    phase: &'static str,
    requests: u64,
    seconds: f64,
    answers: BTreeMap<u16, u64>,
    /// Keys the backend was asked about, by Envoy's count.
    asked: u64,
    /// Calls to resolve that the backend answered, by its own count.
    resolved: u64,
    /// All calls Envoy made to it: polls, hellos and reports too.
    calls: u64,
    /// The most there may be of `asked`.
    bound: f64,
    /// Genuine keys never seen before, one a sample: status → answers.
    genuine: BTreeMap<u16, u64>,
    envoy_cpu_us: f64,
    backend_cpu_seconds: f64,
    growth_kib: u64,
    samples: Vec<Seen>,
}

#[derive(Clone, Copy, Serialize)]
struct Seen {
    seconds: f64,
    #[serde(flatten)]
    memory: Sample,
    resolved: u64,
}

/// Runs the phases, each with an Envoy of its own, all with one backend.
///
/// # Errors
/// When something does not start, or an answer is none that the phase can explain.
pub(crate) fn run(arguments: &Arguments, files: &Files) -> Result<ExitCode> {
    let samples = arguments.samples.max(10);
    let phases = [
        Phase { name: "issuer key", count: arguments.count, issuer_key: true, source: Source::One },
        Phase { name: "without, 4 addresses", count: arguments.count, issuer_key: false, source: Source::Few },
        Phase { name: "without, any address", count: arguments.count / 10, issuer_key: false, source: Source::Many },
    ];
    let keys_each = usize::try_from(samples)? * phases.len() + 1;
    let groups = [Group { name: "genuine", consumers: 1, keys_each, tier: TIER }];
    let (backend, keys) = Backend::start(files, "forged", |data| load(data, &groups))?;
    let [keys] = keys.as_slice() else { bail!("not the keys of one group") };
    let version = files.envoy_version()?;
    let mut found = Vec::new();
    for (number, phase) in phases.into_iter().enumerate() {
        let first = 1 + number * usize::try_from(samples)?;
        found.push(phase.run(&backend, keys, first, samples, files).with_context(|| format!("with {}", phase.name))?);
    }
    print(&found, arguments, &version);
    write_json(&arguments.json, &json!({"envoy": version, "workers": WORKERS, "phases": found}))?;
    let holds = found.iter().all(|found| found.holds(arguments.tolerance));
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

// === impl Phase ===

impl Phase {
    fn run(&self, backend: &Backend, keys: &Keys, first: usize, samples: u64, files: &Files) -> Result<Found> {
        let configuration = plugin::told(backend.plugin(self.issuer_key, &json!({}))?, &json!({}));
        let filters = vec![wasm(files.module()?, &configuration)];
        let listener = Listener { filters, clusters: vec![backend.cluster()], behind_balancer: true, ..Listener::default() };
        let launch =
            Launch { program: &files.envoy, directory: &files.directory, name: "forged", workers: WORKERS, logging: &["-l", "error"] };
        let known = request(keys.get(0), GENUINE);
        let envoy = Envoy::start(&launch, &listener, &known, 200)?;
        let mut genuine = Genuine { connection: Connection::open(envoy.port)?, answers: BTreeMap::new() };
        let mut flood = Flood::open(envoy.port)?;
        let mut random = Random::new(u64::try_from(first)?);
        let mut number = 0;

        sleep(PUBLISHED);
        let before = Counts::take(&envoy, backend)?;
        println!(
            "{}\n{:>12}{:>10}{:>14}{:>16}{:>12}  answers",
            self.name, "requests", "seconds", "resident KiB", "allocated KiB", "resolved"
        );
        let (started, mut flooding) = (Instant::now(), Duration::ZERO);
        let mut seen = vec![Seen { seconds: 0.0, memory: Sample::take(&envoy, 0)?, resolved: 0 }];
        for step in 1..=samples {
            let begun = Instant::now();
            let until = self.count * step / samples;
            flood.send(until - number, &mut |batch| {
                number += 1;
                batch.extend_from_slice(&request(&forged_key(&mut random), self.source.address(number)));
            })?;
            flooding += begun.elapsed();
            genuine.present(&known, keys.get(first + usize::try_from(step)? - 1))?;
            let resolved = backend.answered(RESOLVE)? - before.resolved;
            let memory = Sample::take(&envoy, until)?;
            let seconds = flooding.as_secs_f64();
            println!(
                "{until:>12}{seconds:>10.1}{:>14}{:>16}{resolved:>12}  {:?}",
                memory.resident_kib, memory.allocated_kib, flood.answers
            );
            seen.push(Seen { seconds, memory, resolved });
        }
        println!();
        let bound = self.bound(started.elapsed().as_secs_f64(), samples);
        sleep(PUBLISHED);
        let after = Counts::take(&envoy, backend)?;
        let allowed: &[u16] = if self.issuer_key { &[401] } else { &[401, 429, 503] };
        if let Some(strange) = flood.answers.keys().find(|status| !allowed.contains(status)) {
            bail!("forged keys were answered {strange}, expected one of {allowed:?}");
        }
        let seconds = seen.last().map_or(0.0, |seen| seen.seconds);
        Ok(Found {
            phase: self.name,
            requests: self.count,
            seconds,
            answers: flood.answers,
            asked: after.asked - before.asked,
            resolved: after.resolved - before.resolved,
            calls: after.calls - before.calls,
            bound,
            genuine: genuine.answers,
            envoy_cpu_us: (after.envoy_ns - before.envoy_ns) as f64 / 1e3 / self.count as f64,
            backend_cpu_seconds: (after.backend_ns - before.backend_ns) as f64 / 1e9,
            growth_kib: growth_kib(&seen.iter().map(|seen| seen.memory).collect::<Vec<_>>())?,
            samples: seen,
        })
    }

    /// The most keys the backend may be asked about: the genuine ones, one of which the other worker may not know yet, and what the buckets
    /// hold and gain.
    fn bound(&self, seconds: f64, samples: u64) -> f64 {
        let forged = match self.source {
            Source::One => 0.0,
            Source::Few => 4.0 * (PER_ADDRESS + seconds * PER_ADDRESS / 60.0),
            Source::Many => PER_NODE + seconds * PER_NODE,
        };
        samples as f64 + f64::from(WORKERS - 1) + forged.ceil()
    }
}

// === impl Found ===

impl Found {
    fn holds(&self, tolerance: u64) -> bool {
        self.asked as f64 <= self.bound && self.growth_kib <= tolerance
    }
}

/// A client with keys that were issued, while others flood.
struct Genuine {
    connection: Connection,
    answers: BTreeMap<u16, u64>,
}

impl Genuine {
    /// Presents a key that is known, which must be served, and one never seen before.
    fn present(&mut self, known: &[u8], fresh: &str) -> Result<()> {
        self.connection.send(known)?;
        let status = self.connection.receive()?;
        if status != 200 {
            bail!("a known key was answered {status}");
        }
        self.connection.send(&request(fresh, GENUINE))?;
        *self.answers.entry(self.connection.receive()?).or_default() += 1;
        Ok(())
    }
}

/// What both sides have counted.
struct Counts {
    asked: u64,
    calls: u64,
    resolved: u64,
    envoy_ns: u64,
    backend_ns: u64,
}

impl Counts {
    fn take(envoy: &Envoy, backend: &Backend) -> Result<Self> {
        Ok(Self {
            asked: envoy.statistic("wasmcustom.tollgate_backend.asked")?,
            calls: envoy.statistic(&format!("cluster.{CLUSTER}.upstream_rq_total"))?,
            resolved: backend.answered(RESOLVE)?,
            envoy_ns: crate::cpu::account(envoy.pid())?.running,
            backend_ns: backend.account()?.running,
        })
    }
}

// === impl Source ===

impl Source {
    /// The address of forged key `number`.
    fn address(self, number: u64) -> IpAddr {
        match (self, number % 4) {
            (Self::One, _) => IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
            (Self::Few, 0) => IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8_0000_0001 << 64 | u128::from(number))),
            (Self::Few, turn) => IpAddr::V4(Ipv4Addr::from_bits(0xc633_6400 + turn as u32)),
            (Self::Many, _) => address(number),
        }
    }
}

fn request(key: &str, from: IpAddr) -> Vec<u8> {
    get(PATH, &[("x-api-key", key), ("x-forwarded-for", &from.to_string())])
}

fn print(found: &[Found], arguments: &Arguments, version: &str) {
    println!("{version}\nDistinct forged keys against one Envoy of {WORKERS} workers, at full speed; bounds are the defaults\n");
    println!(
        "{:<22}{:>11}{:>9}{:>12}{:>9}{:>8}{:>8}{:>10}{:>10}{:>11}{:>13}{:>13}",
        "phase", "keys", "seconds", "requests/s", "µs each", "asked", "bound", "resolved", "all calls", "backend s", "memory KiB", ""
    );
    for row in found {
        let verdict = if row.holds(arguments.tolerance) { "holds" } else { "MISSED" };
        println!(
            "{:<22}{:>11}{:>9.1}{:>12.0}{:>9.1}{:>8}{:>8.0}{:>10}{:>10}{:>11.2}{:>13}{verdict:>13}",
            row.phase,
            row.requests,
            row.seconds,
            row.requests as f64 / row.seconds,
            row.envoy_cpu_us,
            row.asked,
            row.bound,
            row.resolved,
            row.calls,
            row.backend_cpu_seconds,
            format!("+{}", row.growth_kib),
        );
    }
    println!(
        "\nµs each: Envoy's CPU. asked: keys, by Envoy's count, genuine ones included (one a sample). resolved: the same by the backend's.\n\
         all calls: polls for changes, hellos and reports too. backend s: its CPU. memory: growth of Envoy's after the first tenth."
    );
    for row in found {
        println!("{}: forged keys were answered {:?}, genuine ones never seen before {:?}", row.phase, row.answers, row.genuine);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn few_addresses_are_four_accounts() {
        let account = |address| match address {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        };
        let accounts: HashSet<u64> = (0..1_000).map(|number| account(Source::Few.address(number))).collect();
        assert_eq!(accounts.len(), 4);
        let addresses: HashSet<IpAddr> = (0..1_000).map(|number| Source::Few.address(number)).collect();
        assert_eq!(addresses.len(), 253);
    }
}
