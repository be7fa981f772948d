//! Owns what a worker remembers of API keys: whose they are, which ones nobody knows, and what has changed since. Must not know how
//! that was found out.
//!
//! A key seen before costs one keyed hash (SipHash-2-4, 128 bits, under a random key of this worker) and a constant-time
//! compare of half of it; neither the key nor its SHA-256 is kept. What is known and what is refused are bounded and apart from each
//! other, so that random keys push out nothing but random keys.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::rc::{Rc, Weak};

use hashbrown::HashMap;
use lru::LruCache;
use tollgate_core::policy::NodeSizes;
use tollgate_core::time::{Instant, SECOND};
use tollgate_core::wire::Known;

use super::place::Place;
use crate::identity::{Consumer, Identity};

/// Changes a worker remembers, to judge answers that were on their way meanwhile.
const MOST_CHANGES: usize = 1_024;
/// For how long a key that has ended is refused without asking: its end may have been put off at the last moment.
const ENDED_FOR: u64 = 10 * SECOND;

/// What is remembered of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Whose it is.
    Known(Rc<Identity>),
    /// It was refused.
    Refused,
    /// Nothing.
    Nothing,
}

/// Who or what a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Credential(u64),
    Consumer(u64),
    Tier(u64),
}

/// What a worker remembers of keys.
#[derive(Debug)]
pub struct KeyCache {
    hash_key: [u8; 16],
    known: LruCache<u64, (u64, Rc<Identity>)>,
    /// With the end of what the backend said; `None` for what the configuration says.
    refused: LruCache<u64, (u64, Option<Instant>)>,
    /// Where the backend's credentials are, by hash of their id.
    credentials: HashMap<u64, Place>,
    /// The backend's consumers, by hash of their id.
    consumers: HashMap<u64, Weak<Consumer>>,
    /// What has changed lately, in order, and the revision before which nothing is known of changes.
    changes: VecDeque<(u64, About)>,
    changes_from: u64,
    /// When everything was forgotten last: revisions of before may be those of another history.
    forgotten_at: Instant,
}

