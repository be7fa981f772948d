//! Owns the routes of tiers. Must not know how they are kept, nor what a limit is.

use std::sync::Arc;

use axum::extract::State;

use super::super::answer::Answer;
use super::super::auth::{Allowed, TiersRead, TiersWrite, begin};
use super::super::backend::Backend;
use super::super::document::{Document, Shape};
use super::super::once::{Begun, Making, Once};
use super::super::parameters::{Known, Named, Query};
use super::super::problem::Refusal;
use super::openapi::{IdempotencyKey, IfMatch};
use crate::failure::Failure;
use crate::page::{Listing, Page};
use crate::tiers::{self, NewTier, Tier, TierBody};

impl Shape for NewTier {}
impl Shape for TierBody {}

/// List tiers.
#[utoipa::path(get, path = "/api/v1/tiers", tag = "tiers", operation_id = "list_tiers", params(Page),
    responses((status = 200, body = Listing<Tier>)), extensions(("x-permission" = json!("tiers:read"))))]
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<TiersRead>,
    Query(page): Query<Page>,
) -> Result<Answer, Refusal> {
    Answer::of(&tiers::list(&backend.store, &allowed.principal, &page).await?)
}

/// Make a tier.
#[utoipa::path(post, path = "/api/v1/tiers", tag = "tiers", operation_id = "create_tier", params(IdempotencyKey),
    request_body = NewTier, responses((status = 201, body = Tier)), extensions(("x-permission" = json!("tiers:write"))))]
pub(super) async fn create(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<TiersWrite>,
    making: Making<NewTier>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let made = tiers::create(&mut once.write, &allowed.principal, making.body).await?;
    once.end(Answer::made(&made, location(&made.name))?.version(made.version)).await
}

/// One tier.
#[utoipa::path(get, path = "/api/v1/tiers/{tier_name}", tag = "tiers", operation_id = "get_tier", params(("tier_name" = String, Path)),
    responses((status = 200, body = Tier)), extensions(("x-permission" = json!("tiers:read"))))]
pub(super) async fn get(State(backend): State<Arc<Backend>>, allowed: Allowed<TiersRead>, Named(name): Named) -> Result<Answer, Refusal> {
    let found = tiers::get(&backend.store, &allowed.principal, &name).await?;
    Ok(Answer::of(&found)?.version(found.version))
}

/// Give a tier these limits; make it where there is none. Nodes hear of it at once.
#[utoipa::path(put, path = "/api/v1/tiers/{tier_name}", tag = "tiers", operation_id = "put_tier",
    params(("tier_name" = String, Path), IfMatch), request_body = TierBody,
    responses((status = 200, body = Tier), (status = 201, body = Tier)), extensions(("x-permission" = json!("tiers:write"))))]
pub(super) async fn put(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<TiersWrite>,
    Named(name): Named,
    known: Option<Known>,
    Document { value: body, .. }: Document<TierBody>,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    let put = tiers::put(&mut write, &allowed.principal, &name, Known::version(known), body).await?;
    if put.created && known.is_some() {
        return Err(Failure::Stale.into());
    }
    write.commit().await?;
    let version = put.tier.version;
    let answer = if put.created { Answer::made(&put.tier, location(&put.tier.name)) } else { Answer::of(&put.tier) };
    Ok(answer?.version(version))
}

/// Delete a tier that no consumer is in.
#[utoipa::path(delete, path = "/api/v1/tiers/{tier_name}", tag = "tiers", operation_id = "delete_tier",
    params(("tier_name" = String, Path), IfMatch), responses((status = 204)), extensions(("x-permission" = json!("tiers:write"))))]
pub(super) async fn delete(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<TiersWrite>,
    Named(name): Named,
    known: Option<Known>,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    tiers::delete(&mut write, &allowed.principal, &name, Known::version(known)).await?;
    write.commit().await?;
    Ok(Answer::nothing())
}

fn location(name: &str) -> String {
    format!("/api/v1/tiers/{name}")
}
