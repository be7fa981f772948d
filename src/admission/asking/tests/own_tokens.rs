//! Tokens that the backend issued itself: each is as good as the credential it came from, unless it is revoked.

use jwt_simple::prelude::{Claims, Duration, HS256Key, MACLike, UnixTimeStamp};
use serde_json::{Map, Value};
use tollgate_core::wire::Revoked;

use super::*;

const SECRET: &str = "a-secret-of-thirty-two-bytes-or-more";

/// What a policy has beside the usual, to take such tokens.
pub(super) fn document() -> Map<String, Value> {
    let issuer = json!({
        "issuer": "us", "audiences": ["api"], "keys": {"secrets": [{"secret": {"inline": SECRET}}]},
        "consumer": {"known_by": "credential"},
    });
    let route = |path: &str, require: Value| json!({"name": path.trim_start_matches('/'), "match": {"path": path}, "require": require});
    let routes = json!([
        route("/read", json!({"scopes": {"all": ["read"]}})),
        route("/claim", json!({"claims": {"all": [{"claim": "client_id", "values": ["acme-key"]}]}})),
    ]);
    let document = json!({"tokens": {"issuers": [issuer]}, "routes": routes});
    document.as_object().unwrap().clone()
}

fn token(credential: &str, jti: &str, sid: Option<&str>, scope: &str, more: &Value) -> String {
    let mut own = json!({"client_id": credential, "scope": scope});
    if let Some(sid) = sid {
        own["sid"] = json!(sid);
    }
    own.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut claims = Claims::with_custom_claims(own, Duration::from_hours(1))
        .with_issuer("us")
        .with_audience("api")
        .with_subject("acme")
        .with_jwt_id(jti);
    let far = Some(UnixTimeStamp::from_secs(4_000_000_000));
    (claims.issued_at, claims.invalid_before, claims.expires_at) = (None, None, far);
    HS256Key::from_bytes(SECRET.as_bytes()).authenticate(claims).unwrap()
}

fn usual(jti: &str) -> String {
    token("acme-key", jti, Some("family"), "read", &json!({}))
}

/// A world whose backend knows a key of acme's with a scope.
fn world(workers: u8) -> World {
    let mut world = World::new(workers, &json!({"own_tokens": true}));
    world.backend.issue("k", Known { scopes: vec!["read".to_owned()], ..known("acme", tier("many", 1_000)) });
    world
}

/// What a request gets that waits as long as it may.
fn in_the_end(world: &mut World, credential: &str) -> Got {
    match world.ask(0, credential) {
        Got::Waits => {
            let woken = world.pass(3 * SECOND);
            let [(_, _, got)] = woken.as_slice() else { panic!("{woken:?}") };
            got.clone()
        }
        got @ (Got::Admitted(_) | Got::Denied(_)) => got,
    }
}

fn refused() -> Got {
    Got::Denied(Reason::InvalidToken)
}

fn unavailable() -> Got {
    Got::Denied(Reason::Unavailable)
}

fn revoke(world: &mut World, id: &str) {
    let revoked = Revoked { id: id.to_owned(), ends_in_ms: 60_000 };
    world.backend.revoked.push(revoked.clone());
    world.backend.publish(Change { revoked: Some(revoked), ..Change::default() });
    world.pass(400 * MS);
}

#[test]
fn all_tokens_of_a_key_cost_one_question_a_worker() {
    let mut world = world(2);
    for jti in ["one", "two", "three"] {
        assert_eq!([world.settle(0, &usual(jti)), world.settle(1, &usual(jti))], [admitted("acme"), admitted("acme")]);
    }
    assert_eq!(world.backend.calls, 2);
}

#[test]
fn a_revoked_key_takes_its_tokens_along_on_every_worker() {
    let mut world = world(2);
    // Whichever comes first.
    for (worker, order) in [(0, [usual("one"), "k".to_owned()]), (1, ["k".to_owned(), usual("one")])] {
        for credential in &order {
            assert_eq!(world.settle(worker, credential), admitted("acme"));
        }
    }
    world.backend.revoke("k");
    world.pass(400 * MS);
    let calls = world.backend.calls;
    for worker in 0..2 {
        assert_eq!([world.ask(worker, &usual("one")), world.ask(worker, &usual("new"))], [refused(), refused()]);
        assert_eq!(world.ask(worker, "k"), Got::Denied(Reason::InvalidKey));
    }
    assert_eq!(world.backend.calls, calls, "and nobody asks about it again");
    assert_eq!(world.settle(0, &token("nobodys-key", "x", None, "read", &json!({}))), refused());
}

#[test]
fn a_revoked_token_and_a_revoked_family_are_refused_and_nothing_else_is() {
    let mut world = world(2);
    let other = token("acme-key", "other", Some("another"), "read", &json!({}));
    let single = token("acme-key", "single", None, "read", &json!({}));
    for own in [&usual("one"), &usual("two"), &other, &single] {
        assert_eq!([world.settle(0, own), world.settle(1, own)], [admitted("acme"), admitted("acme")]);
    }
    revoke(&mut world, "one");
    for worker in 0..2 {
        assert_eq!([world.ask(worker, &usual("one")), world.ask(worker, &usual("two"))], [refused(), admitted("acme")]);
    }
    revoke(&mut world, "family");
    for worker in 0..2 {
        assert_eq!([world.ask(worker, &usual("two")), world.ask(worker, &usual("three"))], [refused(), refused()]);
        assert_eq!(
            [world.ask(worker, &other), world.ask(worker, &single), world.settle(worker, "k")],
            [admitted("acme"), admitted("acme"), admitted("acme")]
        );
    }
    assert_eq!(world.count(Counter::TokenRevoked), 6);
}

