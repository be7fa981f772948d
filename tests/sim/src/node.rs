//! Owns a simulated node: the filter's real leases and outbox on each of its workers, over shared data that is sometimes read a moment too
//! early. Must not know the ledger.

use std::collections::HashMap;

use fastrand::Rng;
use tollgate_core::limit::Leased;
use tollgate_core::time::Instant;
use tollgate_core::wire::{LeaseAsk, Report, Settle, encode};
use tollgate_filter::counters::{Counter, Counters};
use tollgate_filter::leases::{Ask, First, Leases, Outcome, TierLeases, next_number};
use tollgate_filter::limits::{Subject, Table};
use tollgate_filter::outbox::{Frozen, Notes, Outbox};
use tollgate_filter::shared::{Broken, Memory, SharedData, Version};

use super::ledger::{News, Quota};
use super::plan::{MS, SECOND};

/// How long a request waits.
const PATIENCE: u64 = SECOND;
/// How long the host waits for an answer.
pub(crate) const TIMEOUT: u64 = SECOND;
/// How often a node reports, and how often it repeats a report.
const REPORT_EVERY: u64 = SECOND;

/// A consumer as nodes know it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) leased: Vec<Leased>,
    pub(crate) names: Vec<u64>,
}

/// What a node asks of the network.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) report: bool,
    pub(crate) body: Vec<u8>,
    pub(crate) asks: Vec<LeaseAsk>,
    pub(crate) purpose: Purpose,
}

/// What an answer is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// A worker's own asks.
    Urgent { worker: usize, sent: Instant },
    /// Leases that are noted in no slot, as those that come with a resolve answer.
    First { sent: Instant },
    /// The node's report.
    Report { sequence: u64, sent: Instant },
}

/// A request that was judged.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) consumer: usize,
    pub(crate) cost: u32,
    /// The lease that paid for each quota; 0: it was let pass.
    pub(crate) leases: Vec<u64>,
}

#[derive(Debug)]
struct Waiting {
    consumer: usize,
    cost: u32,
    until: Instant,
}

/// First asks of leases, which a worker repeats unchanged until they are answered.
#[derive(Debug)]
struct Owed {
    asks: Vec<LeaseAsk>,
    /// When they were sent, if they are under way; otherwise when they are to be.
    sent: Result<Instant, Instant>,
}

#[derive(Debug)]
struct Worker {
    leases: Leases,
    owed: Vec<Owed>,
    notes: Notes,
    counters: Counters,
    waiting: Vec<Waiting>,
}

/// Shared data that a worker may have read just before another one wrote.
#[derive(Debug)]
struct Raced {
    memory: Memory,
    before: HashMap<String, (u64, Before)>,
    reads: u64,
    rng: Rng,
}

/// What was there before it was written, if anything.
type Before = Option<(Version, Vec<u8>)>;

/// A worker reads too early by no more than so many reads.
const A_MOMENT: u64 = 6;

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) incarnation: u64,
    /// Its clock is not the world's: an offset, and a drift in millionths.
    offset: u64,
    drift: u64,
    slots: u32,
    shared: Raced,
    workers: Vec<Worker>,
    outbox: Outbox,
    reported_at: Instant,
    /// It takes no requests any more.
    pub(crate) drains: bool,
    pub(crate) calls: Vec<Call>,
    pub(crate) judged: Vec<Judged>,
    /// Of each quota, the cost that was refused last, and when.
    pub(crate) refused: HashMap<Quota, (u32, u64)>,
    known_stranded: u64,
}

impl Node {
    pub(crate) fn new(incarnation: u64, workers: usize, slots: u32, rng: &mut Rng) -> Self {
        let shared = Raced { memory: Memory::default(), before: HashMap::new(), reads: 0, rng: rng.fork() };
        Self {
            incarnation,
            offset: rng.u64(SECOND..1_000_000 * SECOND),
            drift: rng.u64(0..2_000),
            slots,
            shared,
            workers: (0..workers).map(|_| Worker::new(slots)).collect(),
            outbox: Outbox::new("sim/report".to_owned()),
            reported_at: Instant(0),
            drains: false,
            calls: Vec::new(),
            judged: Vec::new(),
            refused: HashMap::new(),
            known_stranded: 0,
        }
    }

