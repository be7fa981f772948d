//! Owns the simulated backend: the ledger's real arithmetic over records in memory, of which some are durable. Must not know nodes.
//! Accounts of rates are not durable at all.

use std::collections::{BTreeMap, HashMap};

use tollgate_core::ledger::{Holder, Lease, RateRow, Row, SHORTEST_LEASE, Which, Window};
use tollgate_core::limit::Rate;
use tollgate_core::sabotage::{RULES, Rule, removed};
use tollgate_core::wire::{Acknowledged, LeaseAnswer, LeaseAsk, Report, Settle, Settled, decode, encode};

/// The ledger's clocks, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// What the calendar goes by.
    pub(crate) wall: u64,
    /// What rates go by: nobody sets it.
    pub(crate) passed: u64,
}

/// A limit of a consumer: positions.
pub(crate) type Quota = (usize, usize);

/// A row's key.
pub(crate) type Key = (Quota, u64);

/// What the feed tells of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Units are wanted elsewhere.
    Recall,
    /// There may be more than there was.
    Raise,
    /// There may be more of any.
    RaiseAll,
}

/// What is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records {
    pub(crate) rows: BTreeMap<Key, Row>,
    pub(crate) holders: BTreeMap<(Key, u64), Holder>,
    /// The newest report of each incarnation whose overages were taken.
    reported: HashMap<u64, u64>,
    fenced: Vec<u64>,
}

/// A message from a node.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) incarnation: u64,
    /// `Settle`, or `Report`.
    pub(crate) report: bool,
    /// Its leases are wanted only where none is open.
    pub(crate) first: bool,
    pub(crate) body: Vec<u8>,
    /// Where the answer goes.
    pub(crate) call: u64,
}

/// What happened to a lease, as the oracle must know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) incarnation: u64,
    pub(crate) lease: u64,
    pub(crate) granted: u64,
    pub(crate) returned: u64,
    pub(crate) closed: bool,
}

/// What a commit lets out: what it kept, answers by their calls, and what the feed is to tell.
pub(crate) type Committed = (Vec<Entry>, Vec<(u64, Vec<u8>)>, Vec<(Quota, News)>);

/// The backend.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// As judged, and as it would be after a crash.
    pub(crate) working: Records,
    durable: Records,
    pub(crate) limits: HashMap<Quota, u64>,
    rates: HashMap<Quota, Rate>,
    accounts: HashMap<Quota, RateRow<u64>>,
    pub(crate) names: HashMap<(String, String), Quota>,
    /// The period's length in milliseconds, and when it becomes endless.
    period: u64,
    endless_from: u64,
    pub(crate) revision: u64,
    waiting: Vec<Message>,
    /// What is being committed.
    committing: Option<Vec<(u64, Vec<u8>)>>,
    entries: Vec<Entry>,
    /// What the feed is to tell: units are wanted elsewhere, or came free.
    news: Vec<(Quota, News)>,
    /// Grants that are too small for what was needed, which must not be.
    pub(crate) useless: u64,
    /// Whether units of who was silent came free, which must not be: rows no longer add up then.
    pub(crate) expires: bool,
    /// Everything judged is printed.
    pub(crate) traces: bool,
}

impl Ledger {
    pub(crate) fn new(
        limits: HashMap<Quota, u64>,
        rates: HashMap<Quota, Rate>,
        names: HashMap<(String, String), Quota>,
        period: u64,
        endless_from: u64,
    ) -> Self {
        Self {
            working: Records::default(),
            durable: Records::default(),
            limits,
            rates,
            accounts: HashMap::new(),
            names,
            period,
            endless_from,
            revision: 1,
            waiting: Vec::new(),
            committing: None,
            entries: Vec::new(),
            news: Vec::new(),
            useless: 0,
            expires: removed(Rule::SilenceBurns),
            traces: false,
        }
    }

    pub(crate) fn receive(&mut self, message: Message) {
        self.waiting.push(message);
    }

    /// Judges what waits and begins to commit it; `false` if there is nothing, or a commit is under way.
    pub(crate) fn begin(&mut self, now: Clocks) -> bool {
        if self.committing.is_some() || self.waiting.is_empty() {
            return false;
        }
        let answers = std::mem::take(&mut self.waiting).into_iter().map(|message| (message.call, self.judge(&message, now)));
        self.committing = Some(answers.collect());
        true
    }

    /// Answers that may go out before the commit: none, unless the rule is removed.
    pub(crate) fn premature(&mut self) -> Vec<(u64, Vec<u8>)> {
        match &mut self.committing {
            Some(answers) if removed(Rule::DurableFirst) => std::mem::take(answers),
            Some(_) | None => Vec::new(),
        }
    }

