//! Owns the accounts of rates over all nodes, which are in memory alone: what was charged drains by itself, and a backend that starts anew
//! gives each consumer its burst once more. Must not judge: `tollgate_core::ledger` does.

use std::collections::HashMap;

use tollgate_core::ledger::RateRow;
use tollgate_core::limit::Rate;
use tollgate_core::wire::{LeaseAnswer, LeaseAsk};

/// How often accounts that are full again are forgotten, in milliseconds.
const SWEPT_EVERY: u64 = 10_000;

/// What is known of rates.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// By consumer and limit; holders by their incarnation.
    accounts: HashMap<(String, String), RateRow<String>>,
    /// When the first account could be made, by the wall clock and by the other: it names accounts, and none should have the name of one that
    /// was before the backend started.
    began: Option<(u64, u64)>,
    now: u64,
    swept: u64,
}

impl Rates {
    /// Takes the time by the wall clock, and what has passed by one that nobody sets, in milliseconds. To be done before asks are judged.
    pub(super) fn tick(&mut self, wall: u64, passed: u64) {
        let (began, then) = *self.began.get_or_insert((wall, passed));
        self.now = self.now.max(began.saturating_add(passed.saturating_sub(then)));
        if self.now.saturating_sub(self.swept) >= SWEPT_EVERY {
            self.swept = self.now;
            self.accounts.retain(|_, row| !row.is_idle(self.now));
        }
    }

    /// Whether an incarnation has an open lease other than the one it asks for, which was never heard of.
    pub(super) fn has_another(&self, incarnation: &String, ask: &LeaseAsk) -> bool {
        let row = self.accounts.get(&(ask.consumer.clone(), ask.limit.clone()));
        row.is_some_and(|row| row.has_another(incarnation, ask.lease))
    }

    /// Judges an ask of an incarnation.
    pub(super) fn settle(&mut self, incarnation: &str, rate: Rate, ask: &LeaseAsk) -> LeaseAnswer {
        let key = (ask.consumer.clone(), ask.limit.clone());
        let row = self.accounts.entry(key).or_insert_with(|| RateRow::new(rate, self.now));
        row.set_rate(rate);
        row.settle(incarnation.to_owned(), ask, self.now)
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::bucket::TokenBucket;

    use super::*;

    fn ask(number: u64, need: u64) -> LeaseAsk {
        LeaseAsk { lease: number, number: 1, need, waiting: need, ..LeaseAsk::default() }
    }

    #[test]
    fn what_flows_in_does_not_depend_on_how_the_clock_is_set_and_accounts_that_are_full_are_forgotten() {
        let rate = Rate::TokenBucket(TokenBucket::new(10, 1_000_000_000, 50).unwrap());
        let mut rates = Rates::default();
        rates.tick(1_000_000, 7);
        assert_eq!((rates.settle("a", rate, &ask(1, 50)).granted, rates.settle("b", rate, &ask(1, 1)).granted), (50, 0));
        rates.tick(5_000, 7);
        rates.tick(2_000_000, 1_007);
        assert_eq!(rates.settle("b", rate, &ask(2, 10)).granted, 10);
        assert_eq!(rates.settle("b", rate, &ask(3, 1)).granted, 0);
        rates.tick(2_000_000, 9_000);
        assert_eq!(rates.accounts.len(), 1);
        rates.tick(2_000_000, 60_000);
        assert_eq!(rates.accounts.len(), 0);
    }
}
