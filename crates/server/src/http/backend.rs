//! Owns what handlers work with. Must not do what they do.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use ipnet::IpNet;
use tollgate_core::time::Instant;

use super::client_address::client_address;
use super::limiter::Limiter;
use crate::accounts::Terms;
use crate::audit::{Account, Reason};
use crate::ending::Ending;
use crate::mail::Mailer;
use crate::outgoing::Outgoing;
use crate::secrets::Secrets;
use crate::settings::Settings;
use crate::signing_keys::Signer;
use crate::store::Store;
use crate::tokens;

/// Credentials that may be wrong, from one address in a minute: a person's typing errors many times over.
const WRONG_CREDENTIALS: u64 = 30;
/// The same from everywhere: only there to bound the log.
const ALL_WRONG_CREDENTIALS: u64 = 10_000;
/// Keys that one address may take for itself in an hour.
const SELF_SERVICE_KEYS: u64 = 10;
/// The same from everywhere.
const ALL_SELF_SERVICE_KEYS: u64 = 1_000;
/// Requests for an account or another password that one address may make in an hour.
const ASKED_FOR_ACCOUNTS: u64 = 20;
/// The same from everywhere.
const ALL_ASKED_FOR_ACCOUNTS: u64 = 2_000;
/// Mail that is written to one account in an hour, whoever asks for it.
const MAIL_TO_ACCOUNT: u64 = 3;
/// Wrong passwords for one account in an hour: at that rate nobody guesses one of 12 characters.
const WRONG_PASSWORDS: u64 = 50;
/// Tokens that one API key gets in a minute: a client keeps a token until it ends.
const TOKENS_OF_KEY: u64 = 120;
/// The same of all keys: each is a transaction.
const ALL_TOKENS: u64 = 60_000;
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
    /// Whether anybody may take an account.
    pub registration: bool,
    /// What accounts are like that people take for themselves.
    pub terms: Terms,
    /// How mail leaves.
    pub mailer: Mailer,
    /// Requests for an account or another password, by address.
    pub(super) asked_for_accounts: Limiter,
    /// Mail to one account.
    pub(super) mail_to_account: Limiter,
    /// Wrong passwords for one account, from browsers that never signed in to it, and from each that did.
    pub(super) wrong_passwords: Limiter,
    /// What access tokens are like.
    pub tokens: tokens::Terms,
    /// Tokens of one API key.
    pub(super) tokens_of_key: Limiter,
    /// Sign-ins through OpenID providers, by address.
    pub(super) openid_sign_ins: Limiter,
    /// What accounts are told apart by in bounds: nobody can choose one that shares another's.
    accounts: RandomState,
    started: tokio::time::Instant,
}

impl Backend {
    /// What handlers work with; `None` only if a bound in this module were 0.
    #[must_use]
    pub fn new(
        store: Store,
        secrets: Secrets,
        outgoing: Outgoing,
        mailer: Mailer,
        settings: &Settings,
        public_url: String,
        ending: Ending,
    ) -> Option<Arc<Self>> {
        Some(Arc::new(Self {
            store,
            secrets,
            self_service: settings.self_service,
            trusted_proxies: settings.trusted_proxies.clone(),
            outgoing,
            ending,
            wrong_credentials: Limiter::new(WRONG_CREDENTIALS, ALL_WRONG_CREDENTIALS, MINUTE)?,
            self_service_keys: Limiter::new(SELF_SERVICE_KEYS, ALL_SELF_SERVICE_KEYS, HOUR)?,
            registration: settings.registration,
            mailer,
            asked_for_accounts: Limiter::new(ASKED_FOR_ACCOUNTS, ALL_ASKED_FOR_ACCOUNTS, HOUR)?,
            mail_to_account: Limiter::new(MAIL_TO_ACCOUNT, ALL_ASKED_FOR_ACCOUNTS, HOUR)?,
            wrong_passwords: Limiter::new(WRONG_PASSWORDS, ALL_WRONG_CREDENTIALS, HOUR)?,
            tokens: tokens::Terms {
                issuer: public_url.clone(),
                audience: settings.tokens.audience.clone(),
                signing: settings.tokens.signing.clone(),
                family_life: settings.tokens.family_life,
                signer: Signer::default(),
            },
            tokens_of_key: Limiter::new(TOKENS_OF_KEY, ALL_TOKENS, MINUTE)?,
            terms: Terms { tier: settings.new_user_tier.clone(), public_url },
            openid_sign_ins: Limiter::new(WRONG_CREDENTIALS, ALL_WRONG_CREDENTIALS, MINUTE)?,
            accounts: RandomState::new(),
            started: tokio::time::Instant::now(),
        }))
    }

    /// A reading of the monotonic clock, for limiters.
    pub(super) fn monotonic(&self) -> Instant {
        Instant(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// What an account is counted by.
    pub(super) fn account(&self, account: &impl Hash) -> u64 {
        self.accounts.hash_one(account)
    }

    /// Notes for the audit log that somebody was not believed.
    pub(super) fn failed(&self, reason: Reason, address: IpAddr, account: Option<Account>) {
        self.store.failures().note(reason, address, account, self.store.now());
    }

    /// The address of whoever asks.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        client_address(peer, headers, &self.trusted_proxies)
    }
}
