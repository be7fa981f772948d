//! Tokens of the real backend's own, through real proxies: they pass, and they end with what they came from.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tollgate_tests::plugin;
use tollgate_tests::{Answer, Backend, Call, EveryWorker, Gate, Http, Load, NewKey, Setup, run, until};

const LIMIT: Duration = Duration::from_secs(20);

/// A gate that takes the backend's tokens, which tell by a route whether they have the scope `read`.
async fn gate(name: &str, backend: &Backend) -> Gate {
    let issuer = json!({
        "issuer": format!("http://{}", backend.public_address()),
        "audiences": ["api"],
        "keys": {"remote": {"cluster": "issuer", "path": "/.well-known/jwks.json", "pause": "100ms"}},
        "consumer": {"known_by": "credential"},
    });
    let plugin = json!({
        "backend": plugin::backend(&json!({})),
        "tokens": {"issuers": [issuer]},
        "routes": [{"name": "read", "match": {"path": "/read"}, "require": {"scopes": {"all": ["read"]}}}],
    });
    Setup::new(name, &plugin).issuing_backend(backend).start().await
}

struct House {
    backend: Backend,
    gates: Vec<Gate>,
    key: NewKey,
}

impl House {
    async fn new(name: &str, gates: usize, settings: &[&str]) -> Self {
        let backend = Backend::start_with(name, settings).await;
        backend.new_consumer("acme", "enterprise").await;
        backend.call("PATCH", "/api/v1/consumers/acme", Some(&json!({"scopes": ["read"]}))).await;
        let made = backend.call("POST", "/api/v1/keys", Some(&json!({"consumer": "acme", "scopes": ["read"]}))).await;
        let mut house = Self { key: NewKey::shown(&made), backend, gates: Vec::new() };
        for number in 0..gates {
            let gate = gate(&format!("{name}-{number}"), &house.backend).await;
            let call = Call::get("/a").bearer(&house.key.key);
            EveryWorker::of(&gate).await.until("the backend to be found", &call, Answer::reached_upstream).await;
            house.gates.push(gate);
        }
        house
    }

    fn gate(&self) -> &Gate {
        self.gates.first().expect("a gate")
    }

    async fn exchange(&self) -> Value {
        self.backend.exchange(&self.key.key).await
    }

    async fn revoke_key(&self) {
        self.backend.call("DELETE", &format!("/api/v1/keys/{}", self.key.id), None).await;
    }

    async fn end(self) {
        for gate in &self.gates {
            gate.assert_untrapped().await;
        }
    }
}

fn text<'a>(granted: &'a Value, field: &str) -> &'a str {
    granted[field].as_str().unwrap_or_else(|| panic!("no {field} in {granted}"))
}

fn call(granted: &Value) -> Call {
    Call::get("/a").bearer(text(granted, "access_token"))
}

fn is_refused(answer: &Answer) -> bool {
    answer.status == 401 && answer.code() == "invalid_token"
}

#[test]
fn a_key_is_traded_for_tokens_of_every_algorithm_and_they_die_with_it() {
    run(async {
        for algorithm in ["ES256", "EdDSA", "RS256"] {
            let house = House::new(&format!("own-tokens-{}", algorithm.to_lowercase()), 1, &["--token-algorithm", algorithm]).await;
            let mut workers = EveryWorker::of(house.gate()).await;
            let granted = house.exchange().await;
            for answer in workers.send(&call(&granted)).await {
                answer.assert_admitted();
                assert_eq!(answer.upstream_saw("x-consumer-id"), ["acme"]);
                assert_eq!(answer.upstream_saw("x-credential-id"), [house.key.id.as_str()]);
                assert_eq!(answer.upstream_saw("x-consumer-tier"), ["enterprise"]);
            }
            let client = [("grant_type", "client_credentials"), ("client_id", &house.key.id), ("client_secret", &house.key.key)];
            let of_client = house.backend.form("/oauth/token", &client).await.json();
            let renew = [("grant_type", "refresh_token"), ("refresh_token", text(&granted, "refresh_token"))];
            let renewed = house.backend.form("/oauth/token", &renew).await.json();
            for http in Http::BOTH {
                call(&of_client).send(house.gate(), http).await.assert_admitted();
                call(&renewed).send(house.gate(), http).await.assert_admitted();
            }
            house.revoke_key().await;
            workers.until("the key's end", &call(&granted), is_refused).await;
            for granted in [&of_client, &renewed] {
                workers.send(&call(granted)).await.iter().for_each(|answer| assert!(is_refused(answer), "{answer:?}"));
            }
            house.end().await;
        }
    });
}

