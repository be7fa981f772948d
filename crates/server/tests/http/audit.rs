//! Who was not believed: failed authentications come to the audit log, few entries however many there are.

use std::time::Duration;

use serde_json::{Value, json};

use crate::service::Service;

const FAILED: &str = "/api/v1/audit?kind=authentication&limit=200";

/// Entries of failed authentications, once they are as they should be.
async fn failed(service: &Service, what: &str, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let mut last = Vec::new();
    for _ in 0..200 {
        last = service.get(FAILED).await.expect(200)["items"].as_array().unwrap().clone();
        if enough(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: {last:#?}");
}

fn reasons(entries: &[Value]) -> Vec<&str> {
    let mut reasons: Vec<_> = entries.iter().map(|entry| entry["detail"]["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    reasons
}

fn sum(entries: &[Value]) -> u64 {
    entries.iter().map(|entry| entry["detail"]["count"].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_believed_is_noted_with_reason_and_address() {
    let service = Service::start_with(&[("trusted_proxies", "127.0.0.1"), ("registration", "true")]).await;
    let consumer = service.consumer().await;
    let user = service.user("viewer", &consumer).await;
    let from = |method: &str, path: &str| service.anonymous(method, path).header("x-forwarded-for", "192.0.2.9");
    let login = |email: &Value| from("POST", "/api/v1/auth/login").json(&json!({"email": email, "password": "not the password"}));
    from("GET", "/api/v1/tiers").bearer("tga_wrong").send().await.problem(401);
    login(&user["email"]).send().await.problem(401);
    // Somebody who typed their password in the wrong field.
    login(&json!("correct horse battery staple")).send().await.problem(401);
    from("POST", "/api/v1/auth/password/choose")
        .json(&json!({"token": "x", "password": "twelve letters and more"}))
        .send()
        .await
        .problem(400);
    from("GET", "/api/v1/auth/session").header("cookie", "__Host-tollgate_session=made-up").send().await.problem(401);
    service.node("tgn_wrong", "POST", "/internal/v1/incarnations").send().await.problem(401);
    service.node("wrong", "GET", "/internal/v1/changes").send().await.problem(401);
    let client = json!({"grant_type": "client_credentials", "client_id": "x", "client_secret": "wrong"});
    from("POST", "/oauth/token").form(&client).send().await;

    let all = ["admin_key", "client", "node_credential", "node_token", "password", "password", "session", "word"];
    let entries = failed(&service, "all reasons", |entries| reasons(entries).len() >= all.len()).await;
    assert_eq!(reasons(&entries), all);
    let passwords: Vec<_> = entries.iter().filter(|entry| entry["detail"]["reason"] == "password").collect();
    assert!(
        passwords.iter().any(|entry| entry["subject"] == user["id"] && entry["organisation"] == user["organisation"]),
        "{passwords:#?}"
    );
    assert!(passwords.iter().any(|entry| entry["subject"] == "unknown"));
    let there = |entry: &Value| entry["personal"]["address"] == "192.0.2.9" && entry["actor"].as_str().unwrap().starts_with("address:~");
    assert_eq!(entries.iter().filter(|entry| there(entry)).count(), 6, "{entries:#?}");
    let by_address = service.get("/api/v1/audit?actor=address:192.0.2.9").await.expect(200);
    assert_eq!(by_address["items"].as_array().unwrap().len(), 6);
    let text = service.get("/api/v1/audit/export").await.text().to_owned();
    for secret in ["correct horse", "not the password", "tga_wrong", "made-up", service.admin.as_str()] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_wrong_credentials_is_a_few_entries_that_count_them_all() {
    let service = Service::start_with(&[("trusted_proxies", "127.0.0.1")]).await;
    let mut sent = 0;
    for number in 0..300_u64 {
        let address = format!("198.51.100.{}", number % 150);
        service.anonymous("GET", "/api/v1/tiers").header("x-forwarded-for", &address).bearer("tga_wrong").send().await.problem(401);
        sent += 1;
    }
    let entries = failed(&service, "the whole flood", |entries| sum(entries) >= sent).await;
    assert_eq!(sum(&entries), sent);
    // Each writing tells so many apart at most, and the rest in one.
    let rest: Vec<_> = entries.iter().filter(|entry| entry["actor"] == "many").collect();
    assert!(!rest.is_empty() && rest[0]["personal"].is_null(), "{}", entries.len());
    assert!(entries.len() < 200, "{}", entries.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_written_yet_is_written_at_the_end() {
    let service = Service::start().await;
    let kept = service.get("/api/v1/audit/head").await.expect(200);
    for _ in 0..3 {
        service.anonymous("GET", "/api/v1/tiers").bearer("tga_wrong").send().await.problem(401);
    }
    let data = service.end().await;
    let head = format!("{}:{}", kept["seq"], kept["hash"].as_str().unwrap()).parse().unwrap();
    let last = tollgate_server::audit::verify(data.path(), vec![head]).await.unwrap().unwrap();
    assert!(last.seq > kept["seq"].as_u64().unwrap());
    let service = Service::start_on(data, &[]).await;
    assert_eq!(sum(&failed(&service, "what was noted before", |entries| !entries.is_empty()).await), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_asked_for_part_by_part() {
    let service = Service::start().await;
    for _ in 0..5 {
        service.consumer().await;
    }
    let lines = async |query: &str| {
        let reply = service.get(&format!("/api/v1/audit/export{query}")).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "application/x-ndjson"));
        reply.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let all = lines("").await;
    assert_eq!(all, (1..=all.len() as u64).collect::<Vec<_>>());
    assert_eq!(lines("?after=2&limit=3").await, [3, 4, 5]);
    assert_eq!(lines("?after=99999").await, Vec::<u64>::new());
    assert_eq!(lines("?kind=consumers").await.len(), 5);
    for wrong in ["?after=x", "?limit=0", "?limit=-1", "?from=yesterday", "?actor=", "?kind=a&kind=b", "?other=1"] {
        service.get(&format!("/api/v1/audit/export{wrong}")).await.problem(400);
    }
}
