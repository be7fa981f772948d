//! The simulation: many nodes, the filter's real leases and the ledger's real arithmetic, under everything that can go wrong between them.
//! One seed is one story, which replays exactly.
//!
//! usage: sim [--seeds N] [--from N] [--seed N] [--sabotage [RULE]] [--first] [--threads N] [--steady]
//!
//! `--first` stops at the first seed that breaks something; `--steady` counts the calls of a hundred nodes where nothing goes wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a simulation fails where it does not hold, and tells how long it took"
)]

mod ledger;
mod node;
mod oracle;
mod plan;
mod steady;
mod world;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tollgate_core::sabotage::{RULES, Rule, remove};
use world::Ran;

struct Arguments {
    seeds: u64,
    from: u64,
    only: Option<u64>,
    sabotage: Option<Vec<(Rule, &'static str)>>,
    first: bool,
    steady: bool,
    threads: usize,
}

fn main() -> ExitCode {
    let arguments = arguments();
    if arguments.steady {
        return steady();
    }
    if let Some(seed) = arguments.only {
        return one(seed, arguments.sabotage.as_ref().and_then(|rules| rules.first()).map(|(rule, _)| *rule));
    }
    match &arguments.sabotage {
        Some(rules) => sabotage(&arguments, rules),
        None => all(&arguments),
    }
}

fn arguments() -> Arguments {
    let mut parsed = Arguments {
        seeds: 1_000,
        from: 0,
        only: None,
        sabotage: None,
        first: false,
        steady: false,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let mut given = std::env::args().skip(1).peekable();
    while let Some(name) = given.next() {
        let mut number = || given.next().and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} takes a number"));
        match name.as_str() {
            "--seeds" => parsed.seeds = number(),
            "--from" => parsed.from = number(),
            "--seed" => parsed.only = Some(number()),
            "--first" => parsed.first = true,
            "--steady" => parsed.steady = true,
            "--threads" => parsed.threads = usize::try_from(number()).unwrap(),
            "--sabotage" => {
                let named = given.next_if(|next| !next.starts_with("--"));
                let chosen = RULES.into_iter().filter(|(_, name)| named.as_ref().is_none_or(|named| named == name));
                parsed.sabotage = Some(chosen.collect());
            }
            _ => panic!("unknown: {name}"),
        }
    }
    parsed
}

/// Counts calls; fails where a node with much load has one or more for a thousand requests.
fn steady() -> ExitCode {
    const NODES: usize = 100;
    println!("| nodes | requests a second on each | the quota lasts | requests | calls | calls for 1,000 requests |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut holds = true;
    for rate in [100, 1_000, 2_000, 10_000] {
        for (spent_in, named) in [(86_400, "a day"), (600, "ten minutes")] {
            let (requests, calls) = steady::run(NODES, rate, spent_in).unwrap();
            let each = calls as f64 * 1_000.0 / requests as f64;
            println!("| {NODES} | {rate} | {named} | {requests} | {calls} | {each:.3} |");
            holds &= rate < 2_000 || each < 1.0;
        }
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64, rule: Option<Rule>) -> ExitCode {
    println!("{}", world::describe(seed));
    remove(rule);
    match world::run(seed, true) {
        Ok(ran) => {
            println!("seed {seed}: {ran:?}");
            ExitCode::SUCCESS
        }
        Err(broken) => {
            println!("seed {seed}: {broken}");
            ExitCode::FAILURE
        }
    }
}

/// Runs seeds on all threads: what they came to, and those that broke something.
fn run(arguments: &Arguments, seeds: u64, rule: Option<Rule>) -> (Ran, Vec<(u64, String)>) {
    let next = AtomicU64::new(arguments.from);
    let result = Mutex::new((Ran::default(), Vec::new()));
    remove(rule);
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let enough = arguments.first && !result.lock().unwrap().1.is_empty();
                    if enough || seed >= arguments.from + seeds {
                        return;
                    }
                    let ran = std::panic::catch_unwind(|| world::run(seed, false)).unwrap_or_else(|_| Err("panicked".to_owned()));
                    let mut result = result.lock().unwrap();
                    match ran {
                        Ok(ran) => {
                            let sum = &mut result.0;
                            sum.requests += ran.requests;
                            sum.admitted += ran.admitted;
                            sum.calls += ran.calls;
                            sum.faults += ran.faults;
                            sum.silent += ran.silent;
                        }
                        Err(broken) => result.1.push((seed, broken)),
                    }
                }
            });
        }
    });
    result.into_inner().unwrap()
}

fn all(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let (ran, mut broken) = run(arguments, arguments.seeds, None);
    broken.sort();
    println!(
        "{} seeds in {:.0} s: {} requests, {} admitted, {} calls, {} faults besides those of the network, {} units silent at the end",
        arguments.seeds,
        began.elapsed().as_secs_f64(),
        ran.requests,
        ran.admitted,
        ran.calls,
        ran.faults,
        ran.silent
    );
    for (seed, broken) in broken.iter().take(10) {
        println!("seed {seed}: {broken}");
    }
    println!("{} seeds broke something{}", broken.len(), if broken.is_empty() { "" } else { "; one replays with `make sim SEED=N`" });
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sabotage(arguments: &Arguments, rules: &[(Rule, &'static str)]) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let title = if arguments.first { "seed" } else { "seeds" };
    println!("| rule removed | {title} of {} that notice | the first | what it says |", arguments.seeds);
    println!("| --- | --- | --- | --- |");
    let mut missed = false;
    for (rule, name) in rules {
        let (_, mut broken) = run(arguments, arguments.seeds, Some(*rule));
        broken.sort();
        missed |= broken.is_empty();
        let (seed, said) = broken.first().map_or((String::new(), "nothing"), |(seed, said)| (seed.to_string(), said.as_str()));
        println!("| {name} | {} | {seed} | {said} |", broken.len());
    }
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
