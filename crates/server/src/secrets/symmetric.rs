//! Owns what is authenticated or sealed with the backend's secrets: node tokens, names of requests, remembered answers. Must not know what
//! is in them.
//!
//! Each use of a secret has a purpose's name in what it signs, so that nothing made for one passes for another.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use subtle::ConstantTimeEq;
use tollgate_core::secret::Secret;
use zeroize::Zeroizing;

use super::{Kind, Secrets, no_randomness};
use crate::failure::Failure;

/// Bytes of a tag.
pub(crate) const TAG_LEN: usize = 32;

/// A tag over parts that cannot run into each other.
pub(super) fn sign(secret: &Secret, purpose: &str, parts: &[&[u8]]) -> [u8; TAG_LEN] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose()));
    for part in [purpose.as_bytes()].iter().chain(parts) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut tag = [0; TAG_LEN];
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

impl Secrets {
    /// The tag that the newest token key makes.
    pub(crate) fn token_tag(&self, body: &[u8]) -> Result<[u8; TAG_LEN], Failure> {
        Ok(sign(&self.newest_token_key()?, "node token 1", &[body]))
    }

    /// Whether one of the token keys makes this tag; in constant time for each.
    pub(crate) fn is_token_tag(&self, body: &[u8], tag: &[u8]) -> bool {
        let makes = |secret: &Secret| bool::from(sign(secret, "node token 1", &[body]).ct_eq(tag));
        self.find(|held| held.tokens.values().rev().any(makes).then_some(())).is_some()
    }

    /// The secret part of a refresh token: of the family that has this seed, the one of this number.
    pub(crate) fn refresh_tag(&self, family: &str, seed: &[u8], number: u32) -> Result<[u8; TAG_LEN], Failure> {
        Ok(refresh_tag(&self.newest_token_key()?, family, seed, number))
    }

    /// Whether one of the token keys makes this secret part.
    pub(crate) fn is_refresh_tag(&self, family: &str, seed: &[u8], number: u32, tag: &[u8]) -> bool {
        let makes = |secret: &Secret| bool::from(Zeroizing::new(refresh_tag(secret, family, seed, number)).ct_eq(tag));
        self.find(|held| held.tokens.values().rev().any(makes).then_some(())).is_some()
    }

    fn newest_token_key(&self) -> Result<Secret, Failure> {
        let held = self.held();
        held.current(Kind::Token).map(|(_, secret)| secret.clone()).ok_or_else(|| broken("signed"))
    }

    /// Names for something, one under each pepper, the newest first: whoever has not the peppers learns nothing from them.
    pub(crate) fn names(&self, purpose: &str, parts: &[&[u8]]) -> Vec<[u8; TAG_LEN]> {
        let held = self.held();
        let newest = held.newest(Kind::Pepper);
        let others = held.peppers.iter().rev().filter(|(version, _)| Some(**version) != newest).map(|(_, pepper)| pepper);
        held.current(Kind::Pepper).map(|(_, pepper)| pepper).into_iter().chain(others).map(|pepper| sign(pepper, purpose, parts)).collect()
    }

    /// Seals bytes under a pepper and a word of the client's, so that neither alone opens them. `bound` is not sealed, but must be the same
    /// when they are opened.
    pub(crate) fn seal(&self, word: &[&[u8]], bound: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Failure> {
        let (_, pepper) = self.newest_pepper()?;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(no_randomness)?;
        let mut sealed = bytes.to_vec();
        let key = sealing_key(&pepper, word)?;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut sealed).map_err(|_| broken("sealed"))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed, under whichever pepper.
    pub(crate) fn open(&self, word: &[&[u8]], bound: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Failure> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(|| broken("opened"))?;
        for pepper in self.held().peppers.values().rev() {
            let mut bytes = sealed.to_vec();
            let key = sealing_key(pepper, word)?;
            if let Ok(opened) = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound), &mut bytes) {
                return Ok(opened.to_vec());
            }
        }
        Err(broken("opened"))
    }
}

fn refresh_tag(secret: &Secret, family: &str, seed: &[u8], number: u32) -> [u8; TAG_LEN] {
    sign(secret, "refresh token 1", &[family.as_bytes(), seed, &number.to_be_bytes()])
}

fn sealing_key(pepper: &Secret, word: &[&[u8]]) -> Result<LessSafeKey, Failure> {
    let key = sign(pepper, "sealed answer 1", word);
    UnboundKey::new(&CHACHA20_POLY1305, &key).map(LessSafeKey::new).map_err(|_| broken("sealed"))
}

#[cold]
fn broken(what: &str) -> Failure {
    Failure::Internal { private: format!("an answer could not be {what}") }
}
