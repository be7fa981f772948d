//! Owns what the gate makes of an access token: who presents it, or why it is refused. Must not know how calls travel.

use std::cell::RefCell;
use std::rc::Rc;

use tollgate_core::credential::digest;
use tollgate_core::issuer::{Grant, KnownBy, Refused};
use tollgate_core::json::{self, Object};
use tollgate_core::jws::{Compact, Signed};
use tollgate_core::requirement::{Granted, Met};
use tollgate_core::time::{Instant, SECOND};
use tollgate_core::verdict::Reason;

use super::{Awaited, Gate, Node, Unidentified, Waited};
use crate::authn::place::Place;
use crate::authn::token_cache::{Bearer, Origin, Remembered, Verified};
use crate::backend::hex;
use crate::counters::Counter;
use crate::identity::{Consumer, Identity, Namespace};
use crate::key_sets::{Prospect, Wish};
use crate::limits::{Charge, Outcome};

/// A wall clock that reads less is not set: 2020-01-01. No token can be judged by it.
pub(super) const EARLIEST: u64 = 1_577_836_800;
/// For how long a token is refused unread: a client that does not notice costs one check in that time.
const REFUSED_FOR: u64 = 10 * SECOND;

/// What came of the check of a token's signature.
enum Checked {
    /// A key of the set of this number signed it.
    By(u64),
    /// No key that is trusted did.
    ByNobody,
    /// It cannot be known yet, or here.
    Undecided(Unidentified),
}

/// What another set of keys would have to have, and what was paid for checks by this one.
struct Unmet {
    wish: Wish,
    paid: Option<Charge>,
}

impl Gate {
    /// Who presents a token.
    pub(super) fn bearer(
        &mut self,
        token: &[u8],
        waited: Waited,
        now: Instant,
        wall: u64,
        node: &mut impl Node,
    ) -> Result<Rc<Identity>, Unidentified> {
        let seconds = wall / SECOND;
        if seconds < EARLIEST {
            return Err(Unidentified::Denied(Reason::Unavailable, None));
        }
        let place = self.tokens.place(token);
        let key_sets = &self.key_sets;
        let verified = match self.tokens.find(place, now, |issuer| key_sets.number(issuer, now)) {
            Remembered::Verified(verified) => {
                self.counters.count(Counter::TokenHit);
                verified.validity.at(seconds).map_err(|refused| Unidentified::Denied(reason(refused), None))?;
                verified
            }
            Remembered::Refused(reason) => {
                self.counters.count(Counter::TokenRefusedHit);
                return Err(match self.address_blocked(false, now, node) {
                    Some(wait) => Unidentified::Denied(Reason::Blocked, Some(wait)),
                    None => Unidentified::Denied(reason, None),
                });
            }
            Remembered::Nothing => {
                // Before anything is paid for it.
                if let Some(wait) = self.stranger_blocked(token, now, node) {
                    return Err(Unidentified::Denied(Reason::Blocked, Some(wait)));
                }
                let verified = self.verify(place, token, waited, now, seconds, node)?;
                self.note_good(token, node);
                verified
            }
        };
        self.present(&verified, waited, now, node)
    }

