//! Owns what the backend knows: keys, consumers, tokens, and what has changed. Must not know how it is asked.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tollgate_core::config::document::Tier;
use tollgate_core::wire::Known;

use super::{FakeBackend, TOKEN_PREFIX};
use crate::plugin;

/// How long a token lives unless a case says otherwise.
const TOKEN_LIFE: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Directory {
    /// By SHA-256.
    keys: HashMap<String, Key>,
    consumers: HashMap<String, Consumer>,
    /// Whose they are and when they end.
    tokens: HashMap<String, (String, Instant)>,
    pub(super) token_life: Duration,
    tokens_given: usize,
    /// Each a change's JSON, without its revision: that is its place, from 1.
    pub(super) changes: Vec<Value>,
    /// Whoever asks after less is told to forget everything.
    pub(super) floor: u64,
}

#[derive(Debug)]
struct Key {
    credential: String,
    consumer: String,
    expires: Option<Instant>,
    revoked: bool,
}

#[derive(Debug)]
struct Consumer {
    tier: Tier,
    disabled: bool,
    keys: usize,
}

/// The form in which the wire carries a key.
pub(super) fn sha256(key: &str) -> String {
    plugin::hash(key).trim_start_matches("sha256:").to_owned()
}

fn tier(document: &Value) -> Tier {
    serde_json::from_value(document.clone()).expect("a tier")
}

// === impl Directory ===

impl Default for Directory {
    fn default() -> Self {
        Self {
            keys: HashMap::new(),
            consumers: HashMap::new(),
            tokens: HashMap::new(),
            token_life: TOKEN_LIFE,
            tokens_given: 0,
            changes: Vec::new(),
            floor: 0,
        }
    }
}

impl Directory {
    pub(super) fn revision(&self) -> u64 {
        self.changes.len() as u64
    }

    pub(super) fn known(&self, sha256: &str) -> Option<Known> {
        let key = self.keys.get(sha256).filter(|key| !key.revoked)?;
        let consumer = self.consumers.get(&key.consumer).filter(|consumer| !consumer.disabled)?;
        let left = key.expires.map(|expires| expires.saturating_duration_since(Instant::now()));
        let expires_in_ms = left.map(|left| u64::try_from(left.as_millis()).expect("a short life"));
        (expires_in_ms != Some(0)).then(|| Known {
            credential: key.credential.clone(),
            expires_in_ms,
            ..Known::new(key.consumer.clone(), consumer.tier.clone())
        })
    }

    /// The tier of a consumer that may pass.
    pub(super) fn tier(&self, consumer: &str) -> Option<Tier> {
        self.consumers.get(consumer).filter(|consumer| !consumer.disabled).map(|consumer| consumer.tier.clone())
    }

    pub(super) fn new_token(&mut self, incarnation: &str) -> String {
        self.tokens_given += 1;
        let token = format!("{TOKEN_PREFIX}{}", self.tokens_given);
        self.tokens.insert(token.clone(), (incarnation.to_owned(), Instant::now() + self.token_life));
        token
    }

    /// Whose token it is, while it is valid.
    pub(super) fn incarnation(&self, token: &str) -> Option<String> {
        self.tokens.get(token).filter(|(_, ends)| Instant::now() < *ends).map(|(incarnation, _)| incarnation.clone())
    }

    /// The consumer of this id; a new one in this tier if there is none.
    fn taken_in(&mut self, consumer: &str, tier: Tier) -> &mut Consumer {
        self.consumers.entry(consumer.to_owned()).or_insert(Consumer { tier, disabled: false, keys: 0 })
    }

    fn give(&mut self, key: &str, consumer: &str, tier: Tier, expires: Option<Instant>) {
        let owner = self.taken_in(consumer, tier);
        owner.keys += 1;
        let credential = format!("{consumer}-{}", owner.keys);
        self.keys.insert(sha256(key), Key { credential, consumer: consumer.to_owned(), expires, revoked: false });
    }

    fn consumer(&mut self, id: &str) -> &mut Consumer {
        self.consumers.get_mut(id).expect("a consumer that was taken in")
    }
}

// === impl FakeBackend ===

impl FakeBackend {
    /// Knows a consumer, with or without a key. The tier counts the first time only.
    pub fn take_in(&self, consumer: &str, document: &Value) {
        self.change(|state| {
            state.directory.taken_in(consumer, tier(document));
        });
    }

    /// Gives a consumer a key. Its credential's id is `<consumer>-1`, the next one's `-2`. The tier counts for the first key only.
    pub fn give(&self, key: &str, consumer: &str, document: &Value) {
        self.change(|state| state.directory.give(key, consumer, tier(document), None));
    }

    /// Gives a consumer a key that ends by itself.
    pub fn give_for(&self, life: Duration, key: &str, consumer: &str, document: &Value) {
        self.change(|state| state.directory.give(key, consumer, tier(document), Some(Instant::now() + life)));
    }

    /// Revokes a key; answers when the change was there for nodes to hear.
    pub fn revoke(&self, key: &str) -> Instant {
        self.change(|state| {
            let key = state.directory.keys.get_mut(&sha256(key)).expect("a key that was given");
            key.revoked = true;
            state.directory.changes.push(json!({"credential": {"id": key.credential, "gone": true}}));
            Instant::now()
        })
    }

    /// Gives a consumer another tier.
    pub fn set_tier(&self, consumer: &str, document: &Value) {
        self.change(|state| {
            state.directory.consumer(consumer).tier = tier(document);
            state.directory.changes.push(json!({"consumer": {"id": consumer, "tier": document}}));
        });
    }

    /// Disables a consumer, or enables it again.
    pub fn disable(&self, consumer: &str, disabled: bool) {
        self.change(|state| {
            state.directory.consumer(consumer).disabled = disabled;
            state.directory.changes.push(json!({"consumer": {"id": consumer}}));
        });
    }

    /// Changes what a tier says, for all who have it.
    pub fn change_tier(&self, document: &Value) {
        self.change(|state| {
            let tier = tier(document);
            for consumer in state.directory.consumers.values_mut().filter(|consumer| consumer.tier.name == tier.name) {
                consumer.tier = tier.clone();
            }
            state.directory.changes.push(json!({"tier": document}));
        });
    }

    /// Tells nodes of changes as they are written here, without their revisions.
    pub fn push(&self, changes: impl IntoIterator<Item = Value>) {
        self.change(|state| state.directory.changes.extend(changes));
    }

    /// No longer knows what has changed so far: nodes must forget everything.
    pub fn reset(&self) {
        self.change(|state| {
            state.directory.changes.push(Value::Null);
            state.directory.floor = state.directory.revision();
        });
    }

    /// No longer takes the tokens given so far.
    pub fn refuse_tokens(&self) {
        self.change(|state| state.directory.tokens.clear());
    }

    /// Tokens given from now on live so long.
    pub fn token_life(&self, life: Duration) {
        self.change(|state| state.directory.token_life = life);
    }
}
