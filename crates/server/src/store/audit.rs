//! Owns the rows of the audit log: each is appended to the chain in the transaction that does what it tells of. Must not change one.

use std::path::Path;

use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, FromRow, QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::values::signed;
use super::{Reader, StoreError, Write};
use crate::audit::chain::{BEGINNING, Covered, HASH_LEN, Hash, Head};
use crate::audit::noted::Noted;
use crate::audit::personal::{self, KEY_LEN, Personal};
use crate::clock::Time;
use crate::permission::Principal;
use crate::secrets::random_id;

/// Entries of an older version that are taken into the chain at once.
const TAKEN_OVER: u32 = 1_000;
const COLUMNS: &str = "e.seq, e.at, e.principal, e.action, e.subject, e.organisation, e.detail, e.person, e.sealed, e.hash";

/// What is to be appended.
struct New<'a> {
    at: Time,
    principal: &'a str,
    action: &'a str,
    subject: &'a str,
    organisation: Option<&'a str>,
    detail: Option<&'a str>,
    personal: Option<Personal>,
}

/// An entry as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) at: Time,
    pub(crate) principal: String,
    pub(crate) action: String,
    pub(crate) subject: String,
    pub(crate) organisation: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) person: Option<String>,
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) hash: Hash,
    /// The person's key, if it was asked for and is there.
    pub(crate) key: Option<Vec<u8>>,
}

/// Which entries are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) organisation: Option<String>,
    pub(crate) from: Option<Time>,
    pub(crate) until: Option<Time>,
    pub(crate) principal: Option<String>,
    pub(crate) subject: Option<String>,
    /// An action, or what the names of actions begin with before the `:`.
    pub(crate) kind: Option<String>,
    pub(crate) after: Option<u64>,
    /// The last one at most.
    pub(crate) until_seq: Option<u64>,
    pub(crate) newest_first: bool,
    pub(crate) most: u32,
}

impl Row {
    /// What its hash covers.
    pub(crate) fn covered(&self) -> Covered<'_> {
        Covered {
            seq: self.seq,
            at: self.at.millis(),
            principal: &self.principal,
            action: &self.action,
            subject: &self.subject,
            organisation: self.organisation.as_deref(),
            detail: self.detail.as_deref(),
            person: self.person.as_deref(),
            sealed: self.sealed.as_deref(),
        }
    }
}

impl FromRow<'_, SqliteRow> for Row {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let hash: Vec<u8> = row.try_get("hash")?;
        Ok(Self {
            // A number below 0 is none of ours: the chain breaks there.
            seq: u64::try_from(row.try_get::<i64, _>("seq")?).unwrap_or_default(),
            at: row.try_get("at")?,
            principal: row.try_get("principal")?,
            action: row.try_get("action")?,
            subject: row.try_get("subject")?,
            organisation: row.try_get("organisation")?,
            detail: row.try_get("detail")?,
            person: row.try_get("person")?,
            sealed: row.try_get("sealed")?,
            // One of another length fits nothing: the chain breaks there, too.
            hash: <[u8; HASH_LEN]>::try_from(hash).map_or(BEGINNING, Hash),
            key: row.try_get("key").unwrap_or_default(),
        })
    }
}

impl Write {
    /// Notes who did what, for the audit log.
    pub(crate) async fn record(&mut self, principal: &Principal, action: &'static str, subject: &str) -> Result<(), StoreError> {
        self.note(principal, action, subject, Noted::default()).await
    }

    /// Notes who did what and what changed by it, for the audit log.
    pub(crate) async fn note(
        &mut self,
        principal: &Principal,
        action: &'static str,
        subject: &str,
        noted: Noted,
    ) -> Result<(), StoreError> {
        let parts = noted.parts(principal.organisation.as_deref());
        let new = New {
            at: self.now(),
            principal: &principal.name,
            action,
            subject,
            organisation: parts.organisation.as_deref(),
            detail: parts.detail.as_deref(),
            personal: parts.personal,
        };
        append(self.connection(), new).await
    }
}

