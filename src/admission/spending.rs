//! Owns how a request spends: from the limits of its consumer's tier and those of its credential, or from none of them. Must not know who
//! judges which limit how.

use tollgate_core::time::Instant;
use tollgate_core::verdict::Reason;

use super::leasing::Leased;
use super::{Awaited, Gate, Limited, Node, Waited};
use crate::identity::{Identity, Namespace};
use crate::limits::{Ask, Outcome, Standings, Subject};
use crate::shared::SharedData;

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

/// What a request costs, and how long it has waited.
#[derive(Clone, Copy)]
pub(super) struct Bill {
    /// The position of its route.
    pub(super) route: u16,
    /// Units.
    pub(super) cost: u32,
    pub(super) waited: Waited,
    pub(super) now: Instant,
}

/// Whose limits they are.
#[derive(Clone, Copy)]
pub(super) struct Payer<'a> {
    /// The position of the tier.
    pub(super) tier: usize,
    pub(super) subject: Subject,
    /// In whose name it leases, if the ledger knows it.
    pub(super) account: Option<&'a str>,
    /// Whether anybody is identified: addresses lease nothing.
    pub(super) leases: bool,
}

impl Gate {
    /// Spends a request's units from all limits it meets, or from none of them.
    pub(super) fn spend(
        &mut self,
        identity: Option<&Identity>,
        anonymous_tier: Option<usize>,
        bill: Bill,
        node: &mut impl Node,
    ) -> Result<Spent, Reason> {
        let Some(position) = identity.map_or(anonymous_tier, |identity| Some(identity.consumer.tier.get())) else {
            return Ok(Spent::Nothing);
        };
        let tier = self.tiers.get(position).ok_or(Reason::Unavailable)?;
        let own = identity.and_then(|identity| identity.own.as_deref());
        if tier.limits.is_empty() && tier.leased.is_empty() && own.is_none() {
            return Ok(Spent::Nothing);
        }
        let payer = match identity {
            Some(identity) => {
                let consumer = &*identity.consumer;
                let account = (consumer.namespace == Namespace::Backend).then_some(consumer.id.as_str());
                Payer { tier: position, subject: self.hash_key.consumer(consumer, node), account, leases: true }
            }
            None => {
                let address = node.source_address().ok_or(Reason::Unavailable)?;
                let subject = self.hash_key.address(&tier.name, address, self.policy.node.ipv6_prefix, node);
                Payer { tier: position, subject, account: None, leases: false }
            }
        };
        let spent = self.spend_of(payer, bill, node)?;
        let Some(own) = own else { return Ok(spent) };
        let limited = match spent {
            Spent::Admitted(limited) => limited,
            Spent::Nothing | Spent::Refused(..) | Spent::Waits(_) => return Ok(spent),
        };
        let payer =
            Payer { tier: *own.tier, subject: self.hash_key.of_backend(&own.account, node), account: Some(&own.account), leases: true };
        self.spend_beside(limited, payer, bill, node)
    }

    /// Spends from the credential's own limits what was spent from its consumer's, or gives that back.
    #[inline(never)]
    fn spend_beside(&mut self, limited: Limited, payer: Payer<'_>, bill: Bill, node: &mut impl Node) -> Result<Spent, Reason> {
        let spent = self.spend_of(payer, bill, node);
        let mut beside = Box::new(limited);
        if !matches!(spent, Ok(Spent::Admitted(_))) {
            self.give_back(&mut beside, bill.now, node);
        }
        Ok(match spent? {
            Spent::Nothing => Spent::Nothing,
            Spent::Admitted(own) => Spent::Admitted(Limited { beside: Some(beside), ..own }),
            Spent::Refused(reason, wait, own) => Spent::Refused(reason, wait, Limited { beside: Some(beside), ..own }),
            Spent::Waits(awaited) => Spent::Waits(awaited),
        })
    }

    /// Spends from the limits of one tier.
    #[inline(never)]
    fn spend_of(&mut self, payer: Payer<'_>, bill: Bill, node: &mut impl Node) -> Result<Spent, Reason> {
        let Payer { tier, subject, .. } = payer;
        // The node's own limits first: what they refuse costs no call.
        let (outcome, standings) = self.charge(tier, subject, bill.route, bill.cost, bill.now, node).ok_or(Reason::Unavailable)?;
        let mut limited = Limited { tier, standings, charge: None, leasing: None, beside: None };
        let charge = match outcome {
            Outcome::Admitted(charge) => charge,
            Outcome::Refused { wait } => return Ok(Spent::Refused(Reason::RateLimited, wait, limited)),
            Outcome::Unavailable => return Ok(Spent::Refused(Reason::Unavailable, None, limited)),
        };
        let leased = if payer.leases { self.lease(payer, bill, node) } else { None };
        let Some((leased, leasing)) = leased else {
            return Ok(Spent::Admitted(Limited { charge: Some(charge), ..limited }));
        };
        if !matches!(leased, Leased::Admitted)
            && let Some(tier) = self.tiers.limits(tier)
        {
            self.limiter.give_back(tier, &charge, &mut limited.standings, bill.now, node, &mut self.counters);
        }
        let refused = leasing.refused;
        limited.leasing = Some(leasing);
        Ok(match leased {
            Leased::Admitted => Spent::Admitted(Limited { charge: Some(charge), ..limited }),
            Leased::Refused { wait } => Spent::Refused(self.tiers.refusal(tier, refused), wait, limited),
            Leased::Waiting { subject, since } => Spent::Waits(Awaited::Units { subject, since }),
            Leased::Unavailable => Spent::Refused(Reason::Unavailable, None, limited),
        })
    }

    /// Gives back all that was spent, and corrects what is told of it.
    #[inline(never)]
    pub(super) fn give_back(&mut self, limited: &mut Limited, now: Instant, shared: &mut impl SharedData) {
        if let (Some(charge), Some(tier)) = (&limited.charge, self.tiers.limits(limited.tier)) {
            self.limiter.give_back(tier, charge, &mut limited.standings, now, shared, &mut self.counters);
            if let (Some(leasing), Some(tier)) = (&mut limited.leasing, self.tiers.leases(limited.tier))
                && let Some(charge) = leasing.charge.take()
            {
                self.leases.give_back(tier, &charge, now, shared, &mut self.counters);
                leasing.given_back(charge.units);
            }
        }
        if let Some(beside) = &mut limited.beside {
            self.give_back(beside, now, shared);
        }
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
