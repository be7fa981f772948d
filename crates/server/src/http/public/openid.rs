//! Owns the routes of OpenID providers, and those by which a browser goes to one and comes back. Must not judge who came back.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::super::answer::Answer;
use super::super::auth::{Allowed, IdentityProvidersRead, IdentityProvidersWrite, MaybeSignedIn, OwnAccount, address, begin, failed};
use super::super::backend::Backend;
use super::super::cookies::{SESSION, SIGN_IN};
use super::super::document::{Document, Shape};
use super::super::once::{Begun, Making, Once};
use super::super::parameters::{Known, Named, Query};
use super::super::problem::Refusal;
use super::accounts::agent;
use super::openapi::{IdempotencyKey, IfMatch};
use crate::audit::Reason;
use crate::failure::Failure;
use crate::openid::{self, Arrival, Departure, IdentityProvider, IdentityProviderPatch, NewIdentityProvider, Return, Surroundings};
use crate::page::{Listing, Page};

impl Shape for NewIdentityProvider {}
impl Shape for IdentityProviderPatch {
    const CLEARABLE: &'static [&'static str] = &["client_secret", "new_users"];
}

/// Where a browser comes back to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    return_to: Option<String>,
}

/// Where a browser goes.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Location {
    /// The provider's page.
    location: String,
}

/// List OpenID providers.
#[utoipa::path(get, path = "/api/v1/identity-providers", tag = "identity providers", operation_id = "list_identity_providers", params(Page),
    responses((status = 200, body = Listing<IdentityProvider>)), extensions(("x-permission" = json!("identity_providers:read"))))]
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    _allowed: Allowed<IdentityProvidersRead>,
    Query(page): Query<Page>,
) -> Result<Answer, Refusal> {
    Answer::of(&openid::list(&backend.store, &page).await?)
}

/// Make an OpenID provider.
#[utoipa::path(post, path = "/api/v1/identity-providers", tag = "identity providers", operation_id = "create_identity_provider",
    params(IdempotencyKey), request_body = NewIdentityProvider, responses((status = 201, body = IdentityProvider)),
    extensions(("x-permission" = json!("identity_providers:write"))))]
pub(super) async fn create(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<IdentityProvidersWrite>,
    making: Making<NewIdentityProvider>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let made = openid::create(&mut once.write, &backend.secrets, &allowed.principal, making.body).await?;
    once.end(Answer::made(&made, format!("/api/v1/identity-providers/{}", made.id))?.version(made.version)).await
}

/// One OpenID provider.
#[utoipa::path(get, path = "/api/v1/identity-providers/{provider_id}", tag = "identity providers", operation_id = "get_identity_provider",
    params(("provider_id" = String, Path)), responses((status = 200, body = IdentityProvider)),
    extensions(("x-permission" = json!("identity_providers:read"))))]
pub(super) async fn get(
    State(backend): State<Arc<Backend>>,
    _allowed: Allowed<IdentityProvidersRead>,
    Named(id): Named,
) -> Result<Answer, Refusal> {
    let found = openid::get(&backend.store, &id).await?;
    Ok(Answer::of(&found)?.version(found.version))
}

/// Change an OpenID provider.
#[utoipa::path(patch, path = "/api/v1/identity-providers/{provider_id}", tag = "identity providers",
    operation_id = "update_identity_provider", params(("provider_id" = String, Path), IfMatch), request_body = IdentityProviderPatch,
    responses((status = 200, body = IdentityProvider)), extensions(("x-permission" = json!("identity_providers:write"))))]
pub(super) async fn update(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<IdentityProvidersWrite>,
    Named(id): Named,
    known: Option<Known>,
    Document { value: patch, .. }: Document<IdentityProviderPatch>,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    let changed = openid::update(&mut write, &backend.secrets, &allowed.principal, &id, Known::version(known), patch).await?;
    write.commit().await?;
    Ok(Answer::of(&changed)?.version(changed.version))
}

/// Delete an OpenID provider.
#[utoipa::path(delete, path = "/api/v1/identity-providers/{provider_id}", tag = "identity providers",
    operation_id = "delete_identity_provider", params(("provider_id" = String, Path), IfMatch), responses((status = 204)),
    extensions(("x-permission" = json!("identity_providers:write"))))]
pub(super) async fn delete(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<IdentityProvidersWrite>,
    Named(id): Named,
    known: Option<Known>,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    openid::delete(&mut write, &allowed.principal, &id, Known::version(known)).await?;
    write.commit().await?;
    Ok(Answer::nothing())
}

