//! Owns the tiers a worker knows: those of its configuration, the bounds on unknown credentials, and those the backend has sent.
//! Must not judge limits.
//!
//! A tier keeps its position for as long as the worker lives, so that what is held of its limits finds back to it.

use std::rc::Rc;

use hashbrown::HashMap;
use tollgate_core::config::{compile_tier, document};
use tollgate_core::limit::Counted;
use tollgate_core::policy::{Policy, Tier};
use tollgate_core::verdict::Reason;

use crate::leases::{TierLeases, name_hash};
use crate::limits::TierLimits;

/// Tiers of the backend a worker keeps; credentials of others cannot be judged.
const MOST_LEARNT: usize = 1_024;

/// Different limits of single credentials a worker keeps beside those of all that it knows: requests under way have them.
const MORE_OWN: usize = 1_024;

/// The tiers of one worker, by position.
#[derive(Debug)]
pub struct Tiers {
    entries: Vec<Entry>,
    learnt: HashMap<String, Learnt>,
    /// Where the limits of single credentials are, by name.
    own: HashMap<String, Rc<usize>>,
    most_own: usize,
    /// Positions of limits that nobody has any more.
    free: Vec<usize>,
    /// The positions of the bounds on unknown keys, an address's and the node's.
    bounds: Option<[usize; 2]>,
    /// The position of the bound on an address's tokens that fail.
    token_bound: Option<usize>,
}

#[derive(Debug)]
struct Entry {
    tier: Tier,
    /// What `RateLimit-Policy` says of each limit before and after its units: of the node's first, then of those over all nodes.
    items: Vec<[String; 2]>,
    /// A hash of the name of each limit over all nodes.
    names: Vec<u64>,
}

/// Where a tier of the backend is, and when it was sent last.
#[derive(Debug)]
struct Learnt {
    position: usize,
    revision: u64,
}

/// A tier the backend has sent cannot be used: it is not valid, or there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the backend sent a tier that cannot be used here")]
pub struct Unusable;

