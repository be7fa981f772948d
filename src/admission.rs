//! Owns the order of checks: address rules, authentication, limits. Must not know how a verdict is told to the proxy.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip128::{Hasher128, SipHasher24};
use tollgate_core::access::limited_as;
use tollgate_core::policy::{Policy, Source, Tier};
use tollgate_core::route::{Auth, Route, Target, decode_path, is_plain_authority};
use tollgate_core::time::Instant;
use tollgate_core::verdict::Reason;

use crate::authn::api_key::ApiKeyJudge;
use crate::authn::credential;
use crate::counters::{Counter, Counters};
use crate::head::{Field, Head, Malformed, Names};
use crate::limits::{Ask, Charge, Limiter, Outcome, Standings, Subject, Table, TierLimits};
use crate::shared::{Broken, SharedData};

/// Where the node's hash key is kept: 16 random bytes, made by whichever worker is first.
const NODE_KEY: &str = "tollgate/1/node";

/// What a request's judgement needs of its surroundings.
pub trait Node: SharedData {
    /// The client's address, as the proxy knows it. Asked only where a rule needs it.
    fn source_address(&mut self) -> Option<IpAddr>;
}

/// One worker's gate for one policy.
#[derive(Debug)]
pub struct Gate {
    policy: Policy,
    names: Names,
    keys: ApiKeyJudge,
    limiter: Limiter,
    hash_key: HashKey,
    /// What this worker counts.
    pub counters: Counters,
}

/// What subjects are hashed with, so that no client can aim at a place in the node's tables.
#[derive(Debug)]
struct HashKey {
    /// This worker's own.
    own: [u8; 16],
    /// That of all workers of the node, once it is known.
    of_node: Option<[u8; 16]>,
}

/// What is to be done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go on.
    Admit(Permit),
    /// It is answered here.
    Deny(Denial),
}

/// What an admitted request carries on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    /// The position of its route.
    pub route: u16,
    /// The position of its API key; `None` for a request without identity.
    pub api_key: Option<usize>,
    /// The limits it passed.
    pub limited: Option<Limited>,
}

/// Why a request is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The reason.
    pub reason: Reason,
    /// The position of its route, if it got that far.
    pub route: Option<u16>,
    /// The position of its API key, if it got that far.
    pub api_key: Option<usize>,
    /// Nanoseconds after which it may be tried again.
    pub wait: Option<u64>,
    /// The limits it met.
    pub limited: Option<Limited>,
}

/// How a request stands with the limits it met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The position of the tier.
    pub tier: usize,
    /// Where the subject stands with each limit.
    pub standings: Standings,
    /// What was spent; `None` for a denied request.
    pub charge: Option<Charge>,
}

/// A change to the request before the upstream sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit<'a> {
    /// Takes a header away, however often it is there.
    Remove(&'a [u8]),
    /// Adds a header of a name that is not there: any that was has been removed before. It costs less than replacing.
    Add(&'a str, &'a [u8]),
}

impl Gate {
    /// A gate for `policy`; `random` is unpredictable to clients.
    #[must_use]
    pub fn new(policy: Policy, random: [u8; 32]) -> Self {
        let (first, second) = random.split_at(16);
        let half = |bytes: &[u8]| bytes.first_chunk().copied().unwrap_or_default();
        Self {
            names: Names::new(&policy),
            keys: ApiKeyJudge::new(&policy, half(first)),
            limiter: Limiter::new(policy.node.slots),
            hash_key: HashKey { own: half(second), of_node: None },
            counters: Counters::default(),
            policy,
        }
    }

