//! Which credentials are seen, where, and what a client is told of them.

use serde_json::{Value, json};
use tollgate_tests::plugin::{ACME, consumer, hash, tier};
use tollgate_tests::{Call, Http, RawRequest, Setup, Shared, Upstream, run};

const ZENITH: &str = "zenith-key-0123456789";
/// The longest key there may be.
const LONGEST: &str = const {
    match std::str::from_utf8(&[b'k'; 512]) {
        Ok(key) => key,
        Err(_) => "",
    }
};

fn plugin() -> Value {
    json!({
        "tiers": [tier("open", &[])],
        "consumers": [
            consumer("acme", "open", ACME),
            consumer("zenith", "open", ZENITH),
            consumer("longest", "open", LONGEST),
        ],
    })
}

static GATE: Shared = Shared::new(|| Setup::new("credentials", &plugin()));

/// Judges the same call over both versions.
async fn denied(call: Call, status: u16, code: &str) {
    for http in Http::BOTH {
        call.clone().send(GATE.get().await, http).await.assert_denied(status, code);
    }
}

async fn admitted(call: Call) {
    for http in Http::BOTH {
        call.clone().send(GATE.get().await, http).await.assert_admitted();
    }
}

#[test]
fn admits_a_key_in_either_header() {
    run(async {
        admitted(Call::get("/either").bearer(ACME)).await;
        admitted(Call::get("/either").api_key(ACME)).await;
        admitted(Call::get("/either").api_key(LONGEST)).await;
    });
}

#[test]
fn takes_the_bearer_scheme_in_any_case() {
    run(async {
        for scheme in ["bearer", "BEARER", "bEaReR"] {
            admitted(Call::get("/scheme").header("authorization", format!("{scheme} {ACME}"))).await;
        }
    });
}

#[test]
fn counts_other_schemes_as_no_credential() {
    run(async {
        for value in ["Basic YWNtZTpzZWNyZXQ=", "Digest a=b", "Bearerish x", ACME] {
            denied(Call::get("/other").header("authorization", value), 401, "unauthenticated").await;
            admitted(Call::get("/other").header("authorization", value).api_key(ACME)).await;
        }
    });
}

#[test]
fn admits_the_same_key_in_both_headers() {
    run(async { admitted(Call::get("/both").bearer(ACME).api_key(ACME)).await });
}

#[test]
fn refuses_different_credentials_in_the_two_headers() {
    run(async {
        denied(Call::get("/two").bearer(ACME).api_key(ZENITH), 400, "conflicting_credentials").await;
        denied(Call::get("/two").bearer(ACME).api_key("unknown"), 400, "conflicting_credentials").await;
        denied(Call::get("/two").bearer("unknown").api_key(ACME), 400, "conflicting_credentials").await;
    });
}

#[test]
fn refuses_a_credential_header_that_comes_twice() {
    run(async {
        denied(Call::get("/twice").api_key(ACME).api_key(ACME), 401, "duplicate_credentials").await;
        denied(Call::get("/twice").api_key(ACME).api_key(ZENITH), 401, "duplicate_credentials").await;
        denied(Call::get("/twice").bearer(ACME).bearer(ACME), 401, "duplicate_credentials").await;
        denied(Call::get("/twice").bearer(ACME).bearer(ZENITH), 401, "duplicate_credentials").await;
        let basic_first = Call::get("/twice").header("authorization", "Basic eDp5").bearer(ACME);
        denied(basic_first, 401, "duplicate_credentials").await;
        let empty_first = Call::get("/twice").api_key("").api_key(ACME);
        denied(empty_first, 401, "duplicate_credentials").await;
    });
}

#[test]
fn asks_for_a_credential_where_there_is_none() {
    run(async {
        for http in Http::BOTH {
            let answer = Call::get("/none").send(GATE.get().await, http).await;
            answer.assert_denied(401, "unauthenticated");
            assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer realm="tollgate""#));
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let body = concat!(
                r#"{"error":{"code":"unauthenticated","message":"#,
                r#""Authentication required. Provide API key in Authorization or X-API-Key header"}}"#
            );
            assert_eq!(std::str::from_utf8(&answer.body), Ok(body));
        }
    });
}