    /// The commit is done: what it kept, the answers that may go out, and what the feed is to tell.
    pub(crate) fn commit(&mut self) -> Committed {
        let Some(answers) = self.committing.take() else {
            return Default::default();
        };
        self.durable = self.working.clone();
        (std::mem::take(&mut self.entries), answers, std::mem::take(&mut self.news))
    }

    /// The process dies. A commit under way is on the disk, or not.
    pub(crate) fn crash(&mut self, committed: bool) -> Vec<Entry> {
        let entries = std::mem::take(&mut self.entries);
        self.waiting.clear();
        self.news.clear();
        self.accounts.clear();
        let committed = self.committing.take().is_some() && committed;
        if committed {
            self.durable = self.working.clone();
            return entries;
        }
        self.working = self.durable.clone();
        Vec::new()
    }

    /// An operator says that an incarnation is gone: what was released, by row.
    pub(crate) fn release(&mut self, incarnation: u64) -> Vec<(Key, Lease)> {
        let mut released = Vec::new();
        for ((key, holder_of), holder) in &mut self.working.holders {
            if *holder_of != incarnation {
                continue;
            }
            let open = holder.leases.iter().filter(|lease| !lease.closed).copied().collect::<Vec<_>>();
            if let Some(row) = self.working.rows.get_mut(key) {
                row.release(holder);
            }
            released.extend(open.into_iter().map(|lease| (*key, lease)));
        }
        self.working.fenced.push(incarnation);
        self.durable = self.working.clone();
        released
    }

    /// The row that follows the one in force, made if there is none and it begins soon.
    fn following(&mut self, quota: Quota, window: Window, now: u64) -> Option<Key> {
        let key = (quota, window.end);
        let limit = self.limits.get(&quota).copied().unwrap_or_default();
        if let Some(row) = self.working.rows.get_mut(&key) {
            row.limit = limit;
            return Some(key);
        }
        let following = window.following(self.period_at(window.end), now)?;
        self.working.rows.insert(key, Row::new(following, limit));
        Some(key)
    }

    /// The row that follows one, if units of it were granted.
    pub(crate) fn after(&self, (quota, start): Key) -> Option<Key> {
        self.working.rows.range((quota, start + 1)..=(quota, u64::MAX)).next().map(|(key, _)| *key)
    }

    fn period_at(&self, now: u64) -> Window {
        let start = now - now % self.period;
        if now >= self.endless_from {
            Window { start: self.endless_from, end: u64::MAX / 4 }
        } else {
            Window { start, end: (start + self.period).min(self.endless_from) }
        }
    }

    /// The row in force.
    pub(crate) fn row(&mut self, quota: Quota, now: u64) -> Key {
        let rows = self.working.rows.range((quota, 0)..=(quota, u64::MAX));
        let newest = rows.rev().map(|(_, row)| *row).find(|row| row.has_begun(now)).map(|row| row.window);
        let window = Window::in_force(newest, self.period_at(now), now);
        let limit = self.limits.get(&quota).copied().unwrap_or_default();
        let key = (quota, window.start);
        let row = self.working.rows.entry(key).or_insert_with(|| Row::new(window, limit));
        (row.limit, row.begun) = (limit, true);
        key
    }

    fn judge(&mut self, message: &Message, now: Clocks) -> Vec<u8> {
        if !message.report {
            let settle: Settle = decode(&message.body).unwrap_or(Settle { asks: Vec::new() });
            let answers = settle.asks.iter().map(|ask| self.settle_if(message, ask, now)).collect();
            return encode(&Settled { revision: self.revision, answers }).unwrap_or_default();
        }
        let report: Report = decode(&message.body).unwrap_or_default();
        let leases = report.leases.iter().map(|ask| self.settle(message.incarnation, ask, now)).collect();
        let newest = self.working.reported.entry(message.incarnation).or_default();
        if report.sequence > *newest {
            *newest = report.sequence;
            for overage in &report.overages {
                let quota = self.names.get(&(overage.consumer.clone(), overage.limit.clone())).copied();
                if let Some(quota) = quota.filter(|quota| self.limits.contains_key(quota)) {
                    let key = self.row(quota, now.wall);
                    if let Some(row) = self.working.rows.get_mut(&key) {
                        row.overage += overage.units;
                    }
                }
            }
        }
        encode(&Acknowledged { sequence: report.sequence, revision: self.revision, leases, unblocked: Vec::new() }).unwrap_or_default()
    }

