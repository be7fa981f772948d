//! Owns the making of a data directory: secrets, certificates, the database, the first credentials. Must not overwrite or print anything.
//!
//! Each step makes only what is missing, so that what was broken off is gone on with by doing it again. A credential is in the database
//! before it is in its file: what a crash leaves behind is a credential that nobody has, never a file that opens nothing.

mod certificates;
mod files;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::admin_keys::{self, NewAdminKey};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::nodes::{self, NewNodeCredential};
use crate::permission::{Principal, Role};
use crate::secrets::{KeyHashing, Secrets, SecretsError};
use crate::store::{Store, StoreError};
use crate::tiers;
use files::Directory;

/// The file of the first admin key, in the data directory.
pub const ADMIN_KEY: &str = "admin.key";
/// The file of the first node credential, in the data directory.
pub const NODE_CREDENTIAL: &str = "node.credential";
/// Bytes of a new secret.
const SECRET_LEN: usize = 32;

/// What was made, and what was there. The `Debug` form has names of files alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Initialised {
    /// Files that were made.
    pub made: Vec<PathBuf>,
    /// Files that were there before.
    pub kept: Vec<PathBuf>,
}

/// Why a data directory could not be made. Never carries a secret.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file or directory cannot be made.
    #[error("cannot make {}: {error}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// One of two files that belong together is missing, or the authority that signs others.
    #[error("{} is missing, and what is there needs it: put it back, or take away the others in its directory", .0.display())]
    Torn(PathBuf),
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// There is no randomness.
    #[error("no randomness: {0}")]
    Random(#[from] getrandom::Error),
    /// The secrets cannot be used.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The first credentials cannot be made.
    #[error("cannot make the first credentials: {0}")]
    Credentials(String),
}

impl From<Failure> for InitError {
    fn from(failure: Failure) -> Self {
        Self::Credentials(failure.private().map_or_else(|| failure.to_string(), ToOwned::to_owned))
    }
}

/// Makes what is missing in a data directory. `names` are those the server's certificate has beside `localhost` and `127.0.0.1`: DNS names
/// and addresses. Secrets that `environment` has (see [`Secrets::load`]) get no file.
///
/// # Errors
/// [`InitError`]; what was made before it stays, and the next call goes on from there.
pub async fn init(dir: &Path, names: &[String], environment: &[(String, String)], clock: Arc<dyn Clock>) -> Result<Initialised, InitError> {
    let mut directory = Directory::make(dir)?;
    make_secrets(&mut directory, environment)?;
    // The prefix and the hashing are of API keys; there are none yet.
    let secrets = Secrets::load(dir, environment.iter().cloned(), "foil", KeyHashing::default())?;
    certificates::make(&mut directory, names, clock.now())?;
    let store = Store::open(dir, clock).await?;
    let made = make_credentials(&mut directory, &store, &secrets).await;
    store.close().await;
    made?;
    Ok(directory.initialised)
}

fn make_secrets(directory: &mut Directory, environment: &[(String, String)]) -> Result<(), InitError> {
    directory.make_directory("secrets")?;
    for (file, any, variable) in [
        ("secrets/pepper.1", Some("pepper."), "TOLLGATE_PEPPER_"),
        ("secrets/issuer.1", Some("issuer."), "TOLLGATE_ISSUER_KEY_"),
        ("secrets/encryption.1", Some("encryption."), "TOLLGATE_ENCRYPTION_KEY_"),
        ("secrets/token.key", None, "TOLLGATE_TOKEN_KEY"),
    ] {
        let elsewhere = environment.iter().any(|(name, _)| name.starts_with(variable));
        let newer = any.is_some_and(|prefix| directory.has_any("secrets", prefix));
        if elsewhere || newer && !directory.has(file) {
            continue;
        }
        directory.make_file(file, || {
            let mut bytes = Zeroizing::new([0; SECRET_LEN]);
            getrandom::fill(bytes.as_mut_slice())?;
            Ok(Zeroizing::new(format!("{}\n", URL_SAFE_NO_PAD.encode(bytes.as_slice())).into_bytes()))
        })?;
    }
    Ok(())
}

async fn make_credentials(directory: &mut Directory, store: &Store, secrets: &Secrets) -> Result<(), InitError> {
    let principal = Principal::backend("init");
    let mut write = store.begin().await?;
    tiers::seed(&mut write, &principal).await?;
    let mut files = Vec::new();
    if !directory.keeps(ADMIN_KEY) {
        let new = NewAdminKey { label: "init".to_owned(), role: Role::Admin, organisation: None, consumer: None, expires_at: None };
        files.push((ADMIN_KEY, admin_keys::create(&mut write, secrets, &principal, new).await?.admin_key));
    }
    if !directory.keeps(NODE_CREDENTIAL) {
        let new = NewNodeCredential { label: "init".to_owned() };
        files.push((NODE_CREDENTIAL, nodes::create_credential(&mut write, secrets, &principal, new).await?.node_credential));
    }
    write.commit().await?;
    for (file, shown) in files {
        directory.make_file(file, || Ok(Zeroizing::new(format!("{}\n", shown.expose()).into_bytes())))?;
    }
    Ok(())
}
