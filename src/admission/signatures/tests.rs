use tollgate_core::config;
use tollgate_core::credential::{KeyHash, digest};
use tollgate_core::secret::Secret;
use tollgate_core::signature::{Ticket, content_digest, make};

use super::super::Verdict;
use super::super::tests::{FakeNode, node};
use super::*;
use crate::admission::Waited;
use crate::head::tests::map;

const SECRET: &str = "a secret that signs requests";
const NOW: u64 = 1_700_000_000;
const LEAST: [&str; 2] = ["@method", "@target-uri"];

/// A gate with a signed route; key `k1` may sign, `k2` must, `k3` cannot.
fn gate(extra: &serde_json::Value) -> Gate {
    let hash = |key: &[u8]| KeyHash::of(&digest(key), None).to_string();
    let mut document = serde_json::json!({
        "tiers": [{"name": "few", "limits": [{"name": "m", "algorithm": "sliding_window", "rate": 4, "per": "60s"}]}],
        "consumers": [{"id": "acme", "tier": "few", "keys": [
            {"id": "one", "hash": hash(b"k1"), "signing": {"secret": {"inline": SECRET}}},
            {"id": "two", "hash": hash(b"k2"), "signing": {"secret": {"inline": SECRET}, "required": true}},
            {"id": "three", "hash": hash(b"k3")},
        ]}],
        "signatures": {},
        "routes": [{"name": "signed", "match": {"prefix": "/signed"}, "signature": {}}],
    });
    for (field, value) in extra.as_object().unwrap() {
        if value.is_null() {
            document.as_object_mut().unwrap().remove(field);
        } else {
            document[field] = value.clone();
        }
    }
    Gate::new(config::load(document.to_string().as_bytes(), &|_: &str| None).unwrap(), "node-1", [7; 32])
}

struct Asked<'a> {
    key: &'a str,
    id: &'a str,
    path: &'a str,
    nonce: &'a str,
    created: u64,
    body: bool,
    digest: Option<&'a str>,
}

fn asked(key: &'static str, id: &'static str, path: &'static str, nonce: &'static str) -> Asked<'static> {
    Asked { key, id, path, nonce, created: NOW, body: false, digest: None }
}

/// Judges a request that is signed; `None`: it is not.
fn ask(gate: &mut Gate, node: &mut FakeNode, asked: &Asked<'_>, secret: Option<&str>, now: Instant, wall: u64) -> Verdict {
    let mut pairs = vec![(":method", "GET"), (":scheme", "https"), (":authority", "api"), (":path", asked.path), ("x-api-key", asked.key)];
    pairs.extend(asked.digest.map(|digest| ("content-digest", digest)));
    let mut signed = (String::new(), String::new());
    if let Some(secret) = secret {
        let bytes: Vec<(&[u8], &[u8])> = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let map = map(&bytes);
        let head = gate.read(&map).unwrap();
        let (method, scheme, authority, target) = (&b"GET"[..], &b"https"[..], &b"api"[..], asked.path.as_bytes());
        let request = Request { method, scheme, authority, target, has_body: asked.body, fields: &head };
        let components: Vec<&str> = LEAST.into_iter().chain(asked.digest.map(|_| "content-digest")).collect();
        let ticket = Ticket { created: asked.created, nonce: Some(asked.nonce), keyid: asked.id, ..Ticket::default() };
        signed = make(&request, &components, &ticket, &Secret::new(secret.as_bytes().to_vec())).unwrap();
    }
    if !signed.0.is_empty() {
        pairs.extend([("signature-input", signed.0.as_str()), ("signature", signed.1.as_str())]);
    }
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let map = map(&pairs);
    let mut head = gate.read(&map).unwrap();
    head.has_body = asked.body;
    gate.judge(&head, Waited::default(), now, wall * SECOND, node)
}

fn reason(verdict: &Verdict) -> Option<Reason> {
    match verdict {
        Verdict::Deny(denial) => Some(denial.reason),
        Verdict::Admit(_) => None,
        Verdict::Wait(..) => panic!("there is no backend to wait for"),
    }
}

