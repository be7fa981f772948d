//! Owns when a request must be signed, and what becomes of one that is not, or not rightly. Must not know how signatures are read or kept.
//!
//! A credential without a signing secret on a route that asks for none costs nothing but two checks.

use tollgate_core::abuse::Signal;
use tollgate_core::credential::digest;
use tollgate_core::signature::{self, Body, Fields, Request, Rules, Signing, Wrong};
use tollgate_core::time::{Instant, SECOND};
use tollgate_core::verdict::Reason;

use super::{Denial, Gate, Node, Permit};
use crate::backend::{Nonce, Taken};
use crate::counters::Counter;
use crate::head::Head;
use crate::identity::{Identity, Namespace};
use crate::nonces::{self, Use};
use crate::shared::SharedData;

/// A good signature that was not used before, as far as is known.
#[derive(Debug)]
pub(super) struct Seal {
    /// Where the node notes that it was used.
    place: (u64, u64),
    /// Until when it would be taken again, and what time it is: seconds since 1970.
    until: u64,
    wall: u64,
    /// What the body must be, where that is checked here.
    pub(super) body: Option<Body>,
    /// What no other node may have taken, where that is asked for.
    pub(super) nonce: Option<Nonce>,
}

impl Gate {
    /// Checks a request's signature where one is asked for.
    pub(super) fn signature(
        &mut self,
        identity: Option<&Identity>,
        route: u16,
        head: &Head<'_>,
        now: Instant,
        wall: u64,
        node: &mut impl Node,
    ) -> Result<Option<Seal>, Reason> {
        let rules = self.policy.routes.get(usize::from(route)).and_then(|route| route.signature.as_ref());
        let signing = identity.and_then(|identity| identity.signing.as_deref());
        if rules.is_none() && !signing.is_some_and(|signing| signing.required) {
            return Ok(None);
        }
        let rules = rules.or(self.policy.signatures.as_ref());
        let (Some(rules), Some(signing), Some(identity)) = (rules, signing, identity) else {
            return Err(Reason::SignatureRequired);
        };
        let checked = check(rules, signing, identity, head, wall);
        let (signed, seal) = match checked {
            Ok(signed) => signed,
            Err(Wrong::Missing) => return Err(Reason::SignatureRequired),
            Err(Wrong::Outdated) => return Err(Reason::ExpiredSignature),
            Err(Wrong::Invalid) => {
                self.suspect_signature(head, now, node);
                return Err(Reason::InvalidSignature);
            }
        };
        let of: &[u8] = match identity.consumer.namespace {
            Namespace::Configuration => b"c",
            Namespace::Backend => b"b",
            Namespace::Issuer(_) => b"i",
        };
        // No id holds a zero byte.
        let name = [b"signature\0", of, identity.credential.as_bytes(), b"\0", &signed].concat();
        // Clocks may differ by as much the other way on another node.
        let left = seal.until.saturating_sub(seal.wall).saturating_add(1).saturating_add(2 * rules.clock_skew);
        let nonce = rules.mesh.then(|| Nonce { sha256: digest(&name), for_ms: left.saturating_mul(1_000) });
        let seal = Seal { place: self.hash_key.credential(&name, node), nonce, ..seal };
        if !self.hash_key.is_of_node() {
            return Err(Reason::Unavailable);
        }
        self.look(&seal, false, node)?;
        Ok(Some(seal))
    }

    /// Notes that a signature was used.
    pub(super) fn use_up(&mut self, seal: &Seal, node: &mut impl Node) -> Result<(), Reason> {
        self.look(seal, true, node)
    }

    fn look(&mut self, seal: &Seal, note: bool, shared: &mut impl SharedData) -> Result<(), Reason> {
        match nonces::look(seal.place, self.policy.node.nonces, seal.until, note, seal.wall, shared) {
            Ok(Use::First) => Ok(()),
            Ok(Use::Over) => Err(Reason::ExpiredSignature),
            Ok(Use::Again) => Err(Reason::ReplayedSignature),
            Ok(Use::Full) | Err(_) => {
                self.counters.count(Counter::Degraded);
                Err(Reason::Unavailable)
            }
        }
    }

    /// A request that was admitted waits until its nonce is its own on all nodes; `false` if it cannot, and must be denied.
    pub fn take(&mut self, nonce: Nonce, stream: u32, now: Instant) -> bool {
        self.backend.as_mut().is_some_and(|backend| backend.take(nonce, stream, now))
    }

    /// Why a request is denied whose nonce was not its own, or not known to be; `None`: it goes on.
    pub fn not_taken(&mut self, permit: &Permit, taken: Taken, node: &mut impl Node) -> Option<Denial> {
        let reason = match taken {
            Taken::First => return None,
            Taken::Again => Reason::ReplayedSignature,
            Taken::Unknown => Reason::ReplayUnknown,
        };
        self.counters.count(Counter::Denied(reason));
        let denial = Denial { reason, route: Some(permit.route), identity: permit.identity.clone(), wait: None, limited: None };
        self.note_refused(&denial, node);
        Some(denial)
    }

    fn suspect_signature(&mut self, head: &Head<'_>, now: Instant, node: &mut impl Node) {
        let mut shown = b"signature\0".to_vec();
        head.each("signature", &mut |value| shown.extend_from_slice(value));
        self.suspect_address(Signal::WrongSignature, Some(&shown), now, node);
    }

    /// Compares a body that was held with the one that was signed; why its request is denied if they differ.
    pub fn check_body(&mut self, permit: &Permit, body: &[u8], now: Instant, node: &mut impl Node) -> Option<Denial> {
        if permit.body.is_none_or(|signed| signed.is(body)) {
            return None;
        }
        let reason = Reason::WrongDigest;
        self.counters.count(Counter::Denied(reason));
        self.suspect_address(Signal::WrongSignature, None, now, node);
        Some(Denial { reason, route: Some(permit.route), identity: permit.identity.clone(), wait: None, limited: None })
    }
}

/// A good signature: what tells it from others, and all of its seal but the place.
fn check(rules: &Rules, signing: &Signing, identity: &Identity, head: &Head<'_>, wall: u64) -> Result<(Vec<u8>, Seal), Wrong> {
    let mut scheme = Vec::new();
    head.each(":scheme", &mut |value| scheme = value.to_vec());
    let request = Request {
        method: head.method,
        scheme: &scheme,
        authority: head.authority,
        target: head.target,
        has_body: head.has_body,
        fields: head,
    };
    let seconds = wall / SECOND;
    let signed = signature::check(&request, rules, &identity.credential, &signing.secret, seconds)?;
    let body = (rules.checks_body && head.has_body).then_some(signed.body);
    Ok((signed.once, Seal { place: (0, 0), until: signed.until, wall: seconds, body, nonce: None }))
}

#[cfg(test)]
mod tests;
