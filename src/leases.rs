//! Owns what one worker does with leases: it spends from its purses, takes more from the node's slots, and asks the ledger where those are
//! empty. Must not know how a subject was found, how messages travel, or how an answer looks.
//!
//! Units flow from the ledger to a slot in shared data and from there to a worker's purse (DESIGN.md, Leases). What is in a purse counts as
//! spent: it goes back only to the slot it came from, while that holds the same lease.

mod ask;
mod exchange;
mod first;
mod purse;
mod reach;
mod slot;
mod table;
mod upkeep;

#[cfg(test)]
mod tests;

use std::hash::Hasher;

use hashbrown::HashMap;
use siphasher::sip128::{Hasher128, SipHasher24};
use tollgate_core::limit::{Counted, FailureMode};
use tollgate_core::time::{Instant, SECOND};
use tollgate_core::wire::{LeaseAnswer, LeaseAsk, Overage};

use crate::counters::{Counter, Counters};
use crate::limits::{MOST_LIMITS, Subject};
use crate::shared::{self, Broken, SharedData};
use ask::Paid;
pub use ask::{Ask, Charge, Outcome, Standing, Standings, TierLeases};
pub use exchange::next_number;
use exchange::{Exchanged, Row};
pub use first::First;
use purse::{Back, Held, Purses};
use reach::Reach;
pub use table::Place;
use table::{Fate, Table};

/// A limit that is full again only after this time never is: ten years.
pub const NEVER: u64 = 3_653 * 86_400 * SECOND;
/// How often [`Leases::tick`] must be called.
pub const TICK_EVERY: u64 = SECOND / 20;
/// An ask that was not answered is sent again after this time.
const SEND_AGAIN: u64 = SECOND;
/// Consumers whose limits were raised lately.
const MOST_RAISED: usize = 1_024;

/// The leases of one worker.
#[derive(Debug)]
pub struct Leases {
    table: Table,
    purses: Purses,
    reach: Reach,
    /// Slots this worker has used: when it looks after them next.
    visits: HashMap<Place, Instant>,
    visited: Instant,
    ticked: Instant,
    /// The last tick came much later than the one before.
    was_late: bool,
    /// From when on slots are looked after again.
    settled_at: Instant,
    /// What waits on this worker.
    waits: Vec<Wait>,
    /// To be sent at once: somebody waits.
    urgent: Vec<LeaseAsk>,
    /// To be sent with the next tick.
    short: Vec<LeaseAsk>,
    /// To be sent when there is an opportunity.
    background: Vec<LeaseAsk>,
    /// Units let pass without a lease.
    overages: Vec<Overage>,
    raised: Raised,
    sweep_at: u32,
}

/// Requests that wait for one row.
#[derive(Clone, Copy, Debug, Default)]
struct Wait {
    place: Place,
    /// The tag of their subject.
    subject: u64,
    need: u64,
    sum: u64,
    /// They are being judged again: `sum` is what the answer left of it.
    answered: bool,
}

/// From which revision on refusals are no longer believed.
#[derive(Debug, Default)]
struct Raised {
    all: u64,
    of: HashMap<u64, u64>,
}

impl Leases {
    /// No leases, over a table of so many slots that is for one ledger alone.
    #[must_use]
    pub fn new(slots: u32, ledger: &[&str]) -> Self {
        Self {
            table: Table::new(slots, shared::prefix('l', ledger)),
            purses: Purses::default(),
            reach: Reach::default(),
            visits: HashMap::new(),
            visited: Instant(0),
            ticked: Instant(0),
            was_late: false,
            settled_at: Instant(0),
            waits: Vec::new(),
            urgent: Vec::new(),
            short: Vec::new(),
            background: Vec::new(),
            overages: Vec::new(),
            raised: Raised::default(),
            sweep_at: 0,
        }
    }

