//! Owns how a credential becomes a hash to be kept, and how a presented one is compared with it. Must not know whose it is.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tollgate_core::credential::{KeyHash, digest};
use tollgate_core::secret::Secret;

use super::{KeyHashing, Kind, Secrets, no_randomness};
use crate::failure::Failure;

/// Bytes of a random salt.
const SALT_LEN: usize = 16;
/// Bytes of an argon2id hash.
const HASH_LEN: usize = 32;
/// Argon2id's memory in KiB and its passes, with one lane: OWASP's least for passwords, and our keys are random. Others would be another
/// [`KeyHashing`].
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Hashes under way or waiting for their turn. More are turned away: they would take longer than a caller waits.
const MOST_WAITING: usize = 64;

/// A hash of a credential, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hash {
    pub(crate) hashing: KeyHashing,
    /// The version of the pepper.
    pub(crate) pepper: u32,
    /// With argon2id: the salt, then the hash.
    pub(crate) bytes: Vec<u8>,
}

/// Turns for hashing that needs time and memory.
#[derive(Debug)]
pub(super) struct SlowHashing {
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl SlowHashing {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { turns: Arc::new(Semaphore::new(cores)), queue: Arc::new(Semaphore::new(MOST_WAITING)) }
    }

    /// Computes an argon2id hash on a thread of its own, a core at most for each.
    async fn hash(&self, digest: [u8; 32], salt: [u8; SALT_LEN], pepper: Secret) -> Result<[u8; HASH_LEN], Failure> {
        let busy = || Failure::Unavailable { private: "too many hashes are waiting".to_owned() };
        let place = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| busy())?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| busy())?;
        let hash = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            argon2id(&digest, &salt, &pepper)
        });
        hash.await.map_err(|error| Failure::internal(&error))?
    }
}

fn argon2id(digest: &[u8; 32], salt: &[u8; SALT_LEN], pepper: &Secret) -> Result<[u8; HASH_LEN], Failure> {
    let internal = |error: argon2::Error| Failure::Internal { private: format!("argon2id: {error}") };
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(HASH_LEN)).map_err(internal)?;
    let argon2 = Argon2::new_with_secret(pepper.expose(), Algorithm::Argon2id, Version::V0x13, params).map_err(internal)?;
    let mut hash = [0; HASH_LEN];
    argon2.hash_password_into(digest, salt, &mut hash).map_err(internal)?;
    Ok(hash)
}

impl Hash {
    /// One of argon2id's: salt and hash, one behind the other.
    pub(crate) const fn of_password(pepper: u32, bytes: Vec<u8>) -> Self {
        Self { hashing: KeyHashing::Argon2id, pepper, bytes }
    }
}

impl Secrets {
    /// The hash to keep of an API key that is found by its id, as the settings say.
    pub(crate) async fn hash_as_set(&self, digest: &[u8; 32]) -> Result<Hash, Failure> {
        match self.hashing {
            KeyHashing::HmacSha256 => self.hash(digest),
            KeyHashing::Argon2id => self.hash_slowly(digest).await,
        }
    }

    /// The hash to keep of a password, which people choose: always argon2id's.
    pub(crate) async fn hash_password(&self, password: &str) -> Result<Hash, Failure> {
        self.hash_slowly(&digest(password.as_bytes())).await
    }

    /// A hash that no password has, and that takes as long to compare with as any other.
    pub(crate) fn nobodys_password(&self) -> Result<Hash, Failure> {
        let mut bytes = vec![0; SALT_LEN + HASH_LEN];
        getrandom::fill(&mut bytes).map_err(no_randomness)?;
        Ok(Hash::of_password(self.newest_pepper()?.0, bytes))
    }

    /// Whether a hash is of this password.
    pub(crate) async fn matches_password(&self, hash: &Hash, password: &str) -> Result<bool, Failure> {
        self.matches(hash, &digest(password.as_bytes())).await
    }

    /// Whether a hash was made under the newest pepper.
    pub(crate) fn is_newest(&self, hash: &Hash) -> Result<bool, Failure> {
        Ok(self.newest_pepper()?.0 == hash.pepper)
    }

    /// The hash to keep in place of another one of the same credential: under the newest pepper, and by the same hashing.
    pub(crate) async fn hash_again(&self, hash: &Hash, digest: &[u8; 32]) -> Result<Hash, Failure> {
        match hash.hashing {
            KeyHashing::HmacSha256 => self.hash(digest),
            KeyHashing::Argon2id => self.hash_slowly(digest).await,
        }
    }

    async fn hash_slowly(&self, digest: &[u8; 32]) -> Result<Hash, Failure> {
        let (version, pepper) = self.newest_pepper()?;
        let mut salt = [0; SALT_LEN];
        getrandom::fill(&mut salt).map_err(no_randomness)?;
        let hash = self.slow.hash(*digest, salt, pepper).await?;
        Ok(Hash::of_password(version, [salt.as_slice(), &hash].concat()))
    }

    /// The hash to keep of any other credential: the same whenever it is made, until there is a newer pepper.
    pub(crate) fn hash(&self, digest: &[u8; 32]) -> Result<Hash, Failure> {
        let (version, pepper) = self.newest_pepper()?;
        Ok(hmac(version, &pepper, digest))
    }

    /// All hashes that [`Secrets::hash`] makes or made, under each pepper.
    pub(crate) fn hashes(&self, digest: &[u8; 32]) -> Vec<Hash> {
        self.held().peppers.iter().map(|(version, pepper)| hmac(*version, pepper, digest)).collect()
    }

    /// Whether a hash is of the credential with this digest: in constant time. One under a pepper that is gone matches nothing.
    pub(crate) async fn matches(&self, hash: &Hash, digest: &[u8; 32]) -> Result<bool, Failure> {
        let Some(pepper) = self.find(|held| held.peppers.get(&hash.pepper).cloned()) else {
            return Ok(false);
        };
        match hash.hashing {
            KeyHashing::HmacSha256 => Ok(bool::from(hmac(hash.pepper, &pepper, digest).bytes.ct_eq(&hash.bytes))),
            KeyHashing::Argon2id => {
                let Some((salt, kept)) = hash.bytes.split_first_chunk::<SALT_LEN>() else {
                    return Err(Failure::Internal { private: "a kept hash is too short".to_owned() });
                };
                let hash = self.slow.hash(*digest, *salt, pepper).await?;
                Ok(bool::from(hash.ct_eq(kept)))
            }
        }
    }

    pub(super) fn newest_pepper(&self) -> Result<(u32, Secret), Failure> {
        let held = self.held();
        let (version, pepper) = held.current(Kind::Pepper).ok_or_else(|| Failure::Internal { private: "no pepper".to_owned() })?;
        Ok((version, pepper.clone()))
    }
}

fn hmac(version: u32, pepper: &Secret, digest: &[u8; 32]) -> Hash {
    let bytes = KeyHash::of(digest, Some(pepper)).bytes().to_vec();
    Hash { hashing: KeyHashing::HmacSha256, pepper: version, bytes }
}
