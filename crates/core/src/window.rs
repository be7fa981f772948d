//! Owns the sliding window: at most `limit` units in any window, counted in sub-windows that err toward refusing.
//! Must not know who is limited or where the state is kept.
//!
//! Time is cut into sub-windows of 1/30 of the window. A unit counts from the sub-window it is charged to until that
//! whole sub-window has left the window, so between `window` and `window` + 1/30 of it: never too short.

use crate::time::Instant;

/// Sub-windows in a window. 30 keeps the state at 136 bytes and the excess waiting at 3.3 %.
pub const SUB_WINDOWS: u64 = 30;

/// Ring places: those of a window, the oldest one that is only partly inside, and one a held chunk may be charged to.
const PLACES: usize = SUB_WINDOWS as usize + 2;

/// Bytes of an encoded [`WindowState`].
pub const WINDOW_STATE_LEN: usize = 8 + 4 * PLACES;

/// At most `limit` units in any `window` nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindow {
    limit: u32,
    sub: u64,
}

/// Units counted per sub-window, up to sub-window number `newest`. The default is an empty window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowState {
    newest: u64,
    counts: [u32; PLACES],
}

impl SlidingWindow {
    /// `limit` units in any `window` nanoseconds; `None` if either is 0.
    #[must_use]
    pub const fn new(limit: u32, window: u64) -> Option<Self> {
        if limit == 0 || window == 0 {
            return None;
        }
        Some(Self { limit, sub: window.div_ceil(SUB_WINDOWS) })
    }

    /// The most units a window admits.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// How long a chunk may be held: one sub-window, or its charge would not fit the ring.
    #[must_use]
    pub const fn longest_hold(&self) -> u64 {
        self.sub
    }

    /// Charges `units` to the sub-window of `as_of` (from `now` to at most one sub-window later), or `None` if the window does not admit them.
    #[must_use]
    pub fn spend(&self, state: WindowState, now: Instant, as_of: Instant, units: u64) -> Option<WindowState> {
        let current = self.current(&state, now);
        let charged = self.number(as_of).clamp(current, current.saturating_add(1));
        let units = u32::try_from(units).ok()?;
        let used = self.used(&state, current);
        if used + u64::from(units) > u64::from(self.limit) {
            return None;
        }
        let mut next = state;
        next.advance(charged);
        if let Some(count) = next.count_mut(charged) {
            *count = count.checked_add(units)?;
        }
        Some(next)
    }

    /// Takes back `units` that were charged as of `charged`; nothing if that sub-window has left the ring.
    #[must_use]
    pub fn give_back(&self, mut state: WindowState, charged: Instant, units: u64) -> WindowState {
        if let Some(count) = state.count_mut(self.number(charged)) {
            *count = count.saturating_sub(u32::try_from(units).unwrap_or(u32::MAX));
        }
        state
    }

    /// Units the window would admit at `now`.
    #[must_use]
    pub fn remaining(&self, state: WindowState, now: Instant) -> u64 {
        u64::from(self.limit).saturating_sub(self.used(&state, self.current(&state, now)))
    }

    /// Nanoseconds until the last counted unit has left the window.
    #[must_use]
    pub fn until_full(&self, state: WindowState, now: Instant) -> u64 {
        self.until_used(&state, now, 0)
    }

    /// Nanoseconds until `units` would be admitted if nobody else spends; `None` if they exceed the limit.
    #[must_use]
    pub fn until_admitted(&self, state: WindowState, now: Instant, units: u64) -> Option<u64> {
        let allowed = u64::from(self.limit).checked_sub(units)?;
        Some(self.until_used(&state, now, allowed))
    }

    /// Nanoseconds until at most `allowed` units count.
    fn until_used(&self, state: &WindowState, now: Instant, allowed: u64) -> u64 {
        let current = self.current(state, now);
        let mut used = self.used(state, current);
        let mut free_at = now.0;
        for number in current.saturating_sub(SUB_WINDOWS)..=state.newest {
            if used <= allowed {
                break;
            }
            let count = state.count(number);
            used -= u64::from(count);
            if count > 0 {
                free_at = number.saturating_add(SUB_WINDOWS + 1).saturating_mul(self.sub);
            }
        }
        free_at.saturating_sub(now.0)
    }

    fn number(&self, at: Instant) -> u64 {
        at.0 / self.sub
    }

    /// The sub-window of `now`. A worker whose clock reading is older than the last write takes that write's time.
    fn current(&self, state: &WindowState, now: Instant) -> u64 {
        self.number(now).max(state.newest.saturating_sub(1))
    }

    fn used(&self, state: &WindowState, current: u64) -> u64 {
        (current.saturating_sub(SUB_WINDOWS)..=state.newest.min(current.saturating_add(1)))
            .map(|number| u64::from(state.count(number)))
            .sum()
    }
}

impl WindowState {
    fn in_ring(&self, number: u64) -> bool {
        number <= self.newest && self.newest - number < PLACES as u64
    }

    fn count(&self, number: u64) -> u32 {
        if self.in_ring(number) { self.counts.get(place(number)).copied().unwrap_or(0) } else { 0 }
    }

    fn count_mut(&mut self, number: u64) -> Option<&mut u32> {
        if self.in_ring(number) { self.counts.get_mut(place(number)) } else { None }
    }

    fn advance(&mut self, to: u64) {
        let steps = to.saturating_sub(self.newest).min(PLACES as u64);
        for number in to.saturating_add(1).saturating_sub(steps)..=to {
            if let Some(count) = self.counts.get_mut(place(number)) {
                *count = 0;
            }
        }
        self.newest = self.newest.max(to);
    }

    /// Little-endian: `newest` (8 bytes), then 32 counts of 4 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.newest.to_le_bytes());
        for count in self.counts {
            out.extend_from_slice(&count.to_le_bytes());
        }
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` unless there are exactly [`WINDOW_STATE_LEN`] bytes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != WINDOW_STATE_LEN {
            return None;
        }
        let (newest, rest) = bytes.split_first_chunk::<8>()?;
        let mut state = Self { newest: u64::from_le_bytes(*newest), counts: [0; PLACES] };
        for (count, bytes) in state.counts.iter_mut().zip(rest.as_chunks::<4>().0) {
            *count = u32::from_le_bytes(*bytes);
        }
        Some(state)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder of 32 fits")]
const fn place(number: u64) -> usize {
    (number % PLACES as u64) as usize
}

#[cfg(test)]
mod tests;
