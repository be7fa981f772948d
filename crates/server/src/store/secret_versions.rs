//! Owns what the store knows of versions of the backend's own secrets: since when they are in use, and what was made with each. Must not know a
//! secret.

use sqlx::SqliteConnection;

use super::{Reader, StoreError, Write};
use crate::clock::Time;

/// Where something sealed is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealedIn {
    ApiKeys,
    SigningKeys,
    IdentityProviders,
    Outbox,
}

impl SealedIn {
    /// All places but sign-ins that are under way, which are over in minutes.
    pub(crate) const ALL: [Self; 4] = [Self::ApiKeys, Self::SigningKeys, Self::IdentityProviders, Self::Outbox];

    const fn table(self) -> (&'static str, &'static str) {
        match self {
            Self::ApiKeys => ("api_keys", "signing_secret"),
            Self::SigningKeys => ("signing_keys", "sealed"),
            Self::IdentityProviders => ("identity_providers", "client_secret"),
            Self::Outbox => ("outbox", "sealed"),
        }
    }
}

/// Notes that a version is in use, if that was not known.
pub(crate) async fn used(write: &mut Write, kind: &str, version: u32) -> Result<(), StoreError> {
    let query = sqlx::query("INSERT INTO secret_versions (kind, version, first_used_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
    query.bind(kind).bind(version).bind(write.now()).execute(write.connection()).await?;
    Ok(())
}

/// Since when each version of each kind is in use.
pub(crate) async fn all(reader: &mut impl Reader) -> Result<Vec<(String, u32, Time)>, StoreError> {
    let query = sqlx::query_as("SELECT kind, version, first_used_at FROM secret_versions");
    Ok(query.fetch_all(reader.connection()).await?)
}

/// Forgets a version.
pub(crate) async fn forget(write: &mut Write, kind: &str, version: u32) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM secret_versions WHERE kind = ? AND version = ?").bind(kind).bind(version).execute(write.connection()).await?;
    Ok(())
}

/// How many keys that pass, credentials and passwords are hashed under a pepper.
pub(crate) async fn hashed_under(reader: &mut impl Reader, pepper: u32, now: Time) -> Result<u64, StoreError> {
    let query = "SELECT (SELECT count(*) FROM api_keys WHERE pepper = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)) \
         + (SELECT count(*) FROM admin_keys WHERE pepper = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)) \
         + (SELECT count(*) FROM node_credentials WHERE pepper = ?1 AND revoked_at IS NULL) + (SELECT count(*) FROM users WHERE pepper = ?1)";
    Ok(sqlx::query_scalar(query).bind(pepper).bind(now).fetch_one(reader.connection()).await?)
}

/// How many keys that pass and credentials were issued in a time.
pub(crate) async fn issued_between(reader: &mut impl Reader, from: Time, until: Time, now: Time) -> Result<u64, StoreError> {
    let query = "SELECT (SELECT count(*) FROM api_keys WHERE imported = 0 AND created_at >= ?1 AND created_at <= ?2 AND revoked_at IS NULL \
         AND (expires_at IS NULL OR expires_at > ?3)) + (SELECT count(*) FROM admin_keys WHERE created_at >= ?1 AND created_at <= ?2 \
         AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?3)) \
         + (SELECT count(*) FROM node_credentials WHERE created_at >= ?1 AND created_at <= ?2 AND revoked_at IS NULL)";
    Ok(sqlx::query_scalar(query).bind(from).bind(until).bind(now).fetch_one(reader.connection()).await?)
}

/// How many refresh tokens that are good were made before a time.
pub(crate) async fn refreshed_before(reader: &mut impl Reader, until: Time, now: Time) -> Result<u64, StoreError> {
    let query = sqlx::query_scalar("SELECT count(*) FROM families WHERE moved_at <= ? AND revoked_at IS NULL AND ends_at > ?");
    Ok(query.bind(until).bind(now).fetch_one(reader.connection()).await?)
}

/// How many secrets are sealed under a version.
pub(crate) async fn sealed_under(reader: &mut impl Reader, version: u32) -> Result<u64, StoreError> {
    let mut count = 0;
    for (table, column) in SealedIn::ALL.map(SealedIn::table).into_iter().chain([("sign_ins", "sealed")]) {
        let query = format!("SELECT count(*) FROM {table} WHERE substr({column}, 1, 4) = ?");
        let query = sqlx::query_scalar::<_, u64>(sqlx::AssertSqlSafe(query)).bind(version.to_be_bytes().to_vec());
        count += query.fetch_one(reader.connection()).await?;
    }
    Ok(count)
}

/// Some of what is sealed under a version, with whose it is, in the order of that, after one.
pub(crate) async fn sealed_by(
    write: &mut Write,
    place: SealedIn,
    version: u32,
    after: &str,
    most: u32,
) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let (table, column) = place.table();
    let query = format!("SELECT id, {column} FROM {table} WHERE substr({column}, 1, 4) = ? AND id > ? ORDER BY id LIMIT ?");
    let query = sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(version.to_be_bytes().to_vec()).bind(after).bind(most);
    Ok(query.fetch_all(write.connection()).await?)
}

/// Keeps something that was sealed anew.
pub(crate) async fn reseal(write: &mut Write, place: SealedIn, id: &str, sealed: &[u8]) -> Result<(), StoreError> {
    let (table, column) = place.table();
    let query = format!("UPDATE {table} SET {column} = ? WHERE id = ?");
    sqlx::query(sqlx::AssertSqlSafe(query)).bind(sealed).bind(id).execute(write.connection()).await?;
    Ok(())
}

/// Whose hash is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HashedIn {
    ApiKeys,
    AdminKeys,
    NodeCredentials,
}

/// Keeps another hash of the same credential, if it still has the one before.
pub(crate) async fn rehash(
    write: &mut Write,
    place: HashedIn,
    id: &str,
    before: &[u8],
    hash: &crate::secrets::Hash,
) -> Result<(), StoreError> {
    let connection: &mut SqliteConnection = write.connection();
    match place {
        HashedIn::ApiKeys => sqlx::query("UPDATE api_keys SET pepper = ?1, hash = ?2, hashing = ?5 WHERE id = ?3 AND hash = ?4")
            .bind(hash.pepper)
            .bind(&hash.bytes)
            .bind(id)
            .bind(before)
            .bind(hash.hashing.name()),
        HashedIn::AdminKeys => sqlx::query("UPDATE admin_keys SET pepper = ?, hash = ? WHERE id = ? AND hash = ?")
            .bind(hash.pepper)
            .bind(&hash.bytes)
            .bind(id)
            .bind(before),
        HashedIn::NodeCredentials => sqlx::query("UPDATE node_credentials SET pepper = ?, hash = ? WHERE id = ? AND hash = ?")
            .bind(hash.pepper)
            .bind(&hash.bytes)
            .bind(id)
            .bind(before),
    }
    .execute(connection)
    .await?;
    Ok(())
}
