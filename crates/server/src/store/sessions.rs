//! Owns the rows of sessions: hashes, never the words in cookies. Must not judge them.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::listing::Table;
use super::{Reader, StoreError, Window, Write};
use crate::clock::Time;

/// One sign-in that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow, utoipa::ToSchema)]
pub struct Session {
    /// Its id, which is no secret.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// What the browser calls itself.
    pub agent: String,
    /// When it began.
    pub created_at: Time,
    /// When it was last used, to some minutes.
    pub seen_at: Time,
    /// When it ends, however often it is used.
    pub ends_at: Time,
}

const COLUMNS: &str = "id, user, agent, created_at, seen_at, ends_at";
const TABLE: Table = Table { name: "sessions", columns: COLUMNS, id: "id", condition: "TRUE", changing: &[] };

pub(crate) async fn list(reader: &mut impl Reader, window: Window<'_>, user: &str) -> Result<Option<Vec<Session>>, StoreError> {
    TABLE.list(reader, window, &[("user", Some(user))]).await
}

pub(crate) async fn by_hash(reader: &mut impl Reader, hash: &[u8]) -> Result<Option<Session>, StoreError> {
    TABLE.find(reader, "", "hash", hash.to_vec()).await
}

pub(crate) async fn by_id(reader: &mut impl Reader, id: &str) -> Result<Option<Session>, StoreError> {
    TABLE.find(reader, "", "id", id.to_owned()).await
}

/// Adds a session; of one user's at most so many stay, those that began last.
pub(crate) async fn insert(write: &mut Write, new: &Session, hash: &[u8], most: u32) -> Result<(), StoreError> {
    let query = sqlx::query("INSERT INTO sessions (hash, id, user, agent, created_at, seen_at, ends_at) VALUES (?, ?, ?, ?, ?, ?, ?)");
    let query = query.bind(hash).bind(&new.id).bind(&new.user).bind(&new.agent).bind(new.created_at).bind(new.seen_at).bind(new.ends_at);
    query.execute(write.connection()).await?;
    let query = sqlx::query(
        "DELETE FROM sessions WHERE ends_at <= ?1 OR user = ?2 AND seq NOT IN (SELECT seq FROM sessions WHERE user = ?2 ORDER BY seq DESC LIMIT ?3)",
    );
    query.bind(write.now()).bind(&new.user).bind(most).execute(write.connection()).await?;
    Ok(())
}

/// Notes that a session was used.
pub(crate) async fn seen(write: &mut Write, id: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE sessions SET seen_at = ? WHERE id = ?").bind(write.now()).bind(id).execute(write.connection()).await?;
    Ok(())
}

/// Ends one session of a user; answers whether there was one.
pub(crate) async fn end(write: &mut Write, user: &str, id: &str) -> Result<bool, StoreError> {
    let query = sqlx::query("DELETE FROM sessions WHERE id = ? AND user = ?");
    Ok(query.bind(id).bind(user).execute(write.connection()).await?.rows_affected() > 0)
}

/// Ends all sessions of a user, but one.
pub(crate) async fn end_all(write: &mut Write, user: &str, but: Option<&str>) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM sessions WHERE user = ? AND id IS NOT ?").bind(user).bind(but).execute(write.connection()).await?;
    Ok(())
}
