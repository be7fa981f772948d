//! Owns who asks: from the credential in a request to a principal that may, or a node that is known. Must not know what is asked.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::access_log::Noted;
use super::backend::Backend;
use super::connection::Peer;
use super::cookies::{SESSION, Twice};
use super::problem::Refusal;
use crate::audit::Reason;
use crate::nodes::{Incarnation, NodeCredential};
use crate::permission::{Permission, Principal};
use crate::store::Write;
use crate::{admin_keys, nodes, sessions, users};

/// Where a page proves that it is ours.
pub(super) const CSRF_TOKEN: &str = "x-csrf-token";

/// A permission as a type, so that a handler states in its signature what it asks.
pub(super) trait Needs: Send {
    /// What it asks.
    const PERMISSION: Permission;
}

/// A principal that has the permission `N`.
pub(super) struct Allowed<N> {
    pub(super) principal: Principal,
    needs: std::marker::PhantomData<N>,
}

macro_rules! needs {
    ($($permission:ident),+) => {$(
        #[doc = concat!("Asks for [`Permission::", stringify!($permission), "`].")]
        pub(super) struct $permission;

        impl Needs for $permission {
            const PERMISSION: Permission = Permission::$permission;
        }
    )+};
}

needs!(
    OrganisationsRead,
    OrganisationsWrite,
    ConsumersRead,
    ConsumersWrite,
    TiersRead,
    TiersWrite,
    KeysRead,
    KeysWrite,
    OwnKeysRead,
    OwnKeysWrite,
    AdminKeysRead,
    AdminKeysWrite,
    NodesRead,
    NodesWrite,
    LedgerRead,
    LedgerWrite,
    UsersRead,
    UsersWrite,
    OwnAccount,
    IdentityProvidersRead,
    IdentityProvidersWrite,
    OutboxRead,
    OutboxWrite,
    BlocksRead,
    BlocksWrite,
    TokensRead,
    TokensWrite,
    SecretsRead,
    SecretsWrite,
    SigningKeysRead,
    SigningKeysWrite,
    AuditRead,
    AuditErase
);

/// Who is signed in with the browser, if anybody is; for what changes nothing.
pub(super) struct MaybeSignedIn(pub(super) Option<Principal>);

/// Where a request came from.
pub(super) struct Client(pub(super) IpAddr);

/// The holder of a node credential.
pub(super) struct NodeCredentialHolder(pub(super) NodeCredential);

/// A node that said hello.
pub(super) struct KnownNode(pub(super) Incarnation);

impl<N: Needs> FromRequestParts<Arc<Backend>> for Allowed<N> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, backend: &Arc<Backend>) -> Result<Self, Refusal> {
        let principal = principal(parts, backend).await?;
        principal.may(N::PERMISSION)?;
        Ok(Self { principal, needs: std::marker::PhantomData })
    }
}

impl FromRequestParts<Arc<Backend>> for NodeCredentialHolder {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, backend: &Arc<Backend>) -> Result<Self, Refusal> {
        let presented = bearer(parts)?;
        let Some(credential) = nodes::authenticate(&backend.store, &backend.secrets, presented).await? else {
            return Err(wrong(backend, parts, Reason::NodeCredential));
        };
        note(parts, &credential.id);
        Ok(Self(credential))
    }
}

impl FromRequestParts<Arc<Backend>> for KnownNode {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, backend: &Arc<Backend>) -> Result<Self, Refusal> {
        // A token that has run out is no wrong credential: every node's does. So it is not counted.
        let incarnation = nodes::authorize(&backend.store, &backend.secrets, bearer(parts)?).ok_or_else(|| {
            failed(backend, parts, Reason::NodeToken);
            Refusal::invalid_credential()
        })?;
        note(parts, &incarnation.credential);
        Ok(Self(incarnation))
    }
}

impl FromRequestParts<Arc<Backend>> for Client {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, backend: &Arc<Backend>) -> Result<Self, Refusal> {
        Ok(Self(address(backend, parts)))
    }
}

impl FromRequestParts<Arc<Backend>> for MaybeSignedIn {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, backend: &Arc<Backend>) -> Result<Self, Refusal> {
        let Some(word) = session_word(parts)?.map(ToOwned::to_owned) else {
            return Ok(Self(None));
        };
        Ok(Self(sessions::authenticate(&backend.store, &word).await?))
    }
}

/// Begins to write for a principal, if its key or session is still good: the body and the turn to write may have been long in coming.
pub(super) async fn begin(backend: &Backend, principal: &Principal) -> Result<Write, Refusal> {
    let mut write = backend.store.begin().await?;
    let stands = match users::is_user(principal) {
        true => users::still_stands(&mut write, principal).await?,
        false => admin_keys::still_stands(&mut write, principal).await?,
    };
    if stands { Ok(write) } else { Err(Refusal::invalid_credential()) }
}

