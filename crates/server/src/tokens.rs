//! Owns access tokens and what renews them: who gets one, for how long, and how they end. Must not know HTTP, nor how keys sign.
//!
//! A client of the token service (RFC 6749) is an API key: `client_id` is its id and `client_secret` the key. Every token is bound to the key it
//! came from and ends with it; scopes, roles and address rules are the key's. A key that is exchanged (RFC 8693) also begins a family of
//! refresh tokens, of which one at a time is good.
//!
//! No refresh token is kept. Each is made from the family's seed, which is in the store, and its number, under a secret that is not; so whether
//! one is genuine is known without it, and one that is genuine and used up betrays that two have it.

mod ending;
mod introspection;
mod refresh;
mod terms;

use std::collections::BTreeSet;

use serde::Serialize;
use tollgate_core::credential::digest;

use crate::failure::Failure;
use crate::permission::{Principal, Role};
use crate::resolve::{holder, usable};
use crate::secrets::{Purpose, Secrets, Shown, random_bytes, random_id};
use crate::store::families::{self as rows, Row};
use crate::store::resolve::Usable;
use crate::store::{self, Store, StoreError, Write};

use ending::end;
pub(crate) use ending::told;
pub use ending::{Family, FamilyFilter, MOST_REVOKED, MOST_REVOKED_IN_ALL, families, revocations, revoke, revoke_family, sweep};
pub use introspection::{Asker, Introspection, introspect};
pub use refresh::{GRACE, family_of};
pub use terms::Terms;

/// Families of one key that are alive: with one more the oldest ends. A client that begins a new one each time fills no disk.
pub const MOST_FAMILIES: usize = 100;
/// Why there is no token (RFC 6749, section 5.2).
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The client is unknown, or its key has ended.
    #[error("the client is unknown, or its key has ended")]
    InvalidClient,
    /// What is to be traded is unknown, used up, or has ended.
    #[error("what was given is unknown, used up, or has ended")]
    InvalidGrant,
    /// A scope that the key, or the token to be renewed, has not.
    #[error("`{0}` is a scope that is not to be had with this credential")]
    InvalidScope(String),
    /// Another target than ours.
    #[error("tokens are for `{0}` alone")]
    InvalidTarget(String),
    /// Something else.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        Self::Failure(error.into())
    }
}

/// What is given to a client (RFC 6749, section 5.1; RFC 8693, section 2.2.1).
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Granted {
    /// The access token: a JWT (RFC 9068).
    #[schema(value_type = String)]
    pub access_token: Shown,
    /// Always `Bearer`.
    #[schema(examples("Bearer"))]
    pub token_type: &'static str,
    /// In how many seconds the access token ends.
    pub expires_in: u64,
    /// The scopes of the access token, with spaces between them.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    pub scope: String,
    /// What renews it; not with client credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub refresh_token: Option<Shown>,
    /// `urn:ietf:params:oauth:token-type:access_token`, for a key that was exchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<&'static str>,
}

/// Who asks, by an API key.
///
/// # Errors
/// [`TokenError::InvalidClient`].
pub async fn client(store: &Store, secrets: &Secrets, key: &str) -> Result<Client, TokenError> {
    let id = secrets.recognise(Purpose::Api, key).map(ToOwned::to_owned);
    let (_, found) = holder(store, secrets, id.as_deref(), &digest(key.as_bytes())).await?;
    found.map(Client).ok_or(TokenError::InvalidClient)
}

/// A client: an API key that may pass.
#[derive(Debug)]
pub struct Client(Box<Usable>);

impl Client {
    /// The id of its key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }
}

/// An access token for a client itself (RFC 6749, section 4.4). `scope`: those asked for, with spaces between them; none: all.
///
/// # Errors
/// [`TokenError`].
pub async fn of_client(
    store: &Store,
    secrets: &Secrets,
    terms: &Terms,
    client: &Client,
    scope: Option<&str>,
) -> Result<Granted, TokenError> {
    let scopes = narrowed(&client.0.scopes, scope)?;
    let mut write = store.begin().await?;
    let principal = principal(&mut write, &client.0.id, TokenError::InvalidClient).await?;
    write.record(&principal, "tokens:issue", &client.0.id).await?;
    let granted = terms.access_token(store, secrets, &client.0, &scopes, None).await?;
    write.commit().await?;
    Ok(granted)
}

