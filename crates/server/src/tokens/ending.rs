//! Owns how tokens end before their time: families and single access tokens that are revoked, what nodes are told of them, and when that is
//! forgotten. Must not make a token.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tollgate_core::wire::{self, MOST_REVOCATIONS};

use super::{Client, Terms, TokenError, holder_of, principal, refresh};
use crate::clock::Time;
use crate::failure::Failure;
use crate::page::{Listing, Page};
use crate::permission::Principal;
use crate::secrets::Secrets;
use crate::signing_keys::LEEWAY;
use crate::store::changes::{Kind, publish};
use crate::store::families::{self as rows, Revoked, Row, Which};
use crate::store::{self, Store, Write};

/// Tokens and families of one key that are revoked and not yet forgotten. Who wants to revoke more revokes the key.
pub const MOST_REVOKED: u64 = 100;

/// The same of all keys: what nodes remember of them.
pub const MOST_REVOKED_IN_ALL: u64 = 50_000;

/// For how long it is shown that a family has ended.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// What is forgotten in one go.
const MOST_FORGOTTEN: u32 = 1_000;

/// A family of tokens: what followed from one exchange of an API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Family {
    /// Its id: `sid` of its access tokens.
    pub id: String,
    /// The organisation of its consumer.
    pub organisation: String,
    /// Whose key was exchanged.
    pub consumer: String,
    /// The id of that key.
    pub credential: String,
    /// The scopes its tokens may have.
    pub scopes: Vec<String>,
    /// How often it was renewed.
    pub renewals: u32,
    /// When that was last.
    pub renewed_at: Time,
    /// When it began.
    pub created_at: Time,
    /// When it ends.
    pub ends_at: Time,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
    /// It was revoked because a refresh token came again that had been used up: two had it.
    pub reused: bool,
}

/// Which families are asked for.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FamilyFilter {
    /// Those of one consumer.
    pub consumer: Option<String>,
    /// Those of one API key.
    pub credential: Option<String>,
}

/// Revokes what somebody has (RFC 7009): a refresh token with its family, or an access token. Whoever has it may: with `client`, only its own.
/// What is no token of ours, or has ended, is revoked already.
///
/// # Errors
/// [`Failure::Unavailable`], also where too many are revoked of one key.
pub async fn revoke(store: &Store, secrets: &Secrets, terms: &Terms, client: Option<&Client>, token: &str) -> Result<(), Failure> {
    let is_own = |credential: &str| client.is_none_or(|client| client.0.id == credential);
    if let Some(presented) = refresh::Presented::read(token) {
        let mut write = store.begin().await?;
        let family = rows::get(&mut write, presented.family).await?.filter(|family| presented.is_of(secrets, family));
        if let Some(family) = family.filter(|family| family.revoked_at.is_none() && is_own(&family.credential)) {
            end(&mut write, &of_credential(&family), terms, &family, false).await?;
            write.commit().await?;
        }
        return Ok(());
    }
    let Some(access) = terms.verified(store, secrets, token).await?.filter(|access| is_own(&access.credential)) else {
        return Ok(());
    };
    let mut write = store.begin().await?;
    let (own, all) = rows::refused(&mut write, &access.credential).await?;
    if own >= MOST_REVOKED || all >= MOST_REVOKED_IN_ALL {
        return Err(Failure::Unavailable { private: "too many tokens are revoked".to_owned() });
    }
    let Ok(principal) = principal(&mut write, &access.credential, TokenError::InvalidGrant).await else {
        return Ok(());
    };
    let ends_at = Time::from_millis(i64::try_from(access.ends.saturating_mul(1_000)).unwrap_or(i64::MAX)).after(LEEWAY);
    if rows::refuse(&mut write, &access.id, &access.credential, ends_at).await? {
        publish(&mut write, Kind::Revoked, &access.id).await?;
        write.record(&principal, "tokens:revoke", &access.id).await?;
        write.commit().await?;
    }
    Ok(())
}

