//! Lists, walked page by page.

use std::collections::BTreeSet;

use serde_json::json;

use crate::service::Service;

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_walked_without_missing_or_repeating_anything() {
    let service = Service::start().await;
    for number in 0..23 {
        let tier = if number % 2 == 0 { "free" } else { "pro" };
        let new = json!({"id": format!("c-{number}"), "name": "Consumer", "tier": tier});
        service.post("/api/v1/consumers", &new).await.expect(201);
    }
    let (mut seen, mut sizes, mut next) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = service.get(&format!("/api/v1/consumers?limit=10{next}")).await.expect(200);
        let items = page["items"].as_array().unwrap().clone();
        sizes.push(items.len());
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(cursor) => next = format!("&after={cursor}"),
            None => break,
        }
        // What is made meanwhile disturbs nobody.
        service.consumer().await;
    }
    let ours: Vec<_> = seen.iter().filter(|id| id.starts_with("c-")).cloned().collect();
    assert_eq!(ours.len(), 23);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
    assert_eq!(sizes[..2], [10, 10]);

    let pro = service.get("/api/v1/consumers?tier=pro&limit=200").await.expect(200);
    assert_eq!(pro["items"].as_array().unwrap().len(), 11);
    assert!(pro["next"].is_null() && pro.as_object().unwrap().contains_key("next"));
    assert_eq!(service.get("/api/v1/consumers?organisation=none").await.expect(200)["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_cannot_be_is_refused_with_its_parameter() {
    let service = Service::start().await;
    for path in [
        "/api/v1/consumers",
        "/api/v1/keys",
        "/api/v1/tiers",
        "/api/v1/organisations",
        "/api/v1/admin-keys",
        "/api/v1/nodes",
        "/api/v1/node-credentials",
    ] {
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("limit=ten", "limit"),
            ("limit=-1", "limit"),
            ("limit=1&limit=2", "limit"),
            ("limit=99999999999999999999", "limit"),
            ("after=%00", "after"),
            ("surprise=1", "surprise"),
        ] {
            let reply = service.get(&format!("{path}?{query}")).await;
            assert_eq!(reply.wrong_field(400).0, field, "{path}?{query}: {}", reply.text());
        }
    }
}
