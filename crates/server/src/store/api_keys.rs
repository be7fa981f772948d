//! Owns the rows of API keys: hashes, never keys. Must not judge them.

use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{FromRow, QueryBuilder, Sqlite};

use super::listing::Table;
use super::{Reader, StoreError, Window, Write};
use tollgate_core::config::document::Limit;

use crate::addresses::AddressRules;
use crate::clock::Time;
use crate::secrets::Hash;

/// When requests with a key are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(rename_all = "snake_case")]
pub enum Signing {
    /// Never: the key has no signing secret.
    #[default]
    None,
    /// Where a route asks for it.
    Optional,
    /// Always: the key is of no use without a signature.
    Required,
}

/// What is kept of an API key beside its hash.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) organisation: String,
    pub(crate) consumer: String,
    pub(crate) label: String,
    #[sqlx(json)]
    pub(crate) scopes: Vec<String>,
    #[sqlx(json)]
    pub(crate) roles: Vec<String>,
    #[sqlx(json)]
    pub(crate) addresses: AddressRules,
    pub(crate) signing: Signing,
    /// Sealed.
    pub(crate) signing_secret: Option<Vec<u8>>,
    pub(crate) imported: bool,
    pub(crate) created_at: Time,
    pub(crate) expires_at: Option<Time>,
    pub(crate) revoked_at: Option<Time>,
    pub(crate) last_used_at: Option<Time>,
    pub(crate) replaces: Option<String>,
    pub(crate) replaced_by: Option<String>,
    #[sqlx(json)]
    pub(crate) limits: Vec<Limit>,
    /// The first of the keys that replaced each other up to this one, if that is another.
    pub(crate) spends_as: Option<String>,
    pub(crate) version: u32,
}

const TABLE: Table = Table {
    name: "api_keys",
    columns: "id, organisation, consumer, label, scopes, roles, addresses, signing, signing_secret, imported, created_at, expires_at, revoked_at, \
              last_used_at, replaces, replaced_by, limits, spends_as, version",
    id: "id",
    condition: "TRUE",
    changing: &[],
};

/// Which keys: those that agree with everything given.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Which<'a> {
    pub(crate) organisation: Option<&'a str>,
    pub(crate) consumer: Option<&'a str>,
}

pub(crate) async fn list(reader: &mut impl Reader, window: Window<'_>, which: Which<'_>) -> Result<Option<Vec<Row>>, StoreError> {
    TABLE.list(reader, window, &[("organisation", which.organisation), ("consumer", which.consumer)]).await
}

pub(crate) async fn get(reader: &mut impl Reader, id: &str) -> Result<Option<Row>, StoreError> {
    TABLE.find(reader, "", "id", id.to_owned()).await
}

/// Adds keys, in statements of many rows.
pub(crate) async fn insert(write: &mut Write, keys: &[(Row, Hash)]) -> Result<(), StoreError> {
    // 22 values a row: SQLite takes 32,766 in a statement.
    for chunk in keys.chunks(1_000) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO api_keys (id, organisation, consumer, label, scopes, roles, addresses, signing, signing_secret, imported, created_at, expires_at, revoked_at, last_used_at, \
             replaces, replaced_by, limits, spends_as, version, hashing, pepper, hash) ",
        );
        query.push_values(chunk, |mut values, (row, hash)| {
            values.push_bind(row.id.clone()).push_bind(row.organisation.clone()).push_bind(row.consumer.clone());
            values.push_bind(row.label.clone()).push_bind(Json(row.scopes.clone())).push_bind(Json(row.roles.clone()));
            values
                .push_bind(Json(row.addresses.clone()))
                .push_bind(row.signing)
                .push_bind(row.signing_secret.clone())
                .push_bind(row.imported);
            values.push_bind(row.created_at).push_bind(row.expires_at).push_bind(row.revoked_at).push_bind(row.last_used_at);
            values.push_bind(row.replaces.clone()).push_bind(row.replaced_by.clone());
            values.push_bind(Json(row.limits.clone())).push_bind(row.spends_as.clone()).push_bind(row.version);
            values.push_bind(hash.hashing.name()).push_bind(hash.pepper).push_bind(hash.bytes.clone());
        });
        query.build().execute(write.connection()).await?;
    }
    Ok(())
}

