//! Limits hold to the unit, however many clients, workers and versions of HTTP spend at once.

use serde_json::{Value, json};
use tollgate_tests::plugin::{bucket, consumer, hourly, key, tier, window};
use tollgate_tests::{Call, Crowd, Setup, Shared, run};

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

/// How many are admitted of a crowd's requests, each client with a call of its own.
async fn admitted(clients: usize, requests: usize, call: impl Fn(usize) -> Call + Send + Sync + 'static) -> u64 {
    let crowd = Crowd { clients, requests };
    crowd.spend(GATE.get().await, move |client, _| call(client)).await.count()
}

#[test]
fn a_bucket_that_does_not_refill_admits_its_burst_exactly() {
    run(async {
        assert_eq!(admitted(CLIENTS, 3, |_| Call::get("/a").bearer(&key("slow-bucket"))).await, 100);
    });
}

#[test]
fn a_bucket_admits_its_burst_and_what_refills_meanwhile_and_no_more() {
    run(async {
        let crowd = Crowd { clients: CLIENTS, requests: 10 };
        let spent = crowd.spend(GATE.get().await, |_, _| Call::get("/a").bearer(&key("bucket"))).await;
        assert!((100..=100 + spent.refilled(10)).contains(&spent.count()), "{} in {:?}", spent.count(), spent.took);
    });
}

#[test]
fn a_window_admits_its_rate_exactly() {
    run(async {
        assert_eq!(admitted(CLIENTS, 3, |_| Call::get("/a").bearer(&key("window"))).await, 100);
    });
}

#[test]
fn costs_are_charged_whole_or_not_at_all() {
    run(async {
        assert_eq!(admitted(CLIENTS, 1, |_| Call::get("/costly").bearer(&key("costly"))).await, 14);
        // Two units are left, exactly.
        assert_eq!(admitted(10, 1, |_| Call::get("/a").bearer(&key("costly"))).await, 2);
    });
}

#[test]
fn consumers_that_spend_at_the_same_time_each_get_theirs() {
    run(async {
        let call = |client| Call::get("/a").bearer(&key(["many-1", "many-2", "many-3"][client / 2 % 3]));
        assert_eq!(admitted(CLIENTS, 3, call).await, 90);
    });
}

#[test]
fn one_address_without_a_key_gets_its_tier_exactly() {
    run(async {
        assert_eq!(admitted(CLIENTS, 2, |_| Call::get("/anonymous")).await, 100);
    });
}
