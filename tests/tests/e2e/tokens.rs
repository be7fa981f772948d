//! Access tokens of issuers that are trusted: whom they identify, where they may be, and what limits their consumers meet.

use serde_json::{Value, json};
use tollgate_tests::plugin::{ACME, claims, consumer, hourly, inline, issuer, tier};
use tollgate_tests::{Answer, Call, EveryWorker, Gate, Http, Setup, Shared, Signer, run};

const ALL: &str = "https://all.example";
/// The same keys, without a word on algorithms.
const UNNAMED: &str = "https://unnamed.example";
const SHARED: &str = "https://shared.example";
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Signed by keys that are published.
const PUBLIC: [&str; 10] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];
const SYMMETRIC: [&str; 3] = ["HS256", "HS384", "HS512"];

/// Each key under the name of its algorithm.
fn signers() -> Vec<Signer> {
    PUBLIC.iter().map(|algorithm| Signer::new(algorithm, algorithm, 0)).collect()
}

fn plugin() -> Value {
    let signers = signers();
    let by_claim = json!({"tier": {"claim": "tier", "default": "open"}});
    let secrets = json!({"secrets": [{"secret": {"env": "ISSUER_SECRET"}}]});
    let settled = json!({"consumer": {"known_by": "configuration"}, "tier": null});
    let prefixed = json!({"consumer": {"claim": "/org/id", "prefix": "org-"}});
    let seventh = Signer::new("EdDSA", "seven", 7);
    let mut all = by_claim.clone();
    all["algorithms"] = json!(PUBLIC);
    json!({
        "tiers": [tier("open", &[]), tier("tight", &[hourly(4)])],
        "consumers": [consumer("acme", "open", ACME), consumer("limited", "tight", "limited-key-0123456789")],
        "tokens": {"issuers": [
            issuer(ALL, &inline(&signers.iter().collect::<Vec<_>>()), &all),
            issuer(UNNAMED, &inline(&signers.iter().collect::<Vec<_>>()), &by_claim),
            issuer(SHARED, &secrets, &by_claim),
            issuer("https://settled.example", &inline(&[&seventh]), &settled),
            issuer("https://prefixed.example", &inline(&[&seventh]), &prefixed),
        ]},
    })
}

fn setup(name: &str) -> Setup {
    Setup::new(name, &plugin()).secret("ISSUER_SECRET", SECRET)
}

static GATE: Shared = Shared::new(|| setup("tokens"));

fn assert_identified(answer: &Answer, token: &str, consumer: &str, credential: &str) {
    assert_eq!(answer.upstream_saw("x-consumer-id"), [consumer]);
    assert_eq!(answer.upstream_saw("x-consumer-tier"), ["open"]);
    assert_eq!(answer.upstream_saw("x-credential-id"), [credential]);
    let echo = String::from_utf8_lossy(&answer.body);
    assert!(!echo.contains(token) && !echo.contains(token.rsplit('.').next().unwrap()), "the upstream saw the token");
}

async fn assert_seen_by_every_worker(gate: &Gate, call: &Call, check: impl Fn(&Answer)) {
    EveryWorker::of(gate).await.send(call).await.iter().for_each(check);
}

#[test]
fn a_good_token_of_every_algorithm_is_verified_once_by_each_worker_and_known_from_then_on() {
    run(async {
        let gate = setup("tokens-algorithms").start().await;
        let published = signers().into_iter().zip(PUBLIC).map(|(signer, algorithm)| (signer, ALL, algorithm));
        let shared = SYMMETRIC.map(|algorithm| (Signer::secret(algorithm, "", SECRET), SHARED, algorithm));
        let mut count = 0;
        for (signer, issuer, algorithm) in published.chain(shared) {
            let id = format!("token-{algorithm}");
            let token = signer.token(&claims(issuer, "acme", &json!({"jti": id})));
            assert_seen_by_every_worker(&gate, &Call::get("/a").bearer(&token), |answer| {
                assert_identified(answer, &token, "acme", &id);
            })
            .await;
            count += 1;
        }
        assert_eq!(count, 13);
        gate.until_stat("tollgate_tokens.known_hit", 14 * count).await;
        assert_eq!(gate.stat("tollgate_tokens.verified").await, 2 * count);
        assert_eq!(gate.stat("tollgate_tokens.known_hit").await, 14 * count);
        assert_eq!(gate.stat("tollgate_tokens.failed").await + gate.stat("tollgate_tokens.malformed").await, 0);
        gate.assert_untrapped().await;
    });
}

#[test]
fn a_token_may_be_wherever_a_key_may_be() {
    run(async {
        let token = Signer::new("ES256", "ES256", 0).token(&claims(ALL, "acme", &json!({"jti": "anywhere"})));
        for http in Http::BOTH {
            for call in [
                Call::get("/a").api_key(&token),
                Call::get("/a").bearer(&token).api_key(&token),
                Call::get("/a").header("authorization", format!("bEARER   {token}")),
            ] {
                assert_identified(&call.send(GATE.get().await, http).await, &token, "acme", "anywhere");
            }
        }
    });
}

