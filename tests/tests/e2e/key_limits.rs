//! Limits and credits of single keys, through real proxies and the real backend.

use serde_json::{Value, json};
use tollgate_tests::{Answer, Backend, EveryWorker, Gate, Load, NewKey, run, until};

use super::leases::{LIMIT, admitted, call, one, ready, setup};

/// A backend with the consumer `acme`, whose tier has no limits, and so many gates before it.
async fn world(name: &str, gates: usize) -> (Backend, Vec<Gate>) {
    let backend = Backend::start(name).await;
    backend.new_consumer("acme", "enterprise").await;
    backend.new_consumer("first", "enterprise").await;
    let mut started = Vec::new();
    for gate in 0..gates {
        started.push(ready(setup(&format!("{name}-{gate}"), &backend), &backend).await);
    }
    (backend, started)
}

async fn key(backend: &Backend, own: Value) -> NewKey {
    let mut new = json!({"consumer": "acme"});
    new.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    NewKey::shown(&backend.call("POST", "/api/v1/keys", Some(&new)).await)
}

#[test]
fn a_key_s_own_rate_holds_beside_its_consumer_s_and_another_key_does_not_feel_it() {
    run(async {
        let (backend, gates) = world("key-limits-rate", 1).await;
        backend
            .call(
                "PUT",
                "/api/v1/tiers/ten",
                Some(&json!({"limits": [
                    {"name": "per-minute", "algorithm": "sliding_window", "rate": 10, "per": "60s"}
                ]})),
            )
            .await;
        backend.call("PATCH", "/api/v1/consumers/acme", Some(&json!({"tier": "ten"}))).await;
        let slow = json!({"name": "slow", "algorithm": "sliding_window", "rate": 3, "per": "60s"});
        let (slow, other) = (key(&backend, json!({"limits": [slow]})).await, key(&backend, json!({})).await);
        let answer = one(&gates[0], &slow).await;
        answer.assert_admitted();
        assert_eq!((answer.number("x-ratelimit-limit"), answer.number("x-ratelimit-remaining")), (3, 2), "the tightest");
        assert_eq!(answer.header("ratelimit-policy"), Some(r#""slow";q=3;w=60, "per-minute";q=10;w=60"#));
        for _ in 0..2 {
            one(&gates[0], &slow).await.assert_admitted();
        }
        for _ in 0..20 {
            one(&gates[0], &slow).await.assert_denied(429, "rate_limited");
        }
        for _ in 0..7 {
            one(&gates[0], &other).await.assert_admitted();
        }
        one(&gates[0], &other).await.assert_denied(429, "rate_limited");
        gates[0].assert_untrapped().await;
    });
}

#[test]
fn credits_are_spent_to_the_last_over_two_gates_and_by_tokens_and_successors_too() {
    run(async {
        let (backend, gates) = world("key-limits-credits", 2).await;
        let first = key(&backend, json!({"credits": 3_000})).await;
        let rotated = backend.call("POST", &format!("/api/v1/keys/{}/rotate", first.id), Some(&json!({}))).await;
        let second = NewKey::shown(&rotated);
        let loads = [&first, &second].map(|key| Load::start(&gates.iter().collect::<Vec<_>>(), 2, &call(key)));
        let spent = || loads.iter().map(|load| load.count(Answer::reached_upstream)).sum::<u64>();
        until("the last credit to be spent", LIMIT, async || (spent() >= 3_000).then_some(())).await;
        until("all to be refused", LIMIT, async || loads.iter().all(|load| load.all_last(429)).then_some(())).await;
        let mut total = 0;
        for load in loads {
            total += admitted(&load.stop().await);
        }
        assert_eq!(total, 3_000);
        let refused = until("nothing to be waited for", LIMIT, async || {
            Some(one(&gates[0], &first).await).filter(|answer| answer.header("retry-after").is_none())
        })
        .await;
        refused.assert_denied(429, "quota_exceeded");
        assert_eq!(refused.header("x-ratelimit-reset"), None, "never: {refused:?}");
        assert_eq!((refused.number("x-ratelimit-limit"), refused.number("x-ratelimit-remaining")), (3_000, 0));
        assert_eq!(
            (refused.header("ratelimit"), refused.header("ratelimit-policy")),
            (Some("\"credits\";r=0"), Some("\"credits\";q=3000"))
        );
        let left = async |key: &NewKey| backend.call("GET", &format!("/api/v1/keys/{}", key.id), None).await["credits_left"].clone();
        until("the backend to know", LIMIT, async || (left(&second).await == json!(0)).then_some(())).await;
        assert_eq!(left(&first).await, json!(0));
        // More of them, in the middle of it.
        backend.call("PATCH", &format!("/api/v1/keys/{}", second.id), Some(&json!({"credits": 3_002}))).await;
        let mut more = 0;
        until("two more to pass", LIMIT, async || {
            more += u32::from(one(&gates[1], &second).await.reached_upstream());
            (more == 2).then_some(())
        })
        .await;
        let mut workers = EveryWorker::of(&gates[1]).await;
        for _ in 0..3 {
            workers.send(&call(&second)).await.iter().for_each(|answer| answer.assert_denied(429, "quota_exceeded"));
        }
        for gate in &gates {
            gate.assert_untrapped().await;
        }
    });
}

#[test]
fn a_limit_that_a_key_is_given_acts_at_once_and_goes_at_once() {
    run(async {
        let (backend, gates) = world("key-limits-change", 1).await;
        let key = key(&backend, json!({})).await;
        let place = format!("/api/v1/keys/{}", key.id);
        let mut workers = EveryWorker::of(&gates[0]).await;
        workers.send(&call(&key)).await.iter().for_each(Answer::assert_admitted);
        let one = json!({"name": "one", "algorithm": "quota", "rate": 1, "per": "day"});
        backend.call("PATCH", &place, Some(&json!({"limits": [one]}))).await;
        workers.until("the limit to act", &call(&key), |answer| answer.status == 429 && answer.code() == "quota_exceeded").await;
        backend.call("PATCH", &place, Some(&json!({"limits": []}))).await;
        workers.until("the limit to go", &call(&key), Answer::reached_upstream).await;
        gates[0].assert_untrapped().await;
    });
}
