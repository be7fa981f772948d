//! Owns the routes by which operators see the ledger, let lost nodes go and have frozen quotas granted from again. Must not know how units are granted.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;

use super::super::answer::Answer;
use super::super::auth::{Allowed, LedgerRead, LedgerWrite};
use super::super::backend::Backend;
use super::super::document::Shape;
use super::super::once::{Begun, Making, Once};
use super::super::parameters::{Named, Query};
use super::super::problem::Refusal;
use super::openapi::IdempotencyKey;
use crate::ledger::{self, Filter, LedgerRow, ReleaseNode, Released, Reopen, Reopened};
use crate::page::{Listing, Page};

impl Shape for ReleaseNode {
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

impl Shape for Reopen {
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// What the ledger is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    limit: Option<u32>,
    after: Option<String>,
    consumer: Option<String>,
    #[serde(default)]
    all: bool,
}

/// List what consumers have been granted of their quotas: the windows in force, or all.
#[utoipa::path(get, path = "/api/v1/ledger", tag = "ledger", operation_id = "list_ledger", params(Filter, Page),
    responses((status = 200, body = Listing<LedgerRow>)), extensions(("x-permission" = json!("ledger:read"))))]
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<LedgerRead>,
    Query(asked): Query<Asked>,
) -> Result<Answer, Refusal> {
    let page = Page { limit: asked.limit, after: asked.after };
    let filter = Filter { consumer: asked.consumer, all: asked.all };
    Answer::of(&ledger::list(&backend.store, &allowed.principal, &filter, &page).await?)
}

/// Let a lost node go: what it held when it last spoke can be granted again, and nothing is granted to it any more.
///
/// For processes that are gone for good. `node` is the id of one incarnation, or what a node calls itself: then all incarnations of that
/// name that were not heard of for a minute.
#[utoipa::path(post, path = "/api/v1/nodes/{node}/release", tag = "ledger", operation_id = "release_node",
    params(("node" = String, Path), IdempotencyKey), request_body(content = Option<ReleaseNode>),
    responses((status = 200, body = Released)), extensions(("x-permission" = json!("ledger:write"))))]
pub(super) async fn release(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<LedgerWrite>,
    Named(node): Named,
    making: Making<ReleaseNode>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let released = ledger::release(&mut once.write, &backend.store, &allowed.principal, &node, &making.body).await?;
    once.end(Answer::of(&released)?).await
}

/// Have quotas granted from again that are frozen, because the ledger forgot what it had answered: of a consumer, or of all.
///
/// What was granted and forgotten is then granted a second time. Nodes come back within a minute.
#[utoipa::path(post, path = "/api/v1/ledger/reopen", tag = "ledger", operation_id = "reopen_ledger",
    params(IdempotencyKey), request_body(content = Option<Reopen>),
    responses((status = 200, body = Reopened)), extensions(("x-permission" = json!("ledger:write"))))]
pub(super) async fn reopen(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<LedgerWrite>,
    making: Making<Reopen>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let reopened = ledger::reopen(&mut once.write, &backend.store, &allowed.principal, &making.body).await?;
    once.end(Answer::of(&reopened)?).await
}
