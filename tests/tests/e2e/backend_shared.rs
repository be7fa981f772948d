//! Owns the backend and the gate that cases share which break nothing and reset nothing: each has keys and consumers of its own.
//! Must not hold a case.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tollgate_tests::plugin::{self, consumer, hourly, key, tier};
use tollgate_tests::{Answer, Call, FakeBackend, Gate, Http, Setup, Shared};

/// How many workers the gate has: as often a key may be asked about.
pub(crate) const WORKERS: usize = 2;

pub(crate) static BACKEND: LazyLock<Arc<FakeBackend>> = LazyLock::new(FakeBackend::start);

static GATE: Shared = Shared::new(|| Setup::new("backend", &document()).backend(&BACKEND));

fn document() -> Value {
    json!({
        "backend": plugin::backend(&json!({"unknown_per_address": 1_000_000, "timeout": "5s"})),
        "tiers": [tier("hourly", &[hourly(2)])],
        "consumers": [consumer("namesake", "hourly", &key("configured"))],
        "filter_state": true,
    })
}

pub(crate) async fn gate() -> &'static Gate {
    static FOLLOWED: OnceCell<()> = OnceCell::const_new();
    let gate = GATE.get().await;
    FOLLOWED.get_or_init(|| BACKEND.until_followed(gate)).await;
    gate
}

/// A tier without limits.
pub(crate) fn open() -> Value {
    tier("open", &[])
}

pub(crate) async fn get(key: &str, http: Http) -> Answer {
    Call::get("/a").bearer(key).send(gate().await, http).await
}
