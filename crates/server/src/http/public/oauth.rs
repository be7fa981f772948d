//! Owns the routes of the token service (RFC 6749, 7009, 7662, 8414, 8693): forms in, documents out. Must not decide who gets a token.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::HeaderValue;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::super::answer::Answer;
use super::super::auth::{Allowed, TokensRead, count_wrong, note};
use super::super::backend::Backend;
use crate::audit::Reason;
use crate::failure::Failure;
use crate::signing_keys;
use crate::tokens::{self, Asker, Client, Granted, Introspection, TokenError, family_of};
use declined::Declined;
pub(super) use declined::OAuthError;
use form::{Form, Secret};

mod declined;
mod form;

/// The type of an API key that is exchanged.
const API_KEY: &str = "urn:tollgate:params:oauth:token-type:api_key";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What a client asks for: a form.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "read as a `Form`; here it is described")]
pub(super) struct TokenRequest {
    /// `client_credentials`, `refresh_token` or `urn:ietf:params:oauth:grant-type:token-exchange`.
    #[schema(examples("client_credentials"))]
    grant_type: String,
    /// The scopes wanted, with spaces between them. Default: all that the key has.
    scope: Option<String>,
    /// The id of an API key, where it is not in `Authorization: Basic`.
    client_id: Option<String>,
    /// The API key, where it is not in `Authorization: Basic`.
    client_secret: Option<String>,
    /// With `refresh_token`: the refresh token.
    refresh_token: Option<String>,
    /// With an exchange: the API key.
    subject_token: Option<String>,
    /// With an exchange: `urn:tollgate:params:oauth:token-type:api_key`.
    subject_token_type: Option<String>,
    /// Whom the token is for: the setting `token_audience`, or left out.
    audience: Option<String>,
}

/// The token that is meant: a form.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "read as a `Form`; here it is described")]
pub(super) struct TokenNamed {
    /// An access token or a refresh token.
    token: String,
    /// Passed over: what a token is can be seen.
    token_type_hint: Option<String>,
    /// The id of an API key, where it is not in `Authorization: Basic`.
    client_id: Option<String>,
    /// The API key, where it is not in `Authorization: Basic`.
    client_secret: Option<String>,
}

/// What the token service is (RFC 8414).
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Metadata {
    issuer: String,
    token_endpoint: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    jwks_uri: String,
    response_types_supported: Vec<&'static str>,
    grant_types_supported: Vec<&'static str>,
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    introspection_endpoint_auth_methods_supported: Vec<&'static str>,
}

/// Get an access token: for a client (an API key), for a key that is exchanged, or for a refresh token.
#[utoipa::path(post, path = "/oauth/token", tag = "tokens", operation_id = "token",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Granted)), security(()), extensions(("x-permission" = json!("none"))))]
pub(super) async fn token(State(backend): State<Arc<Backend>>, request: Request) -> Result<Response, Declined> {
    let (parts, form) = form(&backend, request).await?;
    let granted = match form.required("grant_type")? {
        "client_credentials" => {
            let client = client(&backend, &parts, &form).await?.ok_or_else(|| Declined::client(&parts))?;
            target(&backend, &form)?;
            often(&backend, client.id())?;
            tokens::of_client(&backend.store, &backend.secrets, &backend.tokens, &client, form.get("scope")).await
        }
        EXCHANGE => {
            // Whoever is a client beside it exchanges its own key.
            let client = client(&backend, &parts, &form).await?;
            let key = exchanged(&backend, &parts, &form).await?;
            if client.is_some_and(|client| client.id() != key.id()) {
                return Err(TokenError::InvalidGrant.into());
            }
            often(&backend, key.id())?;
            tokens::of_key(&backend.store, &backend.secrets, &backend.tokens, &key, form.get("scope")).await
        }
        "refresh_token" => {
            let client = client(&backend, &parts, &form).await?;
            target(&backend, &form)?;
            let token = form.required("refresh_token")?;
            if let Some(family) = family_of(token) {
                often(&backend, family)?;
            }
            tokens::renewed(&backend.store, &backend.secrets, &backend.tokens, client.as_ref(), token, form.get("scope")).await
        }
        _ => return Err(Declined::grant_type()),
    };
    match granted {
        Ok(granted) => Ok(unkept(Answer::of(&granted)?)),
        Err(error) => Err(wrong(&backend, &parts, error)),
    }
}

/// Revoke an access token, or a refresh token with all that came from its exchange. The answer is the same if there is none.
#[utoipa::path(post, path = "/oauth/revoke", tag = "tokens", operation_id = "revoke_token",
    request_body(content = TokenNamed, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200)), security(()), extensions(("x-permission" = json!("none"))))]
pub(super) async fn revoke(State(backend): State<Arc<Backend>>, request: Request) -> Result<Response, Declined> {
    let (parts, form) = form(&backend, request).await?;
    let client = client(&backend, &parts, &form).await?;
    let token = form.required("token")?;
    tokens::revoke(&backend.store, &backend.secrets, &backend.tokens, client.as_ref(), token).await?;
    Ok(unkept(()))
}

/// Ask what a token says and whether it passes now: as a client about tokens of its own consumer, or with an admin key that permits `tokens:read`.
#[utoipa::path(post, path = "/oauth/introspect", tag = "tokens", operation_id = "introspect_token",
    request_body(content = TokenNamed, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Introspection)), security(()), extensions(("x-permission" = json!("none"))))]
