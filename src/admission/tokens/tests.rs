use jwt_simple::prelude::{Claims, Duration, Ed25519KeyPair, EdDSAKeyPairLike, HS256Key, MACLike, UnixTimeStamp};
use serde_json::{Value, json};
use tollgate_core::config;

use super::*;
use crate::admission::Verdict;
use crate::admission::tests::{FakeNode, node};
use crate::call::{Answer, Purpose};
use crate::head::tests::map;

const MS: u64 = 1_000_000;
/// Seconds since 1970.
const NOW: u64 = 1_800_000_000;
const SECRET: &str = "a-secret-of-thirty-two-bytes-or-more";

/// A worker, its node, and the time.
struct World {
    gate: Gate,
    node: FakeNode,
    now: Instant,
    wall: u64,
}

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Admitted { consumer: String, credential: String, tier: String },
    Denied(Reason),
    Waits,
}

impl World {
    /// With one issuer, whose document has these fields beside the usual ones.
    fn new(issuer: &Value, tokens: &Value, routes: &Value) -> Self {
        Self::with(issuer, tokens, routes, None)
    }

    /// With a backend, too.
    fn with(issuer: &Value, tokens: &Value, routes: &Value, backend: Option<Value>) -> Self {
        let mut document =
            json!({"issuer": "i", "audiences": ["a"], "keys": {"secrets": [{"secret": {"inline": SECRET}}]}, "tier": {"default": "free"}});
        document.as_object_mut().unwrap().extend(issuer.as_object().unwrap().clone());
        document.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let mut tokens = tokens.clone();
        tokens["issuers"] = json!([document]);
        let mut document = json!({
            "tokens": tokens, "routes": routes, "node": {"known_tokens": 16},
            "tiers": [{"name": "free", "limits": [{"name": "m", "algorithm": "sliding_window", "rate": 3, "per": "60s"}]}, {"name": "any"}],
            "consumers": [{"id": "acme", "tier": "any"}],
        });
        if let Some(backend) = backend {
            document["backend"] = backend;
        }
        let policy = config::load(document.to_string().as_bytes(), &|_: &str| None).unwrap();
        Self { gate: Gate::new(policy, "node-1", [7; 32]), node: node(), now: Instant(100 * SECOND), wall: NOW * SECOND }
    }

    /// With an issuer that publishes its keys, and four failures a minute.
    fn published() -> Self {
        let issuer = json!({"keys": {"remote": {"cluster": "c", "path": "/k"}}, "tier": {"default": "any"}});
        Self::new(&issuer, &json!({"failed_per_address": 4}), &json!([]))
    }

    /// Answers the fetches there are with these keys.
    fn publish(&mut self, pairs: &[&Ed25519KeyPair]) {
        let keys: Vec<Value> = pairs.iter().map(|pair| serde_json::from_str(&pair.public_key().to_jwk()).unwrap()).collect();
        let body = json!({"keys": keys}).to_string();
        for call in self.gate.take_calls() {
            if matches!(call.purpose, Purpose::KeySet { .. }) {
                self.gate.heard(call.purpose, Answer::Whole(200, body.as_bytes()), self.now, &mut self.node.shared);
            }
        }
    }

    fn tick(&mut self, nanos: u64) {
        self.now = self.now.after(nanos);
        self.gate.tick(self.now, &mut self.node.shared);
    }

    fn usual() -> Self {
        Self::new(&json!({}), &json!({}), &json!([]))
    }

    fn ask(&mut self, token: &str) -> Got {
        self.judge(token, "/", &mut Waited::default())
    }

    /// A request that has waited may have to wait again: for something else.
    fn judge(&mut self, token: &str, path: &str, waited: &mut Waited) -> Got {
        let authorization = format!("Bearer {token}");
        let map = map(&[
            (b":method", b"GET"),
            (b":authority", b"api"),
            (b":path", path.as_bytes()),
            (b"authorization", authorization.as_bytes()),
        ]);
        let head = self.gate.read(&map).unwrap();
        match self.gate.judge(&head, *waited, self.now, self.wall, &mut self.node) {
            Verdict::Admit(permit) => {
                let identity = permit.identity.unwrap();
                let tier = self.gate.tier_name(&identity).to_owned();
                Got::Admitted { consumer: identity.consumer.id.clone(), credential: identity.credential.clone(), tier }
            }
            Verdict::Deny(denial) => Got::Denied(denial.reason),
            Verdict::Wait(awaited, _) => {
                waited.add(&awaited);
                Got::Waits
            }
        }
    }

