//! How many durable grants the ledger makes, and how long each is waited for: nodes that ask at the same time, of the store itself, without HTTP.
//!
//! `tools/bench_ledger.sh` runs it in the profile that ships. Each node has one message under way, as real ones do.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a harness: it reads clocks, and stops at the first mistake"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use tollgate_core::wire::{LeaseAsk, Settle};
use tollgate_server::clock::SystemClock;
use tollgate_server::consumers::{self, NewConsumer};
use tollgate_server::ledger;
use tollgate_server::nodes::Incarnation;
use tollgate_server::permission::Principal;
use tollgate_server::store::Store;
use tollgate_server::telemetry;
use tollgate_server::tiers::{self, NewTier};

#[derive(Parser)]
struct Arguments {
    /// Consumers, each with a quota for a month and one for a day
    #[arg(long, default_value_t = 2_000)]
    consumers: usize,
    /// Seconds each row is measured
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Where the databases are made anew: on the disk that is measured
    #[arg(long, default_value = "target/bench/ledger")]
    directory: PathBuf,
    /// Nodes that ask, and asks in each message: `64x1`. Default: a table of several
    rows: Vec<String>,
    /// What `cargo bench` gives
    #[arg(long, hide = true)]
    bench: bool,
}

/// A node, and what it holds of each limit.
struct Node {
    incarnation: Incarnation,
    leases: BTreeMap<(usize, usize), Held>,
    newest: u64,
    random: u64,
}

#[derive(Default)]
struct Held {
    lease: u64,
    number: u64,
    window: u64,
    granted: u64,
    returned: u64,
}

const LIMITS: [&str; 2] = ["monthly", "daily"];

fn main() {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run(&arguments));
}

async fn run(arguments: &Arguments) {
    let metrics = telemetry::metrics().unwrap();
    let _ = std::fs::remove_dir_all(&arguments.directory);
    std::fs::create_dir_all(&arguments.directory).unwrap();
    println!("{} consumers with two quotas each; {} s a row; on {}", arguments.consumers, arguments.seconds, arguments.directory.display());
    println!("bare: {:.0} times a second 4 KiB and fdatasync", bare(&arguments.directory));
    let store = Store::open(&arguments.directory, Arc::new(SystemClock)).await.unwrap();
    load(&store, arguments.consumers).await;
    // The rows are there, as they are but once a day.
    let mut first = Node::new(0, 0);
    for consumer in 0..arguments.consumers {
        let asks = (0..LIMITS.len()).map(|limit| first.next((consumer, limit))).collect();
        ledger::settle(&store, &first.incarnation, &Settle { asks }).await.unwrap();
    }
    println!("| nodes | asks each | grants/s | p50 ms | p99 ms | commits/s | asks per commit |");
    println!("| --: | --: | --: | --: | --: | --: | --: |");
    let usual = ["1x1", "4x1", "16x1", "64x1", "256x1", "1024x1", "16x16", "64x16"].map(str::to_owned).to_vec();
    for row in if arguments.rows.is_empty() { &usual } else { &arguments.rows } {
        let (nodes, asks) = row.split_once('x').unwrap();
        let (nodes, asks): (usize, usize) = (nodes.parse().unwrap(), asks.parse().unwrap());
        let commits = || {
            let rendered = metrics.render();
            let line = rendered.lines().find_map(|line| line.strip_prefix("tollgate_ledger_commits_total "));
            line.map_or(0, |count| count.parse::<u64>().unwrap())
        };
        let before = commits();
        let begun = Instant::now();
        let end = begun + Duration::from_secs_f64(arguments.seconds);
        let running: Vec<_> =
            (0..nodes).map(|number| tokio::spawn(Node::new(nodes, number).ask(store.clone(), arguments.consumers, asks, end))).collect();
        let (mut granted, mut waits) = (0, Vec::new());
        for node in running {
            let (grants, own) = node.await.unwrap();
            granted += grants;
            waits.extend(own);
        }
        let seconds = begun.elapsed().as_secs_f64();
        let commits = commits() - before;
        waits.sort_unstable();
        let at = |share: f64| waits.get((waits.len() as f64 * share) as usize).map_or(0.0, |wait| wait.as_secs_f64() * 1_000.0);
        println!(
            "| {nodes} | {asks} | {:.0} | {:.2} | {:.2} | {:.0} | {:.1} |",
            granted as f64 / seconds,
            at(0.5),
            at(0.99),
            commits as f64 / seconds,
            (waits.len() * asks) as f64 / commits as f64,
        );
        std::io::stdout().flush().unwrap();
    }
    store.close().await;
}