pub(super) async fn introspect(State(backend): State<Arc<Backend>>, request: Request) -> Result<Response, Declined> {
    let (mut parts, form) = form(&backend, request).await?;
    let client = client(&backend, &parts, &form).await?;
    let token = form.required("token")?;
    let (store, secrets, terms) = (&backend.store, &backend.secrets, &backend.tokens);
    let told = match &client {
        Some(client) => tokens::introspect(store, secrets, terms, &Asker::Client(client), token).await?,
        None => {
            let allowed = Allowed::<TokensRead>::from_request_parts(&mut parts, &backend).await?;
            tokens::introspect(store, secrets, terms, &Asker::Principal(&allowed.principal), token).await?
        }
    };
    Ok(unkept(Answer::of(&told)?))
}

/// What the token service is and where (RFC 8414).
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", tag = "tokens", operation_id = "get_token_service",
    responses((status = 200, body = Metadata)), security(()), extensions(("x-permission" = json!("none"))))]
pub(super) async fn metadata(State(backend): State<Arc<Backend>>) -> Result<Response, Declined> {
    let at = |path: &str| format!("{}{path}", backend.tokens.issuer);
    let secret = || vec!["client_secret_basic", "client_secret_post"];
    let metadata = Metadata {
        issuer: backend.tokens.issuer.clone(),
        token_endpoint: at("/oauth/token"),
        revocation_endpoint: at("/oauth/revoke"),
        introspection_endpoint: at("/oauth/introspect"),
        jwks_uri: at("/.well-known/jwks.json"),
        // There is no authorization endpoint.
        response_types_supported: Vec::new(),
        grant_types_supported: vec!["client_credentials", "refresh_token", EXCHANGE],
        token_endpoint_auth_methods_supported: [secret(), vec!["none"]].concat(),
        revocation_endpoint_auth_methods_supported: [secret(), vec!["none"]].concat(),
        introspection_endpoint_auth_methods_supported: secret(),
    };
    Ok(kept(Answer::of(&metadata)?))
}

/// The keys that access tokens are signed with (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "tokens", operation_id = "get_keys", responses((status = 200, body = Object)),
    security(()), extensions(("x-permission" = json!("none"))))]
pub(super) async fn keys(State(backend): State<Arc<Backend>>) -> Result<Response, Declined> {
    Ok(kept(Answer::of(&signing_keys::published(&backend.store).await?)?))
}

async fn form(backend: &Arc<Backend>, request: Request) -> Result<(Parts, Form), Declined> {
    let (parts, body) = request.into_parts();
    let form = Form::from_request(Request::from_parts(parts.clone(), body), backend).await?;
    Ok((parts, form))
}

/// Who asks, if somebody says so. A client that proves itself wrongly is refused, whatever it asks.
async fn client(backend: &Backend, parts: &Parts, form: &Form) -> Result<Option<Client>, Declined> {
    let Some(Secret { id, key }) = form.secret(parts)? else {
        return Ok(None);
    };
    match tokens::client(&backend.store, &backend.secrets, &key).await {
        Ok(client) if id.is_none_or(|id| id == client.id()) => {
            note(parts, &format!("api_key:{}", client.id()));
            Ok(Some(client))
        }
        Ok(_) => Err(wrong(backend, parts, TokenError::InvalidClient)),
        Err(error) => Err(wrong(backend, parts, error)),
    }
}

/// The key that is to be exchanged.
async fn exchanged(backend: &Backend, parts: &Parts, form: &Form) -> Result<Client, Declined> {
    target(backend, form)?;
    if form.required("subject_token_type")? != API_KEY {
        return Err(Declined::request("subject_token_type: an API key can be exchanged, urn:tollgate:params:oauth:token-type:api_key"));
    }
    if form.get("requested_token_type").is_some_and(|wanted| wanted != ACCESS_TOKEN) {
        return Err(Declined::request("requested_token_type: urn:ietf:params:oauth:token-type:access_token"));
    }
    if form.get("actor_token").is_some() {
        return Err(Declined::request("actor_token: nobody acts for another here"));
    }
    match tokens::client(&backend.store, &backend.secrets, form.required("subject_token")?).await {
        Ok(key) => Ok(key),
        Err(TokenError::InvalidClient) => Err(wrong(backend, parts, TokenError::InvalidGrant)),
        Err(error) => Err(error.into()),
    }
}

fn target(backend: &Backend, form: &Form) -> Result<(), Declined> {
    for target in ["audience", "resource"].iter().filter_map(|name| form.get(name)) {
        backend.tokens.is_target(target)?;
    }
    Ok(())
}

/// Asks that not too many tokens are made for one key or family.
fn often(backend: &Backend, whose: &str) -> Result<(), Declined> {
    backend.tokens_of_key.take_for(backend.account(&whose), backend.monotonic()).map_err(Declined::limited)
}

/// Refuses, and counts a wrong credential against the address it came from.
fn wrong(backend: &Backend, parts: &Parts, error: TokenError) -> Declined {
    if !matches!(error, TokenError::InvalidClient | TokenError::InvalidGrant) {
        return error.into();
    }
    match count_wrong(backend, parts, Reason::Client) {
        Ok(()) if matches!(error, TokenError::InvalidClient) => Declined::client(parts),
        Ok(()) => error.into(),
        Err(wait) => Declined::limited(wait),
    }
}

/// An answer that is nobody's to keep.
fn unkept(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An answer that others may keep for a while.
fn kept(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}
