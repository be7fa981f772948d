//! Tokens that must not pass: forged, confused, malformed, out of time, for somebody else, and too many at once.

use serde_json::{Value, json};
use tollgate_tests::plugin::{ACME, claims, consumer, inline, issuer, now, tier};
use tollgate_tests::signer::{base64, unbase64};
use tollgate_tests::{Call, Http, RawRequest, Setup, Shared, Signer, Upstream, run};

const ISSUER: &str = "https://a.example";
const OTHER: &str = "https://other.example";
const SHARED: &str = "https://shared.example";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const LONGEST: usize = 8_192;
const INVALID: (u16, &str) = (401, "invalid_token");

fn rsa() -> Signer {
    Signer::new("RS256", "rsa", 0)
}

fn ec() -> Signer {
    Signer::new("ES256", "ec", 0)
}

fn ed() -> Signer {
    Signer::new("EdDSA", "ed", 0)
}

fn attacker() -> Signer {
    Signer::new("EdDSA", "ed", 99)
}

fn plugin(longest: usize) -> Value {
    let secrets = json!({"secrets": [{"kid": "hs", "secret": {"env": "ISSUER_SECRET"}}]});
    json!({
        "tiers": [tier("open", &[])],
        "consumers": [consumer("acme", "open", ACME)],
        "tokens": {"failed_per_address": 1_000_000, "longest": longest, "issuers": [
            issuer(ISSUER, &inline(&[&rsa(), &ec(), &ed()]), &json!({})),
            issuer(OTHER, &inline(&[&Signer::new("EdDSA", "other", 1)]), &json!({})),
            issuer(SHARED, &secrets, &json!({})),
            issuer("https://kinds.example", &inline(&[&ed()]), &json!({"types": ["application/at+jwt"]})),
            issuer("https://short.example", &inline(&[&ed()]), &json!({"longest_life": "60s", "leeway": "1s"})),
            issuer("https://only.example", &inline(&[&rsa()]), &json!({"algorithms": ["PS256"]})),
            issuer("https://tierless.example", &inline(&[&ed()]), &json!({"tier": {"claim": "plan", "values": {"gold": "open"}}})),
        ]},
    })
}

static GATE: Shared = Shared::new(|| Setup::new("tokens-bad", &plugin(LONGEST)).secret("ISSUER_SECRET", SECRET));

fn good() -> Value {
    claims(ISSUER, "acme", &json!({}))
}

fn with(more: Value) -> Value {
    claims(ISSUER, "acme", &more)
}

/// Judges a token over both versions, twice: what is remembered of it must be what was found out.
async fn refused(token: impl AsRef<[u8]>, (status, code): (u16, &str)) {
    for http in Http::BOTH {
        for _ in 0..2 {
            let call = Call::get("/refused").header("authorization", [b"Bearer ", token.as_ref()].concat());
            let answer = call.send(GATE.get().await, http).await;
            assert!(!answer.reached_upstream(), "admitted: {}", token.as_ref().escape_ascii());
            assert_eq!((answer.status.as_u16(), &*answer.code()), (status, code), "{}", token.as_ref().escape_ascii());
            let challenge = answer.header("www-authenticate").expect("a challenge");
            assert!(challenge.starts_with("Bearer realm=\"tollgate\", error=\"invalid_"), "{challenge}");
        }
    }
}

async fn invalid(token: impl AsRef<[u8]>) {
    refused(token, INVALID).await;
}

async fn admitted(token: &str) {
    for http in Http::BOTH {
        Call::get("/a").bearer(token).send(GATE.get().await, http).await.assert_admitted();
    }
}

/// At the end of each case: nothing has stopped, nothing has passed, and whoever is good still does.
async fn unharmed() {
    let gate = GATE.get().await;
    assert!(Upstream::shared().seen("/refused").is_empty());
    gate.assert_untrapped().await;
    for signer in [rsa(), ec(), ed()] {
        admitted(&signer.token(&good())).await;
    }
    Call::get("/a").bearer(ACME).send(gate, Http::Two).await.assert_admitted();
}

