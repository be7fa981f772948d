//! Keys that only the backend knows: whose they are, what they may, and how often it is asked.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tollgate_tests::plugin::{hourly, key, tier};
use tollgate_tests::{Answer, Call, Connection, Crowd, EveryWorker, Fault, Http, run, until};

use super::backend_shared::{BACKEND, WORKERS, gate, get, open};

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn a_key_is_asked_about_once_and_then_served_from_memory() {
    run(async {
        let key = key("known");
        BACKEND.give(&key, "known", &open());
        for _ in 0..20 {
            for http in Http::BOTH {
                get(&key, http).await.assert_admitted();
            }
        }
        assert!((1..=WORKERS).contains(&BACKEND.resolves(&key)), "{}", BACKEND.resolves(&key));
    });
}

#[test]
fn first_requests_at_once_share_one_question_a_worker() {
    run(async {
        let key = key("crowded");
        BACKEND.give(&key, "crowded", &open());
        BACKEND.fail_resolve(&key, Fault::Hold);
        let mut waiting = JoinSet::new();
        for client in 0..100 {
            let mut connection = Connection::open(gate().await.address(), Http::BOTH[client % 2]).await;
            let call = Call::get("/a").bearer(&key);
            waiting.spawn(async move { connection.send(call).await.unwrap() });
        }
        let active = async || gate().await.stat("http.gate.downstream_rq_active").await;
        until("all to wait", LIMIT, async || (active().await >= 100).then_some(())).await;
        BACKEND.heal_resolve(&key);
        for answer in waiting.join_all().await {
            answer.assert_admitted();
        }
        assert!((1..=WORKERS).contains(&BACKEND.resolves(&key)), "{}", BACKEND.resolves(&key));
    });
}

#[test]
fn the_upstream_is_told_who_asks() {
    run(async {
        let key = key("identified");
        BACKEND.give(&key, "identified", &tier("gold", &[]));
        for http in Http::BOTH {
            let call = Call::get("/a").bearer(&key).header("x-consumer-id", "root").header("x-consumer-tier", "best");
            let answer = call.header("x-case", "identified").send(gate().await, http).await;
            assert_eq!(answer.upstream_saw("x-consumer-id"), ["identified"]);
            assert_eq!(answer.upstream_saw("x-consumer-tier"), ["gold"]);
            assert_eq!(answer.upstream_saw("x-credential-id"), ["identified-1"]);
            assert!(answer.upstream_saw("authorization").is_empty());
        }
        let logged = gate().await.access_log("identified", 2).await;
        let told = json!([logged[0]["consumer"], logged[0]["credential"], logged[0]["tier"], logged[0]["verdict"]]);
        assert_eq!(told, json!(["identified", "identified-1", "gold", "admitted"]));
    });
}

#[test]
fn the_tiers_limits_hold_over_all_workers_and_all_keys_of_a_consumer() {
    run(async {
        for key in [key("limited"), key("limited-too")] {
            BACKEND.give(&key, "limited", &tier("twelve", &[hourly(12)]));
        }
        let keys = [key("limited"), key("limited-too")];
        let spent =
            Crowd { clients: 20, requests: 4 }.spend(gate().await, move |client, _| Call::get("/a").bearer(&keys[client / 2 % 2])).await;
        assert_eq!(spent.count(), 12);
        let refused = get(&key("limited"), Http::One).await;
        refused.assert_denied(429, "rate_limited");
        assert_eq!((refused.number("x-ratelimit-limit"), refused.number("x-ratelimit-remaining")), (12, 0));
    });
}

#[test]
fn a_consumer_of_the_configuration_and_one_of_the_backend_are_two() {
    run(async {
        BACKEND.give(&key("resolved"), "namesake", &tier("hourly", &[hourly(3)]));
        for (key, burst) in [(key("configured"), 2), (key("resolved"), 3)] {
            for turn in 0..burst {
                let answer = get(&key, Http::BOTH[turn % 2]).await;
                assert_eq!(answer.upstream_saw("x-consumer-id"), ["namesake"]);
                assert_eq!(answer.number("x-ratelimit-limit"), burst as u64);
            }
            get(&key, Http::One).await.assert_denied(429, "rate_limited");
        }
        assert_eq!(BACKEND.resolves(&key("configured")), 0);
    });
}

#[test]
fn a_key_that_ends_by_itself_is_refused_without_another_question() {
    run(async {
        let (key, life) = (key("passing"), Duration::from_millis(900));
        let given = Instant::now();
        BACKEND.give_for(life, &key, "passing", &open());
        let (call, mut workers) = (Call::get("/a").bearer(&key), EveryWorker::of(gate().await).await);
        workers.send(&call).await.iter().for_each(Answer::assert_admitted);
        assert!(given.elapsed() < life, "too slow a machine for so short a life");
        let resolves = BACKEND.resolves(&key);
        workers.until("the key to end", &call, |answer| !answer.reached_upstream()).await;
        assert!(given.elapsed() >= life, "it ended early");
        assert!(given.elapsed() < life + Duration::from_secs(1), "it ended late: {:?}", given.elapsed());
        workers.send(&call).await.iter().for_each(|answer| answer.assert_denied(401, "invalid_key"));
        assert_eq!(BACKEND.resolves(&key), resolves);
    });
}

#[test]
fn an_unknown_key_is_refused_and_asked_about_again_only_after_ten_seconds() {
    run(async {
        let key = key("early");
        let began = Instant::now();
        for _ in 0..10 {
            for http in Http::BOTH {
                get(&key, http).await.assert_denied(401, "invalid_key");
            }
        }
        let resolves = BACKEND.resolves(&key);
        assert!((1..=WORKERS).contains(&resolves), "{resolves}");
        // It comes to be known meanwhile.
        BACKEND.give(&key, "early", &open());
        until("the key to be asked about again", LIMIT, async || get(&key, Http::One).await.reached_upstream().then_some(())).await;
        assert!(began.elapsed() >= Duration::from_secs(10), "forgotten after {:?}", began.elapsed());
    });
}