/// What the disk does without a database, in a file that does not grow: as a write-ahead log is after its first round.
fn bare(directory: &Path) -> f64 {
    let file = std::fs::File::create(directory.join("bare")).unwrap();
    file.write_all_at(&vec![7; 64 * 4_096], 0).unwrap();
    file.sync_all().unwrap();
    let begun = Instant::now();
    let mut times = 0_u32;
    while begun.elapsed() < Duration::from_secs(1) {
        file.write_all_at(&[7; 4_096], u64::from(times % 64) * 4_096).unwrap();
        file.sync_data().unwrap();
        times += 1;
    }
    f64::from(times) / begun.elapsed().as_secs_f64()
}

async fn load(store: &Store, consumers: usize) {
    let principal = Principal::backend("bench");
    let mut write = store.begin().await.unwrap();
    let quota = |name: &str, per: &str| serde_json::json!({"name": name, "algorithm": "quota", "rate": 1_000_000_000_000_u64, "per": per, "time_zone": "Europe/Berlin"});
    let limits = serde_json::json!([quota("monthly", "month"), quota("daily", "day")]);
    let tier = NewTier { name: "bench".to_owned(), limits: serde_json::from_value(limits).unwrap(), self_service: false };
    tiers::create(&mut write, &principal, tier).await.unwrap();
    for number in 0..consumers {
        let new = NewConsumer { id: Some(format!("consumer-{number}")), ..NewConsumer::new("bench", "bench") };
        consumers::create(&mut write, &principal, new).await.unwrap();
    }
    write.commit().await.unwrap();
}

impl Node {
    fn new(row: usize, number: usize) -> Self {
        let incarnation = Incarnation { credential: "bench".to_owned(), incarnation: format!("{row:016x}{number:016x}") };
        Self { incarnation, leases: BTreeMap::new(), newest: 0, random: (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) }
    }

    fn random(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % below as u64) as usize
    }

    /// Asks until the end, and answers how often it was granted units and how long it waited each time.
    async fn ask(mut self, store: Store, consumers: usize, asks: usize, end: Instant) -> (u64, Vec<Duration>) {
        let (mut granted, mut waits) = (0, Vec::new());
        while Instant::now() < end {
            let mut places = Vec::with_capacity(asks);
            let mut settle = Settle { asks: Vec::with_capacity(asks) };
            while places.len() < asks {
                let place = (self.random(consumers), self.random(LIMITS.len()));
                if !places.contains(&place) {
                    settle.asks.push(self.next(place));
                    places.push(place);
                }
            }
            let begun = Instant::now();
            let settled = ledger::settle(&store, &self.incarnation, &settle).await.unwrap();
            waits.push(begun.elapsed());
            for (place, answer) in places.into_iter().zip(settled.answers) {
                let held = self.leases.get_mut(&place).unwrap();
                assert!(!answer.closed && answer.number == held.number, "{answer:?}");
                (held.window, held.granted) = (answer.window, held.granted + answer.granted);
                granted += u64::from(answer.granted > 0);
            }
        }
        (granted, waits)
    }

    /// The next ask of a limit's lease: some of what was granted comes back, and more is wanted.
    fn next(&mut self, place: (usize, usize)) -> LeaseAsk {
        let held = self.leases.entry(place).or_insert_with(|| {
            self.newest += 1;
            Held { lease: self.newest, ..Held::default() }
        });
        held.number += 1;
        held.returned += (held.granted - held.returned) / 2;
        LeaseAsk {
            consumer: format!("consumer-{}", place.0),
            limit: LIMITS[place.1].to_owned(),
            lease: held.lease,
            number: held.number,
            window: held.window,
            after: 0,
            returned: held.returned,
            close: false,
            need: 1,
            waiting: 3,
            demand: 100_000,
            own: 0,
        }
    }
}
