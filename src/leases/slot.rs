//! Owns a slot: what a node holds of one limit of one consumer, and how that changes. Must not touch shared data or send anything.
//!
//! A slot has at most one lease and at most one ask under way. An ask is noted here before it is sent, is made again from the slot
//! alone, and its answer counts only for as long as it is noted (DESIGN.md, Leases).
//!
//! Units of a quota are good until its window ends, and the lease with them. Those of a rate expire, grant by grant, and the lease lives
//! on: a slot knows those of the newest grant from the older ones, spends the older ones first and returns only newest ones.

mod ahead;
mod bytes;
mod first;

use tollgate_core::ledger::SHORTEST_LEASE;
use tollgate_core::sabotage::{self, Rule};
use tollgate_core::time::{Instant, SECOND};
use tollgate_core::wire::{LeaseAnswer, LeaseAsk};

pub(super) use ahead::next_tag;

const MILLISECOND: u64 = 1_000_000;
/// A node reports at least so often, in milliseconds.
const REPORTED_WITHIN: u64 = 1_000;
/// A refusal is remembered no longer than this.
const LONGEST_REFUSAL: u64 = 60 * SECOND;
/// The largest number that may be told.
const LARGEST: u64 = 1 << 53;
/// What is spent is measured over no less than this.
const SHORTEST_MEASURE: u64 = SECOND / 10;
/// A part of a refusal's time by which nodes that were refused together come back at different moments.
const JITTER: u64 = 8;

/// What a node holds of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    /// Tells rows in one set apart.
    pub(super) tag: u64,
    /// The lease's number; 0: none.
    lease: u64,
    /// The number of its newest ask.
    number: u64,
    /// Units workers may take.
    units: u64,
    /// Units adopted, in all.
    granted: u64,
    /// Units returned, in all: taken out of `units`, and told with the next ask.
    returned: u64,
    /// The ledger's name of the window; 0: not known yet.
    window: u64,
    /// The slot is of the window that follows the one of this name, until that begins; 0: it is of the one in force.
    after: u64,
    /// Nothing is to be had here before.
    opens_at: Instant,
    /// The units are worth nothing from here on: the window is over, or those of the newest grant have expired.
    until: Instant,
    /// Of a rate: for how long units may be spent after a grant was asked for, in milliseconds. 0: it is a quota.
    life: u64,
    /// Of the units, those of older grants, and when they expire.
    older: u64,
    older_until: Instant,
    /// When all of the limit can be had again.
    full_at: Instant,
    /// The lease should be settled from here on.
    lasts_until: Instant,
    /// For how long it was granted, in milliseconds.
    lasts: u64,
    /// What the last ask that got anything got.
    newest: u64,
    /// When a worker last took something, or wanted to.
    used_at: Instant,
    /// Units spent lately, in a thousand seconds.
    demand: u64,
    /// When that was measured, and how much had been spent.
    measured_at: Instant,
    measured: u64,
    /// When the ask under way was noted; 0: none is.
    asked_at: Instant,
    /// When it was last sent; 0: not yet.
    sent_at: Instant,
    need: u64,
    waiting: u64,
    /// The last ask got too little: so much is not worth another one before this time.
    refused_until: Instant,
    refused_need: u64,
    /// The revision that was true of.
    refused_at: u64,
    /// 1: nothing can come back before the window ends.
    spent: u64,
    /// What the ledger last said of the window.
    limit: u64,
    left: u64,
    pub(super) consumer: String,
    pub(super) name: String,
}

/// What a worker finds in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// So many units, which are the worker's now, until then.
    Units(u64, Instant),
    /// Not enough, and the ledger has no more for the time being.
    Refused,
    /// An ask is under way.
    Pending,
    /// There is nothing here, and nothing is known.
    Nothing,
}

impl Slot {
    #[inline(never)]
    pub(super) fn new(tag: u64, consumer: &str, name: &str, now: Instant) -> Self {
        Self { tag, consumer: consumer.to_owned(), name: name.to_owned(), used_at: now, measured_at: now, ..Self::default() }
    }

