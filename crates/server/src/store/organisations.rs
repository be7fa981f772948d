//! Owns the rows of organisations. Must not judge them.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::listing::Table;
use super::{Reader, StoreError, Window, Write};
use crate::clock::Time;

/// The organisation that exists from the start.
pub const DEFAULT: &str = "default";

/// An organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow, utoipa::ToSchema)]
pub struct Organisation {
    /// Its id.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Counts its changes.
    pub version: u32,
    /// When it was made.
    pub created_at: Time,
}

const TABLE: Table = Table { name: "organisations", columns: "id, name, version, created_at", id: "id", condition: "TRUE", changing: &[] };

pub(crate) async fn list(reader: &mut impl Reader, window: Window<'_>, id: Option<&str>) -> Result<Option<Vec<Organisation>>, StoreError> {
    TABLE.list(reader, window, &[("id", id)]).await
}

pub(crate) async fn get(reader: &mut impl Reader, id: &str) -> Result<Option<Organisation>, StoreError> {
    TABLE.find(reader, "", "id", id.to_owned()).await
}

/// Adds an organisation, unless its id is taken; answers whether it did.
pub(crate) async fn insert(write: &mut Write, new: &Organisation) -> Result<bool, StoreError> {
    let query = sqlx::query("INSERT INTO organisations (id, name, version, created_at) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING");
    let query = query.bind(&new.id).bind(&new.name).bind(new.version).bind(new.created_at);
    Ok(query.execute(write.connection()).await?.rows_affected() > 0)
}

pub(crate) async fn update(write: &mut Write, changed: &Organisation) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE organisations SET name = ?, version = ? WHERE id = ?");
    query.bind(&changed.name).bind(changed.version).bind(&changed.id).execute(write.connection()).await?;
    Ok(())
}

/// Makes the organisation that exists from the start, unless it is there.
pub(super) async fn seed(write: &mut Write) -> Result<(), StoreError> {
    let organisation = Organisation { id: DEFAULT.to_owned(), name: "Default".to_owned(), version: 1, created_at: write.now() };
    insert(write, &organisation).await?;
    Ok(())
}
