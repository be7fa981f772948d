//! Owns the keys and consumers this worker has asked the backend about: one call for each, however many requests wait for it. Must not know what an
//! answer means for them.

use hashbrown::HashMap;
use tollgate_core::credential::{digest, issued_id};
use tollgate_core::time::Instant;
use tollgate_core::wire::{self, Known, Resolve, ResolveConsumer, Resolved, ResolvedConsumer};

use super::{Answered, Question};

use crate::authn::place::Place;
use crate::call::{Call, CallError, Purpose, milliseconds};
use crate::limits::Charge;

/// Requests that wait on a worker, all keys together.
const MOST_WAITERS: usize = 4_096;
/// So many calls in a row must fail before others are spared the wait.
const FAILURES_TO_CLOSE: u32 = 3;
/// For how long they are spared it.
const CLOSED_FOR: u64 = 500_000_000;
/// A call is given up so long after its deadline: the host should have said so before.
const GRACE: u64 = 1_000_000_000;

/// The keys that are asked about.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    pending: HashMap<Place, Pending>,
    waiters: usize,
    failures: u32,
    closed_until: Option<Instant>,
}

/// What the backend is asked.
#[derive(Debug)]
enum Message {
    Key(Resolve),
    Consumer(ResolveConsumer),
}

/// A key or consumer that is asked about.
#[derive(Debug)]
pub(super) struct Pending {
    message: Message,
    deadline: Instant,
    /// When it was sent; `None`: not yet, or not again.
    sent: Option<Instant>,
    /// How often it was asked about again.
    again: u32,
    /// Contexts of the requests that wait.
    pub(super) waiters: Vec<u32>,
    /// What the key's address has paid; it comes back if the key is valid.
    pub(super) charge: Option<Charge>,
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

    /// Asks about a key or a consumer, as soon as there is a token.
    pub(super) fn ask(&mut self, place: Place, question: Question<'_>, charge: Option<Charge>, deadline: Instant) {
        let message = match question {
            Question::Key(presented) => {
                Message::Key(Resolve { id: issued_id(presented).map(str::to_owned), sha256: super::hex(&digest(presented)), leases: None })
            }
            Question::Consumer(id) => Message::Consumer(ResolveConsumer { consumer: id.to_owned(), leases: None }),
        };
        self.pending.insert(place, Pending { message, deadline, sent: None, again: 0, waiters: Vec::new(), charge });
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

    /// The calls to be made now.
    pub(super) fn calls(&mut self, authorization: &str, now: Instant) -> Vec<Call> {
        let unsent = self.pending.iter_mut().filter(|(_, pending)| pending.sent.is_none() && now < pending.deadline);
        let call = |(place, pending): (&Place, &mut Pending)| {
            pending.sent = Some(now);
            let (path, body) = match &pending.message {
                Message::Key(resolve) => ("/internal/v1/resolve", wire::encode(resolve)),
                Message::Consumer(resolve) => ("/internal/v1/consumers", wire::encode(resolve)),
            };
            Some(Call {
                purpose: Purpose::Resolve { place: *place, sent: now },
                method: "POST",
                path: path.to_owned(),
                authorization: authorization.to_owned(),
                body: body.ok()?,
                timeout_ms: milliseconds(pending.deadline.since(now)),
            })
        };
        unsent.filter_map(call).collect()
    }

    /// Reads the answer about what is at a place.
    pub(super) fn read(&self, place: Place, sent: Instant, body: &[u8]) -> Result<Answered, CallError> {
        let read = match &self.pending.get(&place).ok_or(CallError::Failed)?.message {
            Message::Key(_) => {
                wire::decode::<Resolved>(body).map(|Resolved { revision, known, .. }| Answered { place, sent, revision, known })
            }
            Message::Consumer(ResolveConsumer { consumer, .. }) => wire::decode(body).map(|ResolvedConsumer { revision, tier, .. }| {
                let known =
                    |tier| Known { credential: String::new(), scopes: Vec::new(), expires_in_ms: None, consumer: consumer.clone(), tier };
                Answered { place, sent, revision, known: tier.map(known) }
            }),
        };
        read.map_err(|_| CallError::Failed)
    }

    /// The key at a place must be asked about again, for the how manieth time; `None` if there is no time for it.
    pub(super) fn again(&mut self, place: Place, now: Instant) -> Option<u32> {
        let pending = self.pending.get_mut(&place).filter(|pending| now < pending.deadline)?;
        pending.sent = None;
        pending.again = pending.again.saturating_add(1);
        Some(pending.again)
    }

    /// The key at a place has got its answer, good or bad.
    pub(super) fn close(&mut self, place: Place) -> Option<Pending> {
        let pending = self.pending.remove(&place)?;
        self.waiters -= pending.waiters.len();
        Some(pending)
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