#[test]
fn a_token_and_a_family_are_revoked_on_every_worker_and_others_go_on() {
    run(async {
        let house = House::new("own-tokens-revoked", 1, &[]).await;
        let mut workers = EveryWorker::of(house.gate()).await;
        let (one, other) = (house.exchange().await, house.exchange().await);
        for granted in [&one, &other] {
            workers.send(&call(granted)).await.iter().for_each(Answer::assert_admitted);
        }
        house.backend.form("/oauth/revoke", &[("token", text(&one, "access_token"))]).await;
        workers.until("the token's end", &call(&one), is_refused).await;
        let renew = [("grant_type", "refresh_token"), ("refresh_token", text(&one, "refresh_token"))];
        let renewed = house.backend.form("/oauth/token", &renew).await.json();
        workers.send(&call(&renewed)).await.iter().for_each(Answer::assert_admitted);
        house.backend.form("/oauth/revoke", &[("token", text(&renewed, "refresh_token"))]).await;
        workers.until("the family's end", &call(&renewed), is_refused).await;
        workers.send(&call(&other)).await.iter().for_each(Answer::assert_admitted);
        workers.send(&Call::get("/a").bearer(&house.key.key)).await.iter().for_each(Answer::assert_admitted);
        // A gate that starts now has heard nothing of it, and refuses them all the same.
        let late = gate("own-tokens-revoked-late", &house.backend).await;
        let mut late_workers = EveryWorker::of(&late).await;
        late_workers.until("it to take tokens", &call(&other), Answer::reached_upstream).await;
        for granted in [&one, &renewed] {
            late_workers.send(&call(granted)).await.iter().for_each(|answer| assert!(is_refused(answer), "{answer:?}"));
        }
        late.assert_untrapped().await;
        house.end().await;
    });
}

#[test]
fn a_stolen_refresh_token_costs_its_family_and_what_is_taken_from_the_key_is_taken_from_its_tokens() {
    run(async {
        let house = House::new("own-tokens-reused", 1, &[]).await;
        let mut workers = EveryWorker::of(house.gate()).await;
        let granted = house.exchange().await;
        let read = |granted: &Value| Call::get("/read").bearer(text(granted, "access_token"));
        workers.send(&read(&granted)).await.iter().for_each(Answer::assert_admitted);
        let renew =
            async |token: String| house.backend.form("/oauth/token", &[("grant_type", "refresh_token"), ("refresh_token", &token)]).await;
        let second = renew(text(&granted, "refresh_token").to_owned()).await.json();
        let third = renew(text(&second, "refresh_token").to_owned()).await.json();
        workers.send(&call(&third)).await.iter().for_each(Answer::assert_admitted);
        // The first was used up two turns ago: somebody else has it.
        assert_eq!(renew(text(&granted, "refresh_token").to_owned()).await.status, 400);
        workers.until("the family's end", &call(&third), is_refused).await;
        assert_eq!(renew(text(&third, "refresh_token").to_owned()).await.status, 400);

        let other = house.exchange().await;
        workers.send(&read(&other)).await.iter().for_each(Answer::assert_admitted);
        house.backend.call("PATCH", &format!("/api/v1/keys/{}", house.key.id), Some(&json!({"scopes": []}))).await;
        workers.until("the scope's end", &read(&other), |answer| answer.status == 403).await;
        workers.send(&call(&other)).await.iter().for_each(Answer::assert_admitted);
        house.backend.call("PATCH", "/api/v1/consumers/acme", Some(&json!({"disabled": true}))).await;
        workers.until("the consumer's end", &call(&other), is_refused).await;
        house.end().await;
    });
}

