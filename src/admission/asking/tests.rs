mod faults;
mod first;
mod ledger;
mod own_limits;
mod own_tokens;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use serde_json::json;
use tollgate_core::config::{self, document};
use tollgate_core::credential::{IssuerKey, digest};
use tollgate_core::jws::Accelerator;
use tollgate_core::secret::Secret;
use tollgate_core::wire::{
    self, Acknowledged, Change, Changes, ConsumerChange, CredentialChange, Hello, MOST_CHANGES, Report, Resolve, Resolved, Settle, Settled,
    Welcome,
};

use super::*;
use crate::admission::Verdict;
use crate::head::tests::map;
use crate::shared::{Broken, Memory, Version};

const MS: u64 = 1_000_000;
/// What the wall clock is ahead of the other.
const EPOCH: u64 = 1_800_000_000 * SECOND;
const ISSUER: &str = "issuer-key-of-sixteen-bytes";

/// A node of several workers, its backend, and the time.
struct World {
    workers: Vec<Gate>,
    /// Requests that wait, by worker and stream, with the key they carry.
    waiting: HashMap<(usize, u32), (String, Waited)>,
    streams: u32,
    node: FakeNode,
    backend: FakeBackend,
    /// Polls the backend holds.
    held: Vec<(usize, Purpose)>,
    now: Instant,
}

struct FakeNode {
    shared: Memory,
    /// The keys that were ever asked for.
    keys: BTreeSet<String>,
    address: IpAddr,
    broken: bool,
}

impl FakeNode {
    /// The key that ends in this way.
    fn key(&self, end: &str) -> String {
        self.keys.iter().find(|key| key.ends_with(end)).unwrap().clone()
    }

    fn value(&mut self, end: &str) -> Vec<u8> {
        let (key, mut value) = (self.key(end), Vec::new());
        self.shared.get(&key, &mut value).unwrap();
        value
    }

    /// Puts something else under the key that ends in this way.
    fn spoil(&mut self, end: &str, bytes: &[u8]) {
        let key = self.key(end);
        let version = self.shared.get(&key, &mut Vec::new()).unwrap();
        assert!(self.shared.set(&key, bytes, version).unwrap());
    }
}

impl SharedData for FakeNode {
    fn get(&mut self, key: &str, value: &mut Vec<u8>) -> Result<Option<Version>, Broken> {
        self.keys.insert(key.to_owned());
        if self.broken { Err(Broken) } else { self.shared.get(key, value) }
    }

    fn set(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> Result<bool, Broken> {
        if self.broken { Err(Broken) } else { self.shared.set(key, value, expected) }
    }
}

impl Accelerator for FakeNode {}

impl Node for FakeNode {
    fn source_address(&mut self) -> Option<IpAddr> {
        Some(self.address)
    }
}

#[derive(Default)]
struct FakeBackend {
    keys: HashMap<String, Known>,
    changes: Vec<Change>,
    revision: u64,
    token: u32,
    hellos: Vec<Hello>,
    resolves: Vec<Resolve>,
    calls: u32,
    reports: Vec<Vec<u8>>,
    /// What every call gets instead of an answer.
    instead: Option<(u16, Vec<u8>)>,
    down: bool,
    /// Polls stay without an answer.
    silent: bool,
    acknowledges: bool,
    ledger: ledger::FakeLedger,
    /// It does what is asked about keys and leases, and its answer is lost.
    loses: bool,
    /// Tokens and families that are revoked.
    revoked: Vec<wire::Revoked>,
    /// Which tokens are revoked it does not say.
    mute: bool,
}

fn tier(name: &str, rate: u64) -> document::Tier {
    let limit = json!({"name": "m", "algorithm": "sliding_window", "rate": rate, "per": "60s"});
    serde_json::from_value(json!({"name": name, "limits": [limit]})).unwrap()
}

fn known(consumer: &str, tier: document::Tier) -> Known {
    Known { credential: format!("{consumer}-key"), ..Known::new(consumer.to_owned(), tier) }
}

impl FakeBackend {
    fn issue(&mut self, key: &str, known: Known) {
        self.keys.insert(crate::backend::hex(&digest(key.as_bytes())), known);
    }

    fn publish(&mut self, change: Change) {
        self.revision += 1;
        self.changes.push(Change { revision: self.revision, ..change });
    }