    fn count(&self, counter: Counter) -> u64 {
        self.gate.counters.get(counter)
    }
}

fn claims(subject: &str, id: &str) -> jwt_simple::prelude::JWTClaims<Value> {
    let own = json!({"scope": "read write", "org": {"id": 7}});
    let mut claims =
        Claims::with_custom_claims(own, Duration::from_hours(1)).with_issuer("i").with_audience("a").with_subject(subject).with_jwt_id(id);
    let at = |seconds| Some(UnixTimeStamp::from_secs(seconds));
    (claims.issued_at, claims.invalid_before, claims.expires_at) = (at(NOW), at(NOW), at(NOW + 3_600));
    claims
}

/// A token of the usual issuer.
fn token(subject: &str, id: &str) -> String {
    HS256Key::from_bytes(SECRET.as_bytes()).authenticate(claims(subject, id)).unwrap()
}

fn admitted(consumer: &str, credential: &str, tier: &str) -> Got {
    Got::Admitted { consumer: consumer.to_owned(), credential: credential.to_owned(), tier: tier.to_owned() }
}

#[test]
fn a_token_is_verified_once_and_then_remembered() {
    let mut world = World::usual();
    for _ in 0..3 {
        assert_eq!(world.ask(&token("u", "t")), admitted("u", "t", "free"));
        world.now = world.now.after(61 * SECOND);
    }
    let one = token("v", "t2");
    (0..3).for_each(|_| assert_eq!(world.ask(&one), admitted("v", "t2", "free")));
    assert_eq!(world.ask(&one), Got::Denied(Reason::RateLimited), "tokens meet limits as keys do");
    assert!(world.count(Counter::TokenHit) >= 3 && world.count(Counter::TokenVerified) >= 2);
    assert_eq!(world.count(Counter::KnownHit) + world.count(Counter::KeyMiss), 0, "it was never taken for a key");
}

#[test]
fn a_remembered_token_ends_when_it_ends() {
    let mut world = World::usual();
    let token = token("u", "t");
    assert_eq!(world.ask(&token), admitted("u", "t", "free"));
    world.wall += 3_629 * SECOND;
    assert_eq!(world.ask(&token), admitted("u", "t", "free"), "within the leeway");
    world.wall += 2 * SECOND;
    assert_eq!(world.ask(&token), Got::Denied(Reason::ExpiredToken));
    world.wall -= 7_200 * SECOND;
    assert_eq!(world.ask(&token), Got::Denied(Reason::TokenNotYetValid), "the clock was put back");
    world.wall = 5 * SECOND;
    assert_eq!(world.ask(&token), Got::Denied(Reason::Unavailable), "there is no clock");
}

#[test]
fn consumers_of_two_namespaces_share_no_limit() {
    let mut world = World::usual();
    for id in ["t1", "t2", "t3"] {
        assert_eq!(world.ask(&token("u", id)), admitted("u", id, "free"));
    }
    assert_eq!(world.ask(&token("u", "t4")), Got::Denied(Reason::RateLimited), "all tokens of a consumer share its limits");
    assert_eq!(world.ask(&token("w", "t5")), admitted("w", "t5", "free"));
}

#[test]
fn the_configuration_may_know_the_consumer() {
    let mut world = World::new(&json!({"consumer": {"known_by": "configuration"}, "tier": null}), &json!({}), &json!([]));
    assert_eq!(world.ask(&token("acme", "t")), admitted("acme", "t", "any"));
    assert_eq!(world.ask(&token("other", "t2")), Got::Denied(Reason::UnknownConsumer));
    assert_eq!(world.ask(&token("other", "t2")), Got::Denied(Reason::UnknownConsumer));
    assert_eq!(world.count(Counter::TokenRefusedHit), 1);
}

#[test]
fn a_route_requires_scopes_and_claims_of_a_token_new_or_known() {
    let routes = json!([
        {"name": "w", "match": {"path": "/w"}, "require": {"scopes": {"all": ["read", "write"]}, "claims": {"any": [{"claim": "/org/id", "values": ["7"]}]}}},
        {"name": "x", "match": {"path": "/x"}, "require": {"scopes": {"any": ["admin"]}}},
    ]);
    let mut world = World::new(&json!({"tier": {"default": "any"}}), &json!({}), &routes);
    let token = token("u", "t");
    for _ in 0..2 {
        assert_eq!(world.judge(&token, "/w", &mut Waited::default()), admitted("u", "t", "any"));
        assert_eq!(world.judge(&token, "/x", &mut Waited::default()), Got::Denied(Reason::InsufficientScope));
    }
}

