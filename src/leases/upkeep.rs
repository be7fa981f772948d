//! Owns what a worker does about leases by the clock and by the feed: it gives back what is not used. Must not judge requests.

use tollgate_core::time::{Instant, SECOND};

use super::exchange::next_number;
use super::slot::Slot;
use super::table::{Displaces, Fate};
use super::{Leases, Place, SEND_AGAIN, TICK_EVERY};
use crate::counters::Counters;
use crate::limits::Subject;
use crate::shared::SharedData;

/// A slot nobody used for so long returns what is left: longer than workers keep what they took.
pub(super) const IDLE: u64 = 9 * SECOND / 5;
/// Who has wanted something within this time may want more of it.
pub(super) const LATELY: u64 = IDLE / 2;
/// A worker that has not ticked for so long was not alone: the whole process stood still.
const STOOD_STILL: u64 = 4 * TICK_EVERY;
/// Then no slot is looked after for so long: all workers give back first what they hold.
const SETTLED: u64 = 3 * SECOND / 10;
/// How often a worker looks after slots it has used.
const VISIT_EVERY: u64 = SECOND / 4;
/// A slot that was forgotten, because its worker's memory was lost, is found by who sweeps.
const FORGOTTEN: u64 = 10 * SECOND;
/// Sets the sweeper looks at in a tick.
const SWEEP: u32 = 8;

impl Leases {
    /// Units of a limit are wanted elsewhere: what is not needed soon is returned.
    pub fn recall<S: SharedData>(&mut self, place: Place, now: Instant, shared: &mut S) {
        self.shrink(place, None, now, shared);
    }

    /// Limits of a consumer, or of all, may be other ones since a revision: who was refused before asks again, and what was granted under the
    /// old ones and is not needed soon is returned.
    pub fn changed<S: SharedData>(&mut self, consumer: Option<(Subject, &str)>, revision: u64, now: Instant, shared: &mut S) {
        self.raised(consumer.map(|(subject, _)| subject), revision);
        let mut used: Vec<Place> = self.visits.keys().copied().collect();
        used.sort_unstable();
        for place in used {
            self.shrink(place, consumer.map(|(_, id)| id), now, shared);
        }
    }

    /// Returns what a slot has beyond a short time, if it is of this consumer.
    fn shrink<S: SharedData>(&mut self, place: Place, consumer: Option<&str>, now: Instant, shared: &mut S) {
        let mut message = None;
        let done = self.table.change(place, shared, &mut |slot| {
            message = None;
            if consumer.is_some_and(|id| id != slot.consumer) || !slot.shrink(now) {
                return Fate::Kept;
            }
            slot.ask(0, 0, now);
            message = Some(slot.send(now));
            Fate::Changed
        });
        // Soon: until it is answered whoever finds too little here waits.
        self.short.extend(message.filter(|_| done.is_ok()));
    }

    /// Looks after purses and slots, and answers the tags of subjects whose waiting requests are to be judged again, because another worker has
    /// heard an answer. One worker of a node `sweeps`: it also looks after slots that no worker remembers.
    pub fn tick<S: SharedData>(&mut self, sweeps: bool, now: Instant, shared: &mut S, counters: &mut Counters) -> Vec<u64> {
        let woken = self.answered_elsewhere(now, shared);
        self.urgent.append(&mut self.short);
        for back in self.purses.idle(now) {
            self.put_back(back, now, shared, counters);
        }
        let late = self.ticked > Instant(0) && now.since(self.ticked) >= STOOD_STILL;
        // Where every tick is late, slots are looked after all the same.
        if late && !self.was_late {
            self.settled_at = now.after(SETTLED);
        }
        (self.ticked, self.was_late) = (now, late);
        if now < self.settled_at {
            return woken;
        }
        if now.since(self.visited) >= VISIT_EVERY {
            self.visited = now;
            let mut due: Vec<Place> = self.visits.iter().filter(|(_, due)| now >= **due).map(|(place, _)| *place).collect();
            // In an order that is the same each time, so that a simulation replays.
            due.sort_unstable();
            for place in due {
                self.visits.remove(&place);
                self.look_after(place, IDLE, now, shared);
            }
        }
        if sweeps {
            for _ in 0..SWEEP.min(self.table.sets()) {
                self.sweep_at = (self.sweep_at + 1) % self.table.sets();
                let set = self.sweep_at;
                for tag in self.table.tags(set, shared).unwrap_or_default() {
                    self.look_after(Place { set, tag }, FORGOTTEN, now, shared);
                }
            }
        }
        woken
    }

    /// Returns what a slot holds that nobody used for `idle`, and forgets it; else comes back.
    #[inline(never)]
    fn look_after<S: SharedData>(&mut self, place: Place, idle: u64, now: Instant, shared: &mut S) {
        let (mut message, mut again, mut next) = (None, None, None);
        let done = self.table.change(place, shared, &mut |slot| {
            (message, again) = (None, None);
            next = slot.wants_next(IDLE + LATELY, now).then(|| slot.next(now));
            if slot.is_idle(idle, now) {
                message = slot.close(now);
                return Fate::Freed;
            }
            // An ask that was lost is sent again, although nobody waits any more: its answer may hold units.
            if slot.is_due(FORGOTTEN, now) {
                (message, again) = (Some(slot.send(now)), (idle == IDLE).then(|| now.after(FORGOTTEN)));
                return Fate::Changed;
            }
            again = (idle == IDLE).then(|| now.after(IDLE));
            Fate::Kept
        });
        if done == Ok(true) {
            self.background.extend(message);
            if let Some(again) = again {
                self.visits.insert(place, again);
            }
            if let Some(next) = next {
                self.ask_ahead(place.next(), &next, now, shared);
            }
        }
    }

    /// Asks for units of the window that follows, into a slot of their own.
    #[inline(never)]
    fn ask_ahead<S: SharedData>(&mut self, place: Place, next: &Slot, now: Instant, shared: &mut S) {
        let mut message = None;
        let make = || next.clone();
        let opened = self.table.open(place, (Displaces::Nothing, now), &make, shared, &mut |slot, shared| {
            message = slot.ask_ahead(|| next_number(shared), now);
            Ok(if message.is_some() { Fate::Changed } else { Fate::Kept })
        });
        if let (Ok(Some(displaced)), Some(message)) = (opened, message) {
            self.background.push(message);
            self.opened(place, displaced, now);
        }
    }

    /// This worker has used the slot at a place, and another one went for it.
    pub(super) fn opened(&mut self, place: Place, displaced: Option<Slot>, now: Instant) {
        self.background.extend(displaced.and_then(|mut slot| slot.close(now)));
        self.visits.entry(place).or_insert_with(|| now.after(IDLE));
    }

    /// The subjects for which nothing is under way any more, or not for too long.
    fn answered_elsewhere<S: SharedData>(&mut self, now: Instant, shared: &mut S) -> Vec<u64> {
        let mut woken = Vec::new();
        let table = &mut self.table;
        self.waits.retain(|wait| {
            if wait.answered {
                return false;
            }
            let mut waits = false;
            let _ = table.change(wait.place, shared, &mut |slot| {
                waits = slot.is_pending() && !slot.is_due(SEND_AGAIN, now);
                Fate::Kept
            });
            if !waits {
                woken.push(wait.subject);
            }
            waits
        });
        woken
    }
}