    pub(crate) fn now(&self, world: u64) -> Instant {
        Instant(self.offset + world + world / 1_000_000 * self.drift)
    }

    /// A worker's memory is lost, and the requests that waited there.
    pub(crate) fn trap(&mut self, worker: usize) {
        self.workers[worker] = Worker::new(self.slots);
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Units that a worker could not give back any more.
    pub(crate) fn stranded(&self) -> u64 {
        self.workers.iter().map(|worker| worker.counters.get(Counter::StrandedUnits)).sum()
    }

    /// Of those, the ones since this was last asked.
    pub(crate) fn newly_stranded(&mut self) -> u64 {
        let stranded = self.stranded();
        stranded.saturating_sub(std::mem::replace(&mut self.known_stranded, stranded))
    }

    /// A request comes.
    pub(crate) fn request(&mut self, worker: usize, consumer: usize, cost: u32, known: &[Known], world: u64) {
        let until = self.now(world).after(PATIENCE);
        self.judge(worker, Waiting { consumer, cost, until }, known, world);
        self.send(worker, world);
    }

    /// Asks for a lease of each limit of a consumer, whatever its slots hold, as with a key that a worker does not know. There the request would
    /// wait for the answer; here it need not.
    pub(crate) fn first(&mut self, worker: usize, consumer: usize, cost: u32, known: &[Known], world: u64) {
        let (now, consumer, need) = (self.now(world), &known[consumer], u64::from(cost));
        let Some(lease) = next_number(&mut self.shared) else { return };
        let ask = |leased: &Leased| {
            let (consumer, limit) = (consumer.name.clone(), leased.name.clone());
            LeaseAsk { consumer, limit, lease, number: 1, need, waiting: need, ..LeaseAsk::default() }
        };
        let asks = consumer.leased.iter().map(ask).collect();
        self.workers[worker].owed.push(Owed { asks, sent: Err(now) });
        self.repeat(worker, now);
    }

    fn repeat(&mut self, worker: usize, now: Instant) {
        for owed in &mut self.workers[worker].owed {
            if owed.sent.is_err_and(|due| now >= due) {
                owed.sent = Ok(now);
                let asks = owed.asks.clone();
                let body = encode(&Settle { asks: asks.clone() }).unwrap();
                self.calls.push(Call { report: false, body, asks, purpose: Purpose::First { sent: now } });
            }
        }
    }

    /// Takes the answers to first asks, unless they are not waited for any more.
    fn brought(
        &mut self,
        body: &[u8],
        sent: Instant,
        known: &[Known],
        now: Instant,
        mut adopted: impl FnMut(&LeaseAsk, u64),
        asks: &[LeaseAsk],
    ) {
        let settled: tollgate_core::wire::Settled = tollgate_core::wire::decode(body).unwrap();
        for own in &mut self.workers {
            let Some(position) = own.owed.iter().position(|owed| owed.sent == Ok(sent) && owed.asks == asks) else { continue };
            own.owed.swap_remove(position);
            for (ask, answer) in asks.iter().zip(&settled.answers) {
                let Some((subject, name)) = find(known, ask).filter(|_| !answer.closed) else { continue };
                let place = own.leases.place(subject, name);
                let first = First { place, consumer: &ask.consumer, limit: &ask.limit, need: ask.need, sent };
                let taken = own.leases.take_first(&first, answer, settled.revision, now, &mut self.shared);
                if taken && answer.granted > 0 {
                    adopted(ask, answer.window);
                }
            }
        }
    }

    /// A worker's clock ticks; the first one also speaks for the node.
    pub(crate) fn tick(&mut self, worker: usize, known: &[Known], world: u64) {
        let now = self.now(world);
        let own = &mut self.workers[worker];
        let woken = own.leases.tick(worker == 0, now, &mut self.shared, &mut own.counters);
        self.wake(worker, |waiting| now >= waiting.until || woken.contains(&subject(waiting.consumer).tag), known, world);
        self.send(worker, world);
        self.repeat(worker, now);
        let own = &mut self.workers[worker];
        own.notes.leases.extend(own.leases.take_background());
        own.notes.overages.extend(own.leases.take_overages());
        let _ = self.outbox.add(&mut own.notes, &mut self.shared);
        if worker == 0 && now.since(self.reported_at) >= REPORT_EVERY {
            self.reported_at = now;
            if let Ok(Some(Frozen { sequence, body })) = self.outbox.freeze(&mut self.shared) {
                let report: Report = tollgate_core::wire::decode(&body).unwrap();
                self.calls.push(Call { report: true, body, asks: report.leases, purpose: Purpose::Report { sequence, sent: now } });
            }
        }
    }

    /// An answer comes; `adopted` hears of each grant that a slot took.
    pub(crate) fn answered(
        &mut self,
        purpose: &Purpose,
        body: &[u8],
        known: &[Known],
        world: u64,
        mut adopted: impl FnMut(&LeaseAsk, u64),
        asks: &[LeaseAsk],
    ) {
        let now = self.now(world);
        let (worker, revision, answers, sent) = match purpose {
            Purpose::Urgent { worker, sent } => {
                let settled: tollgate_core::wire::Settled = tollgate_core::wire::decode(body).unwrap();
                (*worker, settled.revision, settled.answers, *sent)
            }
            Purpose::First { sent } => return self.brought(body, *sent, known, now, adopted, asks),
            Purpose::Report { sequence, sent } => {
                let acknowledged: tollgate_core::wire::Acknowledged = tollgate_core::wire::decode(body).unwrap();
                let _ = self.outbox.clear(*sequence, &mut self.shared);
                (0, acknowledged.revision, acknowledged.leases, *sent)
            }
        };
        let own = &mut self.workers[worker];
        if !asks.is_empty() {
            own.leases.heard(true, now);
        }
        for (ask, answer) in asks.iter().zip(&answers) {
            let Some((subject, name)) = find(known, ask) else { continue };
            let place = own.leases.place(subject, name);
            if own.leases.answered(place, answer, revision, sent, now, &mut self.shared) && answer.granted > 0 {
                adopted(ask, answer.window);
            }
        }
        let asked = |waiting: &Waiting| asks.iter().any(|ask| ask.consumer == known[waiting.consumer].name);
        self.wake(worker, asked, known, world);
        self.send(worker, world);
    }

    /// No answer came in time.
    pub(crate) fn unanswered(&mut self, purpose: &Purpose, world: u64) {
        let now = self.now(world);
        match purpose {
            Purpose::Urgent { worker, .. } => drop(self.workers[*worker].leases.heard(false, now)),
            Purpose::First { sent } => {
                let lost = self.workers.iter_mut().flat_map(|own| &mut own.owed).filter(|owed| owed.sent == Ok(*sent));
                lost.for_each(|owed| owed.sent = Err(now.after(SECOND)));
            }
            Purpose::Report { .. } => {}
        }
    }

    /// The feed tells news of a revision.
    pub(crate) fn told(&mut self, (consumer, limit): Quota, news: News, revision: u64, known: &[Known], world: u64) {
        let now = self.now(world);
        let subject = subject(consumer);
        for own in &mut self.workers {
            match news {
                News::Recall => {
                    let place = own.leases.place(subject, known[consumer].names[limit]);
                    own.leases.recall(place, now, &mut self.shared);
                }
                News::Raise => own.leases.changed(Some((subject, &known[consumer].name)), revision, now, &mut self.shared),
                News::RaiseAll => own.leases.raised(None, revision),
            }
        }
    }

    /// Judges waiting requests again.
    fn wake(&mut self, worker: usize, wakes: impl Fn(&Waiting) -> bool, known: &[Known], world: u64) {
        let (woken, others) = std::mem::take(&mut self.workers[worker].waiting).into_iter().partition(wakes);
        self.workers[worker].waiting = others;
        for waiting in Vec::into_iter(woken) {
            self.judge(worker, waiting, known, world);
        }
    }

    fn judge(&mut self, worker: usize, waiting: Waiting, known: &[Known], world: u64) {
        let now = self.now(world);
        let own = &mut self.workers[worker];
        let consumer = &known[waiting.consumer];
        let tier = TierLeases { position: waiting.consumer, leased: &consumer.leased, names: &consumer.names };
        let ask = Ask {
            tier,
            subject: subject(waiting.consumer),
            consumer: &consumer.name,
            route: 0,
            cost: waiting.cost,
            impatient: now >= waiting.until,
            now,
        };
        match own.leases.judge(&ask, &mut Default::default(), &mut self.shared, &mut own.counters) {
            Outcome::Admitted { charge, .. } => {
                let leases: Vec<u64> = (0..consumer.leased.len()).map(|limit| charge.lease(limit)).collect();
                // Now and then a request is not charged after all.
                if self.shared.rng.u8(0..50) == 0 && !leases.contains(&0) {
                    own.leases.give_back(tier, &charge, now, &mut self.shared, &mut own.counters);
                    return;
                }
                self.judged.push(Judged { consumer: waiting.consumer, cost: waiting.cost, leases });
            }
            Outcome::Waiting => own.waiting.push(waiting),
            Outcome::Refused { position, .. } => {
                self.refused.insert((waiting.consumer, position), (waiting.cost, world));
            }
            Outcome::Unavailable => {}
        }
    }

    fn send(&mut self, worker: usize, world: u64) {
        let asks = self.workers[worker].leases.take_urgent();
        if asks.is_empty() {
            return;
        }
        let body = encode(&Settle { asks: asks.clone() }).unwrap();
        self.calls.push(Call { report: false, body, asks, purpose: Purpose::Urgent { worker, sent: self.now(world) } });
    }
}

impl Worker {
    fn new(slots: u32) -> Self {
        Self {
            leases: Leases::new(slots, &["sim"]),
            owed: Vec::new(),
            notes: Notes::default(),
            counters: Counters::default(),
            waiting: Vec::new(),
        }
    }
}

impl SharedData for Raced {
    fn get(&mut self, key: &str, value: &mut Vec<u8>) -> Result<Option<Version>, Broken> {
        // What another worker wrote a moment ago is not seen: the swap that follows must fail.
        self.reads += 1;
        if self.rng.u8(0..10) == 0
            && let Some((written, before)) = self.before.get(key)
            && self.reads - written <= A_MOMENT
        {
            return Ok(before.as_ref().map(|(version, bytes)| {
                value.clear();
                value.extend_from_slice(bytes);
                *version
            }));
        }
        self.memory.get(key, value)
    }

    fn set(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> Result<bool, Broken> {
        let mut old = Vec::new();
        let before = self.memory.get(key, &mut old)?.map(|version| (version, old));
        let done = self.memory.set(key, value, expected)?;
        if done {
            self.before.insert(key.to_owned(), (self.reads, before));
        }
        Ok(done)
    }
}

fn find(known: &[Known], ask: &LeaseAsk) -> Option<(Subject, u64)> {
    let consumer = known.iter().position(|known| known.name == ask.consumer)?;
    let limit = known[consumer].leased.iter().position(|leased| leased.name == ask.limit)?;
    Some((subject(consumer), known[consumer].names[limit]))
}

pub(crate) fn subject(consumer: usize) -> Subject {
    let hash = (consumer as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Subject { table: Table::Consumers, place: hash, tag: hash.rotate_left(29) | 1 }
}

/// A hash of a limit's name.
pub(crate) fn name_hash(limit: usize) -> u64 {
    (limit as u64 + 7).wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
}

/// How often workers tick.
pub(crate) const TICK_EVERY: u64 = 50 * MS;
