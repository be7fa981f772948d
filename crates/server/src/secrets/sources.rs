//! Owns where the backend's secrets come from: files that only their owner can read, and the environment. Must not make any.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tollgate_core::secret::{LEAST_SECRET_LEN, Secret};
use zeroize::Zeroizing;

use super::SecretsError;
use serde::{Deserialize, Serialize};

/// The directory of secrets in the data directory.
pub(super) const DIRECTORY: &str = "secrets";
/// A secret's file is a line; whatever is longer is something else.
const LARGEST_FILE: u64 = 4_096;
/// What others may not: everything. A group may read: that is how secrets are mounted for a process that is not root.
const FORBIDDEN_MODE: u32 = 0o037;

/// What the name of a prepared secret ends in.
pub(super) const NEXT: &str = ".next";

/// RFC 7518 asks for a key as long as the digest.
const LEAST_SIGNING_LEN: usize = 32;

/// All secrets there are, by version.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) versions: BTreeMap<(Kind, u32), Secret>,
    /// Those that are made and not in use yet.
    pub(super) prepared: BTreeMap<(Kind, u32), Secret>,
    pub(super) smtp: Option<Secret>,
}

/// What a secret of the backend's own is for. Each kind has versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Keys and passwords are hashed under it.
    Pepper,
    /// Makes the tag by which nodes tell issued keys from forged ones.
    Issuer,
    /// What the store must have again is sealed under it.
    Encryption,
    /// Signs the tokens of nodes, and what refresh tokens are made with.
    Token,
    /// Signs access tokens, for `HS256`.
    Signing,
}

/// What a directory has.
pub(super) fn files(dir: &Path) -> Result<Sources, SecretsError> {
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
    Ok(sources)
}

/// What an environment has.
pub(super) fn variables(environment: impl IntoIterator<Item = (String, String)>) -> Result<Sources, SecretsError> {
    let mut sources = Sources::default();
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
            Slot::Version(kind, version) => drop(self.versions.insert((kind, version), secret)),
            Slot::Prepared(kind, version) => drop(self.prepared.insert((kind, version), secret)),
            Slot::Smtp => self.smtp = Some(secret),
        }
    }

    /// The versions of a kind.
    pub(super) fn of(&self, kind: Kind) -> BTreeMap<u32, Secret> {
        of(&self.versions, kind)
    }

    /// The versions of a kind that are not in use yet.
    pub(super) fn prepared_of(&self, kind: Kind) -> BTreeMap<u32, Secret> {
        of(&self.prepared, kind)
    }
}

fn of(all: &BTreeMap<(Kind, u32), Secret>, kind: Kind) -> BTreeMap<u32, Secret> {
    all.range((kind, 0)..=(kind, u32::MAX)).map(|((_, version), secret)| (*version, secret.clone())).collect()
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Pepper, Self::Issuer, Self::Encryption, Self::Token, Self::Signing];

    /// Its name: of its files, and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pepper => "pepper",
            Self::Issuer => "issuer",
            Self::Encryption => "encryption",
            Self::Token => "token",
            Self::Signing => "signing",
        }
    }

    /// What its variables are called, before the version.
    pub(super) const fn variable(self) -> &'static str {
        match self {
            Self::Pepper => "TOLLGATE_PEPPER",
            Self::Issuer => "TOLLGATE_ISSUER_KEY",
            Self::Encryption => "TOLLGATE_ENCRYPTION_KEY",
            Self::Token => "TOLLGATE_TOKEN_KEY",
            Self::Signing => "TOLLGATE_SIGNING_SECRET",
        }
    }

    /// The name of a version's file. Token keys had no versions once: the first is called as it was then.
    pub(super) fn file(self, version: u32) -> String {
        match (self, version) {
            (Self::Token, 0) => "token.key".to_owned(),
            (kind, version) => format!("{}.{version}", kind.name()),
        }
    }

    const fn least(self) -> usize {
        match self {
            Self::Pepper | Self::Issuer | Self::Encryption | Self::Token => LEAST_SECRET_LEN,
            Self::Signing => LEAST_SIGNING_LEN,
        }
    }
}

/// What a secret is for.
#[derive(Clone, Copy)]
enum Slot {
    Version(Kind, u32),
    /// It is not in use yet.
    Prepared(Kind, u32),
    /// The mail server's. Of others' making: it may be short.
    Smtp,
}

impl Slot {
    /// The fewest bytes.
    const fn least(self) -> usize {
        match self {
            Self::Version(kind, _) | Self::Prepared(kind, _) => kind.least(),
            Self::Smtp => 1,
        }
    }

    /// What a file in the directory is for; `None` for others, such as an editor's copies.
    fn of_file(name: &str) -> Option<Self> {
        match name {
            "token.key" => return Some(Self::Version(Kind::Token, 0)),
            "smtp.password" => return Some(Self::Smtp),
            _ => {}
        }
        let (kind, rest) = name.split_once('.')?;
        let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
        match rest.strip_suffix(NEXT) {
            Some(version) => self::version(version).map(|version| Self::Prepared(kind, version)),
            None => version(rest).map(|version| Self::Version(kind, version)),
        }
    }

    fn of_variable(name: &str) -> Result<Option<Self>, SecretsError> {
        match name {
            "TOLLGATE_TOKEN_KEY" => return Ok(Some(Self::Version(Kind::Token, 0))),
            "TOLLGATE_SMTP_PASSWORD" => return Ok(Some(Self::Smtp)),
            _ => {}
        }
        for kind in Kind::ALL {
            if let Some(version) = name.strip_prefix(kind.variable()).and_then(|rest| rest.strip_prefix('_')) {
                let version = self::version(version).ok_or_else(|| SecretsError::Version(name.to_owned()))?;
                return Ok(Some(Self::Version(kind, version)));
            }
        }
        Ok(None)
    }
}

/// A version as we write it: from 1, without sign and leading zeros.
fn version(text: &str) -> Option<u32> {
    text.parse().ok().filter(|version: &u32| *version > 0 && version.to_string() == text)
}

fn file(path: &Path, least: usize) -> Result<Secret, SecretsError> {
    let unreadable = |error| SecretsError::Read { path: path.to_owned(), error };
    // Before it is opened: to open a pipe is to wait for somebody who writes.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::new(ErrorKind::InvalidInput, "it is no file")));
    }
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
