//! Owns the routes by which people take an account, sign in and choose passwords. Must not tell whether an address is known, by words or by
//! time: what depends on it is done after the answer.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::header::{SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::Serialize;

use super::super::answer::Answer;
use super::super::auth::{Allowed, Client, OwnAccount, address, begin, is_from_our_site};
use super::super::backend::Backend;
use super::super::cookies::{DEVICE, SESSION};
use super::super::document::{Document, Shape};
use super::super::parameters::{Named, Query};
use super::super::problem::Refusal;
use crate::accounts::{self, Changed, Chosen, Forgotten, Login, Registration};
use crate::audit::{Account, Reason};
use crate::failure::Failure;
use crate::page::{Listing, Page};
use crate::sessions::{self, Begun, Session};
use crate::users::{self, User, email_key};

impl Shape for Registration {}
impl Shape for Forgotten {}
impl Shape for Chosen {}
impl Shape for Changed {}
impl Shape for Login {}

/// Who is signed in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct SignedIn {
    /// Who that is.
    user: User,
    /// The session.
    session: Session,
    /// What a page sends as `X-CSRF-Token` with every request that changes something.
    csrf_token: String,
}

/// Ask for an account. The answer is the same whether or not there is one with this address; what follows comes by mail.
///
/// There only where the setting `registration` is on.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "accounts", operation_id = "register", request_body = Registration,
    responses((status = 202)), security(()), extensions(("x-permission" = json!("none"))))]
pub(super) async fn register(State(backend): State<Arc<Backend>>, request: Request) -> Result<Answer, Refusal> {
    if !backend.registration {
        return Err(Refusal::not_found());
    }
    let (_, new) = asked::<Registration>(&backend, request).await?;
    accounts::check(&new)?;
    later(&backend, &new.email.clone(), async move |backend: Arc<Backend>| {
        accounts::register(&backend.store, &backend.secrets, &backend.terms, new).await
    });
    Ok(Answer::accepted())
}

/// Ask for another password. The answer is the same whether or not there is an account with this address; what follows comes by mail.
#[utoipa::path(post, path = "/api/v1/auth/password/forgot", tag = "accounts", operation_id = "forgot_password", request_body = Forgotten,
    responses((status = 202)), security(()), extensions(("x-permission" = json!("none"))))]
pub(super) async fn forgot(State(backend): State<Arc<Backend>>, request: Request) -> Result<Answer, Refusal> {
    let (_, forgotten) = asked::<Forgotten>(&backend, request).await?;
    accounts::check_forgotten(&forgotten)?;
    let Forgotten { email } = forgotten;
    later(&backend, &email.clone(), async move |backend: Arc<Backend>| {
        accounts::forgotten(&backend.store, &backend.secrets, &backend.terms, &email).await
    });
    Ok(Answer::accepted())
}

/// Choose a password with the word that came by mail. All sessions end.
#[utoipa::path(post, path = "/api/v1/auth/password/choose", tag = "accounts", operation_id = "choose_password", request_body = Chosen,
    responses((status = 204)), security(()), extensions(("x-permission" = json!("none"))))]
pub(super) async fn choose(State(backend): State<Arc<Backend>>, request: Request) -> Result<Answer, Refusal> {
    let (client, chosen) = asked::<Chosen>(&backend, request).await?;
    let done = accounts::choose(&backend.store, &backend.secrets, &backend.terms, &chosen).await;
    done.inspect_err(|failure| note(&backend, failure, "token", (Reason::Word, client, None)))?;
    Ok(Answer::nothing())
}

/// Sign in. The session is a cookie.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "accounts", operation_id = "login", request_body = Login,
    responses((status = 200, body = SignedIn)), security(()), extensions(("x-permission" = json!("none"))))]
pub(super) async fn login(State(backend): State<Arc<Backend>>, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    is_from_our_site(&parts, &backend)?;
    let client = address(&backend, &parts);
    let Document { value: login, .. } = Document::<Login>::from_request(Request::from_parts(parts.clone(), body), &backend).await?;
    accounts::check_login(&login)?;
    let device = DEVICE.read(&parts.headers).ok().flatten();
    let known = device.and_then(|device| accounts::known_device(&backend.secrets, &login.email, device));
    let now = backend.monotonic();
    // Taken before and not given back: whoever signs in often enough to notice has a program that should keep its session.
    let tried = |reason| backend.failed(reason, client, Some(Account::Email(email_key(&login.email))));
    let wait = |wait| {
        tried(Reason::TooMany);
        Refusal::limited(wait, "Too many attempts to sign in")
    };
    backend.wrong_credentials.take(client, now).map_err(wait)?;
    backend.wrong_passwords.take_for(backend.account(&(email_key(&login.email), known)), now).map_err(wait)?;
    let Some(begun) = accounts::login(&backend.store, &backend.secrets, &login, agent(&parts)).await? else {
        tried(Reason::Password);
        metrics::counter!("tollgate_wrong_credentials_total").increment(1);
        return Err(Refusal::wrong_password());
    };
    let device = match known.and(device) {
        Some(device) => device.to_owned(),
        None => accounts::device(&backend.secrets, &login.email)?,
    };
    let answer = signed_in(&backend, &begun)?;
    Ok((AppendHeaders([(SET_COOKIE, SESSION.set(begun.word.expose())), (SET_COOKIE, DEVICE.set(&device))]), answer).into_response())
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/v1/auth/session", tag = "accounts", operation_id = "get_session",
    responses((status = 200, body = SignedIn)), extensions(("x-permission" = json!("own_account"))))]
