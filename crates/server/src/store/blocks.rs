//! Owns the rows of blocks and approvals. Must not judge them.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use tollgate_core::wire::Effect;

use super::listing::Table;
use super::{Reader, StoreError, Window, Write};
use crate::clock::Time;

/// A block, or an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow, utoipa::ToSchema)]
pub struct Block {
    /// Its id.
    pub id: String,
    /// Who: `address:192.0.2.0/24`, `consumer:<id>`, `credential:<id>`.
    pub subject: String,
    /// What it does: `unknown` (of an address: refuses what has no credential that is known to be good), `all` (refuses everything),
    /// `approve` (is never blocked automatically).
    pub effect: String,
    /// A signal's code, or an operator's words.
    pub reason: String,
    /// The score at its beginning, in points; 0 of an operator's.
    pub score: u64,
    /// The organisation of its consumer or credential; none of an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Who asked for it: a principal, or `node:` and the id of a node's credential.
    pub origin: String,
    /// No operator asked for it.
    pub automatic: bool,
    /// It is only told of, and not in force.
    pub shadow: bool,
    /// How many automatic blocks in a row it is.
    pub repeats: u32,
    /// When it began.
    pub begins_at: Time,
    /// When it ends; none: when it is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Time>,
    /// When it was lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted_at: Option<Time>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted_by: Option<String>,
}

const COLUMNS: &str =
    "id, subject, effect, reason, score, organisation, origin, automatic, shadow, repeats, begins_at, ends_at, lifted_at, lifted_by";
const ALL: Table = Table { name: "blocks", columns: COLUMNS, id: "id", condition: "TRUE", changing: &["over"] };
const BLOCKS: Table = Table { condition: "effect <> 'approve'", ..ALL };
const APPROVALS: Table = Table { condition: "effect = 'approve'", ..ALL };

impl Block {
    /// Whether it is in force, or would be but for `shadow`.
    pub(crate) fn is_live(&self, now: Time) -> bool {
        self.lifted_at.is_none() && self.ends_at.is_none_or(|ends_at| ends_at > now)
    }

    /// What it does, in the words of the wire.
    pub(crate) fn does(&self) -> Effect {
        match self.effect.as_str() {
            "approve" => Effect::Approve,
            "unknown" => Effect::Unknown,
            _ => Effect::All,
        }
    }
}

/// The blocks or the approvals of an organisation, or of all; also those that are over.
pub(crate) async fn list(
    reader: &mut impl Reader,
    window: Window<'_>,
    approvals: bool,
    organisation: Option<&str>,
    past: bool,
) -> Result<Option<Vec<Block>>, StoreError> {
    let over = (!past).then_some("0");
    let table = if approvals { APPROVALS } else { BLOCKS };
    table.list(reader, window, &[("organisation", organisation), ("over", over)]).await
}

pub(crate) async fn get(reader: &mut impl Reader, id: &str) -> Result<Option<Block>, StoreError> {
    ALL.find(reader, "", "id", id.to_owned()).await
}

/// The newest block (or approval) of a subject, in shadow or not.
pub(crate) async fn newest(reader: &mut impl Reader, subject: &str, approval: bool, shadow: bool) -> Result<Option<Block>, StoreError> {
    let query = sqlx::query_as(
        "SELECT id, subject, effect, reason, score, organisation, origin, automatic, shadow, repeats, begins_at, ends_at, lifted_at, \
         lifted_by FROM blocks WHERE subject = ? AND (effect = 'approve') = ? AND shadow = ? ORDER BY seq DESC LIMIT 1",
    );
    Ok(query.bind(subject).bind(approval).bind(shadow).fetch_optional(reader.connection()).await?)
}

