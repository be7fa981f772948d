//! What the upstream and the access log are told of who asked, and what nobody can tell them.

use serde_json::{Value, json};
use tollgate_tests::plugin::{ACME, consumer, hourly, tier};
use tollgate_tests::{Call, Http, Setup, Shared, run};

const LIMITED: &str = "limited-key-0123456789";
const SPOOFED: [&str; 8] = [
    "x-consumer-id",
    "x-consumer-tier",
    "x-credential-id",
    "x_consumer_id",
    "x_consumer_tier",
    "x_credential_id",
    "x-consumer_id",
    "x_credential-id",
];

fn plugin() -> Value {
    json!({
        "tiers": [tier("open", &[]), tier("tight", &[hourly(1)])],
        "consumers": [consumer("acme", "open", ACME), consumer("limited", "tight", LIMITED)],
        "routes": [
            {"name": "health", "match": {"prefix": "/healthz"}, "exempt": true},
            {"name": "open", "match": {"prefix": "/h2/open"}, "exempt": true},
            {"name": "free", "match": {"prefix": "/free"}, "auth": "none"},
            {"name": "optional", "match": {"prefix": "/optional"}, "auth": "optional"},
            {"name": "cors", "match": {"prefix": "/cors"}, "preflight": true},
            {"name": "search", "match": {"prefix": "/search"}},
        ],
        "filter_state": true,
    })
}

static GATE: Shared = Shared::new(|| Setup::new("identity", &plugin()));

fn spoofing(mut call: Call) -> Call {
    for name in SPOOFED {
        call = call.header(name, "spoofed").header(name, "spoofed again");
    }
    call
}

#[test]
fn the_upstream_learns_who_asked() {
    run(async {
        for http in Http::BOTH {
            for call in [Call::get("/who").bearer(ACME), Call::get("/optional").api_key(ACME)] {
                let answer = call.send(GATE.get().await, http).await;
                assert_eq!(answer.upstream_saw("x-consumer-id"), ["acme"]);
                assert_eq!(answer.upstream_saw("x-consumer-tier"), ["open"]);
                assert_eq!(answer.upstream_saw("x-credential-id"), ["acme-key"]);
            }
        }
    });
}

#[test]
fn the_upstream_never_sees_the_key() {
    run(async {
        for http in Http::BOTH {
            let calls = [
                Call::get("/who").bearer(ACME),
                Call::get("/who").api_key(ACME),
                Call::get("/who").bearer(ACME).api_key(ACME),
                Call::get("/optional").bearer(ACME),
                Call::get("/free").bearer(ACME).api_key(ACME),
                Call::get("/healthz").bearer(ACME).api_key(ACME),
            ];
            for call in calls {
                let answer = call.clone().send(GATE.get().await, http).await;
                answer.assert_admitted();
                let echo = String::from_utf8_lossy(&answer.body).into_owned();
                assert!(!echo.contains(ACME), "{call:?} showed {echo}");
            }
        }
    });
}

/// `Connection` names headers that a proxy takes away before it passes a request on (RFC 9110, section 7.6.1). Envoy does so before the gate
/// sees the request: so a client can take away its own credential, and nothing that the gate says.
#[test]
fn a_client_cannot_have_the_identity_taken_away_behind_the_gate() {
    run(async {
        let listed = "x-consumer-id, X-Consumer-Tier, x-credential-id, close";
        for call in [Call::get("/who").bearer(ACME), spoofing(Call::get("/who").api_key(ACME))] {
            let answer = call.header("connection", listed).send(GATE.get().await, Http::One).await;
            answer.assert_admitted();
            assert_eq!(answer.upstream_saw("x-consumer-id"), ["acme"]);
            assert_eq!(answer.upstream_saw("x-consumer-tier"), ["open"]);
            assert_eq!(answer.upstream_saw("x-credential-id"), ["acme-key"]);
            assert!(answer.upstream_saw("connection").is_empty(), "the list ends here");
        }
        for (name, call) in [("authorization", Call::get("/who").bearer(ACME)), ("x-api-key", Call::get("/who").api_key(ACME))] {
            let answer = call.header("connection", name).send(GATE.get().await, Http::One).await;
            answer.assert_denied(401, "unauthenticated");
        }
    });
}

#[test]
fn a_client_cannot_speak_for_the_gate() {
    run(async {
        let preflight = Call::new("OPTIONS", "/cors").header("origin", "https://a").header("access-control-request-method", "GET");
        for http in Http::BOTH {
            for call in [Call::get("/healthz"), Call::get("/free"), Call::get("/optional"), preflight.clone()] {
                let answer = spoofing(call).send(GATE.get().await, http).await;
                answer.assert_admitted();
                let echo = String::from_utf8_lossy(&answer.body).into_owned();
                assert!(!echo.contains("spoofed"), "{echo}");
            }
            let answer = spoofing(Call::get("/who").bearer(ACME)).send(GATE.get().await, http).await;
            assert_eq!(answer.upstream_saw("x-consumer-id"), ["acme"]);
            assert_eq!(answer.upstream_saw("x-consumer-tier"), ["open"]);
            assert_eq!(answer.upstream_saw("x-credential-id"), ["acme-key"]);
            assert!(!String::from_utf8_lossy(&answer.body).contains("spoofed"), "{answer:?}");
        }
    });
}

