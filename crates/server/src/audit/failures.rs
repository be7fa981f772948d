//! Owns failed authentications: they are counted in memory and written to the audit log every few seconds, so that a flood of them is a few
//! entries. Must not keep what was presented.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use super::noted::Noted;
use crate::clock::Time;
use crate::failure::Failure;
use crate::permission::Principal;
use crate::store::{self, Store};

/// Failures that are told apart between two writings, by address, reason and account: the rest is counted by reason alone.
pub const TOLD_APART: usize = 64;
/// What an entry of the rest has as actor.
const MANY: &str = "many";

/// Why somebody is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Not a good admin key.
    AdminKey,
    /// Not a good node credential.
    NodeCredential,
    /// Not a good token of a node.
    NodeToken,
    /// Not a password of this account, or no account.
    Password,
    /// Not a word that was sent.
    Word,
    /// No such session, or one that is over.
    Session,
    /// A session without its page's word, or from another site.
    Forged,
    /// A sign-in through an OpenID provider that came to nothing.
    OpenId,
    /// Not a good client of the token service, or not a good grant.
    Client,
    /// Refused without a look, for too many failures.
    TooMany,
}

/// Who failed with what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Who {
    address: Option<IpAddr>,
    reason: Reason,
    account: Option<Account>,
}

/// Whose account was tried.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// By its address; there need be none.
    Email(String),
    /// By its id.
    User(String),
}

/// How often, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tally {
    count: u64,
    first: Time,
    last: Time,
}

/// Failures that are not written yet.
#[derive(Debug, Default)]
pub struct Failures(Mutex<HashMap<Who, Tally>>);

impl Reason {
    /// Its name in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdminKey => "admin_key",
            Self::NodeCredential => "node_credential",
            Self::NodeToken => "node_token",
            Self::Password => "password",
            Self::Word => "word",
            Self::Session => "session",
            Self::Forged => "forged",
            Self::OpenId => "openid",
            Self::Client => "client",
            Self::TooMany => "too_many",
        }
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

impl Failures {
    /// Counts a failure.
    pub fn note(&self, reason: Reason, address: IpAddr, account: Option<Account>, now: Time) {
        let who = Who { address: Some(address.to_canonical()), reason, account };
        self.add(who, Tally { count: 1, first: now, last: now });
    }

    fn add(&self, who: Who, tally: Tally) {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = tallies.len() < TOLD_APART || tallies.contains_key(&who);
        let who = if room { who } else { Who { address: None, account: None, ..who } };
        tallies.entry(who).and_modify(|kept| kept.add(tally)).or_insert(tally);
    }

    /// Writes them to the log. What cannot be written is kept, and counted on.
    ///
    /// # Errors
    /// [`Failure::Unavailable`].
    pub async fn write(&self, store: &Store) -> Result<(), Failure> {
        let taken = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if taken.is_empty() {
            return Ok(());
        }
        let written = write(store, &taken).await;
        if written.is_err() {
            taken.into_iter().for_each(|(who, tally)| self.add(who, tally));
        }
        written
    }
}

async fn write(store: &Store, tallies: &HashMap<Who, Tally>) -> Result<(), Failure> {
    let mut write = store.begin().await?;
    let mut sorted: Vec<_> = tallies.iter().collect();
    sorted.sort_by_key(|(_, tally)| (tally.first, tally.last));
    for (Who { address, reason, account }, Tally { count, first, last }) in sorted {
        let user = match account {
            Some(Account::Email(email)) => store::users::by_email(&mut write, email).await?,
            Some(Account::User(id)) => store::users::get(&mut write, id).await?,
            None => None,
        };
        let user = user.map(|found| found.user);
        let actor = address.map_or_else(|| MANY.to_owned(), |address| format!("address:{address}"));
        // What was typed as an address may be anything, a password too: it is not kept where nobody has it.
        let subject = user.as_ref().map_or("unknown", |user| user.id.as_str());
        let noted = Noted::default().with("reason", &reason.name()).with("count", count).with("first_at", first).with("last_at", last);
        let noted = noted.with("reporter", &"backend").whose(user.as_ref().and_then(|user| user.organisation.as_deref()));
        write.note(&Principal::backend(&actor), "authentication:failed", subject, noted).await?;
    }
    Ok(write.commit().await?)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_flood_is_told_apart_within_bounds_and_counted_whole() {
        let failures = Failures::default();
        let at = Time::from_millis;
        for number in 0..10_000_u32 {
            failures.note(Reason::AdminKey, IpAddr::V4(Ipv4Addr::from_bits(number % 500)), None, at(i64::from(number)));
        }
        failures.note(Reason::Password, IpAddr::V4(Ipv4Addr::LOCALHOST), Some(Account::Email("a@example.com".to_owned())), at(7));
        let tallies = failures.0.into_inner().unwrap();
        assert_eq!(tallies.len(), TOLD_APART + 2, "64 addresses, the rest of them, and passwords of others");
        assert_eq!(tallies.values().map(|tally| tally.count).sum::<u64>(), 10_001);
        let rest = tallies[&Who { address: None, reason: Reason::AdminKey, account: None }];
        assert_eq!((rest.count, rest.first, rest.last), (10_000 - 64 * 20, at(64), at(9_999)));
        assert!(tallies.contains_key(&Who { address: None, reason: Reason::Password, account: None }));
    }
}