/// Sign in through an OpenID provider: the browser goes to its page, and comes back to `return_to`, a path of this backend.
#[utoipa::path(get, path = "/api/v1/auth/openid/{provider_id}/login", tag = "accounts", operation_id = "openid_login",
    params(("provider_id" = String, Path), ("return_to" = Option<String>, Query)), responses((status = 303)), security(()),
    extensions(("x-permission" = json!("none"))))]
pub(super) async fn login(
    State(backend): State<Arc<Backend>>,
    Named(id): Named,
    Query(asked): Query<Asked>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let wait = |wait| Refusal::limited(wait, "Too many attempts to sign in");
    backend.openid_sign_ins.take(address(&backend, &parts), backend.monotonic()).map_err(wait)?;
    let departure = openid::depart(around(&backend), &id, asked.return_to.as_deref().unwrap_or("/"), None).await?;
    Ok((StatusCode::SEE_OTHER, AppendHeaders([location(&departure.location), sign_in(&departure)])).into_response())
}

/// Link an identity of an OpenID provider to one's own account: the browser is to go to `location`.
#[utoipa::path(post, path = "/api/v1/auth/openid/{provider_id}/link", tag = "accounts", operation_id = "openid_link",
    params(("provider_id" = String, Path), ("return_to" = Option<String>, Query)), responses((status = 200, body = Location)),
    extensions(("x-permission" = json!("own_account"))))]
pub(super) async fn link(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<OwnAccount>,
    Named(id): Named,
    Query(asked): Query<Asked>,
) -> Result<Response, Refusal> {
    let to = asked.return_to.as_deref().unwrap_or("/");
    let departure = openid::depart(around(&backend), &id, to, Some(&allowed.principal)).await?;
    let answer = Answer::of(&Location { location: departure.location.clone() })?;
    Ok((AppendHeaders([sign_in(&departure)]), answer).into_response())
}

/// Where an OpenID provider sends a browser back to.
#[utoipa::path(get, path = "/api/v1/auth/openid/{provider_id}/callback", tag = "accounts", operation_id = "openid_callback",
    params(("provider_id" = String, Path), ("state" = Option<String>, Query), ("code" = Option<String>, Query), ("iss" = Option<String>, Query),
        ("error" = Option<String>, Query)), responses((status = 303)), security(()), extensions(("x-permission" = json!("none"))))]
pub(super) async fn callback(State(backend): State<Arc<Backend>>, Named(id): Named, request: Request) -> Result<Response, Refusal> {
    let (mut parts, _) = request.into_parts();
    let back = returned(parts.uri.query().unwrap_or_default())?;
    let MaybeSignedIn(user) = MaybeSignedIn::from_request_parts(&mut parts, &backend).await?;
    let browser = SIGN_IN.read(&parts.headers).ok().flatten();
    let arrival = openid::arrive(around(&backend), &id, &back, browser, user.as_ref(), agent(&parts)).await;
    let arrival = arrival.inspect_err(|failure| {
        // A provider that cannot be reached is nobody's failure to prove who they are.
        if !matches!(failure, Failure::Unavailable { .. } | Failure::Internal { .. } | Failure::NotFound) {
            failed(&backend, &parts, Reason::OpenId);
        }
    })?;
    let forgotten = (SET_COOKIE, SIGN_IN.clear());
    Ok(match arrival {
        Arrival::SignedIn(begun, to) => {
            let headers = AppendHeaders([location(&to), forgotten, (SET_COOKIE, SESSION.set(begun.word.expose()))]);
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Arrival::Linked(to) => (StatusCode::SEE_OTHER, AppendHeaders([location(&to), forgotten])).into_response(),
    })
}

/// What a provider may add to our redirect URI is for it to choose; what we look at is there once.
fn returned(query: &str) -> Result<Return, Refusal> {
    let mut back = Return::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let place = match name.as_ref() {
            "state" => &mut back.state,
            "code" => &mut back.code,
            "iss" => &mut back.iss,
            "error" => &mut back.error,
            _ => continue,
        };
        if place.replace(value.into_owned()).is_some() {
            return Err(Refusal::field(name, "given twice"));
        }
    }
    Ok(back)
}

fn around(backend: &Backend) -> Surroundings<'_> {
    let Backend { store, secrets, outgoing, terms, .. } = backend;
    Surroundings { store, secrets, outgoing, public_url: &terms.public_url, tier: &terms.tier }
}

fn location(to: &str) -> (axum::http::HeaderName, HeaderValue) {
    (LOCATION, HeaderValue::from_str(to).unwrap_or_else(|_| HeaderValue::from_static("/")))
}

fn sign_in(departure: &Departure) -> (axum::http::HeaderName, HeaderValue) {
    (SET_COOKIE, SIGN_IN.set(departure.browser.expose()))
}