#[test]
fn a_token_without_an_id_is_called_by_what_it_says() {
    run(async {
        let signer = Signer::new("EdDSA", "EdDSA", 0);
        let mut ids = Vec::new();
        for more in [json!({"n": 1}), json!({"n": 2})] {
            let answer = Call::get("/a").bearer(&signer.token(&claims(ALL, "acme", &more))).send(GATE.get().await, Http::Two).await;
            ids.extend(answer.upstream_saw("x-credential-id"));
        }
        assert!(ids.len() == 2 && ids[0] != ids[1] && ids.iter().all(|id| id.len() == 24), "{ids:?}");
    });
}

#[test]
fn a_token_without_a_key_id_may_be_any_keys() {
    run(async {
        for algorithm in ["RS256", "PS384", "ES256", "EdDSA"] {
            let token = Signer::new(algorithm, "", 0).token(&claims(ALL, "acme", &json!({"jti": "nameless"})));
            assert_identified(&Call::get("/a").bearer(&token).send(GATE.get().await, Http::One).await, &token, "acme", "nameless");
        }
    });
}

#[test]
fn pss_is_accepted_only_where_it_is_named() {
    run(async {
        for algorithm in PUBLIC {
            for key_id in [algorithm, ""] {
                let token = Signer::new(algorithm, key_id, 0).token(&claims(UNNAMED, "acme", &json!({"jti": key_id})));
                let answer = Call::get("/a").bearer(&token).send(GATE.get().await, Http::Two).await;
                if algorithm.starts_with("PS") { answer.assert_denied(401, "invalid_token") } else { answer.assert_admitted() }
            }
        }
    });
}

#[test]
fn the_consumer_is_named_by_the_claim_and_the_prefix_that_the_issuer_has() {
    run(async {
        let named = claims("https://prefixed.example", "acme", &json!({"org": {"id": 7}, "jti": "of-seven"}));
        let token = Signer::new("EdDSA", "seven", 7).token(&named);
        assert_identified(&Call::get("/a").bearer(&token).send(GATE.get().await, Http::One).await, &token, "org-7", "of-seven");
    });
}

#[test]
fn a_consumer_of_the_configuration_has_its_own_tier_and_others_are_forbidden() {
    run(async {
        let signer = Signer::new("EdDSA", "seven", 7);
        let token = |consumer: &str| signer.token(&claims("https://settled.example", consumer, &json!({"tier": "tight"})));
        for http in Http::BOTH {
            let answer = Call::get("/a").bearer(&token("acme")).send(GATE.get().await, http).await;
            assert_eq!(
                (answer.upstream_saw("x-consumer-id"), answer.upstream_saw("x-consumer-tier")),
                (vec!["acme".into()], vec!["open".into()])
            );
            for _ in 0..2 {
                let answer = Call::get("/a").bearer(&token("nobody")).send(GATE.get().await, http).await;
                answer.assert_denied(403, "unknown_consumer");
                assert_eq!(answer.header("www-authenticate"), None);
            }
        }
    });
}

#[test]
fn all_tokens_of_a_consumer_share_its_limits_and_no_other_issuers_consumer_does() {
    run(async {
        let gate = GATE.get().await;
        let rsa = Signer::new("RS256", "RS256", 0);
        let ed = Signer::new("EdDSA", "EdDSA", 0);
        let shared = Signer::secret("HS256", "", SECRET);
        let says = |issuer: &str, id: &str| claims(issuer, "limited", &json!({"tier": "tight", "jti": id}));
        let mut workers = EveryWorker::of(gate).await;
        let mut admitted = 0;
        for token in [rsa.token(&says(ALL, "one")), ed.token(&says(ALL, "two")), ed.token(&says(ALL, "three"))] {
            for answer in workers.send(&Call::get("/a").bearer(&token)).await {
                if answer.reached_upstream() {
                    admitted += 1;
                } else {
                    answer.assert_denied(429, "rate_limited");
                    assert!(answer.number("retry-after") > 3_000);
                }
            }
        }
        assert_eq!(admitted, 4, "three tokens of one consumer");
        let elsewhere = workers.send(&Call::get("/a").bearer(&shared.token(&says(SHARED, "one")))).await;
        assert_eq!(elsewhere.iter().filter(|answer| answer.reached_upstream()).count(), 4, "the same name with another issuer");
        let configured = workers.send(&Call::get("/a").bearer("limited-key-0123456789")).await;
        assert_eq!(configured.iter().filter(|answer| answer.reached_upstream()).count(), 4, "the same name in the configuration");
        gate.assert_untrapped().await;
    });
}
