//! Owns what people do for themselves: taking an account, choosing a password, signing in with it. Must not tell whether an address is known.
//!
//! Nobody has a password before their address is proven: whoever registers an address that is not theirs has chosen nothing that would open
//! the account once its owner proves it. One word serves all: it is sent to the address, and whoever brings it back chooses a password, be
//! it the first one or another.

mod password;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq};
use tollgate_core::credential::digest;

use crate::audit::noted::Noted;
use crate::failure::{Failure, Problems};
use crate::organisations;
use crate::outbox::{self, Mail};
use crate::permission::{Principal, Role};
use crate::secrets::{Secrets, Shown, random_word};
use crate::sessions::{self, Begun};
use crate::store::users as rows;
use crate::store::{Store, Write};
use crate::users::{self, User, email_key};

/// How long the word lasts that somebody has asked for: an hour.
pub const WORD_LASTS: Duration = Duration::from_secs(3_600);
/// How long that of an invitation lasts: a week.
pub const INVITATION_LASTS: Duration = Duration::from_secs(7 * 86_400);

/// Who asks for an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// What they are called: 1 to 128 characters.
    pub name: String,
    /// Where they can be written to.
    #[schema(examples("user@example.com"))]
    pub email: String,
}

/// Who has forgotten a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Forgotten {
    /// Where they can be written to.
    pub email: String,
}

/// A password, chosen by whoever reads what is sent to the address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// The word that was sent.
    #[schema(value_type = String)]
    pub token: Shown,
    /// The password: 12 to 128 characters.
    #[schema(value_type = String)]
    pub password: Shown,
}

/// Another password, chosen by whoever knows the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Changed {
    /// The password until now.
    #[schema(value_type = String)]
    pub current: Shown,
    /// The password from now on: 12 to 128 characters.
    #[schema(value_type = String)]
    pub password: Shown,
}

/// Who signs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Their address.
    pub email: String,
    /// Their password.
    #[schema(value_type = String)]
    pub password: Shown,
}

/// What an account that somebody takes for themselves is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The tier of its consumer.
    pub tier: String,
    /// Where people find this backend.
    pub public_url: String,
}

/// Gives an account to whoever asks, once they prove their address; writes to whoever has it already.
///
/// # Errors
/// [`Failure::Invalid`]; otherwise nothing that depends on whether the address is known.
pub async fn register(store: &Store, secrets: &Secrets, terms: &Terms, new: Registration) -> Result<(), Failure> {
    let mut write = store.begin().await?;
    match rows::by_email(&mut write, &email_key(&new.email)).await?.map(|found| found.user) {
        Some(user) if user.verified => {
            let text = format!(
                "Hello {},\n\nsomebody asked for an account with this address, and there is one. Sign in at {}; if you have forgotten your \
                 password, ask for another there.\n\nIf that was not you, nothing has happened.\n",
                user.name, terms.public_url
            );
            tell(&mut write, secrets, &user, "You have an account", text).await?;
        }
        // Whoever asked last is as likely the owner as whoever asked first, and neither has anything before the address is proven.
        Some(user) => {
            let user = User { name: new.name, updated_at: write.now(), ..user };
            rows::update(&mut write, &user).await?;
            send_word(&mut write, secrets, &terms.public_url, &user, Occasion::Registered).await?;
        }
        None => {
            let now = write.now();
            let user = User {
                id: users::user_id()?,
                name: new.name,
                email: Some(new.email),
                role: Role::Developer,
                organisation: Some(organisations::DEFAULT.to_owned()),
                consumer: None,
                verified: false,
                disabled: false,
                version: 1,
                created_at: now,
                updated_at: now,
            };
            users::add(&mut write, &user, None).await?;
            send_word(&mut write, secrets, &terms.public_url, &user, Occasion::Registered).await?;
            let noted = users::told(Noted::made(&user), &user.id);
            write.note(&Principal::backend("registration"), "users:create", &user.id, noted).await?;
        }
    }
    Ok(write.commit().await?)
}

/// What is wrong with a registration, before anything is looked up.
///
/// # Errors
/// [`Failure::Invalid`].
pub fn check(new: &Registration) -> Result<(), Failure> {
    let mut problems = Problems::default();
    problems.name("name", &new.name);
    problems.email("email", &new.email);
    problems.finish()
}

/// What is wrong with an address that somebody has forgotten the password of.
///
/// # Errors
/// [`Failure::Invalid`].
pub fn check_forgotten(forgotten: &Forgotten) -> Result<(), Failure> {
    let mut problems = Problems::default();
    problems.email("email", &forgotten.email);
    problems.finish()
}

