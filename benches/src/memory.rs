//! Owns the memory run: millions of keys and addresses never seen before, and Envoy's memory meanwhile.
//!
//! It must find memory flat after the first tenth of each phase: whatever is filled by then has a bound.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use serde::Serialize;
use serde_json::{Value, json};

use crate::Files;
use crate::cpu;
use crate::envoy::bootstrap::{Listener, wasm};
use crate::envoy::{Envoy, Launch};
use crate::flood::Flood;
use crate::plugin;
use crate::report::write_json;
use crate::request::{Requests, get, key};

/// `tollgate-benches memory`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Distinct random keys, one a request
    #[arg(long, default_value_t = 10_000_000)]
    keys: u64,
    /// Distinct random addresses, one a request
    #[arg(long, default_value_t = 1_000_000)]
    addresses: u64,
    /// Samples of memory in each phase
    #[arg(long, default_value_t = 20)]
    samples: u64,
    /// Fail when resident memory grows by more than so many KiB after the first tenth of a phase
    #[arg(long, default_value_t = 4096)]
    tolerance: u64,
    /// Where the samples go
    #[arg(long, default_value = "target/bench-memory.json")]
    json: PathBuf,
    /// Without Tollgate: what Envoy itself does
    #[arg(long)]
    bare: bool,
}

const WORKERS: u8 = 2;

/// Millions of requests of one kind.
struct Phase {
    name: &'static str,
    requests: u64,
    source: Source,
    /// The statuses that may be answered.
    expected: &'static [u16],
}

/// Where a phase's requests come from.
enum Source {
    /// Each with a key never used before.
    Keys(Requests),
    /// Each from an address never used before: how many there were.
    Addresses(u64),
}

/// What a phase found.
#[derive(Serialize)]
struct Found {
    phase: &'static str,
    /// Of resident memory, after the first tenth.
    growth_kib: u64,
    answers: BTreeMap<u16, u64>,
    samples: Vec<Sample>,
}

/// Envoy's memory at one moment.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Sample {
    /// Requests sent by then.
    pub(crate) requests: u64,
    /// What the kernel accounts to it.
    pub(crate) resident_kib: u64,
    /// What its allocator has given out.
    pub(crate) allocated_kib: u64,
}

