//! Owns the route by which a node asks whether signatures were used on other nodes. Must not know which were.

use std::sync::Arc;

use axum::extract::State;
use tollgate_core::wire::{TakeNonces, TakenNonces};

use super::super::auth::KnownNode;
use super::super::backend::Backend;
use super::super::problem::Refusal;
use super::Message;
use crate::nonces;

pub(super) async fn take(
    State(backend): State<Arc<Backend>>,
    KnownNode(_): KnownNode,
    Message(asked): Message<TakeNonces>,
) -> Result<Message<TakenNonces>, Refusal> {
    Ok(Message(nonces::take(&backend.store, &asked).await?))
}
