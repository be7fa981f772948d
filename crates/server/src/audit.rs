//! Owns the audit log: who did what, asked for, verified, exported, and freed of who somebody was. Must not change an entry.
//!
//! Entries are written with [`Write::record`] and [`Write::note`] in the transaction that does what they tell of: neither is there without the
//! other. What says who somebody is (names, e-mail and IP addresses) is sealed under a key of that person, kept beside; erasure destroys the
//! key, and the chain of hashes, which covers what is sealed, still holds.

pub(crate) mod chain;
mod failures;
pub(crate) mod noted;
pub(crate) mod personal;

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use chain::{Broken, Chain, Hash, Head, NoHead};
pub(crate) use failures::Who;
pub use failures::{Account, Failures, Reason, TOLD_APART, write_failures};

use crate::clock::Time;
use crate::failure::{Failure, Problems};
use crate::page::{Listing, Page};
use crate::permission::Principal;
use crate::store::audit as rows;
use crate::store::{Store, Write};

/// Entries that are read at once.
const READ_AT_ONCE: u32 = 1_000;
/// Bytes of what somebody asks for.
const LONGEST_NAME: usize = 256;

/// An entry. The hash covers the entry before and all members but `at`, which `at_ms` tells exactly, `personal` and `erased`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Entry {
    /// Counts entries, without a gap.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// The same in milliseconds since 1970.
    pub at_ms: i64,
    /// Who: `admin_key:<id>`, `user:<id>`, `node:<credential>`, the backend's own names, or of a failed authentication `address:~…`.
    pub actor: String,
    /// What: `keys:create`.
    pub action: String,
    /// To whom or what.
    pub subject: String,
    /// Whose affair it is; none: of the backend, or of more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// The documents `before` and `after`, and what else there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub detail: Option<Box<RawValue>>,
    /// Who somebody is, as far as that is not erased: members of `before` and `after`, or an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub personal: Option<serde_json::Value>,
    /// Who it was is erased.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub erased: bool,
    /// Whose key `sealed` is sealed with: what an erasure names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// `personal`, sealed: base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
    /// SHA-256, in hexadecimal digits.
    pub hash: String,
}

/// The last entry: it stands for all before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LastEntry {
    /// Its number; 0: there is none.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

/// Which entries are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Not before this time.
    pub from: Option<Time>,
    /// Before this time.
    pub until: Option<Time>,
    /// By whom: `admin_key:<id>`, `user:<id>`, `address:192.0.2.7`.
    pub actor: Option<String>,
    /// To whom or what: an id, `address:192.0.2.7`.
    pub subject: Option<String>,
    /// `keys`, or one action: `keys:create`.
    pub kind: Option<String>,
}

/// Entries that are read one after the other, from the oldest.
#[derive(Debug)]
pub struct Export {
    store: Store,
    wanted: rows::Wanted,
    left: u64,
}

impl Entry {
    fn of(row: rows::Row) -> Self {
        let opened = match (&row.key, &row.person, &row.sealed) {
            (Some(key), Some(person), Some(sealed)) => personal::open(key, person, row.seq, sealed),
            _ => None,
        };
        let personal = opened.and_then(|opened| serde_json::from_slice(&opened).ok());
        Self {
            seq: row.seq,
            at: row.at,
            at_ms: row.at.millis(),
            actor: row.principal,
            action: row.action,
            subject: row.subject,
            organisation: row.organisation,
            // Somebody else's text would be no JSON, and the chain does not fit it.
            detail: row.detail.and_then(|detail| RawValue::from_string(detail).ok()),
            erased: row.sealed.is_some() && personal.is_none(),
            personal,
            person: row.person,
            sealed: row.sealed.map(|sealed| STANDARD.encode(sealed)),
            hash: row.hash.to_string(),
        }
    }
}

impl Chain {
    /// Takes the next entry of an export.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn entry(&mut self, entry: &Entry) -> Result<(), Broken> {
        let changed = Broken::Changed(entry.seq);
        let sealed = entry.sealed.as_ref().map(|sealed| STANDARD.decode(sealed).map_err(|_| changed)).transpose()?;
        if Time::from_millis(entry.at_ms).to_string() != entry.at.to_string() {
            return Err(changed);
        }
        let covered = chain::Covered {
            seq: entry.seq,
            at: entry.at_ms,
            principal: &entry.actor,
            action: &entry.action,
            subject: &entry.subject,
            organisation: entry.organisation.as_deref(),
            detail: entry.detail.as_ref().map(|detail| detail.get()),
            person: entry.person.as_deref(),
            sealed: sealed.as_deref(),
        };
        self.follow(&covered, entry.hash.parse().map_err(|_| changed)?)
    }
}

