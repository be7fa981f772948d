//! Owns what a worker remembers of access tokens and families that are revoked: hashes of their ids, until none of their tokens could pass.
//! Must not know how it heard of them.

use hashbrown::HashMap;
use tollgate_core::time::{Instant, SECOND};

use super::place::Place;

/// The most that are remembered, some 3 MB. With more nobody can say what is not among them.
const MOST: usize = 65_536;
/// How often those that have ended are forgotten.
const SWEPT_EVERY: u64 = 10 * SECOND;

/// What is revoked.
#[derive(Debug)]
pub struct Revoked {
    hash_key: [u8; 16],
    ends: HashMap<Place, Instant>,
    /// When the last of those ends that there was no room for.
    unknown_until: Instant,
    swept: Instant,
}

impl Revoked {
    /// Nothing is; `hash_key` is unpredictable to clients.
    #[must_use]
    pub fn new(hash_key: [u8; 16]) -> Self {
        Self { hash_key, ends: HashMap::new(), unknown_until: Instant(0), swept: Instant(0) }
    }

    /// Where a token or family of this id is remembered.
    #[must_use]
    pub fn place(&self, id: &str) -> Place {
        Place::of(&self.hash_key, &[b"revoked", id.as_bytes()])
    }

    /// Remembers that one is revoked, until then.
    pub fn add(&mut self, id: &str, until: Instant) {
        let place = self.place(id);
        if self.ends.len() >= MOST && !self.ends.contains_key(&place) {
            self.unknown_until = self.unknown_until.max(until);
            return;
        }
        let end = self.ends.entry(place).or_insert(until);
        *end = (*end).max(until);
    }

    /// Whether one of these is revoked; `None` if that cannot be known.
    #[must_use]
    pub fn any(&self, places: &[Option<Place>], now: Instant) -> Option<bool> {
        if self.ends.is_empty() {
            return Some(false);
        }
        let found = places.iter().flatten().any(|place| self.ends.contains_key(place));
        if found || now >= self.unknown_until { Some(found) } else { None }
    }

    /// Forgets those that have ended.
    pub fn tick(&mut self, now: Instant) {
        if !self.ends.is_empty() && now.since(self.swept) >= SWEPT_EVERY {
            self.swept = now;
            self.ends.retain(|_, until| now < *until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(revoked: &Revoked, ids: &[&str], now: u64) -> Option<bool> {
        let places: Vec<_> = ids.iter().map(|id| Some(revoked.place(id))).collect();
        revoked.any(&places, Instant(now))
    }

    #[test]
    fn what_is_revoked_is_remembered_until_its_end() {
        let mut revoked = Revoked::new([7; 16]);
        revoked.add("a", Instant(20 * SECOND));
        revoked.add("a", Instant(15 * SECOND));
        assert_eq!(
            (any(&revoked, &["b", "a"], 1), any(&revoked, &["b"], 1), any(&revoked, &[], 1)),
            (Some(true), Some(false), Some(false))
        );
        revoked.tick(Instant(15 * SECOND));
        assert_eq!(any(&revoked, &["a"], 1), Some(true));
        revoked.tick(Instant(25 * SECOND));
        assert_eq!(any(&revoked, &["a"], 1), Some(false));
    }

    #[test]
    fn with_more_than_it_can_hold_it_says_that_it_does_not_know() {
        let mut revoked = Revoked::new([7; 16]);
        for number in 0..MOST {
            revoked.add(&number.to_string(), Instant(60 * SECOND));
        }
        assert_eq!(any(&revoked, &["x"], 0), Some(false));
        revoked.add("x", Instant(30 * SECOND));
        assert_eq!((any(&revoked, &["x"], 0), any(&revoked, &["y"], 0), any(&revoked, &["1"], 0)), (None, None, Some(true)));
        assert_eq!(any(&revoked, &["y"], 30 * SECOND), Some(false));
        revoked.add("1", Instant(70 * SECOND));
        revoked.tick(Instant(65 * SECOND));
        assert_eq!((any(&revoked, &["1"], 0), any(&revoked, &["2"], 30 * SECOND)), (Some(true), Some(false)));
    }
}