    fn revoke(&mut self, key: &str) {
        let known = self.keys.remove(&crate::backend::hex(&digest(key.as_bytes()))).unwrap();
        self.publish(Change { credential: Some(CredentialChange { id: known.credential, gone: true }), ..Change::default() });
    }

    fn authorized(&self, call: &Call) -> bool {
        call.authorization == format!("Bearer token-{}", self.token)
    }

    /// The answer to a call, or `None` if it is held.
    fn answer(&mut self, call: &Call, waited: bool) -> Option<(u16, Vec<u8>)> {
        self.calls += u32::from(matches!(call.purpose, Purpose::Resolve { .. } | Purpose::Reclaim { .. }));
        assert!(self.calls < 1_000, "it is asked again and again");
        if let Some(instead) = &self.instead {
            return Some(instead.clone());
        }
        let good = |body: Result<Vec<u8>, wire::WireError>| Some((200, body.unwrap()));
        match call.purpose {
            Purpose::Hello => {
                assert_eq!(call.authorization, "Bearer node-credential-1");
                self.hellos.push(wire::decode(&call.body).unwrap());
                good(wire::encode(&Welcome { token: format!("token-{}", self.token), expires_in_ms: 600_000 }))
            }
            _ if !self.authorized(call) => Some((401, b"{}".to_vec())),
            Purpose::Resolve { .. } if call.path.ends_with("/credentials") => {
                let asked: wire::ResolveCredential = wire::decode(&call.body).unwrap();
                let known = self.keys.values().find(|known| known.credential == asked.credential).cloned();
                good(wire::encode(&Resolved { revision: self.revision, known, ..Resolved::default() }))
            }
            Purpose::Revocations { .. } if self.mute => Some((503, Vec::new())),
            Purpose::Revocations { .. } => {
                // Two on a page, so that there are several.
                let from: usize = call.path.split_once("after=").map_or(0, |(_, after)| after.parse().unwrap());
                let revoked: Vec<_> = self.revoked.iter().skip(from).take(2).cloned().collect();
                let next = (from + 2 < self.revoked.len()).then_some(from as u64 + 2);
                good(wire::encode(&wire::Revocations { revision: self.revision, revoked, next }))
            }
            Purpose::Resolve { .. } | Purpose::Reclaim { .. } => {
                let resolve: Resolve = wire::decode(&call.body).unwrap();
                let known = self.keys.get(&resolve.sha256).cloned();
                let first =
                    known.as_ref().zip(resolve.leases.as_ref()).map(|(known, asked)| self.ledger.first(self.revision, known, asked));
                let (limits, settled) = first.unwrap_or_default();
                self.resolves.push(resolve);
                if self.loses {
                    return Some((504, Vec::new()));
                }
                good(wire::encode(&Resolved { revision: self.revision, known, limits, settled }))
            }
            Purpose::Settle { .. } => {
                self.ledger.settles += 1;
                let asks = wire::decode::<Settle>(&call.body).unwrap().asks;
                let answers = asks.iter().map(|ask| self.ledger.settle(ask)).collect();
                if self.loses { Some((504, Vec::new())) } else { good(wire::encode(&Settled { revision: self.revision, answers })) }
            }
            Purpose::Report { sequence, .. } => {
                self.reports.push(call.body.clone());
                let asks = wire::decode::<Report>(&call.body).unwrap().leases;
                let leases = asks.iter().map(|ask| self.ledger.settle(ask)).collect();
                if self.acknowledges && !self.loses {
                    good(wire::encode(&Acknowledged { sequence, revision: self.revision, leases, ..Acknowledged::default() }))
                } else {
                    Some((504, Vec::new()))
                }
            }
            Purpose::Poll { after, .. } => {
                let after = after.unwrap_or(self.revision);
                let changes: Vec<Change> =
                    self.changes.iter().filter(|change| change.revision > after).take(MOST_CHANGES).cloned().collect();
                if self.silent || (changes.is_empty() && !waited && call.path.contains("after")) {
                    return None;
                }
                let revision = changes.last().map_or(self.revision, |last| last.revision);
                let held_ms = if waited { 300 } else { 0 };
                good(wire::encode(&Changes {
                    revision,
                    mark: 0,
                    held_ms,
                    reset: after > self.revision,
                    more: revision < self.revision,
                    changes,
                }))
            }
            Purpose::Blocks { .. } => good(wire::encode(&wire::Blocks::default())),
            Purpose::KeySet { .. } | Purpose::Introspect { .. } => panic!("no issuer is asked here"),
            Purpose::Take { .. } => panic!("nothing is signed here"),
        }
    }
}

/// What a request got, or that it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Admitted(String),
    Denied(Reason),
    Waits,
}

