//! Quotas over several gates and one backend: exact while nobody dies, never more than the quota whatever happens.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_tests::{Answer, Backend, Call, Connection, EveryWorker, Gate, Http, Load, NewKey, Setup, plugin, run, until};

pub(super) const LIMIT: Duration = Duration::from_secs(60);
pub(super) const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(4);

pub(super) fn quota(units: u64, more: &Value) -> Value {
    let mut quota = json!({"name": "daily", "algorithm": "quota", "rate": units, "per": "day"});
    quota.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    quota
}

/// A backend with a consumer in a tier of these limits, and so many gates before it.
pub(super) async fn world(name: &str, limits: &Value, gates: usize) -> (Backend, Vec<Gate>, NewKey) {
    let (backend, key) = metered(name, limits).await;
    let mut started = Vec::new();
    for gate in 0..gates {
        started.push(ready(setup(&format!("{name}-{gate}"), &backend), &backend).await);
    }
    (backend, started, key)
}

/// A backend with a consumer in a tier of these limits, and the consumer's key.
pub(super) async fn metered(name: &str, limits: &Value) -> (Backend, NewKey) {
    let backend = Backend::start(name).await;
    backend.call("PUT", "/api/v1/tiers/metered", Some(&json!({"limits": limits}))).await;
    backend.new_consumer("acme", "metered").await;
    backend.new_consumer("first", "enterprise").await;
    let key = backend.new_key("acme").await;
    (backend, key)
}

/// A gate before a backend.
pub(super) fn setup(name: &str, backend: &Backend) -> Setup {
    let plugin = json!({"backend": plugin::backend(&json!({})), "answers": {"limit_headers": ["x-ratelimit", "ratelimit"]}});
    Setup::new(name, &plugin).real_backend(backend)
}

/// Starts a gate; returns when it has found its backend.
pub(super) async fn ready(setup: Setup, backend: &Backend) -> Gate {
    let (gate, first) = (setup.start().await, backend.new_key("first").await);
    EveryWorker::of(&gate).await.until("the backend to be found", &call(&first), Answer::reached_upstream).await;
    gate
}

pub(super) fn call(key: &NewKey) -> Call {
    Call::get("/a").bearer(&key.key)
}

pub(super) async fn one(gate: &Gate, key: &NewKey) -> Answer {
    Connection::open(gate.address(), Http::One).await.send(call(key)).await.unwrap()
}

/// The consumer's row of the ledger in force.
pub(super) async fn row(backend: &Backend) -> Value {
    let listed = backend.call("GET", "/api/v1/ledger?consumer=acme", None).await;
    listed["items"][0].clone()
}

pub(super) fn admitted(seen: &[Vec<tollgate_tests::load::Sent>]) -> u64 {
    seen.iter().flatten().filter(|sent| sent.answer.reached_upstream()).count() as u64
}

#[test]
fn a_quota_is_spent_to_its_last_unit_over_three_gates_and_no_further() {
    run(async {
        let (backend, gates, key) = world("leases-exact", &json!([quota(10_000, &json!({}))]), 3).await;
        let load = Load::start(&gates.iter().collect::<Vec<_>>(), 4, &call(&key));
        until("the quota to be spent", LIMIT, async || load.all_last(429).then_some(())).await;
        // What a worker had in its hands comes back within two seconds, and is spent too.
        until("the last unit to be spent", LIMIT, async || (load.count(Answer::reached_upstream) >= 10_000).then_some(())).await;
        let seen = load.stop().await;
        assert_eq!(admitted(&seen), 10_000);
        // As long as others might return something, that is soon.
        until("all to be known as spent until the window ends", LIMIT, async || {
            let refused = one(&gates[0], &key).await;
            refused.assert_denied(429, "quota_exceeded");
            (refused.number("retry-after") > 10).then_some(())
        })
        .await;
        let row = row(&backend).await;
        assert_eq!((&row["charged"], &row["units"]), (&json!(10_000), &json!(10_000)), "{row}");
        for gate in &gates {
            gate.assert_untrapped().await;
        }
    });
}

