//! What tokens that fail may cost: so many in a minute from one address, and nothing to anybody else.

use serde_json::{Value, json};
use tollgate_tests::plugin::{ACME, claims, consumer, inline, issuer, tier};
use tollgate_tests::{Answer, Call, EveryWorker, Http, Setup, Signer, run};

const ISSUER: &str = "https://bound.example";

fn signer() -> Signer {
    Signer::new("EdDSA", "one", 11)
}

fn plugin() -> Value {
    json!({
        "tiers": [tier("open", &[])],
        "consumers": [consumer("acme", "open", ACME)],
        "tokens": {"failed_per_address": 4, "issuers": [issuer(ISSUER, &inline(&[&signer()]), &json!({}))]},
    })
}

fn good(id: &str) -> String {
    signer().token(&claims(ISSUER, "acme", &json!({"jti": id})))
}

fn forged(id: &str) -> String {
    Signer::new("EdDSA", "one", 12).token(&claims(ISSUER, "acme", &json!({"jti": id})))
}

#[test]
fn an_address_may_fail_so_often_and_whoever_is_known_or_elsewhere_goes_on() {
    run(async {
        let gate = Setup::new("tokens-bound", &plugin()).trusting_one_hop().start().await;
        let (here, there) = ("192.0.2.1", "192.0.2.2");
        let mut workers = EveryWorker::of(&gate).await;
        let warm = Call::get("/a").bearer(&good("warm")).from(here);
        workers.send(&warm).await.iter().for_each(Answer::assert_admitted);
        let mut failed = 0;
        for number in 0..12 {
            let call = Call::get("/refused").bearer(&forged(&format!("forged-{number}"))).from(here);
            let answer = call.send(&gate, Http::BOTH[number % 2]).await;
            if answer.status == 401 {
                answer.assert_denied(401, "invalid_token");
                failed += 1;
            } else {
                answer.assert_denied(429, "too_many_failed_tokens");
                assert!((1..=60).contains(&answer.number("retry-after")), "{answer:?}");
                assert_eq!(answer.header("www-authenticate"), None);
            }
        }
        assert_eq!(failed, 4);
        workers.send(&warm).await.iter().for_each(Answer::assert_admitted);
        for http in Http::BOTH {
            // Nobody can know before it is checked.
            let cold = good(&format!("cold-{http:?}"));
            Call::get("/a").bearer(&cold).from(here).send(&gate, http).await.assert_denied(429, "too_many_failed_tokens");
            Call::get("/a").bearer(&cold).from(there).send(&gate, http).await.assert_admitted();
            Call::get("/a").bearer(ACME).from(here).send(&gate, http).await.assert_admitted();
            Call::get("/a").bearer(&forged("elsewhere")).from(there).send(&gate, http).await.assert_denied(401, "invalid_token");
        }
        gate.until_stat("tollgate_tokens.not_checked", 10).await;
        gate.assert_untrapped().await;
    });
}

#[test]
fn good_tokens_and_those_that_are_wrong_in_themselves_cost_nothing() {
    run(async {
        let gate = Setup::new("tokens-bound-good", &plugin()).trusting_one_hop().start().await;
        for number in 0..30 {
            let http = Http::BOTH[number % 2];
            let call = |token: &str| Call::get("/a").bearer(token).from("192.0.2.3");
            call(&good(&format!("good-{number}"))).send(&gate, http).await.assert_admitted();
            let expired = signer().token(&claims(ISSUER, "acme", &json!({"exp": 1_000_000_000 + number})));
            call(&expired).send(&gate, http).await.assert_denied(401, "expired_token");
            let foreign = signer().token(&claims("https://unknown.example", "acme", &json!({"n": number})));
            call(&foreign).send(&gate, http).await.assert_denied(401, "invalid_token");
            call(&format!("e.{number}.")).send(&gate, http).await.assert_denied(401, "invalid_token");
        }
        // One that failed is remembered: again it costs nothing, on the worker that remembers it.
        let mut connection = tollgate_tests::Connection::open(gate.address(), Http::One).await;
        for _ in 0..10 {
            let call = Call::get("/a").bearer(&forged("again")).from("192.0.2.3");
            connection.send(call).await.unwrap().assert_denied(401, "invalid_token");
        }
        gate.assert_untrapped().await;
    });
}
