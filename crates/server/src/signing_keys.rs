//! Owns the keys that access tokens are signed with: which one signs when, which are published, and how one takes another's place. Must not
//! know what is signed.
//!
//! A key is published a while before it signs and until the last token that it signed has ended. So whoever verifies tokens knows each key in
//! time, however long it remembers the set. With `HS256` there is nothing to publish: the secret is one of the backend's own
//! (`secrets/signing.N`), and nodes have it by their configuration.

mod pair;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Time;
use crate::failure::{Failure, Problems};
use crate::page::{Listing, Page};
use crate::permission::Principal;
use crate::secrets::{Secrets, random_id};
use crate::store::signing_keys::{self as rows, Row};
use crate::store::{Store, Write};

pub(crate) use pair::Pair;
pub use pair::SigningAlgorithm;

/// What a private key is sealed for.
pub(crate) const PURPOSE: &str = "signing key";
/// How long before it signs a key is published: longer than sets of keys are remembered.
pub const LEAD: Duration = Duration::from_secs(86_400);
/// By how much clocks of those who verify may differ.
pub const LEEWAY: Duration = Duration::from_secs(300);

/// How tokens are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// The algorithm of new keys.
    pub algorithm: SigningAlgorithm,
    /// How long a key signs.
    pub key_life: Duration,
    /// How long a token lasts at most.
    pub token_life: Duration,
}

/// What a key does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SigningKeyState {
    /// It is published and will sign.
    Next,
    /// It signs.
    Signing,
    /// It signs no longer; tokens that it signed pass.
    Retired,
}

/// A key that signs access tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SigningKey {
    /// Its id: `kid` of its tokens.
    pub id: String,
    /// Its algorithm.
    pub algorithm: String,
    /// What it does now.
    pub state: SigningKeyState,
    /// When it was made and published.
    pub created_at: Time,
    /// When it begins to sign, or began.
    pub begins_at: Time,
    /// When it is forgotten, once another has taken its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Time>,
}

/// When another key is to sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSigningKey {
    /// Seconds from now, 0 to 2,592,000 (30 days). Default: 0, at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins_in_seconds: Option<u32>,
}

/// The longest until a key begins, in seconds: 30 days.
const LONGEST_UNTIL: u32 = 30 * 86_400;

/// The key that signs, as it was last read: to open an RSA key takes longer than to sign with it.
#[derive(Debug, Default)]
pub struct Signer(Mutex<Option<(String, Arc<Pair>)>>);

/// All keys there are, those first that begin first.
///
/// # Errors
/// [`Failure::Invalid`] for a page that cannot be.
pub async fn list(store: &Store, page: &Page) -> Result<Listing<SigningKey>, Failure> {
    let window = page.window()?;
    let rows = rows::all(&mut store.read().await?).await?;
    let now = store.now();
    let signing = signing(&rows, None, now).map(|row| row.id.clone());
    let skipped = window.after.map(|after| rows.iter().position(|row| row.id == after));
    let begin = match skipped {
        None => Some(0),
        Some(position) => position.map(|position| position + 1),
    };
    let rows = begin.map(|begin| rows.into_iter().skip(begin).take(window.size as usize).collect());
    page.of(rows, |row| SigningKey::of(row, signing.as_deref(), now), |key: &SigningKey| &key.id)
}

/// The set of public keys (RFC 7517).
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn published(store: &Store) -> Result<Value, Failure> {
    let rows = rows::all(&mut store.read().await?).await?;
    let now = store.now();
    let keys: Vec<Value> = rows.into_iter().filter(|row| row.ends_at.is_none_or(|ends_at| ends_at > now)).map(|row| row.public).collect();
    Ok(json!({"keys": keys}))
}