/// How many keys of a consumer pass.
pub(crate) async fn count_active(write: &mut Write, consumer: &str) -> Result<u32, StoreError> {
    let query = sqlx::query_scalar(
        "SELECT count(*) FROM api_keys WHERE consumer = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)",
    );
    Ok(query.bind(consumer).bind(write.now()).fetch_one(write.connection()).await?)
}

/// Keeps what may change of a key. A new expiry is told of anew.
pub(crate) async fn update(write: &mut Write, changed: &Row) -> Result<(), StoreError> {
    let query = sqlx::query(
        "UPDATE api_keys SET label = ?1, scopes = ?2, expiry_told = expiry_told AND expires_at IS ?3, expires_at = ?3, revoked_at = ?4, \
         replaced_by = ?5, version = ?6, roles = ?7, addresses = ?8, signing = ?9, signing_secret = ?10, \
         limits = ?11 WHERE id = ?12",
    );
    let query = query.bind(&changed.label).bind(Json(&changed.scopes)).bind(changed.expires_at).bind(changed.revoked_at);
    let query = query.bind(&changed.replaced_by).bind(changed.version).bind(Json(&changed.roles)).bind(Json(&changed.addresses));
    let query = query.bind(changed.signing).bind(&changed.signing_secret).bind(Json(&changed.limits));
    query.bind(&changed.id).execute(write.connection()).await?;
    Ok(())
}

/// Revokes those keys of a consumer that are not.
pub(crate) async fn revoke_all(write: &mut Write, consumer: &str) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE api_keys SET revoked_at = ?, version = version + 1 WHERE consumer = ? AND revoked_at IS NULL");
    query.bind(write.now()).bind(consumer).execute(write.connection()).await?;
    Ok(())
}

/// Notes that a key was used; an earlier use than the one known changes nothing.
pub(crate) async fn used(write: &mut Write, id: &str, at: Time) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE api_keys SET last_used_at = ?1 WHERE id = ?2 AND (last_used_at IS NULL OR last_used_at < ?1)");
    query.bind(at).bind(id).execute(write.connection()).await?;
    Ok(())
}

/// For whom a key was imported that has one of these hashes.
pub(crate) async fn imported_for(reader: &mut impl Reader, hashes: &[Hash]) -> Result<Option<String>, StoreError> {
    for hash in hashes {
        let query = sqlx::query_scalar("SELECT consumer FROM api_keys WHERE imported = 1 AND hash = ?");
        if let Some(consumer) = query.bind(&hash.bytes).fetch_optional(reader.connection()).await? {
            return Ok(Some(consumer));
        }
    }
    Ok(None)
}

/// When the next key expires whose expiry was not told of.
pub(crate) async fn next_expiry(reader: &mut impl Reader) -> Result<Option<Time>, StoreError> {
    let query =
        sqlx::query_scalar("SELECT min(expires_at) FROM api_keys WHERE expires_at IS NOT NULL AND revoked_at IS NULL AND expiry_told = 0");
    Ok(query.fetch_one(reader.connection()).await?)
}

/// Marks keys that have expired as told of, at most so many, those first that expired first; answers their ids.
pub(crate) async fn tell_expired(write: &mut Write, most: u32) -> Result<Vec<String>, StoreError> {
    let query = sqlx::query_scalar(
        "UPDATE api_keys SET expiry_told = 1 WHERE seq IN (SELECT seq FROM api_keys \
         WHERE expires_at <= ? AND revoked_at IS NULL AND expiry_told = 0 ORDER BY expires_at LIMIT ?) RETURNING id",
    );
    Ok(query.bind(write.now()).bind(most).fetch_all(write.connection()).await?)
}

/// Marks one key's expiry as told of.
pub(crate) async fn told_expired(write: &mut Write, id: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE api_keys SET expiry_told = 1 WHERE id = ?").bind(id).execute(write.connection()).await?;
    Ok(())
}
