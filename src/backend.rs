//! Owns what a worker says to the backend and what it hears: as values, without a network. Must not judge requests or know who carries a
//! call.
//!
//! Calls are made for the node, not for a request: a client that goes away cancels nothing. Each worker asks about the keys it meets; one
//! of the workers listens for changes, keeps the token fresh and sends the node's reports.

mod feed;
mod leasing;
mod pace;
mod pages;
mod report;
mod resolve;
mod session;
mod takes;

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};
use tollgate_core::policy;
use tollgate_core::time::Instant;
use tollgate_core::verdict::Reason;
use tollgate_core::wire::{Blocks, FirstAsk, Known, LONGEST_WAIT, LeaseAsk, Offence, Overage, Refused, Revocations, Settled};

use crate::authn::place::Place;
use crate::call::{Answer, Call, CallError, Purpose, milliseconds};
use crate::limits::Charge;
use crate::shared::{self, Broken, SharedData};
pub use feed::Event;
use feed::Feed;
use leasing::Leasing;
pub use leasing::Settlement;
pub use pages::Page;
use pages::Pages;
use report::Reporter;
use resolve::Resolver;
use session::Session;
use takes::Takes;
pub use takes::{Nonce, Taken};

/// How often [`Backend::tick`] must be called, in nanoseconds: half of what a change may take is spent waiting for it.
pub const TICK_EVERY: u64 = 50_000_000;

/// A worker's side of the talk with the backend.
#[derive(Debug)]
pub struct Backend {
    settings: policy::Backend,
    label: String,
    /// What the node's incarnation is proven by, if this worker is the first to make one.
    own_incarnation_secret: [u8; 16],
    incarnation_secret: Option<String>,
    session: Session,
    feed: Feed,
    resolver: Resolver,
    reporter: Reporter,
    leasing: Leasing,
    takes: Takes,
    blocks: Pages,
    revocations: Pages,
    calls: Vec<Call>,
}

