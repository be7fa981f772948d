//! Owns the rows of keys that sign access tokens. Must not open a private key.

use sqlx::FromRow;
use sqlx::types::Json;

use super::{Reader, StoreError, Write};
use crate::clock::Time;

/// A key that signs, signed or will sign.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) algorithm: String,
    #[sqlx(json)]
    pub(crate) public: serde_json::Value,
    pub(crate) sealed: Vec<u8>,
    pub(crate) created_at: Time,
    pub(crate) begins_at: Time,
    pub(crate) ends_at: Option<Time>,
}

/// All there are, those first that begin first. There are few: a key is forgotten once it has ended.
pub(crate) async fn all(reader: &mut impl Reader) -> Result<Vec<Row>, StoreError> {
    let query =
        sqlx::query_as("SELECT id, algorithm, public, sealed, created_at, begins_at, ends_at FROM signing_keys ORDER BY begins_at, seq");
    Ok(query.fetch_all(reader.connection()).await?)
}

pub(crate) async fn insert(write: &mut Write, new: &Row) -> Result<(), StoreError> {
    let query = sqlx::query("INSERT INTO signing_keys (id, algorithm, public, sealed, created_at, begins_at) VALUES (?, ?, ?, ?, ?, ?)");
    let query = query.bind(&new.id).bind(&new.algorithm).bind(Json(&new.public)).bind(&new.sealed);
    query.bind(new.created_at).bind(new.begins_at).execute(write.connection()).await?;
    Ok(())
}

/// Sets when a key ends.
pub(crate) async fn end(write: &mut Write, id: &str, ends_at: Time) -> Result<(), StoreError> {
    sqlx::query("UPDATE signing_keys SET ends_at = ? WHERE id = ?").bind(ends_at).bind(id).execute(write.connection()).await?;
    Ok(())
}

pub(crate) async fn delete(write: &mut Write, id: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM signing_keys WHERE id = ?").bind(id).execute(write.connection()).await?;
    Ok(())
}
