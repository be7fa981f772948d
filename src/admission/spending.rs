//! Owns how a request spends: from the limits of its tier, or from none of them. Must not know who judges which limit how.

use tollgate_core::time::Instant;
use tollgate_core::verdict::Reason;

use super::leasing::Leased;
use super::{Awaited, Gate, Limited, Node, Waited};
use crate::identity::Identity;
use crate::limits::{Ask, Outcome, Standings, Subject};

/// What became of a request's units.
pub(super) enum Spent {
    /// There is nothing to limit.
    Nothing,
    /// All limits admit it.
    Admitted(Limited),
    /// It is denied; it may be tried again after so many nanoseconds.
    Refused(Reason, Option<u64>, Limited),
    /// Something is being asked for.
    Waits(Awaited),
}

impl Gate {
    /// Spends a request's units from the limits it meets, or from none of them.
    pub(super) fn spend(
        &mut self,
        identity: Option<&Identity>,
        anonymous_tier: Option<usize>,
        (route, cost): (u16, u32),
        waited: Waited,
        now: Instant,
        node: &mut impl Node,
    ) -> Result<Spent, Reason> {
        let Some(position) = identity.map_or(anonymous_tier, |identity| Some(identity.consumer.tier.get())) else {
            return Ok(Spent::Nothing);
        };
        let tier = self.tiers.get(position).ok_or(Reason::Unavailable)?;
        if tier.limits.is_empty() && tier.leased.is_empty() {
            return Ok(Spent::Nothing);
        }
        let subject = match identity {
            Some(identity) => self.hash_key.consumer(&identity.consumer, node),
            None => {
                let address = node.source_address().ok_or(Reason::Unavailable)?;
                self.hash_key.address(&tier.name, address, self.policy.node.ipv6_prefix, node)
            }
        };
        // The node's own limits first: what they refuse costs no call.
        let (outcome, standings) = self.charge(position, subject, route, cost, now, node).ok_or(Reason::Unavailable)?;
        let mut limited = Limited { tier: position, standings, charge: None, leasing: None };
        let charge = match outcome {
            Outcome::Admitted(charge) => charge,
            Outcome::Refused { wait } => return Ok(Spent::Refused(Reason::RateLimited, wait, limited)),
            Outcome::Unavailable => return Ok(Spent::Refused(Reason::Unavailable, None, limited)),
        };
        let leased = match identity {
            Some(identity) => self.lease((position, subject, &identity.consumer), (route, cost), waited, now, node),
            None => None,
        };
        let Some((leased, leasing)) = leased else {
            return Ok(Spent::Admitted(Limited { charge: Some(charge), ..limited }));
        };
        if !matches!(leased, Leased::Admitted)
            && let Some(tier) = self.tiers.limits(position)
        {
            self.limiter.give_back(tier, &charge, &mut limited.standings, now, node, &mut self.counters);
        }
        let refused = leasing.refused;
        limited.leasing = Some(leasing);
        Ok(match leased {
            Leased::Admitted => Spent::Admitted(Limited { charge: Some(charge), ..limited }),
            Leased::Refused { wait } => Spent::Refused(self.tiers.refusal(position, refused), wait, limited),
            Leased::Waiting { subject, since } => Spent::Waits(Awaited::Units { subject, since }),
            Leased::Unavailable => Spent::Refused(Reason::Unavailable, None, limited),
        })
    }

    /// Spends units of a subject; `None` if there is no such tier.
    pub(super) fn charge(
        &mut self,
        tier: usize,
        subject: Subject,
        route: u16,
        cost: u32,
        now: Instant,
        node: &mut impl Node,
    ) -> Option<(Outcome, Standings)> {
        let ask = Ask { tier: self.tiers.limits(tier)?, subject, route, cost, now };
        Some(match self.hash_key.is_of_node() {
            true => self.limiter.judge(&ask, node, &mut self.counters),
            false => self.limiter.judge_alone(&ask, &mut self.counters),
        })
    }
}