/// What an answer means to the gate.
#[derive(Debug, Default)]
pub struct Heard {
    /// What has changed.
    pub events: Vec<Event>,
    /// An answer about a key.
    pub resolved: Option<Answered>,
    /// Leases that came with an answer about a key.
    pub brought: Option<Brought>,
    /// What the ledger says.
    pub settlement: Option<Settlement>,
    /// Who is blocked.
    pub blocks: Option<Page<Blocks>>,
    /// Which tokens are revoked.
    pub revocations: Option<Page<Revocations>>,
    /// What became of nonces that requests wait for.
    pub taken: Vec<(u32, Taken)>,
    /// Who is not to be blocked although this node did.
    pub unblocked: Vec<String>,
    /// What went wrong.
    pub error: Option<CallError>,
}

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub enum Question<'a> {
    /// Whose this key is.
    Key(&'a [u8]),
    /// The consumer of this id.
    Consumer(&'a str),
    /// The credential of this id, which a token came from.
    Credential(&'a str),
}

/// An answer about a key or a consumer.
#[derive(Debug)]
pub struct Answered {
    /// Its place.
    pub place: Place,
    /// When it was asked.
    pub sent: Instant,
    /// The revision the answer was read at.
    pub revision: u64,
    /// What is known; a consumer by itself has a credential without id.
    pub known: Option<Known>,
}

/// The first leases of a consumer, which came with an answer about a key of it. Nobody has them but who reads this.
#[derive(Debug)]
pub struct Brought {
    /// The consumer's id.
    pub consumer: String,
    /// What was asked.
    pub asked: FirstAsk,
    /// Of which limits.
    pub limits: Vec<String>,
    /// What came of each.
    pub settled: Settled,
    /// When the message was sent that was answered.
    pub sent: Instant,
}

impl Question<'_> {
    /// Why a request is denied for which the answer is no.
    #[must_use]
    pub const fn refusal(self) -> Reason {
        match self {
            Self::Key(_) => Reason::InvalidKey,
            Self::Consumer(_) => Reason::UnknownConsumer,
            Self::Credential(_) => Reason::InvalidToken,
        }
    }
}

/// A key is no longer asked about.
#[derive(Debug)]
pub struct Closed {
    /// The requests that waited.
    pub waiters: Vec<u32>,
    /// What the key's address has paid.
    pub charge: Option<Charge>,
}

impl Backend {
    /// Nothing has been said yet. `label` is how the node calls itself; `random` is unpredictable and this worker's own.
    #[must_use]
    pub fn new(settings: &policy::Backend, label: &str, random: [u8; 16]) -> Self {
        let own = |what: &str| {
            let mut hasher = SipHasher24::new_with_key(&random);
            hasher.write(what.as_bytes());
            hasher.finish128()
        };
        // Two backends of one node share nothing.
        let prefix = shared::prefix('b', &[&settings.cluster, &settings.authority]);
        Self {
            settings: settings.clone(),
            label: label.chars().filter(char::is_ascii_graphic).take(128).collect(),
            // The backend is told this one and shows it: it must say nothing of what else is made from these bytes.
            own_incarnation_secret: own("incarnation").as_bytes(),
            incarnation_secret: None,
            session: Session::new(&prefix),
            feed: Feed::new(&prefix, own("worker").h1),
            resolver: Resolver::default(),
            reporter: Reporter::new(&prefix),
            leasing: Leasing::default(),
            takes: Takes::default(),
            blocks: Pages::default(),
            revocations: Pages::default(),
            calls: Vec::new(),
        }
    }

    /// How long what was said is believed.
    #[must_use]
    pub const fn max_staleness(&self) -> u64 {
        self.settings.max_staleness
    }

    /// When the feed of changes was last known to be complete.
    #[must_use]
    pub const fn fresh(&self) -> Instant {
        self.feed.fresh()
    }

    /// The calls to be made now.
    pub fn take_calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }

    /// Whether the key at a place is being asked about.
    #[must_use]
    pub fn is_pending(&self, place: Place) -> bool {
        self.resolver.is_pending(place)
    }

    /// Whether the answer to a call is still waited for.
    #[must_use]
    pub fn awaits(&self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Resolve { place, sent } => self.resolver.awaits(place, sent),
            Purpose::Reclaim { sent } => self.resolver.awaits_lost(sent),
            Purpose::Hello | Purpose::Poll { .. } | Purpose::Report { .. } | Purpose::Settle { .. } => true,
            Purpose::Blocks { .. } | Purpose::Revocations { .. } | Purpose::Take { .. } => true,
            Purpose::KeySet { .. } | Purpose::Introspect { .. } => false,
        }
    }

    /// Whether another key may be asked about: one that was `issued` or known before, or any other, which may be a guess.
    #[must_use]
    pub fn has_room(&self, issued: bool, now: Instant) -> bool {
        let most = self.settings.resolves_in_flight;
        // Guesses leave room for keys that are none.
        self.resolver.has_room(if issued { most } else { most - most / 4 }, now)
    }

    /// Asks about a key or a consumer, with the next [`send`](Self::send); `leases` may be asked for with it. `charge` is what the client's
    /// address paid for that.
    pub fn ask(&mut self, place: Place, question: Question<'_>, leases: bool, charge: Option<Charge>, now: Instant) {
        self.resolver.ask(place, question, leases, charge, now.after(self.settings.timeout));
    }

    /// Sends what is asked about a place, unless it is under way, with other such; `leases` may be asked for with it.
    pub fn send(&mut self, place: Place, leases: &mut dyn FnMut() -> Option<FirstAsk>, now: Instant) {
        if self.resolver.is_unsent(place) {
            if self.resolver.may_ask_first(place)
                && let Some(leases) = leases()
            {
                self.resolver.ask_first(place, leases);
            }
            self.send_resolves(now);
        }
    }

    /// A request waits for a key's answer; `false` if it cannot.
    pub fn wait(&mut self, place: Place, stream: u32) -> bool {
        self.resolver.wait(place, stream)
    }

    /// A request that waited has gone away.
    pub fn leave(&mut self, place: Place, stream: u32) {
        self.resolver.leave(place, stream);
    }

    /// The key at a place has its answer.
    pub fn close(&mut self, place: Place, now: Instant) -> Option<Closed> {
        self.resolver.close(place, now)
    }

    /// What was heard about the key at a place is too old: it is asked about again; `false` if there is no time for it.
    pub fn ask_again(&mut self, place: Place, now: Instant) -> bool {
        match self.resolver.again(place, now) {
            None => false,
            Some(times) => {
                // Later ones wait for the tick: a backend whose answers stay too old is not to be asked without a pause.
                if times == 1 {
                    self.send_resolves(now);
                }
                true
            }
        }
    }

    /// Keys whose time has passed without an answer.
    #[must_use]
    pub fn overdue(&self, now: Instant) -> Vec<Place> {
        self.resolver.overdue(now)
    }

    /// Notes that a credential was used; `false` if it should be noted later. `wall` is nanoseconds since 1970.
    pub fn note_used(&mut self, credential: &str, wall: u64) -> bool {
        self.reporter.note(credential, wall)
    }

    /// Notes that somebody was refused.
    pub fn note_refused(&mut self, refused: Refused) {
        self.reporter.note_refused(refused);
    }

    /// Asks anew who is blocked.
    pub fn ask_for_blocks(&mut self) {
        self.blocks.want();
    }

    /// Who is blocked has changed.
    pub const fn blocks_changed(&mut self) {
        self.blocks.changed();
    }

    /// Whether it is known who is blocked and who is approved.
    #[must_use]
    pub const fn knows_blocks(&self) -> bool {
        self.blocks.known().is_some()
    }

    /// Asks anew which tokens are revoked: until that is known, none of the backend's own is to be believed.
    pub const fn ask_for_revocations(&mut self) {
        self.revocations.lose();
    }

    /// Whether all tokens that are revoked are known, and nothing could be heard for too long.
    #[must_use]
    pub fn knows_revocations(&self, now: Instant) -> bool {
        self.revocations.known().is_some_and(|known| now.since(known.max(self.feed.fresh())) <= self.settings.max_staleness)
    }

    /// Notes what was detected of abuse; `false` if there is no room for it now.
    pub fn note_offence(&mut self, offence: Offence) -> bool {
        self.reporter.note_offence(offence)
    }

    /// How long an answer is waited for, in nanoseconds.
    #[must_use]
    pub const fn timeout(&self) -> u64 {
        self.settings.timeout
    }

    /// Whether this worker speaks for the node.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.feed.to_poll().is_some()
    }

    /// Sends asks for which somebody waits; `false` if there is no token to send them with.
    pub fn settle(&mut self, asks: Vec<LeaseAsk>, now: Instant) -> bool {
        let Some(authorization) = self.session.authorization(now) else {
            return false;
        };
        self.calls.extend(self.leasing.calls(asks, &self.settings, &authorization, now));
        true
    }

    /// A request waits until a nonce is its own on all nodes; `false` if it cannot.
    pub fn take(&mut self, nonce: Nonce, stream: u32, now: Instant) -> bool {
        let waits = self.takes.ask(nonce, stream, now.after(self.settings.timeout));
        self.send_takes(now);
        waits
    }

    /// Requests whose nonces could not be sent in time.
    pub fn not_taken(&mut self, now: Instant) -> Vec<(u32, Taken)> {
        self.takes.overdue(now)
    }

    /// Notes what the node is to tell about leases when it next reports.
    pub fn note_leases(&mut self, asks: Vec<LeaseAsk>, overages: Vec<Overage>) {
        self.reporter.note_leases(asks, overages);
    }

    /// What is due by the clock: the token, the feed, what waits, the reports. Answers what was heard, also where something else cannot be
    /// done: nothing is heard twice.
    pub fn tick(&mut self, now: Instant, shared: &mut impl SharedData) -> (Vec<Event>, Result<(), Broken>) {
        let looked = self.session.look(now, shared);
        let (events, followed) = match self.feed.tick(now, shared) {
            Ok(events) => (events, Ok(())),
            Err(broken) => (Vec::new(), Err(broken)),
        };
        self.send_resolves(now);
        self.send_takes(now);
        let spilled = self.reporter.spill(now, shared);
        let led = self.feed.to_poll().map_or(Ok(()), |after| self.lead(after, now, shared));
        (events, looked.and(followed).and(spilled).and(led))
    }

    /// Takes the answer to a call.
    pub fn heard(&mut self, purpose: Purpose, answer: Answer<'_>, now: Instant, shared: &mut impl SharedData) -> Heard {
        let mut heard = Heard::default();
        let (done, authorized_at) = match purpose {
            Purpose::Hello => (self.session.welcomed(answer, now, shared), None),
            Purpose::Poll { sent, after } => {
                let events = self.feed.heard(answer, after, sent, now, shared);
                (events.map(|events| heard.events = events), Some(sent))
            }
            Purpose::Report { sequence, sent } => {
                let reported = self.reporter.reported(answer, sequence, now, sent, shared);
                let taken = reported.map(|(settlement, unblocked)| (heard.settlement, heard.unblocked) = (Some(settlement), unblocked));
                (taken, Some(sent))
            }
            Purpose::Settle { number, sent } => {
                let settlement = self.leasing.heard(answer, number, sent);
                (settlement.map(|settlement| heard.settlement = Some(settlement)), Some(sent))
            }
            Purpose::Resolve { place, sent } => {
                let resolved = self.resolver.heard(answer, place, sent);
                self.resolver.note(resolved.as_ref().err().copied(), now);
                (resolved.map(|(answered, brought)| (heard.resolved, heard.brought) = (Some(answered), brought)), Some(sent))
            }
            Purpose::Reclaim { sent } => {
                let brought = self.resolver.reclaimed(answer, sent, now);
                (brought.map(|brought| heard.brought = brought), Some(sent))
            }
            Purpose::Blocks { sent } => {
                let blocks = self.blocks.heard(answer, now);
                (blocks.map(|blocks| heard.blocks = blocks), Some(sent))
            }
            Purpose::Take { number, sent } => {
                let (taken, done) = self.takes.heard(answer, number, now);
                heard.taken = taken;
                (done, Some(sent))
            }
            Purpose::Revocations { sent } => {
                let revocations = self.revocations.heard(answer, now);
                (revocations.map(|revocations| heard.revocations = revocations), Some(sent))
            }
            Purpose::KeySet { .. } | Purpose::Introspect { .. } => (Ok(()), None),
        };
        match (done, authorized_at) {
            // The feed may be followed from now on, or what tokens wait for is here. Other answers change nothing about when keys are asked about.
            (Ok(()), Some(_)) if matches!(purpose, Purpose::Poll { .. } | Purpose::Revocations { .. }) => self.send_resolves(now),
            (Ok(()), Some(_)) => {}
            (Ok(()), None) => {
                // What can be asked now is not put off to the next tick; if it cannot be, that one will find out.
                let _ = self.feed.to_poll().map_or(Ok(()), |after| self.lead(after, now, shared));
                self.send_resolves(now);
            }
            (Err(error), sent) => {
                heard.error = Some(error);
                match (error, sent) {
                    (CallError::Unauthorized, Some(sent)) => self.session.refused(sent, shared),
                    (CallError::Unauthorized, None) => self.feed.stand_back(now),
                    (_, _) => {}
                }
            }
        }
        self.send_takes(now);
        heard
    }

    /// What the worker does that listens for the node.
    fn lead(&mut self, after: Option<u64>, now: Instant, shared: &mut impl SharedData) -> Result<(), Broken> {
        let greeted = self.greet(now, shared);
        let Some(authorization) = self.session.authorization(now) else {
            return greeted;
        };
        if self.feed.poll.may(now) {
            // Several polls fit into the time after which nothing is believed any longer.
            let wait_ms = LONGEST_WAIT.min(self.settings.max_staleness / 3 / 1_000_000);
            let path = match after {
                Some(after) => format!("/internal/v1/changes?after={after}&mark={}&wait_ms={wait_ms}", self.feed.mark()),
                None => "/internal/v1/changes".to_owned(),
            };
            let timeout_ms = milliseconds(self.settings.timeout.saturating_add(wait_ms * 1_000_000));
            self.feed.poll.started(now, timeout_ms);
            self.calls.push(Call {
                purpose: Purpose::Poll { sent: now, after },
                method: "GET",
                path,
                authorization: authorization.clone(),
                body: Vec::new(),
                timeout_ms,
            });
        }
        let reported = self.reporter.next_call(&self.settings, &authorization, now, shared);
        greeted.and(reported.map(|call| self.calls.extend(call)))
    }

    fn greet(&mut self, now: Instant, shared: &mut impl SharedData) -> Result<(), Broken> {
        let secret = match &self.incarnation_secret {
            Some(secret) => secret,
            None => self.incarnation_secret.insert(session::incarnation_secret(&self.own_incarnation_secret, shared)?),
        };
        self.calls.extend(self.session.hello(&self.settings, &self.label, now, secret));
        Ok(())
    }

    fn send_takes(&mut self, now: Instant) {
        if self.takes.is_due()
            && let Some(authorization) = self.session.authorization(now)
        {
            self.takes.calls(&self.settings, &authorization, now, &mut self.calls);
        }
    }

    /// Asks about the keys that wait, once this worker follows the feed: what it was told before, it would have to forget.
    fn send_resolves(&mut self, now: Instant) {
        if !self.feed.follows() {
            return;
        }
        if let Some(authorization) = self.session.authorization(now) {
            // Who is blocked first: who is approved must be known before anybody is judged.
            self.calls.extend(self.blocks.next_call::<Blocks>(&self.settings, &authorization, now));
            self.calls.extend(self.revocations.next_call::<Revocations>(&self.settings, &authorization, now));
            // A token waits for that once, so it must be the last to come.
            let of_tokens = self.revocations.known().is_some();
            self.calls.extend(self.resolver.calls(&authorization, self.settings.timeout, of_tokens, now));
        }
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
