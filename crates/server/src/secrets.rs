//! Owns the backend's own secrets: peppers, issuer keys, encryption keys, the key of node tokens; and what is made with them. Must not know whose a key is.
//!
//! Each kind has versions: the highest makes what is new, all of them know what is old. Another version is a file (or variable) of the next number;
//! an old one is taken away once nothing made with it is in use. Nodes must have a new issuer key before the backend uses it: what it makes they
//! would take for forged.

mod hash;
mod protection;
mod rotation;
mod sources;
mod symmetric;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tollgate_core::credential::{IssuerKey, Provenance, is_prefix};
use tollgate_core::secret::Secret;
use zeroize::Zeroizing;

use crate::failure::Failure;

pub(crate) use hash::Hash;
use hash::SlowHashing;
pub(crate) use rotation::Version;
pub use rotation::{Origin, Use};
pub use sources::Kind;
use sources::Sources;

/// The prefix of admin keys.
const ADMIN_PREFIX: &str = "tga";
/// The prefix of node credentials.
const NODE_PREFIX: &str = "tgn";

/// How often files are read again because a version is missing.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How API keys are hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyHashing {
    /// HMAC-SHA-256 under the pepper: right for random keys, and fast.
    #[default]
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// Argon2id under the pepper: slow and in need of memory, on purpose.
    #[serde(rename = "argon2id")]
    Argon2id,
}

/// Why the secrets cannot be had. Never carries one.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// There is none of a kind.
    #[error("there is no {0}: run `tollgate init`, or set it in the environment")]
    Missing(&'static str),
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Others than its owner and its group may use a file.
    #[error("{} is open to others than its owner: `chmod 600` it", .0.display())]
    Open(PathBuf),
    /// A secret is too short.
    #[error("{name} has {length} bytes; at least {least}")]
    Short {
        /// Which: a file or variable.
        name: String,
        /// Its length.
        length: usize,
        /// The least.
        least: usize,
    },
    /// A variable is named like a secret's but has no version.
    #[error("{0} names no version: they count from 1, as in TOLLGATE_PEPPER_1, TOLLGATE_ISSUER_KEY_1 and TOLLGATE_ENCRYPTION_KEY_1")]
    Version(String),
    /// The prefix of API keys is none.
    #[error("`{0}` cannot be the prefix of keys: 2 to 16 lower-case letters and digits, a letter first; not `tga` or `tgn`")]
    Prefix(String),
}

/// What a credential is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An API key.
    Api,
    /// An admin key.
    Admin,
    /// A node credential.
    Node,
}

/// A credential just made.
#[derive(Debug)]
pub(crate) struct Issued {
    /// The id inside it.
    pub(crate) id: String,
    /// The credential itself.
    pub(crate) shown: Shown,
}

/// The backend's own secrets. The `Debug` form hides them.
#[derive(Debug)]
pub struct Secrets {
    held: RwLock<Arc<Held>>,
    source: Source,
    hashing: KeyHashing,
    slow: SlowHashing,
    /// When files were last read again because a version was missing.
    looked: Mutex<Option<Instant>>,
}

/// Where secrets come from.
#[derive(Debug)]
struct Source {
    dir: PathBuf,
    environment: Sources,
    prefix: String,
}

/// The secrets there are at one time.
#[derive(Debug)]
struct Held {
    peppers: BTreeMap<u32, Secret>,
    issuers: BTreeMap<u32, Secret>,
    /// Newest last, as all of the following.
    api: Vec<IssuerKey>,
    admin: Vec<IssuerKey>,
    node: Vec<IssuerKey>,
    encryption: BTreeMap<u32, Secret>,
    signing: BTreeMap<u32, Secret>,
    tokens: BTreeMap<u32, Secret>,
    smtp: Option<Secret>,
    versions: BTreeMap<(Kind, u32), Origin>,
    prepared: Vec<(Kind, u32)>,
}

/// A secret that is shown once. Its `Debug` form hides it; it is wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shown(Zeroizing<String>);

// === impl KeyHashing ===

impl KeyHashing {
    pub(crate) const ALL: [Self; 2] = [Self::HmacSha256, Self::Argon2id];

    /// Its name, as it is stored and set.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Argon2id => "argon2id",
        }
    }
}

// === impl Secrets ===