#[test]
fn keys_that_sign_take_each_others_place_and_nobody_is_refused() {
    run(async {
        let house = House::new("own-tokens-rotation", 1, &[]).await;
        let mut workers = EveryWorker::of(house.gate()).await;
        let before = house.exchange().await;
        for _ in 0..3 {
            house.backend.call("POST", "/api/v1/signing-keys/rotate", None).await;
            let after = house.exchange().await;
            for granted in [&before, &after] {
                workers.send(&call(granted)).await.iter().for_each(Answer::assert_admitted);
            }
        }
        house.end().await;
    });
}

#[test]
fn while_the_backend_is_away_tokens_pass_as_keys_do_and_revocations_outlive_it() {
    run(async {
        let mut house = House::new("own-tokens-away", 1, &[]).await;
        let (revoked, granted) = (house.exchange().await, house.exchange().await);
        let mut workers = EveryWorker::of(house.gate()).await;
        workers.send(&call(&granted)).await.iter().for_each(Answer::assert_admitted);
        house.backend.form("/oauth/revoke", &[("token", text(&revoked, "refresh_token"))]).await;
        workers.until("the family's end", &call(&revoked), is_refused).await;
        house.backend.kill();
        for _ in 0..5 {
            workers.send(&call(&granted)).await.iter().for_each(Answer::assert_admitted);
            workers.send(&call(&revoked)).await.iter().for_each(|answer| assert!(is_refused(answer), "{answer:?}"));
        }
        house.backend.restart().await;
        workers.until("the backend's return", &call(&house.exchange().await), Answer::reached_upstream).await;
        workers.send(&call(&revoked)).await.iter().for_each(|answer| assert!(is_refused(answer), "{answer:?}"));
        house.end().await;
    });
}

#[test]
fn a_revoked_family_is_refused_soon_by_all_workers_of_two_gates_under_load() {
    const ROUNDS: usize = 12;
    run(async {
        let house = House::new("own-tokens-time", 2, &[]).await;
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let granted = house.exchange().await;
            for gate in &house.gates {
                EveryWorker::of(gate).await.send(&call(&granted)).await.iter().for_each(Answer::assert_admitted);
            }
            let gates: Vec<&Gate> = house.gates.iter().collect();
            let load = Load::start(&gates, 8, &call(&granted));
            until("all clients to be admitted", LIMIT, async || load.all_last(200).then_some(())).await;
            house.backend.form("/oauth/revoke", &[("token", text(&granted, "refresh_token"))]).await;
            let revoked = Instant::now();
            until("all clients to be refused", LIMIT, async || load.all_last(401).then_some(())).await;
            let clients = load.stop().await;
            let mut all_refused = revoked;
            for seen in &clients {
                let first = seen.iter().position(|sent| sent.answer.status == 401).expect("a refusal");
                let (before, after) = seen.split_at(first);
                before.iter().for_each(|sent| sent.answer.assert_admitted());
                after.iter().for_each(|sent| sent.answer.assert_denied(401, "invalid_token"));
                all_refused = all_refused.max(after.first().expect("a refusal").answered);
            }
            times.push(all_refused.saturating_duration_since(revoked));
        }
        times.sort();
        let shown: Vec<u128> = times.iter().map(Duration::as_millis).collect();
        println!("from a family's revocation to its refusal by all workers of two gates, ms: {shown:?}");
        assert!(times.get(ROUNDS / 2).is_some_and(|time| *time <= Duration::from_millis(250)), "{shown:?}");
        house.end().await;
    });
}