/// Sends a word to an address, if it is somebody's, to choose another password with.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn forgotten(store: &Store, secrets: &Secrets, terms: &Terms, email: &str) -> Result<(), Failure> {
    let mut write = store.begin().await?;
    if let Some(found) = rows::by_email(&mut write, &email_key(email)).await?.filter(|found| !found.user.disabled) {
        send_word(&mut write, secrets, &terms.public_url, &found.user, Occasion::Forgotten).await?;
        write.record(&Principal::backend("registration"), "passwords:forgotten", &found.user.id).await?;
    }
    Ok(write.commit().await?)
}

/// Sends a word to somebody for whom an account was made.
pub(crate) async fn invite(write: &mut Write, secrets: &Secrets, public_url: &str, user: &User) -> Result<(), Failure> {
    send_word(write, secrets, public_url, user, Occasion::Invited).await
}

/// Sets a password for whoever brings back the word that was sent to their address; all their sessions end.
///
/// # Errors
/// [`Failure::Invalid`], for a word that is not good as for a password that cannot be one.
pub async fn choose(store: &Store, secrets: &Secrets, terms: &Terms, chosen: &Chosen) -> Result<(), Failure> {
    let mut problems = Problems::default();
    password::judge(&mut problems, "password", chosen.password.expose());
    problems.finish()?;
    // Before the transaction: it takes long.
    let hash = secrets.hash_password(chosen.password.expose()).await?;
    let wrong = || Failure::invalid("token", "not the newest word that was sent, used before, or over: ask for another");
    let mut write = store.begin().await?;
    let id = rows::take_proof(&mut write, &digest(chosen.token.expose().as_bytes())).await?.ok_or_else(wrong)?;
    let user = rows::get(&mut write, &id).await?.filter(|found| !found.user.disabled).ok_or_else(wrong)?.user;
    if password::is_of(chosen.password.expose(), &user) {
        return Err(Failure::invalid("password", password::OBVIOUS));
    }
    let consumer = match &user.consumer {
        None if user.role == Role::Developer => {
            let (by, who) = (Principal::backend("registration"), (user.name.as_str(), user.email.as_deref()));
            Some(users::give_consumer(&mut write, &by, user.organisation.as_deref(), who, &terms.tier).await?)
        }
        consumer => consumer.clone(),
    };
    let version = user.version + u32::from(!user.verified);
    let user = User { verified: true, consumer, version, updated_at: write.now(), ..user };
    rows::update(&mut write, &user).await?;
    rows::set_password(&mut write, &id, &hash).await?;
    sessions::end_all(&mut write, &id).await?;
    let itself = users::principal_of(&user).ok_or_else(wrong)?;
    write.record(&itself, "passwords:set", &id).await?;
    Ok(write.commit().await?)
}

/// What is wrong with another password, before anybody is looked up.
///
/// # Errors
/// [`Failure::Invalid`].
pub fn check_changed(changed: &Changed) -> Result<(), Failure> {
    let mut problems = Problems::default();
    problems.check(password::may_be(changed.current.expose()), "current", "at most 128 characters");
    password::judge(&mut problems, "password", changed.password.expose());
    problems.finish()
}

/// Sets another password for a user who knows theirs; their other sessions end.
///
/// # Errors
/// [`Failure::Conflict`] to principals who are no users; [`Failure::Invalid`], for the password until now as for the one from now on.
pub async fn change(store: &Store, secrets: &Secrets, principal: &Principal, changed: &Changed) -> Result<(), Failure> {
    let id = users::id_of(principal)?;
    let found = rows::get(&mut store.read().await?, id).await?.ok_or(Failure::NotFound)?;
    let wrong = || Failure::invalid("current", "not your password");
    let kept = found.password().ok_or_else(wrong)?;
    if !secrets.matches_password(&kept, changed.current.expose()).await? {
        return Err(wrong());
    }
    if password::is_of(changed.password.expose(), &found.user) {
        return Err(Failure::invalid("password", password::OBVIOUS));
    }
    let hash = secrets.hash_password(changed.password.expose()).await?;
    let mut write = store.begin().await?;
    // Another change may have come between.
    let unchanged = rows::get(&mut write, id).await?.is_some_and(|now| now.password().as_ref() == Some(&kept));
    if !unchanged || !users::still_stands(&mut write, principal).await? {
        return Err(wrong());
    }
    rows::set_password(&mut write, id, &hash).await?;
    rows::drop_proofs(&mut write, id).await?;
    sessions::end_others(&mut write, id, principal.session.as_deref()).await?;
    write.record(principal, "passwords:set", id).await?;
    Ok(write.commit().await?)
}

