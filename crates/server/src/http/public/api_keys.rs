//! Owns the routes of API keys, of all consumers. Must not know how they are made or kept.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;

use super::super::answer::Answer;
use super::super::auth::{Allowed, KeysRead, KeysWrite, begin};
use super::super::backend::Backend;
use super::super::document::{Document, Shape};
use super::super::once::{Begun, Making, Once};
use super::super::parameters::{Known, Named, Query};
use super::super::problem::Refusal;
use super::openapi::{IdempotencyKey, IfMatch};
use crate::api_keys::{self, ApiKey, ApiKeyPatch, Created, Filter, NewApiKey, Reach, Rotate, Rotated, TakeOver, TakenOver};
use crate::page::{Listing, Page};

impl Shape for NewApiKey {}
impl Shape for TakeOver {}
impl Shape for ApiKeyPatch {
    const CLEARABLE: &'static [&'static str] = &["credits", "expires_at"];
}
impl Shape for Rotate {
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// What keys are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    limit: Option<u32>,
    after: Option<String>,
    consumer: Option<String>,
}

/// List API keys.
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys", operation_id = "list_keys", params(Filter, Page),
    responses((status = 200, body = Listing<ApiKey>)), extensions(("x-permission" = json!("keys:read"))))]
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<KeysRead>,
    Query(asked): Query<Asked>,
) -> Result<Answer, Refusal> {
    let page = Page { limit: asked.limit, after: asked.after };
    let filter = Filter { consumer: asked.consumer };
    Answer::of(&api_keys::list(&backend.store, &allowed.principal, Reach::All, &filter, &page).await?)
}

/// Make an API key, or import one. A new one is shown this once.
#[utoipa::path(post, path = "/api/v1/keys", tag = "keys", operation_id = "create_key", params(IdempotencyKey), request_body = NewApiKey,
    responses((status = 201, body = Created)), extensions(("x-permission" = json!("keys:write"))))]
pub(super) async fn create(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<KeysWrite>,
    making: Making<NewApiKey>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let made = api_keys::create(&mut once.write, &backend.secrets, &allowed.principal, making.body).await?;
    once.end(Answer::made(&made, location(&made))?.version(made.key.version)).await
}

/// Import many API keys from elsewhere, all or none. Those that were imported before are passed over.
#[utoipa::path(post, path = "/api/v1/keys/import", tag = "keys", operation_id = "import_keys", request_body = TakeOver,
    responses((status = 200, body = TakenOver)), extensions(("x-permission" = json!("keys:write"))))]
pub(super) async fn import(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<KeysWrite>,
    Document { value: list, .. }: Document<TakeOver>,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    let taken = api_keys::take_over(&mut write, &backend.secrets, &allowed.principal, &list).await?;
    write.commit().await?;
    Answer::of(&taken)
}

/// One API key.
#[utoipa::path(get, path = "/api/v1/keys/{key_id}", tag = "keys", operation_id = "get_key", params(("key_id" = String, Path)),
    responses((status = 200, body = ApiKey)), extensions(("x-permission" = json!("keys:read"))))]
pub(super) async fn get(State(backend): State<Arc<Backend>>, allowed: Allowed<KeysRead>, Named(id): Named) -> Result<Answer, Refusal> {
    let found = api_keys::get(&backend.store, &allowed.principal, Reach::All, &id).await?;
    Ok(Answer::of(&found)?.version(found.version))
}

/// Change an API key. Nodes hear of it at once.
#[utoipa::path(patch, path = "/api/v1/keys/{key_id}", tag = "keys", operation_id = "update_key", params(("key_id" = String, Path), IfMatch),
    request_body = ApiKeyPatch, responses((status = 200, body = ApiKey)), extensions(("x-permission" = json!("keys:write"))))]
pub(super) async fn update(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<KeysWrite>,
    Named(id): Named,
    known: Option<Known>,
    Document { value: patch, .. }: Document<ApiKeyPatch>,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    let changed = api_keys::update(&mut write, &backend.store, &allowed.principal, &id, Known::version(known), patch).await?;
    write.commit().await?;
    Ok(Answer::of(&changed)?.version(changed.version))
}

/// Revoke an API key, in force on every connected node at once.
#[utoipa::path(delete, path = "/api/v1/keys/{key_id}", tag = "keys", operation_id = "revoke_key",
    params(("key_id" = String, Path), IfMatch), responses((status = 204)), extensions(("x-permission" = json!("keys:write"))))]
pub(super) async fn revoke(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<KeysWrite>,
    Named(id): Named,
    known: Option<Known>,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    api_keys::revoke(&mut write, &allowed.principal, Reach::All, &id, Known::version(known)).await?;
    write.commit().await?;
    Ok(Answer::nothing())
}

/// Replace an API key by a new one, shown this once; the old one goes on for a while.
#[utoipa::path(post, path = "/api/v1/keys/{key_id}/rotate", tag = "keys", operation_id = "rotate_key",
    params(("key_id" = String, Path), IdempotencyKey), request_body(content = Option<Rotate>), responses((status = 201, body = Rotated)),
    extensions(("x-permission" = json!("keys:write"))))]
pub(super) async fn rotate(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<KeysWrite>,
    Named(id): Named,
    making: Making<Rotate>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let made = api_keys::rotate(&mut once.write, &backend.secrets, &allowed.principal, Reach::All, &id, making.body).await?;
    once.end(Answer::made(&made, location(&made.created))?.version(made.created.key.version)).await
}

fn location(made: &Created) -> String {
    format!("/api/v1/keys/{}", made.key.id)
}
