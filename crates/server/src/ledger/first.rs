//! Owns the first leases that a node wants with the answer to whose a credential is: of which limits, and how long that answer waits for
//! them. Must not judge them.

use std::time::Duration;

use tollgate_core::config::document::Tier;
use tollgate_core::wire::{FirstAsk, LeaseAsk, Settled};

use super::judge_asks;
use crate::failure::Failure;
use crate::nodes::Incarnation;
use crate::store::Store;
use crate::store::ledger::{self as records, Asked};

/// How long an answer waits for the ledger: well below what nodes wait for the answer.
const SETTLED_WITHIN: Duration = Duration::from_millis(250);

/// Settles the first leases of a consumer in this tier, and answers of which limits; what is answered is durable. A ledger that fails or is
/// late keeps nobody from knowing whose a credential is: `None`, and the node must ask again, since it may have been granted something.
///
/// # Errors
/// [`Failure::Invalid`] for what no node sends.
pub(crate) async fn first(
    store: &Store,
    incarnation: &Incarnation,
    consumer: &str,
    tier: &Tier,
    first: &FirstAsk,
) -> Result<(Vec<String>, Option<Settled>), Failure> {
    let applies = |routes: &Vec<String>| routes.contains(&first.route);
    let limits = tier.limits.iter().filter(|limit| limit.is_leased() && limit.routes.as_ref().is_none_or(applies));
    let limits: Vec<String> = limits.map(|limit| limit.name.clone()).collect();
    let ask = |limit: &String| LeaseAsk {
        consumer: consumer.to_owned(),
        limit: limit.clone(),
        lease: first.lease,
        number: 1,
        need: first.need,
        waiting: first.need,
        ..LeaseAsk::default()
    };
    if limits.is_empty() || first.need == 0 {
        return Ok((Vec::new(), None));
    }
    let asks: Vec<LeaseAsk> = limits.iter().map(ask).collect();
    judge_asks("leases", &asks)?;
    let asked = Asked { incarnation: incarnation.incarnation.clone(), asks, overages: None, first: true };
    let settled = match tokio::time::timeout(SETTLED_WITHIN, records::settle(store, asked)).await {
        Ok(Ok(answered)) => Some(Settled { revision: answered.revision, answers: answered.answers }),
        Ok(Err(error)) => {
            tracing::warn!(%error, "first leases cannot be granted");
            None
        }
        Err(_) => {
            tracing::warn!("first leases cannot be granted in time");
            None
        }
    };
    Ok((limits, settled))
}
