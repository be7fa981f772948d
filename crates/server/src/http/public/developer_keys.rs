//! Owns the routes by which developers look after the API keys of their own consumer. Must not know how keys are made or kept.

use std::sync::Arc;

use axum::extract::State;

use super::super::answer::Answer;
use super::super::auth::{Allowed, OwnKeysRead, OwnKeysWrite, begin};
use super::super::backend::Backend;
use super::super::document::Shape;
use super::super::once::{Begun, Making, Once};
use super::super::parameters::{Known, Named, Query};
use super::super::problem::Refusal;
use super::openapi::{IdempotencyKey, IfMatch};
use crate::api_keys::{self, ApiKey, Created, Filter, NewOwnKey, Reach, Rotate, Rotated};
use crate::page::{Listing, Page};

impl Shape for NewOwnKey {
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// List the API keys of one's own consumer.
#[utoipa::path(get, path = "/api/v1/developer/keys", tag = "developer", operation_id = "list_own_keys", params(Page),
    responses((status = 200, body = Listing<ApiKey>)), extensions(("x-permission" = json!("own_keys:read"))))]
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<OwnKeysRead>,
    Query(page): Query<Page>,
) -> Result<Answer, Refusal> {
    Answer::of(&api_keys::list(&backend.store, &allowed.principal, Reach::Own, &Filter::default(), &page).await?)
}

/// Make an API key for one's own consumer. It is shown this once.
#[utoipa::path(post, path = "/api/v1/developer/keys", tag = "developer", operation_id = "create_own_key", params(IdempotencyKey),
    request_body(content = Option<NewOwnKey>), responses((status = 201, body = Created)),
    extensions(("x-permission" = json!("own_keys:write"))))]
pub(super) async fn create(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<OwnKeysWrite>,
    making: Making<NewOwnKey>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let made = api_keys::create_own(&mut once.write, &backend.secrets, &allowed.principal, making.body).await?;
    once.end(Answer::made(&made, location(&made))?.version(made.key.version)).await
}

/// Revoke an API key of one's own consumer, in force on every connected node at once.
#[utoipa::path(delete, path = "/api/v1/developer/keys/{key_id}", tag = "developer", operation_id = "revoke_own_key",
    params(("key_id" = String, Path), IfMatch), responses((status = 204)), extensions(("x-permission" = json!("own_keys:write"))))]
pub(super) async fn revoke(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<OwnKeysWrite>,
    Named(id): Named,
    known: Option<Known>,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    api_keys::revoke(&mut write, &allowed.principal, Reach::Own, &id, Known::version(known)).await?;
    write.commit().await?;
    Ok(Answer::nothing())
}

/// Replace an API key of one's own consumer by a new one, shown this once; the old one goes on for a while.
#[utoipa::path(post, path = "/api/v1/developer/keys/{key_id}/rotate", tag = "developer", operation_id = "rotate_own_key",
    params(("key_id" = String, Path), IdempotencyKey), request_body(content = Option<Rotate>), responses((status = 201, body = Rotated)),
    extensions(("x-permission" = json!("own_keys:write"))))]
pub(super) async fn rotate(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<OwnKeysWrite>,
    Named(id): Named,
    making: Making<Rotate>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let made = api_keys::rotate(&mut once.write, &backend.secrets, &allowed.principal, Reach::Own, &id, making.body).await?;
    once.end(Answer::made(&made, location(&made.created))?.version(made.created.key.version)).await
}

fn location(made: &Created) -> String {
    format!("/api/v1/developer/keys/{}", made.key.id)
}
