//! Owns the order of checks: address rules, authentication, limits. Must not know how a verdict is told to the proxy.

mod asking;
mod leasing;
mod offences;
mod opaque;
mod signatures;
mod spending;
mod subject;
mod tokens;
mod waiting;

use std::net::IpAddr;
use std::rc::Rc;

use tollgate_core::jws::Accelerator;
use tollgate_core::policy::{Policy, Source};
use tollgate_core::route::{Auth, Route, Target, decode_path, is_plain_authority};
use tollgate_core::signature::Body;
use tollgate_core::time::Instant;
use tollgate_core::verdict::Reason;
use tollgate_core::wire::Effect;

use crate::abuse::Abuse;
use crate::authn::api_key::ApiKeyJudge;
use crate::authn::credential::{self, Presented};
use crate::authn::revoked::Revoked;
use crate::authn::token_cache::TokenCache;
use crate::backend::{Backend, Nonce, TICK_EVERY};
use crate::counters::{Counter, Counters};
use crate::head::{Field, Head, Malformed, Names};
use crate::identity::Identity;
use crate::introspection::Introspector;
use crate::key_sets::KeySets;
use crate::leases::Leases;
use crate::limits::{Charge, GIVE_BACK_EVERY, Limiter, Standings};
use crate::shared::SharedData;
use crate::tiers::Tiers;
pub use leasing::Leasing;
use leasing::{LOOK_EVERY, Waiters};
use spending::{Bill, Spent};
use subject::HashKey;
pub use waiting::{Awaited, Waited};

/// What a request's judgement needs of its surroundings.
pub trait Node: SharedData + Accelerator {
    /// The client's address, as the proxy knows it. Asked only where a rule needs it.
    fn source_address(&mut self) -> Option<IpAddr>;
}

/// One worker's gate for one policy.
#[derive(Debug)]
pub struct Gate {
    policy: Policy,
    names: Names,
    keys: ApiKeyJudge,
    tokens: TokenCache,
    introspector: Option<Introspector>,
    revoked: Revoked,
    key_sets: KeySets,
    tiers: Tiers,
    limiter: Limiter,
    leases: Leases,
    waiters: Waiters,
    hash_key: HashKey,
    backend: Option<Backend>,
    abuse: Abuse,
    /// What the backend lists as blocked, while it is read.
    listed: Vec<(Vec<u8>, Effect)>,
    /// What this worker counts.
    pub counters: Counters,
}

/// What is to be done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go on.
    Admit(Permit),
    /// It is answered here.
    Deny(Denial),
    /// Something that is not known yet is being asked for: the request waits, or is denied with the second.
    Wait(Awaited, Denial),
}

/// What an admitted request carries on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    /// The position of its route.
    pub route: u16,
    /// Who asks; `None` for a request without identity.
    pub identity: Option<Rc<Identity>>,
    /// The limits it passed.
    pub limited: Option<Limited>,
    /// What its body must be before it goes on.
    pub body: Option<Body>,
    /// What no other node may have taken before it goes on.
    pub nonce: Option<Nonce>,
}

/// Why a request is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The reason.
    pub reason: Reason,
    /// The position of its route, if it got that far.
    pub route: Option<u16>,
    /// Who asks, if it got that far.
    pub identity: Option<Rc<Identity>>,
    /// Nanoseconds after which it may be tried again.
    pub wait: Option<u64>,
    /// The limits it met.
    pub limited: Option<Limited>,
}