fn got(verdict: &Verdict) -> Got {
    match verdict {
        Verdict::Admit(permit) => Got::Admitted(permit.identity.as_ref().unwrap().consumer.id.clone()),
        Verdict::Deny(denial) => Got::Denied(denial.reason),
        Verdict::Wait(..) => Got::Waits,
    }
}

fn admitted(consumer: &str) -> Got {
    Got::Admitted(consumer.to_owned())
}

impl World {
    fn new(workers: u8, backend: &serde_json::Value) -> Self {
        let mut world = Self::at_start(workers, backend);
        world.pass(200 * MS);
        world
    }

    /// Nothing has been said yet.
    fn at_start(workers: u8, backend: &serde_json::Value) -> Self {
        let mut settings = json!({"cluster": "backend", "credential": {"env": "NODE"}, "max_staleness": "2s"});
        settings.as_object_mut().unwrap().extend(backend.as_object().unwrap().clone());
        let own = settings.as_object_mut().unwrap().remove("own_tokens").is_some();
        let issuer = json!([{"version": 1, "prefix": "foil", "secret": {"inline": ISSUER}}]);
        let hash = format!("sha256:{}", crate::backend::hex(&digest(b"static")));
        let mut document = json!({
            "backend": settings, "credentials": {"issuer_keys": issuer},
            "consumers": [{"id": "acme", "tier": "free", "keys": [{"id": "static-key", "hash": hash}]}],
        });
        if own {
            document.as_object_mut().unwrap().extend(own_tokens::document());
        }
        let policy = config::load(document.to_string().as_bytes(), &|_: &str| Some("node-credential-1".to_owned())).unwrap();
        Self {
            workers: (0..workers).map(|worker| Gate::new(policy.clone(), "node-7", [worker + 1; 32])).collect(),
            waiting: HashMap::new(),
            streams: 0,
            node: FakeNode { shared: Memory::default(), keys: BTreeSet::new(), address: "192.0.2.1".parse().unwrap(), broken: false },
            backend: FakeBackend { acknowledges: true, revision: 10, ..FakeBackend::default() },
            held: Vec::new(),
            now: Instant(100 * SECOND),
        }
    }

    /// Sends a request; it waits if it must.
    fn ask(&mut self, worker: usize, key: &str) -> Got {
        self.judge(worker, key, Waited::default())
    }

    fn judge(&mut self, worker: usize, key: &str, mut waited: Waited) -> Got {
        // A credential, and the path behind a blank if it is another than the root.
        let (credential, path) = key.split_once(' ').unwrap_or((key, "/"));
        let bearer = format!("Bearer {credential}");
        let presented: (&[u8], &[u8]) = match credential.starts_with("ey") {
            true => (b"authorization", bearer.as_bytes()),
            false => (b"x-api-key", credential.as_bytes()),
        };
        let map = map(&[(b":method", b"GET"), (b":authority", b"api"), (b":path", path.as_bytes()), presented]);
        let gate = &mut self.workers[worker];
        let head = gate.read(&map).unwrap();
        let wall = self.now.0 + EPOCH;
        let verdict = gate.judge(&head, waited, self.now, wall, &mut self.node);
        if let Verdict::Wait(awaited, _) = &verdict {
            self.streams += 1;
            assert!(self.workers[worker].wait(awaited, self.streams));
            waited.add(awaited);
            self.waiting.insert((worker, self.streams), (key.to_owned(), waited));
        }
        got(&verdict)
    }

    /// Sends a request and lets the backend answer; what it got in the end.
    fn settle(&mut self, worker: usize, key: &str) -> Got {
        match self.ask(worker, key) {
            Got::Waits => {
                let woken = self.deliver();
                let own = woken.iter().find(|(own, _, _)| *own == self.streams);
                own.unwrap_or_else(|| panic!("still waits, of {woken:?}")).2.clone()
            }
            got @ (Got::Admitted(_) | Got::Denied(_)) => got,
        }
    }

