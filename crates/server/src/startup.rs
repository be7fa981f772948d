//! Owns the life of the backend: what is opened in which order, and how it ends. Must not know what is served.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;

use crate::clock::Clock;
use crate::ending::{End, Ending, ending};
use crate::failure::Failure;
use crate::http::backend::Backend;
use crate::http::connection::Bounds;
use crate::http::listener::Listener;
use crate::http::{self, name};
use crate::mail::{MailError, Mailer};
use crate::outgoing::{Outgoing, SystemResolver};
use crate::secrets::{Secrets, SecretsError};
use crate::settings::{self, Listening, Settings};
use crate::signing_keys::{self, SigningAlgorithm};
use crate::store::{Claim, Store, StoreError};
use crate::telemetry;
use crate::tls::{Files, Tls, TlsError, certificates};

mod background;

/// Why the backend does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its secrets.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// Its store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The TLS of a listener.
    #[error("the {listener} listener: {error}")]
    Tls {
        /// Which.
        listener: &'static str,
        /// Why.
        error: TlsError,
    },
    /// The node listener is to speak TLS and has no certificate.
    #[error("the node listener is to speak TLS, and {} is not there: run `tollgate init`, or name a certificate", .0.display())]
    NoCertificate(std::path::PathBuf),
    /// The authorities of servers that are called.
    #[error("outgoing_ca: {0}")]
    Outgoing(TlsError),
    /// Keys that sign access tokens.
    #[error("no key to sign access tokens with: {0}")]
    SigningKeys(Failure),
    /// `HS256` without a secret.
    #[error("token_algorithm is HS256, and there is no secret to sign with: secrets/signing.1, or TOLLGATE_SIGNING_SECRET_1")]
    NoSigningSecret,
    /// Mail cannot leave.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// An address cannot be had.
    #[error("the {listener} listener cannot have {address}: {error}")]
    Bind {
        /// Which.
        listener: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// Nothing can be counted.
    #[error("no metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// A bound of ours is 0.
    #[error("a limit of the backend itself is 0")]
    Bound,
}

/// A backend that is ready to serve.
#[derive(Debug)]
pub struct Server {
    backend: Arc<Backend>,
    public: Listener,
    node: Listener,
    operations: Listener,
    control: Control,
    metrics: PrometheusHandle,
    ending: Ending,
    grace: Duration,
    claim: Claim,
}

/// What can be asked of a backend while it serves.
#[derive(Clone, Debug)]
pub struct Control {
    end: Arc<End>,
    tls: Arc<[(&'static str, Arc<Tls>)]>,
}

/// Where the three APIs listen.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The public API.
    pub public: SocketAddr,
    /// The node API.
    pub node: SocketAddr,
    /// Health and metrics.
    pub operations: SocketAddr,
}

impl Control {
    /// Asks it to end: no new connections, polls answered, requests in flight finished.
    pub fn end(&self) {
        self.end.begin();
    }

