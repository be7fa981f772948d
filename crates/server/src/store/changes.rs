//! Owns the rows of the change feed. Must not know what a node makes of them.

use sqlx::FromRow;

use super::values::signed;
use super::{Reader, StoreError, Write};

/// Changes that are kept: a node that missed more is told to forget everything.
pub(crate) const KEPT: u64 = 100_000;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A credential must be resolved again.
    Credential,
    /// A credential is revoked or expired.
    CredentialGone,
    /// A consumer has another tier.
    Consumer,
    /// None of a consumer's credentials may pass until they are resolved again.
    ConsumerOut,
    /// A tier has other limits.
    Tier,
    /// Units of a quota are wanted elsewhere; the subject is `<consumer>/<limit>`.
    Recall,
    /// Units of a quota came free; the same subject.
    Freed,
    /// A block or an approval of this id began or ended.
    Block,
    /// An access token or a family of this id is revoked.
    Revoked,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) revision: u64,
    pub(crate) mark: u64,
    pub(crate) kind: Kind,
    pub(crate) subject: String,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Credential,
        Self::CredentialGone,
        Self::Consumer,
        Self::ConsumerOut,
        Self::Tier,
        Self::Recall,
        Self::Freed,
        Self::Block,
        Self::Revoked,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::CredentialGone => "credential_gone",
            Self::Consumer => "consumer",
            Self::ConsumerOut => "consumer_out",
            Self::Tier => "tier",
            Self::Recall => "recall",
            Self::Freed => "freed",
            Self::Block => "block",
            Self::Revoked => "revoked",
        }
    }
}

impl FromRow<'_, sqlx::sqlite::SqliteRow> for Row {
    fn from_row(row: &sqlx::sqlite::SqliteRow) -> sqlx::Result<Self> {
        use sqlx::Row as _;
        let name: &str = row.try_get("kind")?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        let kind = kind.ok_or_else(|| sqlx::Error::Decode(format!("`{name}` is no kind of change").into()))?;
        Ok(Self { revision: row.try_get("revision")?, mark: row.try_get("mark")?, kind, subject: row.try_get("subject")? })
    }
}

/// Adds a change to the feed; nodes get it once it is committed.
pub(crate) async fn publish(write: &mut Write, kind: Kind, subject: &str) -> Result<(), StoreError> {
    let query = sqlx::query_scalar("INSERT INTO changes (kind, subject, at) VALUES (?, ?, ?) RETURNING revision");
    let revision: u64 = query.bind(kind.name()).bind(subject).bind(write.now()).fetch_one(write.connection()).await?;
    write.published = Some(revision);
    let query = sqlx::query("DELETE FROM changes WHERE revision <= ?");
    query.bind(signed(revision.saturating_sub(KEPT))?).execute(write.connection()).await?;
    Ok(())
}

/// The newest revision; 0 before the first.
pub(crate) async fn newest(reader: &mut impl Reader) -> Result<u64, StoreError> {
    Ok(sqlx::query_scalar("SELECT coalesce(max(revision), 0) FROM changes").fetch_one(reader.connection()).await?)
}

/// The mark of a revision; `None` if it is not known here, or no longer.
pub(crate) async fn mark(reader: &mut impl Reader, revision: u64) -> Result<Option<u64>, StoreError> {
    let query = match revision {
        0 => sqlx::query_scalar("SELECT mark FROM origin"),
        _ => sqlx::query_scalar("SELECT mark FROM changes WHERE revision = ?").bind(signed(revision)?),
    };
    Ok(query.fetch_optional(reader.connection()).await?)
}

/// The changes after a revision, at most so many, in the order they were committed.
pub(crate) async fn after(reader: &mut impl Reader, revision: u64, most: usize) -> Result<Vec<Row>, StoreError> {
    let query = sqlx::query_as("SELECT revision, mark, kind, subject FROM changes WHERE revision > ? ORDER BY revision LIMIT ?");
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    Ok(query.bind(signed(revision)?).bind(most).fetch_all(reader.connection()).await?)
}
