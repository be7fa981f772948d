//! Owns what the gate makes of the backend's word: whom it asks about, what it remembers of the answers and the changes. Must not know
//! how calls travel.

use std::cell::Cell;
use std::rc::Rc;

use tollgate_core::config::check_addresses;
use tollgate_core::issuer::{Keys, KnownBy};
use tollgate_core::policy::{Policy, is_id};
use tollgate_core::requirement::{Granted, Met};
use tollgate_core::secret::{LEAST_SECRET_LEN, Secret};
use tollgate_core::signature::Signing;
use tollgate_core::time::{Instant, SECOND};
use tollgate_core::verdict::Reason;
use tollgate_core::wire::{self, Change, Known};

use super::{Awaited, Gate, Node, Unidentified, Waited};
use crate::authn::api_key::Judged;
use crate::authn::key_cache::Found;
use crate::authn::place::Place;
use crate::backend::{Answered, Event, Question, Taken};
use crate::call::{Answer, Call, CallError, Purpose};
use crate::counters::Counter;
use crate::identity::{Consumer, Identity, Namespace, Own, Told};
use crate::limits::{Charge, Outcome, Standings, Subject};
use crate::shared::SharedData;
use crate::tiers::Unusable;

/// For how long a key stays unknown once the backend said so. Issued keys never come back; only an imported one may be tried before it
/// is there.
const REFUSED_FOR: u64 = 10 * SECOND;
/// How often the use of a credential is noted.
const NOTE_EVERY: u64 = 60 * SECOND;

/// What came of an answer.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// Requests that need wait no longer.
    pub woken: Vec<u32>,
    /// What became of nonces that requests wait for.
    pub taken: Vec<(u32, Taken)>,
    /// What went wrong, for the log.
    pub error: Option<CallError>,
    /// The backend counts as gone for leases from now on, or as back.
    pub away: Option<bool>,
}

impl Gate {
    /// Who presents a key.
    pub(super) fn identify(
        &mut self,
        presented: &[u8],
        waited: Waited,
        now: Instant,
        node: &mut impl Node,
    ) -> Result<Rc<Identity>, Unidentified> {
        let (place, judged) = self.keys.judge(&self.policy, presented, now, &mut self.counters);
        self.known_or_asked(place, judged, Question::Key(presented), waited, now, node)
    }

    /// The backend's credential of this id, which a token came from that the backend signed.
    pub(super) fn named_credential(
        &mut self,
        place: Place,
        id: &str,
        waited: Waited,
        now: Instant,
        node: &mut impl Node,
    ) -> Result<Rc<Identity>, Unidentified> {
        let judged = self.judge_named(place, now);
        self.known_or_asked(place, judged, Question::Credential(id), waited, now, node)
    }

    /// The backend's consumer of this id, by itself. A token that names it was signed by somebody who is trusted: it is no guess.
    pub(super) fn named_consumer(
        &mut self,
        place: Place,
        id: &str,
        waited: Waited,
        now: Instant,
        node: &mut impl Node,
    ) -> Result<Rc<Consumer>, Unidentified> {
        let judged = self.judge_named(place, now);
        self.known_or_asked(place, judged, Question::Consumer(id), waited, now, node).map(|identity| identity.consumer.clone())
    }

    /// What is known at the place of something that a token names.
    fn judge_named(&mut self, place: Place, now: Instant) -> Judged {
        match self.keys.cache.find(place, now) {
            Found::Known(identity) => Judged::Known(identity),
            Found::Refused => Judged::Refused,
            Found::Nothing => Judged::Unknown { issued: true },
        }
    }

