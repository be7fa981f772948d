//! Owns a second and plainer backend: what it knows, how that changes, what it has been, and what it answers to each call. Must not know nodes.

use tollgate_core::config::document::Tier;
use tollgate_core::credential::digest;
use tollgate_core::time::Instant;
use tollgate_core::wire::{
    self, Acknowledged, Change, Changes, ConsumerChange, CredentialChange, Known, Report, Resolve, Resolved, Welcome,
};
use tollgate_filter::backend::call::{Call, Purpose};

/// Keys that were ever issued, and how many consumers and tiers there are.
pub(super) const KEYS: usize = 5;
pub(super) const CONSUMERS: usize = 2;
pub(super) const TIERS: usize = 2;
/// The most changes in an answer: so few that answers are often cut.
const MOST_CHANGES: usize = 3;
/// What nodes present themselves with.
pub(super) const CREDENTIAL: &str = "node-credential-of-some-length";

/// What the backend knows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub(super) keys: [Key; KEYS],
    /// The tier of each consumer, and whether it is disabled.
    pub(super) consumers: [(usize, bool); CONSUMERS],
    /// The rate of each tier.
    pub(super) rates: [u64; TIERS],
    revision: u64,
    changes: Vec<Change>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    issued: bool,
    pub(super) revoked: bool,
    expires: Option<Instant>,
}

/// The backend, and all it has been.
pub(super) struct Backend {
    pub(super) state: State,
    /// Since when it was what.
    pub(super) past: Vec<(Instant, State)>,
    backup: State,
    /// How often a backup was restored.
    pub(super) history: u32,
    token: u32,
    /// The highest number of a report; `None` where somebody else had a hand in the reports.
    pub(super) reported: Option<u64>,
}

/// Something happens at the backend.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Issue(usize),
    Revoke(usize),
    /// A key ends after so many nanoseconds, or no longer does.
    Expire(usize, Option<u64>),
    Disable(usize, bool),
    Move(usize, usize),
    Retier(usize, u64),
    /// What is not known here must be forgotten everywhere.
    Strange,
    Restart,
    Backup,
    Restore,
    /// Older changes are no longer kept.
    Prune,
}

/// The text of a key.
pub(super) fn text(key: usize) -> String {
    format!("key-{key}")
}

/// Whose a key is.
pub(super) const fn owner(key: usize) -> usize {
    key % CONSUMERS
}

impl State {
    /// Whether a key may pass.
    pub(super) fn admits(&self, key: usize, now: Instant) -> bool {
        let own = &self.keys[key];
        own.issued && !own.revoked && own.expires.is_none_or(|end| now < end) && !self.consumers[owner(key)].1
    }

    /// The revision, up to this one, of a change that speaks against a key for good or at least until now.
    pub(super) fn says(&self, key: usize, revision: u64) -> Option<u64> {
        let (credential, consumer) = (format!("id-{key}"), format!("c{}", owner(key)));
        let gone = |change: &&Change| change.credential.as_ref().is_some_and(|own| own.gone && own.id == credential);
        let of_consumer = |change: &&Change| change.consumer.as_ref().is_some_and(|own| own.id == consumer);
        let disabled = self.changes.iter().rev().find(of_consumer).filter(|_| self.consumers[owner(key)].1);
        self.changes.iter().find(gone).or(disabled).map(|change| change.revision).filter(|at| *at <= revision)
    }

    fn tier(&self, tier: usize) -> Tier {
        let limit = serde_json::json!({"name": "m", "algorithm": "token_bucket", "rate": self.rates[tier], "per": "1s"});
        serde_json::from_value(serde_json::json!({"name": format!("t{tier}"), "limits": [limit]})).unwrap()
    }

    fn publish(&mut self, change: Change) {
        self.revision += 1;
        self.changes.push(Change { revision: self.revision, ..change });
    }

    fn publish_credential(&mut self, key: usize, gone: bool) {
        let credential = Some(CredentialChange { id: format!("id-{key}"), gone });
        self.publish(Change { credential, ..Change::default() });
    }

    fn resolve(&self, sha256: &str, now: Instant) -> Option<Known> {
        let key = (0..KEYS).find(|key| hex(&digest(text(*key).as_bytes())) == sha256).filter(|key| self.admits(*key, now))?;
        Some(Known {
            credential: format!("id-{key}"),
            scopes: Vec::new(),
            expires_in_ms: self.keys[key].expires.map(|end| end.since(now) / 1_000_000),
            consumer: format!("c{}", owner(key)),
            tier: self.tier(self.consumers[owner(key)].0),
        })
    }

    fn changes(&self, after: Option<u64>, held_ms: u64) -> Changes {
        let nothing = Changes { revision: self.revision, held_ms, reset: false, more: false, changes: Vec::new() };
        let Some(after) = after else { return nothing };
        let rest: Vec<Change> = self.changes.iter().filter(|change| change.revision > after).take(MOST_CHANGES).cloned().collect();
        let kept = rest.first().map_or(after == self.revision, |first| first.revision == after + 1);
        if !kept {
            return Changes { reset: true, ..nothing };
        }
        let revision = rest.last().map_or(after, |last| last.revision);
        Changes { revision, more: revision < self.revision, changes: rest, ..nothing }
    }
}

impl Backend {
    pub(super) fn new(now: Instant) -> Self {
        let key = Key { issued: true, revoked: false, expires: None };
        let state = State {
            keys: std::array::from_fn(|number| Key { issued: number < 3, ..key.clone() }),
            consumers: [(0, false); CONSUMERS],
            rates: [1_000; TIERS],
            revision: 10,
            changes: Vec::new(),
        };
        Self { past: vec![(now, state.clone())], backup: state.clone(), state, history: 0, token: 1, reported: Some(0) }
    }