#[test]
fn clients_are_told_which_quota_is_left_and_spent_and_a_larger_one_counts_at_once() {
    run(async {
        let minute = json!({"name": "per-minute", "algorithm": "sliding_window", "rate": 100, "per": "60s"});
        let month = json!({"name": "monthly", "algorithm": "quota", "rate": 1_000, "per": "month"});
        let trial = json!({"name": "trial", "algorithm": "quota", "rate": 1, "per": "day", "shadow": true});
        let (backend, gates, key) = world("leases-told", &json!([month, trial, quota(2, &json!({})), minute]), 1).await;
        let answer = one(&gates[0], &key).await;
        answer.assert_admitted();
        assert_eq!((answer.number("x-ratelimit-limit"), answer.number("x-ratelimit-remaining")), (2, 1));
        let policy = r#""per-minute";q=100;w=60, "monthly";q=1000, "daily";q=2;w=86400"#;
        assert_eq!(answer.header("ratelimit-policy"), Some(policy), "{answer:?}");
        let states: Vec<&str> = answer.header("ratelimit").unwrap().split(", ").map(|item| item.split(";t=").next().unwrap()).collect();
        assert_eq!(states, [r#""per-minute";r=99"#, r#""monthly";r=999"#, r#""daily";r=1"#]);
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
fn a_backend_or_a_gate_that_stands_still_neither_loses_nor_doubles_a_unit() {
    run(async {
        let (backend, gates, key) = world("leases-stopped", &json!([quota(4_000, &json!({}))]), 3).await;
        let load = Load::start(&gates.iter().collect::<Vec<_>>(), 2, &call(&key));
        let some = async |least: u64| {
            let enough = tokio::time::timeout(
                LIMIT,
                until("some to be admitted", 2 * LIMIT, async || (admitted(&load.seen()) >= least).then_some(())),
            )
            .await;
            assert!(enough.is_ok(), "{} of {least}: {}", admitted(&load.seen()), row(&backend).await);
        };
        some(500).await;
        let stopped = backend.stop();
        // Longer than a lease where little is left, and than requests wait.
        tokio::time::sleep(LONGER_THAN_A_LEASE).await;
        drop(stopped);
        some(1_000).await;
        let stopped = gates[2].stop();
        tokio::time::sleep(LONGER_THAN_A_LEASE).await;
        drop(stopped);
        some(4_000).await;
        assert_eq!(admitted(&load.stop().await), 4_000);
        for gate in &gates {
            gate.assert_untrapped().await;
        }
    });
}

#[test]
fn a_gate_that_is_killed_takes_what_it_held_with_it_until_an_operator_lets_it_go() {
    run(async {
        let (backend, mut gates, key) = world("leases-gone", &json!([quota(1_000, &json!({}))]), 2).await;
        let mut connection = Connection::open(gates[1].address(), Http::One).await;
        let mut taken = 0;
        for _ in 0..60 {
            taken += u64::from(connection.send(call(&key)).await.unwrap().reached_upstream());
        }
        gates[1].kill();
        let load = Load::start(&[&gates[0]], 4, &call(&key));
        until("the rest to be spent", LIMIT, async || load.all_last(429).then_some(())).await;
        // The living one has nothing left, so all that is outstanding is what the dead one held.
        let held = row(&backend).await["outstanding"].as_u64().unwrap();
        let before = taken + admitted(&load.seen());
        assert!(held > 0 && before + held <= 1_000 + taken, "{before} admitted, {held} held");
        assert!(before + 2 * held >= 1_000, "{before} admitted, {held} held: more is lost than that");
        let mut nodes = backend.call("GET", "/api/v1/nodes", None).await["items"].as_array().unwrap().clone();
        // One was started after the other had found its backend.
        nodes.sort_by_key(|node| node["first_seen_at"].as_str().unwrap().to_owned());
        let path = format!("/api/v1/nodes/{}/release", nodes[1]["incarnation"].as_str().unwrap());
        let released = backend.call("POST", &path, Some(&json!({"force": true}))).await;
        assert_eq!(released["units"], json!(held), "{released}");
        until("what was released to be spent", LIMIT, async || (taken + admitted(&load.seen()) >= before + held).then_some(())).await;
        let seen = load.stop().await;
        assert_eq!(taken + admitted(&seen), before + held);
        println!("{before} of 1,000 admitted before {held} were released");
        gates[0].assert_untrapped().await;
    });
}

#[test]
fn a_gate_that_nobody_asks_any_more_returns_what_it_held() {
    run(async {
        let (backend, gates, key) = world("leases-drained", &json!([quota(100_000, &json!({}))]), 1).await;
        let load = Load::start(&[&gates[0]], 4, &call(&key));
        until("some to be admitted", LIMIT, async || (admitted(&load.seen()) >= 2_000).then_some(())).await;
        let spent = admitted(&load.stop().await);
        until("what it held to have come back", LIMIT, async || {
            let row = row(&backend).await;
            (row["charged"] == json!(spent) && row["outstanding"] == json!(0)).then_some(())
        })
        .await;
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