    /// Judges a request and spends its units, or spends nothing. `standings` become those of the limits it meets.
    pub fn judge<S: SharedData>(&mut self, ask: &Ask<'_>, standings: &mut Standings, shared: &mut S, counters: &mut Counters) -> Outcome {
        let need = u64::from(ask.cost);
        let mut leases = [Paid::default(); MOST_LIMITS];
        let (mut waiting, mut unasked) = (0_u8, 0_u8);
        let mut refused: Option<(usize, u64)> = None;
        for (position, limit) in ask.tier.leased.iter().enumerate().take(MOST_LIMITS) {
            if !limit.routes.include(ask.route) {
                continue;
            }
            let name = ask.tier.names.get(position).copied().unwrap_or_default();
            let place = self.table.place(ask.subject, name);
            let row = Row { place, subject: ask.subject, consumer: ask.consumer, name: &limit.name };
            let spent = match self.purses.spend(place, need, ask.now) {
                Some(spent) => Ok(Exchanged::Spent(spent)),
                // Whoever needs nothing need not wait for it.
                None if need == 0 => continue,
                None => self.exchange(&row, need, ask.impatient, ask.now, shared, counters),
            };
            let (paid, standing) = match spent {
                Ok(Exchanged::Spent(Held { lease, until, standing, .. })) => (Paid { lease, until }, Some(standing)),
                Ok(Exchanged::Refused { wait, standing }) => {
                    if limit.shadow {
                        counters.count(Counter::ShadowRefusal);
                    } else if refused.is_none_or(|(_, longest)| wait > longest) {
                        refused = Some((position, wait));
                    }
                    (Paid::default(), Some(standing))
                }
                Ok(Exchanged::Waiting) if !ask.impatient && !self.reach.is_away() => {
                    waiting |= u8::from(!limit.shadow) << position;
                    (Paid::default(), None)
                }
                Ok(Exchanged::Waiting) | Err(Broken) => {
                    unasked |= u8::from(!limit.shadow) << position;
                    (Paid::default(), None)
                }
            };
            if let (Some(own), Some(entry)) = (leases.get_mut(position), standings.get_mut(position)) {
                (*own, *entry) = (paid, standing);
            }
        }
        let by_mode = |mode: FailureMode| {
            let of_mode = ask.tier.leased.iter().take(MOST_LIMITS).enumerate().filter(|(_, limit)| limit.failure_mode == mode);
            of_mode.fold(0_u8, |bits, (position, _)| bits | (1 << position)) & unasked
        };
        let denied = match refused {
            Some((position, wait)) => Outcome::Refused { position, wait },
            None if waiting != 0 => Outcome::Waiting,
            None if unasked != 0 && by_mode(FailureMode::Deny) != 0 => Outcome::Unavailable,
            None => {
                let mut degraded = 0;
                if unasked != 0 {
                    self.pass(ask, need, unasked);
                    counters.add(Counter::PassedUnits, need * u64::from(unasked.count_ones()));
                    degraded = by_mode(FailureMode::Degrade);
                }
                let charge = Charge { subject: ask.subject, units: ask.cost, leases };
                return Outcome::Admitted { charge, degraded };
            }
        };
        if matches!(denied, Outcome::Waiting) {
            self.note_waits(ask, need, waiting);
        }
        for (place, _) in self.places(ask.tier, ask.subject, &leases) {
            self.purses.unspend(place, need);
        }
        for (standing, _) in standings.iter_mut().zip(&leases).filter(|(_, paid)| paid.lease != 0) {
            standing.iter_mut().for_each(|standing| standing.remaining = standing.remaining.saturating_add(need));
        }
        denied
    }

    /// Gives the units of an admitted request back, where the leases they came from still are.
    pub fn give_back<S: SharedData>(
        &mut self,
        tier: TierLeases<'_>,
        charge: &Charge,
        now: Instant,
        shared: &mut S,
        counters: &mut Counters,
    ) {
        let units = u64::from(charge.units);
        for (place, Paid { lease, until }) in self.places(tier, charge.subject, &charge.leases) {
            if !self.purses.give_back(place, lease, units, until) {
                self.put_back(Back { place, lease, units, until }, now, shared, counters);
            }
        }
    }

    /// Asks to be sent at once.
    pub fn take_urgent(&mut self) -> Vec<LeaseAsk> {
        std::mem::take(&mut self.urgent)
    }

    /// What the node should tell when it next reports. What is taken must be told: units in it are nowhere else.
    pub fn take_background(&mut self) -> Vec<LeaseAsk> {
        std::mem::take(&mut self.background)
    }

    /// Units that were let pass since the last time, to be reported.
    pub fn take_overages(&mut self) -> Vec<Overage> {
        std::mem::take(&mut self.overages)
    }

    /// Where the slot of a limit is, whose name has this hash.
    #[must_use]
    pub fn place(&self, subject: Subject, name: u64) -> Place {
        self.table.place(subject, name)
    }

