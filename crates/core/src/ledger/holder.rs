//! Owns which messages of a holder count: each ask once, returns as totals, and no lease after it is closed. Must not know what is granted
//! from where.

use super::MOST_OPEN;
use crate::sabotage::{self, Rule};
use crate::wire::LeaseAsk;

/// What an incarnation was granted from a row under one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// The lease's number, the incarnation's own: newer leases have higher ones.
    pub lease: u64,
    /// The number of the newest ask that was judged.
    pub asked: u64,
    /// Units granted, in all.
    pub granted: u64,
    /// Units returned, in all.
    pub returned: u64,
    /// Units the newest ask was granted: what is answered if it comes again.
    pub newest: u64,
    /// This lease's part of the row's [`Row::held`].
    pub held: u64,
    /// When its holder last spoke.
    pub asked_at: u64,
    /// Nothing is granted under this number any more.
    pub closed: bool,
}

/// All that an incarnation was granted from a row: its open leases, and the newest one also when it is closed, so that no older number
/// can be opened again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// In the order of their numbers.
    pub leases: Vec<Lease>,
}

/// What an ask is to the lease it is of.
#[derive(Debug)]
pub(super) enum Heard<'a> {
    /// Nothing more comes of that lease.
    Closed,
    /// It was judged before, and is answered with what it was granted then.
    Again {
        /// Units; none for any but the newest ask: nobody waits for an older one.
        granted: u64,
        /// The lease's own [`Lease::held`].
        held: u64,
        /// When that was.
        at: u64,
    },
    /// It is to be judged, and noted with [`Lease::judged`].
    New {
        /// The lease.
        lease: &'a mut Lease,
        /// Units that it returns.
        came_back: u64,
        /// It is the lease's last one.
        closes: bool,
    },
}

impl Lease {
    /// Notes an ask that was judged at `now`.
    pub(super) fn judged(&mut self, ask: &LeaseAsk, came_back: u64, granted: u64, closes: bool, now: u64) {
        let returned = self.returned + came_back;
        let own = ask.own.min(self.granted - returned);
        *self = Self {
            lease: self.lease,
            asked: ask.number,
            granted: self.granted.saturating_add(granted),
            returned,
            newest: granted,
            held: if closes { 0 } else { own.saturating_add(granted) },
            asked_at: now,
            closed: closes,
        };
    }
}

impl Holder {
    /// What an ask is, in a window of this name.
    pub(super) fn hear(&mut self, ask: &LeaseAsk, window: u64) -> Heard<'_> {
        let Some(lease) = self.find(ask, window) else {
            return Heard::Closed;
        };
        if ask.number <= lease.asked {
            let granted = if ask.number == lease.asked { lease.newest } else { 0 };
            return Heard::Again { granted, held: lease.held, at: lease.asked_at };
        }
        // More than was granted cannot have been sealed: nothing is taken back, and the lease is over.
        let impossible = ask.returned > lease.granted;
        let came_back = if impossible { 0 } else { ask.returned.saturating_sub(lease.returned) };
        Heard::New { lease, came_back, closes: ask.close || impossible }
    }

    /// The lease of an ask, opened if this is its first; `None` if it is closed, or never was opened here.
    fn find(&mut self, ask: &LeaseAsk, window: u64) -> Option<&mut Lease> {
        let highest = self.leases.last().map_or(0, |lease| lease.lease);
        if let Some(position) = self.leases.iter().position(|lease| lease.lease == ask.lease) {
            let lease = self.leases.get_mut(position)?;
            // A number is asked under in one window only.
            return (!lease.closed && (ask.number == 1 || ask.window == window)).then_some(lease);
        }
        if ask.lease <= highest && !sabotage::removed(Rule::RememberLeases) {
            return None;
        }
        let opens = ask.number == 1 && !ask.close && self.open() < MOST_OPEN;
        self.leases.push(Lease { lease: ask.lease, closed: !opens, ..Lease::default() });
        self.leases.sort_unstable_by_key(|lease| lease.lease);
        self.forget_closed();
        if opens { self.leases.iter_mut().find(|lease| lease.lease == ask.lease) } else { None }
    }

    /// Whether an ask shows that the ledger has forgotten what it answered in a window of this name: a lease's window is known from an answer;
    /// who asks again was answered the last time, but for the last ask of a lease, which does not wait for that; and nobody returns what was
    /// not granted.
    #[must_use]
    pub fn shows_loss(&self, ask: &LeaseAsk, window: u64) -> bool {
        if window == 0 || ask.window != window || ask.number <= 1 {
            return false;
        }
        match self.leases.iter().find(|lease| lease.lease == ask.lease) {
            Some(lease) => !lease.closed && (ask.number > lease.asked + 1 + u64::from(ask.close) || ask.returned > lease.granted),
            // The newest one is kept as long as the window lasts.
            None => self.leases.last().is_none_or(|newest| newest.lease < ask.lease),
        }
    }

    /// Whether there is an open lease, and this one was never heard of: whoever wants a first lease needs none.
    #[must_use]
    pub fn has_another(&self, lease: u64) -> bool {
        self.open() > 0 && !self.leases.iter().any(|own| own.lease == lease)
    }

    /// Open leases.
    #[must_use]
    pub fn open(&self) -> usize {
        self.leases.iter().filter(|lease| !lease.closed).count()
    }

    /// Whether anything was asked since.
    pub(super) fn has_asked_since(&self, since: u64) -> bool {
        self.leases.iter().any(|lease| lease.asked_at >= since)
    }

    /// Whether it had units when it last spoke, which was since then.
    pub(super) fn has_held_since(&self, since: u64) -> bool {
        self.leases.iter().any(|lease| lease.held > 0 && lease.asked_at >= since)
    }

    /// Forgets leases of which nothing was heard since; `false` if there are no others.
    pub(super) fn forget_silent(&mut self, since: u64) -> bool {
        self.leases.retain(|lease| lease.asked_at >= since);
        !self.leases.is_empty()
    }

    /// Forgets closed leases but the newest.
    pub(super) fn forget_closed(&mut self) {
        let newest = self.leases.last().map_or(0, |lease| lease.lease);
        let removed = sabotage::removed(Rule::RememberLeases);
        self.leases.retain(|lease| !lease.closed || (lease.lease == newest && !removed));
    }
}
