//! Leases that come with the answer to whose a credential is: one call instead of two, and exact whatever becomes of the answer.

use std::time::Duration;

use serde_json::json;
use tollgate_tests::plugin::{self, claims, inline, issuer};
use tollgate_tests::{Backend, Call, Http, Network, Setup, Signer, run, send_all, until};

use super::leases::{LIMIT, call, metered, one, quota, ready, row, setup};

/// Waits until all that was not spent has come back.
async fn until_exact(backend: &Backend, spent: u64) {
    until(&format!("just the {spent} units that were spent to be charged"), LIMIT, async || {
        let row = row(backend).await;
        (row["charged"] == json!(spent) && row["outstanding"] == json!(0)).then_some(())
    })
    .await;
}

/// The number of a metric of the backend's, all labels together, where a line of it holds `part`.
async fn metric(backend: &Backend, name: &str, part: &str) -> u64 {
    let metrics = backend.metrics().await;
    let lines = metrics.lines().filter(|line| line.starts_with(name) && line.contains(part));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

/// How often nodes have asked about something on its own.
async fn asked(backend: &Backend) -> [u64; 3] {
    let requests = |route| metric(backend, "tollgate_http_requests_total", route);
    [requests("/internal/v1/resolve").await, requests("/internal/v1/consumers").await, requests("/internal/v1/leases").await]
}

#[test]
fn a_request_with_a_new_key_and_a_quota_costs_one_call_to_the_backend() {
    run(async {
        let rate = json!({"name": "all", "algorithm": "token_bucket", "rate": 10_000, "per": "1s", "scope": "global"});
        let (backend, key) = metered("first-key", &json!([quota(1_000, &json!({})), rate])).await;
        let gate = ready(setup("first-key-gate", &backend).workers(1), &backend).await;
        let [keys, consumers, leases] = asked(&backend).await;
        one(&gate, &key).await.assert_admitted();
        assert_eq!(asked(&backend).await, [keys + 1, consumers, leases]);
        // Others of the consumer's keys need nothing more.
        let other = backend.new_key("acme").await;
        one(&gate, &other).await.assert_admitted();
        assert_eq!(asked(&backend).await, [keys + 2, consumers, leases]);
        until_exact(&backend, 2).await;
        assert_eq!(gate.stat("tollgate_leases.asked").await, 0);
        gate.assert_untrapped().await;
    });
}

#[test]
fn a_token_of_a_consumer_with_a_quota_costs_one_call_to_the_backend() {
    run(async {
        let (backend, _) = metered("first-token", &json!([quota(1_000, &json!({}))])).await;
        let (signer, name) = (Signer::new("ES256", "one", 5), "https://first.example");
        let known_by = json!({"consumer": {"known_by": "backend"}, "tier": null});
        let plugin = json!({
            "backend": plugin::backend(&json!({})),
            "tokens": {"issuers": [issuer(name, &inline(&[&signer]), &known_by)]},
        });
        let gate = ready(Setup::new("first-token-gate", &plugin).real_backend(&backend).workers(1), &backend).await;
        let [keys, consumers, leases] = asked(&backend).await;
        let call = Call::get("/a").bearer(&signer.token(&claims(name, "acme", &json!({}))));
        call.send(&gate, Http::One).await.assert_admitted();
        assert_eq!(asked(&backend).await, [keys, consumers + 1, leases]);
        until_exact(&backend, 1).await;
        gate.assert_untrapped().await;
    });
}

/// Answers take longer than a gate waits for them.
#[test]
fn what_is_granted_in_answers_that_are_lost_comes_back() {
    run(async {
        let (backend, key) = metered("first-lost", &json!([quota(1_000, &json!({}))])).await;
        let network = Network::to(backend.node_address());
        let gate = ready(setup("first-lost-gate", &backend).through(&network), &backend).await;
        network.delay(Duration::ZERO, Duration::from_secs(3));
        let keys = [key.clone(), backend.new_key("acme").await, backend.new_key("acme").await];
        for key in &keys {
            assert_eq!(one(&gate, key).await.status, 503);
        }
        until("a grant that nobody has heard of", LIMIT, async || (row(&backend).await["charged"].as_u64()? > 0).then_some(())).await;
        network.delay(Duration::ZERO, Duration::ZERO);
        until_exact(&backend, 0).await;
        until("the gate to go on", LIMIT, async || one(&gate, &key).await.reached_upstream().then_some(())).await;
        until_exact(&backend, 1).await;
        gate.assert_untrapped().await;
    });
}

#[test]
fn many_new_keys_at_once_are_charged_for_what_they_spend() {
    run(async {
        let (backend, key) = metered("first-many", &json!([quota(10_000, &json!({}))])).await;
        let plugin = json!({"backend": plugin::backend(&json!({"unknown_per_address": 1_000_000}))});
        let setup = |name: &str| Setup::new(name, &plugin).real_backend(&backend);
        let gates = [ready(setup("first-many-0"), &backend).await, ready(setup("first-many-1"), &backend).await];
        let mut keys = vec![key];
        for _ in 0..40 {
            keys.push(backend.new_key("acme").await);
        }
        // Four connections, of which each may reach another worker: each key comes to all of them at once.
        let mut requests = Vec::new();
        for gate in [&gates[0], &gates[1], &gates[0], &gates[1]] {
            requests.push(send_all(gate, keys.iter().map(call)).await);
        }
        let mut admitted = 0;
        for requests in requests {
            for answer in requests.join_all().await {
                answer.assert_admitted();
                admitted += 1;
            }
        }
        until_exact(&backend, admitted).await;
        for gate in &gates {
            gate.assert_untrapped().await;
        }
    });
}