impl Secrets {
    /// Reads the secrets: `DIR/secrets/{pepper.N,issuer.N,encryption.N,signing.N,token.key,token.N}`, and over them the variables `TOLLGATE_PEPPER_N`,
    /// `TOLLGATE_ISSUER_KEY_N`, `TOLLGATE_ENCRYPTION_KEY_N` and `TOLLGATE_TOKEN_KEY` of `environment`, of which others are ignored. A
    /// secret is the text without the line's end. `prefix` is that of API keys.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn load(
        dir: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
        prefix: &str,
        hashing: KeyHashing,
    ) -> Result<Self, SecretsError> {
        let source = Source { dir: dir.to_owned(), environment: sources::variables(environment)?, prefix: prefix.to_owned() };
        let held = RwLock::new(Arc::new(Held::read(&source)?));
        Ok(Self { held, source, hashing, slow: SlowHashing::new(), looked: Mutex::new(None) })
    }

    /// The secrets there are now.
    fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Something that the secrets have; where it is missing, a version may have come that was not read yet, from another backend maybe.
    #[expect(clippy::disallowed_methods, reason = "it only spaces looks at the disk")]
    fn find<T>(&self, find: impl Fn(&Held) -> Option<T>) -> Option<T> {
        if let Some(found) = find(&self.held()) {
            return Some(found);
        }
        {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
                return None;
            }
            *looked = Some(Instant::now());
        }
        if let Err(error) = self.reload() {
            tracing::error!(%error, "secrets could not be read again; those before stay in force");
        }
        find(&self.held())
    }

    /// Makes a credential.
    pub(crate) fn issue(&self, purpose: Purpose) -> Result<Issued, Failure> {
        let held = self.held();
        let issuer_key = held.issuer_key(purpose).ok_or_else(|| Failure::Internal { private: "no issuer key".to_owned() })?;
        let mut random = Ok(());
        let key = issuer_key.issue(&mut |bytes| {
            if random.is_ok() {
                random = getrandom::fill(bytes);
            }
        });
        let shown = Shown(Zeroizing::new(key));
        random.map_err(no_randomness)?;
        let id = issued_id(shown.expose()).ok_or_else(|| Failure::Internal { private: "an issued key without an id".to_owned() })?;
        Ok(Issued { id: id.to_owned(), shown })
    }

    /// The id inside a presented credential, if we have issued it for this purpose.
    pub(crate) fn recognise<'a>(&self, purpose: Purpose, presented: &'a str) -> Option<&'a str> {
        let ours = self.provenance(purpose, presented) == Provenance::Issued;
        if ours { issued_id(presented) } else { None }
    }

    /// What our issuer keys say of a credential, all together.
    pub(crate) fn provenance(&self, purpose: Purpose, presented: &str) -> Provenance {
        let of = |held: &Held| Provenance::of(held.issuer_keys(purpose), presented.as_bytes());
        self.find(|held| Some(of(held)).filter(|provenance| *provenance != Provenance::Forged)).unwrap_or(Provenance::Forged)
    }

    /// The newest secret that access tokens are signed with by `HS256`, and its version.
    pub(crate) fn signing_secret(&self) -> Option<(u32, Secret)> {
        self.held().current(Kind::Signing).map(|(version, secret)| (version, secret.clone()))
    }

    /// Each secret that access tokens may be signed with by `HS256`, by version.
    pub(crate) fn signing_secrets(&self) -> BTreeMap<u32, Secret> {
        self.held().signing.clone()
    }

    /// The password of the mail server.
    #[must_use]
    pub fn smtp_password(&self) -> Option<Secret> {
        self.held().smtp.clone()
    }
}

// === impl Held ===

