//! Owns what a request waits for, and for what it has waited already. Must not know how it is woken.

use tollgate_core::time::Instant;

use super::Gate;
use crate::authn::place::Place;
use crate::key_sets::Wish;
use crate::limits::Charge;

/// What a request waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The backend's word on the credential or consumer at this place.
    Credential(Place),
    /// What an issuer says of the opaque token at this place.
    Opaque(Place),
    /// Units of limits that are counted over all nodes.
    Units {
        /// The tag of the consumer that is limited.
        subject: u64,
        /// When the request began to wait for units.
        since: Instant,
    },
    /// Keys of an issuer.
    KeySet {
        /// The issuer's position.
        issuer: usize,
        /// What is wanted of them.
        wish: Wish,
        /// When the request began to wait for keys.
        since: Instant,
        /// What the client's address has paid for the checks that failed for want of them.
        paid: Option<Charge>,
    },
}

/// What a request has waited for: for the backend's word it waits once, for keys and units until so long after it began to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// Whether for the backend.
    pub(super) for_backend: bool,
    /// Whether for an issuer's word.
    pub(super) for_issuer: bool,
    /// Since when for keys.
    pub(super) for_keys: Option<Instant>,
    /// Since when for units.
    pub(super) for_units: Option<Instant>,
    /// What was paid before it waited for keys.
    pub(super) paid: Option<Charge>,
}

impl Waited {
    /// From now on it waits for this.
    pub const fn add(&mut self, awaited: &Awaited) {
        match awaited {
            Awaited::Credential(_) => self.for_backend = true,
            Awaited::Opaque(_) => self.for_issuer = true,
            Awaited::Units { since, .. } => self.for_units = Some(*since),
            Awaited::KeySet { since, paid, .. } => {
                self.for_keys = Some(*since);
                self.paid = *paid;
            }
        }
    }
}

impl Gate {
    /// A request waits, or goes on to; `false` if it cannot, and must be denied.
    pub fn wait(&mut self, awaited: &Awaited, stream: u32) -> bool {
        match awaited {
            Awaited::Credential(place) => self.backend.as_mut().is_some_and(|backend| backend.wait(*place, stream)),
            Awaited::Opaque(place) => self.introspector.as_mut().is_some_and(|introspector| introspector.wait(*place, stream)),
            Awaited::Units { subject, since } => self.wait_for_units(*subject, *since, stream),
            Awaited::KeySet { issuer, wish, since, .. } => self.key_sets.wait(*issuer, wish.clone(), stream, *since),
        }
    }

    /// A request that waited has gone away.
    pub fn leave(&mut self, awaited: &Awaited, stream: u32) {
        match awaited {
            Awaited::Credential(place) => {
                if let Some(backend) = &mut self.backend {
                    backend.leave(*place, stream);
                }
            }
            Awaited::Opaque(place) => {
                if let Some(introspector) = &mut self.introspector {
                    introspector.leave(*place, stream);
                }
            }
            Awaited::Units { subject, .. } => self.leave_units(*subject, stream),
            Awaited::KeySet { issuer, .. } => self.key_sets.leave(*issuer, stream),
        }
    }
}