    /// Carries calls and answers until nothing moves; answers the requests that were woken, and what they got.
    fn deliver(&mut self) -> Vec<(u32, String, Got)> {
        let mut woken = Vec::new();
        self.backend.ledger.now = self.now.0 / MS;
        loop {
            let mut quiet = true;
            for (worker, purpose) in std::mem::take(&mut self.held) {
                let Purpose::Poll { after, .. } = purpose else { panic!("held {purpose:?}") };
                let news = self.backend.down
                    || self.backend.instead.is_some()
                    || self.backend.changes.iter().any(|change| Some(change.revision) > after);
                if news {
                    self.hear(worker, purpose, true, &mut woken);
                    quiet = false;
                } else {
                    self.held.push((worker, purpose));
                }
            }
            for worker in 0..self.workers.len() {
                for call in self.workers[worker].take_calls() {
                    quiet = false;
                    if self.backend.down {
                        self.heard(worker, call.purpose, Answer::Broken, &mut woken);
                        continue;
                    }
                    match self.backend.answer(&call, false) {
                        Some((status, body)) => self.heard(worker, call.purpose, Answer::Whole(status, &body), &mut woken),
                        None => self.held.push((worker, call.purpose)),
                    }
                }
            }
            if quiet {
                return woken;
            }
        }
    }

    /// Answers a poll that was held.
    fn hear(&mut self, worker: usize, purpose: Purpose, waited: bool, woken: &mut Vec<(u32, String, Got)>) {
        if self.backend.down {
            return self.heard(worker, purpose, Answer::Broken, woken);
        }
        let Purpose::Poll { after, .. } = purpose else { panic!("held {purpose:?}") };
        let call = Call {
            purpose,
            method: "GET",
            path: format!("?after={after:?}"),
            authorization: format!("Bearer token-{}", self.backend.token),
            body: Vec::new(),
            timeout_ms: 1,
        };
        let (status, body) = self.backend.answer(&call, waited).unwrap();
        self.heard(worker, purpose, Answer::Whole(status, &body), woken);
    }

    fn heard(&mut self, worker: usize, purpose: Purpose, answer: Answer<'_>, woken: &mut Vec<(u32, String, Got)>) {
        let outcomes = self.workers[worker].heard(purpose, answer, self.now, &mut self.node);
        self.wake(worker, outcomes.woken, woken);
    }

    fn wake(&mut self, worker: usize, streams: Vec<u32>, woken: &mut Vec<(u32, String, Got)>) {
        for stream in streams {
            if let Some((key, waited)) = self.waiting.remove(&(worker, stream)) {
                let got = self.judge(worker, &key, waited);
                woken.push((stream, key, got));
            }
        }
    }

    /// Lets time pass, tick by tick; polls are held for 300 ms.
    fn pass(&mut self, nanos: u64) -> Vec<(u32, String, Got)> {
        let mut woken = Vec::new();
        let end = self.now.after(nanos);
        while self.now < end {
            self.now = self.now.after(50 * MS).min(end);
            for worker in 0..self.workers.len() {
                let streams = self.workers[worker].tick(self.now, &mut self.node);
                self.wake(worker, streams, &mut woken);
            }
            for (worker, purpose) in std::mem::take(&mut self.held) {
                let Purpose::Poll { sent, .. } = purpose else { panic!("held {purpose:?}") };
                if self.now.since(sent) >= 300 * MS && !self.backend.silent {
                    self.hear(worker, purpose, true, &mut woken);
                } else {
                    self.held.push((worker, purpose));
                }
            }
            woken.extend(self.deliver());
        }
        woken
    }

    /// Lets time pass while polls stay without an answer.
    fn pass_without_polls(&mut self, nanos: u64) -> Vec<Got> {
        let held = std::mem::take(&mut self.held);
        let woken = self.pass(nanos);
        self.held = held;
        woken.into_iter().map(|(_, _, got)| got).collect()
    }

    fn count(&self, counter: Counter) -> u64 {
        self.workers.iter().map(|worker| worker.counters.get(counter)).sum()
    }
}