impl KeyCache {
    /// Nothing is remembered yet; `hash_key` is unpredictable to clients.
    #[must_use]
    pub fn new(sizes: &NodeSizes, hash_key: [u8; 16]) -> Self {
        let size = |size: usize| NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN);
        Self {
            hash_key,
            known: LruCache::new(size(sizes.known_keys)),
            refused: LruCache::new(size(sizes.unknown_keys)),
            credentials: HashMap::new(),
            consumers: HashMap::new(),
            changes: VecDeque::new(),
            changes_from: 0,
            forgotten_at: Instant(0),
        }
    }

    /// Where a presented key is remembered.
    #[must_use]
    pub fn place(&self, presented: &[u8]) -> Place {
        Place::of(&self.hash_key, &[presented])
    }

    /// Where a consumer of the backend's is remembered by itself, for tokens that name it.
    #[must_use]
    pub fn place_of_consumer(&self, id: &str) -> Place {
        self.place_of(3, id)
    }

    /// Where a credential of the backend's is remembered by its id, for tokens that came from it.
    #[must_use]
    pub fn place_of_credential(&self, id: &str) -> Place {
        self.place_of(4, id)
    }

    /// The place of something by its id. No key starts with a zero byte.
    fn place_of(&self, kind: u8, id: &str) -> Place {
        Place::of(&self.hash_key, &[&[0, kind], id.as_bytes()])
    }

    /// What is remembered of the key at a place.
    pub fn find(&mut self, place: Place, now: Instant) -> Found {
        if let Some((check, identity)) = self.known.get(&place.index)
            && place.is(*check)
        {
            if !identity.is_over(now) {
                return Found::Known(identity.clone());
            }
            let told = identity.consumer.gone.get();
            self.forget(place.index);
            if !told {
                self.refused.put(place.index, (place.check, Some(now.after(ENDED_FOR))));
            }
        }
        match self.refused.get(&place.index) {
            Some((check, until)) if place.is(*check) && until.is_none_or(|until| now < until) => Found::Refused,
            Some(_) | None => Found::Nothing,
        }
    }

    /// Remembers whose the key at a place is.
    pub fn know(&mut self, place: Place, identity: Rc<Identity>) {
        self.refused.pop(&place.index);
        // Where it is by its id, its id says.
        let by_id = |id: &str| self.place_of_credential(id) == place;
        let told = (is_a_credential(&identity) && !by_id(&identity.credential)).then(|| self.id_hash(0, &identity.credential));
        if let Some((index, (check, old))) = self.known.push(place.index, (place.check, identity)) {
            self.forgotten(Place { index, check }, &old);
        }
        // After that: what was pushed out may be an older word on the same credential.
        if let Some(hash) = told {
            self.credentials.insert(hash, place);
        }
        if self.consumers.len() > 2 * self.known.cap().get() {
            self.consumers.retain(|_, consumer| consumer.strong_count() > 0);
        }
    }

    /// Remembers that the key at a place is refused: until an instant, or for as long as the configuration stands.
    pub fn refuse(&mut self, place: Place, until: Option<Instant>) {
        self.forget(place.index);
        self.refused.put(place.index, (place.check, until));
    }

    /// The backend's consumer of this id, if one of its credentials is known; otherwise the one that `make` makes.
    pub fn consumer(&mut self, id: &str, make: impl FnOnce() -> Consumer) -> Rc<Consumer> {
        let hash = self.id_hash(1, id);
        let known = self.consumers.get(&hash).and_then(Weak::upgrade).filter(|consumer| !consumer.gone.get());
        known.unwrap_or_else(|| {
            let consumer = Rc::new(make());
            self.consumers.insert(hash, Rc::downgrade(&consumer));
            consumer
        })
    }

    /// A credential changed at a revision: what is known of it from before ends.
    pub fn credential_changed(&mut self, id: &str, revision: u64, gone: bool) {
        let hash = self.id_hash(0, id);
        self.changed(revision, About::Credential(hash));
        let older = |identity: &Rc<Identity>| identity.told.as_ref().is_some_and(|told| told.revision < revision);
        for place in [self.credentials.get(&hash).copied(), Some(self.place_of_credential(id))].into_iter().flatten() {
            if self.known.peek(&place.index).is_some_and(|(_, identity)| older(identity)) {
                self.forget(place.index);
                if gone {
                    self.refused.put(place.index, (place.check, Some(Instant(u64::MAX))));
                }
            }
        }
    }

    /// A consumer changed at a revision: it has a tier at this position from now on, or none.
    pub fn consumer_changed(&mut self, id: &str, revision: u64, tier: Option<usize>) {
        let hash = self.id_hash(1, id);
        self.changed(revision, About::Consumer(hash));
        let consumer = self.consumers.get(&hash).and_then(Weak::upgrade);
        match (consumer, tier) {
            (Some(consumer), Some(tier)) if consumer.revision.get() < revision => {
                consumer.revision.set(revision);
                consumer.tier.set(tier);
            }
            // Its credentials are resolved again: they may be refused, or the consumer be back. One of them may have been resolved since the
            // change; the others were not.
            (Some(consumer), None) if consumer.since < revision => consumer.gone.set(true),
            (Some(_) | None, Some(_) | None) => {}
        }
    }

    /// A tier changed at a revision.
    pub fn tier_changed(&mut self, name: &str, revision: u64) {
        self.changed(revision, About::Tier(self.id_hash(2, name)));
    }

    /// Whether what was asked at `sent` and read at `revision` may have changed before what is known here; such answers must be asked for
    /// again.
    #[must_use]
    pub fn is_outdated(&self, sent: Instant, revision: u64, known: &Known) -> bool {
        let about = [
            About::Credential(self.id_hash(0, &known.credential)),
            About::Consumer(self.id_hash(1, &known.consumer)),
            About::Tier(self.id_hash(2, &known.tier.name)),
        ];
        sent < self.forgotten_at
            || revision < self.changes_from
            || self.changes.iter().rev().take_while(|(at, _)| *at > revision).any(|(_, change)| about.contains(change))
    }

    /// Forgets everything the backend said. Changes up to `revision` are not known.
    pub fn forget_told(&mut self, revision: u64, now: Instant) {
        self.forgotten_at = now;
        let told: Vec<u64> = self.known.iter().filter(|(_, (_, identity))| identity.told.is_some()).map(|(index, _)| *index).collect();
        told.into_iter().for_each(|index| self.forget(index));
        let refused: Vec<u64> = self.refused.iter().filter(|(_, (_, until))| until.is_some()).map(|(index, _)| *index).collect();
        for index in refused {
            self.refused.pop(&index);
        }
        self.credentials.clear();
        self.consumers.clear();
        self.changes.clear();
        self.changes_from = revision;
    }

    fn changed(&mut self, revision: u64, about: About) {
        if self.changes.len() >= MOST_CHANGES
            && let Some((oldest, _)) = self.changes.pop_front()
        {
            self.changes_from = self.changes_from.max(oldest);
        }
        self.changes.push_back((revision, about));
    }

    fn forget(&mut self, index: u64) {
        if let Some((check, identity)) = self.known.pop(&index) {
            self.forgotten(Place { index, check }, &identity);
        }
    }

    fn forgotten(&mut self, place: Place, identity: &Identity) {
        if is_a_credential(identity) {
            let hash = self.id_hash(0, &identity.credential);
            if self.credentials.get(&hash) == Some(&place) {
                self.credentials.remove(&hash);
            }
        }
    }

    fn id_hash(&self, kind: u8, id: &str) -> u64 {
        self.place_of(kind, id).index
    }
}

