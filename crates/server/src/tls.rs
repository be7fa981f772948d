//! Owns the TLS of the listeners: certificates, keys, who must show one, and reading them again. Must not know what is said inside.
//!
//! TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN. The cryptography is ring's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// The files of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The chain, the server's certificate first (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
    /// Authorities of which clients must show a certificate (PEM).
    pub client_ca: Option<PathBuf>,
}

/// Why a listener has no TLS. Never carries what the files hold.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or is not PEM.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// A file has none of what it must hold.
    #[error("{}: no certificate in it", path.display())]
    NoCertificate {
        /// Which.
        path: PathBuf,
    },
    /// Certificate and key do not fit together, or either is of an unknown kind.
    #[error("{} and its key: {source}", path.display())]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// An authority that cannot be trusted.
    #[error("{}: {source}", path.display())]
    Authority {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// No authority can be trusted.
    #[error("{}: {source}", path.display())]
    Verifier {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: VerifierBuilderError,
    },
}

/// The TLS of one listener: files, and what was last read from them.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    current: watch::Sender<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`], naming the file.
    pub fn open(files: Files) -> Result<Self, TlsError> {
        let current = watch::Sender::new(read(&files)?);
        Ok(Self { files, current })
    }

    /// Reads the files again, for connections to come. What was read before stays in force if they are wrong now.
    ///
    /// # Errors
    /// As [`Tls::open`].
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.send_replace(read(&self.files)?);
        Ok(())
    }

    /// What holds for a new connection.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.borrow())
    }

    /// The files.
    #[must_use]
    pub const fn files(&self) -> &Files {
        &self.files
    }
}

fn read(files: &Files) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = |source| TlsError::Certificate { path: files.certificate.clone(), source };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().map_err(certificate)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority).map_err(|source| TlsError::Authority { path: path.clone(), source })?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|source| TlsError::Verifier { path: path.clone(), source })?)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| TlsError::Read { path: files.key.clone(), source })?;
    let mut config = builder.with_single_cert(certificates(&files.certificate)?, key).map_err(certificate)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |source| TlsError::Read { path: path.to_owned(), source };
    let chain = CertificateDer::pem_file_iter(path).map_err(wrong)?.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    if chain.is_empty() { Err(TlsError::NoCertificate { path: path.to_owned() }) } else { Ok(chain) }
}
