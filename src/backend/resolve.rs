//! Owns the keys and consumers this worker has asked the backend about: one call for each, however many requests wait for it. Must not know what an
//! answer means for them.

mod lost;
mod message;

use hashbrown::HashMap;
use tollgate_core::time::Instant;
use tollgate_core::wire::FirstAsk;

use super::{Answered, Brought, Closed, Question};

use crate::authn::place::Place;
use crate::call::{Answer, Call, CallError, Purpose, milliseconds};
use crate::limits::Charge;
use lost::Lost;
use message::{First, Message};

/// Requests that wait on a worker, all keys together.
const MOST_WAITERS: usize = 4_096;
/// So many calls in a row must fail before others are spared the wait.
const FAILURES_TO_CLOSE: u32 = 3;
/// For how long they are spared it.
const CLOSED_FOR: u64 = 500_000_000;
/// A call is given up so long after its deadline: the host should have said so before.
const GRACE: u64 = 1_000_000_000;
/// Questions that asked for leases and are not answered, on a worker: with more, leases are asked for by themselves.
const MOST_OWED: usize = 64;

/// The keys that are asked about.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    pending: HashMap<Place, Pending>,
    waiters: usize,
    failures: u32,
    closed_until: Option<Instant>,
    lost: Lost,
}

/// A key or consumer that is asked about.
#[derive(Debug)]
struct Pending {
    message: Message,
    /// Leases may be asked for with it.
    leases: bool,
    deadline: Instant,
    /// When it was sent; `None`: not yet, or not again.
    sent: Option<Instant>,
    /// It was sent before, maybe in vain.
    was_sent: bool,
    /// How often it was asked about again.
    again: u32,
    /// Contexts of the requests that wait.
    waiters: Vec<u32>,
    /// What the key's address has paid; it comes back if the key is valid.
    charge: Option<Charge>,
}

impl Resolver {
    /// Whether the key at a place is being asked about.
    pub(super) fn is_pending(&self, place: Place) -> bool {
        self.pending.contains_key(&place)
    }

    /// Whether an answer is waited for that was asked for at an instant: nothing else is said of a key.
    pub(super) fn awaits(&self, place: Place, sent: Instant) -> bool {
        self.pending.get(&place).is_some_and(|pending| pending.sent == Some(sent))
    }

    /// Whether another key may be asked about.
    pub(super) fn has_room(&self, most: usize, now: Instant) -> bool {
        self.pending.len() < most && self.closed_until.is_none_or(|until| until <= now)
    }

    /// Asks about a key or a consumer, as soon as there is a token; `leases` may be asked for with it.
    pub(super) fn ask(&mut self, place: Place, question: Question<'_>, leases: bool, charge: Option<Charge>, deadline: Instant) {
        let message = Message::new(question);
        let pending = Pending { message, leases, deadline, sent: None, was_sent: false, again: 0, waiters: Vec::new(), charge };
        self.pending.insert(place, pending);
    }

    /// Whether what is at a place is still to be sent.
    pub(super) fn is_unsent(&self, place: Place) -> bool {
        self.pending.get(&place).is_some_and(|pending| pending.sent.is_none())
    }

    /// Whether leases may be asked for with what is at a place, which was not sent yet.
    pub(super) fn may_ask_first(&mut self, place: Place) -> bool {
        self.pending.get(&place).is_some_and(|pending| pending.leases) && {
            let owed = self.pending.values_mut().filter_map(|pending| pending.message.leases().as_ref()).count();
            self.lost.len() + owed < MOST_OWED
        }
    }

    /// Asks for leases with what is at a place.
    pub(super) fn ask_first(&mut self, place: Place, leases: FirstAsk) {
        if let Some(pending) = self.pending.get_mut(&place) {
            pending.leases = false;
            *pending.message.leases() = Some(leases);
        }
    }

    /// A request waits for the answer; `false` if it cannot.
    pub(super) fn wait(&mut self, place: Place, stream: u32) -> bool {
        match self.pending.get_mut(&place) {
            Some(pending) if self.waiters < MOST_WAITERS => {
                self.waiters += 1;
                pending.waiters.push(stream);
                true
            }
            Some(_) | None => false,
        }
    }