#[test]
fn a_key_is_asked_about_once_and_then_known() {
    let mut world = World::new(2, &json!({}));
    world.backend.issue("k", known("acme", tier("few", 5)));
    let first: Vec<Got> = (0..3).map(|_| world.ask(0, "k")).collect();
    assert_eq!(first, [Got::Waits, Got::Waits, Got::Waits]);
    let woken: Vec<Got> = world.deliver().into_iter().map(|(_, _, got)| got).collect();
    assert_eq!(woken, [admitted("acme"), admitted("acme"), admitted("acme")]);
    assert_eq!(world.backend.resolves.len(), 1);
    assert_eq!(world.settle(0, "k"), admitted("acme"));
    assert_eq!(world.settle(1, "k"), admitted("acme"));
    assert_eq!(world.backend.resolves.len(), 2, "one a worker");
    assert_eq!(world.settle(1, "k"), Got::Denied(Reason::RateLimited), "five in all, over both workers");
    assert_eq!(world.settle(0, "static"), admitted("acme"), "another namespace");
    assert_eq!(world.count(Counter::AskedKnown), 2);
}

#[test]
fn nothing_is_asked_that_would_be_forgotten_when_the_feed_begins() {
    let mut world = World::at_start(2, &json!({}));
    world.backend.issue("k", known("acme", tier("few", 50)));
    world.backend.silent = true;
    world.pass(200 * MS);
    assert_eq!([world.ask(0, "k"), world.ask(1, "k")], [Got::Waits, Got::Waits]);
    world.pass(200 * MS);
    assert_eq!((world.backend.hellos.len(), world.backend.resolves.len()), (1, 0));
    world.backend.silent = false;
    let woken: Vec<Got> = world.pass(400 * MS).into_iter().map(|(_, _, got)| got).collect();
    assert_eq!(woken, [admitted("acme"), admitted("acme")]);
    world.backend.down = true;
    world.pass(SECOND);
    assert_eq!([world.ask(0, "k"), world.ask(1, "k")], [admitted("acme"), admitted("acme")], "and nothing was forgotten");
}

#[test]
fn one_worker_speaks_for_the_node() {
    let mut world = World::new(3, &json!({}));
    world.pass(5 * SECOND);
    assert_eq!(world.backend.hellos.len(), 1);
    assert_eq!(world.held.len(), 1, "one poll");
    let hello = &world.backend.hellos[0];
    assert_eq!((hello.node.as_str(), hello.incarnation_secret.len()), ("node-7", 32));
}

#[test]
fn an_unknown_key_is_refused_and_remembered_for_a_while() {
    let mut world = World::new(1, &json!({}));
    assert_eq!(world.settle(0, "guess"), Got::Denied(Reason::InvalidKey));
    for _ in 0..100 {
        assert_eq!(world.ask(0, "guess"), Got::Denied(Reason::InvalidKey));
    }
    assert_eq!(world.backend.resolves.len(), 1);
    world.backend.issue("guess", known("late", tier("few", 5)));
    world.pass(REFUSED_FOR);
    assert_eq!(world.settle(0, "guess"), admitted("late"));
}

#[test]
fn a_revoked_key_is_refused_on_every_worker_after_one_tick() {
    let mut world = World::new(4, &json!({}));
    world.backend.issue("k", known("acme", tier("many", 1_000)));
    (0..4).for_each(|worker| assert_eq!(world.settle(worker, "k"), admitted("acme")));
    world.backend.revoke("k");
    world.deliver();
    world.pass(50 * MS);
    (0..4).for_each(|worker| assert_eq!(world.ask(worker, "k"), Got::Denied(Reason::InvalidKey)));
    assert_eq!(world.backend.resolves.len(), 4, "nobody had to ask again");
}

#[test]
fn an_answer_that_a_change_has_overtaken_is_asked_for_again() {
    let mut world = World::new(1, &json!({}));
    world.backend.issue("k", known("acme", tier("few", 5)));
    world.backend.issue("other", known("other", tier("few", 5)));
    let (Got::Waits, Got::Waits) = (world.ask(0, "k"), world.ask(0, "other")) else { panic!("nothing to ask") };
    let calls = world.workers[0].take_calls();
    let answers: Vec<(Purpose, Vec<u8>)> = calls.iter().map(|call| (call.purpose, world.backend.answer(call, false).unwrap().1)).collect();
    // Read before, delivered after.
    world.backend.revoke("k");
    world.pass(50 * MS);
    let mut woken = Vec::new();
    for (purpose, body) in answers {
        world.heard(0, purpose, Answer::Whole(200, &body), &mut woken);
    }
    assert_eq!(woken.iter().map(|(_, key, got)| (key.as_str(), got.clone())).collect::<Vec<_>>(), [("other", admitted("other"))]);
    assert_eq!(world.deliver().pop().unwrap().2, Got::Denied(Reason::InvalidKey));
}