impl Held {
    /// What files and variables say now.
    fn read(source: &Source) -> Result<Self, SecretsError> {
        let Source { dir, environment, prefix } = source;
        let files = sources::files(dir)?;
        let origins = files.versions.keys().map(|version| (*version, Origin::File));
        let origins = origins.chain(environment.versions.keys().map(|version| (*version, Origin::Environment)));
        let versions: BTreeMap<(Kind, u32), Origin> = origins.collect();
        let prepared = files.prepared.keys().copied().filter(|version| !versions.contains_key(version)).collect();
        // What is prepared is known, and makes nothing: others may use it already.
        let of = |kind: Kind| {
            let mut all = files.prepared_of(kind);
            all.extend(files.of(kind));
            all.extend(environment.of(kind));
            all
        };
        let is_there = |kind: Kind| versions.range((kind, 0)..=(kind, u32::MAX)).next().is_some();
        let needed = |kind: Kind, name: &'static str| is_there(kind).then(|| of(kind)).ok_or(SecretsError::Missing(name));
        let (peppers, issuers) = (needed(Kind::Pepper, "pepper")?, needed(Kind::Issuer, "issuer key")?);
        let (encryption, tokens) = (needed(Kind::Encryption, "encryption key")?, needed(Kind::Token, "token key")?);
        let refused = || SecretsError::Prefix(prefix.chars().take(40).collect());
        if !is_prefix(prefix) || [ADMIN_PREFIX, NODE_PREFIX].contains(&prefix.as_str()) {
            return Err(refused());
        }
        let issuer_keys = |prefix: &str| {
            let keys = issuers.iter().map(|(version, secret)| IssuerKey::new(*version, prefix, secret.clone()));
            keys.collect::<Option<Vec<_>>>().ok_or_else(refused)
        };
        Ok(Self {
            api: issuer_keys(prefix)?,
            admin: issuer_keys(ADMIN_PREFIX)?,
            node: issuer_keys(NODE_PREFIX)?,
            peppers,
            issuers,
            encryption,
            signing: of(Kind::Signing),
            tokens,
            smtp: environment.smtp.clone().or(files.smtp),
            versions,
            prepared,
        })
    }

    /// Whether others are the same secrets.
    fn is_same(&self, other: &Self) -> bool {
        let secrets = |held: &Self| {
            let Self { peppers, issuers, encryption, signing, tokens, .. } = held;
            [peppers, issuers, encryption, signing, tokens].map(Clone::clone)
        };
        (&self.versions, &self.prepared, &self.smtp) == (&other.versions, &other.prepared, &other.smtp) && secrets(self) == secrets(other)
    }

    fn issuer_keys(&self, purpose: Purpose) -> &[IssuerKey] {
        match purpose {
            Purpose::Api => &self.api,
            Purpose::Admin => &self.admin,
            Purpose::Node => &self.node,
        }
    }

    /// What new things of a kind are made with, and its version.
    fn current(&self, kind: Kind) -> Option<(u32, &Secret)> {
        let all = match kind {
            Kind::Pepper => &self.peppers,
            Kind::Issuer => &self.issuers,
            Kind::Encryption => &self.encryption,
            Kind::Token => &self.tokens,
            Kind::Signing => &self.signing,
        };
        let version = self.newest(kind)?;
        Some((version, all.get(&version)?))
    }

    /// What new credentials are made with: issuer keys are in the order of their versions.
    fn issuer_key(&self, purpose: Purpose) -> Option<&IssuerKey> {
        let newest = self.newest(Kind::Issuer)?;
        let place = self.issuers.keys().position(|version| *version == newest)?;
        self.issuer_keys(purpose).get(place)
    }

    /// The version that new things are made with.
    fn newest(&self, kind: Kind) -> Option<u32> {
        self.versions.range((kind, 0)..=(kind, u32::MAX)).next_back().map(|((_, version), _)| *version)
    }
}

/// The id inside a credential of the form of issued ones.
fn issued_id(key: &str) -> Option<&str> {
    key.split_once('_')?.1.get(..16)
}

/// A random id: `length` characters of base62.
pub(crate) fn random_id(length: usize) -> Result<String, Failure> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut id = String::with_capacity(length);
    while id.len() < length {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(no_randomness)?;
        // 248 is the largest multiple of 62 in a byte: larger values would favour the first digits.
        let digits = bytes.iter().filter(|byte| **byte < 248).filter_map(|byte| ALPHABET.get(usize::from(byte % 62)));
        id.extend(digits.take(length - id.len()).map(|digit| char::from(*digit)));
    }
    Ok(id)
}

/// A random word of 256 bits, in base64url.
pub(crate) fn random_word() -> Result<Zeroizing<String>, Failure> {
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(random_bytes()?.as_slice())))
}

/// 256 random bits.
pub(crate) fn random_bytes() -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(no_randomness)?;
    Ok(bytes)
}

#[cold]
fn no_randomness(error: getrandom::Error) -> Failure {
    Failure::Unavailable { private: format!("no randomness: {error}") }
}

// === impl Shown ===

impl Shown {
    /// A secret to be shown.
    pub(crate) const fn new(secret: Zeroizing<String>) -> Self {
        Self(secret)
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Shown(…)")
    }
}

#[cfg(test)]
mod tests;
