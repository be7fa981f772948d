//! Owns what is to leave the house: it is written together with what causes it, and sent until it is taken. Must not know how it is sent.
//!
//! Each message has an id, by which a receiver tells a second copy: one is sent again whenever it is not known that it was taken.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::audit::noted::Noted;
use crate::clock::Time;
use crate::failure::Failure;
use crate::page::{Listing, Page};
use crate::permission::Principal;
use crate::secrets::{Secrets, random_id};
use crate::store::outbox as rows;
use crate::store::{Reader, Store, Write};

pub use crate::store::outbox::{Message, State};

/// What a message is sealed for.
pub(crate) const PURPOSE: &str = "message";
/// The kind of messages that are mail.
const MAIL: &str = "mail";
/// Attempts until a message is dead: with what lies between them some eight hours.
pub const MOST_ATTEMPTS: u32 = 12;
/// What lies between the first two attempts; then twice that, and so on.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
/// What lies between two attempts at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(2 * 3_600);
/// How long it is known that something was sent.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Messages that are tried in one go.
const MOST_AT_ONCE: u32 = 16;

/// A mail.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// To whom.
    pub to: String,
    /// About what.
    pub subject: String,
    /// What it says.
    pub text: String,
}

/// Which messages are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Those that stand so.
    pub state: Option<State>,
}

/// A message that is to be sent now.
#[derive(Debug)]
pub struct Due {
    message: Message,
    sealed: Vec<u8>,
}

/// Puts a mail into the outbox, to be sent at once; answers its id.
///
/// # Errors
/// [`Failure::Unavailable`].
pub(crate) async fn put(write: &mut Write, secrets: &Secrets, organisation: Option<&str>, mail: &Mail) -> Result<String, Failure> {
    let id = format!("msg_{}", random_id(24)?);
    let now = write.now();
    let message = Message {
        id,
        organisation: organisation.map(ToOwned::to_owned),
        kind: MAIL.to_owned(),
        state: State::Waiting,
        attempts: 0,
        error: None,
        due_at: now,
        created_at: now,
        updated_at: now,
    };
    let bytes = zeroize::Zeroizing::new(serde_json::to_vec(mail).map_err(|error| Failure::internal(&error))?);
    rows::insert(write, &message, &secrets.protect(PURPOSE, &message.id, &bytes)?).await?;
    Ok(message.id)
}

/// When the next message is due.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn next_due(store: &Store) -> Result<Option<Time>, Failure> {
    Ok(rows::next_due(&mut store.read().await?).await?)
}

/// Messages that are due, at most a few.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn due(store: &Store) -> Result<Vec<Due>, Failure> {
    let due = rows::due(&mut store.read().await?, store.now(), MOST_AT_ONCE).await?;
    Ok(due.into_iter().map(|row| Due { message: row.message, sealed: row.sealed }).collect())
}

/// Keeps what came of an attempt: `Err` with what went wrong, for operators.
///
/// # Errors
/// [`Failure::Unavailable`]: it is tried again, though it may have been taken.
pub async fn tried(write: &mut Write, due: Due, outcome: Result<(), String>) -> Result<State, Failure> {
    // It may have been taken away or tried by hand meanwhile.
    let Some(found) = rows::get(write, &due.message.id).await?.filter(|found| found.state == State::Waiting) else {
        return Ok(State::Sent);
    };
    let attempts = found.attempts.saturating_add(1);
    let (state, error) = match outcome {
        Ok(()) => (State::Sent, None),
        Err(error) if attempts >= MOST_ATTEMPTS => (State::Dead, Some(error)),
        Err(error) => (State::Waiting, Some(error)),
    };
    let due_at = write.now().after(pause(attempts, &found.id));
    let error = error.map(|error| error.chars().take(500).collect());
    rows::update(write, &Message { state, attempts, error, due_at, ..found }).await?;
    rows::forget_sent(write, write.now().before(KEPT)).await?;
    Ok(state)
}

/// The messages this principal may see.
///
/// # Errors
/// [`Failure::Invalid`] for a page that cannot be.
pub async fn list(store: &Store, principal: &Principal, filter: &Filter, page: &Page) -> Result<Listing<Message>, Failure> {
    let rows = rows::list(&mut store.read().await?, page.window()?, principal.organisation.as_deref(), filter.state).await?;
    page.of(rows, |row| row, |message: &Message| &message.id)
}

/// Tries a message anew, at once and as often as at first.
///
/// # Errors
/// [`Failure::NotFound`]; [`Failure::Conflict`] where it was sent.
pub async fn retry(write: &mut Write, principal: &Principal, id: &str) -> Result<Message, Failure> {
    let found = find(write, principal, id).await?;
    if found.state == State::Sent {
        return Err(Failure::conflict("state", "it was sent, and what was in it is no longer kept"));
    }
    let changed = Message { state: State::Waiting, attempts: 0, due_at: write.now(), ..found.clone() };
    rows::update(write, &changed).await?;
    write.note(principal, "outbox:retry", id, Noted::changed(&found, &changed)).await?;
    Ok(changed)
}

/// Takes a message away, sent or not.
///
/// # Errors
/// [`Failure::NotFound`].
pub async fn drop(write: &mut Write, principal: &Principal, id: &str) -> Result<(), Failure> {
    let found = find(write, principal, id).await?;
    rows::delete(write, id).await?;
    write.note(principal, "outbox:drop", id, Noted::ended(&found)).await?;
    Ok(())
}

async fn find(reader: &mut impl Reader, principal: &Principal, id: &str) -> Result<Message, Failure> {
    let reaches = |message: &Message| match (&principal.organisation, &message.organisation) {
        (None, _) => true,
        (Some(own), Some(organisation)) => own == organisation,
        (Some(_), None) => false,
    };
    rows::get(reader, id).await?.filter(reaches).ok_or(Failure::NotFound)
}

/// What lies between an attempt and the next. Messages that failed together come back apart: by up to a quarter, as their ids have it.
fn pause(attempts: u32, id: &str) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
    let share = id.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % 256;
    doubled + doubled * share / 1_024
}

impl Due {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.message.id
    }

    /// The mail that it is.
    ///
    /// # Errors
    /// [`Failure::Internal`] if it is none, or cannot be opened.
    pub fn mail(&self, secrets: &Secrets) -> Result<Mail, Failure> {
        let bytes = secrets.reveal(PURPOSE, &self.message.id, &self.sealed)?;
        serde_json::from_slice(&bytes).map_err(|_| Failure::Internal { private: "a message cannot be read".to_owned() })
    }
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What it says may sign somebody in.
        formatter.debug_struct("Mail").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_attempts_doubles_up_to_a_bound_and_differs() {
        let seconds = |attempts, id: &str| pause(attempts, id).as_secs();
        for attempts in 1..=MOST_ATTEMPTS {
            let least = (15 << (attempts - 1)).min(7_200);
            for id in ["msg_1", "msg_2", "another"] {
                assert!((least..=least + least / 4).contains(&seconds(attempts, id)), "{attempts}");
            }
        }
        assert_ne!(pause(5, "msg_1"), pause(5, "msg_2"));
        assert!(pause(u32::MAX, "msg_1") <= LONGEST_PAUSE.mul_f64(1.25));
        let all: u64 = (1..MOST_ATTEMPTS).map(|attempts| seconds(attempts, "msg_1")).sum();
        assert!((7 * 3_600..10 * 3_600).contains(&all), "{all}");
    }
}