    /// Who is known at a place, if that is to be believed; otherwise the backend is asked.
    fn known_or_asked(
        &mut self,
        place: Place,
        judged: Judged,
        question: Question<'_>,
        waited: Waited,
        now: Instant,
        node: &mut impl Node,
    ) -> Result<Rc<Identity>, Unidentified> {
        let (issued, again) = match judged {
            Judged::Refused => {
                return Err(match self.address_blocked(false, now, node) {
                    Some(wait) => Unidentified::Denied(Reason::Blocked, Some(wait)),
                    None => Unidentified::Denied(question.refusal(), None),
                });
            }
            Judged::Known(identity) => {
                let stale = self.backend.as_ref().is_some_and(|backend| !identity.is_fresh(now, backend.fresh(), backend.max_staleness()));
                if !stale {
                    return Ok(identity);
                }
                (false, true)
            }
            Judged::Unknown { issued } => (issued, false),
        };
        // A key that was issued, or known before, is no guess: neighbours of a blocked client pass.
        if !(issued || again)
            && let Question::Key(presented) = question
            && let Some(wait) = self.stranger_blocked(presented, now, node)
        {
            return Err(Unidentified::Denied(Reason::Blocked, Some(wait)));
        }
        let Some(backend) = &mut self.backend else {
            return Err(Unidentified::Denied(question.refusal(), None));
        };
        if waited.for_backend {
            return Err(Unidentified::Denied(Reason::Unavailable, None));
        }
        if backend.is_pending(place) {
            return Err(Unidentified::Awaits(Awaited::Credential(place)));
        }
        if !backend.has_room(issued || again, now) {
            self.counters.count(Counter::NotAsked);
            return Err(Unidentified::Denied(Reason::Unavailable, None));
        }
        // A key that was issued is no guess, and must not want for what guesses have used up; nor is one that was known before: there are
        // only as many of them as the worker remembers.
        let charge = if issued || again { None } else { Some(self.charge_for_asking(now, node)?) };
        if let Some(backend) = &mut self.backend {
            self.counters.count(Counter::Asked);
            // Of one that is known already the leases are here, or not wanted now.
            backend.ask(place, question, !again, charge, now);
        }
        Err(Unidentified::Awaits(Awaited::Credential(place)))
    }

    /// What a guess costs the client's address, and the node.
    fn charge_for_asking(&mut self, now: Instant, node: &mut impl Node) -> Result<Charge, Unidentified> {
        let Some([per_address, per_node]) = self.tiers.bounds() else {
            return Err(Unidentified::Denied(Reason::Unavailable, None));
        };
        let subject = self.account_of_address("\0unknown", node);
        let paid = match self.charge(per_address, subject, 0, 1, now, node) {
            Some((Outcome::Admitted(charge), _)) => charge,
            Some((Outcome::Refused { wait }, _)) => {
                self.counters.count(Counter::NotAsked);
                return Err(Unidentified::Denied(Reason::TooManyUnknownKeys, wait));
            }
            Some((Outcome::Unavailable, _)) | None => return Err(Unidentified::Denied(Reason::Unavailable, None)),
        };
        let subject = self.hash_key.own("unknown", node);
        match self.charge(per_node, subject, 0, 1, now, node) {
            Some((Outcome::Admitted(_), _)) => Ok(paid),
            Some((Outcome::Refused { .. } | Outcome::Unavailable, _)) | None => {
                self.counters.count(Counter::NotAsked);
                self.uncharge(Some(per_address), Some(&paid), now, node);
                Err(Unidentified::Denied(Reason::Unavailable, None))
            }
        }
    }

    /// What an address pays from for something. Clients whose address is not known share one account.
    pub(super) fn account_of_address(&mut self, what: &str, node: &mut impl Node) -> Subject {
        match node.source_address() {
            Some(address) => self.hash_key.address(what, address, self.policy.node.ipv6_prefix, node),
            None => self.hash_key.own(what, node),
        }
    }

    /// Gives back what an address has paid by a bound for what turned out to be right.
    pub(super) fn uncharge(&mut self, bound: Option<usize>, paid: Option<&Charge>, now: Instant, shared: &mut impl SharedData) {
        if let (Some(charge), Some(bound)) = (paid, bound)
            && let Some(tier) = self.tiers.limits(bound)
        {
            self.limiter.give_back(tier, charge, &mut Standings::default(), now, shared, &mut self.counters);
        }
    }

    /// The calls to be made now.
    pub fn take_calls(&mut self) -> Vec<Call> {
        let mut calls = self.backend.as_mut().map(crate::backend::Backend::take_calls).unwrap_or_default();
        calls.extend(self.key_sets.take_calls());
        if let Some(introspector) = &mut self.introspector {
            calls.extend(introspector.take_calls());
        }
        calls
    }

    /// Where a call goes: the proxy's cluster, and the host that is named there. `None`: nowhere any longer.
    #[must_use]
    pub fn destination(&self, purpose: Purpose) -> Option<(&str, &str)> {
        let (Purpose::KeySet { issuer, .. } | Purpose::Introspect { issuer, .. }) = purpose else {
            return self.policy.backend.as_ref().map(|backend| (backend.cluster.as_str(), backend.authority.as_str()));
        };
        match &self.policy.tokens.issuers.get(usize::from(issuer))?.keys {
            Keys::Remote(remote) => Some((&remote.cluster, &remote.authority)),
            Keys::Asked(asked) => Some((&asked.cluster, &asked.authority)),
            Keys::Known(_) => None,
        }
    }