/// The entries this principal may see, the newest first.
///
/// # Errors
/// [`Failure::Invalid`] for a page that cannot be, and a filter that finds nothing.
pub async fn list(store: &Store, principal: &Principal, filter: &Filter, page: &Page) -> Result<Listing<Entry>, Failure> {
    let after =
        page.after.as_deref().map(|after| after.parse().map_err(|_| Failure::invalid("after", "not `next` of a page of this list")));
    let most = page.size()? + 1;
    let wanted = rows::Wanted { newest_first: true, after: after.transpose()?, most, ..wanted(principal, filter)? };
    let found = rows::list(&mut store.read().await?, &wanted).await?;
    let more = found.len() >= most as usize;
    let items: Vec<Entry> = found.into_iter().take(page.size()? as usize).map(Entry::of).collect();
    let next = items.last().filter(|_| more).map(|last| last.seq.to_string());
    Ok(Listing { items, next })
}

/// The entries this principal may see, the oldest first, after one and so many; at most those that there are now.
///
/// # Errors
/// [`Failure::Invalid`] for a filter that finds nothing.
pub async fn export(store: &Store, principal: &Principal, filter: &Filter, after: u64, most: Option<u64>) -> Result<Export, Failure> {
    let last = last(store).await?.seq;
    let wanted = rows::Wanted { after: Some(after), most: READ_AT_ONCE, until_seq: Some(last), ..wanted(principal, filter)? };
    Ok(Export { store: store.clone(), wanted, left: most.unwrap_or(u64::MAX) })
}

impl Export {
    /// The next entries, as lines; `None` after the last one.
    ///
    /// # Errors
    /// [`Failure::Unavailable`].
    pub async fn next(&mut self) -> Result<Option<String>, Failure> {
        self.wanted.most = u32::try_from(self.left).unwrap_or(READ_AT_ONCE).min(READ_AT_ONCE);
        if self.left == 0 {
            return Ok(None);
        }
        let found = rows::list(&mut self.store.read().await?, &self.wanted).await?;
        let Some(last) = found.last().map(|row| row.seq) else {
            return Ok(None);
        };
        self.left -= found.len() as u64;
        self.wanted.after = Some(last);
        let mut lines = String::new();
        for row in found {
            let line = serde_json::to_string(&Entry::of(row)).map_err(|error| Failure::Internal { private: error.to_string() })?;
            lines.push_str(&line);
            lines.push('\n');
        }
        Ok(Some(lines))
    }
}

/// The last entry, for the backend itself.
pub(crate) async fn last(store: &Store) -> Result<Head, Failure> {
    Ok(rows::head(&mut store.read().await?).await?)
}

/// The last entry.
///
/// # Errors
/// [`Failure::Forbidden`] to principals bound to an organisation: the chain is that of all.
pub async fn head(store: &Store, principal: &Principal) -> Result<LastEntry, Failure> {
    principal.unbound()?;
    let Head { seq, hash } = last(store).await?;
    Ok(LastEntry { seq, hash: hash.to_string() })
}

/// Destroys the key of a person, of whom an entry has the name as `person`, or of an address: nobody can read any longer who it was. The chain holds as before.
///
/// # Errors
/// [`Failure::NotFound`] where there is no key; [`Failure::Forbidden`] to principals bound to an organisation.
pub async fn erase(write: &mut Write, principal: &Principal, person: &str) -> Result<(), Failure> {
    principal.unbound()?;
    // Before: the entry that tells of it would name an address anew.
    if !rows::erase(write, person).await? {
        return Err(Failure::NotFound);
    }
    let subject = if personal::address_of(person).is_some() { "address" } else { person };
    Ok(write.record(principal, "audit:erase", subject).await?)
}

/// Follows the log of a data directory from its beginning, beside the process that serves it or without one; answers its head.
///
/// # Errors
/// [`Broken`], and [`Failure::Unavailable`] where the log cannot be read.
pub async fn verify(dir: &Path, kept: Vec<Head>) -> Result<Result<Head, Broken>, Failure> {
    let mut reader = rows::beside(dir).await?;
    let mut chain = Chain::new(kept);
    let mut wanted = rows::Wanted { most: READ_AT_ONCE, ..rows::Wanted::default() };
    loop {
        let found = rows::list(&mut reader, &wanted).await?;
        let Some(last) = found.last().map(|row| row.seq) else {
            return Ok(chain.end());
        };
        for row in &found {
            if let Err(broken) = chain.follow(&row.covered(), row.hash) {
                return Ok(Err(broken));
            }
        }
        wanted.after = Some(last);
    }
}

fn wanted(principal: &Principal, filter: &Filter) -> Result<rows::Wanted, Failure> {
    let mut problems = Problems::default();
    for (name, value) in [("actor", &filter.actor), ("subject", &filter.subject), ("kind", &filter.kind)] {
        let fits = value.as_ref().is_none_or(|value| (1..=LONGEST_NAME).contains(&value.len()));
        problems.check(fits, name, format!("1 to {LONGEST_NAME} bytes"));
    }
    problems.finish()?;
    let Filter { from, until, actor, subject, kind } = filter.clone();
    let organisation = principal.organisation.clone();
    Ok(rows::Wanted { organisation, from, until, principal: actor, subject, kind, ..rows::Wanted::default() })
}