    /// Takes what a request needs, and up to `wanted` with it. `raised`: refusals of older revisions are no longer true.
    #[inline(never)]
    pub(super) fn take(&mut self, need: u64, wanted: u64, raised: u64, now: Instant) -> Found {
        self.expire(now);
        self.used_at = now;
        if now < self.opens_at {
            return Found::Pending;
        }
        if self.units >= need && self.lease != 0 {
            // Of older units alone, where they are enough: what is taken together expires together.
            let (most, until) = match self.older {
                0 => (self.units, self.until),
                older if older >= need => (older, self.older_until),
                _ => (self.units, self.until.min(self.older_until)),
            };
            let taken = wanted.clamp(need, most);
            self.units -= taken;
            self.older = self.older.saturating_sub(taken);
            return Found::Units(taken, until);
        }
        if now < self.refused_until && need >= self.refused_need && self.refused_at >= raised {
            return Found::Refused;
        }
        if self.asked_at == Instant(0) || sabotage::removed(Rule::OnePending) { Found::Nothing } else { Found::Pending }
    }

    /// Puts back what a worker took of a lease and did not spend, and might have until `until`; `false` if the lease is another one now.
    pub(super) fn give_back(&mut self, lease: u64, units: u64, until: Instant, now: Instant) -> bool {
        let good = now < if self.life > 0 { until } else { self.until };
        let own = self.lease == lease && good || sabotage::removed(Rule::GiveBackToLease);
        if own {
            self.expire(now);
            if self.life > 0 && until != self.until {
                self.older_until = if self.older > 0 { self.older_until.min(until) } else { until };
                self.older = self.older.saturating_add(units);
            }
            self.units = self.units.saturating_add(units);
        }
        own
    }

    /// Drops what is worth nothing any more.
    fn expire(&mut self, now: Instant) {
        if self.life == 0 {
            if self.window != 0 && now >= self.until {
                self.end();
            }
            return;
        }
        let newest = if now >= self.until { self.units.saturating_sub(self.older) } else { 0 };
        let older = if now >= self.older_until { self.older } else { 0 };
        self.units = self.units.saturating_sub(newest + older);
        self.older -= older;
        // Nobody has spent them.
        self.measured = self.measured.saturating_add(newest + older);
    }

    /// A new lease, if there is none.
    pub(super) fn open(&mut self, lease: impl FnOnce() -> Option<u64>) -> Option<()> {
        if self.lease == 0 {
            self.lease = lease()?;
            (self.number, self.granted, self.returned, self.measured) = (0, 0, 0, 0);
            (self.units, self.older) = (0, 0);
        }
        Some(())
    }

    /// Notes an ask for what waits, or for nothing but to last. What is left is too little for who waits: it is returned with the ask, so that
    /// the ledger can make a whole of it. Of a rate, what would only expire is returned too.
    #[inline(never)]
    pub(super) fn ask(&mut self, need: u64, waiting: u64, now: Instant) {
        self.measure(now);
        if need > 0 {
            self.seal(self.units);
        } else if self.life > 0 {
            self.seal(self.units.saturating_sub(self.spends_in(self.lasts)));
        }
        self.number += 1;
        self.asked_at = now;
        self.sent_at = Instant(0);
        self.need = need;
        self.waiting = waiting.max(need);
    }

    /// Whether the ask under way is to be sent, if the last time was so long ago.
    pub(super) fn is_due(&self, after: u64, now: Instant) -> bool {
        self.asked_at != Instant(0) && (self.sent_at == Instant(0) || now.since(self.sent_at) >= after)
    }

    /// The ask under way is sent; the message.
    #[inline(never)]
    pub(super) fn send(&mut self, now: Instant) -> LeaseAsk {
        self.sent_at = now;
        LeaseAsk { need: self.need, waiting: self.waiting, ..self.message() }
    }

