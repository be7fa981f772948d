//! Owns failed authentications: they are counted in memory and written to the audit log every few seconds, so that a flood of them is a few
//! entries. Must not keep what was presented.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use tollgate_core::verdict;
use tollgate_core::wire::Refused;

use super::noted::Noted;
use crate::clock::Time;
use crate::failure::Failure;
use crate::permission::Principal;
use crate::store::{self, Store};
use crate::users::User;

/// Failures that are told apart between two writings, by address, reason and account: the rest is counted by reason alone.
pub const TOLD_APART: usize = 32;
/// Who reports what failed here.
const BACKEND: &str = "backend";
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
    /// Not an API key that passes, reported as found.
    Leak,
    /// Refused without a look, for too many failures.
    TooMany,
}

/// Who failed with what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Who {
    /// As [`tollgate_core::abuse::Subject`] is written.
    address: Option<String>,
    reason: &'static str,
    account: Option<Account>,
    /// The backend, or the node.
    reporter: String,
}

/// Whose account was tried.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// By its address; there need be none.
    Email(String),
    /// By its id.
    User(String),
    /// A consumer's: what it may do was not enough.
    Consumer(String),
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
            Self::Leak => "leak",
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
        let address = Some(format!("address:{}", address.to_canonical()));
        self.count(Who { address, reason: reason.name(), account, reporter: BACKEND.to_owned() }, 1, now);
    }

    /// Counts so many failures.
    pub(crate) fn count(&self, who: Who, count: u64, now: Time) {
        self.add(who, Tally { count, first: now, last: now });
    }

    fn add(&self, who: Who, tally: Tally) {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = tallies.len() < TOLD_APART || tallies.contains_key(&who);
        let who = if room { who } else { Who { address: None, account: None, ..who } };
        tallies.entry(who).and_modify(|kept| kept.add(tally)).or_insert(tally);
    }

    fn take(&self) -> HashMap<Who, Tally> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Who {
    /// Whom a node refused; `None` for what it cannot have.
    pub(crate) fn refused(node: &str, refused: &Refused) -> Option<Self> {
        let reason = verdict::Reason::ALL.into_iter().map(verdict::Reason::code).find(|code| *code == refused.reason)?;
        let account = refused.consumer.clone().map(Account::Consumer);
        let address = refused.address.clone().filter(|address| {
            address
                .parse::<tollgate_core::abuse::Subject>()
                .is_ok_and(|subject| matches!(subject, tollgate_core::abuse::Subject::Address(_)))
        });
        Some(Self { address, reason, account, reporter: format!("node:{node}") })
    }
}

/// Writes what failed to the log. What cannot be written is kept, and counted on.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn write_failures(store: &Store) -> Result<(), Failure> {
    let taken = store.failures().take();
    if taken.is_empty() {
        return Ok(());
    }
    let written = write(store, &taken).await;
    if written.is_err() {
        taken.into_iter().for_each(|(who, tally)| store.failures().add(who, tally));
    }
    written
}

async fn write(store: &Store, tallies: &HashMap<Who, Tally>) -> Result<(), Failure> {
    let mut write = store.begin().await?;
    let mut sorted: Vec<_> = tallies.iter().collect();
    sorted.sort_by_key(|(_, tally)| (tally.first, tally.last));
    for (Who { address, reason, account, reporter }, Tally { count, first, last }) in sorted {
        let whose = match account {
            Some(Account::Email(email)) => store::users::by_email(&mut write, email).await?.map(|found| found.user).map(of_user),
            Some(Account::User(id)) => store::users::get(&mut write, id).await?.map(|found| found.user).map(of_user),
            Some(Account::Consumer(id)) => store::consumers::get(&mut write, id).await?.map(|found| (found.id, Some(found.organisation))),
            None => None,
        };
        // What was typed as an address may be anything, a password too: it is not kept where nobody has it.
        let (subject, organisation) = whose.unwrap_or_else(|| ("unknown".to_owned(), None));
        let noted = Noted::default().with("reason", reason).with("count", count).with("first_at", first).with("last_at", last);
        let noted = noted.with("reporter", reporter).whose(organisation.as_deref());
        let action = if reporter == BACKEND { "authentication:failed" } else { "authentication:denied" };
        write.note(&Principal::backend(address.as_deref().unwrap_or(MANY)), action, &subject, noted).await?;
    }
    Ok(write.commit().await?)
}

fn of_user(user: User) -> (String, Option<String>) {
    (user.id, user.organisation)
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
        assert_eq!(tallies.len(), TOLD_APART + 2, "so many addresses, the rest of them, and passwords of others");
        assert_eq!(tallies.values().map(|tally| tally.count).sum::<u64>(), 10_001);
        let of_rest = |reason: Reason| Who { address: None, reason: reason.name(), account: None, reporter: BACKEND.to_owned() };
        let rest = tallies[&of_rest(Reason::AdminKey)];
        assert_eq!((rest.count, rest.first, rest.last), (10_000 - 32 * 20, at(32), at(9_999)));
        assert!(tallies.contains_key(&of_rest(Reason::Password)));
    }

    #[test]
    fn a_node_tells_of_reasons_and_addresses_that_there_are() {
        let refused = |reason: &str, address: &str| Refused {
            reason: reason.to_owned(),
            address: Some(address.to_owned()),
            consumer: None,
            count: 1,
        };
        let who = Who::refused("n", &refused("invalid_key", "address:192.0.2.7/32")).unwrap();
        assert_eq!((who.reason, who.address.as_deref(), who.reporter.as_str()), ("invalid_key", Some("address:192.0.2.7/32"), "node:n"));
        assert_eq!(Who::refused("n", &refused("<script>", "address:192.0.2.7/32")), None);
        for address in ["consumer:acme", "address:~x", "192.0.2.7", ""] {
            assert_eq!(Who::refused("n", &refused("invalid_key", address)).unwrap().address, None, "{address}");
        }
    }
}