#[test]
fn counts_an_empty_value_as_no_credential() {
    run(async {
        denied(Call::get("/empty").api_key(""), 401, "unauthenticated").await;
        denied(Call::get("/empty").header("authorization", ""), 401, "unauthenticated").await;
        denied(Call::get("/empty").header("authorization", "Bearer"), 401, "unauthenticated").await;
        denied(Call::get("/empty").header("authorization", "Bearer "), 401, "unauthenticated").await;
        admitted(Call::get("/empty").api_key("").bearer(ACME)).await;
    });
}

#[test]
fn refuses_an_unknown_key_as_an_invalid_token() {
    run(async {
        for http in Http::BOTH {
            let answer = Call::get("/unknown").bearer("acme-key-012345678").send(GATE.get().await, http).await;
            answer.assert_denied(401, "invalid_key");
            let challenge = answer.header("www-authenticate").expect("a challenge");
            let expected = r#"Bearer realm="tollgate", error="invalid_token""#;
            assert!(challenge.starts_with(expected), "{challenge}");
        }
        denied(Call::get("/unknown").api_key(&ACME.to_uppercase()), 401, "invalid_key").await;
        denied(Call::get("/unknown").api_key(&hash(ACME)), 401, "invalid_key").await;
        denied(Call::get("/unknown").api_key(&hash(ACME)["sha256:".len()..]), 401, "invalid_key").await;
    });
}

#[test]
fn refuses_a_malformed_key() {
    run(async {
        let too_long = "k".repeat(513);
        denied(Call::get("/malformed").api_key(&too_long), 401, "invalid_key").await;
        denied(Call::get("/malformed").bearer(&too_long), 401, "invalid_key").await;
        for key in ["acme key", "acme\tkey", &format!("{ACME} x"), "k\u{e9}y"] {
            denied(Call::get("/malformed").api_key(key), 401, "invalid_key").await;
            denied(Call::get("/malformed").bearer(key), 401, "invalid_key").await;
        }
        for byte in [0x80, 0xff, b'\t', b' '] {
            let value = [b"Bearer ".as_slice(), ACME.as_bytes(), &[byte], b"z"].concat();
            denied(Call::get("/malformed").header("authorization", value), 401, "invalid_key").await;
        }
    });
}

#[test]
fn refuses_a_forged_key_of_its_own_issuer() {
    run(async {
        let mut plugin = plugin();
        let secret = json!({"env": "TOLLGATE_ISSUER_KEY"});
        plugin["credentials"]["issuer_keys"] = json!([{"version": 1, "prefix": "foil", "secret": secret}]);
        let secret = "0123456789abcdef0123456789abcdef";
        let gate = Setup::new("forged", &plugin).env("TOLLGATE_ISSUER_KEY", secret).start().await;
        for http in Http::BOTH {
            let forged = format!("foil_{}", "A".repeat(57));
            Call::get("/forged").bearer(&forged).send(&gate, http).await.assert_denied(401, "invalid_key");
            Call::get("/forged").bearer("foil_").send(&gate, http).await.assert_denied(401, "invalid_key");
            Call::get("/forged").bearer(ACME).send(&gate, http).await.assert_admitted();
        }
    });
}

#[test]
fn refused_requests_never_reach_the_upstream() {
    run(async {
        denied(Call::get("/unreached"), 401, "unauthenticated").await;
        denied(Call::get("/unreached").bearer("unknown"), 401, "invalid_key").await;
        denied(Call::get("/unreached").api_key(ACME).api_key(ACME), 401, "duplicate_credentials").await;
        denied(Call::get("/unreached").bearer(ACME).api_key(ZENITH), 400, "conflicting_credentials").await;
        assert!(Upstream::shared().seen("/unreached").is_empty());
    });
}

#[test]
fn reads_header_names_in_any_case_and_values_without_their_padding() {
    run(async {
        for line in [format!("X-API-KEY:   {ACME}  "), format!("aUTHORIZATION: Bearer {ACME} ")] {
            let answer = RawRequest::get("/padding").line(line).send(GATE.get().await).await;
            assert!(answer.reached_upstream(), "{answer:?}");
        }
    });
}

#[test]
fn answers_a_refused_head_request_without_a_body() {
    run(async {
        for http in Http::BOTH {
            let answer = Call::new("HEAD", "/head").send(GATE.get().await, http).await;
            assert_eq!(answer.status, 401);
            assert!(answer.headers.contains_key("www-authenticate"));
            assert!(answer.body.is_empty());
        }
    });
}
