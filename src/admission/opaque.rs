//! Owns what the gate makes of an opaque token: who presents it, by the word of its issuer. Must not know how calls travel.

use std::rc::Rc;

use tollgate_core::credential::{Provenance, issued_id};
use tollgate_core::json::Object;
use tollgate_core::time::{Instant, SECOND};
use tollgate_core::verdict::Reason;

use super::tokens::{EARLIEST, reason};
use super::{Awaited, Gate, Node, Unidentified, Waited};
use crate::authn::place::Place;
use crate::authn::token_cache::{Remembered, Verified};
use crate::call::{Answer, CallError};
use crate::counters::Counter;
use crate::identity::Identity;
use crate::introspection::{Introspector, Said, Told};
use crate::shared::SharedData;

impl Gate {
    /// Whether a credential is an opaque token, if it is anything: it is no key of the configuration, and has not the form of an issued one.
    pub(super) fn is_opaque(&self, presented: &[u8]) -> bool {
        self.introspector.is_some()
            && issued_id(presented).is_none()
            && Provenance::of(&self.policy.issuer_keys, presented) == Provenance::Foreign
            && self.policy.api_keys.find(presented).is_none()
    }

    /// Who presents an opaque token.
    #[inline(never)]
    pub(super) fn opaque(
        &mut self,
        token: &[u8],
        waited: Waited,
        now: Instant,
        wall: u64,
        node: &mut impl Node,
    ) -> Result<Rc<Identity>, Unidentified> {
        let unavailable = || Unidentified::Denied(Reason::Unavailable, None);
        let seconds = wall / SECOND;
        let Some(introspector) = self.introspector.as_mut().filter(|_| seconds >= EARLIEST) else {
            return Err(unavailable());
        };
        let place = introspector.place(token);
        match introspector.find(place, now) {
            Remembered::Verified(verified) => {
                self.counters.count(Counter::TokenHit);
                verified.validity.at(seconds).map_err(|refused| Unidentified::Denied(reason(refused), None))?;
                if waited.for_issuer {
                    self.note_good(token, node);
                }
                return self.present(&verified, waited, now, node);
            }
            Remembered::Refused(reason) => {
                self.counters.count(Counter::TokenRefusedHit);
                return Err(match self.address_blocked(false, now, node) {
                    Some(wait) => Unidentified::Denied(Reason::Blocked, Some(wait)),
                    None => Unidentified::Denied(reason, None),
                });
            }
            Remembered::Nothing if waited.for_issuer => return Err(unavailable()),
            Remembered::Nothing if introspector.is_asked(place) => return Err(Unidentified::Awaits(Awaited::Opaque(place))),
            Remembered::Nothing if !introspector.has_room() => {
                self.counters.count(Counter::TokenNotChecked);
                return Err(unavailable());
            }
            Remembered::Nothing => {}
        }
        // Before anything is paid for it.
        if let Some(wait) = self.stranger_blocked(token, now, node) {
            return Err(Unidentified::Denied(Reason::Blocked, Some(wait)));
        }
        let paid = self.charge_for_checks(1, now, node)?;
        if let Some(introspector) = &mut self.introspector {
            introspector.ask(place, token, paid, now, wall);
        }
        Err(Unidentified::Awaits(Awaited::Opaque(place)))
    }

    /// Takes what an issuer says of a token; answers which requests need wait no longer.
    #[inline(never)]
    pub(super) fn told_of_token(
        &mut self,
        place: Place,
        sent: Instant,
        answer: Answer<'_>,
        now: Instant,
        shared: &mut impl SharedData,
    ) -> (Vec<u32>, Option<CallError>) {
        let Some(Told { said, waiters, paid, name, wall }) =
            self.introspector.as_mut().and_then(|introspector| introspector.heard(place, answer))
        else {
            return (Vec::new(), None);
        };
        let seconds = wall.saturating_add(now.since(sent)) / SECOND;
        // A token that is nobody's stays charged to its address.
        if !matches!(said, Said::Inactive) {
            self.uncharge(self.tiers.token_bound(), Some(&paid), now, shared);
        }
        let (verdict, error) = match said {
            Said::Active(claims) => (Some(self.introspected(name, &claims, seconds)), None),
            Said::Inactive => {
                self.counters.count(Counter::TokenFailed);
                (Some(Err(Reason::InvalidToken)), None)
            }
            Said::Nothing(error) => {
                self.counters.count(Counter::CallFailed);
                (None, Some(error))
            }
        };
        if let Some(introspector) = &mut self.introspector {
            match verdict {
                // When it ends is looked at each time, by the wall clock.
                Some(Ok(verified)) => introspector.know(place, Verified { until: Some(introspector.until(sent)), ..verified }),
                Some(Err(reason)) => introspector.refuse(place, reason, sent),
                None => {}
            }
        }
        (waiters, error)
    }

    /// Who presents a token that is active; `name` is what it is called where it has no id.
    fn introspected(&mut self, name: String, claims: &Object, seconds: u64) -> Result<Verified, Reason> {
        let position = self.introspector.as_ref().map(Introspector::issuer).unwrap_or_default();
        let judged = self.policy.tokens.issuers.get(position).map(|issuer| issuer.judge_introspected(claims, seconds));
        let judged = judged.ok_or(Reason::Unavailable)?.map_err(reason);
        let bearer = judged.and_then(|grant| Ok((grant.validity, self.bearer_of(position, claims, grant, name)?)));
        self.counters.count(if bearer.is_ok() { Counter::TokenVerified } else { Counter::TokenUnaccepted });
        bearer.map(|(validity, bearer)| Verified { signed_by: (position, 0), validity, until: None, bearer })
    }
}

#[cfg(test)]
mod tests;
