//! What the feed of changes does to keys that workers know already.

use std::time::Duration;

use serde_json::json;
use tollgate_tests::plugin::{hourly, key, tier};
use tollgate_tests::{Answer, Call, Connection, EveryWorker, Fault, Http, run, until};

use super::backend_shared::{BACKEND, gate, get, open};

const LIMIT: Duration = Duration::from_secs(20);

fn has_tier(tier: &str) -> impl Fn(&Answer) -> bool {
    move |answer| answer.upstream_saw("x-consumer-tier") == [tier]
}

#[test]
fn another_tier_of_a_consumer_is_in_force_without_another_question() {
    run(async {
        let (key, mut workers) = (key("promoted"), EveryWorker::of(gate().await).await);
        BACKEND.give(&key, "promoted", &tier("small", &[hourly(50)]));
        let call = Call::get("/a").bearer(&key);
        for answer in workers.send(&call).await {
            assert!(has_tier("small")(&answer) && answer.number("x-ratelimit-limit") == 50, "{answer:?}");
        }
        let resolves = BACKEND.resolves(&key);
        BACKEND.set_tier("promoted", &tier("big", &[hourly(5_000)]));
        workers.until("the new tier", &call, has_tier("big")).await;
        for answer in workers.send(&call).await {
            assert!(has_tier("big")(&answer) && answer.number("x-ratelimit-limit") == 5_000, "{answer:?}");
        }
        assert_eq!(BACKEND.resolves(&key), resolves);
    });
}

#[test]
fn another_form_of_a_tier_is_in_force_for_all_who_have_it() {
    run(async {
        let (keys, mut workers) = ([key("grown"), key("grown-too")], EveryWorker::of(gate().await).await);
        for (key, consumer) in keys.iter().zip(["grown", "grown-too"]) {
            BACKEND.give(key, consumer, &tier("growing", &[hourly(40)]));
            workers.send(&Call::get("/a").bearer(key)).await.iter().for_each(|answer| assert_eq!(answer.number("x-ratelimit-limit"), 40));
        }
        let resolves = keys.clone().map(|key| BACKEND.resolves(&key));
        BACKEND.change_tier(&tier("growing", &[hourly(4_000)]));
        for key in &keys {
            workers.until("the tier's new form", &Call::get("/a").bearer(key), |answer| answer.number("x-ratelimit-limit") == 4_000).await;
        }
        assert_eq!(keys.map(|key| BACKEND.resolves(&key)), resolves);
    });
}

#[test]
fn a_lowered_limit_counts_what_was_spent_before() {
    run(async {
        let key = key("demoted");
        BACKEND.give(&key, "demoted", &tier("shrinking", &[hourly(20)]));
        for turn in 0..6 {
            get(&key, Http::BOTH[turn % 2]).await.assert_admitted();
        }
        BACKEND.change_tier(&tier("shrinking", &[hourly(4)]));
        let mut workers = EveryWorker::of(gate().await).await;
        workers.until("the lower limit", &Call::get("/a").bearer(&key), |answer| answer.status == 429).await;
    });
}

#[test]
fn a_revoked_key_is_refused_and_the_consumers_other_key_is_not() {
    run(async {
        let (first, second) = (key("halved"), key("halved-too"));
        let mut workers = EveryWorker::of(gate().await).await;
        for key in [&first, &second] {
            BACKEND.give(key, "halved", &open());
            workers.send(&Call::get("/a").bearer(key)).await.iter().for_each(Answer::assert_admitted);
        }
        let resolves = [&first, &second].map(|key| BACKEND.resolves(key));
        BACKEND.revoke(&first);
        workers.until("the revocation", &Call::get("/a").bearer(&first), |answer| answer.status == 401).await;
        workers.send(&Call::get("/a").bearer(&second)).await.iter().for_each(Answer::assert_admitted);
        assert_eq!([&first, &second].map(|key| BACKEND.resolves(key)), resolves, "a revoked key never comes back");
    });
}

#[test]
fn a_disabled_consumer_is_refused_by_all_its_keys_and_comes_back() {
    run(async {
        let keys = [key("suspended"), key("suspended-too")];
        let mut workers = EveryWorker::of(gate().await).await;
        for key in &keys {
            BACKEND.give(key, "suspended", &open());
            workers.send(&Call::get("/a").bearer(key)).await.iter().for_each(Answer::assert_admitted);
        }
        BACKEND.disable("suspended", true);
        for key in &keys {
            workers.until("the consumer to be refused", &Call::get("/a").bearer(key), |answer| answer.status == 401).await;
        }
        BACKEND.disable("suspended", false);
        for key in &keys {
            // What was refused stays so for ten seconds at most.
            workers.until("the consumer to be back", &Call::get("/a").bearer(key), Answer::reached_upstream).await;
        }
    });
}

/// Holds a key's answer back until the worker has carried out a change that the answer does not know of.
async fn answer_overtaken(consumer: &str, change: impl FnOnce()) -> Answer {
    let key = key(consumer);
    BACKEND.fail_resolve(&key, Fault::Hold);
    let mut connection = Connection::open(gate().await.address(), Http::Two).await;
    let call = Call::get("/a").bearer(&key);
    let waiting = tokio::spawn(async move { connection.send(call).await.unwrap() });
    until("the key to be asked about", LIMIT, async || (BACKEND.resolves(&key) == 1).then_some(())).await;
    change();
    BACKEND.until_followed(gate().await).await;
    BACKEND.heal_resolve(&key);
    let answer = waiting.await.unwrap();
    assert_eq!(BACKEND.resolves(&key), 2, "an answer from before the change was believed");
    answer
}

#[test]
fn an_answer_older_than_a_change_is_asked_for_again() {
    run(async {
        BACKEND.give(&key("overtaken"), "overtaken", &tier("before", &[]));
        let answer = answer_overtaken("overtaken", || BACKEND.set_tier("overtaken", &tier("after", &[]))).await;
        assert!(has_tier("after")(&answer), "{answer:?}");

        BACKEND.give(&key("overtaken-twice"), "overtaken-twice", &open());
        let revoke = || {
            BACKEND.revoke(&key("overtaken-twice"));
        };
        let answer = answer_overtaken("overtaken-twice", revoke).await;
        answer.assert_denied(401, "invalid_key");

        BACKEND.give(&key("overtaken-thrice"), "overtaken-thrice", &open());
        let answer = answer_overtaken("overtaken-thrice", || BACKEND.disable("overtaken-thrice", true)).await;
        answer.assert_denied(401, "invalid_key");
    });
}

#[test]
fn changes_of_what_no_worker_knows_do_no_harm() {
    run(async {
        let (key, mut workers) = (key("bystander"), EveryWorker::of(gate().await).await);
        BACKEND.give(&key, "bystander", &open());
        let call = Call::get("/a").bearer(&key);
        workers.send(&call).await.iter().for_each(Answer::assert_admitted);
        let resolves = BACKEND.resolves(&key);
        BACKEND.push([
            json!({"credential": {"id": "nobodys", "gone": true}}),
            json!({"credential": {"id": "nobodys-either"}}),
            json!({"consumer": {"id": "nobody"}}),
            json!({"consumer": {"id": "nobody-either", "tier": {"name": "unheard", "limits": []}}}),
            json!({"tier": {"name": "unheard-of", "limits": [hourly(1)]}, "of_a_later_version": 1}),
        ]);
        BACKEND.until_followed(gate().await).await;
        workers.send(&call).await.iter().for_each(Answer::assert_admitted);
        assert_eq!(BACKEND.resolves(&key), resolves);
    });
}