#[test]
fn changes_of_consumers_and_tiers_are_in_force_without_asking() {
    let mut world = World::new(2, &json!({}));
    world.backend.issue("k", known("acme", tier("none", 1)));
    (0..2).for_each(|worker| drop(world.settle(worker, "k")));
    assert_eq!(world.ask(0, "k"), Got::Denied(Reason::RateLimited));
    let upgrade = ConsumerChange { id: "acme".to_owned(), tier: Some(tier("some", 3)) };
    world.backend.publish(Change { consumer: Some(upgrade), ..Change::default() });
    world.pass(100 * MS);
    assert_eq!((0..4).filter(|_| world.ask(0, "k") == admitted("acme")).count(), 2, "what was spent stays spent");
    world.backend.publish(Change { tier: Some(tier("some", 4)), ..Change::default() });
    world.pass(100 * MS);
    assert_eq!((0..4).filter(|_| world.ask(1, "k") == admitted("acme")).count(), 1);
    assert_eq!(world.backend.resolves.len(), 2);
    world.backend.keys.clear();
    world.backend.publish(Change { consumer: Some(ConsumerChange { id: "acme".to_owned(), tier: None }), ..Change::default() });
    world.pass(100 * MS);
    assert_eq!(world.settle(0, "k"), Got::Denied(Reason::InvalidKey), "disabled");
}

#[test]
fn what_is_not_understood_makes_the_node_ask_again() {
    let mut world = World::new(1, &json!({}));
    world.backend.issue("k", known("acme", tier("few", 50)));
    world.settle(0, "k");
    let strange = [Change::default(), Change { tier: Some(tier("few", 0)), ..Change::default() }];
    for (asked, change) in (2..).zip(strange) {
        world.backend.publish(change);
        world.pass(100 * MS);
        assert_eq!(world.settle(0, "k"), admitted("acme"));
        assert_eq!(world.backend.resolves.len(), asked);
    }
}

#[test]
fn a_worker_that_fell_off_the_ring_or_a_restored_backend_makes_it_forget() {
    let mut world = World::new(1, &json!({}));
    world.backend.issue("k", known("acme", tier("few", 50)));
    world.settle(0, "k");
    // A backup from before: its history is shorter.
    world.backend.revision = 3;
    world.backend.changes.clear();
    world.pass(400 * MS);
    world.settle(0, "k");
    assert_eq!(world.backend.resolves.len(), 2);
    world.backend.revoke("k");
    world.pass(100 * MS);
    assert_eq!(world.ask(0, "k"), Got::Denied(Reason::InvalidKey), "the new history is followed");
}

#[test]
fn without_the_feed_what_is_known_is_believed_for_max_staleness_and_no_longer() {
    let mut world = World::new(2, &json!({"max_staleness": "2s"}));
    world.backend.issue("k", known("acme", tier("many", 1_000)));
    (0..2).for_each(|worker| drop(world.settle(worker, "k")));
    world.pass(10 * SECOND);
    world.backend.down = true;
    let mut believed = 0;
    while world.ask(0, "k") == admitted("acme") {
        world.pass(50 * MS);
        believed += 50;
    }
    assert!((1_600..=2_100).contains(&believed), "{believed} ms");
    let woken: Vec<Got> = world.pass(2 * SECOND).into_iter().map(|(_, _, got)| got).collect();
    assert_eq!(woken, [Got::Denied(Reason::Unavailable)]);
    assert_eq!(world.settle(1, "static"), admitted("acme"));
    world.backend.down = false;
    world.pass(3 * SECOND);
    assert_eq!(world.ask(0, "k"), admitted("acme"), "as before, without asking");
    assert_eq!(world.backend.resolves.len(), 2);
}

#[test]
fn a_key_ends_when_its_time_is_over() {
    let mut world = World::new(1, &json!({}));
    world.backend.issue("k", Known { expires_in_ms: Some(1_000), ..known("acme", tier("many", 1_000)) });
    assert_eq!(world.settle(0, "k"), admitted("acme"));
    world.now = world.now.after(999 * MS);
    assert_eq!(world.ask(0, "k"), admitted("acme"));
    world.now = world.now.after(MS);
    assert_eq!(world.ask(0, "k"), Got::Denied(Reason::InvalidKey));
    assert_eq!(world.backend.resolves.len(), 1);
}

