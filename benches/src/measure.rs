//! Owns the measurement: all rows in one run, interleaved, each in an Envoy of its own.
//!
//! Rounds are short and many, so that what disturbs the machine for a while disturbs a few rounds, all rows alike.
//! It keeps raw numbers; `report` makes figures of them.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::Serialize;

use crate::cpu::{self, Account};
use crate::envoy::{Envoy, Launch};
use crate::load::{Done, Load, Until};
use crate::random::Random;
use crate::ratelimit_service;
use crate::request::Requests;
use crate::rows::{Asked, Row};

/// How a run is done.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Settings {
    /// Envoy's binary.
    pub(crate) program: PathBuf,
    /// Where configurations and logs go.
    pub(crate) directory: PathBuf,
    /// How often every row is measured.
    pub(crate) rounds: u32,
    /// Seconds each time.
    pub(crate) seconds: f64,
    /// Connections, each with one request in flight.
    pub(crate) connections: usize,
    /// Microseconds waited before each request once measuring begins.
    pub(crate) pause: u64,
    /// Decides the order of rows within each round.
    pub(crate) seed: u64,
}

/// A row and its numbers.
pub(crate) struct Measured {
    /// What was measured.
    pub(crate) row: Row,
    /// From Envoy's start to its first answer.
    pub(crate) ready: Duration,
    /// That answer, whole: which headers a row's answers carry.
    pub(crate) answer: String,
    /// One for each round, in order.
    pub(crate) slices: Vec<Slice>,
}

/// One row in one round: raw numbers.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Slice {
    /// Counted from 0.
    pub(crate) round: u32,
    /// The row's place in the round's order, counted from 0.
    pub(crate) place: usize,
    /// Answered as expected.
    pub(crate) requests: u64,
    /// What they took, on the wall clock.
    pub(crate) seconds: f64,
    /// Nanoseconds this row's Envoy was on a CPU.
    pub(crate) envoy_ns: u64,
    /// Nanoseconds it was ready to run while something else had the CPU.
    pub(crate) waiting_ns: u64,
    /// Nanoseconds the service that the row asks was on a CPU; 0 for rows that ask none.
    pub(crate) service_ns: u64,
    /// Nanoseconds all other Envoys together were on a CPU meanwhile: how quiet the idle ones are.
    pub(crate) others_ns: u64,
}

struct Runner {
    measured: Measured,
    envoy: Envoy,
    load: Load,
}

/// Requests before each slice: a row that was idle finds its memory again.
const AWAKEN: u64 = 300;
/// Between the last answer and reading the account: Envoy finishes what it does after an answer.
const SETTLE: Duration = Duration::from_millis(3);

/// Measures `rows`. The rate limit service, where a row asks it, listens on `service_port`.
///
/// # Errors
/// When an Envoy does not start, or answers anything but what its row expects.
pub(crate) fn run(rows: Vec<Row>, service_port: u16, settings: &Settings) -> Result<Vec<Measured>> {
    let asks_it = |row: &Row| row.asks == Some(Asked::RatelimitService);
    let service = if rows.iter().any(asks_it) { Some(ratelimit_service::Process::start(service_port)?) } else { None };
    let service_pid = service.as_ref().map(ratelimit_service::Process::pid);
    let mut runners = Vec::new();
    for row in rows {
        eprintln!("warming up {}", row.name);
        runners.push(Runner::start(row, settings)?);
    }
    let length = Duration::from_secs_f64(settings.seconds);
    let mut order: Vec<usize> = (0..runners.len()).collect();
    let mut random = Random::new(settings.seed);
    for round in 0..settings.rounds {
        if round % 10 == 0 {
            eprintln!("round {} of {}", round + 1, settings.rounds);
        }
        random.shuffle(&mut order);
        for (place, &index) in order.iter().enumerate() {
            let slice = Slice { round, place, ..slice(&mut runners, index, service_pid, length)? };
            let runner = runners.get_mut(index).ok_or_else(|| anyhow!("no row {index}"))?;
            runner.measured.slices.push(slice);
        }
    }
    Ok(runners.into_iter().map(|runner| runner.measured).collect())
}

// === impl Runner ===

impl Runner {
    fn start(row: Row, settings: &Settings) -> Result<Self> {
        let logging = ["-l", "warning"];
        let launch = Launch { program: &settings.program, directory: &settings.directory, name: &row.name, workers: 1, logging: &logging };
        let envoy = Envoy::start(&launch, &row.listener, (row.requests)().next(), row.expected)?;
        let mut load = Load::open(envoy.port, settings.connections, (row.requests)(), row.expected)?;
        load.run(Until::Count(row.warm_up)).with_context(|| format!("warming up {}", row.name))?;
        load.pause = Duration::from_micros(settings.pause);
        for (credential, request) in &row.refused {
            let mut refused = Load::open(envoy.port, 1, Requests::Same(request.clone()), 401)?;
            refused.run(Until::Count(1)).with_context(|| format!("{} with {credential}", row.name))?;
        }
        let measured = Measured { ready: envoy.ready, answer: envoy.answer.clone(), row, slices: Vec::new() };
        Ok(Self { measured, envoy, load })
    }
}

/// What one slice is the difference of.
#[derive(Clone, Copy, Default)]
struct Accounts {
    own: Account,
    service: Account,
    others: Account,
}

impl Accounts {
    fn take(runners: &[Runner], index: usize, service: Option<u32>) -> Result<Self> {
        let mut accounts = Self::default();
        for (at, runner) in runners.iter().enumerate() {
            let spent = cpu::account(runner.envoy.pid())?;
            if at == index {
                accounts.own = spent;
                let asked = match runner.measured.row.asks {
                    Some(Asked::RatelimitService) => service,
                    Some(Asked::Backend(backend)) => Some(backend),
                    None => None,
                };
                accounts.service = asked.map(cpu::account).transpose()?.unwrap_or_default();
            } else {
                accounts.others += spent;
            }
        }
        Ok(accounts)
    }
}

fn slice(runners: &mut [Runner], index: usize, service: Option<u32>, length: Duration) -> Result<Slice> {
    load(runners, index, Until::Count(AWAKEN))?;
    sleep(SETTLE);
    let before = Accounts::take(runners, index, service)?;
    let done = load(runners, index, Until::Elapsed(length))?;
    sleep(SETTLE);
    let after = Accounts::take(runners, index, service)?;
    let own = after.own - before.own;
    Ok(Slice {
        round: 0,
        place: 0,
        requests: done.requests,
        seconds: done.elapsed.as_secs_f64(),
        envoy_ns: own.running,
        waiting_ns: own.waiting,
        service_ns: (after.service - before.service).running,
        others_ns: (after.others - before.others).running,
    })
}

fn load(runners: &mut [Runner], index: usize, until: Until) -> Result<Done> {
    let runner = runners.get_mut(index).ok_or_else(|| anyhow!("no row {index}"))?;
    runner.load.run(until).with_context(|| format!("measuring {}", runner.measured.row.name))
}