    /// Whether the lease should be renewed although nobody waits: it is half spent or its time is over, and there is enough for all.
    pub(super) fn wants_renewal(&self, now: Instant) -> bool {
        let runs_out = self.units < self.newest / 2 || now >= self.lasts_until;
        let enough = self.lasts > SHORTEST_LEASE || self.life > 0;
        // Before it is known what is spent, nothing would be granted.
        let measured = self.demand > 0 || now.since(self.measured_at) >= SHORTEST_MEASURE;
        self.lease != 0 && self.asked_at == Instant(0) && enough && measured && now >= self.refused_until && runs_out
    }

    /// Whether a renewal is worth a message of its own: what there is lasts no longer than until the node next reports.
    pub(super) fn is_short(&self) -> bool {
        self.life > 0 || self.units <= self.spends_in(REPORTED_WITHIN)
    }

    /// Takes the answer to an ask, whose message was sent at `sent`; `false` if it is not under way.
    #[inline(never)]
    pub(super) fn adopt(&mut self, answer: &LeaseAnswer, revision: u64, sent: Instant, now: Instant) -> bool {
        let under_way = self.asked_at != Instant(0) && self.number == answer.number;
        if self.lease != answer.lease || !(under_way || sabotage::removed(Rule::AdoptOnce) && self.lease != 0) {
            return false;
        }
        self.asked_at = Instant(0);
        if answer.closed {
            self.end();
            if answer.number == 1 {
                // Not even a new lease is to be had: this must not become a call for each request.
                (self.refused_until, self.refused_need, self.refused_at, self.spent) = (now.after(SECOND), 0, revision, 0);
            }
            return true;
        }
        self.expire(now);
        self.life = answer.expires_in_ms;
        self.full_at = sent.after(answer.full_in_ms.saturating_mul(MILLISECOND));
        let same = std::mem::replace(&mut self.window, answer.window) == answer.window;
        if self.life == 0 {
            // A window ends no sooner than any of the answers says: one that took long says too little.
            self.until = if same { self.until.max(self.full_at) } else { self.full_at };
        } else if answer.granted > 0 {
            if self.units > self.older {
                self.older_until = if self.older > 0 { self.older_until.min(self.until) } else { self.until };
            }
            self.older = self.units;
            let life = if sabotage::removed(Rule::RatesExpire) { 10 * self.life } else { self.life };
            self.until = sent.after(life.saturating_mul(MILLISECOND));
        }
        self.units = self.units.saturating_add(answer.granted);
        self.granted = self.granted.saturating_add(answer.granted);
        if answer.granted > 0 {
            self.newest = answer.granted;
        }
        self.lasts = answer.lasts_ms;
        self.lasts_until = sent.after(answer.lasts_ms.saturating_mul(MILLISECOND));
        if self.after != 0 {
            // No sooner than it begins: counted from when the answer came. Then it is as if it had just been granted and used.
            let opens_in = if sabotage::removed(Rule::NotBefore) { 0 } else { answer.opens_in_ms };
            self.opens_at = now.after(opens_in.saturating_mul(MILLISECOND));
            self.used_at = self.opens_at;
            self.lasts_until = self.opens_at.after(answer.lasts_ms.saturating_mul(MILLISECOND));
        }
        (self.limit, self.left) = (answer.limit, answer.left);
        if self.need >= self.refused_need {
            self.refused_until = Instant(0);
        }
        if answer.retry_ms > 0 {
            let retry = answer.retry_ms.saturating_mul(MILLISECOND).min(LONGEST_REFUSAL);
            let latest = if self.life == 0 { self.until } else { Instant(u64::MAX) };
            let jitter = self.tag.wrapping_mul(answer.number) % (retry / JITTER).max(1);
            self.refused_until = now.after((retry + jitter).min(LONGEST_REFUSAL)).min(latest);
            (self.refused_need, self.refused_at) = (self.need, revision);
            self.spent = u64::from(self.life == 0 && answer.retry_ms >= answer.full_in_ms);
        }
        true
    }

