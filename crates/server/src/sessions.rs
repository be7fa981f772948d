//! Owns sessions: that a browser is a user's, from sign-in to sign-out. Must not know how somebody signed in, nor what a cookie is.
//!
//! A session is a random word that the browser has and of which the store has the digest: it has 256 bits, so nobody guesses it or finds it by
//! its digest. It is made when somebody signs in, never taken from the browser.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::{Choice, ConstantTimeEq};
use tollgate_core::credential::digest;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::page::{Listing, Page};
use crate::permission::Principal;
use crate::secrets::{Secrets, Shown, random_id, random_word};
use crate::store::sessions as rows;
use crate::store::{self, Reader, Store, Write};
use crate::users::{self, User};

pub use crate::store::sessions::Session;

/// How long a session lasts: a week.
pub const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// How long it lasts without being used: a working day.
pub const LONGEST_IDLE: Duration = Duration::from_secs(12 * 3_600);
/// How exactly it is kept when it was last used: each time is a write.
const SEEN_EVERY: Duration = Duration::from_secs(300);
/// Sessions that one user has at once: more browsers than anybody has.
const MOST: u32 = 20;
/// Characters of what a browser calls itself that are kept.
const LONGEST_AGENT: usize = 200;

/// A session just begun.
#[derive(Debug)]
pub struct Begun {
    /// What is known of it.
    pub session: Session,
    /// Whose it is.
    pub user: User,
    /// The word for the browser's cookie.
    pub word: Shown,
}

/// Begins a session of a user who has just proven who they are. `agent` is what the browser calls itself.
///
/// # Errors
/// [`Failure::Unavailable`].
pub(crate) async fn begin(write: &mut Write, user: User, agent: &str) -> Result<Begun, Failure> {
    let word = random_word()?;
    let now = write.now();
    let agent = agent.chars().filter(|character| !character.is_control()).take(LONGEST_AGENT).collect();
    let session = Session {
        id: format!("ses_{}", random_id(16)?),
        user: user.id.clone(),
        agent,
        created_at: now,
        seen_at: now,
        ends_at: now.after(LONGEST),
    };
    rows::insert(write, &session, &digest(word.as_bytes()), MOST).await?;
    Ok(Begun { session, user, word: Shown::new(word) })
}

/// Whose browser presents a word; `None`: nobody's that may pass.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn authenticate(store: &Store, word: &str) -> Result<Option<Principal>, Failure> {
    let mut read = store.read().await?;
    let Some(session) = rows::by_hash(&mut read, &digest(word.as_bytes())).await?.filter(|session| lasts(store, session)) else {
        return Ok(None);
    };
    let user = store::users::get(&mut read, &session.user).await?;
    drop(read);
    let Some(principal) = user.and_then(|found| users::principal_of(&found.user)) else {
        return Ok(None);
    };
    if store.now().since(session.seen_at) >= SEEN_EVERY {
        let mut write = store.begin().await?;
        rows::seen(&mut write, &session.id).await?;
        write.commit().await?;
    }
    Ok(Some(Principal { session: Some(session.id), ..principal }))
}

/// Whether a session that was authenticated before goes on.
pub(crate) async fn still_stands(reader: &mut impl Reader, session: &str) -> Result<bool, Failure> {
    Ok(rows::by_id(reader, session).await?.is_some())
}

/// A user themselves, and the session they ask in.
///
/// # Errors
/// [`Failure::Conflict`] to principals who are no users; [`Failure::NotFound`] if it has ended meanwhile.
pub async fn own(store: &Store, principal: &Principal) -> Result<(User, Session), Failure> {
    let (id, mut read) = (users::id_of(principal)?, store.read().await?);
    let session = rows::by_id(&mut read, principal.session.as_deref().unwrap_or_default()).await?.ok_or(Failure::NotFound)?;
    let user = store::users::get(&mut read, id).await?.ok_or(Failure::NotFound)?.user;
    Ok((user, session))
}

/// The sessions of a user themselves.
///
/// # Errors
/// [`Failure::Conflict`] to principals who are no users; [`Failure::Invalid`] for a page that cannot be.
pub async fn list(store: &Store, principal: &Principal, page: &Page) -> Result<Listing<Session>, Failure> {
    let rows = rows::list(&mut store.read().await?, page.window()?, users::id_of(principal)?).await?;
    page.of(rows, |row| row, |session: &Session| &session.id)
}

/// Ends a session of a user themselves.
///
/// # Errors
/// [`Failure::Conflict`] to principals who are no users; [`Failure::NotFound`].
pub async fn end(write: &mut Write, principal: &Principal, id: &str) -> Result<(), Failure> {
    if !rows::end(write, users::id_of(principal)?, id).await? {
        return Err(Failure::NotFound);
    }
    write.record(principal, "sessions:end", id).await?;
    Ok(())
}

/// Ends all sessions of a user.
pub(crate) async fn end_all(write: &mut Write, user: &str) -> Result<(), Failure> {
    Ok(rows::end_all(write, user, None).await?)
}

/// Ends the other sessions of a user.
pub(crate) async fn end_others(write: &mut Write, user: &str, session: Option<&str>) -> Result<(), Failure> {
    Ok(rows::end_all(write, user, session).await?)
}

/// What a page must send beside the cookie when it changes something: a page of another site can have the cookie sent, and cannot read this.
#[must_use]
pub fn csrf_token(secrets: &Secrets, word: &str) -> String {
    csrf_tokens(secrets, word).next().unwrap_or_default()
}

/// Whether that is what a page has sent.
#[must_use]
pub fn is_csrf_token(secrets: &Secrets, word: &str, given: &str) -> bool {
    csrf_tokens(secrets, word).fold(Choice::from(0), |any, token| any | token.as_bytes().ct_eq(given.as_bytes())).into()
}

fn csrf_tokens(secrets: &Secrets, word: &str) -> impl Iterator<Item = String> {
    secrets.names("csrf token 1", &[word.as_bytes()]).into_iter().map(|name| URL_SAFE_NO_PAD.encode(Zeroizing::new(name).as_slice()))
}

fn lasts(store: &Store, session: &Session) -> bool {
    let now = store.now();
    now < session.ends_at && now < session.seen_at.after(LONGEST_IDLE)
}
