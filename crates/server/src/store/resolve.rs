//! Owns the reads that nodes wait for: a key, its consumer and its tier, or a consumer and its tier, with the revision they were read at.
//! Must not judge them.
//!
//! A statement through sqlx costs two changes of thread and a turn in a pool, several times what SQLite itself needs. So lookups that come
//! while one is under way go together in the next one, on a connection of their own. With 200,000 keys and 16 callers that was 154,000 a
//! second and core instead of 37,000; with one caller 67,000 instead of 32,000. Consumers have few keys and many tokens, so a node asks about
//! one far more rarely: an ordinary read is good enough.

use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::types::Json;
use sqlx::{Connection, FromRow, Row, SqliteConnection};
use tokio::sync::{Notify, mpsc, oneshot};
use tollgate_core::config::document;

use super::api_keys::Signing;
use super::{Reader, Store, StoreError};
use crate::addresses::AddressRules;
use crate::clock::Time;
use crate::secrets::Hash;

/// Lookups that go together: enough that the change of thread no longer counts.
const MOST_TOGETHER: usize = 64;
/// Lookups that wait for their turn; whoever comes later waits before that.
const MOST_WAITING: usize = 1_024;

/// Many keys by their ids, a JSON array; a row for each of them.
pub(super) const BY_IDS: &str = "SELECT (SELECT coalesce(max(revision), 0) FROM changes) AS revision, j.key AS position, \
    k.id, k.scopes, k.roles, k.addresses, k.signing, k.signing_secret, k.expires_at, k.hashing, k.pepper, k.hash, k.consumer, k.limits AS own, k.spends_as, c.scopes AS granted, \
    c.roles AS granted_roles, c.addresses AS consumer_addresses, t.name AS tier, t.limits FROM json_each(?) j \
    LEFT JOIN api_keys k ON k.id = j.value \
    LEFT JOIN consumers c ON c.id = k.consumer AND k.revoked_at IS NULL AND c.disabled = 0 AND c.deleted_at IS NULL \
    LEFT JOIN tiers t ON t.name = c.tier";
/// One imported key by its hash.
pub(super) const BY_HASH: &str = "SELECT (SELECT coalesce(max(revision), 0) FROM changes) AS revision, 0 AS position, \
    k.id, k.scopes, k.roles, k.addresses, k.signing, k.signing_secret, k.expires_at, k.hashing, k.pepper, k.hash, k.consumer, k.limits AS own, k.spends_as, c.scopes AS granted, \
    c.roles AS granted_roles, c.addresses AS consumer_addresses, t.name AS tier, t.limits FROM (SELECT 1) \
    LEFT JOIN api_keys k ON k.imported = 1 AND k.hash = ? \
    LEFT JOIN consumers c ON c.id = k.consumer AND k.revoked_at IS NULL AND c.disabled = 0 AND c.deleted_at IS NULL \
    LEFT JOIN tiers t ON t.name = c.tier";
/// One consumer that may pass, by its id.
pub(super) const CONSUMER: &str = "SELECT (SELECT coalesce(max(revision), 0) FROM changes) AS revision, t.name AS tier, t.limits, c.addresses \
    FROM (SELECT 1) LEFT JOIN consumers c ON c.id = ? AND c.disabled = 0 AND c.deleted_at IS NULL LEFT JOIN tiers t ON t.name = c.tier";

/// What there is of a key.
#[derive(Debug)]
pub(crate) enum Found {
    /// There never was one.
    Nothing,
    /// It is revoked, or its consumer is disabled or deleted.
    Ended,
    /// It may pass.
    Usable(Box<Usable>),
}

/// A key that may pass, and whose it is.
#[derive(Debug)]
pub(crate) struct Usable {
    pub(crate) id: String,
    pub(crate) scopes: Vec<String>,
    /// Those of its consumer.
    pub(crate) granted: Vec<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) granted_roles: Vec<String>,
    pub(crate) addresses: AddressRules,
    pub(crate) consumer_addresses: AddressRules,
    pub(crate) signing: Signing,
    /// Sealed.
    pub(crate) signing_secret: Option<Vec<u8>>,
    pub(crate) expires_at: Option<Time>,
    pub(crate) hash: Hash,
    pub(crate) consumer: String,
    pub(crate) tier: document::Tier,
    /// Limits of its own.
    pub(crate) own: Vec<document::Limit>,
    pub(crate) spends_as: Option<String>,
}

/// What a lookup found, and the revision that is true of.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) revision: u64,
    pub(crate) found: Found,
}

/// The tier of a consumer that may pass, and the revision that is true of.
#[derive(Debug)]
pub(crate) struct ConsumerAnswer {
    pub(crate) revision: u64,
    pub(crate) tier: Option<document::Tier>,
    pub(crate) addresses: AddressRules,
}

/// Where lookups are left.
#[derive(Debug)]
pub(super) struct Lookups {
    waiting: mpsc::Sender<Lookup>,
    closing: Arc<Notify>,
}

/// A key to be looked up by its id.
#[derive(Debug)]
struct Lookup {
    id: String,
    answer: oneshot::Sender<Result<Answer, StoreError>>,
}

/// An answer, and which of the lookups it is for.
struct Placed(usize, Answer);

