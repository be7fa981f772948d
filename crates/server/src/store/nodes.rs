//! Owns the rows of node credentials, incarnations and their reports. Must not judge them.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::listing::Table;
use super::values::signed;
use super::{Reader, StoreError, Window, Write};
use crate::clock::Time;
use crate::secrets::Hash;

/// One life of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow, utoipa::ToSchema)]
pub struct Node {
    /// 32 hexadecimal digits: this life.
    pub incarnation: String,
    /// The id of the credential it came with.
    pub credential: String,
    /// What it calls itself, which proves nothing.
    pub node: String,
    /// The version of its module.
    pub module: String,
    /// When it first said hello.
    pub first_seen_at: Time,
    /// When it last said hello or reported; it says hello every ten minutes.
    pub last_seen_at: Time,
    /// The highest number of its reports.
    pub last_sequence: u64,
}

/// A node credential, without the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow, utoipa::ToSchema)]
pub struct NodeCredential {
    /// Its id: the one inside it.
    pub id: String,
    /// What its owner calls it.
    pub label: String,
    /// When it was made.
    pub created_at: Time,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
}

/// A node credential and what a presented one is compared with.
#[derive(Debug, FromRow)]
pub(crate) struct Stored {
    #[sqlx(flatten)]
    pub(crate) credential: NodeCredential,
    #[sqlx(flatten)]
    pub(crate) hash: Hash,
}

const NODES: Table = Table {
    name: "incarnations",
    columns: "incarnation, credential, node, module, first_seen_at, last_seen_at, last_sequence",
    id: "incarnation",
    condition: "TRUE",
    changing: &[],
};
const CREDENTIALS: Table =
    Table { name: "node_credentials", columns: "id, label, created_at, revoked_at", id: "id", condition: "TRUE", changing: &[] };

pub(crate) async fn list(reader: &mut impl Reader, window: Window<'_>) -> Result<Option<Vec<Node>>, StoreError> {
    NODES.list(reader, window, &[]).await
}

pub(crate) async fn credentials(reader: &mut impl Reader, window: Window<'_>) -> Result<Option<Vec<NodeCredential>>, StoreError> {
    CREDENTIALS.list(reader, window, &[]).await
}

pub(crate) async fn get_credential(reader: &mut impl Reader, id: &str) -> Result<Option<Stored>, StoreError> {
    CREDENTIALS.find(reader, ", 'hmac-sha256' AS hashing, pepper, hash", "id", id.to_owned()).await
}

pub(crate) async fn insert_credential(write: &mut Write, new: &NodeCredential, hash: &Hash) -> Result<(), StoreError> {
    let query = sqlx::query("INSERT INTO node_credentials (id, label, created_at, pepper, hash) VALUES (?, ?, ?, ?, ?)");
    let query = query.bind(&new.id).bind(&new.label).bind(new.created_at).bind(hash.pepper).bind(&hash.bytes);
    query.execute(write.connection()).await?;
    Ok(())
}

/// Revokes a node credential; its tokens are refused from the commit on.
pub(crate) async fn revoke_credential(write: &mut Write, id: &str) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE node_credentials SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL");
    query.bind(write.now()).bind(id).execute(write.connection()).await?;
    write.revoked_nodes.push(id.to_owned());
    Ok(())
}

/// Ids of all revoked node credentials.
pub(super) async fn revoked(reader: &mut impl Reader) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar("SELECT id FROM node_credentials WHERE revoked_at IS NOT NULL").fetch_all(reader.connection()).await?)
}

pub(crate) async fn get(reader: &mut impl Reader, incarnation: &str) -> Result<Option<Node>, StoreError> {
    NODES.find(reader, "", "incarnation", incarnation.to_owned()).await
}

/// The incarnation of this id, or those of the nodes that call themselves so.
pub(crate) async fn named(reader: &mut impl Reader, name: &str) -> Result<Vec<Node>, StoreError> {
    if let Some(one) = get(reader, name).await? {
        return Ok(vec![one]);
    }
    let query = sqlx::query_as(
        "SELECT incarnation, credential, node, module, first_seen_at, last_seen_at, last_sequence FROM incarnations WHERE node = ? \
         ORDER BY seq",
    );
    Ok(query.bind(name).fetch_all(reader.connection()).await?)
}

/// Adds an incarnation, or renews what it says of itself.
pub(crate) async fn upsert(write: &mut Write, node: &Node) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO incarnations (incarnation, credential, node, module, first_seen_at, last_seen_at, last_sequence) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
         ON CONFLICT (incarnation) DO UPDATE SET credential = ?2, node = ?3, module = ?4, last_seen_at = ?6, last_sequence = ?7",
    );
    let query = query.bind(&node.incarnation).bind(&node.credential).bind(&node.node).bind(&node.module);
    let query = query.bind(node.first_seen_at).bind(node.last_seen_at).bind(signed(node.last_sequence)?);
    query.execute(write.connection()).await?;
    Ok(())
}

/// Forgets incarnations last seen before a time, and what they reported.
pub(crate) async fn forget(write: &mut Write, before: Time) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM incarnations WHERE last_seen_at < ?").bind(before).execute(write.connection()).await?;
    Ok(())
}

/// Notes a report as applied and forgets those before `oldest`; answers whether it was not applied before.
pub(crate) async fn insert_report(write: &mut Write, incarnation: &str, sequence: u64, oldest: u64) -> Result<bool, StoreError> {
    let query = sqlx::query("INSERT INTO reports (incarnation, sequence) VALUES (?, ?) ON CONFLICT DO NOTHING");
    let inserted = query.bind(incarnation).bind(signed(sequence)?).execute(write.connection()).await?.rows_affected() > 0;
    let query = sqlx::query("DELETE FROM reports WHERE incarnation = ? AND sequence < ?");
    query.bind(incarnation).bind(signed(oldest)?).execute(write.connection()).await?;
    Ok(inserted)
}
