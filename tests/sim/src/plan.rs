//! Owns what a seed means: who is there, what they ask for, and what goes wrong when. Must not run anything.

use fastrand::Rng;
use tollgate_core::bucket::TokenBucket;
use tollgate_core::limit::Rate;
use tollgate_core::window::SlidingWindow;

/// Nanoseconds in a millisecond.
pub(crate) const MS: u64 = 1_000_000;
/// Nanoseconds in a second.
pub(crate) const SECOND: u64 = 1_000 * MS;

/// How long things go wrong.
pub(crate) const TROUBLE: u64 = 40 * SECOND;
/// How long nothing does, at the end: longer than what may stand between free units and those who want them.
pub(crate) const CALM: u64 = 15 * SECOND;

/// A seed's story.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    pub(crate) workers: usize,
    pub(crate) slots: u32,
    pub(crate) consumers: Vec<Consumer>,
    /// How long a quota's period is, until the calm, in milliseconds.
    pub(crate) period: u64,
    pub(crate) network: Network,
    /// What happens, in order.
    pub(crate) events: Vec<(u64, Event)>,
    /// In the calm, every node asks; or only the first.
    pub(crate) all_ask: bool,
    /// Of so many requests one has a key that its worker does not know; 0: none has.
    pub(crate) unknown_keys: u64,
}

/// A consumer with one or two limits.
#[derive(Debug)]
pub(crate) struct Consumer {
    /// Units of its quotas.
    pub(crate) limits: Vec<u64>,
    /// Its rates; the positions of these limits follow those of the quotas.
    pub(crate) rates: Vec<Rate>,
    /// A failure mode for each limit.
    pub(crate) modes: Vec<&'static str>,
    /// Costs of its requests.
    pub(crate) costs: Vec<u32>,
    /// Requests per second on each node.
    pub(crate) rate: u64,
}

/// What becomes of messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    /// In a thousand.
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) late: u64,
    /// The longest usual delay, and that of a late one.
    pub(crate) delay: u64,
    pub(crate) lateness: u64,
    /// How long a commit takes at most.
    pub(crate) commit: u64,
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A node's process dies, and another one starts.
    Crash(usize),
    /// Another process takes over, while the old one drains for a while.
    HotRestart(usize),
    /// A worker's VM is lost.
    Trap(usize, usize),
    /// A node stands still for so long.
    Pause(usize, u64),
    /// Nothing gets through between a node and the ledger for so long.
    Partition(usize, u64),
    /// The ledger dies and comes back after so long.
    LedgerCrash(u64),
    /// The ledger stands still for so long.
    LedgerPause(u64),
    /// The ledger's wall clock is wrong from now on, by so many milliseconds.
    LedgerClock(i64),
    /// A limit of a consumer is another one from now on.
    Limit { consumer: usize, limit: usize, units: u64 },
    /// A consumer asks for nothing for so long.
    Silence(usize, u64),
    /// An operator releases a node that is gone.
    Release,
}

impl Plan {
    /// The story of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let nodes = rng.usize(1..=4);
        let workers = rng.usize(1..=3);
        let crowd = if rng.u8(0..8) == 0 { 12 } else { 4 };
        let consumers: Vec<Consumer> = (0..rng.usize(1..=crowd)).map(|_| Consumer::new(&mut rng)).collect();
        let mut events: Vec<(u64, Event)> =
            (0..rng.usize(0..=12)).map(|_| (rng.u64(0..TROUBLE), event(&mut rng, nodes, workers, &consumers))).collect();
        events.extend(wrong_clocks(seed));
        events.sort_by_key(|(at, _)| *at);
        let calm = rng.u8(0..4) == 0;
        // Some networks do little but repeat what they have heard long ago.
        let (doubled, late) = if rng.u8(0..4) == 0 { (600, 500) } else { (200, 100) };
        let network = Network {
            lost: if calm { 0 } else { rng.u64(0..80) },
            doubled: if calm { 0 } else { rng.u64(0..doubled) },
            late: if calm { 0 } else { rng.u64(0..late) },
            delay: rng.u64(1..30) * MS,
            lateness: rng.u64(100..8_000) * MS,
            commit: rng.u64(1..20) * MS * if rng.u8(0..8) == 0 { 30 } else { 1 },
        };
        Self {
            nodes,
            workers,
            slots: if rng.u8(0..3) == 0 { 16 } else { 256 },
            consumers,
            period: rng.u64(4_000..30_000),
            network,
            events,
            all_ask: rng.bool(),
            unknown_keys: if rng.bool() { 40 } else { 0 },
        }
    }
}

