//! Owns the rows of users, and of the words that were sent to their addresses. Must not judge them.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::listing::Table;
use super::{Reader, StoreError, Window, Write};
use crate::clock::Time;
use crate::permission::Role;
use crate::secrets::Hash;

/// A person who signs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow, utoipa::ToSchema)]
pub struct User {
    /// Their id.
    pub id: String,
    /// What they are called.
    pub name: String,
    /// Where they can be written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What they may do.
    pub role: Role,
    /// The organisation they are bound to; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// The consumer a developer is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// Whether somebody reads what is sent to the address.
    pub verified: bool,
    /// They cannot sign in.
    pub disabled: bool,
    /// Counts their changes.
    pub version: u32,
    /// When they were made.
    pub created_at: Time,
    /// When they were last changed.
    pub updated_at: Time,
}

/// A user and what a password is compared with.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct Stored {
    #[sqlx(flatten)]
    pub(crate) user: User,
    pepper: Option<u32>,
    hash: Option<Vec<u8>>,
}

const COLUMNS: &str = "id, name, email, role, organisation, consumer, verified, disabled, version, created_at, updated_at";
const TABLE: Table =
    Table { name: "users", columns: COLUMNS, id: "id", condition: "deleted_at IS NULL", changing: &["organisation", "consumer"] };

impl Stored {
    /// The hash of their password, if they have one.
    pub(crate) fn password(&self) -> Option<Hash> {
        Some(Hash::of_password(self.pepper?, self.hash.clone()?))
    }
}

pub(crate) async fn list(
    reader: &mut impl Reader,
    window: Window<'_>,
    organisation: Option<&str>,
    consumer: Option<&str>,
) -> Result<Option<Vec<User>>, StoreError> {
    TABLE.list(reader, window, &[("organisation", organisation), ("consumer", consumer)]).await
}

/// The user of this id, unless deleted.
pub(crate) async fn get(reader: &mut impl Reader, id: &str) -> Result<Option<Stored>, StoreError> {
    TABLE.find(reader, ", pepper, hash", "id", id.to_owned()).await
}

/// The user with this address, by what makes addresses the same.
pub(crate) async fn by_email(reader: &mut impl Reader, email_key: &str) -> Result<Option<Stored>, StoreError> {
    TABLE.find(reader, ", pepper, hash", "email_key", email_key.to_owned()).await
}

/// Adds a user, unless somebody has the address; answers whether it did.
pub(crate) async fn insert(write: &mut Write, new: &User, email_key: Option<&str>, password: Option<&Hash>) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "INSERT INTO users (id, name, email, email_key, role, organisation, consumer, pepper, hash, verified, disabled, version, created_at, \
         updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (email_key) DO NOTHING",
    );
    let query = query.bind(&new.id).bind(&new.name).bind(&new.email).bind(email_key).bind(new.role.name());
    let query = query.bind(&new.organisation).bind(&new.consumer);
    let query = query.bind(password.map(|hash| hash.pepper)).bind(password.map(|hash| &hash.bytes));
    let query = query.bind(new.verified).bind(new.disabled).bind(new.version).bind(new.created_at).bind(new.updated_at);
    Ok(query.execute(write.connection()).await?.rows_affected() > 0)
}

/// Keeps what may change of a user, but the password.
pub(crate) async fn update(write: &mut Write, changed: &User) -> Result<(), StoreError> {
    let query = sqlx::query(
        "UPDATE users SET name = ?, role = ?, organisation = ?, consumer = ?, verified = ?, disabled = ?, version = ?, updated_at = ? \
         WHERE id = ?",
    );
    let query = query.bind(&changed.name).bind(changed.role.name()).bind(&changed.organisation).bind(&changed.consumer);
    let query = query.bind(changed.verified).bind(changed.disabled).bind(changed.version).bind(changed.updated_at);
    query.bind(&changed.id).execute(write.connection()).await?;
    Ok(())
}

/// Keeps the hash of a new password.
pub(crate) async fn set_password(write: &mut Write, id: &str, password: &Hash) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE users SET pepper = ?, hash = ?, updated_at = ? WHERE id = ?");
    query.bind(password.pepper).bind(&password.bytes).bind(write.now()).bind(id).execute(write.connection()).await?;
    Ok(())
}

/// Marks a user as deleted, and forgets who it was.
pub(crate) async fn delete(write: &mut Write, id: &str) -> Result<(), StoreError> {
    let query = sqlx::query(
        "UPDATE users SET deleted_at = ?1, updated_at = ?1, version = version + 1, disabled = 1, name = '', email = NULL, email_key = NULL, \
         pepper = NULL, hash = NULL WHERE id = ?2",
    );
    query.bind(write.now()).bind(id).execute(write.connection()).await?;
    Ok(())
}

/// Users that are bound to a consumer.
pub(crate) async fn of_consumer(write: &mut Write, consumer: &str) -> Result<Vec<String>, StoreError> {
    let query = sqlx::query_scalar("SELECT id FROM users WHERE consumer = ? AND deleted_at IS NULL");
    Ok(query.bind(consumer).fetch_all(write.connection()).await?)
}

/// Notes a word that is sent, in place of one that was sent before.
pub(crate) async fn add_proof(write: &mut Write, hash: &[u8], user: &str, ends_at: Time) -> Result<(), StoreError> {
    drop_proofs(write, user).await?;
    let query = sqlx::query("INSERT INTO proofs (hash, user, ends_at) VALUES (?, ?, ?)");
    query.bind(hash).bind(user).bind(ends_at).execute(write.connection()).await?;
    Ok(())
}

/// Takes a word away, if it is good still; answers whose it was.
pub(crate) async fn take_proof(write: &mut Write, hash: &[u8]) -> Result<Option<String>, StoreError> {
    let query = sqlx::query_scalar("DELETE FROM proofs WHERE hash = ? AND ends_at > ? RETURNING user");
    Ok(query.bind(hash).bind(write.now()).fetch_optional(write.connection()).await?)
}

/// Forgets what was sent to a user, and what is over.
pub(crate) async fn drop_proofs(write: &mut Write, user: &str) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM proofs WHERE user = ? OR ends_at <= ?");
    query.bind(user).bind(write.now()).execute(write.connection()).await?;
    Ok(())
}