/// Who asks, by an admin key or by the session of a browser, never by both: which of the two is meant would be a guess.
async fn principal(parts: &Parts, backend: &Backend) -> Result<Principal, Refusal> {
    let principal = match session_word(parts)? {
        Some(_) if parts.headers.contains_key(AUTHORIZATION) => {
            return Err(Refusal::unauthenticated("Both a credential and a session: one of them"));
        }
        Some(word) => {
            let found = sessions::authenticate(&backend.store, word).await?.ok_or_else(|| {
                failed(backend, parts, Reason::Session);
                Refusal::no_session()
            })?;
            is_from_our_page(parts, backend, word).inspect_err(|_| failed(backend, parts, Reason::Forged))?;
            found
        }
        None => {
            let found = admin_keys::authenticate(&backend.store, &backend.secrets, bearer(parts)?).await?;
            found.ok_or_else(|| wrong(backend, parts, Reason::AdminKey))?
        }
    };
    note(parts, &principal.name);
    Ok(principal)
}

fn session_word(parts: &Parts) -> Result<Option<&str>, Refusal> {
    SESSION.read(&parts.headers).map_err(|Twice| Refusal::unauthenticated("More than one session"))
}

/// Asks that a request which changes something was made by a page of ours: the browser sends its cookie with those of others, too.
fn is_from_our_page(parts: &Parts, backend: &Backend, word: &str) -> Result<(), Refusal> {
    if parts.method.is_safe() {
        return Ok(());
    }
    is_from_our_site(parts, backend)?;
    let mut given = parts.headers.get_all(CSRF_TOKEN).iter();
    let (Some(token), None) = (given.next().and_then(|token| token.to_str().ok()), given.next()) else {
        return Err(Refusal::forged("A session changes nothing without X-CSRF-Token: the one that came with it"));
    };
    if sessions::is_csrf_token(&backend.secrets, word, token) {
        Ok(())
    } else {
        Err(Refusal::forged("X-CSRF-Token is not that of this session"))
    }
}

/// Asks that a browser, if it says where a request comes from, says that it is here. What is no browser says nothing.
pub(super) fn is_from_our_site(parts: &Parts, backend: &Backend) -> Result<(), Refusal> {
    let said = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let elsewhere = || Refusal::forged("The request comes from a page of another site");
    if said("sec-fetch-site").is_some_and(|site| !["same-origin", "none"].contains(&site)) {
        return Err(elsewhere());
    }
    let here = |origin: &str| {
        origin == backend.terms.public_url || said("host").is_some_and(|host| origin.split_once("://").is_some_and(|(_, own)| own == host))
    };
    if said("origin").is_some_and(|origin| !here(origin)) { Err(elsewhere()) } else { Ok(()) }
}

/// The credential of `Authorization: Bearer …`.
fn bearer(parts: &Parts) -> Result<&str, Refusal> {
    let mut given = parts.headers.get_all(AUTHORIZATION).iter();
    let credential = match (given.next(), given.next()) {
        (Some(given), None) => given.to_str().ok(),
        (None, _) => return Err(Refusal::unauthenticated("A credential is needed: Authorization: Bearer …")),
        (Some(_), Some(_)) => return Err(Refusal::unauthenticated("More than one Authorization header")),
    };
    let (scheme, credential) = credential.and_then(|given| given.split_once(' ')).unwrap_or_default();
    let credential = credential.trim_start_matches(' ');
    if scheme.eq_ignore_ascii_case("bearer") && !credential.is_empty() {
        Ok(credential)
    } else {
        Err(Refusal::unauthenticated("The credential must be given as Authorization: Bearer …"))
    }
}

/// Refuses a wrong credential, and counts it against the address it came from.
///
/// Right credentials are never counted and never refused, so nobody can lock out others by guessing behind the same address.
/// Guessing itself is hopeless: what is not ours is refused by its tag, without a look into the store.
fn wrong(backend: &Backend, parts: &Parts, reason: Reason) -> Refusal {
    match count_wrong(backend, parts, reason) {
        Ok(()) => Refusal::invalid_credential(),
        Err(wait) => Refusal::limited(wait, "Too many wrong credentials from this address"),
    }
}

/// Counts a wrong credential against the address it came from.
///
/// # Errors
/// When to come back, if there were too many.
pub(super) fn count_wrong(backend: &Backend, parts: &Parts, reason: Reason) -> Result<(), Duration> {
    failed(backend, parts, reason);
    metrics::counter!("tollgate_wrong_credentials_total").increment(1);
    backend.wrong_credentials.take(address(backend, parts), backend.monotonic())
}

/// Notes for the audit log that whoever asks was not believed.
pub(super) fn failed(backend: &Backend, parts: &Parts, reason: Reason) {
    backend.failed(reason, address(backend, parts), None);
}

/// Where a request came from.
pub(super) fn address(backend: &Backend, parts: &Parts) -> IpAddr {
    backend.client(Peer::address(&parts.extensions), &parts.headers)
}

pub(super) fn note(parts: &Parts, principal: &str) {
    if let Some(noted) = parts.extensions.get::<Noted>() {
        noted.principal(principal);
    }
}
