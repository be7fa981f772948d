//! Owns the route by which a node asks whose a credential is. Must not know how that is found out.

use std::sync::Arc;

use axum::extract::State;
use tollgate_core::wire::{Resolve, Resolved};

use super::super::auth::KnownNode;
use super::super::backend::Backend;
use super::super::problem::Refusal;
use super::Message;
use crate::resolve;

pub(super) async fn resolve(
    State(backend): State<Arc<Backend>>,
    KnownNode(node): KnownNode,
    Message(resolve): Message<Resolve>,
) -> Result<Message<Resolved>, Refusal> {
    Ok(Message(resolve::resolve(&backend.store, &backend.secrets, &node, &resolve).await?))
}
