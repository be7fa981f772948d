//! Which route a request falls under, and what a route may waive.

use serde_json::{Value, json};
use tollgate_tests::plugin::{ACME, bucket, consumer, tier};
use tollgate_tests::{Call, Http, RawRequest, Setup, Shared, run};

/// Routes without authentication show by being admitted that they matched: all else needs a key.
fn plugin() -> Value {
    let free = |name: &str, rule: Value| json!({"name": name, "match": rule, "auth": "none"});
    let once = bucket("once", 1, "3600s", 1);
    json!({
        "tiers": [tier("open", &[]), tier("once", &[once])],
        "consumers": [consumer("acme", "once", ACME)],
        "routes": [
            {"name": "health", "match": {"path": "/healthz"}, "exempt": true},
            {"name": "docs", "match": {"prefix": "/docs"}, "exempt": true},
            {"name": "closed-part", "match": {"prefix": "/v1/closed"}},
            free("v1", json!({"prefix": "/v1"})),
            {"name": "never", "match": {"prefix": "/v1/late"}},
            free("reading", json!({"prefix": "/methods", "methods": ["GET", "POST"]})),
            free("hosts", json!({"prefix": "/hosts", "hosts": ["api.example.com", "*.example.org"]})),
            free("user", json!({"template": "/users/{id}"})),
            free("report", json!({"regex": "^/reports/[0-9]+$"})),
            {"name": "preflight", "match": {"prefix": "/cors"}, "preflight": true, "auth": "optional", "anonymous_tier": "once"},
            {"name": "preflight-keyed", "match": {"prefix": "/keyed"}, "preflight": true},
            {"name": "optional", "match": {"prefix": "/optional"}, "auth": "optional", "anonymous_tier": "open"},
        ],
    })
}

static GATE: Shared = Shared::new(|| Setup::new("routes", &plugin()));

/// Whether a call without a key is admitted, over both versions alike.
async fn is_free(call: Call) -> bool {
    let mut free = Vec::new();
    for http in Http::BOTH {
        let answer = call.clone().send(GATE.get().await, http).await;
        if !answer.reached_upstream() {
            answer.assert_denied(401, "unauthenticated");
        }
        free.push(answer.reached_upstream());
    }
    assert_eq!(free[0], free[1], "the versions of HTTP disagree on {call:?}");
    free[0]
}

async fn assert_matches(matching: &[&str], others: &[&str]) {
    for path in matching {
        assert!(is_free(Call::get(path)).await, "{path} should match");
    }
    for path in others {
        assert!(!is_free(Call::get(path)).await, "{path} should not match");
    }
}

#[test]
fn the_first_matching_route_decides() {
    run(assert_matches(&["/v1/late", "/v1/late/x"], &["/v1/closed", "/v1/closed/x"]));
}

#[test]
fn a_prefix_matches_whole_segments() {
    run(assert_matches(&["/v1", "/v1/", "/v1/x", "/v1?x=1", "/v1/closedness"], &["/v1beta", "/v", "/x/v1", "/V1"]));
}

#[test]
fn a_path_matches_only_itself() {
    run(assert_matches(&["/healthz", "/healthz?full=1"], &["/healthz/", "/healthz/x", "/healthzz", "/health"]));
}

#[test]
fn a_template_matches_one_segment_for_each_name() {
    run(assert_matches(&["/users/7", "/users/a%20b?x"], &["/users", "/users/", "/users/7/x", "/user/7"]));
}

#[test]
fn a_regex_matches_as_written_over_the_decoded_path() {
    run(assert_matches(
        &["/reports/12", "/reports/12?x=y", "/reports/%31%32"],
        &["/reports/", "/reports/12x", "/x/reports/12", "/reports/12/"],
    ));
}

#[test]
fn methods_narrow_a_route() {
    run(async {
        assert!(is_free(Call::get("/methods")).await);
        assert!(is_free(Call::new("POST", "/methods")).await);
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
            assert!(!is_free(Call::new(method, "/methods")).await, "{method}");
        }
        // Envoy itself refuses this one over HTTP/1.1.
        let lower_case = Call::new("get", "/methods").send(GATE.get().await, Http::Two).await;
        lower_case.assert_denied(401, "unauthenticated");
    });
}

#[test]
fn hosts_narrow_a_route_whatever_their_case_and_port() {
    run(async {
        for host in ["api.example.com", "API.Example.COM", "api.example.com:8080", "a.example.org", "A.EXAMPLE.ORG:1"] {
            assert!(is_free(Call::get("/hosts").host(host)).await, "{host}");
        }
        for host in ["example.com", "xapi.example.com", "example.org", "evil-example.org", "a.example.org.evil.net", "gate"] {
            assert!(!is_free(Call::get("/hosts").host(host)).await, "{host}");
        }
    });
}