#[test]
fn tokens_that_fail_are_bounded_by_address_and_good_ones_cost_nothing() {
    let mut world = World::new(&json!({"tier": {"default": "any"}}), &json!({"failed_per_address": 4}), &json!([]));
    let known = token("u", "known");
    assert_eq!(world.ask(&known), admitted("u", "known", "any"));
    for number in 0..20 {
        let id = format!("t{number}");
        assert_eq!(world.ask(&token("u", &id)), admitted("u", &id, "any"));
    }
    let forged =
        |number: usize| HS256Key::from_bytes(b"another-secret-of-thirty-two-bytes").authenticate(claims("u", &number.to_string())).unwrap();
    let again = forged(0);
    (0..10).for_each(|_| assert_eq!(world.ask(&again), Got::Denied(Reason::InvalidToken), "one check, then it is remembered"));
    let got: Vec<Got> = (1..6).map(|number| world.ask(&forged(number))).collect();
    assert_eq!(got[..3], [(); 3].map(|()| Got::Denied(Reason::InvalidToken)));
    assert_eq!(got[3..], [Got::Denied(Reason::TooManyFailedTokens), Got::Denied(Reason::TooManyFailedTokens)]);
    assert_eq!(world.ask(&token("u", "t19")), admitted("u", "t19", "any"), "what was verified before is not checked again");
    world.node.address = Some("198.51.100.1".parse().unwrap());
    assert_eq!(world.ask(&token("u", "new")), admitted("u", "new", "any"), "another address");
}

#[test]
fn what_is_refused_before_any_check_costs_its_address_nothing() {
    let mut world = World::new(&json!({"tier": {"default": "any"}}), &json!({"failed_per_address": 4}), &json!([]));
    for wrong in ["e.e.e", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJpIn0.", "eyJ.a.b.c.d", "e..", "eyJhbGciOiJIUzI1NiJ9.e30.AA"] {
        assert_eq!(world.ask(wrong), Got::Denied(Reason::InvalidToken), "{wrong}");
    }
    assert_eq!(world.count(Counter::TokenMalformed), 5);
    assert_eq!(world.ask(&format!("e.{}.e", "x".repeat(9_000))), Got::Denied(Reason::InvalidToken), "too long to be read");
    assert_eq!(world.ask(&token("u", "t")), admitted("u", "t", "any"));
}

#[test]
fn without_issuers_a_token_is_a_key_that_nobody_knows() {
    let policy = config::load(b"{}", &|_: &str| None).unwrap();
    let mut world = World { gate: Gate::new(policy, "node-1", [7; 32]), ..World::usual() };
    assert_eq!(world.ask(&token("u", "t")), Got::Denied(Reason::InvalidKey));
}

#[test]
fn a_worker_that_has_not_heard_of_new_keys_takes_them_when_a_token_needs_them() {
    let remote = json!({"remote": {"cluster": "c", "path": "/k"}});
    let settings = json!({"keys": remote, "tier": {"default": "any"}});
    let mut world = World::new(&settings, &json!({}), &json!([]));
    let pair = Ed25519KeyPair::generate().with_key_id("1");
    let token = |id: &str| pair.sign(claims("u", id)).unwrap();
    assert_eq!(world.ask(&token("t")), Got::Waits);
    world.publish(&[&pair]);
    // Another worker of the node, which has not ticked yet.
    world.gate = World::new(&settings, &json!({}), &json!([])).gate;
    assert_eq!(world.ask(&token("t2")), admitted("u", "t2", "any"));
}