#[test]
fn a_route_or_a_key_asks_for_a_signature() {
    let (mut gate, mut node) = (gate(&serde_json::json!({})), node());
    let mut got = |key: &'static str, id: &'static str, path: &'static str, nonce: &'static str, secret: Option<&str>| {
        reason(&ask(&mut gate, &mut node, &asked(key, id, path, nonce), secret, Instant(SECOND), NOW))
    };
    assert_eq!(got("k1", "one", "/signed?a=1", "nonce-01", Some(SECRET)), None);
    assert_eq!(got("k1", "one", "/signed", "", None), Some(Reason::SignatureRequired));
    assert_eq!(got("k1", "one", "/other", "", None), None, "only there");
    assert_eq!(got("k2", "two", "/other", "", None), Some(Reason::SignatureRequired));
    assert_eq!(got("k2", "two", "/other", "nonce-01", Some(SECRET)), None, "each key has nonces of its own");
    assert_eq!(got("k3", "three", "/signed", "nonce-03", Some(SECRET)), Some(Reason::SignatureRequired), "it has no secret");
    assert_eq!(got("k1", "two", "/signed", "nonce-04", Some(SECRET)), Some(Reason::SignatureRequired), "another key's signature");
    assert_eq!(got("k1", "one", "/signed", "nonce-05", Some("another secret of some length")), Some(Reason::InvalidSignature));
}

#[test]
fn a_key_that_must_sign_is_refused_where_nobody_says_how() {
    let (mut gate, mut node) = (gate(&serde_json::json!({"signatures": null})), node());
    let verdict = ask(&mut gate, &mut node, &asked("k2", "two", "/other", "nonce-01"), Some(SECRET), Instant(SECOND), NOW);
    assert_eq!(reason(&verdict), Some(Reason::SignatureRequired));
}

#[test]
fn a_signature_is_taken_once_on_all_workers_and_not_used_up_by_what_is_refused() {
    let (mut first, mut second, mut node) = (gate(&serde_json::json!({})), gate(&serde_json::json!({})), node());
    let names = ["nonce-00", "nonce-01", "nonce-02", "nonce-03"];
    for nonce in names {
        let asked = asked("k1", "one", "/signed", nonce);
        assert_eq!(reason(&ask(&mut first, &mut node, &asked, Some(SECRET), Instant(SECOND), NOW)), None);
        assert_eq!(reason(&ask(&mut second, &mut node, &asked, Some(SECRET), Instant(SECOND), NOW)), Some(Reason::ReplayedSignature));
    }
    let late = asked("k1", "one", "/signed", "nonce-04");
    assert_eq!(reason(&ask(&mut first, &mut node, &late, Some(SECRET), Instant(SECOND), NOW)), Some(Reason::RateLimited));
    let later = Instant(200 * SECOND);
    assert_eq!(reason(&ask(&mut second, &mut node, &late, Some(SECRET), later, NOW + 199)), None);
    // To the last second in which it would be taken, by either clock.
    assert_eq!(reason(&ask(&mut first, &mut node, &late, Some(SECRET), Instant(311 * SECOND), NOW + 310)), Some(Reason::ReplayedSignature));
    assert_eq!(reason(&ask(&mut first, &mut node, &late, Some(SECRET), Instant(312 * SECOND), NOW + 311)), Some(Reason::ExpiredSignature));
}

#[test]
fn a_clock_that_is_set_back_makes_no_signature_new() {
    let (mut gate, mut node) = (gate(&serde_json::json!({"node": {"nonces": 256}})), node());
    let mut got = |created: u64, nonce: &'static str, seconds: u64, wall: u64| {
        let asked = Asked { created, ..asked("k1", "one", "/signed", nonce) };
        reason(&ask(&mut gate, &mut node, &asked, Some(SECRET), Instant(seconds * SECOND), wall))
    };
    assert_eq!(got(NOW, "nonce-01", 1, NOW), None);
    // An hour passes, and is taken back before anything else was signed.
    assert_eq!(got(NOW, "nonce-01", 3_601, NOW + 5), Some(Reason::ReplayedSignature));
    // The clock is an hour ahead for a while, and signed requests come that go by it.
    assert_eq!(got(NOW + 3_600, "nonce-02", 3_700, NOW + 3_600), None);
    for wall in [NOW, NOW + 100, NOW + 310] {
        assert_eq!(got(NOW, "nonce-01", 3_701, wall), Some(Reason::ExpiredSignature), "{wall}");
    }
    assert_eq!(got(NOW + 3_600, "nonce-02", 7_200, NOW + 3_600), Some(Reason::ReplayedSignature));
    assert_eq!(got(NOW + 60, "nonce-03", 7_200, NOW + 60), None, "what nobody can have used is taken");
}