/// Families of tokens.
///
/// # Errors
/// [`Failure::Invalid`] for a page that cannot be.
pub async fn families(store: &Store, principal: &Principal, filter: &FamilyFilter, page: &Page) -> Result<Listing<Family>, Failure> {
    let own = principal.consumer.as_deref();
    if own.is_some() && filter.consumer.is_some() && own != filter.consumer.as_deref() {
        return Ok(Listing { items: Vec::new(), next: None });
    }
    let consumer = filter.consumer.as_deref().or(own);
    let which = Which { organisation: principal.organisation.as_deref(), consumer, credential: filter.credential.as_deref() };
    let rows = rows::list(&mut store.read().await?, page.window()?, which).await?;
    page.of(rows, Family::from, |family: &Family| &family.id)
}

/// Revokes a family: none of its tokens passes any longer. Revoking it again does nothing.
///
/// # Errors
/// [`Failure::NotFound`].
pub async fn revoke_family(write: &mut Write, terms: &Terms, principal: &Principal, id: &str) -> Result<(), Failure> {
    let found = rows::get(write, id).await?;
    let family = found.filter(|row| principal.reaches(&row.organisation, &row.consumer)).ok_or(Failure::NotFound)?;
    if family.revoked_at.is_some() { Ok(()) } else { end(write, principal, terms, &family, false).await }
}

/// What must not pass, after a position, for a node.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn revocations(store: &Store, after: u64) -> Result<wire::Revocations, Failure> {
    let mut snapshot = store.snapshot().await?;
    let revision = store::changes::newest(&mut snapshot).await?;
    let (after, most) = (i64::try_from(after).unwrap_or(i64::MAX), u32::try_from(MOST_REVOCATIONS).unwrap_or(u32::MAX));
    let now = store.now();
    let rows = rows::revocations(&mut snapshot, after, most, now).await?;
    let next = rows.last().filter(|_| rows.len() >= MOST_REVOCATIONS).and_then(|last| u64::try_from(last.seq).ok());
    Ok(wire::Revocations { revision, revoked: rows.iter().map(|row| told(row, now)).collect(), next })
}

/// What nodes are told of a token or family that is revoked.
pub(crate) fn told(revoked: &Revoked, now: Time) -> wire::Revoked {
    let ends_in_ms = u64::try_from(revoked.ends_at.since(now).as_millis()).unwrap_or(u64::MAX);
    wire::Revoked { id: revoked.id.clone(), ends_in_ms }
}

/// Forgets what has ended.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn sweep(store: &Store) -> Result<(), Failure> {
    let before = store.now().before(KEPT);
    if !rows::any_ended(&mut store.read().await?, store.now(), before).await? {
        return Ok(());
    }
    let mut write = store.begin().await?;
    rows::forget(&mut write, before, MOST_FORGOTTEN).await?;
    Ok(write.commit().await?)
}

/// Revokes a family, and tells the nodes.
pub(super) async fn end(write: &mut Write, principal: &Principal, terms: &Terms, family: &Row, reused: bool) -> Result<(), Failure> {
    rows::revoke(write, &family.id, reused).await?;
    let ends_at = write.now().after(terms.signing.token_life + LEEWAY);
    if rows::refuse(write, &family.id, &family.credential, ends_at).await? {
        publish(write, Kind::Revoked, &family.id).await?;
    }
    write.record(principal, if reused { "tokens:reuse" } else { "tokens:revoke" }, &family.id).await?;
    Ok(())
}

impl From<Row> for Family {
    fn from(row: Row) -> Self {
        let Row { id, organisation, consumer, credential, scopes, number, moved_at, created_at, ends_at, revoked_at, reused, .. } = row;
        let (renewals, renewed_at) = (number, moved_at);
        Self { id, organisation, consumer, credential, scopes, renewals, renewed_at, created_at, ends_at, revoked_at, reused }
    }
}

fn of_credential(family: &Row) -> Principal {
    holder_of(&family.credential, family.organisation.clone(), family.consumer.clone())
}
