//! Owns how secrets that must be had again are kept in the store: sealed under an encryption key, bound to what they are and whose. Must not
//! know what they are.
//!
//! A sealed secret begins with the version of its encryption key, so that the keys can be replaced: [`Secrets::protect`] takes the newest,
//! [`Secrets::reveal`] whichever it was.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use tollgate_core::secret::Secret;
use zeroize::Zeroizing;

use super::symmetric::sign;
use super::{Kind, Secrets, no_randomness};
use crate::failure::Failure;

impl Secrets {
    /// Seals a secret for the store. `purpose` says what it is (`signing secret`), `id` whose: both must be the same when it is revealed, so
    /// that nobody who can write to the store can put one secret in another's place.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] without randomness.
    pub(crate) fn protect(&self, purpose: &str, id: &str, secret: &[u8]) -> Result<Vec<u8>, Failure> {
        let held = self.held();
        let (version, encryption_key) = held.current(Kind::Encryption).ok_or_else(broken)?;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(no_randomness)?;
        let mut sealed = secret.to_vec();
        key(encryption_key, purpose, id)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .map_err(|_| broken())?;
        Ok([version.to_be_bytes().as_slice(), &nonce, &sealed].concat())
    }

    /// Opens what [`Secrets::protect`] sealed.
    ///
    /// # Errors
    /// [`Failure::Internal`] if it was sealed for something else, or under a key that is gone.
    pub(crate) fn reveal(&self, purpose: &str, id: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let (version, rest) = sealed.split_first_chunk().ok_or_else(broken)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(broken)?;
        let version = u32::from_be_bytes(*version);
        let encryption_key = self.find(|held| held.encryption.get(&version).cloned()).ok_or_else(broken)?;
        let mut bytes = Zeroizing::new(rest.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key(&encryption_key, purpose, id)?.open_in_place(nonce, Aad::empty(), &mut bytes).map_err(|_| broken())?;
        Ok(Zeroizing::new(opened.to_vec()))
    }
}

/// One key for each secret, so that no two are sealed under the same key and nonce however many there are.
fn key(encryption_key: &Secret, purpose: &str, id: &str) -> Result<LessSafeKey, Failure> {
    let key = Zeroizing::new(sign(encryption_key, "protected secret 1", &[purpose.as_bytes(), id.as_bytes()]));
    UnboundKey::new(&CHACHA20_POLY1305, key.as_slice()).map(LessSafeKey::new).map_err(|_| broken())
}

#[cold]
fn broken() -> Failure {
    Failure::Internal { private: "a secret of the store cannot be sealed or opened".to_owned() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::secrets::KeyHashing;

    fn secrets(versions: &[u32]) -> Secrets {
        let names = ["TOLLGATE_PEPPER_1", "TOLLGATE_ISSUER_KEY_1", "TOLLGATE_TOKEN_KEY"].map(str::to_owned);
        let versions = versions.iter().map(|version| format!("TOLLGATE_ENCRYPTION_KEY_{version}"));
        let environment = names.into_iter().chain(versions).map(|name| (name.clone(), format!("the secret of {name}")));
        Secrets::load(Path::new("/nonexistent"), environment, "foil", KeyHashing::default()).unwrap()
    }

    #[test]
    fn a_sealed_secret_opens_for_its_purpose_and_owner_alone() {
        let secrets = secrets(&[1]);
        let sealed = secrets.protect("signing secret", "a", b"word").unwrap();
        assert_eq!(secrets.reveal("signing secret", "a", &sealed).unwrap().as_slice(), b"word");
        assert!(secrets.reveal("signing secret", "b", &sealed).is_err());
        assert!(secrets.reveal("signing key", "a", &sealed).is_err());
        for position in 0..sealed.len() {
            let mut other = sealed.clone();
            other[position] ^= 1;
            assert!(secrets.reveal("signing secret", "a", &other).is_err(), "byte {position}");
            assert!(secrets.reveal("signing secret", "a", &sealed[..position]).is_err(), "{position} bytes");
        }
        assert_ne!(secrets.protect("signing secret", "a", b"word").unwrap(), sealed);
    }

    #[test]
    fn the_newest_key_seals_and_older_ones_open() {
        let before = secrets(&[1]).protect("signing secret", "a", b"word").unwrap();
        let both = secrets(&[1, 2]);
        assert_eq!(both.reveal("signing secret", "a", &before).unwrap().as_slice(), b"word");
        let after = both.protect("signing secret", "a", b"word").unwrap();
        assert_eq!(secrets(&[2]).reveal("signing secret", "a", &after).unwrap().as_slice(), b"word");
        assert!(secrets(&[2]).reveal("signing secret", "a", &before).is_err());
    }
}
