//! Owns the rows of tiers. Must not judge them.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use sqlx::types::Json;
use tollgate_core::config::document::Limit;

use super::listing::Table;
use super::{Reader, StoreError, Window, Write};
use crate::clock::Time;

/// A tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, FromRow, utoipa::ToSchema)]
pub struct Tier {
    /// Its name.
    pub name: String,
    /// Its limits; none: unlimited.
    #[sqlx(json)]
    #[schema(value_type = Vec<crate::tiers::LimitSchema>)]
    pub limits: Vec<Limit>,
    /// Whether anybody may take a key in it without being asked who they are.
    pub self_service: bool,
    /// Counts its changes.
    pub version: u32,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
}

const TABLE: Table = Table {
    name: "tiers",
    columns: "name, limits, self_service, version, created_at, updated_at",
    id: "name",
    condition: "TRUE",
    changing: &[],
};

pub(crate) async fn list(reader: &mut impl Reader, window: Window<'_>) -> Result<Option<Vec<Tier>>, StoreError> {
    TABLE.list(reader, window, &[]).await
}

pub(crate) async fn get(reader: &mut impl Reader, name: &str) -> Result<Option<Tier>, StoreError> {
    TABLE.find(reader, "", "name", name.to_owned()).await
}

/// Whether there is any tier.
pub(crate) async fn any(reader: &mut impl Reader) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM tiers)").fetch_one(reader.connection()).await?)
}

/// Adds a tier, unless its name is taken; answers whether it did.
pub(crate) async fn insert(write: &mut Write, new: &Tier) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "INSERT INTO tiers (name, limits, self_service, version, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?) \
         ON CONFLICT (name) DO NOTHING",
    );
    let query = query.bind(&new.name).bind(Json(&new.limits)).bind(new.self_service);
    let query = query.bind(new.version).bind(new.created_at).bind(new.updated_at);
    Ok(query.execute(write.connection()).await?.rows_affected() > 0)
}

pub(crate) async fn update(write: &mut Write, changed: &Tier) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE tiers SET limits = ?, self_service = ?, version = ?, updated_at = ? WHERE name = ?");
    let query = query.bind(Json(&changed.limits)).bind(changed.self_service).bind(changed.version).bind(changed.updated_at);
    query.bind(&changed.name).execute(write.connection()).await?;
    Ok(())
}

pub(crate) async fn delete(write: &mut Write, name: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM tiers WHERE name = ?").bind(name).execute(write.connection()).await?;
    Ok(())
}
