//! Owns what the gate makes of abuse: what counts as a signal, who is blocked, and what the backend says of it. Must not know how scores are
//! kept.
//!
//! An admitted request costs nothing but a count: one of 64 is looked at. The client's address is read only for requests that fail, for those
//! that are looked at, and, while addresses are blocked, for those whose credential this worker does not know to be good.

use std::net::IpAddr;
use std::rc::Rc;

use ipnet::IpNet;
use tollgate_core::abuse::{Act, Signal, Subject};
use tollgate_core::access::limited_as;
use tollgate_core::credential::Provenance;
use tollgate_core::time::Instant;
use tollgate_core::verdict::Reason;
use tollgate_core::wire::{BlockChange, Blocks, Effect, Offence, Refused};

use super::{Denial, Gate, Node, Unidentified};
use crate::abuse::blocks::{Block, key_of_id, key_of_network};
use crate::abuse::known;
use crate::abuse::{REFUSED_SAMPLE, SAMPLE, Verdict, Watched};
use crate::backend::Page;
use crate::counters::Counter;
use crate::identity::{Identity, Namespace};
use crate::shared::SharedData;
use crate::tiers::Unusable;

const MILLISECOND: u64 = 1_000_000;
/// For how long a block without an end is taken to last: longer than any node lives.
const ENDLESS: u64 = u64::MAX / 2;

impl Gate {
    /// How long the client's address is blocked yet; `known`: for requests with a good credential. Reads no address where none is blocked.
    pub(super) fn address_blocked(&mut self, known: bool, now: Instant, node: &mut impl Node) -> Option<u64> {
        if self.abuse.blocks.is_empty() {
            return None;
        }
        let address = node.source_address()?;
        self.abuse.blocks.address(address, known, now)
    }

    /// How long the client's address is blocked yet for a credential that this worker does not know: others of the node may.
    pub(super) fn stranger_blocked(&mut self, presented: &[u8], now: Instant, node: &mut impl Node) -> Option<u64> {
        let wait = self.address_blocked(false, now, node)?;
        let place = self.hash_key.credential(presented, node);
        (!known::was_good(place, node)).then_some(wait)
    }

    /// A credential that this worker did not know is good.
    pub(super) fn note_good(&mut self, presented: &[u8], shared: &mut impl SharedData) {
        if self.policy.abuse.is_none() {
            return;
        }
        let place = self.hash_key.credential(presented, shared);
        if known::note(place, shared).is_err() {
            self.counters.count(Counter::Degraded);
        }
    }

    /// A request without identity, unless its address is blocked.
    pub(super) fn anonymous(&mut self, now: Instant, node: &mut impl Node) -> Result<Option<Rc<Identity>>, Unidentified> {
        match self.address_blocked(false, now, node) {
            Some(wait) => Err(Unidentified::Denied(Reason::Blocked, Some(wait))),
            None => Ok(None),
        }
    }

    /// How long an identity is blocked yet.
    pub(super) fn identity_blocked(&self, identity: &Identity, now: Instant) -> Option<u64> {
        let namespace = &identity.consumer.namespace;
        let consumer = self.abuse.blocks.identity(&key_of_id(true, namespace, &identity.consumer.id), now);
        consumer.max(self.abuse.blocks.identity(&key_of_id(false, namespace, &identity.credential), now))
    }

    /// Notes that a credential was refused, where that is a signal.
    #[inline(never)]
    pub(super) fn note_failure(
        &mut self,
        found: &Result<Rc<Identity>, Unidentified>,
        presented: &[u8],
        now: Instant,
        node: &mut impl Node,
    ) {
        let Err(Unidentified::Denied(reason, _)) = found else {
            return;
        };
        if self.abuse.rules.is_none() {
            return;
        }
        let signal = if *reason == Reason::InvalidToken {
            Signal::FailedToken
        } else if *reason == Reason::InvalidKey {
            match Provenance::of(&self.policy.issuer_keys, presented) {
                Provenance::Forged => Signal::ForgedKey,
                // It was good once: no guess.
                Provenance::Issued => return,
                Provenance::Foreign => Signal::UnknownKey,
            }
        } else {
            return;
        };
        self.suspect_address(signal, Some(presented), now, node);
    }

    /// The client's address shows a signal; of equal things that were shown only the first counts.
    pub(super) fn suspect_address(&mut self, signal: Signal, shown: Option<&[u8]>, now: Instant, node: &mut impl Node) {
        if self.abuse.rules.is_none() {
            return;
        }
        let Some(address) = node.source_address() else {
            return;
        };
        let hash = shown.map(|shown| self.hash_key.shown(shown, node));
        let client = self.client(address);
        let Some(true) = self.suspect((&client, None), signal, hash, 1, now, node) else {
            return;
        };
        let multiple = self.abuse.rules.as_ref().map_or(0, |rules| rules.network_multiple);
        if multiple > 0
            && let Some(around) = client.surroundings()
        {
            self.suspect((&around, None), signal, hash, multiple, now, node);
        }
    }

