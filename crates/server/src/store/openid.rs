//! Owns the rows of OpenID providers, of who somebody is to them, and of sign-ins that are under way. Must not judge them.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use sqlx::types::Json;

use super::listing::Table;
use super::{Reader, StoreError, Window, Write};
use crate::clock::Time;
use crate::permission::Role;

/// Whom we let say who somebody is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow, utoipa::ToSchema)]
pub struct IdentityProvider {
    /// Its id.
    pub id: String,
    /// What people read where they choose it.
    pub label: String,
    /// Its issuer, a URL.
    pub issuer: String,
    /// What we are called there.
    pub client_id: String,
    /// Whether we have a secret with it.
    pub has_client_secret: bool,
    /// What is asked for.
    #[sqlx(json)]
    pub scopes: Vec<String>,
    /// The role of people who have no account yet; none: they get none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_users: Option<Role>,
    /// The organisation of new users; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Nobody signs in with it.
    pub disabled: bool,
    /// Counts its changes.
    pub version: u32,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
}

/// A provider, and our secret with it as it is kept.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct Stored {
    #[sqlx(flatten)]
    pub(crate) provider: IdentityProvider,
    pub(crate) client_secret: Option<Vec<u8>>,
}

/// A sign-in that is under way.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct SignIn {
    pub(crate) browser: Vec<u8>,
    pub(crate) provider: String,
    pub(crate) sealed: Vec<u8>,
    pub(crate) return_to: String,
    pub(crate) user: Option<String>,
    pub(crate) ends_at: Time,
}

const COLUMNS: &str = "id, label, issuer, client_id, client_secret IS NOT NULL AS has_client_secret, scopes, new_users, organisation, \
    disabled, version, created_at, updated_at";
const TABLE: Table = Table { name: "identity_providers", columns: COLUMNS, id: "id", condition: "TRUE", changing: &[] };

pub(crate) async fn list(reader: &mut impl Reader, window: Window<'_>) -> Result<Option<Vec<IdentityProvider>>, StoreError> {
    TABLE.list(reader, window, &[]).await
}

pub(crate) async fn get(reader: &mut impl Reader, id: &str) -> Result<Option<Stored>, StoreError> {
    TABLE.find(reader, ", client_secret", "id", id.to_owned()).await
}

/// Adds a provider, unless its id is taken; answers whether it did.
pub(crate) async fn insert(write: &mut Write, new: &IdentityProvider, secret: Option<&[u8]>) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "INSERT INTO identity_providers (id, label, issuer, client_id, client_secret, scopes, new_users, organisation, disabled, version, \
         created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
    );
    let query = query.bind(&new.id).bind(&new.label).bind(&new.issuer).bind(&new.client_id).bind(secret);
    let query = query.bind(Json(&new.scopes)).bind(new.new_users.map(Role::name)).bind(&new.organisation);
    let query = query.bind(new.disabled).bind(new.version).bind(new.created_at).bind(new.updated_at);
    Ok(query.execute(write.connection()).await?.rows_affected() > 0)
}

/// Keeps what may change of a provider.
pub(crate) async fn update(write: &mut Write, changed: &Stored) -> Result<(), StoreError> {
    let Stored { provider, client_secret } = changed;
    let query = sqlx::query(
        "UPDATE identity_providers SET label = ?, client_id = ?, client_secret = ?, scopes = ?, new_users = ?, organisation = ?, \
         disabled = ?, version = ?, updated_at = ? WHERE id = ?",
    );
    let query = query.bind(&provider.label).bind(&provider.client_id).bind(client_secret).bind(Json(&provider.scopes));
    let query = query.bind(provider.new_users.map(Role::name)).bind(&provider.organisation).bind(provider.disabled);
    query.bind(provider.version).bind(provider.updated_at).bind(&provider.id).execute(write.connection()).await?;
    Ok(())
}

/// Takes a provider away, and the sign-ins with it that are under way. Who somebody is to its issuer stays: it may be set up anew.
pub(crate) async fn delete(write: &mut Write, id: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM sign_ins WHERE provider = ?").bind(id).execute(write.connection()).await?;
    sqlx::query("DELETE FROM identity_providers WHERE id = ?").bind(id).execute(write.connection()).await?;
    Ok(())
}

/// Whose account an identity opens.
pub(crate) async fn linked(reader: &mut impl Reader, issuer: &str, subject: &str) -> Result<Option<String>, StoreError> {
    let query = sqlx::query_scalar("SELECT user FROM identities WHERE issuer = ? AND subject = ?");
    Ok(query.bind(issuer).bind(subject).fetch_optional(reader.connection()).await?)
}

/// Lets an identity open an account, unless it opens one; answers whether it does now.
pub(crate) async fn link(write: &mut Write, issuer: &str, subject: &str, user: &str) -> Result<bool, StoreError> {
    let query = sqlx::query("INSERT INTO identities (issuer, subject, user, linked_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING");
    let query = query.bind(issuer).bind(subject).bind(user).bind(write.now());
    Ok(query.execute(write.connection()).await?.rows_affected() > 0)
}

/// No identity opens this account any longer.
pub(crate) async fn unlink_all(write: &mut Write, user: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM identities WHERE user = ?").bind(user).execute(write.connection()).await?;
    sqlx::query("DELETE FROM sign_ins WHERE user = ?").bind(user).execute(write.connection()).await?;
    Ok(())
}

/// Notes a sign-in; those that are over go, and of so many the one that ends first.
pub(crate) async fn begin(write: &mut Write, state: &[u8], new: &SignIn, most: u32) -> Result<(), StoreError> {
    let query =
        sqlx::query("DELETE FROM sign_ins WHERE ends_at <= ? OR state NOT IN (SELECT state FROM sign_ins ORDER BY ends_at DESC LIMIT ?)");
    query.bind(write.now()).bind(most).execute(write.connection()).await?;
    let query =
        sqlx::query("INSERT INTO sign_ins (state, browser, provider, sealed, return_to, user, ends_at) VALUES (?, ?, ?, ?, ?, ?, ?)");
    let query = query.bind(state).bind(&new.browser).bind(&new.provider).bind(&new.sealed).bind(&new.return_to);
    query.bind(&new.user).bind(new.ends_at).execute(write.connection()).await?;
    Ok(())
}

/// Takes a sign-in away: it is good once.
pub(crate) async fn take(write: &mut Write, state: &[u8]) -> Result<Option<SignIn>, StoreError> {
    let query = sqlx::query_as("DELETE FROM sign_ins WHERE state = ? RETURNING browser, provider, sealed, return_to, user, ends_at");
    Ok(query.bind(state).fetch_optional(write.connection()).await?)
}
