//! Limits hold to the unit, however many clients, workers and versions of HTTP spend at once.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tollgate_tests::plugin::{bucket, consumer, hourly, key, tier, window};
use tollgate_tests::{Call, Connection, Http, Setup, Shared, run};

const CLIENTS: usize = 200;

fn plugin() -> Value {
    let tiers = [
        ("slow-bucket", hourly(100)),
        ("bucket", bucket("per-second", 10, "1s", 100)),
        ("window", window("hourly", 100, "3600s")),
        ("costly", hourly(100)),
        ("many-1", hourly(30)),
        ("many-2", window("hourly", 30, "3600s")),
        ("many-3", hourly(30)),
        ("anonymous", hourly(100)),
    ];
    json!({
        "tiers": tiers.iter().map(|(name, limit)| tier(name, std::slice::from_ref(limit))).collect::<Vec<_>>(),
        "consumers": tiers.iter().map(|(name, _)| consumer(name, name, &key(name))).collect::<Vec<_>>(),
        "routes": [
            {"name": "costly", "match": {"prefix": "/costly"}, "cost": 7},
            {"name": "anonymous", "match": {"prefix": "/anonymous"}, "auth": "none", "anonymous_tier": "anonymous"},
        ],
    })
}

static GATE: Shared = Shared::new(|| Setup::new("exactness", &plugin()));

/// Clients that start at once, each on a connection of its own, half of them by either version of HTTP;
/// returns how many of their requests were admitted, and in what time. All others must be 429.
async fn spend(clients: usize, requests: usize, call: impl Fn(usize) -> Call) -> (u64, Duration) {
    let gate = GATE.get().await;
    let start = Arc::new(Barrier::new(clients + 1));
    let mut running = JoinSet::new();
    for client in 0..clients {
        let (start, call) = (Arc::clone(&start), call(client));
        let mut connection = Connection::open(gate.address(), Http::BOTH[client % 2]).await;
        running.spawn(async move {
            start.wait().await;
            let mut admitted = 0;
            for _ in 0..requests {
                let answer = connection.send(call.clone()).await.expect("an answer");
                match answer.status.as_u16() {
                    200 => admitted += 1,
                    429 => answer.assert_denied(429, "rate_limited"),
                    _ => panic!("neither admitted nor limited: {answer:?}"),
                }
            }
            admitted
        });
    }
    let began = Instant::now();
    start.wait().await;
    let admitted = running.join_all().await.into_iter().sum();
    (admitted, began.elapsed())
}

#[test]
fn a_bucket_that_does_not_refill_admits_its_burst_exactly() {
    run(async {
        let (admitted, _) = spend(CLIENTS, 3, |_| Call::get("/a").bearer(&key("slow-bucket"))).await;
        assert_eq!(admitted, 100);
    });
}

#[test]
fn a_bucket_admits_its_burst_and_what_refills_meanwhile_and_no_more() {
    run(async {
        let (admitted, took) = spend(CLIENTS, 10, |_| Call::get("/a").bearer(&key("bucket"))).await;
        let refilled = u64::try_from(took.as_millis() * 10 / 1000).unwrap();
        assert!((100..=100 + refilled).contains(&admitted), "{admitted} in {took:?}");
    });
}

#[test]
fn a_window_admits_its_rate_exactly() {
    run(async {
        let (admitted, _) = spend(CLIENTS, 3, |_| Call::get("/a").bearer(&key("window"))).await;
        assert_eq!(admitted, 100);
    });
}

#[test]
fn costs_are_charged_whole_or_not_at_all() {
    run(async {
        let (admitted, _) = spend(CLIENTS, 1, |_| Call::get("/costly").bearer(&key("costly"))).await;
        assert_eq!(admitted, 14);
        // Two units are left, exactly.
        let (admitted, _) = spend(10, 1, |_| Call::get("/a").bearer(&key("costly"))).await;
        assert_eq!(admitted, 2);
    });
}

#[test]
fn consumers_that_spend_at_the_same_time_each_get_theirs() {
    run(async {
        let call = |client| Call::get("/a").bearer(&key(["many-1", "many-2", "many-3"][client / 2 % 3]));
        let (admitted, _) = spend(CLIENTS, 3, call).await;
        assert_eq!(admitted, 90);
    });
}

#[test]
fn one_address_without_a_key_gets_its_tier_exactly() {
    run(async {
        let (admitted, _) = spend(CLIENTS, 2, |_| Call::get("/anonymous")).await;
        assert_eq!(admitted, 100);
    });
}
