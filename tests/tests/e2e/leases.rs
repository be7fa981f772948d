//! Quotas over several gates and one backend: exact while nobody dies, never more than the quota whatever happens.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_tests::{Answer, Backend, Call, Connection, EveryWorker, Gate, Http, Load, NewKey, Setup, plugin, run, until};

const LIMIT: Duration = Duration::from_secs(60);

fn quota(units: u64, more: &Value) -> Value {
    let mut quota = json!({"name": "daily", "algorithm": "quota", "rate": units, "per": "day"});
    quota.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    quota
}

/// A backend with a consumer in a tier of these limits, and so many gates before it.
async fn world(name: &str, limits: &Value, gates: usize) -> (Backend, Vec<Gate>, NewKey) {
    let backend = Backend::start(name).await;
    backend.call("PUT", "/api/v1/tiers/metered", Some(&json!({"limits": limits}))).await;
    backend.new_consumer("acme", "metered").await;
    let key = backend.new_key("acme").await;
    backend.new_consumer("first", "enterprise").await;
    let first = backend.new_key("first").await;
    let mut started = Vec::new();
    for gate in 0..gates {
        let plugin = json!({"backend": plugin::backend(&json!({})), "answers": {"limit_headers": ["x-ratelimit", "ratelimit"]}});
        let gate = Setup::new(&format!("{name}-{gate}"), &plugin).real_backend(&backend).start().await;
        EveryWorker::of(&gate).await.until("the backend to be found", &call(&first), Answer::reached_upstream).await;
        started.push(gate);
    }
    (backend, started, key)
}

fn call(key: &NewKey) -> Call {
    Call::get("/a").bearer(&key.key)
}

async fn one(gate: &Gate, key: &NewKey) -> Answer {
    Connection::open(gate.address(), Http::One).await.send(call(key)).await.unwrap()
}

/// The consumer's row of the ledger in force.
async fn row(backend: &Backend) -> Value {
    let listed = backend.call("GET", "/api/v1/ledger?consumer=acme", None).await;
    listed["items"][0].clone()
}

fn admitted(seen: &[Vec<tollgate_tests::load::Sent>]) -> u64 {
    seen.iter().flatten().filter(|sent| sent.answer.reached_upstream()).count() as u64
}

#[test]
fn a_quota_is_spent_to_its_last_unit_over_three_gates_and_no_further() {
    run(async {
        let (backend, gates, key) = world("leases-exact", &json!([quota(3_000, &json!({}))]), 3).await;
        let load = Load::start(&gates.iter().collect::<Vec<_>>(), 4, &call(&key));
        until("the quota to be spent", LIMIT, async || load.all_last(429).then_some(())).await;
        // What a worker had in its hands comes back within two seconds, and is spent too.
        until("the last unit to be spent", LIMIT, async || (admitted(&load.seen()) >= 3_000).then_some(())).await;
        let seen = load.stop().await;
        assert_eq!(admitted(&seen), 3_000);
        let refused = one(&gates[0], &key).await;
        refused.assert_denied(429, "quota_exceeded");
        assert!(refused.number("retry-after") > 10, "{refused:?}");
        let row = row(&backend).await;
        assert_eq!((&row["charged"], &row["units"]), (&json!(3_000), &json!(3_000)), "{row}");
        for gate in &gates {
            gate.assert_untrapped().await;
        }
    });
}

#[test]
fn clients_are_told_which_quota_is_left_and_spent_and_a_larger_one_counts_at_once() {
    run(async {
        let (backend, gates, key) = world("leases-told", &json!([quota(2, &json!({}))]), 1).await;
        let answer = one(&gates[0], &key).await;
        answer.assert_admitted();
        assert_eq!((answer.number("x-ratelimit-limit"), answer.number("x-ratelimit-remaining")), (2, 1));
        assert_eq!(answer.header("ratelimit-policy"), Some("\"daily\";q=2;w=86400"));
        assert!(answer.header("ratelimit").unwrap().starts_with("\"daily\";r=1;t="), "{answer:?}");
        one(&gates[0], &key).await.assert_admitted();
        let refused = one(&gates[0], &key).await;
        refused.assert_denied(429, "quota_exceeded");
        let body = String::from_utf8(refused.body.to_vec()).unwrap();
        assert!(body.contains("Quota exceeded: 0 of 2 left of `daily`, which begins anew in "), "{body}");
        backend.call("PUT", "/api/v1/tiers/metered", Some(&json!({"limits": [quota(4, &json!({}))]}))).await;
        until("the larger quota", LIMIT, async || one(&gates[0], &key).await.reached_upstream().then_some(())).await;
        backend.call("PATCH", "/api/v1/consumers/acme", Some(&json!({"overrides": {"daily": 5}}))).await;
        let mut more = 0;
        until("the consumer's own quota to be spent", LIMIT, async || {
            let answer = one(&gates[0], &key).await;
            more += u32::from(answer.reached_upstream());
            (more == 2).then_some(())
        })
        .await;
        one(&gates[0], &key).await.assert_denied(429, "quota_exceeded");
        gates[0].assert_untrapped().await;
    });
}

#[test]
fn a_backend_killed_under_load_never_lets_a_quota_be_exceeded() {
    run(async {
        let (mut backend, gates, key) = world("leases-killed", &json!([quota(6_000, &json!({}))]), 3).await;
        let load = Load::start(&gates.iter().collect::<Vec<_>>(), 2, &call(&key));
        for kills in 1..=3_u64 {
            until("some more to be admitted", LIMIT, async || (admitted(&load.seen()) >= kills * 800).then_some(())).await;
            backend.kill();
            backend.restart().await;
        }
        until("the quota to be spent", LIMIT, async || (admitted(&load.seen()) >= 6_000).then_some(())).await;
        let seen = load.stop().await;
        assert_eq!(admitted(&seen), 6_000, "no process with units died");
        for gate in &gates {
            gate.assert_untrapped().await;
        }
    });
}

#[test]
fn without_the_backend_a_quota_fails_as_it_says_and_what_was_let_pass_is_known_afterwards() {
    const QUOTA: u64 = 20;
    run(async {
        let allow = quota(QUOTA, &json!({"failure_mode": "allow"}));
        let (mut backend, gates, key) = world("leases-allow", &json!([allow]), 1).await;
        let known = EveryWorker::of(&gates[0]).await.send(&call(&key)).await;
        known.iter().for_each(Answer::assert_admitted);
        backend.kill();
        let mut passed = known.len() as u64;
        until("requests to pass that nobody counts", LIMIT, async || {
            let answer = one(&gates[0], &key).await;
            answer.assert_admitted();
            passed += 1;
            (passed >= QUOTA + 4).then_some(())
        })
        .await;
        backend.restart().await;
        until("what was let pass to be known", LIMIT, async || {
            let row = row(&backend).await;
            let known = row["charged"].as_u64()? + row["overage"].as_u64()?;
            (known >= passed && row["overage"].as_u64()? >= passed - QUOTA).then_some(())
        })
        .await;
        gates[0].assert_untrapped().await;
    });
}