/// What is wrong with a login, before anything is looked up.
///
/// # Errors
/// [`Failure::Invalid`].
pub fn check_login(login: &Login) -> Result<(), Failure> {
    let mut problems = Problems::default();
    problems.check((1..=254).contains(&login.email.len()), "email", "1 to 254 bytes");
    problems.check(password::may_be(login.password.expose()), "password", "at most 128 characters");
    problems.finish()
}

/// Begins a session for whoever knows the password of an address; `None`: nobody that may sign in. It takes as long whether or not there is such
/// a user.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn login(store: &Store, secrets: &Secrets, login: &Login, agent: &str) -> Result<Option<Begun>, Failure> {
    let found = rows::by_email(&mut store.read().await?, &email_key(&login.email)).await?;
    let kept = found.as_ref().and_then(rows::Stored::password);
    let compared = match &kept {
        Some(kept) => kept.clone(),
        None => secrets.nobodys_password()?,
    };
    let right = secrets.matches_password(&compared, login.password.expose()).await?;
    let (Some(found), Some(kept), true) = (found, kept, right) else {
        return Ok(None);
    };
    if users::principal_of(&found.user).is_none() {
        return Ok(None);
    }
    let renewed = if secrets.is_newest(&kept)? { None } else { Some(secrets.hash_password(login.password.expose()).await?) };
    let mut write = store.begin().await?;
    // What was true before the password was compared need not be any longer.
    let now = rows::get(&mut write, &found.user.id).await?.filter(|now| now.password().as_ref() == Some(&kept));
    let Some((user, itself)) = now.and_then(|now| users::principal_of(&now.user).map(|principal| (now.user, principal))) else {
        return Ok(None);
    };
    if let Some(renewed) = renewed {
        rows::set_password(&mut write, &user.id, &renewed).await?;
    }
    let begun = sessions::begin(&mut write, user, agent).await?;
    write.record(&itself, "sessions:begin", &begun.session.id).await?;
    write.commit().await?;
    Ok(Some(begun))
}

/// Why a word is sent.
#[derive(Clone, Copy)]
enum Occasion {
    Registered,
    Invited,
    Forgotten,
}

async fn send_word(write: &mut Write, secrets: &Secrets, public_url: &str, user: &User, occasion: Occasion) -> Result<(), Failure> {
    let word = random_word()?;
    let (subject, why, lasts, within) = match occasion {
        Occasion::Registered => ("Confirm your address", "you asked for an account with this address.", WORD_LASTS, "an hour"),
        Occasion::Invited => ("You are invited", "an account was made for you.", INVITATION_LASTS, "a week"),
        Occasion::Forgotten => ("Choose another password", "you asked to choose another password.", WORD_LASTS, "an hour"),
    };
    rows::add_proof(write, &digest(word.as_bytes()), &user.id, write.now().after(lasts)).await?;
    // Behind `#` a word reaches no server and no log when the page is opened, and whoever opens links beforehand uses nothing up.
    let text = format!(
        "Hello {},\n\n{why} Choose a password within {within}:\n\n{public_url}/password#{}\n\nIf that was not you, do nothing.\n",
        user.name,
        word.as_str()
    );
    tell(write, secrets, user, subject, text).await
}

async fn tell(write: &mut Write, secrets: &Secrets, user: &User, subject: &str, text: String) -> Result<(), Failure> {
    if let Some(to) = user.email.clone() {
        let mail = Mail { to, subject: subject.to_owned(), text };
        outbox::put(write, secrets, user.organisation.as_deref(), &mail).await?;
    }
    Ok(())
}

/// What a browser keeps after somebody has signed in with it, so that nobody can lock them out of it by guessing at their password from
/// elsewhere: a random name, and a tag that says whose browser it is.
///
/// # Errors
/// [`Failure::Unavailable`].
pub fn device(secrets: &Secrets, email: &str) -> Result<String, Failure> {
    let name = random_word()?;
    Ok(device_tags(secrets, email, &name).next().map_or_else(String::new, |tag| format!("{}.{tag}", name.as_str())))
}

/// Whether a browser was used to sign in with this address before; if so, what it is called.
#[must_use]
pub fn known_device<'a>(secrets: &Secrets, email: &str, given: &'a str) -> Option<&'a str> {
    let (name, tag) = given.split_once('.')?;
    let known = device_tags(secrets, email, name).fold(Choice::from(0), |any, own| any | own.as_bytes().ct_eq(tag.as_bytes()));
    bool::from(known).then_some(name)
}

fn device_tags(secrets: &Secrets, email: &str, name: &str) -> impl Iterator<Item = String> {
    secrets.names("device 1", &[email_key(email).as_bytes(), name.as_bytes()]).into_iter().map(|tag| URL_SAFE_NO_PAD.encode(tag))
}