    /// A client of this address: itself, or its IPv6 network.
    fn client(&self, address: IpAddr) -> Subject {
        let v6 = self.policy.node.ipv6_prefix.max(48);
        let network = match limited_as(address, v6) {
            IpAddr::V4(own) => IpNet::from(IpAddr::V4(own)),
            IpAddr::V6(own) => IpNet::new(IpAddr::V6(own), v6).unwrap_or(IpNet::from(IpAddr::V6(own))),
        };
        Subject::Address(network)
    }

    /// Somebody shows a signal; whether it counted.
    fn suspect(
        &mut self,
        (who, namespace): (&Subject, Option<&Namespace>),
        signal: Signal,
        hash: Option<u64>,
        multiple: u32,
        now: Instant,
        node: &mut impl Node,
    ) -> Option<bool> {
        let watched = self.watched(who, namespace, node);
        // Who is approved is not known before the backend was asked; until then scores only grow.
        let known = self.backend.as_ref().is_none_or(crate::backend::Backend::knows_blocks);
        let multiple = if known { multiple } else { u32::MAX };
        let (counted, verdict) = self.abuse.shows(&watched, (signal, hash), multiple, now, node, &mut self.counters)?;
        if let Some(verdict) = verdict {
            self.judge_abuse((who, namespace), &watched, signal, &verdict, now, node);
        }
        Some(counted)
    }

    fn watched(&mut self, who: &Subject, namespace: Option<&Namespace>, shared: &mut impl SharedData) -> Watched {
        let namespace = namespace.unwrap_or(&Namespace::Backend);
        let key = match who {
            Subject::Address(network) => key_of_network(*network),
            Subject::Consumer(id) => key_of_id(true, namespace, id),
            Subject::Credential(id) => key_of_id(false, namespace, id),
        };
        self.hash_key.watched(key, shared)
    }

    /// Blocks who was suspected enough, and tells of it.
    fn judge_abuse(
        &mut self,
        (who, namespace): (&Subject, Option<&Namespace>),
        watched: &Watched,
        signal: Signal,
        verdict: &Verdict,
        now: Instant,
        shared: &mut impl SharedData,
    ) {
        let (approved, effect) = match who {
            Subject::Address(network) => (self.abuse.blocks.is_approved(network.addr(), network.prefix_len(), now), Effect::Unknown),
            Subject::Consumer(_) | Subject::Credential(_) => (self.abuse.blocks.is_approved_id(&watched.key, now), Effect::All),
        };
        if approved {
            return;
        }
        let blocks = verdict.act == Act::Block;
        self.counters.count(if blocks { Counter::AbuseBlocked } else { Counter::AbuseReported });
        if blocks {
            self.abuse.block(watched, effect, verdict.sentence.lasts, now, shared, &mut self.counters);
        }
        let of_backend = namespace.is_none_or(|namespace| *namespace == Namespace::Backend);
        if let (Some(backend), Some(rules), true) = (&mut self.backend, &self.policy.abuse, of_backend) {
            backend.note_offence(Offence {
                subject: who.to_string(),
                signal: signal.code().to_owned(),
                score: verdict.score,
                first_ms: rules.terms.first / MILLISECOND,
                longest_ms: rules.terms.longest / MILLISECOND,
                forgotten_ms: rules.terms.forgotten_after / MILLISECOND,
                shadow: !blocks,
            });
        }
    }

    /// Notes a request that was admitted.
    pub(super) fn note_admitted(&mut self, identity: Option<&Identity>, now: Instant, wall: u64, node: &mut impl Node) {
        let due = self.note_used(identity, now, wall);
        if self.policy.abuse.is_none() {
            return;
        }
        if self.abuse.is_watching(now) {
            self.abuse.admitted = self.abuse.admitted.wrapping_add(1);
            if self.abuse.admitted.is_multiple_of(SAMPLE)
                && let Some(address) = node.source_address()
            {
                let client = self.client(address);
                for who in [client.surroundings(), Some(client)].into_iter().flatten() {
                    let watched = self.watched(&who, None, node);
                    self.abuse.credits(&watched, SAMPLE, now, node);
                }
            }
        }
        let Some(identity) = identity else {
            return;
        };
        let asked = identity.consumer.asked.get().wrapping_add(1);
        identity.consumer.asked.set(asked);
        let sampled = asked.is_multiple_of(SAMPLE);
        if sampled {
            self.note_pace(identity, SAMPLE, 0, now, node);
        }
        if sampled || due {
            self.note_place(identity, now, node);
        }
    }

    /// Notes for the backend's audit log that a request was denied because of who asks.
    #[inline(never)]
    pub(super) fn note_refused(&mut self, denial: &Denial, node: &mut impl Node) {
        let of_limits = matches!(
            denial.reason,
            Reason::RateLimited
                | Reason::QuotaExceeded
                | Reason::Unavailable
                | Reason::ReplayUnknown
                | Reason::AmbiguousPath
                | Reason::AmbiguousHost
        );
        if of_limits || self.backend.is_none() {
            return;
        }
        let address = node.source_address().map(|address| self.client(address).to_string());
        let consumer = denial.identity.as_ref().map(|identity| &identity.consumer).filter(|own| own.namespace == Namespace::Backend);
        let consumer = consumer.map(|consumer| consumer.id.clone());
        if let Some(backend) = &mut self.backend {
            backend.note_refused(Refused { reason: denial.reason.code().to_owned(), address, consumer, count: 1 });
        }
    }

