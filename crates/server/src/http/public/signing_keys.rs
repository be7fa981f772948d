//! Owns the routes of the keys that access tokens are signed with. Must not show a private key.

use std::sync::Arc;

use axum::extract::State;

use super::super::answer::Answer;
use super::super::auth::{Allowed, SigningKeysRead, SigningKeysWrite, begin};
use super::super::backend::Backend;
use super::super::document::Shape;
use super::super::once::{Begun, Making, Once};
use super::super::parameters::{Named, Query};
use super::super::problem::Refusal;
use super::openapi::IdempotencyKey;
use crate::page::{Listing, Page};
use crate::signing_keys::{self, RotateSigningKey, SigningKey};

impl Shape for RotateSigningKey {
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// List the keys that access tokens are signed with, or were or will be.
#[utoipa::path(get, path = "/api/v1/signing-keys", tag = "tokens", operation_id = "list_signing_keys", params(Page),
    responses((status = 200, body = Listing<SigningKey>)), extensions(("x-permission" = json!("signing_keys:read"))))]
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    _allowed: Allowed<SigningKeysRead>,
    Query(page): Query<Page>,
) -> Result<Answer, Refusal> {
    Answer::of(&signing_keys::list(&backend.store, &page).await?)
}

/// Make another key that signs from now on, or from a later time. Tokens that were signed before pass until they end.
#[utoipa::path(post, path = "/api/v1/signing-keys/rotate", tag = "tokens", operation_id = "rotate_signing_key", params(IdempotencyKey),
    request_body(content = Option<RotateSigningKey>), responses((status = 201, body = SigningKey)),
    extensions(("x-permission" = json!("signing_keys:write"))))]
pub(super) async fn rotate(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<SigningKeysWrite>,
    making: Making<RotateSigningKey>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let (secrets, signing) = (&backend.secrets, &backend.tokens.signing);
    let made = signing_keys::rotate(&mut once.write, secrets, signing, &allowed.principal, making.body).await?;
    once.end(Answer::made(&made, format!("/api/v1/signing-keys/{}", made.id))?).await
}

/// Forget a key that others may have: what it signed passes no longer, once nodes have fetched the keys anew. If it signs, another takes its place.
#[utoipa::path(delete, path = "/api/v1/signing-keys/{signing_key_id}", tag = "tokens", operation_id = "revoke_signing_key",
    params(("signing_key_id" = String, Path)), responses((status = 204)), extensions(("x-permission" = json!("signing_keys:write"))))]
pub(super) async fn revoke(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<SigningKeysWrite>,
    Named(id): Named,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    signing_keys::revoke(&mut write, &backend.secrets, &backend.tokens.signing, &allowed.principal, &id).await?;
    write.commit().await?;
    Ok(Answer::nothing())
}