    /// Which issuer a call is to.
    #[must_use]
    pub fn issuer_of(&self, purpose: Purpose) -> Option<&str> {
        let (Purpose::KeySet { issuer, .. } | Purpose::Introspect { issuer, .. }) = purpose else {
            return None;
        };
        self.policy.tokens.issuers.get(usize::from(issuer)).map(|issuer| issuer.name.as_str())
    }

    /// Does what is due by the clock, and answers which requests need wait no longer.
    pub fn tick(&mut self, now: Instant, shared: &mut impl SharedData) -> Vec<u32> {
        self.give_back_idle(now, shared);
        self.revoked.tick(now);
        if self.abuse.tick(now, shared, &mut self.counters).is_err() {
            self.counters.count(Counter::Degraded);
        }
        let (mut woken, done) = self.key_sets.tick(now, shared, &mut self.counters);
        if done.is_err() {
            self.counters.count(Counter::Degraded);
        }
        woken.extend(self.tick_leases(now, shared));
        let Some(backend) = &mut self.backend else {
            return woken;
        };
        let (events, done) = backend.tick(now, shared);
        self.take_in(events, now, shared);
        if done.is_err() {
            // Where nothing is heard any longer, what is known ages until it is no longer believed.
            self.counters.count(Counter::Degraded);
        }
        let overdue = self.backend.as_ref().map(|backend| backend.overdue(now)).unwrap_or_default();
        woken.extend(overdue.into_iter().flat_map(|place| self.close_unanswered(place, now, shared)));
        woken
    }

    /// Requests that cannot wait any longer for their nonces.
    pub fn overdue_nonces(&mut self, now: Instant) -> Vec<(u32, Taken)> {
        self.backend.as_mut().map(|backend| backend.not_taken(now)).unwrap_or_default()
    }

    /// Takes the answer to a call.
    pub fn heard(&mut self, purpose: Purpose, answer: Answer<'_>, now: Instant, shared: &mut impl SharedData) -> Outcomes {
        if let Purpose::KeySet { issuer, sent } = purpose {
            let (woken, error) = self.key_sets.heard(issuer, sent, answer, now, shared, &mut self.counters);
            return Outcomes { woken, error, ..Outcomes::default() };
        }
        if let Purpose::Introspect { place, sent, .. } = purpose {
            let (woken, error) = self.told_of_token(place, sent, answer, now, shared);
            return Outcomes { woken, error, ..Outcomes::default() };
        }
        let Some(backend) = self.backend.as_mut().filter(|backend| backend.awaits(purpose)) else {
            return Outcomes::default();
        };
        let mut heard = backend.heard(purpose, answer, now, shared);
        let before = self.leases.is_away();
        let mut outcomes = Outcomes { taken: std::mem::take(&mut heard.taken), error: heard.error, ..Outcomes::default() };
        if heard.error.is_some() {
            self.counters.count(Counter::CallFailed);
        }
        self.take_in(heard.events, now, shared);
        if let Some(settlement) = &heard.settlement {
            outcomes.woken = self.settled(settlement, now, shared);
        }
        if let Some(page) = heard.blocks.take() {
            self.take_blocks(&page, now, shared);
        }
        if let Some(page) = &heard.revocations {
            page.page.revoked.iter().for_each(|revoked| self.token_revoked(revoked, now));
        }
        for subject in &heard.unblocked {
            self.unblocked(subject, now, shared);
        }
        if let Some(brought) = &heard.brought {
            // Before anybody who waits is judged again; and whatever becomes of the rest of the answer.
            self.take_first(brought, now, shared);
        }
        match (heard.resolved, purpose) {
            (Some(answered), _) => outcomes.woken = self.answered_about(answered, now, shared),
            (None, Purpose::Resolve { place, .. }) => {
                // A token that is no longer taken is replaced; the requests wait as long as they may.
                let backend = self.backend.as_mut().filter(|_| heard.error == Some(CallError::Unauthorized));
                if !backend.is_some_and(|backend| backend.ask_again(place, now)) {
                    outcomes.woken = self.close_unanswered(place, now, shared);
                }
            }
            (None, Purpose::Settle { .. }) if heard.error.is_some() => self.note_reach(false, now),
            (
                None,
                Purpose::Hello
                | Purpose::Poll { .. }
                | Purpose::Reclaim { .. }
                | Purpose::Report { .. }
                | Purpose::Settle { .. }
                | Purpose::Take { .. }
                | Purpose::Blocks { .. }
                | Purpose::Revocations { .. }
                | Purpose::Introspect { .. }
                | Purpose::KeySet { .. },
            ) => {}
        }
        let away = self.leases.is_away();
        outcomes.away = (away != before).then_some(away);
        outcomes
    }