    /// Judges a token that is not remembered.
    fn verify(
        &mut self,
        place: Place,
        token: &[u8],
        waited: Waited,
        now: Instant,
        seconds: u64,
        node: &mut impl Node,
    ) -> Result<Rc<Verified>, Unidentified> {
        let read = Compact::parse(token).ok().and_then(|compact| Some((json::object(compact.unverified_payload())?, compact)));
        let known = read.and_then(|(claims, compact)| {
            // Whoever the token says issued it must have signed it: this only chooses whose keys are tried.
            let name = claims.get("iss")?.as_str()?;
            let position = self.policy.tokens.issuers.iter().position(|issuer| issuer.name == name)?;
            let allowed = self.policy.tokens.issuers.get(position)?.algorithms.contains(&compact.header().algorithm);
            allowed.then_some((claims, compact, position))
        });
        let Some((claims, compact, position)) = known else {
            self.counters.count(Counter::TokenMalformed);
            return Err(Unidentified::Denied(Reason::InvalidToken, None));
        };
        let signed_by = match self.check(&compact, position, waited, now, node) {
            Checked::By(number) => (position, number),
            Checked::ByNobody => {
                self.counters.count(Counter::TokenFailed);
                // By the set there is: under another it may be right.
                let refused_by = self.key_sets.number(position, now).map(|number| (position, number));
                self.tokens.refuse(place, Reason::InvalidToken, refused_by, now.after(REFUSED_FOR));
                return Err(Unidentified::Denied(Reason::InvalidToken, None));
            }
            Checked::Undecided(why) => return Err(why),
        };
        self.counters.count(Counter::TokenVerified);
        let Some(issuer) = self.policy.tokens.issuers.get(position) else {
            return Err(Unidentified::Denied(Reason::Unavailable, None));
        };
        let grant = match issuer.judge(compact.header(), &claims, seconds) {
            Ok(grant) => grant,
            Err(refused) => {
                self.counters.count(Counter::TokenUnaccepted);
                let wait = if let Refused::NotYetValid(left) = refused { left.saturating_mul(SECOND) } else { REFUSED_FOR };
                self.tokens.refuse(place, reason(refused), Some(signed_by), now.after(wait.min(REFUSED_FOR)));
                return Err(Unidentified::Denied(reason(refused), None));
            }
        };
        // What is called by no id of its own is called by what it says.
        let name = hex(digest(compact.text()).first_chunk::<12>().unwrap_or(&[0; 12]));
        let validity = grant.validity;
        let bearer = self.bearer_of(position, &claims, grant, name).map_err(|reason| {
            if reason == Reason::UnknownConsumer {
                self.counters.count(Counter::TokenUnaccepted);
                self.tokens.refuse(place, reason, Some(signed_by), now.after(REFUSED_FOR));
            }
            Unidentified::Denied(reason, None)
        })?;
        let verified = Rc::new(Verified { signed_by, validity, until: None, bearer });
        self.tokens.know(place, verified.clone());
        Ok(verified)
    }

    /// Who presents a token that its issuer vouches for; `name` is what it is called where it has no id.
    pub(super) fn bearer_of(&self, issuer: usize, claims: &Object, grant: Grant, name: String) -> Result<Bearer, Reason> {
        let issuer = self.policy.tokens.issuers.get(issuer).ok_or(Reason::Unavailable)?;
        let met = Met::of(&self.policy.requirements, Granted { scopes: &grant.scopes, roles: &grant.roles, claims: Some(claims) });
        let Grant { consumer, tier, id, origin, .. } = grant;
        let credential = id.unwrap_or(name);
        let known = |consumer| Bearer::Known(Rc::new(Identity::configured(credential.clone(), consumer, met.clone())));
        Ok(match &issuer.known_by {
            // The issuer's rules gave it a tier.
            KnownBy::Token(_) => known(Consumer::fixed(consumer, Namespace::Issuer(issuer.tag), tier.ok_or(Reason::Unavailable)?)),
            KnownBy::Configuration => {
                let own = self.policy.consumers.iter().find(|own| own.id == consumer).ok_or(Reason::UnknownConsumer)?;
                known(Consumer::fixed(consumer, Namespace::Configuration, own.tier).within(&own.addresses))
            }
            KnownBy::Credential => {
                let origin = origin.ok_or(Reason::InvalidToken)?;
                let place = self.keys.cache.place_of_credential(&origin.credential);
                let revoked_by = [Some(&origin.token), origin.family.as_ref()].map(|id| id.map(|id| self.revoked.place(id)));
                let credential = origin.credential;
                Bearer::Credential(Box::new(Origin { credential, place, consumer, revoked_by, met, identity: RefCell::new(None) }))
            }
            KnownBy::Backend => {
                let place = self.keys.cache.place_of_consumer(&consumer);
                Bearer::Consumer { id: consumer, place, credential, met, identity: RefCell::new(None) }
            }
        })
    }

