//! Owns the rows of what is to be sent. Must not know what is in them, nor send it.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::listing::Table;
use super::{Reader, StoreError, Window, Write};
use crate::clock::Time;

/// Where something that is to be sent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is to be sent, or to be tried again.
    Waiting,
    /// It was taken.
    Sent,
    /// It was tried often enough.
    Dead,
}

/// Something that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow, utoipa::ToSchema)]
pub struct Message {
    /// Its id, by which receivers tell a second copy.
    pub id: String,
    /// The organisation it belongs to; none: the backend itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// What it is: `mail`.
    pub kind: String,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub state: State,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it is tried next.
    pub due_at: Time,
    /// When it was made.
    pub created_at: Time,
    /// When it was last tried, or changed otherwise.
    pub updated_at: Time,
}

/// A message with what is in it.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct Sealed {
    #[sqlx(flatten)]
    pub(crate) message: Message,
    pub(crate) sealed: Vec<u8>,
}

const COLUMNS: &str = "id, organisation, kind, state, attempts, error, due_at, created_at, updated_at";
const TABLE: Table = Table { name: "outbox", columns: COLUMNS, id: "id", condition: "TRUE", changing: &["state"] };

impl State {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Sent, Self::Dead];

    /// Its name, as it is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Dead => "dead",
        }
    }
}

impl TryFrom<String> for State {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::ALL.into_iter().find(|state| state.name() == name).ok_or_else(|| format!("`{name}` is no state of a message"))
    }
}

pub(crate) async fn list(
    reader: &mut impl Reader,
    window: Window<'_>,
    organisation: Option<&str>,
    state: Option<State>,
) -> Result<Option<Vec<Message>>, StoreError> {
    TABLE.list(reader, window, &[("organisation", organisation), ("state", state.map(State::name))]).await
}

pub(crate) async fn get(reader: &mut impl Reader, id: &str) -> Result<Option<Message>, StoreError> {
    TABLE.find(reader, "", "id", id.to_owned()).await
}

pub(crate) async fn insert(write: &mut Write, new: &Message, sealed: &[u8]) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO outbox (id, organisation, kind, sealed, state, attempts, due_at, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    let query = query.bind(&new.id).bind(&new.organisation).bind(&new.kind).bind(sealed).bind(new.state.name()).bind(new.attempts);
    query.bind(new.due_at).bind(new.created_at).bind(new.updated_at).execute(write.connection()).await?;
    Ok(())
}

/// When the next message is due.
pub(crate) async fn next_due(reader: &mut impl Reader) -> Result<Option<Time>, StoreError> {
    Ok(sqlx::query_scalar("SELECT min(due_at) FROM outbox WHERE state = 'waiting'").fetch_one(reader.connection()).await?)
}

/// Messages that are due, those first that are due longest.
pub(crate) async fn due(reader: &mut impl Reader, now: Time, most: u32) -> Result<Vec<Sealed>, StoreError> {
    let query = sqlx::query_as(
        "SELECT id, organisation, kind, state, attempts, error, due_at, created_at, updated_at, sealed FROM outbox \
         WHERE state = 'waiting' AND due_at <= ? ORDER BY due_at LIMIT ?",
    );
    Ok(query.bind(now).bind(most).fetch_all(reader.connection()).await?)
}

/// Keeps what came of a message. What was sent is no longer kept.
pub(crate) async fn update(write: &mut Write, changed: &Message) -> Result<(), StoreError> {
    let query = sqlx::query(
        "UPDATE outbox SET state = ?1, attempts = ?2, error = ?3, due_at = ?4, updated_at = ?5, \
         sealed = CASE WHEN ?1 = 'sent' THEN NULL ELSE sealed END WHERE id = ?6",
    );
    let query = query.bind(changed.state.name()).bind(changed.attempts).bind(&changed.error).bind(changed.due_at);
    query.bind(write.now()).bind(&changed.id).execute(write.connection()).await?;
    Ok(())
}

pub(crate) async fn delete(write: &mut Write, id: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM outbox WHERE id = ?").bind(id).execute(write.connection()).await?;
    Ok(())
}

/// Forgets what was sent before a time.
pub(crate) async fn forget_sent(write: &mut Write, before: Time) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM outbox WHERE state = 'sent' AND updated_at < ?").bind(before).execute(write.connection()).await?;
    Ok(())
}