/// Makes another key that takes the place of the one that signs.
///
/// # Errors
/// [`Failure::Invalid`]; [`Failure::Conflict`] with `HS256`, whose secrets are files.
pub async fn rotate(
    write: &mut Write,
    secrets: &Secrets,
    signing: &Signing,
    principal: &Principal,
    asked: RotateSigningKey,
) -> Result<SigningKey, Failure> {
    principal.unbound()?;
    if signing.algorithm == SigningAlgorithm::Hs256 {
        return Err(Failure::conflict("algorithm", "HS256 signs with secrets/signing.N: add one of the next number"));
    }
    let seconds = asked.begins_in_seconds.unwrap_or(0);
    let mut problems = Problems::default();
    problems.check(seconds <= LONGEST_UNTIL, "begins_in_seconds", format!("{seconds}; 0 to {LONGEST_UNTIL}"));
    problems.finish()?;
    let now = write.now();
    let begins_at = now.after(Duration::from_secs(u64::from(seconds)));
    // What was to sign later never does.
    for row in rows::all(write).await?.iter().filter(|row| row.begins_at > now) {
        rows::delete(write, &row.id).await?;
    }
    let made = make(write, secrets, signing, begins_at).await?;
    let key = SigningKey::of(made, None, write.now());
    write.record(principal, "signing_keys:rotate", &key.id).await?;
    Ok(SigningKey { state: if seconds == 0 { SigningKeyState::Signing } else { SigningKeyState::Next }, ..key })
}

/// Forgets a key at once: its tokens pass no longer once nodes have fetched the keys anew. If it signs, another takes its place.
///
/// # Errors
/// [`Failure::NotFound`].
pub async fn revoke(write: &mut Write, secrets: &Secrets, signing: &Signing, principal: &Principal, id: &str) -> Result<(), Failure> {
    principal.unbound()?;
    let all = rows::all(write).await?;
    all.iter().find(|row| row.id == id).ok_or(Failure::NotFound)?;
    rows::delete(write, id).await?;
    let others: Vec<Row> = all.into_iter().filter(|row| row.id != id).collect();
    if self::signing(&others, Some(signing.algorithm), write.now()).is_none() && signing.algorithm != SigningAlgorithm::Hs256 {
        make(write, secrets, signing, write.now()).await?;
    }
    write.record(principal, "signing_keys:revoke", id).await?;
    Ok(())
}

/// Makes the keys that are due, and forgets those that have ended. To be called at the start and then from time to time.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn upkeep(store: &Store, secrets: &Secrets, signing: &Signing) -> Result<(), Failure> {
    let rows = rows::all(&mut store.read().await?).await?;
    if due(&rows, signing, store.now()).is_none() && !rows.iter().any(|row| is_over(row, store.now()) || lacks_end(row, &rows, store.now()))
    {
        return Ok(());
    }
    let mut write = store.begin().await?;
    let rows = rows::all(&mut write).await?;
    let now = write.now();
    for row in rows.iter().filter(|row| is_over(row, now)) {
        rows::delete(&mut write, &row.id).await?;
    }
    end_those_replaced(&mut write, signing).await?;
    if let Some(begins_at) = due(&rows, signing, now) {
        let made = make(&mut write, secrets, signing, begins_at).await?;
        write.record(&Principal::backend("schedule"), "signing_keys:rotate", &made.id).await?;
    }
    Ok(write.commit().await?)
}

