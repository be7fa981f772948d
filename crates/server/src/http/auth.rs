//! Owns who asks: from the credential in a request to a principal that may, or a node that is known. Must not know what is asked.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::access_log::Noted;
use super::backend::Backend;
use super::connection::Peer;
use super::problem::Refusal;
use crate::nodes::{Incarnation, NodeCredential};
use crate::permission::{Permission, Principal};
use crate::store::Write;
use crate::{admin_keys, nodes};

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
    LedgerWrite
);

/// The holder of a node credential.
pub(super) struct NodeCredentialHolder(pub(super) NodeCredential);

/// A node that said hello.
pub(super) struct KnownNode(pub(super) Incarnation);

impl<N: Needs> FromRequestParts<Arc<Backend>> for Allowed<N> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, backend: &Arc<Backend>) -> Result<Self, Refusal> {
        let presented = bearer(parts)?;
        let Some(principal) = admin_keys::authenticate(&backend.store, &backend.secrets, presented).await? else {
            return Err(wrong(backend, parts));
        };
        note(parts, &principal.name);
        principal.may(N::PERMISSION)?;
        Ok(Self { principal, needs: std::marker::PhantomData })
    }
}

impl FromRequestParts<Arc<Backend>> for NodeCredentialHolder {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, backend: &Arc<Backend>) -> Result<Self, Refusal> {
        let presented = bearer(parts)?;
        let Some(credential) = nodes::authenticate(&backend.store, &backend.secrets, presented).await? else {
            return Err(wrong(backend, parts));
        };
        note(parts, &credential.id);
        Ok(Self(credential))
    }
}

impl FromRequestParts<Arc<Backend>> for KnownNode {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, backend: &Arc<Backend>) -> Result<Self, Refusal> {
        // A token that has run out is no wrong credential: every node's does. So it is not counted.
        let incarnation = nodes::authorize(&backend.store, &backend.secrets, bearer(parts)?).ok_or_else(Refusal::invalid_credential)?;
        note(parts, &incarnation.credential);
        Ok(Self(incarnation))
    }
}

/// Begins to write for a principal, if its key is still good: the body and the turn to write may have been long in coming.
pub(super) async fn begin(backend: &Backend, principal: &Principal) -> Result<Write, Refusal> {
    let mut write = backend.store.begin().await?;
    if admin_keys::still_stands(&mut write, principal).await? { Ok(write) } else { Err(Refusal::invalid_credential()) }
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
fn wrong(backend: &Backend, parts: &Parts) -> Refusal {
    metrics::counter!("tollgate_wrong_credentials_total").increment(1);
    match backend.wrong_credentials.take(address(backend, parts), backend.monotonic()) {
        Ok(()) => Refusal::invalid_credential(),
        Err(wait) => Refusal::limited(wait, "Too many wrong credentials from this address"),
    }
}

/// Where a request came from.
pub(super) fn address(backend: &Backend, parts: &Parts) -> IpAddr {
    backend.client(Peer::address(&parts.extensions), &parts.headers)
}

fn note(parts: &Parts, principal: &str) {
    if let Some(noted) = parts.extensions.get::<Noted>() {
        noted.principal(principal);
    }
}