/// Whether a change can name it: one of the backend's, and not a consumer by itself.
fn is_a_credential(identity: &Identity) -> bool {
    identity.told.is_some() && !identity.credential.is_empty()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tollgate_core::config::document;
    use tollgate_core::requirement::Met;

    use super::*;
    use crate::identity::{Namespace, Told};

    const SIZES: NodeSizes = NodeSizes { slots: 64, known_keys: 16, unknown_keys: 16, known_tokens: 16, nonces: 256, ipv6_prefix: 64 };

    fn cache() -> KeyCache {
        KeyCache::new(&SIZES, [7; 16])
    }

    fn learn(cache: &mut KeyCache, key: &str, consumer: &str, revision: u64) {
        let made = || Consumer {
            id: consumer.to_owned(),
            namespace: Namespace::Backend,
            addresses: None,
            tier: Cell::new(1),
            revision: Cell::new(revision),
            since: revision,
            gone: Cell::new(false),
            asked: Cell::new(0),
            refused: Cell::new(0),
        };
        let consumer = cache.consumer(consumer, made);
        let told = Told { revision, as_of: Instant(0), expires: None, noted: Cell::new(None) };
        let place = cache.place(key.as_bytes());
        cache.know(
            place,
            Rc::new(Identity {
                credential: format!("id-{key}"),
                consumer,
                met: Met::default(),
                addresses: None,
                signing: None,
                own: None,
                told: Some(told),
            }),
        );
    }

    fn find(cache: &mut KeyCache, key: &str) -> Found {
        cache.find(cache.place(key.as_bytes()), Instant(1))
    }

    fn tier(cache: &mut KeyCache, key: &str) -> Option<usize> {
        match find(cache, key) {
            Found::Known(identity) => Some(identity.consumer.tier.get()),
            Found::Refused | Found::Nothing => None,
        }
    }

    #[test]
    fn what_is_kept_of_the_backend_s_ids_is_bounded_like_the_keys() {
        let mut cache = cache();
        for number in 0..1_000 {
            learn(&mut cache, &format!("k{number}"), &format!("c{number}"), 1);
            let place = cache.place(format!("r{number}").as_bytes());
            cache.refuse(place, Some(Instant(9)));
            cache.credential_changed("nobody", number, true);
        }
        assert_eq!((cache.known.len(), cache.refused.len(), cache.credentials.len()), (16, 16, 16));
        assert!(cache.consumers.len() <= 33, "{}", cache.consumers.len());
        assert!(cache.changes.len() <= MOST_CHANGES);
    }

    #[test]
    fn only_what_is_older_than_a_change_is_touched_by_it() {
        let mut cache = cache();
        learn(&mut cache, "k", "c", 5);
        cache.credential_changed("id-k", 5, true);
        cache.consumer_changed("c", 5, Some(9));
        assert_eq!(tier(&mut cache, "k"), Some(1));
        cache.consumer_changed("c", 6, Some(9));
        assert_eq!(tier(&mut cache, "k"), Some(9));
        cache.credential_changed("id-k", 6, false);
        assert_eq!(find(&mut cache, "k"), Found::Nothing, "to be asked about");
        learn(&mut cache, "k", "c", 7);
        cache.credential_changed("id-k", 8, true);
        assert_eq!(find(&mut cache, "k"), Found::Refused, "gone for good");
    }

    #[test]
    fn a_key_that_was_asked_about_again_is_still_found_by_a_change() {
        // What the second answer pushed out took the credential's place with it: the revocation then found nothing.
        let mut cache = cache();
        learn(&mut cache, "k", "c", 5);
        learn(&mut cache, "k", "c", 6);
        cache.credential_changed("id-k", 7, true);
        assert_eq!(find(&mut cache, "k"), Found::Refused);
    }

    #[test]
    fn a_consumer_s_change_reaches_all_its_keys() {
        let mut cache = cache();
        learn(&mut cache, "k1", "c", 1);
        learn(&mut cache, "k2", "c", 1);
        learn(&mut cache, "k3", "other", 1);
        cache.consumer_changed("c", 2, Some(4));
        assert_eq!([tier(&mut cache, "k1"), tier(&mut cache, "k2"), tier(&mut cache, "k3")], [Some(4), Some(4), Some(1)]);
        cache.consumer_changed("c", 3, None);
        assert_eq!([tier(&mut cache, "k1"), tier(&mut cache, "k2"), tier(&mut cache, "k3")], [None, None, Some(1)]);
        learn(&mut cache, "k1", "c", 4);
        assert_eq!([tier(&mut cache, "k1"), tier(&mut cache, "k2")], [Some(1), None], "k2 is still to be asked about");
    }

    /// What is told of one key of a consumer after a change, before the change itself is heard of, is not told of its other keys.
    #[test]
    fn a_change_that_one_answer_has_overtaken_still_reaches_the_other_keys() {
        let mut cache = cache();
        learn(&mut cache, "k1", "c", 1);
        let Found::Known(identity) = find(&mut cache, "k1") else { panic!("unknown") };
        // As when another key of the consumer is resolved at 6.
        identity.consumer.revision.set(6);
        cache.consumer_changed("c", 5, None);
        assert_eq!(find(&mut cache, "k1"), Found::Nothing, "to be asked about");
        learn(&mut cache, "k1", "c", 6);
        cache.consumer_changed("c", 5, None);
        assert_eq!(tier(&mut cache, "k1"), Some(1), "it is no older than the change");
    }

    /// Whether an answer that was asked for at 5 and read at a revision is too old.
    fn is_outdated(cache: &KeyCache, revision: u64, credential: &str, consumer: &str, tier: &str) -> bool {
        let tier = document::Tier { name: tier.to_owned(), limits: Vec::new() };
        let (credential, consumer) = (credential.to_owned(), consumer.to_owned());
        cache.is_outdated(Instant(5), revision, &Known { credential, ..Known::new(consumer, tier) })
    }

    #[test]
    fn answers_are_outdated_by_changes_of_their_own_or_beyond_memory() {
        let mut cache = cache();
        cache.credential_changed("a", 11, true);
        cache.consumer_changed("c", 12, None);
        cache.tier_changed("t", 13);
        let other = |cache: &KeyCache, revision: u64| is_outdated(cache, revision, "x", "y", "z");
        assert!(is_outdated(&cache, 10, "a", "y", "z") && is_outdated(&cache, 11, "x", "c", "z") && is_outdated(&cache, 12, "x", "y", "t"));
        assert!(!is_outdated(&cache, 11, "a", "y", "z") && !other(&cache, 10) && !is_outdated(&cache, 13, "a", "c", "t"));
        for number in 0..MOST_CHANGES as u64 {
            cache.credential_changed("nobody", 14 + number, true);
        }
        assert!(other(&cache, 12), "what happened after 12 is forgotten");
        assert!(!other(&cache, 13));
        cache.forget_told(5_000, Instant(5));
        assert!(other(&cache, 4_999) && !other(&cache, 5_000));
        cache.forget_told(3, Instant(6));
        assert!(other(&cache, 5_000), "of before the history that is known now");
    }

    #[test]
    fn forgetting_what_was_told_leaves_what_is_configured() {
        let mut cache = cache();
        learn(&mut cache, "told", "c", 1);
        let own = cache.place(b"own");
        cache.know(
            own,
            Rc::new(Identity::configured("id".to_owned(), Consumer::fixed("c".to_owned(), Namespace::Configuration, 0), Met::default())),
        );
        let (forged, unknown) = (cache.place(b"forged"), cache.place(b"unknown"));
        cache.refuse(forged, None);
        cache.refuse(unknown, Some(Instant(9)));
        cache.forget_told(1, Instant(1));
        assert_eq!(find(&mut cache, "told"), Found::Nothing);
        assert_eq!(find(&mut cache, "unknown"), Found::Nothing);
        assert_eq!((tier(&mut cache, "own"), find(&mut cache, "forged")), (Some(0), Found::Refused));
    }
}
