//! Owns when this process last heard of each node, in memory: only to keep people from taking a live node for a lost one. Must not grow
//! beyond its bound, nor decide what is granted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Time;

/// Nodes that are remembered.
const MOST: usize = 16_384;
/// Longer than anybody asks for.
const REMEMBERED: Duration = Duration::from_secs(600);

/// When each node was last heard of.
#[derive(Debug)]
pub(super) struct Heard {
    /// Before that nobody listened.
    started: Time,
    last: Mutex<HashMap<String, Time>>,
}

impl Heard {
    pub(super) fn new(started: Time) -> Self {
        Self { started, last: Mutex::default() }
    }

    /// A node was heard of.
    pub(super) fn note(&self, incarnation: &str, now: Time) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = last.get_mut(incarnation) {
            *at = now;
            return;
        }
        if last.len() >= MOST {
            let oldest = now.before(REMEMBERED);
            last.retain(|_, at| *at > oldest);
        }
        if last.len() < MOST {
            last.insert(incarnation.to_owned(), now);
        }
    }

    /// When it was last heard of, as far as is known: it may have been at any time before this process began to listen.
    pub(super) fn last(&self, incarnation: &str) -> Time {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(incarnation).copied().unwrap_or(self.started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_forgets_those_not_heard_of_for_longest() {
        let at = Time::from_millis;
        let heard = Heard::new(at(5));
        assert_eq!(heard.last("a"), at(5));
        for number in 0..MOST {
            heard.note(&number.to_string(), at(10));
        }
        heard.note("late", at(20));
        assert_eq!((heard.last("late"), heard.last("0")), (at(5), at(10)), "there is no room");
        heard.note("0", at(30));
        let later = at(10).after(REMEMBERED);
        heard.note("late", later);
        assert_eq!((heard.last("late"), heard.last("0"), heard.last("1")), (later, at(30), at(5)));
    }
}
