//! Owns the route by which a node asks for a consumer that an access token names. Must not know which consumers there are.

use std::sync::Arc;

use axum::extract::State;
use tollgate_core::wire::{ResolveConsumer, ResolvedConsumer};

use super::super::auth::KnownNode;
use super::super::backend::Backend;
use super::super::problem::Refusal;
use super::Message;
use crate::resolve::resolve_consumer;

pub(super) async fn resolve(
    State(backend): State<Arc<Backend>>,
    KnownNode(node): KnownNode,
    Message(asked): Message<ResolveConsumer>,
) -> Result<Message<ResolvedConsumer>, Refusal> {
    Ok(Message(resolve_consumer(&backend.store, &node, &asked).await?))
}