    fn close_unanswered(&mut self, place: Place, now: Instant, shared: &mut impl SharedData) -> Vec<u32> {
        self.counters.count(Counter::AskedInVain);
        self.close(place, false, now, shared)
    }

    /// The key at a place is no longer asked about. Only one that is nobody's stays charged to its address: a backend that fails must
    /// not use up what its clients may ask once it is back.
    fn close(&mut self, place: Place, nobodys: bool, now: Instant, shared: &mut impl SharedData) -> Vec<u32> {
        let Some(closed) = self.backend.as_mut().and_then(|backend| backend.close(place, now)) else {
            return Vec::new();
        };
        if !nobodys {
            let bound = self.tiers.bounds().map(|[per_address, _]| per_address);
            self.uncharge(bound, closed.charge.as_ref(), now, shared);
        }
        closed.waiters
    }

    /// Remembers an answer about a key; it is asked for again if something has changed since it was read.
    fn answered_about(&mut self, answered: Answered, now: Instant, shared: &mut impl SharedData) -> Vec<u32> {
        let Answered { place, sent, revision, known } = answered;
        let nobodys = known.is_none();
        match known {
            None => {
                self.counters.count(Counter::AskedUnknown);
                self.keys.cache.refuse(place, Some(now.after(REFUSED_FOR)));
            }
            Some(known) => {
                if self.keys.cache.is_outdated(sent, revision, &known) {
                    if self.backend.as_mut().is_some_and(|backend| backend.ask_again(place, now)) {
                        return Vec::new();
                    }
                    return self.close_unanswered(place, now, shared);
                }
                match self.identity(known, place, revision, sent) {
                    Ok(identity) => {
                        self.counters.count(Counter::AskedKnown);
                        self.keys.cache.know(place, Rc::new(identity));
                    }
                    Err(Unusable) => return self.close_unanswered(place, now, shared),
                }
            }
        }
        self.close(place, nobodys, now, shared)
    }

    fn identity(&mut self, known: Known, place: Place, revision: u64, as_of: Instant) -> Result<Identity, Unusable> {
        // Asked about by itself, a consumer comes without a credential.
        if !is_id(&known.consumer) || !(known.credential.is_empty() || is_id(&known.credential)) {
            return Err(Unusable);
        }
        let tier = self.tiers.learn(&known.tier, revision, &self.policy)?;
        let signing = match known.signing {
            Some(signing) if signing.secret.len() < LEAST_SECRET_LEN => return Err(Unusable),
            Some(signing) => Some(Signing { secret: Secret::new(signing.secret.into_bytes()), required: signing.required }),
            None => None,
        };
        let own = match known.own {
            Some(limits) => {
                let account = known.account.filter(|account| is_id(account)).ok_or(Unusable)?;
                Some(Box::new(Own { tier: self.tiers.learn_own(limits, &self.policy)?, account }))
            }
            None => None,
        };
        let [addresses, consumer_addresses] = [&known.addresses, &known.consumer_addresses].map(check_addresses);
        let (addresses, consumer_addresses) = (addresses.map_err(|_| Unusable)?, consumer_addresses.map_err(|_| Unusable)?);
        let consumer = self.keys.cache.consumer(&known.consumer, || {
            Consumer {
                id: known.consumer.clone(),
                namespace: Namespace::Backend,
                addresses: None,
                tier: Cell::new(tier),
                revision: Cell::new(revision),
                since: revision,
                gone: Cell::new(false),
                asked: Cell::new(0),
                refused: Cell::new(0),
            }
            .within(&consumer_addresses)
        });
        if consumer.revision.get() < revision {
            consumer.revision.set(revision);
            consumer.tier.set(tier);
        }
        let expires = known.expires_in_ms.map(|left| as_of.after(left.saturating_mul(1_000_000)));
        let told = Told { revision, as_of, expires, noted: Cell::new(None) };
        let granted = Granted { scopes: &known.scopes, roles: &known.roles, claims: None };
        // Of a credential by its id the token has the claims.
        let met = match self.keys.cache.place_of_credential(&known.credential) == place {
            true => Met::without_claims(&self.policy.requirements, granted),
            false => Met::of(&self.policy.requirements, granted),
        };
        Ok(Identity { credential: known.credential, consumer, met, addresses: None, signing: None, own, told: Some(told) }
            .within(&addresses)
            .signing(signing))
    }

