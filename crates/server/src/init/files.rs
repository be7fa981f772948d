//! Owns the writing of files that only their owner may read, each once and whole. Must not know what is in them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{InitError, Initialised};

/// A data directory that is being made.
pub(super) struct Directory {
    path: PathBuf,
    pub(super) initialised: Initialised,
}

impl Directory {
    /// Makes the directory itself, for its owner alone.
    pub(super) fn make(path: &Path) -> Result<Self, InitError> {
        let directory = Self { path: path.to_owned(), initialised: Initialised::default() };
        directory.make_directory("")?;
        Ok(directory)
    }

    /// Makes a directory in it.
    pub(super) fn make_directory(&self, name: &str) -> Result<(), InitError> {
        let path = self.path.join(name);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| InitError::Write { path, error })
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }

    /// Whether a file is there; if so it is kept.
    pub(super) fn keeps(&mut self, file: &str) -> bool {
        let has = self.has(file);
        if has {
            self.initialised.kept.push(self.path(file));
        }
        has
    }

    pub(super) fn has(&self, file: &str) -> bool {
        // A link that leads nowhere is there too: somebody has made it.
        self.path(file).symlink_metadata().is_ok()
    }

    /// Whether a directory has a file whose name begins so.
    pub(super) fn has_any(&self, directory: &str, prefix: &str) -> bool {
        let entries = fs::read_dir(self.path.join(directory)).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
    }

    /// Makes a file, unless it is there. It appears whole or not at all.
    pub(super) fn make_file(
        &mut self,
        file: &str,
        content: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, InitError>,
    ) -> Result<(), InitError> {
        if self.keeps(file) {
            return Ok(());
        }
        let path = self.path(file);
        let half = path.with_added_extension("half");
        let content = content()?;
        let failed = |error| InitError::Write { path: path.clone(), error };
        match fs::remove_file(&half) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half).map_err(failed)?;
        written.write_all(&content).and_then(|()| written.sync_all()).map_err(failed)?;
        // Unlike a rename, a link never takes the place of a file that somebody else has made meanwhile.
        fs::hard_link(&half, &path).and_then(|()| fs::remove_file(&half)).map_err(failed)?;
        if let Some(parent) = path.parent() {
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
        }
        self.initialised.made.push(path);
        Ok(())
    }
}
