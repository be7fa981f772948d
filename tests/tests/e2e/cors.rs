//! Denials carry what a browser needs to show them to the page that asked.

use serde_json::{Value, json};
use tollgate_tests::plugin::{ACME, consumer, hourly, tier};
use tollgate_tests::{Answer, Call, Http, Setup, Shared, run};

const APP: &str = "https://app.example.com";

fn plugin() -> Value {
    let route = |name: &str, cors: Value| json!({"name": name, "match": {"prefix": format!("/{name}")}, "cors": cors});
    json!({
        "tiers": [tier("tight", &[hourly(1)])],
        "consumers": [consumer("acme", "tight", ACME)],
        "routes": [
            route("listed", json!({"origins": [APP, "https://other.example.com"]})),
            route("any", json!({"origins": ["*"]})),
            route("cookies", json!({"origins": [APP], "credentials": true})),
        ],
    })
}

static GATE: Shared = Shared::new(|| Setup::new("cors", &plugin()));

async fn refused(path: &str, origin: &str, http: Http) -> Answer {
    let answer = Call::get(path).header("origin", origin).send(GATE.get().await, http).await;
    answer.assert_denied(401, "unauthenticated");
    answer
}

fn assert_silent(answer: &Answer) {
    for name in answer.headers.keys() {
        assert!(!name.as_str().starts_with("access-control-"), "{name}: {answer:?}");
    }
}

fn varies_by_origin(answer: &Answer) -> bool {
    answer.header("vary").is_some_and(|vary| vary.to_lowercase().contains("origin"))
}

#[test]
fn a_listed_origin_may_read_the_denial() {
    run(async {
        for http in Http::BOTH {
            for origin in [APP, "https://other.example.com"] {
                let answer = refused("/listed", origin, http).await;
                assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
                assert!(varies_by_origin(&answer), "{answer:?}");
                let exposed = answer.header("access-control-expose-headers").expect("exposed headers").to_lowercase();
                for name in ["retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
                    assert!(exposed.contains(name), "{name} in {exposed}");
                }
                assert!(answer.header("access-control-allow-credentials").is_none());
            }
        }
    });
}

#[test]
fn other_origins_may_not() {
    run(async {
        let origins = ["https://evil.example.com", "http://app.example.com", "null", "https://app.example.com.evil.net", ""];
        for http in Http::BOTH {
            for origin in origins {
                assert_silent(&refused("/listed", origin, http).await);
            }
            assert_silent(&refused("/elsewhere", APP, http).await);
            let without = Call::get("/listed").send(GATE.get().await, http).await;
            without.assert_denied(401, "unauthenticated");
            assert_silent(&without);
        }
    });
}

#[test]
fn a_star_stands_for_every_origin() {
    run(async {
        for http in Http::BOTH {
            let answer = refused("/any", "https://whoever.example.net", http).await;
            let allowed = answer.header("access-control-allow-origin");
            assert!(matches!(allowed, Some("*" | "https://whoever.example.net")), "{allowed:?}");
        }
    });
}

#[test]
fn credentials_are_allowed_where_the_route_says_so() {
    run(async {
        for http in Http::BOTH {
            let answer = refused("/cookies", APP, http).await;
            assert_eq!(answer.header("access-control-allow-origin"), Some(APP));
            assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        }
    });
}

#[test]
fn every_kind_of_denial_carries_them() {
    run(async {
        Call::get("/listed").bearer(ACME).send(GATE.get().await, Http::One).await.assert_admitted();
        let denials = [
            (429, Call::get("/listed").bearer(ACME)),
            (401, Call::get("/listed").bearer("unknown")),
            (400, Call::get("/listed").bearer(ACME).api_key("other")),
        ];
        for (status, call) in denials {
            for http in Http::BOTH {
                let answer = call.clone().header("origin", APP).send(GATE.get().await, http).await;
                assert_eq!(answer.status, status);
                assert_eq!(answer.header("access-control-allow-origin"), Some(APP));
                assert!(varies_by_origin(&answer), "{answer:?}");
            }
        }
    });
}
