//! Owns the route by which a node asks for units of limits and returns them. Must not know how they are granted.

use std::sync::Arc;

use axum::extract::State;
use tollgate_core::wire::{Settle, Settled};

use super::super::auth::KnownNode;
use super::super::backend::Backend;
use super::super::problem::Refusal;
use super::Message;
use crate::ledger;

pub(super) async fn settle(
    State(backend): State<Arc<Backend>>,
    KnownNode(incarnation): KnownNode,
    Message(settle): Message<Settle>,
) -> Result<Message<Settled>, Refusal> {
    Ok(Message(ledger::settle(&backend.store, &incarnation, &settle).await?))
}