impl Tiers {
    /// The tiers of a policy, at their positions there.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let entries = policy.tiers.iter().cloned().map(Entry::new).collect();
        let mut tiers = Self {
            entries,
            learnt: HashMap::new(),
            own: HashMap::new(),
            most_own: policy.node.known_keys + MORE_OWN,
            free: Vec::new(),
            bounds: None,
            token_bound: None,
        };
        tiers.token_bound = policy.tokens.per_address.as_ref().map(|bound| tiers.push(bound.clone()));
        if let Some(backend) = &policy.backend {
            let bounds = [&backend.per_address, &backend.per_node].map(|bound| tiers.push(bound.clone()));
            tiers.bounds = Some(bounds);
        }
        tiers
    }

    /// The tier at a position.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<&Tier> {
        self.entries.get(position).map(|entry| &entry.tier)
    }

    /// Its limits.
    #[must_use]
    pub fn limits(&self, position: usize) -> Option<TierLimits<'_>> {
        self.get(position).map(|tier| TierLimits { position, limits: &tier.limits, shape: tier.shape })
    }

    /// Its limits over all nodes.
    #[must_use]
    pub fn leases(&self, position: usize) -> Option<TierLeases<'_>> {
        self.entries.get(position).map(|entry| TierLeases { position, leased: &entry.tier.leased, names: &entry.names })
    }

    /// Why a request is denied that a limit over all nodes refuses, given by its position; `None`: what it degrades to does.
    #[must_use]
    pub fn refusal(&self, position: usize, limit: Option<usize>) -> Reason {
        let leased = limit.and_then(|limit| self.get(position)?.leased.get(limit));
        match leased.map(|leased| leased.counted) {
            Some(Counted::Quota(_)) => Reason::QuotaExceeded,
            Some(Counted::Rate(_)) | None => Reason::RateLimited,
        }
    }

    /// What `RateLimit-Policy` says of its limits before and after their units: of the node's first, then of those over all nodes.
    #[must_use]
    pub fn policy_items(&self, position: usize) -> &[[String; 2]] {
        self.entries.get(position).map(|entry| entry.items.as_slice()).unwrap_or_default()
    }

    /// The bounds on unknown credentials: of an address, and of the node.
    #[must_use]
    pub const fn bounds(&self) -> Option<[usize; 2]> {
        self.bounds
    }

    /// The bound on an address's tokens that fail.
    #[must_use]
    pub const fn token_bound(&self) -> Option<usize> {
        self.token_bound
    }

    /// The position of a tier as the backend had it at a revision; a newer form that is known already stays.
    ///
    /// # Errors
    /// [`Unusable`], and what was known stays.
    pub fn learn(&mut self, document: &document::Tier, revision: u64, policy: &Policy) -> Result<usize, Unusable> {
        if let Some(learnt) = self.learnt.get_mut(&document.name) {
            if learnt.revision < revision {
                let tier = compile_tier(document, policy).map_err(|_| Unusable)?;
                let entry = self.entries.get_mut(learnt.position).ok_or(Unusable)?;
                if entry.tier.limits != tier.limits || entry.tier.leased != tier.leased {
                    *entry = Entry::new(tier);
                }
                learnt.revision = revision;
            }
            return Ok(learnt.position);
        }
        if self.learnt.len() >= MOST_LEARNT {
            return Err(Unusable);
        }
        let position = self.push(compile_tier(document, policy).map_err(|_| Unusable)?);
        self.learnt.insert(document.name.clone(), Learnt { position, revision });
        Ok(position)
    }

    /// The position of limits that the backend gave to single credentials: all of one name share it. Once nobody has it any more it may be that
    /// of others.
    ///
    /// # Errors
    /// [`Unusable`].
    #[inline(never)]
    pub fn learn_own(&mut self, limits: document::Tier, policy: &Policy) -> Result<Rc<usize>, Unusable> {
        if let Some(own) = self.own.get(&limits.name) {
            return Ok(own.clone());
        }
        if self.own.len() >= self.most_own {
            let free = &mut self.free;
            self.own.retain(|_, own| {
                let held = Rc::strong_count(own) > 1;
                if !held {
                    free.push(**own);
                }
                held
            });
            if self.own.len() >= self.most_own {
                return Err(Unusable);
            }
        }
        let tier = compile_tier(&limits, policy).map_err(|_| Unusable)?;
        let position = self.free.pop().unwrap_or(self.entries.len());
        match self.entries.get_mut(position) {
            Some(entry) => *entry = Entry::new(tier),
            None => self.entries.push(Entry::new(tier)),
        }
        let own = Rc::new(position);
        self.own.insert(limits.name, own.clone());
        Ok(own)
    }

    /// Takes a tier's new form over, if it is known at all.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn change(&mut self, document: &document::Tier, revision: u64, policy: &Policy) -> Result<(), Unusable> {
        if self.learnt.contains_key(&document.name) { self.learn(document, revision, policy).map(|_| ()) } else { Ok(()) }
    }

    /// What the backend sent is no longer known to be newer than what it will send.
    pub fn forget_revisions(&mut self) {
        self.learnt.values_mut().for_each(|learnt| learnt.revision = 0);
    }

    fn push(&mut self, tier: Tier) -> usize {
        self.entries.push(Entry::new(tier));
        self.entries.len() - 1
    }
}

