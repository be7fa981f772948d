//! Owns a consumer's pace: what it asked and was refused in an interval, and what is usual for it. Must not know who it is.
//!
//! The usual pace is an exponentially weighted mean, with the mean deviation from it (as TCP estimates round trips: RFC 6298), of the intervals
//! in which the consumer asked at all: who works at night only is not unusual each evening.

use super::{Rules, Velocity};
use crate::time::Instant;

/// Intervals that say what is usual before anything is unusual.
const LEARNT_AFTER: u32 = 6;
/// The weight of one interval in the mean: an eighth.
const SHARE: u32 = 3;
/// The most that is counted in an interval.
const MOST: u32 = 1 << 24;

/// A consumer's pace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// The interval's number.
    pub interval: u64,
    /// Requests in it, as far as they were counted.
    pub requests: u32,
    /// Those of them that were refused.
    pub refused: u32,
    /// Requests that are usual in an interval, in sixteenths.
    pub mean: u32,
    /// How far from that is usual, in sixteenths.
    pub deviation: u32,
    /// Intervals that were learnt from.
    pub learnt: u32,
    /// Unusual intervals in a row.
    pub unusual: u32,
}

/// What an interval that has ended shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// Far more was refused than admitted.
    pub storm: bool,
    /// The pace was unusual for long enough.
    pub velocity: bool,
}

impl Pace {
    /// Counts requests, some of them refused; answers what the interval before shows if another one has begun.
    pub fn count(&mut self, requests: u32, refused: u32, now: Instant, rules: &Rules) -> Pattern {
        let number = now.0 / rules.interval.max(1);
        let mut shown = Pattern::default();
        // A clock that went back changes nothing.
        if number > self.interval {
            let follows = number == self.interval + 1;
            shown = self.end(rules);
            self.unusual = if follows { self.unusual } else { 0 };
            (self.interval, self.requests, self.refused) = (number, 0, 0);
        }
        self.requests = self.requests.saturating_add(requests).min(MOST);
        self.refused = self.refused.saturating_add(refused).min(MOST);
        shown
    }

    fn end(&mut self, rules: &Rules) -> Pattern {
        if self.requests == 0 {
            return Pattern::default();
        }
        let admitted = self.requests.saturating_sub(self.refused);
        let far_more = u64::from(self.refused) >= u64::from(admitted) * u64::from(rules.storm_multiple);
        let storm = rules.storm_least > 0 && self.refused >= rules.storm_least && far_more;
        let unusual = self.is_unusual(&rules.velocity);
        self.unusual = if unusual { self.unusual + 1 } else { 0 };
        let velocity = unusual && self.unusual >= rules.velocity.intervals;
        if velocity {
            self.unusual = 0;
        }
        self.learn(unusual);
        Pattern { storm, velocity }
    }

    fn is_unusual(&self, velocity: &Velocity) -> bool {
        let (requests, mean, deviation) = (u64::from(self.requests) * 16, u64::from(self.mean), u64::from(self.deviation));
        velocity.multiple > 0
            && self.learnt >= LEARNT_AFTER
            && self.requests >= velocity.least
            && requests > mean * u64::from(velocity.multiple)
            && requests > mean + 4 * deviation
    }

    /// Whoever stays at another pace makes it usual, slowly: what is unusual counts as no more than twice what is usual.
    fn learn(&mut self, unusual: bool) {
        let requests = self.requests * 16;
        let requests = if unusual { requests.min(self.mean.saturating_mul(2)) } else { requests };
        if self.learnt == 0 {
            (self.mean, self.deviation) = (requests, requests / 2);
        } else {
            let off = requests.abs_diff(self.mean);
            self.deviation = self.deviation - (self.deviation >> SHARE) + (off >> SHARE);
            self.mean = self.mean - (self.mean >> SHARE) + (requests >> SHARE);
        }
        self.learnt = self.learnt.saturating_add(1).min(1_000);
    }
}