    /// What the gate judges by.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Reads a request's head from the host's header map.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are not a header map.
    pub fn read<'a>(&self, map: &'a [u8]) -> Result<Head<'a>, Malformed> {
        self.names.read(map)
    }

    /// Judges a request, and spends what it costs.
    pub fn judge(&mut self, head: &Head<'_>, now: Instant, node: &mut impl Node) -> Verdict {
        let verdict = self.verdict(head, now, node);
        self.counters.count(match &verdict {
            Verdict::Admit(_) => Counter::Admitted,
            Verdict::Deny(denial) => Counter::Denied(denial.reason),
        });
        verdict
    }

    fn verdict(&mut self, head: &Head<'_>, now: Instant, node: &mut impl Node) -> Verdict {
        let mut denial = Denial { reason: Reason::AmbiguousPath, route: None, api_key: None, wait: None, limited: None };
        let Ok(path) = decode_path(head.target) else {
            return Verdict::Deny(denial);
        };
        if !is_plain_authority(head.authority) {
            return Verdict::Deny(Denial { reason: Reason::AmbiguousHost, ..denial });
        }
        // The last route matches everything, so there always is one.
        let Some((position, route)) = self.policy.route(Target { method: head.method, authority: head.authority, path: &path }) else {
            return Verdict::Deny(Denial { reason: Reason::Unavailable, ..denial });
        };
        denial.route = Some(position);
        let mut permit = Permit { route: position, api_key: None, limited: None };
        if !addresses_admit(&self.policy, route, node) {
            return Verdict::Deny(Denial { reason: Reason::AddressDenied, ..denial });
        }
        if route.exempt || (route.preflight && head.is_preflight()) {
            return Verdict::Admit(permit);
        }
        match authenticate(&self.policy, &mut self.keys, route.auth, head, &mut self.counters) {
            Ok(api_key) => permit.api_key = api_key,
            Err(reason) => return Verdict::Deny(Denial { reason, ..denial }),
        }
        denial.api_key = permit.api_key;
        let (tier, subject) = match whose_limits(&self.policy, &mut self.hash_key, permit.api_key, route, node) {
            Ok(Some(found)) => found,
            Ok(None) => return Verdict::Admit(permit),
            Err(reason) => return Verdict::Deny(Denial { reason, ..denial }),
        };
        let ask = Ask { tier, subject, route: position, cost: route.cost, now };
        let (outcome, standings) = match self.hash_key.of_node {
            Some(_) => self.limiter.judge(&ask, node, &mut self.counters),
            None => self.limiter.judge_alone(&ask, &mut self.counters),
        };
        let limited = Limited { tier: tier.position, standings, charge: None };
        match outcome {
            Outcome::Admitted(charge) => Verdict::Admit(Permit { limited: Some(Limited { charge: Some(charge), ..limited }), ..permit }),
            Outcome::Refused { wait } => Verdict::Deny(Denial { reason: Reason::RateLimited, wait, limited: Some(limited), ..denial }),
            Outcome::Unavailable => Verdict::Deny(Denial { reason: Reason::Unavailable, limited: Some(limited), ..denial }),
        }
    }

    /// The changes an admitted request needs: credentials and false claims go, the verified identity comes.
    pub fn edits<'a>(&'a self, permit: &Permit, head: &'a Head<'_>) -> impl Iterator<Item = Edit<'a>> {
        let policy = &self.policy;
        let identity = permit.api_key.and_then(|position| policy.identity(position)).map(|identity| {
            let names = &policy.identity_headers;
            [(&names.consumer, identity.consumer), (&names.tier, identity.tier), (&names.credential, identity.credential)]
        });
        let claims = head.claims.iter().map(|name| Edit::Remove(name));
        let credentials = (!policy.forward_credentials).then(|| credential::headers(&policy.sources, head));
        let credentials = credentials.into_iter().flatten().map(|name| Edit::Remove(name.as_bytes()));
        let identity = identity.into_iter().flatten().map(|(name, value)| Edit::Add(name, value.as_bytes()));
        claims.chain(credentials).chain(identity)
    }

    /// Names in a request's trailers that belong in no trailer: claims to an identity, and credentials.
    pub fn misplaced<'a>(&'a self, trailers: &'a Head<'_>) -> impl Iterator<Item = &'a [u8]> {
        let sources = self.policy.sources.iter().zip(&trailers.sources).filter_map(|(source, field)| match source {
            Source::Header { name, .. } if *field != Field::Absent => Some(name.as_bytes()),
            Source::Header { .. } | Source::Query(_) => None,
        });
        trailers.claims.iter().copied().chain(sources)
    }

    /// The request's target without credentials, where it holds one: neither a log nor the upstream may see it.
    #[must_use]
    pub fn redacted_target(&self, head: &Head<'_>) -> Option<Vec<u8>> {
        let mut redacted: Option<Vec<u8>> = None;
        for source in &self.policy.sources {
            if let Source::Query(name) = source {
                let target = redacted.as_deref().unwrap_or(head.target);
                let rest = credential::without_parameter(target, name);
                if rest != target {
                    redacted = Some(rest);
                }
            }
        }
        redacted
    }

    /// Whether the answer's status decides if the request is charged.
    #[must_use]
    pub fn charge_depends_on_status(&self, permit: &Permit) -> bool {
        self.policy.routes.get(usize::from(permit.route)).is_some_and(|route| route.charge_when.is_some())
    }

    /// Gives the units back of a request whose answer is not charged, so that its headers show what is left after that.
    pub fn answered(&mut self, permit: &mut Permit, status: u16, now: Instant, shared: &mut impl SharedData) {
        let charge_when = self.policy.routes.get(usize::from(permit.route)).and_then(|route| route.charge_when.as_ref());
        if let (Some(charge_when), Some(limited)) = (charge_when, &mut permit.limited)
            && !charge_when.contain(status)
            && let (Some(charge), Some(tier)) = (&limited.charge, limits_at(&self.policy, limited.tier))
        {
            self.limiter.give_back(tier, charge, &mut limited.standings, now, shared, &mut self.counters);
        }
    }

    /// Whether [`tick`](Self::tick) is needed soon, because this worker holds units others may want.
    #[must_use]
    pub fn holds_units(&self) -> bool {
        self.limiter.holds_units()
    }

    /// Gives back what this worker holds and does not use.
    pub fn tick(&mut self, now: Instant, shared: &mut impl SharedData) {
        let policy = &self.policy;
        self.limiter.give_back_idle(now, |tier| limits_at(policy, tier), shared, &mut self.counters);
    }
}

