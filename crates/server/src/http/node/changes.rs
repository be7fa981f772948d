//! Owns the route of the change feed: how long a poll is held, and that it ends with the process. Must not know what has changed.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use serde::Deserialize;
use tollgate_core::wire::{Changes, LONGEST_WAIT};

use super::super::auth::KnownNode;
use super::super::backend::Backend;
use super::super::parameters::Query;
use super::super::problem::Refusal;
use super::Message;
use crate::{changes, nodes};

/// What a poll asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    after: Option<u64>,
    mark: Option<u64>,
    wait_ms: Option<u64>,
}

pub(super) async fn after(
    State(backend): State<Arc<Backend>>,
    KnownNode(node): KnownNode,
    Query(Asked { after, mark, wait_ms }): Query<Asked>,
) -> Result<Message<Changes>, Refusal> {
    let wait = match wait_ms.unwrap_or(0) {
        wait @ 0..=LONGEST_WAIT => Duration::from_millis(wait),
        _ => return Err(Refusal::field("wait_ms", format!("at most {LONGEST_WAIT}"))),
    };
    let after = after.map(|revision| changes::Known { revision, mark });
    let mut ending = backend.ending.clone();
    let changes = tokio::select! {
        changes = changes::after(&backend.store, after, wait) => changes?,
        // The node is told at once what there is, and polls the process that comes after this one.
        () = ending.begun() => changes::after(&backend.store, after, Duration::ZERO).await?,
    };
    // It may have been revoked while it waited.
    if nodes::is_revoked(&backend.store, &node) { Err(Refusal::invalid_credential()) } else { Ok(Message(changes)) }
}