    /// A request has gone away. Its key is still asked about: the answer is remembered.
    pub(super) fn leave(&mut self, place: Place, stream: u32) {
        if let Some(pending) = self.pending.get_mut(&place)
            && let Some(position) = pending.waiters.iter().position(|own| *own == stream)
        {
            pending.waiters.swap_remove(position);
            self.waiters -= 1;
        }
    }

    /// The calls to be made now; those about credentials that tokens came from, too, if there is no more to wait for.
    pub(super) fn calls(&mut self, authorization: &str, timeout: u64, of_tokens: bool, now: Instant) -> Vec<Call> {
        let may_go = |pending: &Pending| pending.sent.is_none() && now < pending.deadline && (of_tokens || !pending.message.is_of_token());
        let unsent = self.pending.iter_mut().filter(|(_, pending)| may_go(pending));
        let call = |(place, pending): (&Place, &mut Pending)| {
            (pending.sent, pending.was_sent) = (Some(now), true);
            post(&pending.message, Purpose::Resolve { place: *place, sent: now }, authorization, pending.deadline.since(now))
        };
        let mut calls: Vec<Call> = unsent.filter_map(call).collect();
        calls.extend(self.lost.call(authorization, timeout, now));
        calls
    }

    /// Takes the answer about what is at a place, and the leases that came with it.
    pub(super) fn heard(&mut self, answer: Answer<'_>, place: Place, sent: Instant) -> Result<(Answered, Option<Brought>), CallError> {
        let pending = self.pending.get_mut(&place).ok_or(CallError::Failed)?;
        let said = answer.body().and_then(|body| pending.message.read(body));
        if said.as_ref().err() == Some(&CallError::Rejected) {
            // It was never taken.
            *pending.message.leases() = None;
        }
        let mut said = said?;
        // Unsettled, it is asked again once it is closed here.
        let brought = match pending.message.settle(&mut said, sent) {
            First::Settled(brought) => brought,
            First::Unsettled => None,
        };
        Ok((Answered { place, sent, revision: said.revision, known: said.known }, brought))
    }

    /// Whether the answer to a question is waited for that was asked again at an instant.
    pub(super) fn awaits_lost(&self, sent: Instant) -> bool {
        self.lost.awaits(sent)
    }

    /// Takes the answer to a question whose first answer was lost.
    pub(super) fn reclaimed(&mut self, answer: Answer<'_>, sent: Instant, now: Instant) -> Result<Option<Brought>, CallError> {
        self.lost.heard(answer, sent, now)
    }

    /// The key at a place must be asked about again, for the how manieth time; `None` if there is no time for it.
    pub(super) fn again(&mut self, place: Place, now: Instant) -> Option<u32> {
        let pending = self.pending.get_mut(&place).filter(|pending| now < pending.deadline)?;
        pending.sent = None;
        pending.again = pending.again.saturating_add(1);
        Some(pending.again)
    }

    /// The key at a place has got its answer, or will get none. Leases that were asked for and not heard of are owed.
    pub(super) fn close(&mut self, place: Place, now: Instant) -> Option<Closed> {
        let Pending { mut message, was_sent, waiters, charge, .. } = self.pending.remove(&place)?;
        self.waiters -= waiters.len();
        if was_sent && message.leases().is_some() {
            self.lost.push(message, now);
        }
        Some(Closed { waiters, charge })
    }

    /// Keys whose time has passed without an answer.
    pub(super) fn overdue(&self, now: Instant) -> Vec<Place> {
        let over = |pending: &Pending| now >= if pending.sent.is_some() { pending.deadline.after(GRACE) } else { pending.deadline };
        self.pending.iter().filter(|(_, pending)| over(pending)).map(|(place, _)| *place).collect()
    }

    /// Notes whether the backend answered, so that a dead one costs few requests their time.
    pub(super) fn note(&mut self, error: Option<CallError>, now: Instant) {
        self.failures = match error {
            None => 0,
            // It lives, and another token is on its way.
            Some(CallError::Unauthorized) => return,
            Some(_) => self.failures.saturating_add(1),
        };
        self.closed_until = (self.failures >= FAILURES_TO_CLOSE).then(|| now.after(CLOSED_FOR));
    }
}

fn post(message: &Message, purpose: Purpose, authorization: &str, timeout: u64) -> Option<Call> {
    let (path, body) = message.encode();
    let (path, authorization) = (path.to_owned(), authorization.to_owned());
    Some(Call { purpose, method: "POST", path, authorization, body: body?, timeout_ms: milliseconds(timeout) })
}
