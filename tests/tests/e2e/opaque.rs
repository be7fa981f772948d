//! Opaque tokens, whose issuer is asked about each: a real provider, and one that lies.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_tests::plugin::{self, ACME};
use tollgate_tests::{Answer, Call, EveryWorker, Http, OpenIdProvider, Published, Publisher, Setup, Upstream, run, until};

const LIMIT: Duration = Duration::from_secs(20);
const SECRET: &str = "a secret & more: 100%, of a gate";

fn plugin(issuer: &str, path: &str, more: &Value) -> Value {
    let mut asked = json!({
        "cluster": "issuer", "path": path, "client_id": "gate", "client_secret": {"env": "GATE_SECRET"}, "cache": "1s", "cache_refused": "1s",
        "timeout": "500ms",
    });
    asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let issuer = json!({
        "issuer": issuer, "audiences": [], "keys": {"introspection": asked}, "consumer": {"claim": "client_id"}, "tier": {"default": "enterprise"},
    });
    json!({
        "tokens": {"issuers": [issuer], "failed_per_address": 1_000_000},
        "consumers": [{"id": "acme", "tier": "enterprise", "keys": [{"id": "acme-key", "hash": plugin::hash(ACME)}]}],
        "routes": [{"name": "read", "match": {"prefix": "/read"}, "require": {"scopes": {"all": ["read"]}}}],
    })
}

#[test]
fn a_provider_s_tokens_pass_for_as_long_as_it_says_so() {
    run(async {
        let provider = OpenIdProvider::start(&[]);
        let plugin = plugin(&provider.issuer(), "/token/introspection", &json!({}));
        let gate = Setup::new("opaque", &plugin).secret("GATE_SECRET", SECRET).issuer_at(provider.address()).start().await;
        let token = async |scope: &str| {
            let form = format!("grant_type=client_credentials{scope}");
            let made = provider.form("/token", &form, "machine", "a secret of a machine").await;
            made.json()["access_token"].as_str().unwrap_or_else(|| panic!("{made:?}")).to_owned()
        };
        let (plain, reader) = (token("").await, token("&scope=read").await);
        assert!(!plain.contains('.'), "a JWT: {plain}");
        for http in Http::BOTH {
            let answer = Call::new("POST", "/a").bearer(&plain).body("a body").send(&gate, http).await;
            assert_eq!(
                (answer.upstream_saw("x-consumer-id"), answer.json()["body"].as_str()),
                (vec!["machine".to_owned()], Some("a body"))
            );
            assert!(answer.upstream_saw("authorization").is_empty());
            Call::get("/read").bearer(&reader).send(&gate, http).await.assert_admitted();
            Call::get("/read").bearer(&plain).send(&gate, http).await.assert_denied(403, "insufficient_scope");
            Call::get("/a").bearer("a-token-that-nobody-has-issued").send(&gate, http).await.assert_denied(401, "invalid_token");
            Call::get("/a").bearer(ACME).send(&gate, http).await.assert_admitted();
        }
        let revoked = provider.form("/token/revocation", &format!("token={plain}"), "machine", "a secret of a machine").await;
        assert_eq!(revoked.status, 200, "{revoked:?}");
        let ended = |answer: &Answer| answer.code() == "invalid_token";
        EveryWorker::of(&gate).await.until("the token to have ended", &Call::get("/a").bearer(&plain), ended).await;
        Call::get("/a").bearer(&reader).send(&gate, Http::One).await.assert_admitted();
        drop(provider);
        let known = Call::get("/a").bearer(&reader);
        until("nobody to be believed", LIMIT, async || (known.clone().send(&gate, Http::One).await.code() == "unavailable").then_some(()))
            .await;
        gate.assert_untrapped().await;
        let log = gate.log();
        assert!(!log.contains(&plain) && !log.contains(&reader) && !log.contains(SECRET), "{log}");
    });
}