    fn take_in(&mut self, events: Vec<Event>, now: Instant, shared: &mut impl SharedData) {
        for event in events {
            match event {
                Event::Forget(revision) => self.forget(revision, now),
                Event::Changes(changes) => {
                    for change in changes.changes {
                        self.counters.count(Counter::Change);
                        if self.change(&change, now, shared).is_err() {
                            self.forget(change.revision, now);
                        }
                    }
                }
            }
        }
    }

    fn forget(&mut self, revision: u64, now: Instant) {
        self.counters.count(Counter::Forgotten);
        self.keys.cache.forget_told(revision, now);
        self.tiers.forget_revisions();
        self.leases.raised(None, revision);
        if let Some(backend) = &mut self.backend {
            // What is blocked stays so, until it ends or the backend says otherwise.
            backend.ask_for_blocks();
            if takes_own_tokens(&self.policy) {
                backend.ask_for_revocations();
            }
        }
    }

    /// Carries one change out; an error if it is of a kind that is not known here.
    fn change(&mut self, change: &Change, now: Instant, shared: &mut impl SharedData) -> Result<(), Unusable> {
        let revision = change.revision;
        if let Change { credential: None, consumer: None, tier: None, recall: None, block: Some(block), .. } = change {
            return self.block_changed(block, now, shared);
        }
        if let Change { credential: None, consumer: None, tier: None, recall: None, block: None, revoked: Some(revoked), .. } = change {
            self.token_revoked(revoked, now);
            return Ok(());
        }
        match (&change.credential, &change.consumer, &change.tier, &change.recall) {
            (Some(credential), None, None, None) => self.keys.cache.credential_changed(&credential.id, revision, credential.gone),
            (None, Some(consumer), None, None) => {
                let tier = consumer.tier.as_ref().map(|tier| self.tiers.learn(tier, revision, &self.policy)).transpose()?;
                self.keys.cache.consumer_changed(&consumer.id, revision, tier);
                let subject = self.hash_key.of_backend(&consumer.id, shared);
                self.leases.changed(Some((subject, &consumer.id)), revision, now, shared);
            }
            (None, None, Some(tier), None) => {
                self.leases.changed(None, revision, now, shared);
                self.keys.cache.tier_changed(&tier.name, revision);
                self.tiers.change(tier, revision, &self.policy)?;
            }
            (None, None, None, Some(recall)) => self.recalled(recall, revision, now, shared),
            (_, _, _, _) => return Err(Unusable),
        }
        Ok(())
    }

    /// Remembers that a token or family is revoked, where tokens of the backend's own are taken.
    fn token_revoked(&mut self, revoked: &wire::Revoked, now: Instant) {
        if takes_own_tokens(&self.policy) {
            self.revoked.add(&revoked.id, now.after(revoked.ends_in_ms.saturating_mul(1_000_000)));
        }
    }

    /// Notes that a credential of the backend's was used, if that is due.
    pub(super) fn note_used(&mut self, identity: Option<&Identity>, now: Instant, wall: u64) -> bool {
        let Some((identity, told)) = identity.and_then(|identity| Some((identity, identity.told.as_ref()?))) else {
            return false;
        };
        let due = told.noted.get().is_none_or(|noted| now.since(noted) >= NOTE_EVERY);
        if due && self.backend.as_mut().is_some_and(|backend| backend.note_used(&identity.credential, wall)) {
            told.noted.set(Some(now));
        }
        due
    }
}

/// Whether tokens are taken that the backend issues itself.
fn takes_own_tokens(policy: &Policy) -> bool {
    policy.tokens.issuers.iter().any(|issuer| issuer.known_by == KnownBy::Credential)
}

#[cfg(test)]
mod tests;
