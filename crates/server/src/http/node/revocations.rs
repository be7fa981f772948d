//! Owns the route by which a node asks which tokens are revoked. Must not know why.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use tollgate_core::wire::Revocations;

use super::super::auth::KnownNode;
use super::super::backend::Backend;
use super::super::parameters::Query;
use super::super::problem::Refusal;
use super::Message;
use crate::tokens;

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
) -> Result<Message<Revocations>, Refusal> {
    Ok(Message(tokens::revocations(&backend.store, after.unwrap_or(0)).await?))
}