impl Consumer {
    fn new(rng: &mut Rng) -> Self {
        let (quotas, rates) = [(1, 0), (1, 0), (2, 0), (2, 0), (1, 1), (0, 1), (0, 1), (0, 2)][rng.usize(0..8)];
        let modes = ["deny", "deny", "deny", "allow", "degrade"];
        let costs = match rng.u8(0..3) {
            0 => vec![1],
            1 => vec![1, 1, 1, 5],
            _ => vec![2, 3, 7],
        };
        Self {
            limits: (0..quotas).map(|_| units(rng)).collect(),
            rates: (0..rates).map(|_| rate(rng)).collect(),
            modes: (0..quotas + rates).map(|_| modes[rng.usize(0..modes.len())]).collect(),
            costs,
            rate: [2, 10, 40, 150][rng.usize(0..4)],
        }
    }
}

fn rate(rng: &mut Rng) -> Rate {
    if rng.u8(0..3) == 0 {
        return Rate::SlidingWindow(SlidingWindow::new(rng.u32(8..2_000), rng.u64(10..40) * SECOND).unwrap());
    }
    // Some a second, or some a minute; and what may come at once is little or much.
    let (units, period) = if rng.bool() { (rng.u64(1..300), SECOND) } else { (rng.u64(8..600), 60 * SECOND) };
    let burst = (units * [1, 1, 4, 10][rng.usize(0..4)] / [1, 1, 5][rng.usize(0..3)]).max(8);
    Rate::TokenBucket(TokenBucket::new(units, period, burst).unwrap())
}

fn units(rng: &mut Rng) -> u64 {
    match rng.u8(0..4) {
        0 => rng.u64(1..20),
        1 => rng.u64(20..200),
        2 => rng.u64(200..3_000),
        _ => rng.u64(3_000..50_000),
    }
}

/// In some seeds the ledger's wall clock is set once or more often, and right at last.
fn wrong_clocks(seed: u64) -> Vec<(u64, Event)> {
    let mut rng = Rng::with_seed(seed ^ 0x2c1b_3c6d_9a5e_77f1);
    let steps = if rng.u8(0..6) == 0 { rng.usize(1..=3) } else { 0 };
    let mut events: Vec<(u64, Event)> = (0..steps)
        .map(|_| {
            let furthest = [500, 9_000, 60_000][rng.usize(0..3)];
            (rng.u64(0..TROUBLE - SECOND), Event::LedgerClock(rng.i64(-furthest..=furthest)))
        })
        .collect();
    if steps > 0 {
        events.push((TROUBLE - SECOND, Event::LedgerClock(0)));
    }
    events
}

fn event(rng: &mut Rng, nodes: usize, workers: usize, consumers: &[Consumer]) -> Event {
    let node = rng.usize(0..nodes);
    let long = rng.u64(200..9_000) * MS;
    let consumer = rng.usize(0..consumers.len());
    match rng.u8(0..14) {
        0 | 1 => Event::Crash(node),
        2 => Event::HotRestart(node),
        3 => Event::Trap(node, rng.usize(0..workers)),
        4 => Event::Pause(node, long),
        5 | 6 => Event::Partition(node, long),
        7 | 8 => Event::LedgerCrash(long / 3),
        9 => Event::LedgerPause(long / 2),
        10 | 11 => Event::Silence(consumer, long),
        12 => Event::Release,
        _ if consumers[consumer].limits.is_empty() => Event::Silence(consumer, long),
        _ => Event::Limit { consumer, limit: rng.usize(0..consumers[consumer].limits.len()), units: units(rng) },
    }
}
