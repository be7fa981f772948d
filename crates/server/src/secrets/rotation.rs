//! Owns how the backend's own secrets change while it runs: files that come and go are read again, new versions are written beside the old.
//! Must not know what was made with a version.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::sources::{DIRECTORY, Kind, NEXT};
use super::{Held, Secrets, SecretsError, random_id, random_word};
use crate::failure::Failure;

/// Where a version comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A file in the data directory.
    File,
    /// A variable of the process.
    Environment,
}

/// What a version is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// What is new is made with it.
    Current,
    /// What is old was made with it.
    Former,
    /// Nothing yet: it is known, so that nodes can be given it.
    Prepared,
}

/// A version that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) kind: Kind,
    pub(crate) version: u32,
    pub(crate) origin: Origin,
    pub(crate) used: Use,
}

impl Secrets {
    /// Reads the files again. What is wrong now leaves all as it was.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn reload(&self) -> Result<bool, SecretsError> {
        let read = Held::read(&self.source)?;
        let mut held = self.held.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let changed = !held.is_same(&read);
        if changed {
            *held = Arc::new(read);
        }
        Ok(changed)
    }

    /// All versions there are, by kind and number.
    pub(crate) fn versions(&self) -> Vec<Version> {
        let held = self.held();
        let used = |kind: Kind, version: u32| if held.newest(kind) == Some(version) { Use::Current } else { Use::Former };
        let in_use = held.versions.iter().map(|((kind, version), origin)| Version {
            kind: *kind,
            version: *version,
            origin: *origin,
            used: used(*kind, *version),
        });
        let prepared = held.prepared.iter().map(|(kind, version)| Version {
            kind: *kind,
            version: *version,
            origin: Origin::File,
            used: Use::Prepared,
        });
        let mut all: Vec<Version> = in_use.chain(prepared).collect();
        all.sort_by_key(|version| (version.kind, version.version));
        all
    }

    /// Writes a new version, which is not used until [`Secrets::promote`]; answers its number and the secret.
    ///
    /// # Errors
    /// [`Failure::Conflict`] where one is prepared already, or files do not count.
    pub(crate) fn prepare(&self, kind: Kind) -> Result<(u32, zeroize::Zeroizing<String>), Failure> {
        let next = self.next(kind)?;
        let secret = random_word()?;
        self.write(&format!("{}{NEXT}", kind.file(next)), &secret)?;
        self.reload().map_err(unwritten)?;
        Ok((next, secret))
    }

    /// Has a prepared version used from now on, or a new one where the kind needs no preparation; answers its number.
    ///
    /// # Errors
    /// [`Failure::Conflict`] where none is prepared that must be, or files do not count.
    pub(crate) fn promote(&self, kind: Kind) -> Result<u32, Failure> {
        let prepared = self.held().prepared.iter().find(|(own, _)| *own == kind).map(|(_, version)| *version);
        let version = match prepared {
            Some(version) => {
                let (from, to) = (self.path(&format!("{}{NEXT}", kind.file(version))), self.path(&kind.file(version)));
                // Never over one that is there.
                fs::hard_link(&from, &to).and_then(|()| fs::remove_file(&from)).map_err(unwritten)?;
                version
            }
            None if kind == Kind::Issuer => {
                let reason = "nodes must have a new issuer key before it is used: prepare one, give it to them, then rotate";
                return Err(Failure::conflict("kind", reason));
            }
            None => {
                let next = self.next(kind)?;
                self.write(&kind.file(next), &random_word()?)?;
                next
            }
        };
        self.reload().map_err(unwritten)?;
        Ok(version)
    }

    /// The file of a version that may be taken away.
    ///
    /// # Errors
    /// [`Failure::NotFound`]; [`Failure::Conflict`] for the one in use, and where it is no file.
    pub(crate) fn retirable(&self, kind: Kind, version: u32) -> Result<String, Failure> {
        let found = self.versions().into_iter().find(|found| (found.kind, found.version) == (kind, version)).ok_or(Failure::NotFound)?;
        match (found.used, found.origin) {
            (Use::Current, _) => Err(Failure::conflict("version", "it is in use: rotate first")),
            (Use::Former, Origin::Environment) => {
                Err(Failure::conflict("version", "it comes from the environment: take the variable away and start anew"))
            }
            (Use::Former, Origin::File) => Ok(kind.file(version)),
            (Use::Prepared, _) => Ok(format!("{}{NEXT}", kind.file(version))),
        }
    }

    /// Takes a version away for good.
    ///
    /// # Errors
    /// As [`Secrets::retirable`]; [`Failure::Unavailable`].
    pub fn retire(&self, kind: Kind, version: u32) -> Result<(), Failure> {
        let file = self.retirable(kind, version)?;
        fs::remove_file(self.path(&file)).map_err(unwritten)?;
        self.reload().map_err(unwritten)?;
        Ok(())
    }

    /// The number of the next version.
    fn next(&self, kind: Kind) -> Result<u32, Failure> {
        let held = self.held();
        if held.prepared.iter().any(|(own, _)| *own == kind) {
            return Err(Failure::conflict("kind", "a version is prepared already: rotate to it, or retire it"));
        }
        let newest = held.newest(kind).unwrap_or(0);
        if held.versions.get(&(kind, newest)) == Some(&Origin::Environment) {
            let reason = format!("it comes from the environment: set {}_{} and start anew", kind.variable(), newest + 1);
            return Err(Failure::conflict("kind", reason));
        }
        Ok(newest + 1)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.source.dir.join(DIRECTORY).join(file)
    }

    /// Writes a file that was not there: whole or not at all, for its owner alone.
    fn write(&self, file: &str, secret: &str) -> Result<(), Failure> {
        write_new(&self.path(file), secret).map_err(unwritten)
    }
}

fn write_new(path: &Path, secret: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Two that write at once do not meet.
    let half = path.with_file_name(format!(".{name}.{}.half", random_id(8).map_err(|failure| io::Error::other(failure.to_string()))?));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half)?;
    let written = file.write_all(format!("{secret}\n").as_bytes()).and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&half, path));
    fs::remove_file(&half)?;
    written?;
    fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn unwritten(error: impl std::fmt::Display) -> Failure {
    Failure::Unavailable { private: format!("a secret could not be written: {error}") }
}