#[test]
fn exempt_routes_ask_for_nothing_and_say_nothing() {
    run(async {
        for http in Http::BOTH {
            // The consumer's own bucket holds one unit: exempt requests leave it alone.
            for call in [Call::get("/healthz"), Call::get("/docs/x").bearer(ACME), Call::get("/docs").bearer("unknown")] {
                let answer = call.send(GATE.get().await, http).await;
                answer.assert_admitted();
                for name in answer.headers.keys() {
                    assert!(!name.as_str().contains("ratelimit"), "{name}");
                }
            }
        }
    });
}

#[test]
fn preflight_requests_pass_without_a_key_and_uncounted() {
    run(async {
        let preflight = |path| {
            let call = Call::new("OPTIONS", path).header("origin", "https://app.example.com");
            call.header("access-control-request-method", "GET")
        };
        for http in Http::BOTH {
            for _ in 0..3 {
                preflight("/cors/x").send(GATE.get().await, http).await.assert_admitted();
                preflight("/keyed/x").send(GATE.get().await, http).await.assert_admitted();
            }
            preflight("/v1/closed").send(GATE.get().await, http).await.assert_denied(401, "unauthenticated");
        }
        // The one anonymous unit is still there, and then it is spent.
        Call::get("/cors/x").send(GATE.get().await, Http::One).await.assert_admitted();
        Call::get("/cors/x").send(GATE.get().await, Http::One).await.assert_denied(429, "rate_limited");
        preflight("/cors/x").send(GATE.get().await, Http::Two).await.assert_admitted();
    });
}

#[test]
fn options_that_is_no_preflight_needs_a_key() {
    run(async {
        let plain = Call::new("OPTIONS", "/keyed");
        let without_origin = plain.clone().header("access-control-request-method", "GET");
        let without_method = plain.clone().header("origin", "https://app.example.com");
        let wrong_method = Call::get("/keyed").header("origin", "https://app.example.com");
        let wrong_method = wrong_method.header("access-control-request-method", "GET");
        for call in [plain, without_origin, without_method, wrong_method] {
            assert!(!is_free(call).await);
        }
    });
}

#[test]
fn a_route_without_authentication_ignores_credentials() {
    run(async {
        for http in Http::BOTH {
            for call in [Call::get("/v1/x").bearer("unknown"), Call::get("/v1/x").bearer(ACME)] {
                let answer = call.send(GATE.get().await, http).await;
                let seen = answer.upstream_saw("x-consumer-id");
                assert!(!seen.contains(&"acme".to_owned()), "{seen:?}");
            }
        }
    });
}

#[test]
fn optional_authentication_admits_nobody_and_judges_whoever_shows_a_key() {
    run(async {
        for http in Http::BOTH {
            let none = Call::get("/optional").send(GATE.get().await, http).await;
            none.assert_admitted();
            let unknown = Call::get("/optional").bearer("unknown").send(GATE.get().await, http).await;
            unknown.assert_denied(401, "invalid_key");
            let twice = Call::get("/optional").api_key("a").api_key("a").send(GATE.get().await, http).await;
            twice.assert_denied(401, "duplicate_credentials");
        }
        let known = Call::get("/optional").bearer(ACME).send(GATE.get().await, Http::Two).await;
        assert_eq!(known.upstream_saw("x-consumer-id"), ["acme"]);
    });
}

#[test]
fn anonymous_requests_without_a_tier_are_unlimited() {
    run(async {
        for http in Http::BOTH {
            for _ in 0..20 {
                let answer = Call::get("/v1/many").send(GATE.get().await, http).await;
                answer.assert_admitted();
                assert!(answer.header("x-ratelimit-limit").is_none());
            }
        }
    });
}

#[test]
fn a_host_that_can_be_read_in_two_ways_is_refused() {
    run(async {
        let gate = GATE.get().await;
        let hosts = |lines: &[&str]| {
            lines.iter().fold(RawRequest::start(b"GET /hosts HTTP/1.1"), |request, host| request.line(format!("host: {host}")))
        };
        for lines in [&["evil.net,a.example.org"][..], &["evil.net", "a.example.org"], &["evil.net@a.example.org"], &["a.example.org:1:2"]]
        {
            assert_eq!(hosts(lines).send(gate).await.status, 400, "{lines:?}");
        }
        assert_eq!(hosts(&["a.example.org:1"]).send(gate).await.status, 200);
    });
}

#[test]
fn parameters_in_a_path_hide_it_from_no_rule() {
    run(async {
        for path in ["/v1/closed;x/y", "/v1;a=b/closed", "/v1/closed;"] {
            assert!(!is_free(Call::get(path)).await, "{path}");
        }
        assert!(is_free(Call::get("/v1/open;x/y")).await);
    });
}
