//! Owns the route by which a node asks who is blocked. Must not know why somebody is.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use tollgate_core::wire::Blocks;

use super::super::auth::KnownNode;
use super::super::backend::Backend;
use super::super::parameters::Query;
use super::super::problem::Refusal;
use super::Message;
use crate::blocks;

/// Which page is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    after: Option<u64>,
}

pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    KnownNode(_): KnownNode,
    Query(Asked { after }): Query<Asked>,
) -> Result<Message<Blocks>, Refusal> {
    Ok(Message(blocks::live(&backend.store, after.unwrap_or(0)).await?))
}
