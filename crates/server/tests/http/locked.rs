//! A database that somebody else holds.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, Executor, SqliteConnection};
use tokio::time::Instant;

use crate::client::call;
use crate::service::Service;

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_locked_writes_are_put_off_and_reads_and_nodes_go_on() {
    let service = Service::start().await;
    let consumer = service.consumer().await;
    let key = service.key(&consumer).await;
    let token = service.token().await;
    let mut other = SqliteConnection::connect(&format!("sqlite://{}", service.data.path().join("tollgate.db").display())).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();

    let started = Instant::now();
    let refused = service.call("POST", "/api/v1/consumers").json(&json!({"id": "put-off", "name": "Put off", "tier": "free"})).send().await;
    let problem = refused.problem(503);
    assert_eq!(problem["code"], "unavailable");
    assert_eq!(refused.header("retry-after"), problem["retry_after"].to_string());
    assert!(!refused.text().contains("lock") && !refused.text().contains("sqlite"), "{}", refused.text());
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(service.call("DELETE", &format!("/api/v1/keys/{}", key["id"].as_str().unwrap())).send().await.status, 503);

    service.get("/api/v1/consumers").await.expect(200);
    service.get(&format!("/api/v1/consumers/{consumer}")).await.expect(200);
    let resolve = json!({"wire": "tollgate-node/1", "id": key["id"], "sha256": sha256(key["api_key"].as_str().unwrap())});
    let resolved = service.node(&token, "POST", "/internal/v1/resolve").json(&resolve).send().await.expect(200);
    assert_eq!(resolved["known"]["consumer"], json!(consumer));
    service.node(&token, "GET", "/internal/v1/changes").send().await.expect(200);
    // A node that comes now is taken in too, in less time than nodes wait.
    let asked = Instant::now();
    let newcomer = service.token().await;
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    service.node(&newcomer, "GET", "/internal/v1/changes").send().await.expect(200);
    call(service.at.operations, "GET", "/healthz").send().await.expect(200);
    let readiness = call(service.at.operations, "GET", "/readyz").send().await;
    // Out of service, it could not tell nodes what it knows.
    assert_eq!(readiness.expect(200), json!({"ready": true, "readable": true, "writable": false, "ledger": true, "ending": false}));

    other.execute("ROLLBACK").await.unwrap();
    service.get("/api/v1/consumers/put-off").await.problem(404);
    service.call("POST", "/api/v1/consumers").json(&json!({"id": "put-off", "name": "Put off", "tier": "free"})).send().await.expect(201);
    wait_for(async || call(service.at.operations, "GET", "/readyz").send().await.expect(200)["writable"] == json!(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_ledgers_file_it_says_so_and_goes_on_with_the_rest() {
    let service = Service::start().await;
    let (ledger, elsewhere) = (service.data.path().join("ledger.db"), service.data.path().join("elsewhere.db"));
    let readiness = async || call(service.at.operations, "GET", "/readyz").send().await;
    assert_eq!(readiness().await.expect(200)["ledger"], true);
    let reason = "the ledger's database ledger.db cannot be read, or is another one than at the start";
    let without = json!({"ready": true, "readable": true, "writable": true, "ledger": false, "ending": false, "reason": reason});
    // A copy in its place is not what the process has open.
    let copy = service.data.path().join("copy.db");
    std::fs::hard_link(&ledger, &elsewhere).unwrap();
    std::fs::copy(&ledger, &copy).unwrap();
    std::fs::rename(&copy, &ledger).unwrap();
    wait_for(async || readiness().await.expect(200)["ledger"] == false).await;
    assert_eq!(readiness().await.expect(200), without);
    std::fs::rename(&elsewhere, &ledger).unwrap();
    wait_for(async || readiness().await.expect(200)["ledger"] == true).await;
    std::fs::rename(&ledger, &elsewhere).unwrap();
    wait_for(async || readiness().await.expect(200)["ledger"] == false).await;
    assert_eq!(readiness().await.expect(200), without);
    std::fs::rename(&elsewhere, &ledger).unwrap();
    wait_for(async || readiness().await.expect(200)["ledger"] == true).await;
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256(text: &str) -> String {
    tollgate_core::credential::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Asks again and again, for at most ten seconds.
pub(crate) async fn wait_for(mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < Duration::from_secs(10), "it never came about");
        tokio::task::yield_now().await;
    }
}
