//! Owns the judgement of API keys on one worker, by what it remembers and by the configuration. Must not know where a key was found,
//! or what a backend says of it.

use std::rc::Rc;

use tollgate_core::credential::Provenance;
use tollgate_core::policy::Policy;
use tollgate_core::time::Instant;

use crate::authn::key_cache::{Found, KeyCache};
use crate::authn::place::Place;
use crate::counters::{Counter, Counters};
use crate::identity::{Consumer, Identity, Namespace};

/// Judges API keys.
#[derive(Debug)]
pub struct ApiKeyJudge {
    /// What is remembered of keys seen before.
    pub cache: KeyCache,
    /// Who has the configuration's keys, by position.
    configured: Vec<Rc<Identity>>,
}

/// What is to be said of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// Whose it is.
    Known(Rc<Identity>),
    /// It is forged or unknown.
    Refused,
    /// Only the backend knows.
    Unknown {
        /// Whether one of the issuer's keys made it, so that it is no guess.
        issued: bool,
    },
}

impl ApiKeyJudge {
    /// A judge that remembers nothing yet; `hash_key` is unpredictable to clients.
    #[must_use]
    pub fn new(policy: &Policy, hash_key: [u8; 16]) -> Self {
        let identity = |key: &tollgate_core::policy::ApiKey| {
            let consumer = policy.consumers.get(key.consumer)?;
            let consumer = Consumer::fixed(consumer.id.clone(), Namespace::Configuration, consumer.tier).within(&consumer.addresses);
            let identity = Identity::configured(key.id.clone(), consumer, key.met.clone());
            Some(Rc::new(identity.within(&key.addresses).signing(key.signing.clone())))
        };
        let configured = (0..).map_while(|position| policy.api_keys.get(position)).filter_map(identity).collect();
        Self { cache: KeyCache::new(&policy.node, hash_key), configured }
    }

    /// Judges a presented key; also answers where it is remembered.
    pub fn judge(&mut self, policy: &Policy, presented: &[u8], now: Instant, counters: &mut Counters) -> (Place, Judged) {
        let place = self.cache.place(presented);
        let judged = match self.cache.find(place, now) {
            Found::Known(identity) => {
                counters.count(Counter::KnownHit);
                Judged::Known(identity)
            }
            Found::Refused => {
                counters.count(Counter::UnknownHit);
                Judged::Refused
            }
            Found::Nothing => {
                counters.count(Counter::KeyMiss);
                self.look_up(place, policy, presented, counters)
            }
        };
        (place, judged)
    }

    fn look_up(&mut self, place: Place, policy: &Policy, presented: &[u8], counters: &mut Counters) -> Judged {
        let provenance = Provenance::of(&policy.issuer_keys, presented);
        if provenance == Provenance::Forged {
            counters.count(Counter::Forged);
            self.cache.refuse(place, None);
            return Judged::Refused;
        }
        if let Some(identity) = policy.api_keys.find(presented).and_then(|position| self.configured.get(position)) {
            self.cache.know(place, identity.clone());
            return Judged::Known(identity.clone());
        }
        if policy.backend.is_some() {
            return Judged::Unknown { issued: provenance == Provenance::Issued };
        }
        self.cache.refuse(place, None);
        Judged::Refused
    }
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

    /// The id of a key that is known; refused ones have none.
    fn id(judge: &mut ApiKeyJudge, policy: &Policy, key: &[u8], counters: &mut Counters) -> Option<String> {
        match judge.judge(policy, key, Instant(0), counters).1 {
            Judged::Known(identity) => Some(identity.credential.clone()),
            Judged::Refused => None,
            Judged::Unknown { .. } => panic!("there is no backend to ask"),
        }
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
            assert_eq!(id(&mut judge, &policy, b"one", &mut counters).as_deref(), Some("1"));
            assert_eq!(id(&mut judge, &policy, b"two", &mut counters).as_deref(), Some("2"));
            assert_eq!(id(&mut judge, &policy, b"three", &mut counters), None);
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
        assert!(id(&mut judge, &policy, b"one", &mut counters).is_some());
        for number in 0..1_000 {
            assert_eq!(id(&mut judge, &policy, format!("random-{number}").as_bytes(), &mut counters), None);
        }
        assert!(id(&mut judge, &policy, b"one", &mut counters).is_some());
        assert_eq!(counters.get(Counter::KnownHit), 1);
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
        assert!(id(&mut judge, &policy, genuine.as_bytes(), &mut counters).is_some());
        assert!(id(&mut judge, &policy, b"imported", &mut counters).is_some());
        assert_eq!(id(&mut judge, &policy, forged.as_bytes(), &mut counters), None);
        assert_eq!(counters.get(Counter::Forged), 1);
    }
}
