//! Rates over several gates and one backend: one rate, whoever asks where.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_tests::load::Sent;
use tollgate_tests::{Answer, EveryWorker, Load, run, until};

use super::leases::{LIMIT, admitted, call, one, world};

pub(super) fn rate(algorithm: &str, rate: u64, per: &str, more: &Value) -> Value {
    let mut limit = json!({"name": "all", "algorithm": algorithm, "rate": rate, "per": per, "scope": "global"});
    limit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    limit
}

/// What was admitted, by when it was asked for.
fn in_order(seen: &[Vec<Sent>]) -> Vec<&Sent> {
    let mut admitted: Vec<&Sent> = seen.iter().flatten().filter(|sent| sent.answer.reached_upstream()).collect();
    admitted.sort_by_key(|sent| sent.asked);
    admitted
}

/// How long it has been since the first request was admitted.
fn lasted(seen: &[Vec<Sent>]) -> Duration {
    let admitted = in_order(seen);
    let last = seen.iter().flatten().map(|sent| sent.answered).max();
    admitted.first().zip(last).map_or(Duration::ZERO, |(first, last)| last - first.asked)
}

/// Fails where more was admitted in any time than a bucket has for it, and two seconds.
pub(super) fn assert_bucket(seen: &[Vec<Sent>], rate: f64, burst: f64) {
    let admitted = in_order(seen);
    for (first, from) in admitted.iter().enumerate().step_by(7) {
        for (more, to) in admitted.iter().enumerate().skip(first) {
            let most = burst + rate * ((to.answered - from.asked).as_secs_f64() + 2.0);
            let count = more - first + 1;
            assert!(count as f64 <= most, "{count} admitted in {:?}; at most {most}", to.answered - from.asked);
        }
    }
}

#[test]
fn a_bucket_over_three_gates_is_one_bucket_and_is_used_in_full() {
    const RATE: f64 = 200.0;
    const BURST: f64 = 400.0;
    run(async {
        let bucket = rate("token_bucket", 200, "1s", &json!({"burst": 400}));
        let (_backend, gates, key) = world("leases-bucket", &json!([bucket]), 3).await;
        let answer = one(&gates[0], &key).await;
        answer.assert_admitted();
        assert_eq!((answer.number("x-ratelimit-limit"), answer.header("ratelimit-policy")), (400, Some("\"all\";q=400;w=2")));
        let load = Load::start(&gates.iter().collect::<Vec<_>>(), 2, &call(&key));
        until("six seconds", LIMIT, async || (lasted(&load.seen()) >= Duration::from_secs(6)).then_some(())).await;
        let seen = load.stop().await;
        assert_bucket(&seen, RATE, BURST);
        let used = in_order(&seen).len() as f64 / (BURST + RATE * lasted(&seen).as_secs_f64());
        assert!(used >= 0.7, "{used} of what there was");
        let refused = seen.iter().flatten().find(|sent| !sent.answer.reached_upstream()).unwrap();
        refused.answer.assert_denied(429, "rate_limited");
        for gate in &gates {
            gate.assert_untrapped().await;
        }
    });
}

#[test]
fn no_window_over_three_gates_admits_more_than_its_limit() {
    const LIMIT_OF_WINDOW: usize = 60;
    const WINDOW: Duration = Duration::from_secs(10);
    run(async {
        let window = rate("sliding_window", 60, "10s", &json!({}));
        let (_backend, gates, key) = world("leases-window", &json!([window]), 3).await;
        let load = Load::start(&gates.iter().collect::<Vec<_>>(), 2, &call(&key));
        until("the window to be spent", LIMIT, async || (admitted(&load.seen()) >= 60).then_some(())).await;
        until("units of the next", LIMIT, async || (admitted(&load.seen()) >= 90).then_some(())).await;
        let seen = load.stop().await;
        let admitted = in_order(&seen);
        for (first, last) in admitted.iter().zip(admitted.iter().skip(LIMIT_OF_WINDOW)) {
            assert!(last.answered - first.asked >= WINDOW, "one too many in {:?}", last.answered - first.asked);
        }
    });
}

#[test]
fn without_the_backend_each_gate_has_the_rate_by_itself() {
    const RATE: u64 = 100;
    run(async {
        let bucket = rate("token_bucket", RATE, "1h", &json!({}));
        let (mut backend, gates, key) = world("leases-degraded", &json!([bucket]), 2).await;
        let mut known = 0;
        for gate in &gates {
            let answers = EveryWorker::of(gate).await.send(&call(&key)).await;
            answers.iter().for_each(Answer::assert_admitted);
            known += answers.len() as u64;
        }
        backend.kill();
        let load = Load::start(&gates.iter().collect::<Vec<_>>(), 1, &call(&key));
        until("both to be spent", LIMIT, async || (load.all_last(429) && admitted(&load.seen()) >= 2 * RATE).then_some(())).await;
        let seen = load.stop().await;
        // Besides its own rate each may spend what it was granted before, which is the one rate.
        assert!((2 * RATE..=3 * RATE - known).contains(&admitted(&seen)), "{known}, and {}", admitted(&seen));
        seen.iter()
            .flatten()
            .filter(|sent| !sent.answer.reached_upstream())
            .for_each(|sent| sent.answer.assert_denied(429, "rate_limited"));
    });
}