    /// Whether something was true of the backend at some moment from `start` to `end`.
    pub(super) fn was(&self, start: Instant, end: Instant, mut is: impl FnMut(&State, Instant) -> bool) -> bool {
        let ends = self.past.iter().skip(1).map(|(at, _)| *at).chain([Instant(u64::MAX)]);
        self.past.iter().zip(ends).any(|((begun, state), ended)| {
            let (first, last) = ((*begun).max(start), ended.min(end));
            // What ends by itself is there at the first of these moments or never, what begins by itself at the last.
            first <= last && (is(state, first) || is(state, last))
        })
    }

    /// Lets something happen. `heard` is the revision that nodes have heard of; `None`: they have not heard of the last restore yet.
    pub(super) fn happens(&mut self, event: Event, now: Instant, heard: Option<u64>) {
        let state = &mut self.state;
        match event {
            // A history that reaches what a node knew of the one before cannot be told from that.
            _ if heard.is_none() && !matches!(event, Event::Restart) => {}
            // No key comes back.
            Event::Issue(key) => state.keys[key].issued = true,
            Event::Revoke(key) => {
                if !std::mem::replace(&mut state.keys[key].revoked, true) {
                    state.publish_credential(key, true);
                }
            }
            Event::Expire(key, after) => {
                if state.admits(key, now) {
                    state.keys[key].expires = after.map(|after| now.after(after));
                    state.publish_credential(key, false);
                }
            }
            Event::Disable(consumer, disabled) => {
                if std::mem::replace(&mut state.consumers[consumer].1, disabled) != disabled {
                    state
                        .publish(Change { consumer: Some(ConsumerChange { id: format!("c{consumer}"), tier: None }), ..Change::default() });
                }
            }
            Event::Move(consumer, tier) => {
                state.consumers[consumer].0 = tier;
                let tier = (!state.consumers[consumer].1).then(|| state.tier(tier));
                state.publish(Change { consumer: Some(ConsumerChange { id: format!("c{consumer}"), tier }), ..Change::default() });
            }
            Event::Retier(tier, rate) => {
                state.rates[tier] = rate;
                state.publish(Change { tier: Some(state.tier(tier)), ..Change::default() });
            }
            Event::Strange => state.publish(Change::default()),
            Event::Restart => self.token += 1,
            Event::Backup => self.backup = state.clone(),
            Event::Restore if heard > Some(self.backup.revision) => {
                *state = self.backup.clone();
                self.history += 1;
                self.token += 1;
            }
            Event::Restore => {}
            Event::Prune => {
                let kept = state.changes.len().saturating_sub(2);
                state.changes.drain(..kept);
            }
        }
        self.remember(now);
    }

    /// Tells everybody who has heard something else to forget it: a gap, and something that is not known.
    pub(super) fn comes_to_its_senses(&mut self, now: Instant) {
        self.state.revision += 4_711;
        self.state.publish(Change::default());
        self.remember(now);
    }

    /// Tells of the keys that have expired.
    pub(super) fn expire(&mut self, now: Instant) {
        for key in 0..KEYS {
            if self.state.keys[key].expires.is_some_and(|end| end <= now) && !self.state.keys[key].revoked {
                // One that has expired never comes back: it is as good as revoked.
                self.state.keys[key].revoked = true;
                self.state.publish_credential(key, true);
            }
        }
        self.remember(now);
    }

    fn remember(&mut self, now: Instant) {
        if self.past.last().is_none_or(|(_, last)| *last != self.state) {
            self.past.push((now, self.state.clone()));
        }
    }

    /// The answer to a call that came at an instant; `None` while it is held.
    pub(super) fn answer(&mut self, call: &Call, came: Instant, now: Instant) -> Option<(u16, Vec<u8>)> {
        let good = |body: Result<Vec<u8>, wire::WireError>| Some((200, body.unwrap()));
        if call.purpose == Purpose::Hello {
            assert_eq!(call.authorization, format!("Bearer {CREDENTIAL}"));
            return good(wire::encode(&Welcome { token: format!("token-{}", self.token), expires_in_ms: 20_000 }));
        }
        if call.authorization != format!("Bearer token-{}", self.token) {
            return Some((401, Vec::new()));
        }
        match call.purpose {
            Purpose::Hello => None,
            Purpose::Resolve { .. } => {
                let resolve: Resolve = wire::decode(&call.body).unwrap();
                good(wire::encode(&Resolved { revision: self.state.revision, known: self.state.resolve(&resolve.sha256, now) }))
            }
            Purpose::Report { sequence, .. } => {
                let Ok(report) = wire::decode::<Report>(&call.body) else { return Some((400, Vec::new())) };
                if let Some(reported) = &mut self.reported {
                    assert!(report.sequence == sequence && sequence <= *reported + 1, "a report was left out");
                    *reported = sequence.max(*reported);
                }
                good(wire::encode(&Acknowledged { sequence }))
            }
            Purpose::Poll { after, .. } => {
                let changes = self.state.changes(after, now.since(came) / 1_000_000);
                let wait = call.path.split_once("wait_ms=").map_or(0, |(_, wait)| wait.parse::<u64>().unwrap() * 1_000_000);
                let holds = !changes.reset && changes.changes.is_empty() && now.since(came) < wait;
                if holds { None } else { good(wire::encode(&changes)) }
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