    /// Takes the ledger's answer to an ask, read at a revision of the feed, from a message that was sent at `sent`; `false` if nobody
    /// asks that any more. Who waits for it is to be judged again.
    pub fn answered<S: SharedData>(
        &mut self,
        place: Place,
        answer: &LeaseAnswer,
        revision: u64,
        sent: Instant,
        now: Instant,
        shared: &mut S,
    ) -> bool {
        let mut adopts = |place| {
            let mut adopted = false;
            let done = self.table.change(place, shared, &mut |slot| {
                adopted = slot.adopt(answer, revision, sent, now);
                if adopted { Fate::Changed } else { Fate::Kept }
            });
            // Where shared data is unusable, nothing is adopted: the units stay charged.
            adopted && done.is_ok()
        };
        let adopted = adopts(place);
        if !adopted && adopts(place.next()) {
            return true;
        }
        // What was granted may be too little for all who wait: the next ask is for the rest of them.
        if let Some(wait) = self.waits.iter_mut().find(|wait| wait.place == place) {
            *wait = Wait { need: 0, sum: wait.sum.saturating_sub(answer.granted), answered: true, ..*wait };
        }
        adopted
    }

    /// A message about leases was answered, or not; `true` if the backend counts as gone or back from now on.
    pub fn heard(&mut self, answered: bool, now: Instant) -> bool {
        self.reach.note(answered, now)
    }

    /// Whether the backend counts as gone.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        self.reach.is_away()
    }

    /// Limits of a consumer, or of all, may be higher since a revision: who was refused before asks again.
    pub fn raised(&mut self, subject: Option<Subject>, revision: u64) {
        match subject {
            Some(subject) if self.raised.of.len() < MOST_RAISED || self.raised.of.contains_key(&subject.tag) => {
                self.raised.of.insert(subject.tag, revision);
            }
            Some(_) | None => {
                self.raised.all = self.raised.all.max(revision);
                self.raised.of.clear();
            }
        }
    }

    /// The places of leases, by position of their limits.
    fn places(&self, tier: TierLeases<'_>, subject: Subject, leases: &[Paid; MOST_LIMITS]) -> impl Iterator<Item = (Place, Paid)> + use<> {
        let mut places = [(Place::default(), Paid::default()); MOST_LIMITS];
        for ((place, name), paid) in places.iter_mut().zip(tier.names).zip(leases) {
            *place = (self.table.place(subject, *name), *paid);
        }
        places.into_iter().filter(|(_, paid)| paid.lease != 0)
    }

    fn note_waits(&mut self, ask: &Ask<'_>, need: u64, waiting: u8) {
        for (position, name) in ask.tier.names.iter().enumerate().take(MOST_LIMITS) {
            if waiting & (1 << position) != 0 {
                let place = self.table.place(ask.subject, *name);
                match self.waits.iter_mut().find(|wait| wait.place == place) {
                    Some(wait) if !wait.answered => (wait.need, wait.sum) = (wait.need.max(need), wait.sum.saturating_add(need)),
                    Some(wait) => *wait = Wait { need, sum: need, answered: false, ..*wait },
                    None => self.waits.push(Wait { place, subject: ask.subject.tag, need, sum: need, answered: false }),
                }
            }
        }
    }

    /// Notes what is let pass of limits that could not be asked.
    fn pass(&mut self, ask: &Ask<'_>, need: u64, unasked: u8) {
        for (position, limit) in ask.tier.leased.iter().enumerate().take(MOST_LIMITS) {
            // Of a rate nobody need know: time has refilled it.
            if unasked & (1 << position) == 0 || matches!(limit.counted, Counted::Rate(_)) {
                continue;
            }
            let own = self.overages.iter_mut().find(|own| own.consumer == ask.consumer && own.limit == limit.name);
            match own {
                Some(own) => own.units = own.units.saturating_add(need),
                None => self.overages.push(Overage { consumer: ask.consumer.to_owned(), limit: limit.name.clone(), units: need }),
            }
        }
    }
}

impl Raised {
    fn since(&self, subject: Subject) -> u64 {
        self.all.max(self.of.get(&subject.tag).copied().unwrap_or_default())
    }
}

/// A hash of a limit's name, for [`TierLeases::names`].
#[must_use]
pub fn name_hash(name: &str) -> u64 {
    let mut hasher = SipHasher24::new_with_key(&[0; 16]);
    hasher.write(name.as_bytes());
    hasher.finish128().h1
}