/// The subjects of addresses that are approved now.
pub(crate) async fn approved_addresses(reader: &mut impl Reader, now: Time) -> Result<Vec<String>, StoreError> {
    let query = sqlx::query_scalar(
        "SELECT subject FROM blocks WHERE over = 0 AND effect = 'approve' AND subject GLOB 'address:*' AND lifted_at IS NULL \
         AND (ends_at IS NULL OR ends_at > ?)",
    );
    Ok(query.bind(now).fetch_all(reader.connection()).await?)
}

/// Those in force after a position, with theirs.
pub(crate) async fn live(reader: &mut impl Reader, after: i64, most: u32, now: Time) -> Result<Vec<(i64, Block)>, StoreError> {
    #[derive(FromRow)]
    struct Positioned {
        seq: i64,
        #[sqlx(flatten)]
        block: Block,
    }
    let query = sqlx::query_as::<_, Positioned>(
        "SELECT seq, id, subject, effect, reason, score, organisation, origin, automatic, shadow, repeats, begins_at, ends_at, lifted_at, \
         lifted_by FROM blocks WHERE over = 0 AND shadow = 0 AND lifted_at IS NULL AND (ends_at IS NULL OR ends_at > ?) AND seq > ? \
         ORDER BY seq LIMIT ?",
    );
    let rows = query.bind(now).bind(after).bind(most).fetch_all(reader.connection()).await?;
    Ok(rows.into_iter().map(|Positioned { seq, block }| (seq, block)).collect())
}

/// How many automatic ones an origin has begun since, of networks or of others.
pub(crate) async fn begun_since(reader: &mut impl Reader, origin: &str, since: Time, networks: bool) -> Result<u64, StoreError> {
    let query = sqlx::query_scalar(
        "SELECT count(*) FROM blocks WHERE origin = ? AND automatic = 1 AND begins_at > ? AND (subject GLOB 'address:*') = ?",
    );
    Ok(query.bind(origin).bind(since).bind(networks).fetch_one(reader.connection()).await?)
}

pub(crate) async fn insert(write: &mut Write, new: &Block) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO blocks (id, subject, effect, reason, score, organisation, origin, automatic, shadow, repeats, begins_at, ends_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    let query = query.bind(&new.id).bind(&new.subject).bind(&new.effect).bind(&new.reason).bind(super::values::signed(new.score)?);
    let query = query.bind(&new.organisation).bind(&new.origin).bind(new.automatic).bind(new.shadow).bind(new.repeats);
    query.bind(new.begins_at).bind(new.ends_at).execute(write.connection()).await?;
    Ok(())
}

pub(crate) async fn lift(write: &mut Write, id: &str, by: &str) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE blocks SET lifted_at = ?, lifted_by = ?, over = 1 WHERE id = ? AND lifted_at IS NULL");
    query.bind(write.now()).bind(by).bind(id).execute(write.connection()).await?;
    Ok(())
}

/// Whether some have ended that are not marked so.
pub(crate) async fn any_ended(reader: &mut impl Reader, now: Time) -> Result<bool, StoreError> {
    let query = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM blocks WHERE over = 0 AND ends_at <= ?)");
    Ok(query.bind(now).fetch_one(reader.connection()).await?)
}

/// How many are in force.
pub(crate) async fn count(reader: &mut impl Reader) -> Result<u64, StoreError> {
    let query = sqlx::query_scalar("SELECT count(*) FROM blocks WHERE over = 0 AND shadow = 0 AND effect <> 'approve'");
    Ok(query.fetch_one(reader.connection()).await?)
}

/// Marks those that have ended, and forgets those that ended before an instant.
pub(crate) async fn end(write: &mut Write, before: Time) -> Result<(), StoreError> {
    let now = write.now();
    sqlx::query("UPDATE blocks SET over = 1 WHERE over = 0 AND ends_at <= ?").bind(now).execute(write.connection()).await?;
    let query = sqlx::query("DELETE FROM blocks WHERE over = 1 AND coalesce(lifted_at, ends_at) < ?");
    query.bind(before).execute(write.connection()).await?;
    Ok(())
}