fn parts(token: &str) -> [String; 3] {
    token.split('.').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn a_token_that_is_not_signed_is_none() {
    run(async {
        let payload = base64(good().to_string());
        for algorithm in [json!("none"), json!("None"), json!("NONE"), json!("nOnE"), json!(""), json!(null), json!(0), json!(["EdDSA"])] {
            let header = base64(json!({"alg": algorithm, "kid": "ed"}).to_string());
            for signature in ["", "AA", &base64([0; 64])] {
                invalid(format!("{header}.{payload}.{signature}")).await;
            }
        }
        let [header, payload, _] = parts(&ed().token(&good()));
        invalid(format!("{header}.{payload}.")).await;
        invalid(ed().token_of(json!({"kid": "ed"}).to_string(), good().to_string())).await;
        unharmed().await;
    });
}

#[test]
fn an_algorithm_is_never_taken_for_another() {
    run(async {
        for form in rsa().public_forms() {
            for algorithm in ["HS256", "HS384", "HS512"] {
                for id in ["rsa", ""] {
                    invalid(Signer::secret(algorithm, id, &form).token(&good())).await;
                }
            }
        }
        for secret in [SECRET, ""] {
            invalid(Signer::secret("HS256", "hs", secret).token(&good())).await;
        }
        let shared = claims(SHARED, "acme", &json!({}));
        admitted(&Signer::secret("HS256", "hs", SECRET).token(&shared)).await;
        invalid(Signer::secret("HS256", "hs", "").token(&shared)).await;
        // The secret is too short for a digest of 48 bytes.
        invalid(Signer::secret("HS384", "hs", SECRET).token(&shared)).await;
        invalid(rsa().named("hs").token(&shared)).await;
        for wrong in ["RS384", "PS256", "ES256", "EdDSA", "HS256", "rs256", "RS1", "ES256K", "Ed448", "RSA1_5", "dir"] {
            invalid(rsa().token_with(&json!({"alg": wrong}), &good())).await;
        }
        for wrong in ["ES384", "ES512", "RS256", "EdDSA"] {
            invalid(ec().token_with(&json!({"alg": wrong}), &good())).await;
        }
        // Each key signs only under its own id, and with the algorithms that the issuer has.
        invalid(ec().named("rsa").token(&good())).await;
        let only = claims("https://only.example", "acme", &json!({}));
        admitted(&Signer::new("PS256", "rsa", 0).token(&only)).await;
        invalid(rsa().token(&only)).await;
        admitted(&ed().token_with(&json!({"alg": "Ed25519"}), &good())).await;
        unharmed().await;
    });
}

#[test]
fn a_key_id_only_chooses_among_the_keys_there_are() {
    run(async {
        let long = "k".repeat(300);
        let ids =
            ["unknown", "ED", "ed ", "ed\0", "../../../../../../dev/null", "/etc/passwd", "' OR 1=1 --", "ed' UNION SELECT 'x", "*", &long];
        for id in ids.into_iter().chain(["http://127.0.0.1/jwks", "${jndi:ldap://a}", "\u{1f511}"]) {
            invalid(ed().named(id).token(&good())).await;
            invalid(Signer::secret("HS256", id, "").token(&good())).await;
        }
        for id in [json!(null), json!(0), json!(["ed"]), json!({"kid": "ed"}), json!("")] {
            invalid(ed().token_with(&json!({"kid": id}), &good())).await;
        }
        unharmed().await;
    });
}

#[test]
fn a_token_cannot_bring_its_own_key() {
    run(async {
        let brought = [
            json!({"jwk": attacker().jwk()}),
            json!({"jku": "http://127.0.0.1:1/jwks.json"}),
            json!({"x5u": "http://127.0.0.1:1/x5u.pem"}),
            json!({"x5c": [base64("certificate")]}),
            json!({"x5t": "AAAA", "x5t#S256": "AAAA"}),
            json!({"jwk": {"kty": "oct", "k": base64("secret")}}),
        ];
        for members in &brought {
            invalid(attacker().token_with(members, &good())).await;
            invalid(attacker().named("").token_with(members, &good())).await;
            admitted(&ed().token_with(members, &good())).await;
        }
        unharmed().await;
    });
}

#[test]
fn a_header_may_not_ask_for_what_is_not_understood() {
    run(async {
        for members in [
            json!({"crit": ["b64"], "b64": false}),
            json!({"crit": ["exp"], "exp": 1}),
            json!({"crit": []}),
            json!({"crit": "exp"}),
            json!({"crit": null}),
            json!({"b64": true}),
            json!({"b64": false}),
            json!({"zip": "DEF"}),
            json!({"enc": "A256GCM"}),
            json!({"cty": "JWT"}),
            json!({"cty": "application/at+jwt"}),
            json!({"cty": 1}),
        ] {
            invalid(ed().token_with(&members, &good())).await;
        }
        let nested = ed().token(&good());
        invalid(ed().token_of(ed().header().to_string(), &nested)).await;
        invalid(ed().token_of(ed().header().to_string(), json!(nested).to_string())).await;
        unharmed().await;
    });
}

#[test]
fn json_that_can_be_read_in_two_ways_is_read_in_none() {
    run(async {
        let payload = good().to_string();
        for header in [
            r#"{"alg":"EdDSA","alg":"none","kid":"ed"}"#,
            r#"{"alg":"none","alg":"EdDSA","kid":"ed"}"#,
            r#"{"alg":"EdDSA","kid":"ed","kid":"other"}"#,
            r#"{"alg":"EdDSA","kid":"ed","\u0061lg":"HS256"}"#,
            r#"{"alg":"EdDSA","kid":"ed","x":{"a":1,"a":2}}"#,
            r#"{"alg":"EdDSA","kid":"ed"} {}"#,
            r#"{"alg":"EdDSA","kid":"ed",}"#,
            r#"{"alg":"EdDSA","kid":"ed""#,
            "{'alg':'EdDSA','kid':'ed'}",
            "{}",
        ] {
            invalid(ed().token_of(header, &payload)).await;
        }
        let header = ed().header().to_string();
        let open = payload.trim_end_matches('}');
        for payload in [
            format!(r#"{open},"sub":"root"}}"#),
            format!(r#"{open},"exp":99999999999}}"#),
            format!(r#"{open},"\u0069ss":"{OTHER}"}}"#),
            format!(r#"{open},"o":[{{"a":1,"a":1}}]}}"#),
            format!("{payload}{payload}"),
            format!("{payload}\0"),
            format!("\u{feff}{payload}"),
            format!(r#"{open},"n":1e999}}"#),
            format!(r#"{open},"n":NaN}}"#),
            open.to_owned(),
            format!("[{payload}]"),
            "null".to_owned(),
            String::new(),
        ] {
            invalid(ed().token_of(&header, &payload)).await;
        }
        let not_text = [payload.trim_end_matches('}').as_bytes(), b",\"x\":\"\xff\"}"].concat();
        invalid(ed().token_of(&header, not_text)).await;
        unharmed().await;
    });
}

#[test]
fn the_form_is_three_parts_of_base64url_and_nothing_else() {
    run(async {
        let token = ed().token(&good());
        let [header, payload, signature] = parts(&token);
        for wrong in [
            format!("{header}=.{payload}.{signature}"),
            format!("{header}.{payload}=.{signature}"),
            format!("{token}="),
            format!("{token}=="),
            format!("{token}."),
            format!("{token}.{signature}"),
            format!("{token}.a.b"),
            format!("{header}..{signature}"),
            format!("{header}.{payload}."),
            format!("{header}.{payload}+.{signature}"),
            format!("{header}.{payload}.{}/", &signature[1..]),
            format!("{header}.{payload}.{}!", &signature[1..]),
            format!("{header}.{payload}.%41{signature}"),
            format!("{header}.{payload} .{signature}"),
            format!("{header}.{payload}.{signature}A"),
            format!("{header}.{payload}.{signature}AA"),
            format!("{header}.{payload}.{}", &signature[..signature.len() - 4]),
            format!("{header}.{payload}.{}", base64([0; 64])),
            "e..".to_owned(),
            "e...".to_owned(),
        ] {
            invalid(&wrong).await;
        }
        for byte in [0x80, 0xff, b'\t', b'~', b'"'] {
            invalid([header.as_bytes(), b".", &[byte], payload.as_bytes(), b".", signature.as_bytes()].concat()).await;
        }
        // The last letter of 64 bytes carries two bits: another letter for the same bytes is another token.
        let last = signature.as_bytes()[signature.len() - 1] + 1;
        assert_eq!(signature.len(), 86);
        invalid([&token.as_bytes()[..token.len() - 1], &[last]].concat()).await;
        // Without two dots it is no token, and not a key either.
        refused(format!("{header}.{payload}"), (401, "invalid_key")).await;
        refused(&header, (401, "invalid_key")).await;
        unharmed().await;
    });
}

#[test]
fn no_byte_of_a_signature_or_of_what_is_signed_may_differ() {
    run(async {
        for signer in [rsa(), ec(), ed()] {
            let [header, payload, signature] = parts(&signer.token(&good()));
            let bytes = unbase64(&signature);
            for position in (0..bytes.len()).step_by(bytes.len() / 16) {
                let mut forged = bytes.clone();
                forged[position] ^= 1;
                invalid(format!("{header}.{payload}.{}", base64(forged))).await;
            }
            for forged in [vec![0; bytes.len()], vec![0xff; bytes.len()], bytes[1..].to_vec(), [&[0][..], &bytes].concat(), Vec::new()] {
                invalid(format!("{header}.{payload}.{}", base64(forged))).await;
            }
            let root = base64(with(json!({"sub": "root"})).to_string());
            invalid(format!("{header}.{root}.{signature}")).await;
            let spaced = base64(format!(" {}", String::from_utf8(unbase64(&payload)).unwrap()));
            invalid(format!("{header}.{spaced}.{signature}")).await;
            let kindless = base64(json!({"alg": signer.header()["alg"], "kid": signer.header()["kid"]}).to_string());
            invalid(format!("{kindless}.{payload}.{signature}")).await;
        }
        unharmed().await;
    });
}

#[test]
fn a_token_is_only_what_its_type_says() {
    run(async {
        for kind in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt"] {
            admitted(&ed().token_with(&json!({"typ": kind}), &good())).await;
        }
        for kind in [json!("JOSE"), json!("secevent+jwt"), json!("dpop+jwt"), json!("logout+jwt"), json!(""), json!(1), json!(null)] {
            invalid(ed().token_with(&json!({"typ": kind}), &good())).await;
        }
        let claims = claims("https://kinds.example", "acme", &json!({}));
        admitted(&ed().token_with(&json!({"typ": "at+JWT"}), &claims)).await;
        invalid(ed().token(&claims)).await;
        invalid(ed().token_of(json!({"alg": "EdDSA", "kid": "ed"}).to_string(), claims.to_string())).await;
        unharmed().await;
    });
}

#[test]
fn claims_must_be_there_and_be_what_they_must_be() {
    run(async {
        for more in [
            json!({"iss": "https://unknown.example"}),
            json!({"iss": "https://a.example/"}),
            json!({"iss": "HTTPS://A.EXAMPLE"}),
            json!({"iss": OTHER}),
            json!({"iss": null}),
            json!({"iss": [ISSUER]}),
            json!({"exp": null}),
            json!({"exp": (now() + 3_600).to_string()}),
            json!({"exp": -1}),
            json!({"exp": 1e300}),
            json!({"exp": true}),
            json!({"exp": [now() + 3_600]}),
            json!({"nbf": "0"}),
            json!({"iat": "now"}),
            json!({"aud": 1}),
            json!({"aud": ["api", 1]}),
            json!({"sub": null}),
            json!({"sub": ""}),
            json!({"sub": "a b"}),
            json!({"sub": "a\"b"}),
            json!({"sub": "a\r\nx-consumer-id: root"}),
            json!({"sub": "s".repeat(129)}),
            json!({"sub": ["acme"]}),
            json!({"jti": 1}),
        ] {
            invalid(ed().token(&with(more))).await;
        }
        // What stands there as `null` is there.
        for name in ["iss", "exp", "nbf", "aud", "sub"] {
            let mut claims = good();
            claims[name] = json!(null);
            invalid(ed().token(&claims)).await;
        }
        let plan = |more: Value| ed().token(&claims("https://tierless.example", "acme", &more));
        admitted(&plan(json!({"plan": "gold"}))).await;
        invalid(plan(json!({"plan": "open"}))).await;
        invalid(plan(json!({}))).await;
        unharmed().await;
    });
}

#[test]
fn a_token_is_valid_in_its_time_and_for_whom_it_is_meant() {
    run(async {
        let now = now();
        for more in [json!({"exp": now - 10}), json!({"nbf": now + 10}), json!({"exp": now as f64 + 3_600.5}), json!({"aud": ["x", "api"]})]
        {
            admitted(&ed().token(&with(more))).await;
        }
        for exp in [now - 31, now - 3_600, 0, 1] {
            refused(ed().token(&with(json!({"exp": exp}))), (401, "expired_token")).await;
        }
        for nbf in [now + 120, now + 86_400, 9_999_999_999] {
            refused(ed().token(&with(json!({"nbf": nbf}))), (401, "token_not_yet_valid")).await;
        }
        for aud in [json!("other"), json!([]), json!(["x", "y"]), json!("API"), json!("api "), json!("a"), json!(null), json!("")] {
            refused(ed().token(&with(json!({"aud": aud}))), (401, "wrong_audience")).await;
        }
        let short = |life: u64| ed().token(&claims("https://short.example", "acme", &json!({"exp": now + life})));
        admitted(&short(50)).await;
        invalid(short(120)).await;
        // Who did not sign it is not told whether it would be in time.
        invalid(attacker().token(&with(json!({"exp": 1})))).await;
        unharmed().await;
    });
}

#[test]
fn a_known_token_ends_when_it_ends() {
    run(async {
        let gate = GATE.get().await;
        let token = ed().token(&claims("https://short.example", "acme", &json!({"exp": now() + 3})));
        let mut workers = tollgate_tests::EveryWorker::of(gate).await;
        let call = Call::get("/a").bearer(&token);
        assert!(workers.send(&call).await.iter().all(tollgate_tests::Answer::reached_upstream));
        workers.until("the token's end", &call, |answer| !answer.reached_upstream() && answer.code() == "expired_token").await;
        unharmed().await;
    });
}

#[test]
fn one_token_comes_once() {
    run(async {
        let (first, second) = (ed().token(&good()), ec().token(&good()));
        let gate = GATE.get().await;
        for http in Http::BOTH {
            let call = || Call::get("/refused");
            call().bearer(&first).bearer(&first).send(gate, http).await.assert_denied(401, "duplicate_credentials");
            call().bearer(&first).bearer(&second).send(gate, http).await.assert_denied(401, "duplicate_credentials");
            call().bearer(&first).header("authorization", "Basic eDp5").send(gate, http).await.assert_denied(401, "duplicate_credentials");
            for joined in
                [format!("{first}, Bearer {second}"), format!("{first},Bearer {first}"), format!("{first}, {second}"), format!("{first},")]
            {
                call().bearer(&joined).send(gate, http).await.assert_denied(401, "duplicate_credentials");
            }
            call().bearer(&first).api_key(&second).send(gate, http).await.assert_denied(400, "conflicting_credentials");
            call().bearer(&first).api_key(ACME).send(gate, http).await.assert_denied(400, "conflicting_credentials");
            call().bearer(ACME).api_key(&first).send(gate, http).await.assert_denied(400, "conflicting_credentials");
        }
        for lines in [["Authorization", "authorization"], ["X-API-Key", "x-api-key"]] {
            let scheme = if lines[0] == "Authorization" { "Bearer " } else { "" };
            let twice = lines.iter().fold(RawRequest::get("/refused"), |request, name| request.line(format!("{name}: {scheme}{first}")));
            let answer = twice.send(gate).await;
            assert_eq!((answer.status, &*answer.code()), (401, "duplicate_credentials"));
        }
        unharmed().await;
    });
}

#[test]
fn a_token_is_read_up_to_the_longest_there_may_be() {
    run(async {
        let padded = |length: usize| ed().token(&with(json!({"pad": "p".repeat(length)})));
        let longest = (5_000..LONGEST).take_while(|length| padded(*length).len() <= LONGEST).last().unwrap();
        assert!(padded(longest).len() > LONGEST - 3);
        admitted(&padded(longest)).await;
        for length in [longest + 1, longest + 2, LONGEST, 40_000] {
            invalid(padded(length)).await;
        }
        unharmed().await;
    });
}

#[test]
fn neither_depth_nor_length_harms_a_gate_that_reads_long_tokens() {
    run(async {
        let gate = Setup::new("tokens-long", &plugin(65_536)).secret("ISSUER_SECRET", SECRET).start().await;
        let nested = |open: &str, close: &str, depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        let header = ed().header().to_string();
        let (head, payload) = (header.trim_end_matches('}').to_owned(), good().to_string());
        let body = payload.trim_end_matches('}').to_owned();
        for (open, close, depth) in [("[", "]", 200), ("[", "]", 18_000), ("{\"a\":", "}", 6_000), ("[", "", 38_000)] {
            let bomb = nested(open, close, depth);
            for token in [
                ed().token_of(format!("{head},\"x\":{bomb}}}"), &payload),
                ed().token_of(&header, format!("{body},\"x\":{bomb}}}")),
                ed().token_of(&bomb, &bomb[..1]),
            ] {
                for http in Http::BOTH {
                    let answer = Call::get("/refused").header("authorization", format!("Bearer {token}")).send(&gate, http).await;
                    assert!(!answer.reached_upstream() && answer.status == 401, "{open}{depth}: {answer:?}");
                }
            }
        }
        let wide = format!("{body},\"x\":[{}1]}}", "1,".repeat(15_000));
        let many: String = (0..3_000).map(|number| format!(",\"m{number}\":{number}")).collect();
        for token in [ed().token_of(&header, wide), ed().token_of(&header, format!("{body}{many}}}"))] {
            for http in Http::BOTH {
                Call::get("/a").bearer(&token).send(&gate, http).await.assert_admitted();
            }
        }
        let dots = format!("e{}", ".".repeat(50_000));
        let answer = Call::get("/refused").bearer(&dots).send(&gate, Http::One).await;
        answer.assert_denied(401, "invalid_token");
        // The proxy itself takes no head of more than 60 KiB.
        let answer = RawRequest::get("/refused").line(format!("authorization: Bearer e..{}", "x".repeat(62_000))).send(&gate).await;
        assert_eq!(answer.status, 431);
        assert!(Upstream::shared().seen("/refused").is_empty());
        gate.assert_untrapped().await;
        Call::get("/a").bearer(&ed().token(&good())).send(&gate, Http::Two).await.assert_admitted();
    });
}
