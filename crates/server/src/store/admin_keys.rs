//! Owns the rows of admin keys: hashes, never keys. Must not judge them.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::listing::Table;
use super::{Reader, StoreError, Window, Write};
use crate::clock::Time;
use crate::permission::Role;
use crate::secrets::Hash;

/// An admin key, without the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow, utoipa::ToSchema)]
pub struct AdminKey {
    /// Its id: the one inside the key.
    pub id: String,
    /// What its owner calls it.
    pub label: String,
    /// What it may do.
    pub role: Role,
    /// The organisation it is bound to; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// The consumer a developer is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it ends, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
}

/// An admin key and what a presented one is compared with.
#[derive(Debug, FromRow)]
pub(crate) struct Stored {
    #[sqlx(flatten)]
    pub(crate) key: AdminKey,
    #[sqlx(flatten)]
    pub(crate) hash: Hash,
}

const COLUMNS: &str = "id, label, role, organisation, consumer, created_at, expires_at, revoked_at";
const TABLE: Table = Table { name: "admin_keys", columns: COLUMNS, id: "id", condition: "TRUE", changing: &[] };

pub(crate) async fn list(
    reader: &mut impl Reader,
    window: Window<'_>,
    organisation: Option<&str>,
    consumer: Option<&str>,
) -> Result<Option<Vec<AdminKey>>, StoreError> {
    TABLE.list(reader, window, &[("organisation", organisation), ("consumer", consumer)]).await
}

pub(crate) async fn get(reader: &mut impl Reader, id: &str) -> Result<Option<Stored>, StoreError> {
    TABLE.find(reader, ", 'hmac-sha256' AS hashing, pepper, hash", "id", id.to_owned()).await
}

pub(crate) async fn insert(write: &mut Write, new: &AdminKey, hash: &Hash) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO admin_keys (id, label, role, organisation, consumer, created_at, expires_at, pepper, hash) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    let query = query.bind(&new.id).bind(&new.label).bind(new.role.name()).bind(&new.organisation).bind(&new.consumer);
    let query = query.bind(new.created_at).bind(new.expires_at).bind(hash.pepper).bind(&hash.bytes);
    query.execute(write.connection()).await?;
    Ok(())
}

pub(crate) async fn revoke(write: &mut Write, id: &str) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE admin_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL");
    query.bind(write.now()).bind(id).execute(write.connection()).await?;
    Ok(())
}

/// Revokes those keys that are bound to a consumer.
pub(crate) async fn revoke_all(write: &mut Write, consumer: &str) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE admin_keys SET revoked_at = ? WHERE consumer = ? AND revoked_at IS NULL");
    query.bind(write.now()).bind(consumer).execute(write.connection()).await?;
    Ok(())
}

/// Whether an administrator has a key beside this one that has neither ended nor ever will.
pub(crate) async fn any_other_admin(reader: &mut impl Reader, id: &str) -> Result<bool, StoreError> {
    let query = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM admin_keys WHERE role = 'admin' AND id <> ? AND revoked_at IS NULL AND expires_at IS NULL)",
    );
    Ok(query.bind(id).fetch_one(reader.connection()).await?)
}
