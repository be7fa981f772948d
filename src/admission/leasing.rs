//! Owns how requests meet the limits that are counted over all nodes: what they spend, how they wait, and what the gate makes of the ledger's
//! word. Must not know how calls travel.

use hashbrown::HashMap;
use tollgate_core::limit::Limit;
use tollgate_core::time::{Instant, SECOND};
use tollgate_core::wire::{FirstAsk, Recall};

use super::spending::{Bill, Payer};
use super::{Awaited, Gate};
use crate::backend::{Brought, Settlement};
use crate::counters::Counter;
use crate::leases::{self, Charge, NEVER, Outcome, Standings, name_hash};
use crate::limits::{self, Subject, TierLimits};
use crate::shared::SharedData;

/// Requests that may wait for units on a worker; others are judged as if they had waited long enough.
const MOST_WAITERS: usize = 1_024;
/// How soon to look whether another worker has heard the answer somebody waits for.
pub(super) const LOOK_EVERY: u64 = SECOND / 100;

/// Requests that wait for units.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// By the subject's tag: each with the time from which it waits no longer.
    of: HashMap<u64, Vec<(u32, Instant)>>,
    count: usize,
}

/// How a request stands with the limits over all nodes that it met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leasing {
    /// Where its consumer stands with each.
    pub standings: Standings,
    /// The limit that refuses it, by position.
    pub refused: Option<usize>,
    /// What was spent; `None` for a denied request.
    pub(super) charge: Option<Charge>,
}

/// What the limits over all nodes say.
pub(super) enum Leased {
    /// They admit it.
    Admitted,
    /// They refuse it, for so many nanoseconds.
    Refused { wait: Option<u64> },
    /// It waits for this subject's units.
    Waiting { subject: u64, since: Instant },
    /// One of them cannot be judged.
    Unavailable,
}

impl Gate {
    /// Spends a request's units from the limits over all nodes, or nothing; `None` where there are none.
    pub(super) fn lease(
        &mut self,
        Payer { tier, subject, account, .. }: Payer<'_>,
        Bill { route, cost, waited, now }: Bill,
        shared: &mut impl SharedData,
    ) -> Option<(Leased, Box<Leasing>)> {
        let of = self.tiers.leases(tier).filter(|of| !of.leased.is_empty())?;
        let mut leasing = Box::new(Leasing { standings: Standings::default(), refused: None, charge: None });
        // A ledger knows the backend's consumers alone.
        let (Some(backend), Some(account), true) = (&self.backend, account, self.hash_key.is_of_node()) else {
            return Some((Leased::Unavailable, leasing));
        };
        let since = waited.for_units.unwrap_or(now);
        let impatient = now >= since.after(backend.timeout()) || (waited.for_units.is_none() && self.waiters.count >= MOST_WAITERS);
        let ask = leases::Ask { tier: of, subject, consumer: account, route, cost, impatient, now };
        let outcome = self.leases.judge(&ask, &mut leasing.standings, shared, &mut self.counters);
        let leased = match outcome {
            Outcome::Admitted { charge, degraded } => match self.degrade(tier, degraded, subject, cost, now, shared) {
                Ok(()) => {
                    leasing.charge = Some(charge);
                    Leased::Admitted
                }
                Err(leased) => {
                    if let Some(of) = self.tiers.leases(tier) {
                        self.leases.give_back(of, &charge, now, shared, &mut self.counters);
                    }
                    leased
                }
            },
            Outcome::Refused { position, wait } => {
                leasing.refused = Some(position);
                // What never begins anew is not waited for.
                Leased::Refused { wait: Some(wait).filter(|wait| *wait < NEVER) }
            }
            Outcome::Waiting => Leased::Waiting { subject: subject.tag, since },
            Outcome::Unavailable => Leased::Unavailable,
        };
        self.send_asks(now);
        Some((leased, leasing))
    }

    /// Judges by what limits degrade to on this node, given as bits by position.
    fn degrade(
        &mut self,
        tier: usize,
        degraded: u8,
        subject: Subject,
        cost: u32,
        now: Instant,
        shared: &mut impl SharedData,
    ) -> Result<(), Leased> {
        let Some(of) = self.tiers.leases(tier).filter(|_| degraded != 0) else {
            return Ok(());
        };
        let limits = of.leased.iter().zip(of.names).enumerate().filter(|(position, _)| degraded & (1 << position) != 0);
        for (_, (leased, name)) in limits {
            let limit: Limit = leased.degrades_to().ok_or(Leased::Unavailable)?;
            // An account of its own, beside those of the node's limits.
            let subject = Subject { tag: subject.tag ^ name, place: subject.place ^ name, ..subject };
            let [kind, period] = limit.rate.meaning();
            let shape = name ^ kind.rotate_left(56) ^ period;
            let tier = TierLimits { position: usize::MAX, limits: std::slice::from_ref(&limit), shape };
            let ask = limits::Ask { tier, subject, route: 0, cost, now };
            match self.limiter.judge(&ask, shared, &mut self.counters).0 {
                limits::Outcome::Admitted(_) => {}
                limits::Outcome::Refused { wait } => return Err(Leased::Refused { wait }),
                limits::Outcome::Unavailable => return Err(Leased::Unavailable),
            }
        }
        Ok(())
    }

    /// Sends what somebody waits for.
    fn send_asks(&mut self, now: Instant) {
        let asks = self.leases.take_urgent();
        if !asks.is_empty() && !self.backend.as_mut().is_some_and(|backend| backend.settle(asks, now)) {
            self.note_reach(false, now);
        }
    }