impl Signer {
    /// The key that signs now.
    pub(crate) async fn current(&self, store: &Store, secrets: &Secrets, signing: &Signing) -> Result<Arc<Pair>, Failure> {
        let none = || Failure::Unavailable { private: "there is no key to sign tokens with".to_owned() };
        if signing.algorithm == SigningAlgorithm::Hs256 {
            let (version, secret) = secrets.signing_secret().ok_or_else(none)?;
            return Pair::read(SigningAlgorithm::Hs256, secret.expose(), &name_of_secret(version)).map(Arc::new);
        }
        let rows = rows::all(&mut store.read().await?).await?;
        let row = self::signing(&rows, Some(signing.algorithm), store.now()).ok_or_else(none)?;
        if let Some((id, pair)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref()
            && *id == row.id
        {
            return Ok(Arc::clone(pair));
        }
        let pair = Arc::new(Pair::read(signing.algorithm, &secrets.reveal(PURPOSE, &row.id, &row.sealed)?, &row.id)?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((row.id.clone(), Arc::clone(&pair)));
        Ok(pair)
    }
}

/// `kid` of tokens that are signed with a secret of the backend's.
pub(crate) fn name_of_secret(version: u32) -> String {
    format!("hs256-{version}")
}

/// The key that signs: of an algorithm, or of any. Where the clock was set back to before the first began, that one does.
fn signing(rows: &[Row], algorithm: Option<SigningAlgorithm>, now: Time) -> Option<&Row> {
    let fits = |row: &&Row| algorithm.is_none_or(|algorithm| algorithm.name() == row.algorithm) && !is_over(row, now);
    let begun = rows.iter().rev().filter(fits).find(|row| row.begins_at <= now);
    begun.or_else(|| rows.iter().find(fits))
}

fn is_over(row: &Row, now: Time) -> bool {
    row.ends_at.is_some_and(|ends_at| ends_at <= now)
}

/// Whether another signs in its place and it is not known yet when it ends.
fn lacks_end(row: &Row, rows: &[Row], now: Time) -> bool {
    row.ends_at.is_none() && signing(rows, None, now).is_some_and(|signing| signing.id != row.id && row.begins_at <= signing.begins_at)
}

/// When another key is to begin, if one must be made now.
fn due(rows: &[Row], settings: &Signing, now: Time) -> Option<Time> {
    if settings.algorithm == SigningAlgorithm::Hs256 {
        return None;
    }
    let newest = rows.iter().rev().find(|row| row.algorithm == settings.algorithm.name() && !is_over(row, now));
    match newest {
        // Another algorithm may have signed since: its turn begins anew.
        Some(newest) if lacks_end(newest, rows, now) || newest.ends_at.is_some() => Some(now),
        Some(newest) => {
            let ends = newest.begins_at.after(settings.key_life);
            (now >= ends.before(LEAD.min(settings.key_life / 2))).then(|| ends.max(now))
        }
        None => Some(now),
    }
}

/// Sets the end of keys in whose place another signs: when the last token that they signed has ended.
async fn end_those_replaced(write: &mut Write, signing: &Signing) -> Result<(), Failure> {
    let (rows, now) = (rows::all(write).await?, write.now());
    for row in rows.iter().filter(|row| lacks_end(row, &rows, now)) {
        rows::end(write, &row.id, now.after(signing.token_life + LEEWAY)).await?;
    }
    Ok(())
}

async fn make(write: &mut Write, secrets: &Secrets, signing: &Signing, begins_at: Time) -> Result<Row, Failure> {
    let id = random_id(16)?;
    let pair = Pair::generate(signing.algorithm).await?;
    let public = pair.public(&id)?.ok_or_else(|| Failure::Internal { private: "a key without a public part".to_owned() })?;
    let sealed = secrets.protect(PURPOSE, &id, &pair.bytes()?)?;
    let algorithm = signing.algorithm.name().to_owned();
    let row = Row { id, algorithm, public, sealed, created_at: write.now(), begins_at, ends_at: None };
    rows::insert(write, &row).await?;
    end_those_replaced(write, signing).await?;
    Ok(row)
}

impl SigningKey {
    fn of(row: Row, signing: Option<&str>, now: Time) -> Self {
        let state = match () {
            () if signing == Some(row.id.as_str()) => SigningKeyState::Signing,
            () if row.begins_at > now => SigningKeyState::Next,
            () => SigningKeyState::Retired,
        };
        let Row { id, algorithm, created_at, begins_at, ends_at, .. } = row;
        Self { id, algorithm, state, created_at, begins_at, ends_at }
    }
}
