//! Owns the release of lost nodes: which lives of a node an operator may let go. Must not release a live one by mistake.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::quota;
use crate::audit::noted::Noted;
use crate::failure::Failure;
use crate::permission::Principal;
use crate::store::changes::{Kind, publish};
use crate::store::{self, Store, Write};

/// A node that was heard of in this time may be alive. Each asks for changes every 25 seconds at least.
const ALIVE: Duration = Duration::from_secs(60);

/// How a node is let go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReleaseNode {
    /// Although it was heard of in the last minute; only with the id of an incarnation. Default: false.
    pub force: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Released {
    /// The lives of the node that were let go: nothing is granted to them any more.
    pub incarnations: Vec<String>,
    /// Leases of theirs that were open.
    pub leases: u64,
    /// Units that they had when they last spoke, and that can be granted again.
    pub units: u64,
}

/// Takes everything back that a lost node held when it last spoke, and grants it nothing any more: somebody says that its process is gone.
/// `node` is the id of one incarnation, or what a node calls itself: then all its incarnations that were not heard of for a minute.
///
/// The ledger is a database of its own, so this is durable before `write` is.
///
/// # Errors
/// [`Failure::NotFound`]; [`Failure::Conflict`] where it may be alive; [`Failure::Forbidden`] to principals bound to an organisation,
/// because nodes serve all.
pub async fn release(write: &mut Write, store: &Store, principal: &Principal, node: &str, how: &ReleaseNode) -> Result<Released, Failure> {
    principal.unbound()?;
    let named = store::nodes::named(write, node).await?;
    let by_id = named.iter().any(|life| life.incarnation == node);
    let lives: Vec<String> = match by_id {
        true => vec![node.to_owned()],
        false => named.into_iter().map(|life| life.incarnation).collect(),
    };
    // One that could not be written down when it said hello is known by its leases alone.
    let (lives, by_id) = match lives.is_empty() {
        true if store::ledger::last_asked(store, node).await?.is_some() => (vec![node.to_owned()], true),
        true => return Err(Failure::NotFound),
        false => (lives, by_id),
    };
    if how.force && !by_id {
        return Err(Failure::invalid("force", "only with the id of an incarnation: others of this name may be alive"));
    }
    let oldest = store.now().before(ALIVE);
    let mut lost = Vec::with_capacity(lives.len());
    for life in lives {
        let said = store::nodes::get(write, &life).await?.map(|life| life.last_seen_at);
        let asked = store::ledger::last_asked(store, &life).await?;
        let heard = Some(store.last_heard(&life)).max(said).max(asked);
        if how.force || heard.is_none_or(|heard| heard < oldest) {
            lost.push(life);
        }
    }
    if lost.is_empty() {
        return Err(Failure::conflict("node", "it was heard of in the last minute, and may be alive"));
    }
    let released = store::ledger::release(store, &lost, &principal.name).await?;
    for life in &lost {
        let noted = Noted::default().with("force", &how.force).with("leases", &released.leases).with("units", &released.units);
        write.note(principal, "ledger:release", life, noted).await?;
    }
    for (consumer, limit) in &released.freed {
        publish(write, Kind::Freed, &quota(consumer, limit)).await?;
    }
    Ok(Released { incarnations: lost, leases: released.leases, units: released.units })
}
