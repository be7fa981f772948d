//! Owns what limits a key may have of its own. Must not judge what is spent: nodes do, and the ledger.

use tollgate_core::config::document::{Algorithm, Limit, Tier};
use tollgate_core::credential::digest;

use crate::failure::Problems;
use crate::store::api_keys::Row;
use crate::tiers;

/// The name of the limit that is a key's credits.
pub(super) const CREDITS: &str = "credits";
/// The most bytes of a key's limits as JSON: they travel with the answer about it.
const LARGEST: usize = 8 * 1024;

/// All limits of a key: those that are given, and its credits.
pub(super) fn all(mut limits: Vec<Limit>, credits: Option<u64>) -> Vec<Limit> {
    limits.extend(credits.map(|credits| Limit::new(CREDITS, Algorithm::Quota, credits, "lifetime")));
    limits
}

/// What [`all`] has put together.
pub(super) fn apart(limits: Vec<Limit>) -> (Vec<Limit>, Option<u64>) {
    let (credits, limits): (Vec<Limit>, Vec<Limit>) = limits.into_iter().partition(|limit| limit.name == CREDITS);
    (limits, credits.first().map(|limit| limit.rate))
}

/// In whose name a key's own limits are counted.
pub(crate) fn account(consumer: &str, id: &str, spends_as: Option<&str>) -> String {
    format!("{consumer}/{}", spends_as.unwrap_or(id))
}

/// A key's own limits as nodes are told them, unless it has none.
pub(crate) fn told(limits: Vec<Limit>) -> Option<Tier> {
    let mut form = limits.clone();
    form.iter_mut().filter(|limit| limit.algorithm == Algorithm::Quota).for_each(|quota| quota.rate = 1);
    let said = serde_json::to_vec(&form).unwrap_or_default();
    let name = digest(&said).iter().take(16).fold("key-".to_owned(), |name, byte| format!("{name}{byte:02x}"));
    (!limits.is_empty()).then_some(Tier { name, limits })
}

impl Row {
    /// In whose name its own limits are counted.
    pub(super) fn account(&self) -> String {
        account(&self.consumer, &self.id, self.spends_as.as_deref())
    }
}

impl Problems {
    /// Limits that a key is to have beside those of its consumer's tier.
    pub(super) fn own_limits(&mut self, limits: &[Limit], credits: Option<u64>) {
        for (position, _) in limits.iter().enumerate().filter(|(_, limit)| limit.name == CREDITS) {
            self.check(
                false,
                &format!("limits[{position}].name"),
                "found `credits`; allowed: other names, since `credits` is a field of its own",
            );
        }
        let place = format!("limits[{}].rate", limits.len());
        for problem in tiers::problems("key", &all(limits.to_vec(), credits), LARGEST) {
            self.check(false, if problem.field == place { "credits" } else { &problem.field }, problem.reason);
        }
    }
}
