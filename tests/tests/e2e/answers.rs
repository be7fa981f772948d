//! What denials look like: the body styles, and gRPC.

use serde_json::{Value, json};
use tollgate_tests::plugin::{ACME, consumer, hourly, tier};
use tollgate_tests::{Answer, Call, Gate, Http, Setup, run};

/// One consumer who may send one request in an hour over each version, and a route closed to every address.
fn plugin(style: &str) -> Value {
    json!({
        "tiers": [tier("tight", &[hourly(2)])],
        "consumers": [consumer("acme", "tight", ACME)],
        "routes": [{"name": "closed", "match": {"prefix": "/closed"}, "addresses": {"deny": ["0.0.0.0/0", "::/0"]}}],
        "answers": {"body": style},
    })
}

async fn gate(style: &str) -> Gate {
    Setup::new(&format!("answers-{style}"), &plugin(style)).start().await
}

/// The first answer of 429: the calls before it spend what there is.
async fn limited(gate: &Gate, http: Http) -> Answer {
    for _ in 0..3 {
        let answer = Call::get("/limited").bearer(ACME).send(gate, http).await;
        if answer.status == 429 {
            return answer;
        }
    }
    panic!("three requests passed a bucket of two");
}

#[test]
fn coded_bodies_carry_code_message_and_retry_after() {
    run(async {
        let gate = gate("coded").await;
        for http in Http::BOTH {
            let answer = limited(&gate, http).await;
            let seconds = answer.number("retry-after");
            assert!((3500..=3600).contains(&seconds), "{seconds}");
            let expected = json!({
                "error": {"code": "rate_limited", "message": format!("Rate limit exceeded. Retry after {seconds} seconds")},
                "retry_after": seconds,
            });
            assert_eq!(answer.json(), expected);
            assert_eq!(answer.header("content-type"), Some("application/json"));
            Call::get("/closed").send(&gate, http).await.assert_denied(403, "address_denied");
        }
    });
}

#[test]
fn simple_bodies_carry_one_message() {
    run(async {
        let gate = gate("simple").await;
        for http in Http::BOTH {
            let answer = limited(&gate, http).await;
            assert_eq!(&answer.body[..], br#"{"error":"Rate limit exceeded"}"#);
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert!(answer.number("retry-after") >= 1);
            let denials = [
                (401, Call::get("/simple")),
                (401, Call::get("/simple").bearer("unknown")),
                (403, Call::get("/closed")),
                (400, Call::get("/a//b")),
            ];
            for (status, call) in denials {
                let answer = call.send(&gate, http).await;
                assert_eq!(answer.status, status);
                assert_eq!(answer.header("content-type"), Some("application/json"));
                let body = answer.json();
                assert!(body["error"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
                assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{body}");
            }
        }
    });
}

#[test]
fn problem_bodies_follow_rfc_9457() {
    run(async {
        let gate = gate("problem").await;
        for http in Http::BOTH {
            let conflict = Call::get("/problem").bearer(ACME).api_key("other").send(&gate, http).await;
            let answers = [
                (429, "rate_limited", limited(&gate, http).await),
                (401, "unauthenticated", Call::get("/problem").send(&gate, http).await),
                (401, "invalid_key", Call::get("/problem").bearer("unknown").send(&gate, http).await),
                (403, "address_denied", Call::get("/closed").send(&gate, http).await),
                (400, "ambiguous_path", Call::get("/a//b").send(&gate, http).await),
                (400, "conflicting_credentials", conflict),
            ];
            for (status, code, answer) in answers {
                assert_eq!(answer.status, status);
                assert_eq!(answer.header("content-type"), Some("application/problem+json"));
                let body = answer.json();
                assert_eq!(body["status"], status);
                assert_eq!(body["code"], code);
                for member in ["type", "title", "detail"] {
                    assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member} in {body}");
                }
            }
        }
    });
}

#[test]
fn grpc_requests_are_denied_with_a_grpc_status() {
    run(async {
        let plugin = plugin("coded");
        let gate = Setup::new("answers-grpc", &plugin).start().await;
        limited(&gate, Http::Two).await;
        for content_type in ["application/grpc", "application/grpc+proto"] {
            let call = |path| Call::new("POST", path).header("content-type", content_type).header("te", "trailers");
            let denials = [
                ("16", call("/pkg.Service/None")),
                ("16", call("/pkg.Service/Unknown").bearer("unknown")),
                ("3", call("/pkg.Service/Conflict").bearer(ACME).api_key("other")),
                ("3", call("/pkg.Service//Ambiguous")),
                ("7", call("/closed/Method")),
                ("8", call("/pkg.Service/Limited").bearer(ACME)),
            ];
            for (status, call) in denials {
                let answer = call.send(&gate, Http::Two).await;
                assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, Some(status)), "{answer:?}");
                assert_eq!(answer.header("content-type"), Some("application/grpc"));
                assert!(answer.header("grpc-message").is_some_and(|message| !message.is_empty()));
                assert!(answer.body.is_empty());
            }
        }
    });
}

#[test]
fn the_realm_is_the_configured_one() {
    run(async {
        let mut plugin = plugin("coded");
        plugin["realm"] = json!("tracks");
        let gate = Setup::new("answers-realm", &plugin).start().await;
        let none = Call::get("/realm").send(&gate, Http::One).await;
        assert_eq!(none.header("www-authenticate"), Some(r#"Bearer realm="tracks""#));
        let unknown = Call::get("/realm").bearer("unknown").send(&gate, Http::Two).await;
        let challenge = unknown.header("www-authenticate").expect("a challenge");
        assert!(challenge.starts_with(r#"Bearer realm="tracks", error="invalid_token""#), "{challenge}");
    });
}