    /// Looks for the key that signed a token; where only another set could tell, that is asked for.
    fn check(&mut self, compact: &Compact<'_>, issuer: usize, waited: Waited, now: Instant, node: &mut impl Node) -> Checked {
        // It is checked anew, and pays anew.
        self.uncharge(self.tiers.token_bound(), waited.paid.as_ref(), now, node);
        loop {
            let Unmet { wish, paid } = match self.check_by_own_set(compact, issuer, now, node) {
                Ok(checked) => return checked,
                Err(unmet) => unmet,
            };
            return match self.key_sets.want(issuer, &wish, waited.for_keys, now, node, &mut self.counters) {
                // Each time by a newer set, which another worker fetched.
                Prospect::There => {
                    self.uncharge(self.tiers.token_bound(), paid.as_ref(), now, node);
                    continue;
                }
                Prospect::Missing if paid.is_some() => Checked::ByNobody,
                // Whoever asks for keys that are not there pays for it too.
                Prospect::Missing => self.charge_for_checks(1, now, node).map_or_else(Checked::Undecided, |_| Checked::ByNobody),
                Prospect::Coming => {
                    Checked::Undecided(Unidentified::Awaits(Awaited::KeySet { issuer, wish, since: waited.for_keys.unwrap_or(now), paid }))
                }
                Prospect::Later(wait) => Checked::Undecided(Unidentified::Denied(Reason::Unavailable, Some(wait))),
            };
        }
    }

    /// Looks in the set that this worker has. A check may cost milliseconds, so it is paid for before, and given back if a key signed.
    ///
    /// # Errors
    /// What would have to be in another set.
    // In the loop of its caller it would add 8 KB to the module.
    #[inline(never)]
    fn check_by_own_set(&mut self, compact: &Compact<'_>, issuer: usize, now: Instant, node: &mut impl Node) -> Result<Checked, Unmet> {
        let header = compact.header();
        let Some((set, number)) = self.key_sets.get(issuer, now) else {
            return Err(Unmet { wish: Wish::Any, paid: None });
        };
        if let Some(id) = &header.key_id
            && !set.names(id)
        {
            return Err(Unmet { wish: Wish::Key(id.clone()), paid: None });
        }
        let candidates = self.policy.tokens.issuers.get(issuer).map(|own| own.candidates(set, header)).unwrap_or_default();
        let mut paid = None;
        if !candidates.is_empty() {
            match self.charge_for_checks(candidates.len(), now, node) {
                Ok(charge) => paid = Some(charge),
                Err(why) => return Ok(Checked::Undecided(why)),
            }
        }
        let mut signed = Signed::No;
        for position in candidates {
            let Some(key) = self.key_sets.get(issuer, now).and_then(|(set, _)| set.keys().get(position)) else {
                continue;
            };
            match compact.signed_by(key, node) {
                Signed::Yes => {
                    signed = Signed::Yes;
                    break;
                }
                Signed::Unknown => signed = Signed::Unknown,
                Signed::No => {}
            }
        }
        if signed != Signed::No {
            self.uncharge(self.tiers.token_bound(), paid.as_ref(), now, node);
        }
        match signed {
            Signed::Yes => Ok(Checked::By(number)),
            Signed::Unknown => Ok(Checked::Undecided(Unidentified::Denied(Reason::Unavailable, None))),
            Signed::No if header.key_id.is_some() => Ok(Checked::ByNobody),
            Signed::No => Err(Unmet { wish: Wish::Other(number), paid }),
        }
    }