    /// Notes a request that was denied although it is known who asks, or that has no identity and meets limits.
    pub(super) fn note_denial(&mut self, denial: &Denial, now: Instant, node: &mut impl Node) {
        if self.policy.abuse.is_none() || !matches!(denial.reason, Reason::RateLimited | Reason::QuotaExceeded | Reason::InsufficientScope)
        {
            return;
        }
        if let Some(identity) = &denial.identity {
            let refused = identity.consumer.refused.get().wrapping_add(1);
            identity.consumer.refused.set(refused);
            if refused.is_multiple_of(REFUSED_SAMPLE) {
                self.note_pace(identity, REFUSED_SAMPLE, REFUSED_SAMPLE, now, node);
            }
            return;
        }
        self.abuse.refused = self.abuse.refused.wrapping_add(1);
        if self.abuse.refused.is_multiple_of(REFUSED_SAMPLE)
            && let Some(address) = node.source_address()
        {
            let client = self.client(address);
            let watched = self.watched(&client, None, node);
            let shown = self.abuse.paces(&watched, REFUSED_SAMPLE, REFUSED_SAMPLE, now, node, &mut self.counters);
            if shown.storm {
                self.suspect((&client, None), Signal::DenialStorm, None, 1, now, node);
            }
        }
    }

    /// Requests of a consumer.
    fn note_pace(&mut self, identity: &Identity, requests: u32, refused: u32, now: Instant, node: &mut impl Node) {
        let namespace = identity.consumer.namespace;
        let who = Subject::Consumer(identity.consumer.id.clone());
        let watched = self.watched(&who, Some(&namespace), node);
        let shown = self.abuse.paces(&watched, requests, refused, now, node, &mut self.counters);
        for (shows, signal) in [(shown.storm, Signal::DenialStorm), (shown.velocity, Signal::Velocity)] {
            if shows {
                self.suspect((&who, Some(&namespace)), signal, None, 1, now, node);
            }
        }
    }

    /// Where a credential is used.
    fn note_place(&mut self, identity: &Identity, now: Instant, node: &mut impl Node) {
        let Some(address) = node.source_address().filter(|_| !identity.credential.is_empty()) else {
            return;
        };
        let client = self.client(address);
        let around = client.surroundings().unwrap_or(client);
        let Subject::Address(network) = around else { return };
        let hash = self.hash_key.shown(&key_of_network(network), node);
        let namespace = identity.consumer.namespace;
        let who = Subject::Credential(identity.credential.clone());
        let watched = self.watched(&who, Some(&namespace), node);
        if self.abuse.comes_from(&watched, hash, now, node, &mut self.counters) {
            self.suspect((&who, Some(&namespace)), Signal::ManyAddresses, None, 1, now, node);
        }
    }

    /// A block or an approval of the backend's changed.
    pub(super) fn block_changed(&mut self, change: &BlockChange, now: Instant, shared: &mut impl SharedData) -> Result<(), Unusable> {
        if let Some(backend) = &mut self.backend {
            backend.blocks_changed();
        }
        self.take_block(change, now, shared)
    }

    fn take_block(&mut self, change: &BlockChange, now: Instant, shared: &mut impl SharedData) -> Result<(), Unusable> {
        let who: Subject = change.subject.parse().map_err(|_| Unusable)?;
        let watched = self.watched(&who, None, shared);
        let lasts = change.ends_in_ms.map_or(ENDLESS, |left| left.saturating_mul(MILLISECOND));
        let block = Block { until: now.after(lasts), effect: change.effect, automatic: change.automatic, told: true, since: now };
        let block = (!change.lifted).then_some(block);
        self.abuse.told(&watched, block, change.effect, now, shared, &mut self.counters);
        Ok(())
    }

    /// Takes a page of those in force.
    pub(super) fn take_blocks(&mut self, page: &Page<Blocks>, now: Instant, shared: &mut impl SharedData) {
        if page.first {
            self.listed.clear();
        }
        for change in &page.page.blocks {
            if self.take_block(change, now, shared).is_ok()
                && let Ok(who) = change.subject.parse()
            {
                let key = self.watched(&who, None, shared).key;
                self.listed.push((key, change.effect));
            }
        }
        if page.last {
            let listed = std::mem::take(&mut self.listed);
            self.abuse.blocks.keep_told(&listed, now, &mut self.counters);
        }
    }

    /// Somebody whom this node has blocked is not to be blocked.
    pub(super) fn unblocked(&mut self, subject: &str, now: Instant, shared: &mut impl SharedData) {
        if let Ok(who) = subject.parse() {
            let watched = self.watched(&who, None, shared);
            self.abuse.unblock(&watched, now, shared, &mut self.counters);
        }
    }
}
