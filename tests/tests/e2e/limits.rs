//! What limits count, whom they count it to, and when they give back.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tollgate_tests::plugin::{bucket, consumer, hash, hourly, key, tier, window};
use tollgate_tests::{Answer, Call, Connection, Http, Setup, Shared, Upstream, run, until};

fn plugin() -> Value {
    let hourly = |burst| hourly(burst);
    let mut of_b = bucket("of-b", 1, "3600s", 1);
    of_b["routes"] = json!(["b"]);
    let mut shadow = hourly(1);
    shadow["shadow"] = json!(true);
    let tiers = [
        ("refilling", vec![bucket("quick", 1, "2s", 2)]),
        ("sliding", vec![window("short", 3, "2s")]),
        ("both", vec![hourly(3), of_b]),
        ("first", vec![hourly(2)]),
        ("second", vec![hourly(2)]),
        ("costly", vec![hourly(10)]),
        ("success-only", vec![hourly(2)]),
        ("not-found-too", vec![hourly(2)]),
        ("dead", vec![hourly(2)]),
        ("shadow", vec![shadow]),
        ("unreached", vec![hourly(1)]),
    ];
    let mut consumers: Vec<_> = tiers.iter().map(|(name, _)| consumer(name, name, &key(name))).collect();
    let keys = json!([{"id": "one", "hash": hash("team-key-one")}, {"id": "two", "hash": hash("team-key-two")}]);
    consumers.push(json!({"id": "team", "tier": "first", "keys": keys}));
    let route = |name: &str, more: Value| {
        let mut route = json!({"name": name, "match": {"prefix": format!("/{name}")}});
        route.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        route
    };
    json!({
        "tiers": tiers.iter().map(|(name, limits)| tier(name, limits)).collect::<Vec<_>>(),
        "consumers": consumers,
        "routes": [
            route("a", json!({})),
            route("b", json!({})),
            route("costly", json!({"cost": 4})),
            route("success-only", json!({"charge_when": ["2xx"]})),
            route("not-found-too", json!({"charge_when": ["2xx", "404"]})),
            route("dead", json!({"charge_when": ["2xx", "3xx", "4xx"]})),
        ],
    })
}

static GATE: Shared = Shared::new(|| Setup::new("limits", &plugin()));

async fn get(path: &str, consumer: &str, http: Http) -> Answer {
    Call::get(path).bearer(&key(consumer)).send(GATE.get().await, http).await
}

#[test]
fn a_bucket_throttles_after_its_burst_and_recovers_after_one_refill() {
    run(async {
        let started = Instant::now();
        get("/a", "refilling", Http::One).await.assert_admitted();
        get("/a", "refilling", Http::Two).await.assert_admitted();
        let refused = get("/a", "refilling", Http::One).await;
        refused.assert_denied(429, "rate_limited");
        let wait = refused.number("retry-after");
        assert!((1..=2).contains(&wait), "{refused:?}");
        // A little more than promised, for the machine.
        until("one unit to come back", Duration::from_secs(wait + 2), async || {
            get("/a", "refilling", Http::Two).await.reached_upstream().then_some(())
        })
        .await;
        // The first unit was spent after the start, and a whole one takes two seconds.
        assert!(started.elapsed() >= Duration::from_millis(1990), "{:?}", started.elapsed());
        get("/a", "refilling", Http::One).await.assert_denied(429, "rate_limited");
    });
}

#[test]
fn a_window_never_admits_more_than_its_rate_in_any_period() {
    run(async {
        let mut connection = Connection::open(GATE.get().await.address(), Http::Two).await;
        let mut admitted = Vec::new();
        // Asks as fast as it can, until the window has slid on several times.
        while admitted.len() < 10 {
            let asked = Instant::now();
            let answer = connection.send(Call::get("/a").bearer(&key("sliding"))).await.unwrap();
            if answer.reached_upstream() {
                admitted.push((asked, Instant::now()));
            } else {
                answer.assert_denied(429, "rate_limited");
                assert!((1..=3).contains(&answer.number("retry-after")), "{answer:?}");
            }
        }
        assert!(admitted[2].1 - admitted[0].0 < Duration::from_secs(2), "the whole rate may be spent at once");
        // Each unit was spent between its two times, and the fourth after any comes a period later.
        for (first, fourth) in admitted.iter().zip(&admitted[3..]) {
            let apart = fourth.1 - first.0;
            assert!(apart >= Duration::from_millis(1990), "four within {apart:?}");
        }
    });
}