/// An access token and what renews it, for an API key (RFC 8693).
///
/// # Errors
/// [`TokenError`].
pub async fn of_key(store: &Store, secrets: &Secrets, terms: &Terms, key: &Client, scope: Option<&str>) -> Result<Granted, TokenError> {
    let scopes = narrowed(&key.0.scopes, scope)?;
    let mut write = store.begin().await?;
    let principal = principal(&mut write, &key.0.id, TokenError::InvalidGrant).await?;
    let alive = rows::alive(&mut write, &key.0.id).await?;
    for oldest in alive.iter().take((alive.len() + 1).saturating_sub(MOST_FAMILIES)) {
        rows::revoke(&mut write, oldest, false).await?;
    }
    let now = write.now();
    let family = Row {
        id: random_id(16)?,
        organisation: principal.organisation.clone().unwrap_or_default(),
        consumer: key.0.consumer.clone(),
        credential: key.0.id.clone(),
        scopes: scopes.clone(),
        seed: random_bytes()?.to_vec(),
        number: 0,
        moved_at: now,
        created_at: now,
        ends_at: now.after(terms.family_life),
        revoked_at: None,
        reused: false,
    };
    rows::insert(&mut write, &family).await?;
    write.record(&principal, "tokens:exchange", &family.id).await?;
    let granted = terms.access_token(store, secrets, &key.0, &scopes, Some(&family.id)).await?;
    write.commit().await?;
    let issued_token_type = Some("urn:ietf:params:oauth:token-type:access_token");
    Ok(Granted { refresh_token: Some(refresh::token(secrets, &family)?), issued_token_type, ..granted })
}

/// Another access token for a refresh token, and the refresh token that takes its place (RFC 6749, section 6). A token that is used up revokes
/// its family, but within [`GRACE`], where the answer may have been lost, it brings the same successor again.
///
/// # Errors
/// [`TokenError`].
pub async fn renewed(
    store: &Store,
    secrets: &Secrets,
    terms: &Terms,
    client: Option<&Client>,
    token: &str,
    scope: Option<&str>,
) -> Result<Granted, TokenError> {
    let presented = refresh::Presented::read(token).ok_or(TokenError::InvalidGrant)?;
    let mut write = store.begin().await?;
    let found = rows::get(&mut write, presented.family).await?;
    let mut family = found.filter(|family| presented.is_of(secrets, family)).ok_or(TokenError::InvalidGrant)?;
    let now = write.now();
    if family.revoked_at.is_some() || family.ends_at <= now || client.is_some_and(|client| client.0.id != family.credential) {
        return Err(TokenError::InvalidGrant);
    }
    match presented.judge(&family, now) {
        refresh::Judged::Good => {
            family.number = family.number.checked_add(1).ok_or(TokenError::InvalidGrant)?;
            rows::advance(&mut write, &family.id, family.number).await?;
        }
        refresh::Judged::AnswerLost => {}
        refresh::Judged::Reused => {
            let principal = Principal::backend("tokens");
            end(&mut write, &principal, terms, &family, true).await?;
            write.commit().await?;
            tracing::warn!(
                family = family.id,
                credential = family.credential,
                "a refresh token came again that was used up; its family is revoked"
            );
            metrics::counter!("tollgate_refresh_tokens_reused_total").increment(1);
            return Err(TokenError::InvalidGrant);
        }
    }
    let (_, found) = usable(store, &family.credential).await?;
    let key = found.ok_or(TokenError::InvalidGrant)?;
    let scopes = narrowed(&family.scopes, scope)?.into_iter().filter(|scope| key.scopes.contains(scope)).collect::<Vec<_>>();
    let principal = principal(&mut write, &key.id, TokenError::InvalidGrant).await?;
    write.record(&principal, "tokens:refresh", &family.id).await?;
    let granted = terms.access_token(store, secrets, &key, &scopes, Some(&family.id)).await?;
    write.commit().await?;
    Ok(Granted { refresh_token: Some(refresh::token(secrets, &family)?), ..granted })
}

/// Whoever holds a key, if it is still good: since it was looked at it may have been revoked.
async fn principal(write: &mut Write, credential: &str, gone: TokenError) -> Result<Principal, TokenError> {
    let row = store::api_keys::get(write, credential).await?;
    let row = row.filter(|row| row.revoked_at.is_none()).ok_or(gone)?;
    Ok(holder_of(credential, row.organisation, row.consumer))
}

fn holder_of(credential: &str, organisation: String, consumer: String) -> Principal {
    let (organisation, consumer) = (Some(organisation), Some(consumer));
    Principal { name: format!("api_key:{credential}"), role: Role::Developer, organisation, consumer, session: None }
}

/// The scopes that were asked for, each once; all, if none were.
fn narrowed(granted: &[String], asked: Option<&str>) -> Result<Vec<String>, TokenError> {
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
        return Ok(granted.to_vec());
    };
    let asked: BTreeSet<&str> = asked.split(' ').filter(|scope| !scope.is_empty()).collect();
    match asked.iter().find(|scope| !granted.iter().any(|own| own == **scope)) {
        None => Ok(asked.into_iter().map(ToOwned::to_owned).collect()),
        Some(other) => Err(TokenError::InvalidScope(other.chars().take(64).collect())),
    }
}
