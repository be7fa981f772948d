//! Owns the rows of consumers. Must not judge them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use sqlx::types::Json;

use super::listing::Table;
use super::{Reader, StoreError, Window, Write};
use crate::addresses::AddressRules;
use crate::clock::Time;

/// A consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow, utoipa::ToSchema)]
pub struct Consumer {
    /// Its id.
    pub id: String,
    /// The id of its organisation.
    pub organisation: String,
    /// Its name, for people.
    pub name: String,
    /// Where it can be written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The name of its tier.
    pub tier: String,
    /// What its keys may be used for at most.
    #[sqlx(json)]
    pub scopes: Vec<String>,
    /// Roles that routes may ask for: its keys have those that they were given.
    #[serde(default)]
    #[sqlx(json)]
    pub roles: Vec<String>,
    /// From where its credentials may be used.
    #[serde(default, skip_serializing_if = "AddressRules::are_none")]
    #[sqlx(json)]
    pub addresses: AddressRules,
    /// Units of quotas in place of what its tier says, by the limits' names.
    #[serde(default)]
    #[sqlx(json)]
    pub overrides: BTreeMap<String, u64>,
    /// None of its credentials pass.
    pub disabled: bool,
    /// Counts its changes.
    pub version: u32,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
}

const TABLE: Table = Table {
    name: "consumers",
    columns: "id, organisation, name, email, tier, scopes, roles, addresses, overrides, disabled, version, created_at, updated_at",
    id: "id",
    condition: "deleted_at IS NULL",
    changing: &["tier"],
};

/// Which consumers: those that agree with everything given.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Which<'a> {
    pub(crate) id: Option<&'a str>,
    pub(crate) organisation: Option<&'a str>,
    pub(crate) tier: Option<&'a str>,
}

pub(crate) async fn list(reader: &mut impl Reader, window: Window<'_>, which: Which<'_>) -> Result<Option<Vec<Consumer>>, StoreError> {
    TABLE.list(reader, window, &[("id", which.id), ("organisation", which.organisation), ("tier", which.tier)]).await
}

/// The consumer of this id, unless it is deleted.
pub(crate) async fn get(reader: &mut impl Reader, id: &str) -> Result<Option<Consumer>, StoreError> {
    TABLE.find(reader, "", "id", id.to_owned()).await
}

/// Adds a consumer, unless its id is or was somebody's; answers whether it did.
pub(crate) async fn insert(write: &mut Write, new: &Consumer) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "INSERT INTO consumers (id, organisation, name, email, tier, scopes, roles, addresses, overrides, disabled, version, created_at, updated_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
    );
    let query = query.bind(&new.id).bind(&new.organisation).bind(&new.name).bind(&new.email).bind(&new.tier);
    let query =
        query.bind(Json(&new.scopes)).bind(Json(&new.roles)).bind(Json(&new.addresses)).bind(Json(&new.overrides)).bind(new.disabled);
    let query = query.bind(new.version).bind(new.created_at).bind(new.updated_at);
    Ok(query.execute(write.connection()).await?.rows_affected() > 0)
}

pub(crate) async fn update(write: &mut Write, changed: &Consumer) -> Result<(), StoreError> {
    let query = sqlx::query(
        "UPDATE consumers SET name = ?, email = ?, tier = ?, scopes = ?, roles = ?, addresses = ?, overrides = ?, disabled = ?, version = ?, updated_at = ? WHERE id = ?",
    );
    let query = query.bind(&changed.name).bind(&changed.email).bind(&changed.tier).bind(Json(&changed.scopes));
    let query = query.bind(Json(&changed.roles)).bind(Json(&changed.addresses)).bind(Json(&changed.overrides)).bind(changed.disabled);
    query.bind(changed.version).bind(changed.updated_at).bind(&changed.id).execute(write.connection()).await?;
    Ok(())
}

/// Marks a consumer as deleted.
pub(crate) async fn delete(write: &mut Write, id: &str) -> Result<(), StoreError> {
    let query = sqlx::query(
        "UPDATE consumers SET deleted_at = ?1, updated_at = ?1, version = version + 1, disabled = 1, tier = NULL, email = NULL, scopes = '[]', \
         roles = '[]', overrides = '{}' \
         WHERE id = ?2",
    );
    query.bind(write.now()).bind(id).execute(write.connection()).await?;
    Ok(())
}

/// Whether a consumer is in this tier.
pub(crate) async fn any_in_tier(reader: &mut impl Reader, tier: &str) -> Result<bool, StoreError> {
    let query = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM consumers WHERE tier = ?)");
    Ok(query.bind(tier).fetch_one(reader.connection()).await?)
}