#[test]
fn a_refusal_by_one_limit_spends_nothing_of_the_others() {
    run(async {
        get("/b", "both", Http::One).await.assert_admitted();
        for http in Http::BOTH {
            for _ in 0..3 {
                get("/b", "both", http).await.assert_denied(429, "rate_limited");
            }
        }
        get("/a", "both", Http::One).await.assert_admitted();
        get("/a", "both", Http::Two).await.assert_admitted();
        get("/a", "both", Http::One).await.assert_denied(429, "rate_limited");
    });
}

#[test]
fn consumers_do_not_share_their_limits_but_a_consumers_keys_do() {
    run(async {
        for consumer in ["first", "second"] {
            get("/a", consumer, Http::One).await.assert_admitted();
            get("/a", consumer, Http::Two).await.assert_admitted();
            get("/a", consumer, Http::One).await.assert_denied(429, "rate_limited");
        }
        for team_key in ["team-key-one", "team-key-two"] {
            Call::get("/a").bearer(team_key).send(GATE.get().await, Http::Two).await.assert_admitted();
        }
        for team_key in ["team-key-one", "team-key-two"] {
            Call::get("/a").bearer(team_key).send(GATE.get().await, Http::One).await.assert_denied(429, "rate_limited");
        }
    });
}

#[test]
fn a_costly_request_is_refused_while_a_cheap_one_still_passes() {
    run(async {
        get("/costly", "costly", Http::One).await.assert_admitted();
        get("/costly", "costly", Http::Two).await.assert_admitted();
        get("/costly", "costly", Http::One).await.assert_denied(429, "rate_limited");
        get("/a", "costly", Http::Two).await.assert_admitted();
        get("/a", "costly", Http::One).await.assert_admitted();
        get("/a", "costly", Http::Two).await.assert_denied(429, "rate_limited");
    });
}

#[test]
fn responses_that_are_not_charged_give_their_units_back() {
    run(async {
        for http in Http::BOTH {
            for _ in 0..4 {
                for status in [500, 404, 301] {
                    let answer = get(&format!("/success-only/status/{status}"), "success-only", http).await;
                    assert_eq!(answer.status, status);
                    answer.assert_admitted();
                }
            }
        }
        get("/success-only/x", "success-only", Http::One).await.assert_admitted();
        get("/success-only/status/201", "success-only", Http::Two).await.assert_admitted();
        get("/success-only/x", "success-only", Http::One).await.assert_denied(429, "rate_limited");
        get("/success-only/status/500", "success-only", Http::One).await.assert_denied(429, "rate_limited");
    });
}

#[test]
fn single_statuses_can_be_charged_too() {
    run(async {
        for _ in 0..4 {
            get("/not-found-too/status/403", "not-found-too", Http::One).await.assert_admitted();
        }
        get("/not-found-too/status/404", "not-found-too", Http::One).await.assert_admitted();
        get("/not-found-too/status/404", "not-found-too", Http::Two).await.assert_admitted();
        get("/not-found-too/x", "not-found-too", Http::Two).await.assert_denied(429, "rate_limited");
    });
}

#[test]
fn the_routers_own_error_gives_back_like_the_upstreams() {
    run(async {
        for http in Http::BOTH {
            for _ in 0..4 {
                let answer = get("/dead/x", "dead", http).await;
                assert_eq!((answer.status.as_u16(), answer.number("x-ratelimit-remaining")), (503, 2), "{answer:?}");
            }
        }
    });
}

#[test]
fn a_shadow_limit_never_refuses() {
    run(async {
        for http in Http::BOTH {
            for _ in 0..5 {
                get("/a", "shadow", http).await.assert_admitted();
            }
        }
        GATE.get().await.until_stat("tollgate_shadow_refusals", 9).await;
    });
}

#[test]
fn limited_requests_never_reach_the_upstream() {
    run(async {
        get("/once-only", "unreached", Http::One).await.assert_admitted();
        for http in Http::BOTH {
            get("/once-only", "unreached", http).await.assert_denied(429, "rate_limited");
        }
        assert_eq!(Upstream::shared().seen("/once-only").len(), 1);
    });
}
