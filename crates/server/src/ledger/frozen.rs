//! Owns what people do about a ledger that forgot what it had answered: the word that a backup was restored, and the word that quotas may be
//! granted from again. Must not notice a loss itself: the store does.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::failure::Failure;
use crate::permission::Principal;
use crate::store::{self, Store, StoreError, Write};

/// Of whom quotas may be granted from again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reopen {
    /// Of this consumer. Default: of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reopened {
    /// Rows in force that granted nothing before.
    pub rows: u64,
}

/// Says that the databases in `dir` were restored: no quota is granted from in a window that has begun or begins soon, until it is reopened. No process may
/// serve the directory meanwhile.
///
/// # Errors
/// [`StoreError`].
pub async fn freeze(dir: &Path, clock: Arc<dyn Clock>) -> Result<(), StoreError> {
    if !Store::is_in(dir) {
        return Err(StoreError::Unavailable(format!("there is none in {}", dir.display())));
    }
    let _claim = Store::claim(dir)?;
    let store = Store::open(dir, clock).await?;
    let frozen = record_frozen(&store).await;
    store.close().await;
    frozen
}

async fn record_frozen(store: &Store) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
    store::ledger::freeze(store).await?;
    write.record(&Principal::backend("freeze"), "ledger:freeze", "all").await?;
    write.commit().await
}

/// Has quotas granted from again, of a consumer or of all. Nodes come back within a minute.
///
/// The ledger is a database of its own, so this is durable before `write` is.
///
/// # Errors
/// [`Failure::Invalid`] for a consumer that is not there; [`Failure::Forbidden`] to principals bound to an organisation, because what was lost
/// is not theirs alone.
pub async fn reopen(write: &mut Write, store: &Store, principal: &Principal, reopen: &Reopen) -> Result<Reopened, Failure> {
    principal.unbound()?;
    if let Some(consumer) = &reopen.consumer
        && store::consumers::get(write, consumer).await?.is_none()
    {
        return Err(Failure::invalid("consumer", "there is no such consumer"));
    }
    let rows = store::ledger::reopen(store, reopen.consumer.as_deref()).await?;
    write.record(principal, "ledger:reopen", reopen.consumer.as_deref().unwrap_or("all")).await?;
    Ok(Reopened { rows })
}
