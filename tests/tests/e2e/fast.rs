//! Rates so fast that a worker may hold units of its own: they too are never exceeded, and nothing held is lost for good.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_tests::plugin::{bucket, consumer, key, tier, window};
use tollgate_tests::{Call, Crowd, Http, Setup, Shared, run, until};

const CROWD: Crowd = Crowd { clients: 50, requests: 800 };
const BURST: u64 = 500;
const RATE: u64 = 1000;
const PERIOD: Duration = Duration::from_millis(600);

fn plugin() -> Value {
    let fast = |name| bucket(name, 1000, "1s", 500);
    let tiers = [
        ("bucket", vec![fast("bucket")]),
        ("costly", vec![fast("bucket")]),
        ("refunded", vec![fast("bucket")]),
        ("window", vec![window("window", 500, "600ms")]),
        ("both", vec![fast("bucket"), window("window", 300, "600ms")]),
    ];
    json!({
        "tiers": tiers.iter().map(|(name, limits)| tier(name, limits)).collect::<Vec<_>>(),
        "consumers": tiers.iter().map(|(name, _)| consumer(name, name, &key(name))).collect::<Vec<_>>(),
        "routes": [
            {"name": "costly", "match": {"prefix": "/costly"}, "cost": 3},
            {"name": "refunded", "match": {"prefix": "/refunded"}, "charge_when": ["2xx"]},
        ],
    })
}

static GATE: Shared = Shared::new(|| Setup::new("fast", &plugin()));

#[test]
fn a_fast_bucket_admits_its_burst_and_rate_and_is_full_again_when_left_alone() {
    run(async {
        let gate = GATE.get().await;
        let call = || Call::get("/a").bearer(&key("bucket"));
        let spent = CROWD.spend(gate, move |_, _| call()).await;
        let most = BURST + spent.refilled(RATE);
        assert!((BURST..=most).contains(&spent.count()), "{} of {most} in {:?}", spent.count(), spent.took);
        until("what workers held to come back", Duration::from_secs(10), async || {
            let answer = call().send(gate, Http::One).await;
            (answer.number("x-ratelimit-remaining") == BURST - 1).then_some(())
        })
        .await;
    });
}

#[test]
fn a_fast_bucket_is_charged_the_whole_cost() {
    run(async {
        let spent = CROWD.spend(GATE.get().await, |_, _| Call::get("/costly").bearer(&key("costly"))).await;
        let most = BURST + spent.refilled(RATE);
        assert!((BURST - 2..=most).contains(&(3 * spent.count())), "3 × {} of {most} in {:?}", spent.count(), spent.took);
    });
}

#[test]
fn units_given_back_are_not_given_back_twice() {
    run(async {
        let paths = ["/refunded/a", "/refunded/status/500", "/refunded/status/404"];
        let call = move |client, request| Call::get(paths[(client + request) % 3]).bearer(&key("refunded"));
        let spent = CROWD.spend(GATE.get().await, call).await;
        let charged = spent.admitted.iter().filter(|one| one.status == 200).count() as u64;
        let most = BURST + spent.refilled(RATE);
        assert!(charged <= most, "{charged} of {most} in {:?}", spent.took);
        assert!(spent.count() > charged, "nothing but charged requests was admitted");
    });
}

#[test]
fn a_fast_window_admits_no_more_than_its_rate_in_any_period() {
    run(async {
        let spent = CROWD.spend(GATE.get().await, |_, _| Call::get("/a").bearer(&key("window"))).await;
        let within = spent.most_within(PERIOD);
        assert!(within <= 500, "{within} within {PERIOD:?}");
        assert!(spent.count() >= 500, "only {} in {:?}", spent.count(), spent.took);
    });
}

#[test]
fn of_two_fast_limits_neither_is_exceeded() {
    run(async {
        let spent = CROWD.spend(GATE.get().await, |_, _| Call::get("/a").bearer(&key("both"))).await;
        let within = spent.most_within(PERIOD);
        assert!(within <= 300, "{within} within {PERIOD:?}");
        assert!(spent.count() <= BURST + spent.refilled(RATE));
        assert!(spent.count() >= 300, "only {} in {:?}", spent.count(), spent.took);
    });
}
