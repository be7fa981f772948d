//! Owns the judgement of API keys on one worker, and what it remembers of earlier ones. Must not know where a key was found.
//!
//! A key seen before costs one keyed hash (SipHash-2-4, 128 bits, under a random key of this worker) and a constant-time
//! compare of half of it; neither the key nor its SHA-256 is kept. The caches are bounded and apart from each other, so
//! that random keys push out nothing but random keys.

use std::hash::Hasher;
use std::num::NonZeroUsize;

use lru::LruCache;
use siphasher::sip128::{Hasher128, SipHasher24};
use subtle::ConstantTimeEq;
use tollgate_core::credential::Provenance;
use tollgate_core::policy::Policy;

use crate::counters::{Counter, Counters};

/// Judges API keys.
#[derive(Debug)]
pub struct ApiKeyJudge {
    hash_key: [u8; 16],
    known: LruCache<u64, (u64, usize)>,
    unknown: LruCache<u64, u64>,
}

impl ApiKeyJudge {
    /// A judge that remembers nothing yet; `hash_key` is unpredictable to clients.
    #[must_use]
    pub fn new(policy: &Policy, hash_key: [u8; 16]) -> Self {
        let size = |size: usize| NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN);
        Self { hash_key, known: LruCache::new(size(policy.node.known_keys)), unknown: LruCache::new(size(policy.node.unknown_keys)) }
    }

    /// The position of a presented key in the policy, `None` if it is forged or unknown.
    pub fn judge(&mut self, policy: &Policy, presented: &[u8], counters: &mut Counters) -> Option<usize> {
        let (index, check) = self.keyed_hash(presented);
        if let Some((own, position)) = self.known.get(&index)
            && bool::from(own.ct_eq(&check))
        {
            counters.count(Counter::KnownHit);
            return Some(*position);
        }
        if self.unknown.get(&index).is_some_and(|own| bool::from(own.ct_eq(&check))) {
            counters.count(Counter::UnknownHit);
            return None;
        }
        counters.count(Counter::KeyMiss);
        let found = if is_forged(policy, presented) {
            counters.count(Counter::Forged);
            None
        } else {
            policy.api_keys.find(presented)
        };
        match found {
            Some(position) => drop(self.known.put(index, (check, position))),
            None => drop(self.unknown.put(index, check)),
        }
        found
    }

    fn keyed_hash(&self, presented: &[u8]) -> (u64, u64) {
        let mut hasher = SipHasher24::new_with_key(&self.hash_key);
        hasher.write(presented);
        let hash = hasher.finish128();
        (hash.h1, hash.h2)
    }
}

/// Whether the key carries an issuer's prefix, but none of the issuer's keys made it.
fn is_forged(policy: &Policy, presented: &[u8]) -> bool {
    let mut forged = false;
    for issuer_key in &policy.issuer_keys {
        match issuer_key.judge(presented) {
            Provenance::Issued => return false,
            Provenance::Forged => forged = true,
            Provenance::Foreign => {}
        }
    }
    forged
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::config;
    use tollgate_core::credential::{IssuerKey, KeyHash, digest};
    use tollgate_core::secret::Secret;

    const PEPPER: &str = "pepper-of-sixteen-bytes";
    const ISSUER: &str = "issuer-key-of-sixteen-bytes";

    fn policy(keys: &[(&str, KeyHash)], issuer: bool) -> Policy {
        let keys: Vec<_> = keys.iter().map(|(id, hash)| serde_json::json!({"id": id, "hash": hash.to_string()})).collect();
        let issuer_keys = if issuer {
            serde_json::json!([{"version": 3, "prefix": "foil", "secret": {"inline": ISSUER}}])
        } else {
            serde_json::json!([])
        };
        let document = serde_json::json!({
            "credentials": {"pepper": {"inline": PEPPER}, "issuer_keys": issuer_keys},
            "consumers": [{"id": "acme", "tier": "free", "keys": keys}],
            "node": {"known_keys": 16, "unknown_keys": 16},
        });
        config::load(document.to_string().as_bytes(), &|_: &str| None).unwrap()
    }

    fn plain(key: &str) -> KeyHash {
        KeyHash::of(&digest(key.as_bytes()), None)
    }

    #[test]
    fn keys_are_found_by_plain_and_peppered_hash_and_then_remembered() {
        let peppered = KeyHash::of(&digest(b"two"), Some(&Secret::new(PEPPER.as_bytes().to_vec())));
        let policy = policy(&[("1", plain("one")), ("2", peppered)], false);
        let mut judge = ApiKeyJudge::new(&policy, [7; 16]);
        let mut counters = Counters::default();
        for _ in 0..3 {
            let id = |position: Option<usize>| position.and_then(|position| policy.api_keys.get(position)).map(|key| key.id.as_str());
            assert_eq!(id(judge.judge(&policy, b"one", &mut counters)), Some("1"));
            assert_eq!(id(judge.judge(&policy, b"two", &mut counters)), Some("2"));
            assert_eq!(judge.judge(&policy, b"three", &mut counters), None);
        }
        assert_eq!(counters.get(Counter::KnownHit), 4);
        assert_eq!(counters.get(Counter::UnknownHit), 2);
        assert_eq!(counters.get(Counter::KeyMiss), 3);
    }

    #[test]
    fn random_keys_push_out_no_known_one() {
        let policy = policy(&[("1", plain("one"))], false);
        let mut judge = ApiKeyJudge::new(&policy, [7; 16]);
        let mut counters = Counters::default();
        assert!(judge.judge(&policy, b"one", &mut counters).is_some());
        for number in 0..1_000 {
            assert_eq!(judge.judge(&policy, format!("random-{number}").as_bytes(), &mut counters), None);
        }
        assert!(judge.judge(&policy, b"one", &mut counters).is_some());
        assert_eq!(counters.get(Counter::KnownHit), 1);
        assert_eq!((judge.known.len(), judge.unknown.len()), (1, 16));
    }

    #[test]
    fn forged_keys_are_refused_by_their_tag_even_if_their_hash_were_known() {
        let issuer = IssuerKey::new(3, "foil", Secret::new(ISSUER.as_bytes().to_vec())).unwrap();
        let genuine = issuer.issue(&mut |bytes: &mut [u8]| bytes.fill(40));
        let forged = format!("{}0", genuine.split_at(genuine.len() - 1).0);
        assert_ne!(genuine, forged);
        let policy = policy(&[("1", plain(&genuine)), ("2", plain(&forged)), ("3", plain("imported"))], true);
        let mut judge = ApiKeyJudge::new(&policy, [7; 16]);
        let mut counters = Counters::default();
        assert!(judge.judge(&policy, genuine.as_bytes(), &mut counters).is_some());
        assert!(judge.judge(&policy, b"imported", &mut counters).is_some());
        assert_eq!(judge.judge(&policy, forged.as_bytes(), &mut counters), None);
        assert_eq!(counters.get(Counter::Forged), 1);
    }
}
