//! Owns where the backend's secrets come from: files that only their owner can read, and the environment. Must not make any.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tollgate_core::secret::{LEAST_SECRET_LEN, Secret};
use zeroize::Zeroizing;

use super::SecretsError;

/// The directory of secrets in the data directory.
pub(super) const DIRECTORY: &str = "secrets";
/// A secret's file is a line; whatever is longer is something else.
const LARGEST_FILE: u64 = 4_096;
/// What others may not: everything. A group may read: that is how secrets are mounted for a process that is not root.
const FORBIDDEN_MODE: u32 = 0o037;

/// RFC 7518 asks for a key as long as the digest.
const LEAST_SIGNING_LEN: usize = 32;

/// All secrets there are.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) peppers: BTreeMap<u32, Secret>,
    pub(super) issuers: BTreeMap<u32, Secret>,
    pub(super) encryption: BTreeMap<u32, Secret>,
    pub(super) signing: BTreeMap<u32, Secret>,
    pub(super) token: Option<Secret>,
    pub(super) smtp: Option<Secret>,
}

pub(super) fn read(dir: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Result<Sources, SecretsError> {
    let mut sources = Sources::default();
    let directory = dir.join(DIRECTORY);
    let unreadable = |error| SecretsError::Read { path: directory.clone(), error };
    match fs::read_dir(&directory) {
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(unreadable)?;
                if let Some(slot) = entry.file_name().to_str().and_then(Slot::of_file) {
                    sources.set(slot, file(&entry.path(), slot.least())?);
                }
            }
        }
        // Everything may come from the environment.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(unreadable(error)),
    }
    for (name, value) in environment {
        let value = Zeroizing::new(value);
        if let Some(slot) = Slot::of_variable(&name)? {
            let secret = secret(&name, value.as_bytes(), slot.least())?;
            sources.set(slot, secret);
        }
    }
    Ok(sources)
}

impl Sources {
    fn set(&mut self, slot: Slot, secret: Secret) {
        match slot {
            Slot::Pepper(version) => drop(self.peppers.insert(version, secret)),
            Slot::Issuer(version) => drop(self.issuers.insert(version, secret)),
            Slot::Encryption(version) => drop(self.encryption.insert(version, secret)),
            Slot::Signing(version) => drop(self.signing.insert(version, secret)),
            Slot::Token => self.token = Some(secret),
            Slot::Smtp => self.smtp = Some(secret),
        }
    }
}

/// What a secret is for.
#[derive(Clone, Copy)]
enum Slot {
    Pepper(u32),
    Issuer(u32),
    Encryption(u32),
    /// Of access tokens, for `HS256`.
    Signing(u32),
    Token,
    /// Of others' making: it may be short.
    Smtp,
}

impl Slot {
    /// The fewest bytes.
    const fn least(self) -> usize {
        match self {
            Self::Pepper(_) | Self::Issuer(_) | Self::Encryption(_) | Self::Token => LEAST_SECRET_LEN,
            Self::Signing(_) => LEAST_SIGNING_LEN,
            Self::Smtp => 1,
        }
    }

    /// What a file in the directory is for; `None` for others, such as an editor's copies.
    fn of_file(name: &str) -> Option<Self> {
        match name.split_once('.')? {
            ("pepper", version) => self::version(version).map(Self::Pepper),
            ("issuer", version) => self::version(version).map(Self::Issuer),
            ("encryption", version) => self::version(version).map(Self::Encryption),
            ("signing", version) => self::version(version).map(Self::Signing),
            ("token", "key") => Some(Self::Token),
            ("smtp", "password") => Some(Self::Smtp),
            _ => None,
        }
    }

    fn of_variable(name: &str) -> Result<Option<Self>, SecretsError> {
        let versioned = |version: &str| self::version(version).ok_or_else(|| SecretsError::Version(name.to_owned()));
        if let Some(version) = name.strip_prefix("TOLLGATE_PEPPER_") {
            return versioned(version).map(|version| Some(Self::Pepper(version)));
        }
        if let Some(version) = name.strip_prefix("TOLLGATE_ISSUER_KEY_") {
            return versioned(version).map(|version| Some(Self::Issuer(version)));
        }
        if let Some(version) = name.strip_prefix("TOLLGATE_ENCRYPTION_KEY_") {
            return versioned(version).map(|version| Some(Self::Encryption(version)));
        }
        if let Some(version) = name.strip_prefix("TOLLGATE_SIGNING_SECRET_") {
            return versioned(version).map(|version| Some(Self::Signing(version)));
        }
        Ok(match name {
            "TOLLGATE_TOKEN_KEY" => Some(Self::Token),
            "TOLLGATE_SMTP_PASSWORD" => Some(Self::Smtp),
            _ => None,
        })
    }
}

/// A version as we write it: from 1, without sign and leading zeros.
fn version(text: &str) -> Option<u32> {
    text.parse().ok().filter(|version: &u32| *version > 0 && version.to_string() == text)
}

fn file(path: &Path, least: usize) -> Result<Secret, SecretsError> {
    let unreadable = |error| SecretsError::Read { path: path.to_owned(), error };
    let file = fs::File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.permissions().mode() & FORBIDDEN_MODE != 0 {
        return Err(SecretsError::Open(path.to_owned()));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(LARGEST_FILE).read_to_end(&mut bytes).map_err(unreadable)?;
    secret(&path.display().to_string(), &bytes, least)
}

fn secret(name: &str, bytes: &[u8], least: usize) -> Result<Secret, SecretsError> {
    let bytes = bytes.strip_suffix(b"\n").map_or(bytes, |line| line.strip_suffix(b"\r").unwrap_or(line));
    if bytes.len() < least {
        return Err(SecretsError::Short { name: name.to_owned(), length: bytes.len(), least });
    }
    Ok(Secret::new(bytes.to_vec()))
}