/// A key by its id.
pub(crate) async fn by_id(store: &Store, id: &str) -> Result<Answer, StoreError> {
    let closed = || StoreError::Unavailable("the store is closed".to_owned());
    let (answer, answered) = oneshot::channel();
    store.0.lookups.waiting.send(Lookup { id: id.to_owned(), answer }).await.map_err(|_| closed())?;
    answered.await.map_err(|_| closed())?
}

/// An imported key by one of its hashes; the revision is that of the last one looked for.
pub(crate) async fn by_hash(store: &Store, hashes: &[Hash]) -> Result<Answer, StoreError> {
    let mut read = store.read().await?;
    let mut last = None;
    for hash in hashes {
        let Placed(_, answer) = sqlx::query_as(BY_HASH).bind(&hash.bytes).fetch_one(read.connection()).await?;
        match answer.found {
            Found::Nothing => last = Some(answer),
            Found::Ended | Found::Usable(_) => return Ok(answer),
        }
    }
    last.ok_or_else(|| StoreError::Broken("no hash to look up".to_owned()))
}

/// A consumer by its id; without an id it is only the revision.
pub(crate) async fn consumer(store: &Store, id: Option<&str>) -> Result<ConsumerAnswer, StoreError> {
    Ok(sqlx::query_as(CONSUMER).bind(id).fetch_one(store.read().await?.connection()).await?)
}

impl Lookups {
    /// Starts to answer lookups, on a connection of their own, until they are closed or dropped.
    pub(super) fn start(connection: SqliteConnection) -> Self {
        let (waiting, lookups) = mpsc::channel(MOST_WAITING);
        let closing = Arc::new(Notify::new());
        tokio::spawn(run(connection, lookups, Arc::clone(&closing)));
        Self { waiting, closing }
    }

    /// Answers no more, and closes the connection.
    pub(super) async fn close(&self) {
        self.closing.notify_one();
        self.waiting.closed().await;
    }
}

async fn run(mut connection: SqliteConnection, mut lookups: mpsc::Receiver<Lookup>, closing: Arc<Notify>) {
    let mut together = Vec::with_capacity(MOST_TOGETHER);
    loop {
        tokio::select! {
            count = lookups.recv_many(&mut together, MOST_TOGETHER) => match count {
                0 => break,
                _ => answer(&mut connection, &mut together).await,
            },
            () = closing.notified() => break,
        }
    }
    // Where this fails the process's end closes it.
    let _ = connection.close().await;
}

async fn answer(connection: &mut SqliteConnection, together: &mut Vec<Lookup>) {
    let ids: Vec<&str> = together.iter().map(|lookup| lookup.id.as_str()).collect();
    let read = sqlx::query_as::<_, Placed>(BY_IDS).bind(Json(ids)).fetch_all(connection).await.map_err(StoreError::from);
    match read {
        Ok(rows) => {
            let mut waiting: Vec<Option<Lookup>> = together.drain(..).map(Some).collect();
            for Placed(position, answer) in rows {
                if let Some(lookup) = waiting.get_mut(position).and_then(Option::take) {
                    // Whoever asked may have gone.
                    let _ = lookup.answer.send(Ok(answer));
                }
            }
        }
        Err(error) => together.drain(..).for_each(|lookup| drop(lookup.answer.send(Err(error.clone())))),
    }
}

impl FromRow<'_, SqliteRow> for ConsumerAnswer {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let tier = match row.try_get::<Option<String>, _>("tier")? {
            Some(name) => {
                let Json(limits) = row.try_get("limits")?;
                Some(document::Tier { name, limits })
            }
            None => None,
        };
        let addresses = row.try_get::<Option<Json<AddressRules>>, _>("addresses")?.map(|Json(addresses)| addresses).unwrap_or_default();
        Ok(Self { revision: row.try_get("revision")?, tier, addresses })
    }
}

impl FromRow<'_, SqliteRow> for Placed {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let (id, tier): (Option<String>, Option<String>) = (row.try_get("id")?, row.try_get("tier")?);
        let found = match (id, tier) {
            (Some(id), Some(name)) => {
                let Json(limits) = row.try_get("limits")?;
                let (Json(scopes), Json(granted)) = (row.try_get("scopes")?, row.try_get("granted")?);
                let (Json(roles), Json(granted_roles)) = (row.try_get("roles")?, row.try_get("granted_roles")?);
                let (Json(addresses), Json(consumer_addresses)) = (row.try_get("addresses")?, row.try_get("consumer_addresses")?);
                let (expires_at, consumer) = (row.try_get("expires_at")?, row.try_get("consumer")?);
                let (hash, tier) = (Hash::from_row(row)?, document::Tier { name, limits });
                Found::Usable(Box::new(Usable {
                    id,
                    scopes,
                    granted,
                    roles,
                    granted_roles,
                    addresses,
                    consumer_addresses,
                    signing: row.try_get("signing")?,
                    signing_secret: row.try_get("signing_secret")?,
                    expires_at,
                    hash,
                    consumer,
                    tier,
                    own: row.try_get::<Json<_>, _>("own")?.0,
                    spends_as: row.try_get("spends_as")?,
                }))
            }
            (Some(_), None) => Found::Ended,
            (None, _) => Found::Nothing,
        };
        let position = row.try_get::<u32, _>("position")?;
        Ok(Self(position as usize, Answer { revision: row.try_get("revision")?, found }))
    }
}