#[test]
fn no_token_passes_before_all_revocations_are_known() {
    let mut world = World::at_start(1, &json!({"own_tokens": true}));
    world.backend.issue("k", known("acme", tier("many", 1_000)));
    world.backend.mute = true;
    world.backend.revoked = ["a", "b", "c", "d", "one"].map(|id| Revoked { id: id.to_owned(), ends_in_ms: 60_000 }).to_vec();
    world.pass(300 * MS);
    assert_eq!(world.settle(0, "k"), admitted("acme"), "keys need no such list");
    // Whoever waits has it as soon as it is there.
    assert_eq!(world.ask(0, &usual("two")), Got::Waits);
    assert_eq!(world.backend.calls, 1, "of what cannot be used yet nobody asks");
    world.backend.mute = false;
    let woken: Vec<Got> = world.pass(3 * SECOND).into_iter().map(|(_, _, got)| got).collect();
    assert_eq!(woken, [admitted("acme")]);
    assert_eq!([world.settle(0, &usual("two")), world.settle(0, &usual("one"))], [admitted("acme"), refused()], "on the third page");
}

#[test]
fn whoever_is_told_to_forget_reads_the_revocations_again() {
    let mut world = world(1);
    assert_eq!(world.settle(0, &usual("one")), admitted("acme"));
    // It is restored, and something else than before was revoked there.
    world.backend.revision = 3;
    world.backend.changes.clear();
    world.backend.mute = true;
    world.pass(600 * MS);
    assert_eq!(in_the_end(&mut world, &usual("one")), unavailable());
    world.backend.revoked.push(Revoked { id: "one".to_owned(), ends_in_ms: 60_000 });
    world.backend.mute = false;
    world.pass(3 * SECOND);
    assert_eq!([world.settle(0, &usual("one")), world.settle(0, &usual("two"))], [refused(), admitted("acme")]);
}

#[test]
fn without_the_feed_tokens_are_believed_for_max_staleness_and_no_longer() {
    let mut world = world(1);
    assert_eq!(world.settle(0, &usual("one")), admitted("acme"));
    // It lies about nothing and answers questions, but nothing is heard of changes.
    world.backend.silent = true;
    world.pass_without_polls(1_500 * MS);
    assert_eq!(world.settle(0, &usual("one")), admitted("acme"));
    world.pass_without_polls(3 * SECOND);
    assert_eq!(world.settle(0, "k"), admitted("acme"), "a key is answered for by the answer");
    assert_eq!(world.settle(0, &usual("one")), unavailable(), "what was revoked meanwhile nobody knows");
}

#[test]
fn a_revocation_is_forgotten_once_none_of_its_tokens_could_pass() {
    let mut world = world(1);
    world.settle(0, &usual("one"));
    revoke(&mut world, "one");
    assert_eq!(world.settle(0, &usual("one")), refused());
    world.backend.revoked.clear();
    world.pass(75 * SECOND);
    assert_eq!(world.settle(0, &usual("one")), admitted("acme"), "this one ends later than the backend says: not so with real ones");
}

#[test]
fn a_token_has_no_scope_that_its_key_has_not_and_none_that_it_has_not_itself() {
    let mut world = world(1);
    let at = |token: String, path: &str| format!("{token} {path}");
    let wide = token("acme-key", "wide", None, "read", &json!({}));
    let narrow = token("acme-key", "narrow", None, "", &json!({}));
    assert_eq!(world.settle(0, &at(wide.clone(), "/read")), admitted("acme"));
    assert_eq!(world.settle(0, &at(narrow.clone(), "/read")), Got::Denied(Reason::InsufficientScope));
    assert_eq!(world.settle(0, &at(narrow, "/claim")), admitted("acme"), "claims are the token's");
    assert_eq!(world.settle(0, "k /claim"), Got::Denied(Reason::InsufficientScope), "a key has none");
    // The scope is taken from the key.
    world.backend.issue("k", known("acme", tier("many", 1_000)));
    world.backend.publish(Change { credential: Some(CredentialChange { id: "acme-key".to_owned(), gone: false }), ..Change::default() });
    world.pass(400 * MS);
    assert_eq!(world.settle(0, &at(wide, "/read")), Got::Denied(Reason::InsufficientScope));
}

#[test]
fn what_cannot_be_revoked_or_names_somebody_else_is_refused() {
    let mut world = world(1);
    world.backend.issue("other", known("rival", tier("many", 1_000)));
    let none = json!(null);
    for (name, value) in [
        ("client_id", &none),
        ("client_id", &json!(7)),
        ("client_id", &json!("a b")),
        ("sid", &json!(7)),
        ("sid", &json!("")),
        ("jti", &json!("")),
    ] {
        let wrong = token("acme-key", "x", Some("s"), "read", &json!({name: value}));
        assert_eq!(world.settle(0, &wrong), refused(), "{name} {value}");
    }
    assert_eq!(world.settle(0, &token("rival-key", "x", None, "read", &json!({}))), refused(), "the key of another consumer");
    assert_eq!(world.settle(0, &usual("fine")), admitted("acme"));
}

#[test]
fn a_backend_that_answers_for_another_credential_is_not_believed() {
    let mut world = world(1);
    world.backend.instead =
        Some((200, wire::encode(&Resolved { revision: 10, known: Some(known("acme", tier("many", 5))), ..Resolved::default() }).unwrap()));
    let got = world.ask(0, &token("some-other", "x", None, "read", &json!({})));
    assert_eq!(got, Got::Waits);
    let woken = world.pass(3 * SECOND);
    assert!(woken.iter().all(|(_, _, got)| *got == unavailable()) && !woken.is_empty(), "{woken:?}");
}