/// Runs both phases against one Envoy with two workers.
///
/// # Errors
/// When Envoy fails, or answers what the phase cannot explain.
pub(crate) fn run(arguments: &Arguments, files: &Files) -> Result<ExitCode> {
    let modules = files.modules()?;
    let filters = match (&modules.tollgate, arguments.bare) {
        (Some(tollgate), false) => vec![wasm(tollgate, &plugin::anonymous())],
        (None, false) => bail!("no {}", files.tollgate_wasm.display()),
        (_, true) => Vec::new(),
    };
    let listener = Listener { filters, behind_balancer: true, ..Listener::default() };
    let logging = ["-l", "error"];
    let launch = Launch { program: &files.envoy, directory: &files.directory, name: "memory", workers: WORKERS, logging: &logging };
    let envoy = Envoy::start(&launch, &listener, Requests::with_key(&key(0)).next(), 200)?;

    let mut phases = [
        Phase {
            name: "keys",
            requests: arguments.keys,
            source: Source::Keys(Requests::with_fresh_keys(0x6b65_7973)),
            expected: if arguments.bare { &[200] } else { &[401, 429] },
        },
        Phase { name: "addresses", requests: arguments.addresses, source: Source::Addresses(0), expected: &[200, 429] },
    ];
    let found = phases.iter_mut().map(|phase| phase.run(&envoy, arguments)).collect::<Result<Vec<_>>>()?;
    let module = modules.tollgate.filter(|_| !arguments.bare);
    write_json(&arguments.json, &json!({"module": module, "workers": WORKERS, "phases": found}))?;
    let flat = found.iter().all(|phase| phase.growth_kib <= arguments.tolerance);
    Ok(if flat { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

// === impl Phase ===

impl Phase {
    fn run(&mut self, envoy: &Envoy, arguments: &Arguments) -> Result<Found> {
        println!("{:<10}{:>12}{:>14}{:>16}{:>12}  answers", self.name, "requests", "resident KiB", "allocated KiB", "requests/s");
        let mut flood = Flood::open(envoy.port)?;
        let started = Instant::now();
        let mut samples = vec![Sample::take(envoy, 0)?];
        let mut done = 0;
        for step in 1..=arguments.samples.max(10) {
            let until = self.requests * step / arguments.samples.max(10);
            flood.send(until - done, &mut |batch| self.source.extend(batch))?;
            done = until;
            let sample = Sample::take(envoy, done)?;
            samples.push(sample);
            let speed = done as f64 / started.elapsed().as_secs_f64();
            println!(
                "{:<10}{done:>12}{:>14}{:>16}{speed:>12.0}  {answers:?}",
                "",
                sample.resident_kib,
                sample.allocated_kib,
                answers = flood.answers
            );
        }
        let answers = flood.answers;
        if let Some(strange) = answers.keys().find(|status| !self.expected.contains(status)) {
            bail!("{}: answered {strange}, expected one of {:?}", self.name, self.expected);
        }
        let growth = growth_kib(&samples)?;
        let verdict = if growth <= arguments.tolerance { "flat" } else { "NOT FLAT" };
        println!(
            "{}: {verdict}: resident memory grew by {growth} KiB after the first tenth (tolerance {} KiB)\n",
            self.name, arguments.tolerance
        );
        Ok(Found { phase: self.name, growth_kib: growth, answers, samples })
    }
}

// === impl Sample ===

impl Sample {
    /// Asks Envoy and the kernel.
    ///
    /// # Errors
    /// When one of them does not answer.
    pub(crate) fn take(envoy: &Envoy, requests: u64) -> Result<Self> {
        let memory = envoy.admin("/memory")?;
        let allocated = memory.get("allocated").and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok());
        let allocated = allocated.ok_or_else(|| anyhow!("no `allocated` in {memory}"))?;
        Ok(Self { requests, resident_kib: cpu::resident_kib(envoy.pid())?, allocated_kib: allocated / 1024 })
    }
}

// === impl Source ===

impl Source {
    fn extend(&mut self, batch: &mut Vec<u8>) {
        match self {
            Self::Keys(requests) => batch.extend_from_slice(requests.next()),
            Self::Addresses(count) => {
                *count += 1;
                batch.extend_from_slice(&get(plugin::ANONYMOUS_PATH, &[("x-forwarded-for", &address(*count).to_string())]));
            }
        }
    }
}

/// By how much resident memory grew after the first tenth, which fills what has a bound.
///
/// # Errors
/// When there are no samples.
pub(crate) fn growth_kib(samples: &[Sample]) -> Result<u64> {
    let settled = samples.get(samples.len().div_ceil(10)).ok_or_else(|| anyhow!("no samples"))?;
    let last = samples.last().ok_or_else(|| anyhow!("no samples"))?;
    Ok(last.resident_kib.saturating_sub(settled.resident_kib))
}

/// Address number `index`, IPv4 and IPv6 in turn, scattered: an odd factor modulo a power of two never repeats.
pub(crate) fn address(index: u64) -> IpAddr {
    let scattered = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    if index.is_multiple_of(2) {
        IpAddr::V4(Ipv4Addr::from_bits(0x1000_0000 | (scattered & 0x0fff_ffff) as u32))
    } else {
        // A network of 64 bits each, out of 2000::/3.
        IpAddr::V6(Ipv6Addr::from_bits(u128::from(0x2000_0000_0000_0000 | scattered >> 3) << 64 | 1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn addresses_and_their_networks_never_repeat() {
        let network = |address| match address {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        };
        let seen: HashSet<u64> = (1..=1_000_000).map(|index| network(address(index))).collect();
        assert_eq!(seen.len(), 1_000_000);
    }
}