/// Appends an entry. Nobody else writes meanwhile: what it follows is the last one still when it is committed.
async fn append(connection: &mut SqliteConnection, new: New<'_>) -> Result<(), StoreError> {
    let mut personal = new.personal;
    let principal = named(connection, new.principal, &mut personal).await?;
    let subject = named(connection, new.subject, &mut personal).await?;
    let Head { seq, hash: before } = newest(connection).await?;
    let seq = seq + 1;
    let (person, sealed) = match personal {
        None => (None, None),
        Some(Personal { person, members }) => {
            let key = key_of(connection, &person, None).await?;
            let sealed = personal::seal(&key, &person, seq, members.to_string().as_bytes()).ok_or_else(no_randomness)?;
            (Some(person), Some(sealed))
        }
    };
    let covered = Covered {
        seq,
        at: new.at.millis(),
        principal: &principal,
        action: new.action,
        subject: &subject,
        organisation: new.organisation,
        detail: new.detail,
        person: person.as_deref(),
        sealed: sealed.as_deref(),
    };
    let hash = covered.hash(before);
    let query = sqlx::query(
        "INSERT INTO events (seq, at, principal, action, subject, organisation, detail, person, sealed, hash) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    let query = query.bind(signed(seq)?).bind(new.at).bind(&principal).bind(new.action).bind(&subject).bind(new.organisation);
    let query = query.bind(new.detail).bind(&person).bind(&sealed).bind(hash.0.as_slice());
    query.execute(connection).await?;
    Ok(())
}

/// How entries call somebody: an address has a name that tells nothing once it is erased.
async fn named(connection: &mut SqliteConnection, name: &str, personal: &mut Option<Personal>) -> Result<String, StoreError> {
    let Some(address) = personal::address_of(name) else {
        return Ok(name.to_owned());
    };
    let alias = match alias_of(connection, &address).await? {
        Some(alias) => alias,
        None => {
            let alias = personal::alias(&random_id(16).map_err(|_| no_randomness())?);
            key_of(connection, &alias, Some(&address)).await?;
            alias
        }
    };
    personal.get_or_insert_with(|| Personal { person: alias.clone(), members: serde_json::json!({"address": address}) });
    Ok(alias)
}

async fn alias_of(connection: &mut SqliteConnection, address: &str) -> Result<Option<String>, StoreError> {
    let query = sqlx::query_scalar("SELECT name FROM persons WHERE address = ?");
    Ok(query.bind(address).fetch_optional(connection).await?)
}

/// The key of a person, made if there is none.
async fn key_of(connection: &mut SqliteConnection, person: &str, address: Option<&str>) -> Result<Vec<u8>, StoreError> {
    let found = sqlx::query_scalar("SELECT key FROM persons WHERE name = ?").bind(person).fetch_optional(&mut *connection).await?;
    if let Some(key) = found {
        return Ok(key);
    }
    let mut key = vec![0; KEY_LEN];
    getrandom::fill(&mut key).map_err(|_| no_randomness())?;
    let query = sqlx::query("INSERT INTO persons (name, address, key) VALUES (?, ?, ?)");
    query.bind(person).bind(address).bind(&key).execute(connection).await?;
    Ok(key)
}

fn no_randomness() -> StoreError {
    StoreError::Unavailable("no randomness".to_owned())
}

/// The last entry.
async fn newest(connection: &mut SqliteConnection) -> Result<Head, StoreError> {
    let query = sqlx::query_as::<_, (i64, Vec<u8>)>("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1");
    let Some((seq, hash)) = query.fetch_optional(connection).await? else {
        return Ok(Head { seq: 0, hash: BEGINNING });
    };
    let hash = <[u8; HASH_LEN]>::try_from(hash).map_or(BEGINNING, Hash);
    Ok(Head { seq: u64::try_from(seq).unwrap_or_default(), hash })
}

/// The last entry.
pub(crate) async fn head(reader: &mut impl Reader) -> Result<Head, StoreError> {
    newest(reader.connection()).await
}

/// The entries that are wanted, with the keys of those who are in them.
pub(crate) async fn list(reader: &mut impl Reader, wanted: &Wanted) -> Result<Vec<Row>, StoreError> {
    let mut query =
        QueryBuilder::<Sqlite>::new(format!("SELECT {COLUMNS}, p.key FROM events e LEFT JOIN persons p ON p.name = e.person WHERE TRUE"));
    if let Some(organisation) = &wanted.organisation {
        query.push(" AND e.organisation = ").push_bind(organisation.clone());
    }
    if let Some(from) = wanted.from {
        query.push(" AND e.at >= ").push_bind(from);
    }
    if let Some(until) = wanted.until {
        query.push(" AND e.at < ").push_bind(until);
    }
    for (column, name) in [("principal", &wanted.principal), ("subject", &wanted.subject)] {
        if let Some(name) = name {
            let called = match personal::address_of(name) {
                Some(address) => alias_of(reader.connection(), &address).await?.unwrap_or_else(|| name.clone()),
                None => name.clone(),
            };
            query.push(format_args!(" AND e.{column} = ")).push_bind(called);
        }
    }
    match &wanted.kind {
        Some(action) if action.contains(':') => {
            query.push(" AND e.action = ").push_bind(action.clone());
        }
        // `;` follows `:`.
        Some(kind) => {
            query.push(" AND e.action > ").push_bind(format!("{kind}:")).push(" AND e.action < ").push_bind(format!("{kind};"));
        }
        None => {}
    }
    if let Some(last) = wanted.until_seq {
        query.push(" AND e.seq <= ").push_bind(i64::try_from(last).unwrap_or(i64::MAX));
    }
    if let Some(after) = wanted.after {
        query.push(if wanted.newest_first { " AND e.seq < " } else { " AND e.seq > " }).push_bind(i64::try_from(after).unwrap_or(i64::MAX));
    }
    query.push(if wanted.newest_first { " ORDER BY e.seq DESC LIMIT " } else { " ORDER BY e.seq LIMIT " }).push_bind(wanted.most);
    Ok(query.build_query_as::<Row>().fetch_all(reader.connection()).await?)
}

/// Destroys the key of a person, by its name or as an address; answers whether there was one.
pub(crate) async fn erase(write: &mut Write, person: &str) -> Result<bool, StoreError> {
    // What is deleted is overwritten in the file, not only forgotten.
    sqlx::query("PRAGMA secure_delete = ON").execute(write.connection()).await?;
    let query = sqlx::query("DELETE FROM persons WHERE name = ? OR address = ?");
    let query = query.bind(person).bind(personal::address_of(person));
    Ok(query.execute(write.connection()).await?.rows_affected() > 0)
}

/// Takes what a version without a chain has written into it, in its order. All or nothing.
pub(super) async fn take_over(write: &mut Write) -> Result<(), StoreError> {
    loop {
        let query = sqlx::query_as::<_, (i64, Time, String, String, String)>(
            "SELECT seq, at, principal, action, subject FROM events_unchained ORDER BY seq LIMIT ?",
        );
        let rows = query.bind(TAKEN_OVER).fetch_all(write.connection()).await?;
        let Some((last, ..)) = rows.last() else {
            return Ok(());
        };
        let last = *last;
        for (_, at, principal, action, subject) in &rows {
            let new = New { at: *at, principal, action, subject, organisation: None, detail: None, personal: None };
            append(write.connection(), new).await?;
        }
        sqlx::query("DELETE FROM events_unchained WHERE seq <= ?").bind(last).execute(write.connection()).await?;
    }
}

/// Whether there is something to take over.
pub(super) async fn any_unchained(reader: &mut impl Reader) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM events_unchained)").fetch_one(reader.connection()).await?)
}

/// Opens the database of a directory, only to read it, beside a process that serves it or without one.
pub(crate) async fn beside(dir: &Path) -> Result<Beside, StoreError> {
    let options = super::connect(&dir.join(super::DATABASE)).read_only(true);
    Ok(Beside(SqliteConnection::connect_with(&options).await?))
}

/// A connection beside a store.
#[derive(Debug)]
pub(crate) struct Beside(SqliteConnection);

impl Reader for Beside {
    fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }
}
