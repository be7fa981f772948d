use serde_json::{Value, json};
use tollgate_core::config;
use tollgate_core::credential::{KeyHash, digest};

use super::*;
use crate::admission::Verdict;
use crate::admission::tests::{FakeNode, node};
use crate::call::Call;
use crate::head::tests::map;

/// Seconds since 1970.
const NOW: u64 = 1_800_000_000;
const TOKEN: &str = "an-opaque+token/of=some~length";

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
    Admitted { consumer: String, credential: String },
    Denied(Reason),
    Waits,
}

fn admitted(consumer: &str, credential: &str) -> Got {
    Got::Admitted { consumer: consumer.to_owned(), credential: credential.to_owned() }
}

impl World {
    /// With an issuer that is asked, whose document has these fields beside the usual ones.
    fn new(issuer: &Value) -> Self {
        let asked = json!({"cluster": "c", "path": "/introspect", "client_id": "me&you", "client_secret": {"inline": "a secret: 1234567"}, "cache": "30s"});
        let mut document = json!({"issuer": "i", "audiences": ["a"], "keys": {"introspection": asked}, "tier": {"default": "free"}, "consumer": {"prefix": "i:"}});
        document.as_object_mut().unwrap().extend(issuer.as_object().unwrap().clone());
        document.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let document = json!({
            "tokens": {"issuers": [document], "failed_per_address": 4},
            "node": {"known_tokens": 16},
            "tiers": [{"name": "free"}],
            "consumers": [{"id": "acme", "tier": "free", "keys": [{"id": "k", "hash": KeyHash::of(&digest(b"a-key-of-acme"), None).to_string()}]}],
            "routes": [{"name": "read", "match": {"path": "/read"}, "require": {"scopes": {"all": ["read"]}}}],
        });
        let policy = config::load(document.to_string().as_bytes(), &|_: &str| None).unwrap();
        Self { gate: Gate::new(policy, "node-1", [7; 32]), node: node(), now: Instant(100 * SECOND), wall: NOW * SECOND }
    }

    fn usual() -> Self {
        Self::new(&json!({}))
    }

    fn judge(&mut self, token: &str, path: &str, waited: &mut Waited) -> Got {
        let authorization = format!("Bearer {token}");
        let pairs = [(":method", "GET"), (":authority", "api"), (":path", path), ("authorization", authorization.as_str())];
        let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let map = map(&pairs);
        let head = self.gate.read(&map).unwrap();
        match self.gate.judge(&head, *waited, self.now, self.wall, &mut self.node) {
            Verdict::Admit(permit) => {
                let identity = permit.identity.unwrap();
                Got::Admitted { consumer: identity.consumer.id.clone(), credential: identity.credential.clone() }
            }
            Verdict::Deny(denial) => Got::Denied(denial.reason),
            Verdict::Wait(awaited, _) => {
                assert!(self.gate.wait(&awaited, 7));
                waited.add(&awaited);
                Got::Waits
            }
        }
    }

    fn ask(&mut self, token: &str) -> Got {
        self.judge(token, "/", &mut Waited::default())
    }

    fn calls(&mut self) -> Vec<Call> {
        self.gate.take_calls()
    }

    /// A request for a token that must be asked about, which is answered so.
    fn told(&mut self, path: &str, token: &str, answer: Answer<'_>) -> Got {
        let mut waited = Waited::default();
        assert_eq!(self.judge(token, path, &mut waited), Got::Waits);
        let [call] = self.calls().try_into().unwrap();
        let outcomes = self.gate.heard(call.purpose, answer, self.now, &mut self.node.shared);
        assert_eq!(outcomes.woken, [7]);
        self.judge(token, path, &mut waited)
    }

    fn said(&mut self, token: &str, claims: &Value) -> Got {
        let body = claims.to_string();
        self.told("/", token, Answer::Whole(200, body.as_bytes()))
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.after(seconds * SECOND);
        self.wall += seconds * SECOND;
    }
}

fn good() -> Value {
    json!({"active": true, "sub": "ada", "aud": "a", "iss": "i", "exp": NOW + 600, "token_type": "Bearer", "scope": "read write", "jti": "t-1"})
}

