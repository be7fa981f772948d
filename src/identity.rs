//! Owns who is asking: a consumer, its credential, and until when that is to be believed. Must not know how it was found out.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;

use tollgate_core::access::AddressRules;
use tollgate_core::requirement::Met;
use tollgate_core::signature::Signing;
use tollgate_core::time::Instant;

/// A verified pair of consumer and credential.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    /// The credential's id, which is no secret.
    pub credential: String,
    /// Whose it is.
    pub consumer: Rc<Consumer>,
    /// Which of the policy's requirements it meets.
    pub met: Met,
    /// From where it may be used, beside what holds for its consumer; `None`: from everywhere.
    pub addresses: Option<Box<AddressRules>>,
    /// What its owner signs requests with, if it does.
    pub signing: Option<Box<Signing>>,
    /// Limits of its own, beside those of its consumer's tier, if it has any.
    pub own: Option<Box<Own>>,
    /// What the backend said of it; `None` for one of the configuration.
    pub told: Option<Told>,
}

/// What one credential may spend, whatever else its consumer may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The position of its limits among the tiers, which is theirs for as long as somebody has this.
    pub tier: Rc<usize>,
    /// In whose name its leases are.
    pub account: String,
}

/// Who is limited and billed. All credentials of a consumer share it, so that one change reaches them all.
#[derive(Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Its id.
    pub id: String,
    /// Whose name the id is.
    pub namespace: Namespace,
    /// From where its credentials may be used; `None`: from everywhere. Another consumer takes its place when that changes.
    pub addresses: Option<Box<AddressRules>>,
    /// The position of its tier.
    pub tier: Cell<usize>,
    /// The revision of its tier.
    pub revision: Cell<u64>,
    /// The revision it was first told at: what is known of its credentials is no older.
    pub since: u64,
    /// None of its credentials may pass any longer.
    pub gone: Cell<bool>,
    /// Counts its requests on this worker, to look at some of them.
    pub asked: Cell<u32>,
    /// Counts those that were refused although it is known.
    pub refused: Cell<u32>,
}

/// Who gave a consumer its id: two of the same id are not the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// The plugin's configuration.
    Configuration,
    /// The backend.
    Backend,
    /// The issuer with this tag, by its tokens alone.
    Issuer([u8; 8]),
}

/// What the backend said of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The revision it was true at.
    pub revision: u64,
    /// When it was asked: the answer is no older.
    pub as_of: Instant,
    /// When the credential ends.
    pub expires: Option<Instant>,
    /// When its use was last noted.
    pub noted: Cell<Option<Instant>>,
}

impl Consumer {
    /// A consumer whose tier does not change.
    #[must_use]
    pub const fn fixed(id: String, namespace: Namespace, tier: usize) -> Self {
        Self {
            id,
            namespace,
            addresses: None,
            tier: Cell::new(tier),
            revision: Cell::new(0),
            since: 0,
            gone: Cell::new(false),
            asked: Cell::new(0),
            refused: Cell::new(0),
        }
    }

    /// The same, to be used from where these rules allow.
    #[must_use]
    pub fn within(self, rules: &AddressRules) -> Self {
        Self { addresses: some(rules), ..self }
    }
}

impl Identity {
    /// An identity that the policy vouches for: nobody else is asked about it.
    #[must_use]
    pub fn configured(credential: String, consumer: Consumer, met: Met) -> Self {
        Self { credential, consumer: Rc::new(consumer), met, addresses: None, signing: None, own: None, told: None }
    }

    /// The same, to be used from where these rules allow.
    #[must_use]
    pub fn within(self, rules: &AddressRules) -> Self {
        Self { addresses: some(rules), ..self }
    }

    /// The same, whose owner signs requests with this.
    #[must_use]
    pub fn signing(self, signing: Option<Signing>) -> Self {
        Self { signing: signing.map(Box::new), ..self }
    }

    /// Whether it matters from where it is used.
    #[must_use]
    pub fn has_address_rules(&self) -> bool {
        self.addresses.is_some() || self.consumer.addresses.is_some()
    }

    /// Whether it may be used from an address.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        [&self.addresses, &self.consumer.addresses].into_iter().flatten().all(|rules| rules.admit(address))
    }

    /// Whether it is to be believed at `now`, given when the feed of changes was last known to be complete.
    #[must_use]
    pub fn is_fresh(&self, now: Instant, feed: Instant, max_staleness: u64) -> bool {
        self.told.as_ref().is_none_or(|told| now.since(told.as_of.max(feed)) <= max_staleness)
    }

    /// Whether it has ended by itself.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.consumer.gone.get() || self.told.as_ref().and_then(|told| told.expires).is_some_and(|expires| expires <= now)
    }
}

/// Rules, unless there are none.
fn some(rules: &AddressRules) -> Option<Box<AddressRules>> {
    (!rules.is_empty()).then(|| Box::new(rules.clone()))
}
