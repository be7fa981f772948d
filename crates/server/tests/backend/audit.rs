//! Who did what: each change leaves a line.

use sqlx::Row;
use tollgate_server::api_keys::{self, NewOwnKey, Reach};

use crate::setup::*;

#[tokio::test]
async fn each_change_is_noted_with_who_made_it() {
    let backend = Backend::new().await;
    let developer = developer(&backend.consumer("acme").await);
    let made = committed!(backend, |write| api_keys::create_own(write, &backend.secrets, &developer, NewOwnKey::default())).unwrap();
    committed!(backend, |write| api_keys::revoke(write, &backend.admin, Reach::All, &made.key.id, None)).unwrap();
    let rows =
        sqlx::query("SELECT at, principal, action, subject FROM events WHERE seq > 4 ORDER BY seq").fetch_all(&backend.raw().await).await;
    let rows: Vec<(i64, String, String, String)> =
        rows.unwrap().iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    let line = |principal: &str, action: &str, subject: &str| {
        (backend.now().millis(), principal.to_owned(), action.to_owned(), subject.to_owned())
    };
    assert_eq!(
        rows,
        [
            line("test", "consumers:create", "acme"),
            line("admin_key:developer", "keys:create", &made.key.id),
            line("test", "keys:revoke", &made.key.id),
        ]
    );
}