#[test]
fn a_published_key_that_goes_takes_its_tokens_along() {
    let remote = json!({"remote": {"cluster": "c", "path": "/k", "refresh": "10s", "pause": "100ms"}});
    let mut world = World::new(&json!({"keys": remote, "tier": {"default": "any"}}), &json!({}), &json!([]));
    let pairs = [Ed25519KeyPair::generate().with_key_id("1"), Ed25519KeyPair::generate().with_key_id("2")];
    let tokens: Vec<String> = pairs.iter().map(|pair| pair.sign(claims("u", pair.key_id().as_deref().unwrap())).unwrap()).collect();
    let [first, second] = &pairs;
    let mut waited = Waited::default();
    assert_eq!(world.judge(&tokens[0], "/", &mut waited), Got::Waits, "no key is known yet");
    world.publish(&[first]);
    assert_eq!(world.judge(&tokens[0], "/", &mut waited), admitted("u", "1", "any"));
    world.tick(SECOND);
    let mut waited = Waited::default();
    assert_eq!(world.judge(&tokens[1], "/", &mut waited), Got::Waits, "its key may just have been published");
    world.publish(&[first, second]);
    assert_eq!(world.judge(&tokens[1], "/", &mut waited), admitted("u", "2", "any"));
    assert_eq!(world.ask(&tokens[0]), admitted("u", "1", "any"));
    world.tick(11 * SECOND);
    world.publish(&[second]);
    assert_eq!(world.ask(&tokens[1]), admitted("u", "2", "any"));
    let mut waited = Waited::default();
    assert_eq!(world.judge(&tokens[0], "/", &mut waited), Got::Waits, "its key is gone: perhaps there is a newer set");
    world.publish(&[second]);
    assert_eq!(world.judge(&tokens[0], "/", &mut waited), Got::Denied(Reason::InvalidToken));
    assert_eq!(world.ask(&tokens[0]), Got::Denied(Reason::InvalidToken), "that is remembered");
    assert_eq!(world.count(Counter::TokenRefusedHit), 1);
}

#[test]
fn whoever_asks_for_a_key_too_early_does_not_spoil_it_for_others() {
    let mut world = World::published();
    let [old, new] = ["1", "2"].map(|id| Ed25519KeyPair::generate().with_key_id(id));
    let mut waited = Waited::default();
    assert_eq!(world.judge(&old.sign(claims("u", "t")).unwrap(), "/", &mut waited), Got::Waits);
    world.publish(&[&old]);
    world.tick(2 * SECOND);
    let (mut waited, forged) = (Waited::default(), Ed25519KeyPair::generate().with_key_id("2").sign(claims("u", "f")).unwrap());
    assert_eq!(world.judge(&forged, "/", &mut waited), Got::Waits);
    world.publish(&[&old]);
    assert_eq!(world.judge(&forged, "/", &mut waited), Got::Denied(Reason::InvalidToken));
    // Now it is published.
    world.tick(MS);
    let (mut waited, token) = (Waited::default(), new.sign(claims("u", "t2")).unwrap());
    assert_eq!(world.judge(&token, "/", &mut waited), Got::Waits);
    world.tick(SECOND);
    world.publish(&[&old, &new]);
    assert_eq!(world.judge(&token, "/", &mut waited), admitted("u", "t2", "any"));
}

#[test]
fn checks_that_fail_for_want_of_other_keys_are_paid_for_and_given_back_to_who_was_right() {
    let mut world = World::published();
    let [old, new] = [(); 2].map(|()| Ed25519KeyPair::generate());
    let mut waited = Waited::default();
    assert_eq!(world.judge(&old.sign(claims("u", "t")).unwrap(), "/", &mut waited), Got::Waits);
    world.publish(&[&old]);
    let forged = |number: usize| Ed25519KeyPair::generate().sign(claims("u", &number.to_string())).unwrap();
    let got: Vec<Got> = (0..6).map(|number| world.ask(&forged(number))).collect();
    assert_eq!(got[..4], [(); 4].map(|()| Got::Waits), "they wait for the next fetch");
    assert_eq!(got[4..], [(); 2].map(|()| Got::Denied(Reason::TooManyFailedTokens)));
    // A minute later, with one failure left.
    world.tick(61 * SECOND);
    world.publish(&[&old]);
    (6..9).for_each(|number| assert_eq!(world.ask(&forged(number)), Got::Waits));
    for number in 0..20 {
        let pair = if number % 2 == 0 { &new } else { &old };
        let (mut waited, id) = (Waited::default(), format!("good-{number}"));
        let token = pair.sign(claims("u", &id)).unwrap();
        if world.judge(&token, "/", &mut waited) == Got::Waits {
            world.tick(1_100 * MS);
            world.publish(&[pair]);
            assert_eq!(world.judge(&token, "/", &mut waited), admitted("u", &id, "any"), "{number}");
        }
    }
}

