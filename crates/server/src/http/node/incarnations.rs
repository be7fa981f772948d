//! Owns the route by which a node presents itself. Must not know what a token is.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use tollgate_core::wire::{Hello, Welcome};

use super::super::auth::NodeCredentialHolder;
use super::super::backend::Backend;
use super::super::problem::Refusal;
use super::Message;
use crate::failure::Failure;
use crate::nodes::{self, NodeCredential};

/// How long a hello waits for its turn to be written down: well below what nodes wait for the answer.
const RECORDED_WITHIN: Duration = Duration::from_millis(250);

pub(super) async fn hello(
    State(backend): State<Arc<Backend>>,
    NodeCredentialHolder(credential): NodeCredentialHolder,
    Message(hello): Message<Hello>,
) -> Result<Message<Welcome>, Refusal> {
    let recorded = tokio::time::timeout(RECORDED_WITHIN, recorded(&backend, &credential, &hello)).await;
    match recorded {
        Ok(Err(Failure::Unavailable { private })) => tracing::warn!(private, "a node's hello cannot be written down"),
        Ok(recorded) => return Ok(Message(recorded?)),
        Err(_) => tracing::warn!("a node's hello cannot be written down in time"),
    }
    Ok(Message(nodes::hello_unrecorded(&backend.store, &backend.secrets, &credential, &hello)?))
}

async fn recorded(backend: &Backend, credential: &NodeCredential, hello: &Hello) -> Result<Welcome, Failure> {
    let mut write = backend.store.begin().await?;
    let welcome = nodes::hello(&mut write, &backend.secrets, credential, hello).await?;
    write.commit().await?;
    Ok(welcome)
}