#[test]
fn what_no_other_node_may_have_taken_is_the_same_on_each_and_kept_for_long_enough() {
    let backend = serde_json::json!({"cluster": "backend", "credential": {"inline": "a credential of some length, never used"}});
    let signature = serde_json::json!({"replay": "mesh", "clock_skew": "20s"});
    let route = serde_json::json!([{"name": "signed", "match": {"prefix": "/signed"}, "signature": signature}]);
    let mesh = serde_json::json!({"backend": backend, "routes": route});
    let (mut first, mut second) = (gate(&mesh), gate(&mesh));
    let got = |gate: &mut Gate, id: &'static str, nonce: &'static str| {
        // Each is a node of its own, and its clock another one.
        let (mut node, wall) = (node(), NOW + 5);
        match ask(gate, &mut node, &asked(if id == "one" { "k1" } else { "k2" }, id, "/signed", nonce), Some(SECRET), Instant(SECOND), wall)
        {
            Verdict::Admit(permit) => (permit.nonce.unwrap(), permit),
            Verdict::Deny(denial) | Verdict::Wait(_, denial) => panic!("{denial:?}"),
        }
    };
    let (nonce, permit) = got(&mut first, "one", "nonce-01");
    // Until 320 s after it was made, and 40 s more by a clock that goes behind.
    assert_eq!(nonce.for_ms, (320 - 5 + 1 + 40) * 1_000);
    assert_eq!(got(&mut second, "one", "nonce-01").0, nonce);
    assert_ne!(got(&mut second, "two", "nonce-01").0, nonce, "each key has nonces of its own");
    assert_ne!(got(&mut second, "one", "nonce-02").0, nonce);
    assert_eq!(first.not_taken(&permit, Taken::First, &mut node()), None);
    for (taken, reason) in [(Taken::Again, Reason::ReplayedSignature), (Taken::Unknown, Reason::ReplayUnknown)] {
        let denial = first.not_taken(&permit, taken, &mut node()).unwrap();
        assert_eq!((denial.reason, denial.identity.is_some()), (reason, true));
    }
    let mut none = gate(&serde_json::json!({}));
    assert!(!none.take(nonce, 1, Instant(SECOND)), "there is nobody to ask");
}

#[test]
fn where_uses_cannot_be_noted_nothing_passes() {
    let (mut gate, mut node) = (gate(&serde_json::json!({})), node());
    node.broken = true;
    let verdict = ask(&mut gate, &mut node, &asked("k1", "one", "/signed", "nonce-01"), Some(SECRET), Instant(SECOND), NOW);
    assert_eq!(reason(&verdict), Some(Reason::Unavailable));
}

#[test]
fn a_body_is_compared_before_it_goes_on() {
    let (mut gate, mut node) = (gate(&serde_json::json!({})), node());
    let digest = content_digest(b"hello");
    let post = Asked { body: true, digest: Some(&digest), ..asked("k1", "one", "/signed", "nonce-01") };
    let Verdict::Admit(permit) = ask(&mut gate, &mut node, &post, Some(SECRET), Instant(SECOND), NOW) else { panic!("denied") };
    assert_eq!(gate.check_body(&permit, b"hello", Instant(SECOND), &mut node), None);
    for wrong in [&b"hellO"[..], b"", b"hello "] {
        let denial = gate.check_body(&permit, wrong, Instant(SECOND), &mut node).unwrap();
        assert_eq!((denial.reason, denial.identity.is_some()), (Reason::WrongDigest, true));
    }
    let unsigned = Asked { body: true, ..asked("k1", "one", "/signed", "nonce-02") };
    let Verdict::Admit(permit) = ask(&mut gate, &mut node, &unsigned, Some(SECRET), Instant(SECOND), NOW) else { panic!("denied") };
    assert!(gate.check_body(&permit, b"x", Instant(SECOND), &mut node).is_some(), "what is not signed must not be there");
    assert_eq!(gate.check_body(&permit, b"", Instant(SECOND), &mut node), None);
}

#[test]
fn wrong_signatures_are_a_signal_of_abuse() {
    let abuse = serde_json::json!({"mode": "enforce", "threshold": 10});
    let (mut gate, mut node) = (gate(&serde_json::json!({"abuse": abuse})), node());
    let names: Vec<String> = (0..10).map(|number| format!("nonce-{number:02}")).collect();
    let last = names.iter().map(|nonce| {
        let asked = Asked { key: "k1", id: "one", path: "/signed", nonce, created: NOW, body: false, digest: None };
        reason(&ask(&mut gate, &mut node, &asked, Some("another secret of some length"), Instant(SECOND), NOW))
    });
    assert!(last.collect::<Vec<_>>().iter().all(|reason| *reason == Some(Reason::InvalidSignature)));
    let denial = ask(&mut gate, &mut node, &asked("unknown", "x", "/other", ""), None, Instant(SECOND), NOW);
    assert_eq!(reason(&denial), Some(Reason::Blocked), "the address, but for credentials that are known to be good");
}