#[test]
fn other_headers_reach_the_upstream_as_they_came() {
    run(async {
        for http in Http::BOTH {
            let call = Call::get("/who?x=1&y=%2F").bearer(ACME).header("x-custom", "a").header("x-custom", "b");
            let answer = call.header("cookie", "c=d").send(GATE.get().await, http).await;
            assert_eq!(answer.upstream_saw("x-custom").join(","), "a,b");
            assert_eq!(answer.upstream_saw("cookie"), ["c=d"]);
            assert_eq!(answer.json()["target"], "/who?x=1&y=%2F");
        }
    });
}

#[test]
fn bodies_pass_as_they_came() {
    run(async {
        let sent = "0123456789".repeat(50_000);
        for http in Http::BOTH {
            let call = Call::new("POST", "/who").bearer(ACME).header("content-type", "text/plain").body(sent.clone());
            let answer = call.send(GATE.get().await, http).await;
            answer.assert_admitted();
            assert!(answer.json()["body"] == sent, "another body arrived, or came back");
            let refused = Call::new("POST", "/who").body(sent.clone()).try_send(GATE.get().await, http).await;
            // The refusal may come before the body has been sent, and then the connection may end with it.
            assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status == 401));
        }
    });
}

#[test]
fn filter_state_is_left_only_where_asked_for() {
    run(async {
        let mut plugin = plugin();
        plugin["filter_state"] = json!(false);
        let gate = Setup::new("identity-unseen", &plugin).start().await;
        Call::get("/search").bearer(ACME).header("x-case", "unseen").send(&gate, Http::Two).await.assert_admitted();
        let entry = gate.access_log("unseen", 1).await.remove(0);
        for name in ["verdict", "consumer", "credential", "tier", "route"] {
            assert!(entry[name].is_null(), "{entry}");
        }
    });
}

#[test]
fn forwarding_and_names_are_configurable() {
    run(async {
        let mut plugin = plugin();
        plugin["credentials"] = json!({"forward": true});
        plugin["identity_headers"] = json!({"consumer": "x-who", "tier": "x-what", "credential": "x-with"});
        let gate = Setup::new("identity-forward", &plugin).start().await;
        for http in Http::BOTH {
            let call = Call::get("/who").bearer(ACME).header("x-who", "spoofed").header("x_with", "spoofed");
            let answer = call.send(&gate, http).await;
            assert_eq!(answer.upstream_saw("authorization"), [format!("Bearer {ACME}")]);
            assert_eq!(answer.upstream_saw("x-who"), ["acme"]);
            assert_eq!(answer.upstream_saw("x-what"), ["open"]);
            assert_eq!(answer.upstream_saw("x-with"), ["acme-key"]);
            assert!(!String::from_utf8_lossy(&answer.body).contains("spoofed"), "{answer:?}");
            let answer = Call::get("/who").api_key(ACME).send(&gate, http).await;
            assert_eq!(answer.upstream_saw("x-api-key"), [ACME]);
        }
    });
}

#[test]
fn the_access_log_shows_identity_route_and_verdict() {
    run(async {
        let gate = GATE.get().await;
        for http in Http::BOTH {
            let admitted = format!("admitted-{http:?}");
            Call::get("/search").bearer(ACME).header("x-case", &admitted).send(gate, http).await.assert_admitted();
            let entry = gate.access_log(&admitted, 1).await.remove(0);
            let expected =
                [("verdict", "admitted"), ("consumer", "acme"), ("credential", "acme-key"), ("tier", "open"), ("route", "search")];
            for (name, value) in expected {
                assert_eq!(entry[name], value, "{entry}");
            }
            let denials = [
                ("unauthenticated", Call::get("/search")),
                ("invalid_key", Call::get("/search").bearer("unknown")),
                ("duplicate_credentials", Call::get("/search").api_key(ACME).api_key(ACME)),
                ("conflicting_credentials", Call::get("/search").bearer(ACME).api_key(LIMITED)),
                ("ambiguous_path", Call::get("/search/../x").bearer(ACME)),
            ];
            for (verdict, call) in denials {
                let case = format!("{verdict}-{http:?}");
                call.header("x-case", &case).send(gate, http).await;
                let entry = gate.access_log(&case, 1).await.remove(0);
                assert_eq!(entry["verdict"], verdict, "{entry}");
                assert!(entry["consumer"].is_null(), "{entry}");
            }
        }
    });
}

#[test]
fn the_access_log_shows_whose_limit_was_reached() {
    run(async {
        let gate = GATE.get().await;
        Call::get("/search").bearer(LIMITED).send(gate, Http::One).await.assert_admitted();
        let call = Call::get("/search").bearer(LIMITED).header("x-case", "limited");
        call.send(gate, Http::Two).await.assert_denied(429, "rate_limited");
        let entry = gate.access_log("limited", 1).await.remove(0);
        for (name, value) in [("verdict", "rate_limited"), ("consumer", "limited"), ("tier", "tight")] {
            assert_eq!(entry[name], value, "{entry}");
        }
    });
}

#[test]
fn trailers_bring_the_upstream_no_claims_and_no_keys() {
    run(async {
        for path in ["/h2/who", "/h2/open"] {
            let mut call = Call::new("POST", path).bearer(ACME).body("x").trailer("x-checksum", "1").trailer("x-api-key", ACME);
            for name in SPOOFED {
                call = call.trailer(name, "spoofed");
            }
            let answer = call.send(GATE.get().await, Http::Two).await;
            answer.assert_admitted();
            assert_eq!(answer.json()["trailers"], json!(["x-checksum"]), "{path}");
        }
    });
}