pub(super) async fn session(State(backend): State<Arc<Backend>>, request: Request) -> Result<Answer, Refusal> {
    let (mut parts, _) = request.into_parts();
    let allowed = Allowed::<OwnAccount>::from_request_parts(&mut parts, &backend).await?;
    let (user, session) = sessions::own(&backend.store, &allowed.principal).await?;
    let word = SESSION.read(&parts.headers).ok().flatten().unwrap_or_default();
    Answer::of(&SignedIn { user, session, csrf_token: sessions::csrf_token(&backend.secrets, word) })
}

/// Sign out.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "accounts", operation_id = "logout", responses((status = 204)),
    extensions(("x-permission" = json!("own_account"))))]
pub(super) async fn logout(State(backend): State<Arc<Backend>>, allowed: Allowed<OwnAccount>) -> Result<Response, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    let session = allowed.principal.session.clone().unwrap_or_default();
    sessions::end(&mut write, &allowed.principal, &session).await?;
    write.commit().await?;
    Ok((AppendHeaders([(SET_COOKIE, SESSION.clear())]), Answer::nothing()).into_response())
}

/// Choose another password. All other sessions end.
#[utoipa::path(post, path = "/api/v1/auth/password", tag = "accounts", operation_id = "change_password", request_body = Changed,
    responses((status = 204)), extensions(("x-permission" = json!("own_account"))))]
pub(super) async fn change(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<OwnAccount>,
    client: Client,
    Document { value: changed, .. }: Document<Changed>,
) -> Result<Answer, Refusal> {
    accounts::check_changed(&changed)?;
    let id = users::id_of(&allowed.principal)?;
    let wait = |wait| Refusal::limited(wait, "Too many attempts");
    backend.wrong_passwords.take_for(backend.account(&id), backend.monotonic()).map_err(wait)?;
    let done = accounts::change(&backend.store, &backend.secrets, &allowed.principal, &changed).await;
    let whose = || Some(Account::User(id.to_owned()));
    done.inspect_err(|failure| note(&backend, failure, "current", (Reason::Password, client.0, whose())))?;
    Ok(Answer::nothing())
}

/// List one's own sessions.
#[utoipa::path(get, path = "/api/v1/auth/sessions", tag = "accounts", operation_id = "list_sessions", params(Page),
    responses((status = 200, body = Listing<Session>)), extensions(("x-permission" = json!("own_account"))))]
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<OwnAccount>,
    Query(page): Query<Page>,
) -> Result<Answer, Refusal> {
    Answer::of(&sessions::list(&backend.store, &allowed.principal, &page).await?)
}

/// End one of one's own sessions.
#[utoipa::path(delete, path = "/api/v1/auth/sessions/{session_id}", tag = "accounts", operation_id = "end_session",
    params(("session_id" = String, Path)), responses((status = 204)), extensions(("x-permission" = json!("own_account"))))]
pub(super) async fn end(State(backend): State<Arc<Backend>>, allowed: Allowed<OwnAccount>, Named(id): Named) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    sessions::end(&mut write, &allowed.principal, &id).await?;
    write.commit().await?;
    Ok(Answer::nothing())
}

fn signed_in(backend: &Backend, begun: &Begun) -> Result<Answer, Refusal> {
    let csrf_token = sessions::csrf_token(&backend.secrets, begun.word.expose());
    Answer::of(&SignedIn { user: begun.user.clone(), session: begun.session.clone(), csrf_token })
}

/// What nobody in particular asks: as often as an address may.
async fn asked<T: Shape>(backend: &Arc<Backend>, request: Request) -> Result<(IpAddr, T), Refusal> {
    let (parts, body) = request.into_parts();
    is_from_our_site(&parts, backend)?;
    let client = address(backend, &parts);
    let Document { value, .. } = Document::<T>::from_request(Request::from_parts(parts, body), backend).await?;
    let wait = |wait| Refusal::limited(wait, "Too many were asked for; try again later");
    backend.asked_for_accounts.take(client, backend.monotonic()).map_err(wait)?;
    Ok((client, value))
}

/// Notes a failure for the audit log, where it is of the field that proves who somebody is.
fn note(backend: &Backend, failure: &Failure, field: &str, (reason, address, account): (Reason, IpAddr, Option<Account>)) {
    if matches!(failure, Failure::Invalid { problems } if problems.iter().any(|problem| problem.field == field)) {
        backend.failed(reason, address, account);
    }
}

/// Does something after the answer, if the account may be written to again. How many wait is bounded by how often anybody may ask.
fn later<F>(backend: &Arc<Backend>, email: &str, work: impl FnOnce(Arc<Backend>) -> F)
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    if backend.mail_to_account.take_for(backend.account(&email_key(email)), backend.monotonic()).is_err() {
        return;
    }
    let work = work(Arc::clone(backend));
    tokio::spawn(async move {
        if let Err(failure) = work.await {
            tracing::warn!(private = failure.private(), %failure, "an account could not be given or found");
        }
    });
}

/// What the browser calls itself.
pub(super) fn agent(parts: &Parts) -> &str {
    parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default()
}