#[test]
fn a_token_without_key_id_pays_for_each_key_it_is_tried_with() {
    let keys: Vec<Value> = (0..3).map(|_| serde_json::from_str(&Ed25519KeyPair::generate().public_key().to_jwk()).unwrap()).collect();
    let settings = json!({"keys": {"jwks": {"keys": keys}}, "tier": {"default": "any"}});
    let mut world = World::new(&settings, &json!({"failed_per_address": 6}), &json!([]));
    let forged = |number: usize| Ed25519KeyPair::generate().sign(claims("u", &number.to_string())).unwrap();
    let got: Vec<Got> = (0..3).map(|number| world.ask(&forged(number))).collect();
    assert_eq!(got, [Got::Denied(Reason::InvalidToken), Got::Denied(Reason::InvalidToken), Got::Denied(Reason::TooManyFailedTokens)]);
}

#[test]
fn a_request_that_waited_for_any_keys_may_go_on_to_wait_for_its_own() {
    let mut world = World::published();
    let [old, new] = ["1", "2"].map(|id| Ed25519KeyPair::generate().with_key_id(id));
    let (token, mut waited) = (new.sign(claims("u", "t")).unwrap(), Waited::default());
    world.tick(MS);
    world.now = world.now.after(MS);
    assert_eq!(world.judge(&token, "/", &mut waited), Got::Waits);
    world.now = world.now.after(300 * MS);
    // This was asked for before the token came, and its key not yet published.
    world.publish(&[&old]);
    assert_eq!(world.judge(&token, "/", &mut waited), Got::Waits);
    world.tick(1_000 * MS);
    world.publish(&[&old, &new]);
    assert_eq!(world.judge(&token, "/", &mut waited), admitted("u", "t", "any"));
}

#[test]
fn a_request_that_goes_on_to_wait_for_keys_waits_no_longer_in_all_than_the_timeout() {
    let mut world = World::published();
    let [old, new] = ["1", "2"].map(|id| Ed25519KeyPair::generate().with_key_id(id));
    let (token, mut waited, came) = (new.sign(claims("u", "t")).unwrap(), Waited::default(), world.now.after(MS));
    world.tick(0);
    for (after, got) in [(0, Got::Waits), (300 * MS, Got::Waits), (1_999 * MS, Got::Waits), (2_000 * MS, Got::Denied(Reason::Unavailable))]
    {
        world.now = came.after(after);
        assert_eq!(world.judge(&token, "/", &mut waited), got, "after {after}");
        // The first fetch began before the token came; no other is answered.
        if after == 0 {
            world.publish(&[&old]);
        }
    }
}

#[test]
fn a_request_may_wait_for_keys_and_then_for_its_consumer() {
    let issuer = json!({"keys": {"remote": {"cluster": "c", "path": "/k"}}, "consumer": {"known_by": "backend"}, "tier": null});
    let mut world =
        World::with(&issuer, &json!({}), &json!([]), Some(json!({"cluster": "b", "credential": {"inline": "node-credential-1"}})));
    let pair = Ed25519KeyPair::generate().with_key_id("1");
    let (token, mut waited) = (pair.sign(claims("u", "t")).unwrap(), Waited::default());
    assert_eq!(world.judge(&token, "/", &mut waited), Got::Waits);
    world.publish(&[&pair]);
    assert_eq!(world.judge(&token, "/", &mut waited), Got::Waits, "now for the backend");
    assert!(waited.for_backend);
    assert_eq!(world.judge(&token, "/", &mut waited), Got::Denied(Reason::Unavailable), "for that it waits once");
}

#[test]
fn a_token_that_is_not_valid_yet_is_refused_no_longer_than_that() {
    let mut world = World::new(&json!({"leeway": "1s", "tier": {"default": "any"}}), &json!({}), &json!([]));
    let mut claims = claims("u", "t");
    claims.invalid_before = Some(UnixTimeStamp::from_secs(NOW + 3));
    let token = HS256Key::from_bytes(SECRET.as_bytes()).authenticate(claims).unwrap();
    for _ in 0..2 {
        assert_eq!(world.ask(&token), Got::Denied(Reason::TokenNotYetValid));
    }
    assert_eq!((world.count(Counter::TokenVerified), world.count(Counter::TokenUnaccepted)), (1, 1));
    (world.now, world.wall) = (world.now.after(2 * SECOND), world.wall + 2 * SECOND);
    assert_eq!(world.ask(&token), admitted("u", "t", "any"));
}
