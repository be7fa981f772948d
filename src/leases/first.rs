//! Owns what becomes of leases that came with the answer to whose a credential is. Must not know how it was asked.

use tollgate_core::time::Instant;
use tollgate_core::wire::{LeaseAnswer, LeaseAsk};

use super::slot::Slot;
use super::table::{Displaces, Fate};
use super::{Leases, Place};
use crate::shared::SharedData;

/// The first ask of a lease, as it was sent without being noted in a slot: whose the lease would be was not known.
#[derive(Clone, Copy, Debug)]
pub struct First<'a> {
    /// Where the limit's slot is.
    pub place: Place,
    /// The consumer's id.
    pub consumer: &'a str,
    /// The limit's name.
    pub limit: &'a str,
    /// What the request cost that waited.
    pub need: u64,
    /// When it was sent.
    pub sent: Instant,
}

impl Leases {
    /// Takes the ledger's answer, which nobody else has or will be given: into the limit's slot if that is empty; otherwise the lease is
    /// closed and all of it returned, and this is `false`.
    pub fn take_first<S: SharedData>(
        &mut self,
        first: &First<'_>,
        answer: &LeaseAnswer,
        revision: u64,
        now: Instant,
        shared: &mut S,
    ) -> bool {
        let First { place, consumer, limit, need, sent } = *first;
        let mut taken = false;
        let make = || Slot::new(place.tag, consumer, limit, now);
        let opened = self.table.open(place, (Displaces::Unused, now), &make, shared, &mut |slot, _| {
            taken = slot.adopt_first(need, answer, revision, sent, now);
            Ok(if taken { Fate::Changed } else { Fate::Kept })
        });
        match opened {
            Ok(Some(displaced)) if taken => {
                self.opened(place, displaced, now);
                true
            }
            // It is in use, or there is no room: nothing was written.
            Ok(_) | Err(_) => {
                self.background.push(LeaseAsk {
                    consumer: consumer.to_owned(),
                    limit: limit.to_owned(),
                    lease: answer.lease,
                    number: answer.number + 1,
                    window: answer.window,
                    returned: answer.granted,
                    close: true,
                    ..LeaseAsk::default()
                });
                false
            }
        }
    }
}
