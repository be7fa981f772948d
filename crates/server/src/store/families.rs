//! Owns the rows of token families and of revoked tokens. Must not make or judge a token.

use sqlx::FromRow;
use sqlx::types::Json;

use super::listing::Table;
use super::{Reader, StoreError, Window, Write};
use crate::clock::Time;

/// A family of tokens.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) organisation: String,
    pub(crate) consumer: String,
    pub(crate) credential: String,
    #[sqlx(json)]
    pub(crate) scopes: Vec<String>,
    pub(crate) seed: Vec<u8>,
    pub(crate) number: u32,
    pub(crate) moved_at: Time,
    pub(crate) created_at: Time,
    pub(crate) ends_at: Time,
    pub(crate) revoked_at: Option<Time>,
    pub(crate) reused: bool,
}

/// An access token or a family that must not pass.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(crate) struct Revoked {
    pub(crate) seq: i64,
    pub(crate) id: String,
    pub(crate) ends_at: Time,
}

/// Which families: those that agree with everything given.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Which<'a> {
    pub(crate) organisation: Option<&'a str>,
    pub(crate) consumer: Option<&'a str>,
    pub(crate) credential: Option<&'a str>,
}

const TABLE: Table = Table {
    name: "families",
    columns: "id, organisation, consumer, credential, scopes, seed, number, moved_at, created_at, ends_at, revoked_at, reused",
    id: "id",
    condition: "TRUE",
    changing: &[],
};

pub(crate) async fn list(reader: &mut impl Reader, window: Window<'_>, which: Which<'_>) -> Result<Option<Vec<Row>>, StoreError> {
    let conditions = [("organisation", which.organisation), ("consumer", which.consumer), ("credential", which.credential)];
    TABLE.list(reader, window, &conditions).await
}

pub(crate) async fn get(reader: &mut impl Reader, id: &str) -> Result<Option<Row>, StoreError> {
    TABLE.find(reader, "", "id", id.to_owned()).await
}

pub(crate) async fn insert(write: &mut Write, new: &Row) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO families (id, organisation, consumer, credential, scopes, seed, number, moved_at, created_at, ends_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    let query = query.bind(&new.id).bind(&new.organisation).bind(&new.consumer).bind(&new.credential).bind(Json(&new.scopes));
    let query = query.bind(&new.seed).bind(new.number).bind(new.moved_at).bind(new.created_at).bind(new.ends_at);
    query.execute(write.connection()).await?;
    Ok(())
}

/// Another token of a family is the good one from now on.
pub(crate) async fn advance(write: &mut Write, id: &str, number: u32) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE families SET number = ?, moved_at = ? WHERE id = ?");
    query.bind(number).bind(write.now()).bind(id).execute(write.connection()).await?;
    Ok(())
}

pub(crate) async fn revoke(write: &mut Write, id: &str, reused: bool) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE families SET revoked_at = ?, reused = ? WHERE id = ? AND revoked_at IS NULL");
    query.bind(write.now()).bind(reused).bind(id).execute(write.connection()).await?;
    Ok(())
}

/// The families of a credential that have not ended, the oldest first.
pub(crate) async fn alive(write: &mut Write, credential: &str) -> Result<Vec<String>, StoreError> {
    let query = sqlx::query_scalar("SELECT id FROM families WHERE credential = ? AND revoked_at IS NULL AND ends_at > ? ORDER BY seq");
    Ok(query.bind(credential).bind(write.now()).fetch_all(write.connection()).await?)
}

/// Keeps that a token or family must not pass until an instant. `false`: that is known already.
pub(crate) async fn refuse(write: &mut Write, id: &str, credential: &str, ends_at: Time) -> Result<bool, StoreError> {
    let query = sqlx::query("INSERT INTO revocations (id, credential, ends_at) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING");
    Ok(query.bind(id).bind(credential).bind(ends_at).execute(write.connection()).await?.rows_affected() > 0)
}

/// How many tokens and families are refused: of a credential, and in all.
pub(crate) async fn refused(write: &mut Write, credential: &str) -> Result<(u64, u64), StoreError> {
    let query = sqlx::query_as("SELECT (SELECT count(*) FROM revocations WHERE credential = ?), (SELECT count(*) FROM revocations)");
    Ok(query.bind(credential).fetch_one(write.connection()).await?)
}

pub(crate) async fn revocation(reader: &mut impl Reader, id: &str) -> Result<Option<Revoked>, StoreError> {
    let query = sqlx::query_as("SELECT seq, id, ends_at FROM revocations WHERE id = ?");
    Ok(query.bind(id).fetch_optional(reader.connection()).await?)
}

/// Those after a position that are still refused.
pub(crate) async fn revocations(reader: &mut impl Reader, after: i64, most: u32, now: Time) -> Result<Vec<Revoked>, StoreError> {
    let query = sqlx::query_as("SELECT seq, id, ends_at FROM revocations WHERE seq > ? AND ends_at > ? ORDER BY seq LIMIT ?");
    Ok(query.bind(after).bind(now).bind(most).fetch_all(reader.connection()).await?)
}

/// Whether there is something to forget.
pub(crate) async fn any_ended(reader: &mut impl Reader, now: Time, families_before: Time) -> Result<bool, StoreError> {
    let query = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM revocations WHERE ends_at <= ?) OR EXISTS (SELECT 1 FROM families WHERE ends_at <= ?)",
    );
    Ok(query.bind(now).bind(families_before).fetch_one(reader.connection()).await?)
}

/// Forgets refusals that have ended, and families that ended before an instant; so many of each at most.
pub(crate) async fn forget(write: &mut Write, families_before: Time, most: u32) -> Result<(), StoreError> {
    let now = write.now();
    let query = sqlx::query("DELETE FROM revocations WHERE seq IN (SELECT seq FROM revocations WHERE ends_at <= ? LIMIT ?)");
    query.bind(now).bind(most).execute(write.connection()).await?;
    let query = sqlx::query("DELETE FROM families WHERE seq IN (SELECT seq FROM families WHERE ends_at <= ? LIMIT ?)");
    query.bind(families_before).bind(most).execute(write.connection()).await?;
    Ok(())
}
