//! From where credentials of the real backend may be used, and the roles they have.

use serde_json::{Value, json};
use tollgate_tests::plugin;
use tollgate_tests::{Answer, Backend, Call, EveryWorker, Gate, NewKey, Setup, Signer, run};

/// A gate behind a proxy that says where its clients are, and a consumer with a key.
struct House {
    backend: Backend,
    gate: Gate,
    key: NewKey,
}

impl House {
    async fn new(name: &str, more: &Value) -> Self {
        let backend = Backend::start(name).await;
        backend.new_consumer("acme", "enterprise").await;
        let key = backend.new_key("acme").await;
        let mut plugin = json!({"backend": plugin::backend(&json!({}))});
        for (field, value) in more.as_object().unwrap() {
            plugin[field] = value.clone();
        }
        let gate = Setup::new(&format!("{name}-gate"), &plugin).trusting_one_hop().real_backend(&backend).start().await;
        let house = Self { backend, gate, key };
        EveryWorker::of(&house.gate).await.until("the backend to be found", &house.call("192.0.2.1"), Answer::reached_upstream).await;
        house
    }

    fn call(&self, from: &str) -> Call {
        Call::get("/a").bearer(&self.key.key).from(from)
    }

    async fn patch_consumer(&self, patch: &Value) {
        self.backend.call("PATCH", "/api/v1/consumers/acme", Some(patch)).await;
    }

    async fn patch_key(&self, patch: &Value) {
        self.backend.call("PATCH", &format!("/api/v1/keys/{}", self.key.id), Some(patch)).await;
    }
}

fn is_denied(answer: &Answer) -> bool {
    answer.status == 403 && answer.code() == "address_denied"
}

#[test]
fn a_consumers_address_rules_and_a_keys_own_hold_on_every_worker_at_once() {
    run(async {
        let house = House::new("rules", &json!({})).await;
        let mut workers = EveryWorker::of(&house.gate).await;
        house.patch_consumer(&json!({"addresses": {"deny": ["192.0.2.0/24"]}})).await;
        workers.until("the consumer's rules", &house.call("192.0.2.1"), is_denied).await;
        // However the same address is written, and no others.
        workers.send(&house.call("::ffff:192.0.2.1")).await.iter().for_each(|answer| assert!(is_denied(answer), "{answer:?}"));
        for elsewhere in ["192.0.3.1", "2001:db8::1"] {
            workers.send(&house.call(elsewhere)).await.iter().for_each(Answer::assert_admitted);
        }
        // A key's own come on top.
        house.patch_key(&json!({"addresses": {"allow": ["192.0.0.0/16"]}})).await;
        workers.until("the key's rules", &house.call("2001:db8::1"), is_denied).await;
        workers.send(&house.call("192.0.3.1")).await.iter().for_each(Answer::assert_admitted);
        workers.send(&house.call("192.0.2.1")).await.iter().for_each(|answer| assert!(is_denied(answer), "{answer:?}"));
        // Another key of the consumer has only the consumer's.
        let other = house.backend.new_key("acme").await;
        workers.send(&Call::get("/a").bearer(&other.key).from("2001:db8::1")).await.iter().for_each(Answer::assert_admitted);
        workers.send(&Call::get("/a").bearer(&other.key).from("192.0.2.1")).await.iter().for_each(|answer| assert!(is_denied(answer)));
        // And taken away they are gone.
        house.patch_consumer(&json!({"addresses": {}})).await;
        house.patch_key(&json!({"addresses": {}})).await;
        for from in ["192.0.2.1", "2001:db8::1"] {
            workers.until("no rules", &house.call(from), Answer::reached_upstream).await;
        }
        house.gate.assert_untrapped().await;
    });
}

#[test]
fn a_token_that_names_a_consumer_is_held_to_the_consumers_address_rules() {
    run(async {
        let signer = Signer::new("ES256", "one", 5);
        let backed = json!({"consumer": {"known_by": "backend"}, "tier": null});
        let issuer = plugin::issuer("https://idp.example", &plugin::inline(&[&signer]), &backed);
        let house = House::new("rules-token", &json!({"tokens": {"issuers": [issuer]}})).await;
        house.patch_consumer(&json!({"addresses": {"allow": ["192.0.2.0/24"]}})).await;
        let token = signer.token(&plugin::claims("https://idp.example", "acme", &json!({})));
        let call = |from: &str| Call::get("/a").bearer(&token).from(from);
        let mut workers = EveryWorker::of(&house.gate).await;
        workers.until("the rules", &call("192.0.3.1"), is_denied).await;
        workers.send(&call("192.0.2.1")).await.iter().for_each(Answer::assert_admitted);
    });
}

#[test]
fn a_route_may_ask_for_a_role_that_a_key_has_by_its_consumer() {
    run(async {
        let routes = json!([{"name": "edit", "match": {"prefix": "/edit"}, "require": {"roles": {"any": ["editor"]}}}]);
        let house = House::new("rules-roles", &json!({"routes": routes})).await;
        let mut workers = EveryWorker::of(&house.gate).await;
        let call = Call::get("/edit").bearer(&house.key.key).from("192.0.2.1");
        for answer in workers.send(&call).await {
            answer.assert_denied(403, "insufficient_scope");
        }
        house.patch_consumer(&json!({"roles": ["editor", "reader"]})).await;
        house.patch_key(&json!({"roles": ["editor"]})).await;
        workers.until("the role", &call, Answer::reached_upstream).await;
        // What is taken from the consumer its keys have no more.
        house.patch_consumer(&json!({"roles": ["reader"]})).await;
        workers.until("the role to be gone", &call, |answer| answer.status == 403).await;
    });
}
