//! Owns what handlers work with. Must not do what they do.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use ipnet::IpNet;
use tollgate_core::time::Instant;

use super::client_address::client_address;
use super::limiter::Limiter;
use crate::ending::Ending;
use crate::outgoing::Outgoing;
use crate::secrets::Secrets;
use crate::settings::Settings;
use crate::store::Store;

/// Credentials that may be wrong, from one address in a minute: a person's typing errors many times over.
const WRONG_CREDENTIALS: u64 = 30;
/// The same from everywhere: only there to bound the log.
const ALL_WRONG_CREDENTIALS: u64 = 10_000;
/// Keys that one address may take for itself in an hour.
const SELF_SERVICE_KEYS: u64 = 10;
/// The same from everywhere.
const ALL_SELF_SERVICE_KEYS: u64 = 1_000;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// What handlers work with.
#[derive(Debug)]
pub struct Backend {
    /// What is kept.
    pub store: Store,
    /// The backend's own secrets.
    pub secrets: Secrets,
    /// Whether anybody may get a key of a tier marked `self_service`.
    pub self_service: bool,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The way out to URLs that people gave.
    pub outgoing: Outgoing,
    /// The word that the process is to end.
    pub ending: Ending,
    pub(super) wrong_credentials: Limiter,
    pub(super) self_service_keys: Limiter,
    started: tokio::time::Instant,
}

impl Backend {
    /// What handlers work with; `None` only if a bound in this module were 0.
    #[must_use]
    pub fn new(store: Store, secrets: Secrets, outgoing: Outgoing, settings: &Settings, ending: Ending) -> Option<Arc<Self>> {
        Some(Arc::new(Self {
            store,
            secrets,
            self_service: settings.self_service,
            trusted_proxies: settings.trusted_proxies.clone(),
            outgoing,
            ending,
            wrong_credentials: Limiter::new(WRONG_CREDENTIALS, ALL_WRONG_CREDENTIALS, MINUTE)?,
            self_service_keys: Limiter::new(SELF_SERVICE_KEYS, ALL_SELF_SERVICE_KEYS, HOUR)?,
            started: tokio::time::Instant::now(),
        }))
    }

    /// A reading of the monotonic clock, for limiters.
    pub(super) fn monotonic(&self) -> Instant {
        Instant(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The address of whoever asks.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        client_address(peer, headers, &self.trusted_proxies)
    }
}