impl HashKey {
    /// The node's key, or this worker's own as long as the node's cannot be had. Limits cannot be shared then and are judged by
    /// their failure mode.
    fn get(&mut self, shared: &mut impl SharedData) -> [u8; 16] {
        if self.of_node.is_none() {
            self.of_node = self.read(shared).ok();
        }
        self.of_node.unwrap_or(self.own)
    }

    /// Reads the node's key, or makes it of this worker's if it is the first to ask.
    fn read(&self, shared: &mut impl SharedData) -> Result<[u8; 16], Broken> {
        let mut value = Vec::new();
        if shared.get(NODE_KEY, &mut value)?.is_none() {
            if shared.set(NODE_KEY, &self.own, None)? {
                return Ok(self.own);
            }
            shared.get(NODE_KEY, &mut value)?;
        }
        value.as_slice().try_into().map_err(|_| Broken)
    }
}

/// The limits a request meets and who meets them; `None` where there is nothing to limit.
fn whose_limits<'a>(
    policy: &'a Policy,
    hash_key: &mut HashKey,
    api_key: Option<usize>,
    route: &Route,
    node: &mut impl Node,
) -> Result<Option<(TierLimits<'a>, Subject)>, Reason> {
    let consumer = match api_key {
        Some(position) => {
            let key = policy.api_keys.get(position).ok_or(Reason::Unavailable)?;
            Some(policy.consumers.get(key.consumer).ok_or(Reason::Unavailable)?)
        }
        None => None,
    };
    let Some(position) = consumer.map_or(route.anonymous_tier, |consumer| Some(consumer.tier)) else {
        return Ok(None);
    };
    let tier = policy.tiers.get(position).ok_or(Reason::Unavailable)?;
    if tier.limits.is_empty() {
        return Ok(None);
    }
    let key = hash_key.get(node);
    // A consumer has one tier and keeps its state when that is changed; an address may meet several.
    let subject = match consumer {
        Some(consumer) => subject(key, Table::Consumers, &[consumer.id.as_bytes()]),
        None => {
            let address = node.source_address().ok_or(Reason::Unavailable)?;
            match limited_as(address, policy.node.ipv6_prefix) {
                IpAddr::V4(address) => subject(key, Table::Addresses, &[tier.name.as_bytes(), &[0], &address.octets()]),
                IpAddr::V6(address) => subject(key, Table::Addresses, &[tier.name.as_bytes(), &[0], &address.octets()]),
            }
        }
    };
    Ok(Some((limits_of(tier, position), subject)))
}

fn addresses_admit(policy: &Policy, route: &Route, node: &mut impl Node) -> bool {
    let rules = [&policy.addresses, &route.addresses];
    if rules.iter().all(|rules| rules.is_empty()) {
        return true;
    }
    node.source_address().is_some_and(|address| rules.iter().all(|rules| rules.admit(address)))
}

fn authenticate(
    policy: &Policy,
    keys: &mut ApiKeyJudge,
    auth: Auth,
    head: &Head<'_>,
    counters: &mut Counters,
) -> Result<Option<usize>, Reason> {
    if auth == Auth::None {
        return Ok(None);
    }
    match credential::find(&policy.sources, head)? {
        Some(presented) => keys.judge(policy, &presented, counters).map(Some).ok_or(Reason::InvalidKey),
        None if auth == Auth::Optional => Ok(None),
        None => Err(Reason::Unauthenticated),
    }
}

fn limits_of(tier: &Tier, position: usize) -> TierLimits<'_> {
    TierLimits { position, limits: &tier.limits, shape: tier.shape }
}

fn limits_at(policy: &Policy, position: usize) -> Option<TierLimits<'_>> {
    policy.tiers.get(position).map(|tier| limits_of(tier, position))
}

fn subject(key: [u8; 16], table: Table, name: &[&[u8]]) -> Subject {
    let mut hasher = SipHasher24::new_with_key(&key);
    hasher.write(&[u8::from(table == Table::Addresses)]);
    name.iter().for_each(|part| hasher.write(part));
    let hash = hasher.finish128();
    Subject { table, place: hash.h1, tag: hash.h2 }
}

#[cfg(test)]
mod tests;
