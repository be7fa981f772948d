//! Owns the route by which a node asks for the credential that an access token came from. Must not know which credentials there are.

use std::sync::Arc;

use axum::extract::State;
use tollgate_core::wire::{ResolveCredential, Resolved};

use super::super::auth::KnownNode;
use super::super::backend::Backend;
use super::super::problem::Refusal;
use super::Message;
use crate::resolve::resolve_credential;

pub(super) async fn resolve(
    State(backend): State<Arc<Backend>>,
    KnownNode(node): KnownNode,
    Message(asked): Message<ResolveCredential>,
) -> Result<Message<Resolved>, Refusal> {
    Ok(Message(resolve_credential(&backend.store, &backend.secrets, &node, &asked).await?))
}
