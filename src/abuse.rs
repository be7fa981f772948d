//! Owns what a worker knows of abuse: scores that the node keeps, and who is blocked. Must not know how a request is judged or what a
//! backend is.
//!
//! Nothing here grows with what clients send: scores are in a table of a fixed size in shared data, blocks in a table of
//! [`blocks::MOST`] entries, what workers tell each other in one value of [`journal::MOST`] entries.

pub mod blocks;
pub mod journal;
pub mod known;
pub mod table;

use tollgate_core::abuse::{Act, POINT, Pattern, Rules, Seen, Sentence, Signal, Spread, sentence};
use tollgate_core::time::{Instant, SECOND};
use tollgate_core::wire::Effect;

use crate::counters::{Counter, Counters};
use crate::shared::{Broken, SharedData};
use blocks::{Block, Blocks};
use journal::Journal;
use table::{Entry, Table};

/// One request of so many is looked at more closely.
pub const SAMPLE: u32 = 64;
/// The same of those that are refused.
pub const REFUSED_SAMPLE: u32 = 16;
/// Thousandths of a point that an admitted request is worth to its address; up to [`MOST_CREDIT`] times the threshold.
const CREDIT: u64 = POINT / 10;
const MOST_CREDIT: u64 = 3;
/// How often workers look for what others have blocked.
pub const LOOK_EVERY: u64 = SECOND / 20;
/// How often what has ended is swept.
const SWEEP_EVERY: u64 = SECOND;

/// Whom a score is of, as it is kept: which bytes name it, and where its score is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Its name: see [`blocks::key_of_network`] and [`blocks::key_of_id`].
    pub key: Vec<u8>,
    /// Its place in the table.
    pub place: u64,
    /// What tells it from others there.
    pub tag: u64,
}

/// Somebody was suspected enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of it.
    pub act: Act,
    /// The score, in points.
    pub score: u64,
    /// For how long.
    pub sentence: Sentence,
}

/// What a worker knows of abuse.
#[derive(Debug)]
pub struct Abuse {
    /// How it is judged; `None`: nothing is looked at, and only operators' blocks are in force.
    pub rules: Option<Rules>,
    /// Who is blocked.
    pub blocks: Blocks,
    table: Table,
    journal: Journal,
    looked: Instant,
    swept: Instant,
    /// Until when admitted requests count for their address: as long as somebody is suspected.
    watching: Instant,
    /// Counts requests, to look at some of them.
    pub admitted: u32,
    /// Counts refused requests without identity.
    pub refused: u32,
}

impl Abuse {
    /// Nobody is suspected; `hash_key` is unpredictable to clients.
    #[must_use]
    pub fn new(rules: Option<Rules>, hash_key: [u8; 16]) -> Self {
        let enforces = rules.as_ref().is_some_and(|rules| rules.act == Act::Block);
        Self {
            table: Table::new(rules.as_ref().map_or(1, |rules| rules.sets)),
            blocks: Blocks::new(hash_key, enforces),
            journal: Journal::default(),
            rules,
            looked: Instant(0),
            swept: Instant(0),
            watching: Instant(0),
            admitted: 0,
            refused: 0,
        }
    }

    /// Whether admitted requests count for their address.
    #[must_use]
    pub fn is_watching(&self, now: Instant) -> bool {
        now < self.watching
    }

    /// Somebody shows a signal; `hash` tells what was shown from other such things, where it counts once only. What is to be done, if that
    /// was enough.
    pub fn shows(
        &mut self,
        who: &Watched,
        (signal, hash): (Signal, Option<u64>),
        multiple: u32,
        now: Instant,
        shared: &mut impl SharedData,
        counters: &mut Counters,
    ) -> Option<(bool, Option<Verdict>)> {
        let rules = self.rules.as_ref()?;
        let weight = rules.weight(signal);
        let threshold = u64::from(rules.threshold) * POINT * u64::from(multiple);
        self.watching = now.after(4 * rules.half_life);
        let mut shown = (false, None);
        let exchanged = self.table.exchange(who, Some(weight), (now, rules.half_life), shared, &mut |entry| {
            shown = (hash.is_none_or(|hash| entry.spread.see(hash, now, rules.half_life) == Seen::New), None);
            if !shown.0 || weight == 0 {
                return;
            }
            entry.score = entry.score.add(weight, now, rules.half_life);
            let credit = entry.credit.at(now, rules.half_life).min(MOST_CREDIT * threshold);
            if entry.score.level >= threshold + credit && now >= entry.until {
                shown.1 = Some(entry.sentence(rules, signal, now));
            }
        });
        note(exchanged, counters);
        if shown.0 {
            counters.count(Counter::Abuse(signal));
        }
        Some(shown)
    }

    /// Requests of somebody, some of them refused; what the interval that has ended shows.
    pub fn paces(
        &mut self,
        who: &Watched,
        requests: u32,
        refused: u32,
        now: Instant,
        shared: &mut impl SharedData,
        counters: &mut Counters,
    ) -> Pattern {
        let mut shown = Pattern::default();
        let Some(rules) = &self.rules else {
            return shown;
        };
        let done = self.table.exchange(who, Some(0), (now, rules.half_life), shared, &mut |entry| {
            shown = entry.pace.count(requests, refused, now, rules);
        });
        note(done, counters);
        shown
    }