#[test]
fn whatever_goes_wrong_the_request_is_unavailable_and_nothing_is_remembered() {
    let nonsense: [(u16, &[u8]); 6] = [
        (500, b"{}"),
        (200, b"<html>"),
        (200, br#"{"wire":"tollgate-node/0","revision":1}"#),
        (200, br#"{"wire":"tollgate-node/2","revision":1}"#),
        (404, b""),
        (200, br#"{"wire":"tollgate-node/1","revision":99,"known":{"credential":"a b","consumer":"c","tier":{"name":"t","limits":[]}}}"#),
    ];
    for (status, body) in nonsense {
        let mut world = World::new(1, &json!({}));
        world.backend.issue("k", known("acme", tier("few", 5)));
        world.backend.instead = Some((status, body.to_vec()));
        assert_eq!(world.settle(0, "k"), Got::Denied(Reason::Unavailable), "{status}");
        assert_eq!(world.backend.calls, 1, "{status}");
        world.backend.instead = None;
        world.pass(3 * SECOND);
        assert_eq!(world.settle(0, "k"), admitted("acme"), "{status}");
    }
}

#[test]
fn requests_wait_for_a_token_but_not_longer_than_they_may() {
    let mut world = World::new(1, &json!({"timeout": "400ms"}));
    world.backend.issue("k", known("acme", tier("few", 5)));
    world.backend.token += 1;
    assert_eq!(world.ask(0, "k"), Got::Waits);
    assert!(world.deliver().is_empty(), "the token was not taken");
    assert_eq!(world.pass(300 * MS).pop().unwrap().2, admitted("acme"), "another was fetched");
    assert_eq!(world.backend.hellos.len(), 2);
    world.backend.token += 1;
    world.backend.instead = Some((401, Vec::new()));
    assert_eq!(world.ask(0, "other"), Got::Waits);
    assert_eq!(world.pass(450 * MS).pop().unwrap().2, Got::Denied(Reason::Unavailable));
}

#[test]
fn a_dead_backend_costs_few_requests_their_time() {
    let mut world = World::new(1, &json!({}));
    world.backend.down = true;
    let waited = (0..50).filter(|number| {
        let waits = world.ask(0, &format!("k{number}")) == Got::Waits;
        world.deliver();
        waits
    });
    assert_eq!(waited.count(), 3);
    world.backend.down = false;
    world.pass(SECOND);
    assert_eq!(world.settle(0, "k9"), Got::Denied(Reason::InvalidKey), "it is asked again");
}

#[test]
fn guesses_are_bounded_by_address_and_valid_keys_do_not_count() {
    let mut world = World::new(2, &json!({"unknown_per_address": 5}));
    for number in 0..20 {
        world.backend.issue(&format!("valid-{number}"), known(&format!("c{number}"), tier("few", 5)));
        assert_eq!(world.settle(number % 2, &format!("valid-{number}")), admitted(&format!("c{number}")));
    }
    let guesses: Vec<Got> = (0..20).map(|number| world.settle(number % 2, &format!("guess-{number}"))).collect();
    assert_eq!(guesses[..5], vec![Got::Denied(Reason::InvalidKey); 5]);
    assert_eq!(guesses[5..], vec![Got::Denied(Reason::TooManyUnknownKeys); 15]);
    assert_eq!(world.backend.resolves.len(), 25);
    assert_eq!(world.ask(0, "valid-0"), admitted("c0"), "what is known is not affected");
    let issuer = IssuerKey::new(1, "foil", Secret::new(ISSUER.as_bytes().to_vec())).unwrap();
    for number in 1..=10_u8 {
        let genuine = issuer.issue(&mut |bytes: &mut [u8]| bytes.fill(number));
        assert_eq!(world.settle(0, &genuine), Got::Denied(Reason::InvalidKey), "no guess: it was issued once");
        let mut forged = genuine.into_bytes();
        forged.iter_mut().rev().take(1).for_each(|last| *last = if *last == b'0' { b'1' } else { b'0' });
        assert_eq!(world.ask(0, &String::from_utf8(forged).unwrap()), Got::Denied(Reason::InvalidKey));
    }
    assert_eq!(world.backend.resolves.len(), 35, "forged keys are not asked about");
    world.node.address = "192.0.2.2".parse().unwrap();
    assert_eq!(world.settle(0, "guess-7"), Got::Denied(Reason::InvalidKey), "another address");
}

#[test]
fn what_a_node_asks_is_bounded_in_flight_and_in_time() {
    let mut world = World::new(1, &json!({"resolves_in_flight": 3, "unknown_per_node": 10, "unknown_per_address": 1_000}));
    let asked: Vec<Got> = (0..5).map(|number| world.ask(0, &format!("a{number}"))).collect();
    assert_eq!(asked[..3], vec![Got::Waits; 3]);
    assert_eq!(asked[3..], vec![Got::Denied(Reason::Unavailable); 2]);
    world.deliver();
    let settled: Vec<Got> = (0..10).map(|number| world.settle(0, &format!("b{number}"))).collect();
    assert_eq!(settled.iter().filter(|got| **got == Got::Denied(Reason::InvalidKey)).count(), 7, "{settled:?}");
    assert_eq!(world.count(Counter::NotAsked), 5);
}

#[test]
fn a_client_that_goes_away_takes_nothing_with_it() {
    let mut world = World::new(1, &json!({}));
    world.backend.issue("k", known("acme", tier("few", 5)));
    assert_eq!(world.ask(0, "k"), Got::Waits);
    let place: Place = world.workers[0].keys.cache.place(b"k");
    world.workers[0].leave(&Awaited::Credential(place), world.streams);
    world.waiting.clear();
    assert!(world.deliver().is_empty());
    assert_eq!(world.ask(0, "k"), admitted("acme"), "the answer is remembered");
}

#[test]
fn uses_are_reported_once_a_minute_and_kept_until_acknowledged() {
    let mut world = World::new(2, &json!({}));
    world.backend.issue("k", known("acme", tier("many", 1_000)));
    world.backend.acknowledges = false;
    (0..10).for_each(|number| assert_eq!(world.settle(number % 2, "k"), admitted("acme")));
    world.pass(5 * SECOND);
    assert!(world.backend.reports.len() > 1);
    assert!(world.backend.reports.windows(2).all(|two| two[0] == two[1]), "sent again as it was");
    world.backend.acknowledges = true;
    let before = world.backend.reports.len();
    world.pass(10 * SECOND);
    assert_eq!(world.backend.reports.len(), before + 1);
    let report: Report = wire::decode(&world.backend.reports[0]).unwrap();
    assert_eq!((report.sequence, report.used.len(), report.used[0].credential.as_str()), (1, 1, "acme-key"));
    assert_eq!(report.used[0].at_ms, 1_800_000_100_200, "the node's wall clock");
    world.pass(60 * SECOND);
    world.ask(0, "k");
    world.pass(2 * SECOND);
    let report: Report = wire::decode(world.backend.reports.last().unwrap()).unwrap();
    assert_eq!(report.sequence, 2);
}

#[test]
fn another_worker_listens_when_the_listener_falls_silent() {
    let mut world = World::new(2, &json!({}));
    world.backend.issue("k", known("acme", tier("many", 1_000)));
    (0..2).for_each(|worker| drop(world.settle(worker, "k")));
    let leader = world.held[0].0;
    // Its virtual machine traps: nothing of it is left, nor are its calls.
    world.held.clear();
    let survivor = world.workers.remove(1 - leader);
    world.workers = vec![survivor];
    world.pass(1_500 * MS);
    assert_eq!(world.held.len(), 1);
    world.backend.revoke("k");
    world.pass(100 * MS);
    assert_eq!(world.ask(0, "k"), Got::Denied(Reason::InvalidKey));
    assert_eq!(world.backend.hellos.len(), 1, "the token is the node's");
}

#[test]
fn without_shared_data_keys_are_not_believed_for_longer_than_max_staleness() {
    let mut world = World::new(1, &json!({}));
    world.backend.issue("k", known("acme", tier("many", 1_000)));
    world.settle(0, "k");
    world.pass(5 * SECOND);
    world.node.broken = true;
    assert_eq!(world.ask(0, "k"), admitted("acme"));
    world.pass(2_500 * MS);
    assert_ne!(world.ask(0, "k"), admitted("acme"));
    world.node.broken = false;
    world.pass(SECOND);
    assert_eq!(world.settle(0, "k"), admitted("acme"));
}