impl Entry {
    fn new(tier: Tier) -> Self {
        let item =
            |name: &str, window: Option<u64>| [format!("\"{name}\";q="), window.map(|seconds| format!(";w={seconds}")).unwrap_or_default()];
        let own = tier.limits.iter().map(|limit| item(&limit.name, Some(limit.window_seconds)));
        let leased = tier.leased.iter().map(|leased| item(&leased.name, leased.window_seconds()));
        let names = tier.leased.iter().map(|leased| name_hash(&leased.name)).collect();
        Self { items: own.chain(leased).collect(), names, tier }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::config;

    fn tier(name: &str, rate: u64) -> document::Tier {
        let limit = serde_json::json!({"name": "m", "algorithm": "token_bucket", "rate": rate, "per": "1s"});
        serde_json::from_value(serde_json::json!({"name": name, "limits": [limit]})).unwrap()
    }

    #[test]
    fn a_tier_keeps_its_place_and_its_newest_form() {
        let policy = config::load(b"{}", &|_: &str| None).unwrap();
        let mut tiers = Tiers::new(&policy);
        let place = tiers.learn(&tier("free", 5), 7, &policy).unwrap();
        assert_eq!(place, policy.tiers.len(), "apart from the configuration's tier of that name");
        let capacity = |tiers: &Tiers| tiers.get(place).unwrap().limits[0].rate.capacity();
        assert_eq!(tiers.learn(&tier("free", 3), 6, &policy), Ok(place));
        assert_eq!(capacity(&tiers), 5, "older");
        tiers.change(&tier("free", 9), 8, &policy).unwrap();
        assert_eq!((capacity(&tiers), tiers.policy_items(place)), (9, &[["\"m\";q=".to_owned(), ";w=1".to_owned()]][..]));
        assert_eq!(tiers.change(&tier("free", 0), 9, &policy), Err(Unusable));
        assert_eq!(capacity(&tiers), 9, "what was known stays");
        tiers.change(&tier("other", 1), 9, &policy).unwrap();
        assert_eq!(tiers.learnt.len(), 1, "of no credential here");
        tiers.forget_revisions();
        tiers.learn(&tier("free", 2), 1, &policy).unwrap();
        assert_eq!(capacity(&tiers), 2, "a restored backend counts anew");
    }

    #[test]
    fn what_is_kept_of_a_tier_does_not_grow_with_its_document() {
        let policy = config::load(b"{}", &|_: &str| None).unwrap();
        let mut tiers = Tiers::new(&policy);
        let mut long = tier("free", 5);
        let routes = (0..10_000).map(|number| format!("other-{number}")).chain(vec!["default".to_owned(); 10_000]);
        long.limits[0].routes = Some(routes.collect());
        let before = format!("{tiers:?}").len();
        tiers.learn(&long, 1, &policy).unwrap();
        assert!(format!("{tiers:?}").len() < before + 2_000);
    }

    #[test]
    fn credentials_share_limits_of_one_name_and_differ_within_bounds() {
        let policy = config::load(b"{}", &|_: &str| None).unwrap();
        let mut tiers = Tiers::new(&policy);
        let own = |rate: usize| tier(&format!("key-{rate}"), rate as u64);
        let kept = tiers.learn_own(own(5), &policy).unwrap();
        assert_eq!(tiers.learn_own(own(5), &policy), Ok(kept.clone()));
        assert_eq!(tiers.learn_own(own(0), &policy), Err(Unusable));
        let count = tiers.entries.len();
        for rate in 6..3 * tiers.most_own {
            assert_ne!(tiers.learn_own(own(rate), &policy).unwrap(), kept);
        }
        assert!(tiers.entries.len() < count + tiers.most_own, "those that nobody has go");
        assert_eq!(tiers.learn_own(own(5), &policy), Ok(kept.clone()));
        let mut held = vec![kept];
        while let Ok(next) = tiers.learn_own(own(5 + held.len()), &policy) {
            let capacity = tiers.get(*next).unwrap().limits[0].rate.capacity();
            assert_eq!(capacity, 5 + held.len() as u64);
            held.push(next);
        }
        assert!(held.len() >= policy.node.known_keys);
        assert_eq!(tiers.get(*held[0]).unwrap().limits[0].rate.capacity(), 5, "what somebody has stays");
    }

    #[test]
    fn a_backend_cannot_fill_the_memory_with_tiers() {
        let policy = config::load(b"{}", &|_: &str| None).unwrap();
        let mut tiers = Tiers::new(&policy);
        for number in 0..MOST_LEARNT {
            tiers.learn(&tier(&format!("t{number}"), 1), 1, &policy).unwrap();
        }
        assert_eq!(tiers.learn(&tier("more", 1), 1, &policy), Err(Unusable));
        assert!(tiers.learn(&tier("t7", 2), 2, &policy).is_ok());
    }
}
