//! Owns the rows of answers to requests that may come again: sealed, never readable. Must not open them.

use sqlx::FromRow;

use super::{Reader, StoreError, Write};
use crate::clock::Time;

/// A remembered answer.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(crate) struct Row {
    /// A hash of the client's key.
    pub(crate) id: Vec<u8>,
    /// A hash of the request.
    pub(crate) request: Vec<u8>,
    /// The sealed answer.
    pub(crate) answer: Vec<u8>,
    pub(crate) at: Time,
}

pub(crate) async fn get(reader: &mut impl Reader, id: &[u8]) -> Result<Option<Row>, StoreError> {
    let query = sqlx::query_as("SELECT id, request, answer, at FROM answers WHERE id = ?");
    Ok(query.bind(id).fetch_optional(reader.connection()).await?)
}

/// Keeps an answer and forgets those from before `oldest`.
pub(crate) async fn insert(write: &mut Write, row: &Row, oldest: Time) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM answers WHERE at < ?").bind(oldest).execute(write.connection()).await?;
    let query = sqlx::query("INSERT INTO answers (id, request, answer, at) VALUES (?, ?, ?, ?)");
    query.bind(&row.id).bind(&row.request).bind(&row.answer).bind(row.at).execute(write.connection()).await?;
    Ok(())
}