#[test]
fn whatever_is_no_answer_lets_nothing_pass() {
    run(async {
        let publisher = Publisher::start();
        let plugin = plugin("i", "/introspect", &json!({"cache": "1h"}));
        let gate = Setup::new("opaque-lies", &plugin).secret("GATE_SECRET", SECRET).issuer(&publisher).start().await;
        let good = json!({"active": true, "client_id": "machine", "iss": "i"});
        let text = good.to_string();
        let padded = |length: usize| format!("{{\"active\":true,\"client_id\":\"machine\",\"x\":\"{}\"}}", "x".repeat(length)).into_bytes();
        let lies: Vec<(&str, Published)> = vec![
            ("empty", Published::Body(Vec::new())),
            ("page", Published::Body(b"<html>active</html>".to_vec())),
            ("list", json!([good]).into()),
            ("text", json!({"active": "true", "client_id": "machine"}).into()),
            ("number", json!({"active": 1, "client_id": "machine"}).into()),
            ("nothing", json!({"client_id": "machine"}).into()),
            ("twice", Published::Body(b"{\"active\":false,\"active\":true,\"client_id\":\"machine\"}".to_vec())),
            ("more", Published::Body(format!("{text}{text}").into_bytes())),
            ("deep", Published::Body(format!("{{\"active\":true,\"client_id\":\"m\",\"x\":{}", "[".repeat(10_000)).into_bytes())),
            ("large", Published::Body(padded(70_000))),
            ("huge", Published::Body(padded(4_000_000))),
            ("created", Published::Status(201, text.clone().into_bytes())),
            ("unauthorized", Published::Status(401, text.clone().into_bytes())),
            ("broken", Published::Status(500, text.clone().into_bytes())),
            ("silence", Published::Never),
            ("late", Published::After(Duration::from_secs(2), text.clone().into_bytes())),
        ];
        for (number, (name, lie)) in lies.into_iter().enumerate() {
            publisher.publish("/introspect", lie);
            let path = format!("/lies/{name}");
            let token = format!("an-opaque-token-{name}");
            let answer = Call::new("POST", &path).bearer(&token).body("a body").send(&gate, Http::BOTH[number % 2]).await;
            answer.assert_denied(503, "unavailable");
            assert!(Upstream::shared().seen(&path).is_empty(), "{path} reached the upstream");
        }
        for (name, wrong) in
            [("issuer", json!({"iss": "j"})), ("consumer", json!({"client_id": ""})), ("kind", json!({"token_type": "mac"}))]
        {
            let mut claims = good.clone();
            claims.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
            publisher.publish("/introspect", claims);
            let token = format!("an-opaque-token-of-another-{name}");
            Call::get("/a").bearer(&token).send(&gate, Http::One).await.assert_denied(401, "invalid_token");
        }
        // Of all that ask at once each worker asks once.
        publisher.publish("/introspect", Published::After(Duration::from_millis(100), text.into_bytes()));
        let before = publisher.fetches("/introspect");
        let mut sent = Vec::new();
        for number in 0..20 {
            let (mut connection, call) = (
                tollgate_tests::Connection::open(gate.address(), Http::BOTH[number % 2]).await,
                Call::get("/a").bearer("an-opaque-token-of-many"),
            );
            sent.push(tokio::spawn(async move { connection.send(call).await.unwrap() }));
        }
        for task in sent {
            task.await.unwrap().assert_admitted();
        }
        assert!(publisher.fetches("/introspect") <= before + 2, "{} calls", publisher.fetches("/introspect") - before);
        publisher.down();
        Call::get("/a").bearer("an-opaque-token-of-many").send(&gate, Http::One).await.assert_admitted();
        Call::get("/a").bearer("an-opaque-token-for-nobody").send(&gate, Http::One).await.assert_denied(503, "unavailable");
        // It has no form of an opaque token.
        Call::get("/a")
            .bearer("foil_f3rvHOhRpHDD569KuBIC7uB98AYhopsL6R7otm9sS65K06wVHzUF0OY6q")
            .send(&gate, Http::One)
            .await
            .assert_denied(401, "invalid_key");
        gate.assert_untrapped().await;
    });
}