    /// Takes all units out but those for a short time, to be returned; `true` if an ask must tell of it.
    pub(super) fn shrink(&mut self, now: Instant) -> bool {
        let rest = self.units.saturating_sub(self.spends_in(SHORTEST_LEASE));
        if rest == 0 || self.lease == 0 || self.asked_at != Instant(0) || now >= self.until {
            return false;
        }
        self.seal(rest);
        true
    }

    /// Whether nobody has wanted anything for `idle`, and nothing is under way or worth remembering.
    pub(super) fn is_idle(&self, idle: u64, now: Instant) -> bool {
        self.asked_at == Instant(0) && now.since(self.used_at) >= idle && now >= self.refused_until
    }

    /// Ends the lease: the message that returns what is left, if anybody needs to hear it.
    #[inline(never)]
    pub(super) fn close(&mut self, now: Instant) -> Option<LeaseAsk> {
        let told = self.lease != 0 && self.number > 0 && now < self.until;
        told.then(|| {
            self.seal(self.units);
            LeaseAsk { number: self.number + 1, close: true, demand: 0, own: 0, ..self.message() }
        })
    }

    /// Whether an ask is under way.
    pub(super) fn is_pending(&self) -> bool {
        self.asked_at != Instant(0)
    }

    pub(super) const fn used_at(&self) -> Instant {
        self.used_at
    }

    pub(super) const fn lease(&self) -> u64 {
        self.lease
    }

    /// When all of the limit can be had again, as far as is known.
    pub(super) const fn full_at(&self) -> Instant {
        self.full_at
    }

    pub(super) const fn units(&self) -> u64 {
        self.units
    }

    /// The window's units, and those of them that are here or nobody's.
    pub(super) const fn standing(&self) -> (u64, u64) {
        (self.limit, self.left.saturating_add(self.units))
    }

    /// Nanoseconds after which a refused request may find something.
    pub(super) const fn refused_for(&self, now: Instant) -> u64 {
        if self.spent == 0 { self.refused_until.since(now) } else { self.until.since(now) }
    }

    /// Takes units out, to be returned. Of a rate only those of the newest grant: the ledger credits none of others.
    fn seal(&mut self, units: u64) {
        let units = units.min(self.units.saturating_sub(self.older));
        self.returned = self.returned.saturating_add(units);
        if !sabotage::removed(Rule::ReturnSealed) {
            self.units = self.units.saturating_sub(units);
        }
    }

    /// Units that will be spent in so many milliseconds.
    fn spends_in(&self, millis: u64) -> u64 {
        u64::try_from(u128::from(self.demand) * u128::from(millis) / 1_000_000).unwrap_or(u64::MAX)
    }

    /// The lease is no more, nor what is left of it.
    fn end(&mut self) {
        (self.lease, self.units, self.older, self.window, self.newest) = (0, 0, 0, 0, 0);
        (self.asked_at, self.refused_until) = (Instant(0), Instant(0));
    }

    #[inline(never)]
    fn message(&self) -> LeaseAsk {
        LeaseAsk {
            consumer: self.consumer.clone(),
            limit: self.name.clone(),
            lease: self.lease,
            number: self.number,
            window: self.window,
            after: if self.number == 1 { self.after } else { 0 },
            returned: self.returned.min(LARGEST),
            close: false,
            need: 0,
            waiting: 0,
            demand: self.demand.min(LARGEST),
            own: self.units.min(LARGEST),
        }
    }

    /// Measures what was spent since the last time.
    #[inline(never)]
    fn measure(&mut self, now: Instant) {
        let elapsed = now.since(self.measured_at);
        if elapsed < SHORTEST_MEASURE {
            return;
        }
        let spent = self.granted.saturating_sub(self.returned).saturating_sub(self.units);
        let rate = u128::from(spent.saturating_sub(self.measured)) * 1_000 * u128::from(SECOND) / u128::from(elapsed);
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        self.demand = if self.demand == 0 { rate } else { self.demand / 2 + rate / 2 };
        (self.measured_at, self.measured) = (now, spent);
    }
}
