//! Owns the routes of consumers. Must not know how they are kept.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;

use super::super::answer::Answer;
use super::super::auth::{Allowed, ConsumersRead, ConsumersWrite, begin};
use super::super::backend::Backend;
use super::super::document::{Document, Shape};
use super::super::once::{Begun, Making, Once};
use super::super::parameters::{Known, Named, Query};
use super::super::problem::Refusal;
use super::openapi::{IdempotencyKey, IfMatch};
use crate::consumers::{self, Consumer, ConsumerPatch, Filter, NewConsumer};
use crate::page::{Listing, Page};

impl Shape for NewConsumer {}
impl Shape for ConsumerPatch {
    const CLEARABLE: &'static [&'static str] = &["email"];
}

/// What consumers are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    limit: Option<u32>,
    after: Option<String>,
    organisation: Option<String>,
    tier: Option<String>,
}

/// List consumers.
#[utoipa::path(get, path = "/api/v1/consumers", tag = "consumers", operation_id = "list_consumers", params(Filter, Page),
    responses((status = 200, body = Listing<Consumer>)), extensions(("x-permission" = json!("consumers:read"))))]
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<ConsumersRead>,
    Query(asked): Query<Asked>,
) -> Result<Answer, Refusal> {
    let page = Page { limit: asked.limit, after: asked.after };
    let filter = Filter { organisation: asked.organisation, tier: asked.tier };
    Answer::of(&consumers::list(&backend.store, &allowed.principal, &filter, &page).await?)
}

/// Make a consumer.
#[utoipa::path(post, path = "/api/v1/consumers", tag = "consumers", operation_id = "create_consumer", params(IdempotencyKey),
    request_body = NewConsumer, responses((status = 201, body = Consumer)), extensions(("x-permission" = json!("consumers:write"))))]
pub(super) async fn create(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<ConsumersWrite>,
    making: Making<NewConsumer>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let made = consumers::create(&mut once.write, &allowed.principal, making.body).await?;
    once.end(Answer::made(&made, format!("/api/v1/consumers/{}", made.id))?.version(made.version)).await
}

/// One consumer.
#[utoipa::path(get, path = "/api/v1/consumers/{consumer_id}", tag = "consumers", operation_id = "get_consumer",
    params(("consumer_id" = String, Path)), responses((status = 200, body = Consumer)),
    extensions(("x-permission" = json!("consumers:read"))))]
pub(super) async fn get(State(backend): State<Arc<Backend>>, allowed: Allowed<ConsumersRead>, Named(id): Named) -> Result<Answer, Refusal> {
    let found = consumers::get(&backend.store, &allowed.principal, &id).await?;
    Ok(Answer::of(&found)?.version(found.version))
}

/// Change a consumer. Nodes hear of it at once.
#[utoipa::path(patch, path = "/api/v1/consumers/{consumer_id}", tag = "consumers", operation_id = "update_consumer",
    params(("consumer_id" = String, Path), IfMatch), request_body = ConsumerPatch, responses((status = 200, body = Consumer)),
    extensions(("x-permission" = json!("consumers:write"))))]
pub(super) async fn update(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<ConsumersWrite>,
    Named(id): Named,
    known: Option<Known>,
    Document { value: patch, .. }: Document<ConsumerPatch>,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    let changed = consumers::update(&mut write, &allowed.principal, &id, Known::version(known), patch).await?;
    write.commit().await?;
    Ok(Answer::of(&changed)?.version(changed.version))
}

/// End a consumer: its keys are revoked, and its id is never given again.
#[utoipa::path(delete, path = "/api/v1/consumers/{consumer_id}", tag = "consumers", operation_id = "delete_consumer",
    params(("consumer_id" = String, Path), IfMatch), responses((status = 204)), extensions(("x-permission" = json!("consumers:write"))))]
pub(super) async fn delete(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<ConsumersWrite>,
    Named(id): Named,
    known: Option<Known>,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    consumers::delete(&mut write, &allowed.principal, &id, Known::version(known)).await?;
    write.commit().await?;
    Ok(Answer::nothing())
}
