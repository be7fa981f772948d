//! Bytes that are no text: wherever a client puts them, it gets an answer and the filter goes on.

use serde_json::{Value, json};
use tollgate_tests::plugin::{ACME, bucket, consumer, tier};
use tollgate_tests::{Call, Http, RawAnswer, RawRequest, Setup, Shared, run};

const ODD: [&[u8]; 6] = [b"\xff", b"\x80\xfe", b"a\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"x\xa0y"];

fn plugin() -> Value {
    json!({
        "tiers": [tier("wide", &[bucket("wide", 1000, "1s", 100_000)])],
        "consumers": [consumer("acme", "wide", ACME)],
        "credentials": {"sources": [
            {"header": "authorization", "scheme": "Bearer"}, {"header": "x-api-key"}, {"query": "api_key"},
        ]},
        "routes": [
            {"name": "free", "match": {"prefix": "/free", "hosts": ["gate", "*.example.org"], "methods": ["GET"]},
             "auth": "none", "preflight": true, "cors": {"origins": ["https://app.example.com"]}},
        ],
        "anonymous_tier": "wide",
    })
}

static GATE: Shared = Shared::new(|| Setup::new("bytes", &plugin()));

/// The gate still admits a good key on either version, and no virtual machine has stopped.
async fn assert_well() {
    for http in Http::BOTH {
        Call::get("/well").bearer(ACME).send(GATE.get().await, http).await.assert_admitted();
    }
    GATE.get().await.assert_untrapped().await;
}

fn assert_client_error(answer: &RawAnswer) {
    assert!(matches!(answer.status, 400 | 401), "{answer:?}");
    assert!(!answer.reached_upstream());
}

#[test]
fn in_a_credential_they_make_it_invalid() {
    run(async {
        for odd in ODD {
            for http in Http::BOTH {
                let bearer = [b"Bearer ", odd].concat();
                let after_key = [b"Bearer ", ACME.as_bytes(), odd].concat();
                for (name, value) in [("authorization", &*bearer), ("authorization", &*after_key), ("x-api-key", odd)] {
                    let answer = Call::get("/odd").header(name, value).send(GATE.get().await, http).await;
                    answer.assert_denied(401, "invalid_key");
                }
                let scheme = Call::get("/odd").header("authorization", [odd, b" ", ACME.as_bytes()].concat());
                scheme.send(GATE.get().await, http).await.assert_denied(401, "unauthenticated");
            }
        }
        assert_well().await;
    });
}

#[test]
fn in_any_other_header_they_pass_by() {
    run(async {
        let names = [
            "accept",
            "user-agent",
            "cookie",
            "origin",
            "access-control-request-method",
            "content-type",
            "referer",
            "x-consumer-id",
            "x-consumer-tier",
            "x-credential-id",
            "x_consumer_id",
            "x-anything",
            "traceparent",
        ];
        for name in names {
            for odd in ODD {
                for http in Http::BOTH {
                    let keyed = Call::get("/odd").bearer(ACME).header(name, odd).send(GATE.get().await, http).await;
                    keyed.assert_admitted();
                    let refused = Call::get("/odd").header(name, odd).send(GATE.get().await, http).await;
                    refused.assert_denied(401, "unauthenticated");
                    let free = Call::get("/free").header(name, odd).send(GATE.get().await, http).await;
                    free.assert_admitted();
                }
            }
        }
        assert_well().await;
    });
}

#[test]
fn in_the_host_or_the_reported_address_they_do_no_harm() {
    run(async {
        for odd in ODD {
            for path in ["/free", "/odd"] {
                let host = RawRequest::start(format!("GET {path} HTTP/1.1").as_bytes()).line([b"host: ", odd].concat());
                assert_client_error(&host.send(GATE.get().await).await);
                let from = RawRequest::get(path).line([b"x-forwarded-for: ", odd].concat());
                let answer = from.line(format!("x-api-key: {ACME}")).send(GATE.get().await).await;
                assert!(answer.reached_upstream(), "{answer:?}");
            }
        }
        assert_well().await;
    });
}

#[test]
fn in_the_path_they_are_refused_or_decoded_but_never_fatal() {
    run(async {
        for odd in ODD {
            for start in [b"/".as_slice(), b"/free/", b"/free/%"] {
                let answer = RawRequest::get([start, odd].concat()).send(GATE.get().await).await;
                assert_client_error(&answer);
            }
        }
        for escape in ["%ff", "%80%fe", "%c3", "%ed%a0%80", "%f0%9f%98"] {
            for http in Http::BOTH {
                let answer = Call::get(&format!("/{escape}/x")).bearer(ACME).send(GATE.get().await, http).await;
                assert!(matches!(answer.status.as_u16(), 200 | 400), "{escape}: {answer:?}");
            }
        }
        for broken in ["/%", "/%f", "/%zz", "/a%", "/%%41", "/free/%2", "/%u0041"] {
            for http in Http::BOTH {
                let answer = Call::get(broken).bearer(ACME).send(GATE.get().await, http).await;
                assert!(matches!(answer.status.as_u16(), 200 | 400), "{broken}: {answer:?}");
            }
        }
        assert_well().await;
    });
}

#[test]
fn in_the_query_they_do_no_harm() {
    run(async {
        for odd in ODD {
            for query in [b"x=".as_slice(), b"api_key=", b""] {
                let target = [b"/odd?", query, odd].concat();
                assert_client_error(&RawRequest::get(target).send(GATE.get().await).await);
            }
        }
        for value in ["%ff", "%80%fe", "%", "%zz", "%c3", "%00", "=", "&&", "a%20b"] {
            for http in Http::BOTH {
                let answer = Call::get(&format!("/odd?api_key={value}")).send(GATE.get().await, http).await;
                assert_eq!(answer.status, 401, "{value}: {answer:?}");
                let answer = Call::get(&format!("/odd?{value}")).bearer(ACME).send(GATE.get().await, http).await;
                answer.assert_admitted();
            }
        }
        assert_well().await;
    });
}

#[test]
fn trailers_and_bodies_of_any_bytes_do_no_harm() {
    run(async {
        for http in Http::BOTH {
            let call = Call::new("POST", "/odd").bearer(ACME).body(vec![0xff; 10_000]);
            call.send(GATE.get().await, http).await.assert_admitted();
        }
        let call = Call::new("POST", "/odd").bearer(ACME).body("x").trailer("x-api-key", "other").trailer("x-consumer-id", "spoofed");
        let answer = call.send(GATE.get().await, Http::Two).await;
        assert_eq!(answer.upstream_saw("x-consumer-id"), ["acme"]);
        let refused = Call::new("POST", "/odd").trailer("x-api-key", ACME).send(GATE.get().await, Http::Two).await;
        refused.assert_denied(401, "unauthenticated");
        assert_well().await;
    });
}

#[test]
fn many_and_long_headers_do_no_harm() {
    run(async {
        for http in Http::BOTH {
            let mut call = Call::get("/odd").bearer(ACME);
            for number in 0..90 {
                call = call.header(&format!("x-filler-{number}"), vec![0xfe; 100]);
            }
            call.send(GATE.get().await, http).await.assert_admitted();
            let long = Call::get("/odd").api_key(&"k".repeat(30_000)).send(GATE.get().await, http).await;
            long.assert_denied(401, "invalid_key");
            let target = |path: usize, query: usize| format!("/{}?{}", "p".repeat(path), "q".repeat(query));
            Call::get(&target(4_095, 20_000)).bearer(ACME).send(GATE.get().await, http).await.assert_admitted();
            let long = Call::get(&target(4_096, 0)).bearer(ACME).send(GATE.get().await, http).await;
            long.assert_denied(400, "ambiguous_path");
        }
        assert_well().await;
    });
}
