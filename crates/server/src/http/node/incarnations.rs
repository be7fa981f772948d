//! Owns the route by which a node presents itself. Must not know what a token is.

use std::sync::Arc;

use axum::extract::State;
use tollgate_core::wire::{Hello, Welcome};

use super::super::auth::NodeCredentialHolder;
use super::super::backend::Backend;
use super::super::problem::Refusal;
use super::Message;
use crate::nodes;

pub(super) async fn hello(
    State(backend): State<Arc<Backend>>,
    NodeCredentialHolder(credential): NodeCredentialHolder,
    Message(hello): Message<Hello>,
) -> Result<Message<Welcome>, Refusal> {
    let mut write = backend.store.begin().await?;
    let welcome = nodes::hello(&mut write, &backend.secrets, &credential, &hello).await?;
    write.commit().await?;
    Ok(Message(welcome))
}