/// How a request stands with the limits it met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The position of the tier.
    pub tier: usize,
    /// Where the subject stands with each limit.
    pub standings: Standings,
    /// What was spent; `None` for a denied request.
    pub charge: Option<Charge>,
    /// The same of the limits over all nodes, where the tier has any.
    pub leasing: Option<Box<Leasing>>,
    /// The same of other limits that were met beside these: the consumer's, where these are its credential's own.
    pub beside: Option<Box<Limited>>,
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
    /// A gate for `policy`; `label` is how the node calls itself, `random` is unpredictable to clients and this worker's own.
    #[must_use]
    pub fn new(policy: Policy, label: &str, random: [u8; 32]) -> Self {
        let (first, second) = random.split_at(16);
        let half = |bytes: &[u8]| bytes.first_chunk().copied().unwrap_or_default();
        Self {
            names: Names::new(&policy),
            keys: ApiKeyJudge::new(&policy, half(first)),
            tokens: TokenCache::new(policy.node.known_tokens, half(first)),
            introspector: Introspector::new(&policy, half(first)),
            revoked: Revoked::new(half(first)),
            key_sets: KeySets::new(&policy),
            tiers: Tiers::new(&policy),
            limiter: Limiter::new(policy.node.slots),
            leases: Leases::new(
                policy.node.slots,
                &policy.backend.as_ref().map_or([""; 2], |backend| [&backend.cluster, &backend.authority]),
            ),
            waiters: Waiters::default(),
            hash_key: HashKey::new(half(second)),
            backend: policy.backend.as_ref().map(|backend| Backend::new(backend, label, half(second))),
            counters: Counters::default(),
            listed: Vec::new(),
            abuse: Abuse::new(policy.abuse.clone(), half(second)),
            policy,
        }
    }

    /// What the gate judges by.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The tiers that identities and standings refer to.
    #[must_use]
    pub const fn tiers(&self) -> &Tiers {
        &self.tiers
    }

    /// Reads a request's head from the host's header map.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are not a header map.
    pub fn read<'a>(&self, map: &'a [u8]) -> Result<Head<'a>, Malformed> {
        self.names.read(map)
    }

    /// Judges a request, and spends what it costs; one that must wait spends nothing of its limits. `waited` is what it has waited for
    /// already, `wall` nanoseconds since 1970.
    pub fn judge(&mut self, head: &Head<'_>, waited: Waited, now: Instant, wall: u64, node: &mut impl Node) -> Verdict {
        let verdict = self.verdict(head, waited, now, wall, node);
        match &verdict {
            Verdict::Admit(_) => self.counters.count(Counter::Admitted),
            Verdict::Deny(denial) => {
                self.counters.count(Counter::Denied(denial.reason));
                self.note_denial(denial, now, node);
                self.note_refused(denial, node);
            }
            Verdict::Wait(..) => {}
        }
        verdict
    }

    fn verdict(&mut self, head: &Head<'_>, waited: Waited, now: Instant, wall: u64, node: &mut impl Node) -> Verdict {
        let mut denial = Denial { reason: Reason::AmbiguousPath, route: None, identity: None, wait: None, limited: None };
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
        let mut permit = Permit { route: position, identity: None, limited: None, body: None, nonce: None };
        if !addresses_admit(&self.policy, route, node) {
            return Verdict::Deny(Denial { reason: Reason::AddressDenied, ..denial });
        }
        let (exempt, preflight) = (route.exempt, route.preflight);
        if self.abuse.blocks.has_totals()
            && let Some(wait) = self.address_blocked(true, now, node)
        {
            return Verdict::Deny(Denial { reason: Reason::Blocked, wait: Some(wait), ..denial });
        }
        if exempt || (preflight && head.is_preflight()) {
            return Verdict::Admit(permit);
        }
        let Some(route) = self.policy.routes.get(usize::from(position)) else {
            return Verdict::Deny(Denial { reason: Reason::Unavailable, ..denial });
        };
        let (auth, requirement, cost, anonymous_tier) = (route.auth, route.requirement, route.cost, route.anonymous_tier);
        match self.authenticate(auth, head, waited, now, wall, node) {
            Ok(identity) => permit.identity = identity,
            Err(Unidentified::Denied(reason, wait)) => return Verdict::Deny(Denial { reason, wait, ..denial }),
            Err(Unidentified::Awaits(awaited)) => {
                self.send_question(&awaited, (position, cost), now, node);
                return Verdict::Wait(awaited, Denial { reason: Reason::Unavailable, ..denial });
            }
        }
        denial.identity.clone_from(&permit.identity);
        if self.abuse.blocks.has_identities()
            && let Some(wait) = permit.identity.as_deref().and_then(|identity| self.identity_blocked(identity, now))
        {
            return Verdict::Deny(Denial { reason: Reason::Blocked, wait: Some(wait), ..denial });
        }
        if let Some(identity) = permit.identity.as_deref().filter(|identity| identity.has_address_rules())
            && !node.source_address().is_some_and(|address| identity.admits(address))
        {
            return Verdict::Deny(Denial { reason: Reason::AddressDenied, ..denial });
        }
        if let Some(requirement) = requirement
            && !permit.identity.as_deref().is_some_and(|identity| identity.met.meets(requirement))
        {
            return Verdict::Deny(Denial { reason: Reason::InsufficientScope, ..denial });
        }
        let seal = match self.signature(permit.identity.as_deref(), position, head, now, wall, node) {
            Ok(seal) => seal,
            Err(reason) => return Verdict::Deny(Denial { reason, ..denial }),
        };
        let bill = Bill { route: position, cost, waited, now };
        let spent = match self.spend(permit.identity.as_deref(), anonymous_tier, bill, node) {
            Ok(spent) => spent,
            Err(reason) => return Verdict::Deny(Denial { reason, ..denial }),
        };
        // Only now: a request that waits for units is judged again, and has not been taken yet.
        if let (Some(seal), Spent::Nothing | Spent::Admitted(_)) = (&seal, &spent)
            && let Err(reason) = self.use_up(seal, node)
        {
            return Verdict::Deny(Denial { reason, ..denial });
        }
        if let Some(seal) = seal {
            (permit.body, permit.nonce) = (seal.body, seal.nonce);
        }
        match spent {
            Spent::Nothing => {
                self.note_admitted(permit.identity.as_deref(), now, wall, node);
                Verdict::Admit(permit)
            }
            Spent::Admitted(limited) => {
                self.note_admitted(permit.identity.as_deref(), now, wall, node);
                Verdict::Admit(Permit { limited: Some(limited), ..permit })
            }
            Spent::Refused(reason, wait, limited) => Verdict::Deny(Denial { reason, wait, limited: Some(limited), ..denial }),
            Spent::Waits(awaited) => Verdict::Wait(awaited, Denial { reason: Reason::Unavailable, ..denial }),
        }
    }

    fn authenticate(
        &mut self,
        auth: Auth,
        head: &Head<'_>,
        waited: Waited,
        now: Instant,
        wall: u64,
        node: &mut impl Node,
    ) -> Result<Option<Rc<Identity>>, Unidentified> {
        if auth == Auth::None {
            return self.anonymous(now, node);
        }
        let tokens = &self.policy.tokens;
        let longest_token = (!tokens.issuers.is_empty()).then_some(tokens.longest);
        let found = credential::find(&self.policy.sources, longest_token, head).map_err(|reason| {
            if reason == Reason::InvalidToken {
                self.counters.count(Counter::TokenMalformed);
            }
            Unidentified::Denied(reason, None)
        });
        match found? {
            Some(Presented::Token(token)) => {
                let found = self.bearer(&token, waited, now, wall, node);
                self.note_failure(&found, &token, now, node);
                found.map(Some)
            }
            Some(Presented::ApiKey(key)) if self.introspector.is_some() && self.is_opaque(&key) => {
                let found = self.opaque(&key, waited, now, wall, node);
                self.note_failure(&found, &key, now, node);
                found.map(Some)
            }
            Some(Presented::ApiKey(key)) => {
                let found = self.identify(&key, waited, now, node);
                if found.is_ok() && waited.for_backend {
                    self.note_good(&key, node);
                }
                self.note_failure(&found, &key, now, node);
                found.map(Some)
            }
            None if auth == Auth::Optional => self.anonymous(now, node),
            None => match self.anonymous(now, node) {
                Ok(_) => Err(Unidentified::Denied(Reason::Unauthenticated, None)),
                Err(blocked) => Err(blocked),
            },
        }
    }

    /// The changes an admitted request needs: credentials and false claims go, the verified identity comes.
    pub fn edits<'a>(&'a self, permit: &'a Permit, head: &'a Head<'_>) -> impl Iterator<Item = Edit<'a>> {
        let policy = &self.policy;
        let identity = permit.identity.as_deref().map(|identity| {
            let names = &policy.identity_headers;
            [
                (&names.consumer, identity.consumer.id.as_str()),
                (&names.tier, self.tier_name(identity)),
                (&names.credential, identity.credential.as_str()),
            ]
        });
        let claims = head.claims.iter().map(|name| Edit::Remove(name));
        let credentials = (!policy.forward_credentials).then(|| credential::headers(&policy.sources, head));
        let credentials = credentials.into_iter().flatten().map(|name| Edit::Remove(name.as_bytes()));
        let identity = identity.into_iter().flatten().map(|(name, value)| Edit::Add(name, value.as_bytes()));
        claims.chain(credentials).chain(identity)
    }

    /// The name of an identity's tier.
    #[must_use]
    pub fn tier_name(&self, identity: &Identity) -> &str {
        self.tiers.get(identity.consumer.tier.get()).map(|tier| tier.name.as_str()).unwrap_or_default()
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
        {
            self.give_back(limited, now, shared);
        }
    }

    /// How soon [`tick`](Self::tick) is needed, in nanoseconds; `None`: only for what is counted.
    #[must_use]
    pub fn tick_within(&self) -> Option<u64> {
        let units = self.limiter.holds_units().then_some(GIVE_BACK_EVERY);
        let calls = (self.backend.is_some() || self.key_sets.are_fetched()).then_some(TICK_EVERY);
        let waits = (!self.waiters.is_empty()).then_some(LOOK_EVERY);
        let looks = self.policy.abuse.is_some().then_some(crate::abuse::LOOK_EVERY);
        units.into_iter().chain(looks).chain(calls).chain(waits).min()
    }

    fn give_back_idle(&mut self, now: Instant, shared: &mut impl SharedData) {
        let tiers = &self.tiers;
        self.limiter.give_back_idle(now, |tier| tiers.limits(tier), shared, &mut self.counters);
    }
}

/// Why it is not known who asks.
enum Unidentified {
    /// The request is denied; it may be tried again after so many nanoseconds.
    Denied(Reason, Option<u64>),
    /// Something is being asked for.
    Awaits(Awaited),
}

fn addresses_admit(policy: &Policy, route: &Route, node: &mut impl Node) -> bool {
    let rules = [&policy.addresses, &route.addresses];
    if rules.iter().all(|rules| rules.is_empty()) {
        return true;
    }
    node.source_address().is_some_and(|address| rules.iter().all(|rules| rules.admit(address)))
}

#[cfg(test)]
mod tests;
