//! Owns what is told of a token, and to whom (RFC 7662). Must not change anything.

use serde::Serialize;
use tollgate_core::claims::{self, NumericDate};

use super::terms::seconds;
use super::{Client, Terms, refresh};
use crate::failure::Failure;
use crate::permission::Principal;
use crate::resolve::usable;
use crate::secrets::Secrets;
use crate::store::families::{self as rows, Row};
use crate::store::resolve::Usable;
use crate::store::{self, Store};

/// What a token says (RFC 7662, section 2.2); all but `active` only of one that passes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Introspection {
    /// Whether it passes now.
    pub active: bool,
    /// Its scopes, with spaces between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The id of the API key it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// `Bearer`, or `refresh_token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<&'static str>,
    /// When it ends, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// The consumer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Whom it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

/// Who asks about a token.
#[derive(Debug)]
pub enum Asker<'a> {
    /// A client.
    Client(&'a Client),
    /// Whoever has an admin key.
    Principal(&'a Principal),
}

/// What a token says (RFC 7662), to a client whose consumer's it is, or to a principal that may know of it.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn introspect(store: &Store, secrets: &Secrets, terms: &Terms, asker: &Asker<'_>, token: &str) -> Result<Introspection, Failure> {
    let nothing = Introspection::default();
    let may_know = |key: &Usable, organisation: &str| match asker {
        Asker::Client(client) => client.0.consumer == key.consumer,
        Asker::Principal(principal) => principal.reaches(organisation, &key.consumer),
    };
    let (credential, told) = if let Some(presented) = refresh::Presented::read(token) {
        let family = rows::get(&mut store.read().await?, presented.family).await?.filter(|family| presented.is_of(secrets, family));
        let good = |family: &Row| family.revoked_at.is_none() && family.ends_at > store.now() && presented.is_good(family);
        let Some(family) = family.filter(good) else {
            return Ok(nothing);
        };
        let told = Introspection {
            active: true,
            scope: Some(family.scopes.join(" ")).filter(|scope| !scope.is_empty()),
            token_type: Some("refresh_token"),
            exp: Some(seconds(family.ends_at)),
            iat: Some(seconds(family.created_at)),
            sub: Some(family.consumer),
            iss: Some(terms.issuer.clone()),
            client_id: Some(family.credential.clone()),
            aud: None,
            jti: None,
        };
        (family.credential, told)
    } else {
        let Some(access) = terms.verified(store, secrets, token).await? else {
            return Ok(nothing);
        };
        let mut read = store.read().await?;
        for id in [Some(&access.id), access.family.as_ref()].into_iter().flatten() {
            if rows::revocation(&mut read, id).await?.is_some() {
                return Ok(nothing);
            }
        }
        let text = |name: &str| claims::text(&access.claims, name).ok().flatten().map(str::to_owned);
        let told = Introspection {
            active: true,
            scope: text("scope"),
            client_id: text("client_id"),
            token_type: Some("Bearer"),
            exp: Some(access.ends),
            iat: claims::date(&access.claims, "iat").ok().flatten().map(|NumericDate(seconds)| seconds),
            sub: text("sub"),
            aud: text("aud"),
            iss: text("iss"),
            jti: text("jti"),
        };
        (access.credential, told)
    };
    let organisation = store::api_keys::get(&mut store.read().await?, &credential).await?.map(|row| row.organisation);
    let (_, key) = usable(store, &credential).await?;
    let known = key.zip(organisation).is_some_and(|(key, organisation)| may_know(&key, &organisation));
    Ok(if known { told } else { nothing })
}