    fn settle_if(&mut self, message: &Message, ask: &LeaseAsk, now: Clocks) -> LeaseAnswer {
        let (incarnation, lease) = (message.incarnation, ask.lease);
        if message.first
            && let Some(quota) = self.names.get(&(ask.consumer.clone(), ask.limit.clone())).copied()
        {
            let key = (!self.rates.contains_key(&quota)).then(|| self.row(quota, now.wall));
            let holder = key.and_then(|key| self.working.holders.get(&(key, incarnation)));
            let rate = self.accounts.get(&quota).is_some_and(|rate| rate.has_another(&incarnation, lease));
            if rate || holder.is_some_and(|holder| holder.has_another(lease)) {
                return LeaseAnswer { lease, number: ask.number, closed: true, ..LeaseAnswer::default() };
            }
        }
        self.settle(incarnation, ask, now)
    }

    fn settle(&mut self, incarnation: u64, ask: &LeaseAsk, Clocks { wall: now, passed }: Clocks) -> LeaseAnswer {
        let closed = LeaseAnswer { lease: ask.lease, number: ask.number, closed: true, ..LeaseAnswer::default() };
        let Some(quota) = self.names.get(&(ask.consumer.clone(), ask.limit.clone())).copied() else {
            return closed;
        };
        if self.working.fenced.contains(&incarnation) {
            return closed;
        }
        if let Some(rate) = self.rates.get(&quota) {
            let answer = self.accounts.entry(quota).or_insert_with(|| RateRow::new(*rate, passed)).settle(incarnation, ask, passed);
            self.useless += u64::from(answer.granted > 0 && answer.granted < ask.need);
            if self.traces {
                println!("{passed:>6} ms  node {incarnation} {ask:?}\n           {answer:?}\n           {:?}", self.accounts.get(&quota));
            }
            return answer;
        }
        let mut key = self.row(quota, now);
        let window = self.working.rows.get(&key).map(|row| row.window);
        match window.map(|window| (window.asked(ask), window)) {
            Some((Which::Following, window)) => match self.following(quota, window, now) {
                Some(following) => key = following,
                None => return closed,
            },
            Some((Which::InForce, _)) => {}
            Some((Which::Neither, _)) | None => return closed,
        }
        if self.expires {
            self.expire(key, now);
        }
        let lately = now.saturating_sub(2 * SHORTEST_LEASE);
        let active = self.working.holders.iter().filter(|((own, other), holder)| {
            *own == key && *other != incarnation && holder.leases.iter().any(|lease| lease.asked_at >= lately && !lease.closed)
        });
        let active = 1 + u64::try_from(active.count()).unwrap_or(u64::MAX);
        let Some(row) = self.working.rows.get_mut(&key) else {
            return closed;
        };
        let holder = self.working.holders.entry((key, incarnation)).or_default();
        let before: Option<Lease> = holder.leases.iter().find(|lease| lease.lease == ask.lease).copied();
        let rules_hold = RULES.iter().all(|(rule, _)| !removed(*rule));
        assert!(!rules_hold || !holder.shows_loss(ask, row.window.start), "nothing was lost: {ask:?} {holder:?} {row:?}");
        let settled = row.settle(holder, ask, now, active);
        let answer = settled.answer;
        if self.traces {
            println!("{now:>6} ms  node {incarnation} {ask:?}\n           {answer:?}\n           {row:?}");
        }
        let known = before.is_some_and(|before| before.asked >= ask.number);
        self.useless += u64::from(answer.granted > 0 && answer.granted < ask.need && !known);
        let before = before.unwrap_or_default();
        let after = holder.leases.iter().find(|lease| lease.lease == ask.lease).copied();
        // What is closed is forgotten, unless it is the newest.
        let closed = Lease { returned: ask.returned.max(before.returned), closed: true, ..before };
        let after = after.or((before.lease != 0 && !before.closed).then_some(closed)).unwrap_or(before);
        if after != before && after.granted > 0 {
            let Lease { lease, granted, returned, closed, .. } = after;
            self.entries.push(Entry { key, incarnation, lease, granted, returned, closed });
        }
        if settled.recall {
            self.news.push((quota, News::Recall));
        }
        if settled.freed {
            self.news.push((quota, News::Raise));
        }
        answer
    }

    /// What the rule forbids: units of who is silent come free.
    fn expire(&mut self, key: Key, now: u64) {
        for ((own, _), holder) in &mut self.working.holders {
            let silent = holder.leases.iter().all(|lease| now.saturating_sub(lease.asked_at) > 2 * SHORTEST_LEASE);
            if *own == key
                && silent
                && let Some(row) = self.working.rows.get_mut(&key)
            {
                row.release(holder);
            }
        }
    }
}