    /// Who presents a verified token.
    pub(super) fn present(
        &mut self,
        verified: &Verified,
        waited: Waited,
        now: Instant,
        node: &mut impl Node,
    ) -> Result<Rc<Identity>, Unidentified> {
        match &verified.bearer {
            Bearer::Known(identity) => Ok(identity.clone()),
            Bearer::Credential(origin) => self.present_own(origin, waited, now, node),
            Bearer::Consumer { id, place, credential, met, identity } => {
                let consumer = self.named_consumer(*place, id, waited, now, node)?;
                let mut identity = identity.borrow_mut();
                if let Some(own) = identity.as_ref().filter(|own| Rc::ptr_eq(&own.consumer, &consumer)) {
                    return Ok(own.clone());
                }
                let made = Rc::new(Identity {
                    credential: credential.clone(),
                    consumer,
                    met: met.clone(),
                    addresses: None,
                    signing: None,
                    own: None,
                    told: None,
                });
                *identity = Some(made.clone());
                Ok(made)
            }
        }
    }

    /// Who presents a token that the backend issued: whoever may use the credential it came from, unless the token is revoked.
    #[inline(never)]
    fn present_own(&mut self, origin: &Origin, waited: Waited, now: Instant, node: &mut impl Node) -> Result<Rc<Identity>, Unidentified> {
        let whose = self.named_credential(origin.place, &origin.credential, waited, now, node)?;
        // The credential was asked about once that was known, so this is the end of the wait.
        let known = self.backend.as_ref().is_some_and(|backend| backend.knows_revocations(now));
        match self.revoked.any(&origin.revoked_by, now).filter(|_| known) {
            None => return Err(Unidentified::Denied(Reason::Unavailable, None)),
            Some(true) => {
                self.counters.count(Counter::TokenRevoked);
                return Err(Unidentified::Denied(Reason::InvalidToken, None));
            }
            Some(false) => {}
        }
        if whose.consumer.id != origin.consumer {
            return Err(Unidentified::Denied(Reason::InvalidToken, None));
        }
        let mut identity = origin.identity.borrow_mut();
        if let Some((_, own)) = identity.as_ref().filter(|(of, _)| Rc::ptr_eq(of, &whose)) {
            return Ok(own.clone());
        }
        let made = Rc::new(Identity {
            credential: whose.credential.clone(),
            consumer: whose.consumer.clone(),
            // Neither gives the other what it has not.
            met: origin.met.and(&whose.met),
            addresses: whose.addresses.clone(),
            // A key that must sign is of no more use by its tokens.
            signing: whose.signing.clone(),
            own: whose.own.clone(),
            told: whose.told.clone(),
        });
        *identity = Some((whose, made.clone()));
        Ok(made)
    }

    /// What checks of a signature cost the client's address.
    pub(super) fn charge_for_checks(&mut self, checks: usize, now: Instant, node: &mut impl Node) -> Result<Charge, Unidentified> {
        let unavailable = || Unidentified::Denied(Reason::Unavailable, None);
        let bound = self.tiers.token_bound().ok_or_else(unavailable)?;
        let subject = self.account_of_address("\0tokens", node);
        match self.charge(bound, subject, 0, u32::try_from(checks).unwrap_or(u32::MAX), now, node) {
            Some((Outcome::Admitted(charge), _)) => Ok(charge),
            Some((Outcome::Refused { wait }, _)) => {
                self.counters.count(Counter::TokenNotChecked);
                Err(Unidentified::Denied(Reason::TooManyFailedTokens, wait))
            }
            Some((Outcome::Unavailable, _)) | None => Err(unavailable()),
        }
    }
}

pub(super) const fn reason(refused: Refused) -> Reason {
    match refused {
        Refused::Malformed => Reason::InvalidToken,
        Refused::Expired => Reason::ExpiredToken,
        Refused::NotYetValid(_) => Reason::TokenNotYetValid,
        Refused::WrongAudience => Reason::WrongAudience,
    }
}

#[cfg(test)]
mod tests;
