//! Changes that name the version they know.

use serde_json::json;

use crate::client::Reply;
use crate::service::Service;

fn tag(reply: &Reply) -> String {
    reply.header("etag").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_to_an_older_version_is_refused_and_changes_nothing() {
    let service = Service::start().await;
    let consumer = service.consumer().await;
    let key = service.key(&consumer).await["id"].as_str().unwrap().to_owned();
    let organisation =
        service.post("/api/v1/organisations", &json!({"name": "Before"})).await.expect(201)["id"].as_str().unwrap().to_owned();
    service.post("/api/v1/tiers", &json!({"name": "versioned", "limits": []})).await.expect(201);
    for (path, method, body) in [
        (format!("/api/v1/organisations/{organisation}"), "PATCH", json!({"name": "After"})),
        (format!("/api/v1/consumers/{consumer}"), "PATCH", json!({"name": "After"})),
        (format!("/api/v1/keys/{key}"), "PATCH", json!({"label": "After"})),
        ("/api/v1/tiers/versioned".to_owned(), "PUT", json!({"limits": [], "self_service": true})),
    ] {
        let change = |known: &str| service.call(method, &path).header("if-match", known).json(&body).send();
        let before = service.get(&path).await;
        assert_eq!(before.status, 200, "{path}");
        assert_eq!(tag(&before), format!("\"v{}\"", before.json()["version"]), "{path}");

        let reply = change("\"v99\"").await;
        assert_eq!(reply.wrong_field(412).0, "If-Match", "{path}");
        assert_eq!(service.get(&path).await.body, before.body, "{path}");

        let after = change(&tag(&before)).await;
        assert_eq!(after.status, 200, "{path}: {}", after.text());
        assert_ne!(tag(&after), tag(&before), "{path}");
        assert_eq!(tag(&service.get(&path).await), tag(&after), "{path}");

        assert_eq!(change(&tag(&before)).await.status, 412, "{path}: the same change again, from the version before it");
        for wrong in ["v1", "\"1\"", "W/\"v1\"", "\"v1\", \"v2\"", ""] {
            assert_eq!(change(wrong).await.wrong_field(400).0, "If-Match", "{path}: {wrong}");
        }
        assert_eq!(change("*").await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_to_an_older_version_is_refused() {
    let service = Service::start().await;
    let consumer = service.consumer().await;
    let key = service.key(&consumer).await["id"].as_str().unwrap().to_owned();
    service.post("/api/v1/tiers", &json!({"name": "versioned", "limits": []})).await.expect(201);
    for path in [format!("/api/v1/keys/{key}"), format!("/api/v1/consumers/{consumer}"), "/api/v1/tiers/versioned".to_owned()] {
        assert_eq!(service.call("DELETE", &path).header("if-match", "\"v99\"").send().await.wrong_field(412).0, "If-Match", "{path}");
        let now = tag(&service.get(&path).await);
        let reply = service.call("DELETE", &path).header("if-match", &now).send().await;
        assert_eq!((reply.status, reply.text(), reply.header("content-type")), (204, "", ""), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_that_is_known_to_be_there_is_not_made() {
    let service = Service::start().await;
    for known in ["*", "\"v1\""] {
        let reply = service.call("PUT", "/api/v1/tiers/none").header("if-match", known).json(&json!({"limits": []})).send().await;
        assert_eq!(reply.status, 412, "{known}: {}", reply.text());
        assert_eq!(service.get("/api/v1/tiers/none").await.status, 404);
    }
    let made = service.call("PUT", "/api/v1/tiers/none").json(&json!({"limits": []})).send().await;
    assert_eq!((made.status, made.header("location")), (201, "/api/v1/tiers/none"));
}
