//! Owns the routes of what is to be sent. Must not show what is in it.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;

use super::super::answer::Answer;
use super::super::auth::{Allowed, OutboxRead, OutboxWrite, begin};
use super::super::backend::Backend;
use super::super::parameters::{Named, Query};
use super::super::problem::Refusal;
use crate::outbox::{self, Filter, Message, State as Standing};
use crate::page::{Listing, Page};

/// What messages are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    limit: Option<u32>,
    after: Option<String>,
    state: Option<Standing>,
}

/// List messages.
#[utoipa::path(get, path = "/api/v1/outbox", tag = "outbox", operation_id = "list_messages", params(Filter, Page),
    responses((status = 200, body = Listing<Message>)), extensions(("x-permission" = json!("outbox:read"))))]
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<OutboxRead>,
    Query(asked): Query<Asked>,
) -> Result<Answer, Refusal> {
    let page = Page { limit: asked.limit, after: asked.after };
    Answer::of(&outbox::list(&backend.store, &allowed.principal, &Filter { state: asked.state }, &page).await?)
}

/// Try a message anew, at once and as often as at first.
#[utoipa::path(post, path = "/api/v1/outbox/{message_id}/retry", tag = "outbox", operation_id = "retry_message",
    params(("message_id" = String, Path)), responses((status = 200, body = Message)), extensions(("x-permission" = json!("outbox:write"))))]
pub(super) async fn retry(State(backend): State<Arc<Backend>>, allowed: Allowed<OutboxWrite>, Named(id): Named) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    let changed = outbox::retry(&mut write, &allowed.principal, &id).await?;
    write.commit().await?;
    Answer::of(&changed)
}

/// Take a message away, sent or not.
#[utoipa::path(delete, path = "/api/v1/outbox/{message_id}", tag = "outbox", operation_id = "drop_message",
    params(("message_id" = String, Path)), responses((status = 204)), extensions(("x-permission" = json!("outbox:write"))))]
pub(super) async fn drop(State(backend): State<Arc<Backend>>, allowed: Allowed<OutboxWrite>, Named(id): Named) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    outbox::drop(&mut write, &allowed.principal, &id).await?;
    write.commit().await?;
    Ok(Answer::nothing())
}
