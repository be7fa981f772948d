//! Owns what a worker remembers of access tokens: what a verified one grants, and which ones were refused. Must not know how that was
//! found out.
//!
//! A token seen before costs one keyed hash (SipHash-2-4, 128 bits, under a random key of this worker) and a constant-time compare of
//! half of it; the token itself is not kept. What is verified and what is refused are bounded and apart from each other.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use tollgate_core::issuer::Validity;
use tollgate_core::requirement::Met;
use tollgate_core::time::Instant;
use tollgate_core::verdict::Reason;

use super::place::Place;
use crate::identity::Identity;

/// A token that was verified.
#[derive(Debug)]
pub struct Verified {
    /// The position of its issuer, and the number of the set of keys that verified it.
    pub signed_by: (usize, u64),
    /// When it is valid.
    pub validity: Validity,
    /// When it must be asked about again, if its issuer was.
    pub until: Option<Instant>,
    /// Who presents it.
    pub bearer: Bearer,
}

/// Who presents a token.
#[derive(Debug)]
pub enum Bearer {
    /// Whoever it says.
    Known(Rc<Identity>),
    /// A consumer of the backend's.
    Consumer {
        /// The consumer's id.
        id: String,
        /// Where it is remembered.
        place: Place,
        /// The token's id.
        credential: String,
        /// Which of the policy's requirements it meets.
        met: Met,
        /// The identity made of the two, for as long as the consumer is the same.
        identity: RefCell<Option<Rc<Identity>>>,
    },
    /// Whoever has a credential of the backend's.
    Credential(Box<Origin>),
}

/// What a token of the backend's own came from.
#[derive(Debug)]
pub struct Origin {
    /// The credential's id, and where it is remembered.
    pub credential: String,
    /// Where that is remembered.
    pub place: Place,
    /// The consumer that the token names.
    pub consumer: String,
    /// What it can be revoked by: its own id, and its family's.
    pub revoked_by: [Option<Place>; 2],
    /// Which of the policy's requirements the token meets.
    pub met: Met,
    /// The credential's identity, and the one made of it and the token.
    pub identity: RefCell<Option<(Rc<Identity>, Rc<Identity>)>>,
}

/// What is remembered of a token.
#[derive(Clone, Debug)]
pub enum Remembered {
    /// It was verified.
    Verified(Rc<Verified>),
    /// It was refused.
    Refused(Reason),
    /// Nothing.
    Nothing,
}

/// What a worker remembers of tokens.
#[derive(Debug)]
pub struct TokenCache {
    hash_key: [u8; 16],
    verified: LruCache<u64, (u64, Rc<Verified>)>,
    refused: LruCache<u64, (u64, Refusal)>,
}

/// Why, by which keys, and until when.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    reason: Reason,
    signed_by: Option<(usize, u64)>,
    until: Instant,
}

impl TokenCache {
    /// Nothing is remembered yet; `hash_key` is unpredictable to clients.
    #[must_use]
    pub fn new(size: usize, hash_key: [u8; 16]) -> Self {
        let size = NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN);
        Self { hash_key, verified: LruCache::new(size), refused: LruCache::new(size) }
    }

    /// Where a token is remembered.
    #[must_use]
    pub fn place(&self, token: &[u8]) -> Place {
        Place::of(&self.hash_key, &[token])
    }

    /// What is remembered of the token at a place. `current` is the number of an issuer's set of keys: what others verified or refused
    /// counts no longer.
    pub fn find(&mut self, place: Place, now: Instant, current: impl Fn(usize) -> Option<u64>) -> Remembered {
        let holds = |(issuer, number): (usize, u64)| current(issuer) == Some(number);
        if let Some((check, verified)) = self.verified.get(&place.index)
            && place.is(*check)
        {
            if holds(verified.signed_by) {
                return Remembered::Verified(verified.clone());
            }
            self.verified.pop(&place.index);
        }
        match self.refused.get(&place.index) {
            Some((check, refusal)) if place.is(*check) && now < refusal.until && refusal.signed_by.is_none_or(holds) => {
                Remembered::Refused(refusal.reason)
            }
            Some(_) | None => Remembered::Nothing,
        }
    }

    /// Remembers a verified token.
    pub fn know(&mut self, place: Place, verified: Rc<Verified>) {
        self.refused.pop(&place.index);
        self.verified.put(place.index, (place.check, verified));
    }

    /// Remembers for a while that a token is refused, by a set of keys.
    pub fn refuse(&mut self, place: Place, reason: Reason, signed_by: Option<(usize, u64)>, until: Instant) {
        self.verified.pop(&place.index);
        self.refused.put(place.index, (place.check, Refusal { reason, signed_by, until }));
    }
}
