//! Owns the route of a node's reports. Must not know what is in them.

use std::sync::Arc;

use axum::extract::State;
use tollgate_core::wire::{Acknowledged, Report};

use super::super::auth::KnownNode;
use super::super::backend::Backend;
use super::super::problem::Refusal;
use super::Message;
use crate::reports;

pub(super) async fn apply(
    State(backend): State<Arc<Backend>>,
    KnownNode(incarnation): KnownNode,
    Message(report): Message<Report>,
) -> Result<Message<Acknowledged>, Refusal> {
    Ok(Message(reports::receive(&backend.store, &incarnation, &report).await?))
}
