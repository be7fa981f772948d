//! Keys that were found in public: whoever has one may end it, and learns nothing about others.

use serde_json::{Value, json};

use crate::client::Reply;
use crate::people::newest_mail;
use crate::service::Service;

async fn report(service: &Service, key: &str) -> Reply {
    let leak = json!({"key": key, "found_at": "https://git.example/acme/.env"});
    service.anonymous("POST", "/api/v1/leaks").json(&leak).send().await
}

async fn acme(service: &Service, email: &str) {
    service.post("/api/v1/consumers", &json!({"id": "acme", "name": "Acme", "tier": "free", "email": email})).await.expect(201);
}

async fn key(service: &Service, more: Value) -> (String, String) {
    let mut new = json!({"consumer": "acme", "label": "ci"});
    new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = service.post("/api/v1/keys", &new).await.expect(201);
    (made["id"].as_str().unwrap().to_owned(), made["api_key"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_found_is_revoked_by_whoever_has_it_and_its_owner_is_written_to() {
    let service = Service::start().await;
    acme(&service, "owner@example.com").await;
    let (id, secret) = key(&service, json!({})).await;
    let (other, _) = key(&service, json!({})).await;
    assert_eq!(report(&service, &secret).await.expect(200), json!({"revoked": id}));
    let status = async |id: &str| service.get(&format!("/api/v1/keys/{id}")).await.expect(200)["status"].clone();
    assert_eq!((status(&id).await, status(&other).await), (json!("revoked"), json!("active")));
    assert_eq!(report(&service, &secret).await.expect(200), json!({}), "it passes no more");
    let mail = newest_mail(&service, "owner@example.com", 1).await;
    assert!(mail.contains(&id) && mail.contains("ci") && !mail.contains("git.example") && !mail.contains(&secret), "{mail}");
    let entries = service.get(&format!("/api/v1/audit?subject={id}")).await.expect(200);
    let entry = entries["items"].as_array().unwrap().iter().find(|entry| entry["action"] == "keys:leak").unwrap().clone();
    assert_eq!((&entry["actor"], &entry["detail"]["found_at"]), (&json!("leak"), &json!("https://git.example/acme/.env")), "{entry}");
    assert!(!entry.to_string().contains(&secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_key_is_ended_too_and_what_is_no_key_ends_nothing() {
    let service = Service::start().await;
    acme(&service, "owner@example.com").await;
    let (id, _) = key(&service, json!({"import": {"key": "a-key-of-the-old-gateway-7d1f"}})).await;
    let (issued, secret) = key(&service, json!({})).await;
    let mut forged = secret.clone();
    let last = forged.pop().unwrap();
    forged.push(if last == 'a' { 'b' } else { 'a' });
    for nobodys in ["", issued.as_str(), id.as_str(), &forged, service.admin.as_str()] {
        assert_eq!(report(&service, nobodys).await.expect(200), json!({}), "{nobodys}");
    }
    assert_eq!(service.get(&format!("/api/v1/keys/{issued}")).await.expect(200)["status"], "active");
    assert_eq!(report(&service, "a-key-of-the-old-gateway-7d1f").await.expect(200), json!({"revoked": id}));
    service.get("/api/v1/keys").await.expect(200);
    let long = json!({"key": secret, "found_at": "x".repeat(2_001)});
    let refused = service.anonymous("POST", "/api/v1/leaks").json(&long).send().await;
    assert_eq!(refused.wrong_field(400).0, "found_at");
    assert_eq!(report(&service, &"x".repeat(513)).await.wrong_field(400).0, "key");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_here_is_guessing_a_credential() {
    let service = Service::start().await;
    acme(&service, "owner@example.com").await;
    let (id, secret) = key(&service, json!({})).await;
    let mut refused = None;
    for number in 0..100 {
        let reply = report(&service, &format!("foil_guess-{number}")).await;
        if reply.status == 429 {
            refused = Some(reply);
            break;
        }
        reply.expect(200);
    }
    assert_eq!(refused.unwrap().problem(429)["code"], "rate_limited");
    assert_eq!(report(&service, &secret).await.expect(200), json!({"revoked": id}), "what is right is never refused");
}
