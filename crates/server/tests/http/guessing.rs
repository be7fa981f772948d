//! Credentials that are guessed.

use crate::service::Service;

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_guesses_is_slowed_down_and_locks_out_nobody() {
    let service = Service::start().await;
    let forged = format!("tga_{}", "a".repeat(57));
    let guess = || service.anonymous("GET", "/api/v1/tiers").bearer(&forged).send();
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(guess().await.status);
    }
    let refused = statuses.iter().position(|status| *status == 429).unwrap();
    assert!(refused >= 30 && statuses[..refused].iter().all(|status| *status == 401), "{statuses:?}");
    let reply = guess().await;
    assert_eq!(reply.problem(429)["code"], "rate_limited");
    assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
    service.get("/api/v1/tiers").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_one_bearer_token_and_nothing_else() {
    let service = Service::start().await;
    let admin = service.admin.clone();
    let get = || service.anonymous("GET", "/api/v1/tiers");
    for (what, call) in [
        ("another scheme", get().header("authorization", &format!("Basic {admin}"))),
        ("no scheme", get().header("authorization", &admin)),
        ("no credential", get().header("authorization", "Bearer ")),
        ("two headers", get().bearer(&admin).bearer(&admin)),
        ("the query", service.anonymous("GET", &format!("/api/v1/tiers?access_token={admin}"))),
        ("another header", get().header("x-api-key", &admin)),
        ("bytes that are no text", get().header("authorization", "Bearer ü")),
    ] {
        let reply = call.send().await;
        assert_eq!(reply.problem(401)["code"], "unauthenticated", "{what}");
    }
    let right = get().header("authorization", &format!("bearer   {admin}")).send().await;
    right.expect(200);
}
