//! Owns the routes of admin keys. Must not know how they are made or kept.

use std::sync::Arc;

use axum::extract::State;

use super::super::answer::Answer;
use super::super::auth::{AdminKeysRead, AdminKeysWrite, Allowed, begin};
use super::super::backend::Backend;
use super::super::document::Shape;
use super::super::once::{Begun, Making, Once};
use super::super::parameters::{Named, Query};
use super::super::problem::Refusal;
use super::openapi::IdempotencyKey;
use crate::admin_keys::{self, AdminKey, CreatedAdminKey, NewAdminKey};
use crate::page::{Listing, Page};

impl Shape for NewAdminKey {}

/// List admin keys.
#[utoipa::path(get, path = "/api/v1/admin-keys", tag = "admin keys", operation_id = "list_admin_keys", params(Page),
    responses((status = 200, body = Listing<AdminKey>)), extensions(("x-permission" = json!("admin_keys:read"))))]
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<AdminKeysRead>,
    Query(page): Query<Page>,
) -> Result<Answer, Refusal> {
    Answer::of(&admin_keys::list(&backend.store, &allowed.principal, &page).await?)
}

/// Make an admin key. It is shown this once.
#[utoipa::path(post, path = "/api/v1/admin-keys", tag = "admin keys", operation_id = "create_admin_key", params(IdempotencyKey),
    request_body = NewAdminKey, responses((status = 201, body = CreatedAdminKey)),
    extensions(("x-permission" = json!("admin_keys:write"))))]
pub(super) async fn create(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<AdminKeysWrite>,
    making: Making<NewAdminKey>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let made = admin_keys::create(&mut once.write, &backend.secrets, &allowed.principal, making.body).await?;
    once.end(Answer::made(&made, format!("/api/v1/admin-keys/{}", made.key.id))?).await
}

/// Revoke an admin key.
#[utoipa::path(delete, path = "/api/v1/admin-keys/{admin_key_id}", tag = "admin keys", operation_id = "revoke_admin_key",
    params(("admin_key_id" = String, Path)), responses((status = 204)), extensions(("x-permission" = json!("admin_keys:write"))))]
pub(super) async fn revoke(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<AdminKeysWrite>,
    Named(id): Named,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    admin_keys::revoke(&mut write, &allowed.principal, &id).await?;
    write.commit().await?;
    Ok(Answer::nothing())
}