    /// Sends what a request waits for to be known of a credential, unless it is under way. The first leases of its consumer are asked for
    /// with it, for what the request costs on its route.
    #[inline(never)]
    pub(super) fn send_question(&mut self, awaited: &Awaited, (route, cost): (u16, u32), now: Instant, shared: &mut impl SharedData) {
        let (Awaited::Credential(place), Some(backend)) = (awaited, &mut self.backend) else {
            return;
        };
        let (leases, policy) = (&self.leases, &self.policy);
        let mut first = || {
            let route = policy.routes.get(usize::from(route)).filter(|_| cost > 0 && !leases.is_away())?;
            Some(FirstAsk { lease: leases::next_number(shared)?, need: u64::from(cost), route: route.name.clone() })
        };
        backend.send(*place, &mut first, now);
    }

    /// Takes leases that came with an answer about a credential.
    pub(super) fn take_first(&mut self, brought: &Brought, now: Instant, shared: &mut impl SharedData) {
        let subject = self.hash_key.of_backend(&brought.consumer, shared);
        let (asked, revision) = (&brought.asked, brought.settled.revision);
        for (limit, answer) in brought.limits.iter().zip(&brought.settled.answers) {
            let place = self.leases.place(subject, name_hash(limit));
            let first = leases::First { place, consumer: &brought.consumer, limit, need: asked.need, sent: brought.sent };
            let asked_for = (answer.lease, answer.number, answer.closed) == (asked.lease, 1, false);
            if asked_for && self.leases.take_first(&first, answer, revision, now, shared) {
                self.counters.add(Counter::LeasedUnits, answer.granted);
            }
        }
    }

    /// A message about leases was answered, or not.
    pub(super) fn note_reach(&mut self, answered: bool, now: Instant) {
        if self.leases.heard(answered, now) {
            self.counters.count(if answered { Counter::LeasesBack } else { Counter::LeasesAway });
        }
    }

    /// A request waits for units; `false` if it cannot.
    pub(super) fn wait_for_units(&mut self, subject: u64, since: Instant, stream: u32) -> bool {
        let Some(backend) = &self.backend else {
            return false;
        };
        self.waiters.of.entry(subject).or_default().push((stream, since.after(backend.timeout())));
        self.waiters.count += 1;
        true
    }

    /// A request that waited for units has gone away.
    pub(super) fn leave_units(&mut self, subject: u64, stream: u32) {
        self.waiters.take(subject, |own, _| own == stream);
    }

    /// What is due by the clock; the requests that are to be judged again.
    pub(super) fn tick_leases(&mut self, now: Instant, shared: &mut impl SharedData) -> Vec<u32> {
        let Some(backend) = &mut self.backend else {
            return Vec::new();
        };
        let subjects = self.leases.tick(backend.leads(), now, shared, &mut self.counters);
        let (asks, overages) = (self.leases.take_background(), self.leases.take_overages());
        if !(asks.is_empty() && overages.is_empty()) {
            backend.note_leases(asks, overages);
        }
        self.send_asks(now);
        let mut woken: Vec<u32> = subjects.into_iter().flat_map(|subject| self.waiters.take(subject, |_, _| true)).collect();
        let waiting: Vec<u64> = self.waiters.of.keys().copied().collect();
        woken.extend(waiting.into_iter().flat_map(|subject| self.waiters.take(subject, |_, until| now >= until)));
        woken
    }

    /// Takes the ledger's word, and answers the requests that are to be judged again.
    pub(super) fn settled(&mut self, settlement: &Settlement, now: Instant, shared: &mut impl SharedData) -> Vec<u32> {
        // A report that tells nothing of leases says nothing about who can be asked for them.
        if !settlement.settled.is_empty() {
            self.note_reach(true, now);
        }
        let mut woken = Vec::new();
        for (ask, answer) in &settlement.settled {
            let subject = self.hash_key.of_backend(&ask.consumer, shared);
            let place = self.leases.place(subject, name_hash(&ask.limit));
            if self.leases.answered(place, answer, settlement.revision, settlement.sent, now, shared) {
                self.counters.add(Counter::LeasedUnits, answer.granted);
            }
            woken.extend(self.waiters.take(subject.tag, |_, _| true));
        }
        woken
    }

    /// Units of a limit are wanted elsewhere, or some came free.
    pub(super) fn recalled(&mut self, recall: &Recall, revision: u64, now: Instant, shared: &mut impl SharedData) {
        let subject = self.hash_key.of_backend(&recall.consumer, shared);
        if recall.freed {
            self.leases.raised((!recall.consumer.is_empty()).then_some(subject), revision);
        } else {
            let place = self.leases.place(subject, name_hash(&recall.limit));
            self.leases.recall(place, now, shared);
        }
    }
}

impl Leasing {
    /// Units that were spent have gone back.
    pub(super) fn given_back(&mut self, units: u32) {
        for standing in self.standings.iter_mut().flatten() {
            standing.remaining = standing.remaining.saturating_add(u64::from(units)).min(standing.limit);
        }
    }
}

impl Waiters {
    /// Whether anybody waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes out those of a subject for which something holds.
    fn take(&mut self, subject: u64, mut takes: impl FnMut(u32, Instant) -> bool) -> Vec<u32> {
        let Some(waiting) = self.of.get_mut(&subject) else {
            return Vec::new();
        };
        let mut taken = Vec::new();
        waiting.retain(|(stream, until)| {
            let takes = takes(*stream, *until);
            if takes {
                taken.push(*stream);
            }
            !takes
        });
        self.count -= taken.len();
        if waiting.is_empty() {
            self.of.remove(&subject);
        }
        taken
    }
}