fn with(field: &str, value: Value) -> Value {
    let mut claims = good();
    claims[field] = value;
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

#[test]
fn an_issuer_is_asked_once_and_its_word_is_believed_for_a_while() {
    let mut world = World::usual();
    let mut waited = Waited::default();
    assert_eq!(world.judge(TOKEN, "/read", &mut waited), Got::Waits);
    assert_eq!(world.ask(TOKEN), Got::Waits);
    let [call] = world.calls().try_into().unwrap();
    assert_eq!((call.method, call.path.as_str()), ("POST", "/introspect"));
    assert_eq!(call.body, b"token=an-opaque%2Btoken%2Fof%3Dsome%7Elength&token_type_hint=access_token");
    // `me%26you:a%20secret%3A%201234567`
    assert_eq!(call.authorization, "Basic bWUlMjZ5b3U6YSUyMHNlY3JldCUzQSUyMDEyMzQ1Njc=");
    assert!(!format!("{call:?}").contains("opaque%2B"), "{call:?}");
    assert_eq!(world.gate.destination(call.purpose), Some(("c", "c")));
    let outcomes = world.gate.heard(call.purpose, Answer::Whole(200, good().to_string().as_bytes()), world.now, &mut world.node.shared);
    assert_eq!((outcomes.woken.len(), outcomes.error), (2, None));
    assert_eq!(world.judge(TOKEN, "/read", &mut waited), admitted("i:ada", "t-1"));
    world.pass(29);
    assert_eq!(world.ask(TOKEN), admitted("i:ada", "t-1"));
    assert!(world.calls().is_empty());
    world.pass(1);
    assert_eq!(world.ask(TOKEN), Got::Waits, "it is asked about again");
}

#[test]
fn what_an_issuer_says_is_judged_as_claims_are() {
    let cases = [
        (json!({"active": false}), Got::Denied(Reason::InvalidToken)),
        (with("aud", json!("b")), Got::Denied(Reason::WrongAudience)),
        (with("aud", Value::Null), Got::Denied(Reason::WrongAudience)),
        (with("iss", json!("other")), Got::Denied(Reason::InvalidToken)),
        (with("sub", Value::Null), Got::Denied(Reason::InvalidToken)),
        (with("sub", json!("a\"b")), Got::Denied(Reason::InvalidToken)),
        (with("token_type", json!("refresh_token")), Got::Denied(Reason::InvalidToken)),
        (with("token_type", json!("DPoP")), Got::Denied(Reason::InvalidToken)),
        (with("exp", json!(NOW - 31)), Got::Denied(Reason::ExpiredToken)),
        (with("exp", json!("soon")), Got::Denied(Reason::InvalidToken)),
        (with("nbf", json!(NOW + 31)), Got::Denied(Reason::TokenNotYetValid)),
        (with("exp", Value::Null), admitted("i:ada", "t-1")),
        (with("iss", Value::Null), admitted("i:ada", "t-1")),
        (with("token_type", Value::Null), admitted("i:ada", "t-1")),
    ];
    for (claims, expected) in cases {
        assert_eq!(World::usual().said(TOKEN, &claims), expected, "{claims}");
    }
    let mut world = World::usual();
    let claims = with("scope", json!("write")).to_string();
    assert_eq!(world.told("/read", TOKEN, Answer::Whole(200, claims.as_bytes())), Got::Denied(Reason::InsufficientScope));
    let known = json!({"consumer": {"known_by": "configuration"}, "tier": null});
    assert_eq!(World::new(&known).said(TOKEN, &with("sub", json!("acme"))), admitted("acme", "t-1"));
    assert_eq!(World::new(&known).said(TOKEN, &with("sub", json!("nobody"))), Got::Denied(Reason::UnknownConsumer));
    let unnamed = World::usual().said(TOKEN, &with("jti", Value::Null));
    let Got::Admitted { credential, .. } = &unnamed else { panic!("{unnamed:?}") };
    assert_eq!((credential.len(), &unnamed), (24, &World::usual().said(TOKEN, &with("jti", Value::Null))), "the same on each worker");
}

#[test]
fn what_is_no_answer_lets_nothing_pass_and_is_not_remembered() {
    let huge = format!("{{\"active\":true,\"sub\":\"ada\",\"aud\":\"a\",\"x\":\"{}\"}}", "x".repeat(70_000));
    let twice = r#"{"active":false,"active":true,"sub":"ada","aud":"a"}"#;
    let bodies = ["", "{}", "[]", "true", "null", "<html>", r#"{"active":"true","sub":"ada","aud":"a"}"#, r#"{"active":1}"#, twice, &huge];
    let odd = bodies.iter().map(|body| Answer::Whole(200, body.as_bytes()));
    let failed =
        [Answer::Broken, Answer::Whole(500, b"{\"active\":true}"), Answer::Whole(503, b""), Answer::Whole(401, b"{\"active\":true}")];
    let mut world = World::usual();
    // None of it is charged to the client.
    for answer in odd.chain(failed) {
        assert_eq!(world.told("/", TOKEN, answer), Got::Denied(Reason::Unavailable), "{answer:?}");
    }
    assert_eq!(world.said(TOKEN, &good()), admitted("i:ada", "t-1"));
    world.pass(31);
    assert_eq!(world.told("/", TOKEN, Answer::Broken), Got::Denied(Reason::Unavailable), "nor is what was said before");
}

#[test]
fn a_token_ends_when_its_issuer_said_it_would() {
    let mut world = World::usual();
    // With the leeway of 30 s.
    assert_eq!(world.said(TOKEN, &with("exp", json!(NOW - 20))), admitted("i:ada", "t-1"));
    world.pass(9);
    assert_eq!(world.ask(TOKEN), admitted("i:ada", "t-1"));
    world.pass(1);
    assert_eq!(world.ask(TOKEN), Got::Denied(Reason::ExpiredToken));
    // A clock that is set back does not make the word of the issuer newer.
    world.wall -= 3_600 * SECOND;
    world.pass(20);
    assert_eq!(world.ask(TOKEN), Got::Waits);
}

#[test]
fn guesses_are_paid_for_and_an_issuer_is_not_asked_without_end() {
    let mut world = World::usual();
    for number in 0..4 {
        assert_eq!(world.said(&format!("a-guess-of-some-length-{number}"), &json!({"active": false})), Got::Denied(Reason::InvalidToken));
    }
    assert_eq!(world.ask("a-guess-of-some-length-0"), Got::Denied(Reason::InvalidToken), "it is remembered");
    assert_eq!(world.ask("a-guess-of-some-length-9"), Got::Denied(Reason::TooManyFailedTokens));
    assert!(world.calls().is_empty());
    world.pass(11);
    assert_eq!(
        world.ask("a-guess-of-some-length-0"),
        Got::Denied(Reason::TooManyFailedTokens),
        "it is forgotten, and the address has no more"
    );
}

#[test]
fn only_what_is_no_key_and_no_jwt_is_asked_about() {
    let mut world = World::usual();
    assert_eq!(world.ask("a-key-of-acme"), admitted("acme", "k"));
    let own = "foil_f3rvHOhRpHDD569KuBIC7uB98AYhopsL6R7otm9sS65K06wVHzUF0OY6q";
    assert_eq!(world.ask(own), Got::Denied(Reason::InvalidKey));
    assert_eq!(world.ask("eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJpIn0.c2lnbmF0dXJl"), Got::Denied(Reason::InvalidToken));
    assert!(world.calls().is_empty());
}

#[test]
fn no_more_than_so_many_tokens_are_asked_about_at_once() {
    let mut world = World::usual();
    let mut addresses = 0_u8;
    let mut waiting = 0;
    for number in 0..80 {
        // Each address may ask about four.
        world.node.address = Some([10, 0, 0, number / 4].into());
        addresses = addresses.max(number / 4);
        match world.ask(&format!("a-token-of-some-length-{number}")) {
            Got::Waits => waiting += 1,
            other @ (Got::Admitted { .. } | Got::Denied(_)) => assert_eq!(other, Got::Denied(Reason::Unavailable)),
        }
    }
    assert_eq!((waiting, world.calls().len(), addresses), (64, 64, 19));
}
