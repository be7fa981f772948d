//! Owns the routes of blocks and approvals. Must not know how nodes hear of them.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;

use super::super::answer::Answer;
use super::super::auth::{Allowed, BlocksRead, BlocksWrite, begin};
use super::super::backend::Backend;
use super::super::document::Shape;
use super::super::once::{Begun, Making, Once};
use super::super::parameters::{Named, Query};
use super::super::problem::Refusal;
use super::openapi::IdempotencyKey;
use crate::blocks::{self, Block, NewApproval, NewBlock};
use crate::page::{Listing, Page};

impl Shape for NewBlock {}
impl Shape for NewApproval {}

/// Also those that are over.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read as part of `Asked`; here it is described")]
pub(super) struct Past {
    /// Also those that are over, for 90 days. Default: false.
    #[param(required = false)]
    past: bool,
}

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    limit: Option<u32>,
    after: Option<String>,
    #[serde(default)]
    past: bool,
}

/// List who is blocked, and who would be but for a shadow mode.
#[utoipa::path(get, path = "/api/v1/blocks", tag = "blocks", operation_id = "list_blocks", params(Past, Page),
    responses((status = 200, body = Listing<Block>)), extensions(("x-permission" = json!("blocks:read"))))]
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<BlocksRead>,
    Query(asked): Query<Asked>,
) -> Result<Answer, Refusal> {
    let page = Page { limit: asked.limit, after: asked.after };
    Answer::of(&blocks::list(&backend.store, &allowed.principal, false, asked.past, &page).await?)
}

/// Block an address, a network, a consumer or a credential. Nodes hear of it at once.
#[utoipa::path(post, path = "/api/v1/blocks", tag = "blocks", operation_id = "create_block", params(IdempotencyKey),
    request_body = NewBlock, responses((status = 201, body = Block)), extensions(("x-permission" = json!("blocks:write"))))]
pub(super) async fn create(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<BlocksWrite>,
    making: Making<NewBlock>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let made = blocks::create(&mut once.write, &allowed.principal, making.body).await?;
    once.end(Answer::made(&made, format!("/api/v1/blocks/{}", made.id))?).await
}

/// Lift a block. Nodes hear of it at once, and forget what they counted against its subject.
#[utoipa::path(delete, path = "/api/v1/blocks/{block_id}", tag = "blocks", operation_id = "lift_block",
    params(("block_id" = String, Path)), responses((status = 204)), extensions(("x-permission" = json!("blocks:write"))))]
pub(super) async fn lift(State(backend): State<Arc<Backend>>, allowed: Allowed<BlocksWrite>, Named(id): Named) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    blocks::lift(&mut write, &allowed.principal, &id, false).await?;
    write.commit().await?;
    Ok(Answer::nothing())
}

/// List who is never blocked automatically.
#[utoipa::path(get, path = "/api/v1/approvals", tag = "blocks", operation_id = "list_approvals", params(Past, Page),
    responses((status = 200, body = Listing<Block>)), extensions(("x-permission" = json!("blocks:read"))))]
pub(super) async fn approvals(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<BlocksRead>,
    Query(asked): Query<Asked>,
) -> Result<Answer, Refusal> {
    let page = Page { limit: asked.limit, after: asked.after };
    Answer::of(&blocks::list(&backend.store, &allowed.principal, true, asked.past, &page).await?)
}

/// Approve an address, a network, a consumer or a credential: it is never blocked automatically.
#[utoipa::path(post, path = "/api/v1/approvals", tag = "blocks", operation_id = "create_approval", params(IdempotencyKey),
    request_body = NewApproval, responses((status = 201, body = Block)), extensions(("x-permission" = json!("blocks:write"))))]
pub(super) async fn approve(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<BlocksWrite>,
    making: Making<NewApproval>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let made = blocks::approve(&mut once.write, &allowed.principal, making.body).await?;
    once.end(Answer::made(&made, format!("/api/v1/approvals/{}", made.id))?).await
}

/// Take an approval back.
#[utoipa::path(delete, path = "/api/v1/approvals/{approval_id}", tag = "blocks", operation_id = "delete_approval",
    params(("approval_id" = String, Path)), responses((status = 204)), extensions(("x-permission" = json!("blocks:write"))))]
pub(super) async fn unapprove(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<BlocksWrite>,
    Named(id): Named,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    blocks::lift(&mut write, &allowed.principal, &id, true).await?;
    write.commit().await?;
    Ok(Answer::nothing())
}