    /// A credential comes from a network with this hash; whether these are too many.
    pub fn comes_from(&mut self, who: &Watched, hash: u64, now: Instant, shared: &mut impl SharedData, counters: &mut Counters) -> bool {
        let Some(rules) = self.rules.as_ref().filter(|rules| rules.networks > 0) else {
            return false;
        };
        let mut too_many = false;
        let done = self.table.exchange(who, Some(0), (now, rules.half_life), shared, &mut |entry| {
            entry.spread.see(hash, now, rules.spread_window);
            too_many = entry.spread.estimate(now, rules.spread_window) > rules.networks;
            if too_many {
                // Told once, then counted anew.
                entry.spread = Spread { window: entry.spread.window, ..Default::default() };
            }
        });
        if done == Err(Broken) {
            counters.count(Counter::Degraded);
        }
        too_many
    }

    /// Admitted requests of an address that is suspected count for it.
    pub fn credits(&mut self, who: &Watched, requests: u32, now: Instant, shared: &mut impl SharedData) {
        if let Some(rules) = &self.rules {
            // What cannot be noted is not: the address is then judged by its failures alone.
            let _ = self.table.exchange(who, None, (now, rules.half_life), shared, &mut |entry| {
                entry.credit = entry.credit.add(u64::from(requests) * CREDIT, now, rules.half_life);
            });
        }
    }

    /// Blocks somebody on this node.
    pub fn block(
        &mut self,
        who: &Watched,
        effect: Effect,
        lasts: u64,
        now: Instant,
        shared: &mut impl SharedData,
        counters: &mut Counters,
    ) {
        let block = Block { until: now.after(lasts), effect, automatic: true, told: false, since: now };
        self.blocks.put(&who.key, block, now, counters);
        if self.journal.write(&who.key, &block, shared).is_err() {
            // The node's other workers find out by themselves.
            counters.count(Counter::Degraded);
        }
    }

    /// A block or an approval that the backend tells of. What a subject has on its account ends with its block.
    pub fn told(
        &mut self,
        who: &Watched,
        block: Option<Block>,
        effect: Effect,
        now: Instant,
        shared: &mut impl SharedData,
        counters: &mut Counters,
    ) {
        match block {
            Some(block) => self.blocks.put(&who.key, block, now, counters),
            None => {
                self.blocks.remove(&who.key, effect, counters);
                self.forgive(who, now, shared);
                // A worker that starts later must not find it there.
                if self.journal.end(&who.key, shared).is_err() {
                    counters.count(Counter::Degraded);
                }
            }
        }
        if block.is_some_and(|block| block.effect == Effect::Approve) {
            self.forgive(who, now, shared);
        }
    }

    /// Takes a block of this node back, on all workers.
    pub fn unblock(&mut self, who: &Watched, now: Instant, shared: &mut impl SharedData, counters: &mut Counters) {
        self.blocks.remove_own(&who.key, counters);
        self.forgive(who, now, shared);
        let ended = Block { until: Instant(0), effect: Effect::Unknown, automatic: true, told: false, since: now };
        if self.journal.write(&who.key, &ended, shared).is_err() {
            counters.count(Counter::Degraded);
        }
    }

    fn forgive(&mut self, who: &Watched, now: Instant, shared: &mut impl SharedData) {
        let half_life = self.rules.as_ref().map_or(SECOND, |rules| rules.half_life);
        if self.rules.is_some() {
            let _ = self.table.exchange(who, None, (now, half_life), shared, &mut |entry| {
                entry.forgive();
            });
        }
    }

    /// Hears of what other workers have blocked, and forgets what has ended.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn tick(&mut self, now: Instant, shared: &mut impl SharedData, counters: &mut Counters) -> Result<(), Broken> {
        if now.since(self.swept) >= SWEEP_EVERY {
            self.swept = now;
            self.blocks.sweep(now, counters);
        }
        if !self.rules.as_ref().is_some_and(|rules| rules.act == Act::Block) || now.since(self.looked) < LOOK_EVERY {
            return Ok(());
        }
        self.looked = now;
        for (key, block) in self.journal.read(shared)? {
            match block.until > now {
                true => self.blocks.put(&key, block, now, counters),
                false => self.blocks.remove_own(&key, counters),
            }
        }
        Ok(())
    }
}

/// Counts an exchange with the table that found no place, or no table.
fn note(done: Result<bool, Broken>, counters: &mut Counters) {
    match done {
        Ok(true) => {}
        Ok(false) => counters.count(Counter::AbuseUntracked),
        Err(Broken) => counters.count(Counter::Degraded),
    }
}

impl Entry {
    /// Begins a block, or what would be one.
    fn sentence(&mut self, rules: &Rules, signal: Signal, now: Instant) -> Verdict {
        let sentence = sentence(&rules.terms, self.repeats, now.since(self.until));
        let score = self.score.level / POINT;
        (self.repeats, self.until) = (sentence.repeats, now.after(sentence.lasts));
        // It begins anew when its block has ended.
        self.score.level = 0;
        Verdict { act: rules.act_on(signal), score, sentence }
    }
}

#[cfg(test)]
mod tests;