    /// Reads certificates and keys again. Those that are wrong now stay as they were.
    pub fn reload(&self) {
        for (listener, tls) in self.tls.iter() {
            match tls.reload() {
                Ok(()) => tracing::info!(listener, "certificates read again"),
                Err(error) => tracing::error!(listener, %error, "certificates could not be read again; those before stay in force"),
            }
        }
    }
}

impl Server {
    /// Opens everything the settings name. Nothing is served yet.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn open(
        settings: &Settings,
        environment: impl IntoIterator<Item = (String, String)>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let data = settings.data.as_path();
        let secrets = Secrets::load(data, environment, &settings.key_prefix, settings.key_hash)?;
        if settings.tokens.signing.algorithm == SigningAlgorithm::Hs256 && secrets.signing_secret().is_none() {
            return Err(StartError::NoSigningSecret);
        }
        let public_tls = tls(name::PUBLIC, &settings.public, data)?;
        let node_tls = tls(name::NODE, &settings.node, data)?;
        let operations_tls = tls(name::OPERATIONS, &settings.operations, data)?;
        let claim = Store::claim(data)?;
        let store = Store::open(data, clock).await?;
        let metrics = telemetry::metrics()?;
        let (end, ending) = ending();
        let mailer = Mailer::new(&settings.mail, &secrets, data, settings.outgoing_ca.as_deref())?;
        let public = bind(name::PUBLIC, &settings.public, public_tls.clone(), http::PUBLIC_BOUNDS).await?;
        let public_url = settings.public_url.clone().unwrap_or_else(|| url_of(&public));
        let backend = Backend::new(store, secrets, outgoing(settings)?, mailer, settings, public_url, ending.clone());
        if let Some(backend) = &backend {
            signing_keys::upkeep(&backend.store, &backend.secrets, &backend.tokens.signing).await.map_err(StartError::SigningKeys)?;
        }
        let named = [(name::PUBLIC, &public_tls), (name::NODE, &node_tls), (name::OPERATIONS, &operations_tls)];
        let tls = named.into_iter().filter_map(|(name, tls)| Some((name, Arc::clone(tls.as_ref()?)))).collect();
        Ok(Self {
            backend: backend.ok_or(StartError::Bound)?,
            public: public.exempting(settings.trusted_proxies.clone()),
            node: bind(name::NODE, &settings.node, node_tls, http::NODE_BOUNDS).await?,
            operations: bind(name::OPERATIONS, &settings.operations, operations_tls, http::OPERATIONS_BOUNDS).await?,
            control: Control { end: Arc::new(end), tls },
            metrics,
            ending,
            grace: settings.shutdown,
            claim,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        Addresses { public: self.public.address(), node: self.node.address(), operations: self.operations.address() }
    }

    /// What can be asked of it while it serves.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Serves until it is asked to end.
    pub async fn run(self) {
        // Given back at the end.
        let _claim = self.claim;
        for listener in [&self.public, &self.node, &self.operations] {
            let (listening, address, tls) = (listener.name(), listener.address(), listener.has_tls());
            tracing::info!(listener = listening, %address, tls, "listening");
            if !tls && !address.ip().is_loopback() && listening != name::OPERATIONS {
                tracing::warn!(listener = listening, %address, "credentials travel without TLS: let something in front speak it, or set its certificate");
            }
        }
        let (operations_end, operations_ending) = ending();
        let health = http::operations(Arc::clone(&self.backend), self.metrics.clone());
        let operations = tokio::spawn(self.operations.serve(health, operations_ending, self.grace));
        let background = tokio::spawn(background::run(Arc::clone(&self.backend), self.metrics));
        let public = tokio::spawn(self.public.serve(http::public(Arc::clone(&self.backend)), self.ending.clone(), self.grace));
        let node = tokio::spawn(self.node.serve(http::node(Arc::clone(&self.backend)), self.ending.clone(), self.grace));
        let cut_off = public.await.unwrap_or_default() + node.await.unwrap_or_default();
        // Health is told to the very end.
        operations_end.begin();
        let cut_off = cut_off + operations.await.unwrap_or_default();
        background.abort();
        if let Err(failure) = crate::audit::write_failures(&self.backend.store).await {
            tracing::warn!(private = failure.private(), %failure, "the last failed authentications are not in the audit log");
        }
        self.backend.store.close().await;
        if cut_off > 0 {
            tracing::warn!(connections = cut_off, "cut off: their requests took longer than the shutdown may");
        }
        tracing::info!("ended");
    }
}

async fn bind(listener: &'static str, listening: &Listening, tls: Option<Arc<Tls>>, bounds: Bounds) -> Result<Listener, StartError> {
    let address = listening.address;
    Listener::bind(listener, address, tls, bounds).await.map_err(|error| StartError::Bind { listener, address, error })
}

/// Where a listener is found from this machine.
fn url_of(listener: &Listener) -> String {
    format!("{}://{}", if listener.has_tls() { "https" } else { "http" }, listener.address())
}

/// The way out, as the settings have it.
fn outgoing(settings: &Settings) -> Result<Outgoing, StartError> {
    let authorities = settings.outgoing_ca.as_deref().map(certificates).transpose().map_err(StartError::Outgoing)?;
    let outgoing = Outgoing::new(&settings.outgoing_allow, authorities.unwrap_or_default(), Arc::new(SystemResolver));
    outgoing.map_err(|source| StartError::Outgoing(TlsError::Authority { path: settings.outgoing_ca.clone().unwrap_or_default(), source }))
}

/// The TLS of a listener, if it speaks any.
fn tls(listener: &'static str, listening: &Listening, data: &Path) -> Result<Option<Arc<Tls>>, StartError> {
    let files = match &listening.tls {
        settings::Tls::Off => return Ok(None),
        settings::Tls::Files(files) => files.clone(),
        settings::Tls::FromData { client_ca, required } => {
            let (certificate, key) = (data.join("tls/server.pem"), data.join("tls/server.key"));
            match certificate.exists() {
                true => Files { certificate, key, client_ca: client_ca.clone() },
                false if *required => return Err(StartError::NoCertificate(certificate)),
                false => return Ok(None),
            }
        }
    };
    Tls::open(files).map(|tls| Some(Arc::new(tls))).map_err(|error| StartError::Tls { listener, error })
}
