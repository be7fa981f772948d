//! Owns what access tokens are like: what is in them (RFC 9068), and whether one is ours. Must not decide who gets one.

use std::time::Duration;

use jwt_simple::prelude::{Audiences, JWTClaims, UnixTimeStamp};
use serde::Serialize;
use serde_json::{Map, Value};
use tollgate_core::claims::{self, NumericDate};
use tollgate_core::json;
use tollgate_core::jwk::{Jwk, KeySet};
use tollgate_core::jws::{Compact, NoAccelerator, Signed};
use tollgate_core::secret::Secret;

use super::{Granted, TokenError};
use crate::clock::Time;
use crate::failure::Failure;
use crate::secrets::{Secrets, Shown, random_id};
use crate::signing_keys::{self, Signer, Signing};
use crate::store::Store;
use crate::store::resolve::Usable;

/// The longest token that is looked at, in bytes.
const LONGEST_TOKEN: usize = 16 * 1_024;

/// What tokens are like.
#[derive(Debug)]
pub struct Terms {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// How they are signed, and how long they last.
    pub signing: Signing,
    /// How long a family lasts.
    pub family_life: Duration,
    /// The key that signs.
    pub signer: Signer,
}

/// What is in an access token beside the registered claims.
#[derive(Serialize)]
struct Own<'a> {
    client_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    roles: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
}

/// An access token of ours that nobody changed, whatever has become of it.
pub(super) struct Access {
    pub(super) id: String,
    pub(super) credential: String,
    pub(super) family: Option<String>,
    pub(super) claims: Map<String, Value>,
    pub(super) ends: u64,
}

pub(super) fn seconds(time: Time) -> u64 {
    u64::try_from(time.millis() / 1_000).unwrap_or(0)
}

impl Terms {
    /// Asks that a token is wanted for what we guard (RFC 8707, RFC 8693).
    ///
    /// # Errors
    /// [`TokenError::InvalidTarget`].
    pub fn is_target(&self, target: &str) -> Result<(), TokenError> {
        if target == self.audience { Ok(()) } else { Err(TokenError::InvalidTarget(self.audience.clone())) }
    }

    pub(super) async fn access_token(
        &self,
        store: &Store,
        secrets: &Secrets,
        key: &Usable,
        scopes: &[String],
        family: Option<&str>,
    ) -> Result<Granted, TokenError> {
        let now = seconds(store.now());
        // A token that outlives its key would be refused all the same.
        let life = self.signing.token_life.as_secs();
        let left = key.expires_at.map_or(u64::MAX, |expires_at| seconds(expires_at).saturating_sub(now));
        let expires_in = life.min(left);
        let scope = scopes.join(" ");
        let claims = JWTClaims {
            issued_at: Some(UnixTimeStamp::from_secs(now)),
            expires_at: Some(UnixTimeStamp::from_secs(now.saturating_add(expires_in))),
            invalid_before: None,
            issuer: Some(self.issuer.clone()),
            subject: Some(key.consumer.clone()),
            audiences: Some(Audiences::AsString(self.audience.clone())),
            jwt_id: Some(random_id(16)?),
            nonce: None,
            custom: Own { client_id: &key.id, scope: &scope, roles: &key.roles, sid: family },
        };
        let access_token = Shown::new(self.signer.current(store, secrets, &self.signing).await?.sign(claims)?);
        metrics::counter!("tollgate_tokens_issued_total").increment(1);
        Ok(Granted { access_token, token_type: "Bearer", expires_in, scope, refresh_token: None, issued_token_type: None })
    }

    /// An access token, if one of our keys signed it and it has not ended.
    pub(super) async fn verified(&self, store: &Store, secrets: &Secrets, token: &str) -> Result<Option<Access>, Failure> {
        if token.len() > LONGEST_TOKEN {
            return Ok(None);
        }
        let Ok(compact) = Compact::parse(token.as_bytes()) else {
            return Ok(None);
        };
        let set = self.keys(store, secrets).await?;
        if !set.keys().iter().any(|key| compact.signed_by(key, &mut NoAccelerator) == Signed::Yes) {
            return Ok(None);
        }
        let now = seconds(store.now());
        Ok(json::object(compact.unverified_payload()).and_then(|claims| {
            let text = |name| claims::text(&claims, name).ok().flatten().map(str::to_owned);
            let NumericDate(ends) = claims::date(&claims, "exp").ok().flatten()?;
            let ours = compact.header().kind.as_deref() == Some("at+jwt") && text("iss").as_ref() == Some(&self.issuer) && ends > now;
            let (id, credential, family) = (text("jti")?, text("client_id")?, text("sid"));
            ours.then_some(Access { id, credential, family, claims, ends })
        }))
    }

    /// All keys that our tokens may be signed with.
    async fn keys(&self, store: &Store, secrets: &Secrets) -> Result<KeySet, Failure> {
        let published = signing_keys::published(store).await?;
        let entries = published.get("keys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
        let secret = |(version, secret): (u32, Secret)| Jwk::secret(Some(signing_keys::name_of_secret(version)), secret);
        Ok(KeySet::new(
            entries.filter_map(|entry| Jwk::read(entry).ok()).chain(secrets.signing_secrets().into_iter().filter_map(secret)).collect(),
        ))
    }
}
