//! Owns the routes of users. Must not know how they are made or kept.

use std::sync::Arc;

use axum::extract::State;

use super::super::answer::Answer;
use super::super::auth::{Allowed, UsersRead, UsersWrite, begin};
use super::super::backend::Backend;
use super::super::document::{Document, Shape};
use super::super::once::{Begun, Making, Once};
use super::super::parameters::{Known, Named, Query};
use super::super::problem::Refusal;
use super::openapi::{IdempotencyKey, IfMatch};
use crate::page::{Listing, Page};
use crate::users::{self, NewUser, User, UserPatch};

impl Shape for NewUser {}
impl Shape for UserPatch {}

/// List users.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", operation_id = "list_users", params(Page),
    responses((status = 200, body = Listing<User>)), extensions(("x-permission" = json!("users:read"))))]
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<UsersRead>,
    Query(page): Query<Page>,
) -> Result<Answer, Refusal> {
    Answer::of(&users::list(&backend.store, &allowed.principal, &page).await?)
}

/// Make a user. They are sent a word with which they choose a password.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", operation_id = "create_user", params(IdempotencyKey), request_body = NewUser,
    responses((status = 201, body = User)), extensions(("x-permission" = json!("users:write"))))]
pub(super) async fn create(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<UsersWrite>,
    making: Making<NewUser>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let public_url = &backend.terms.public_url;
    let made = users::create(&mut once.write, &backend.secrets, public_url, &allowed.principal, making.body).await?;
    once.end(Answer::made(&made, format!("/api/v1/users/{}", made.id))?.version(made.version)).await
}

/// One user.
#[utoipa::path(get, path = "/api/v1/users/{user_id}", tag = "users", operation_id = "get_user", params(("user_id" = String, Path)),
    responses((status = 200, body = User)), extensions(("x-permission" = json!("users:read"))))]
pub(super) async fn get(State(backend): State<Arc<Backend>>, allowed: Allowed<UsersRead>, Named(id): Named) -> Result<Answer, Refusal> {
    let found = users::get(&backend.store, &allowed.principal, &id).await?;
    Ok(Answer::of(&found)?.version(found.version))
}

/// Change a user. Who may do something else from now on, or nothing, signs in anew.
#[utoipa::path(patch, path = "/api/v1/users/{user_id}", tag = "users", operation_id = "update_user",
    params(("user_id" = String, Path), IfMatch), request_body = UserPatch, responses((status = 200, body = User)),
    extensions(("x-permission" = json!("users:write"))))]
pub(super) async fn update(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<UsersWrite>,
    Named(id): Named,
    known: Option<Known>,
    Document { value: patch, .. }: Document<UserPatch>,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    let changed = users::update(&mut write, &allowed.principal, &id, Known::version(known), patch).await?;
    write.commit().await?;
    Ok(Answer::of(&changed)?.version(changed.version))
}

/// Delete a user. Their sessions end, and who they were is forgotten.
#[utoipa::path(delete, path = "/api/v1/users/{user_id}", tag = "users", operation_id = "delete_user",
    params(("user_id" = String, Path), IfMatch), responses((status = 204)), extensions(("x-permission" = json!("users:write"))))]
pub(super) async fn delete(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<UsersWrite>,
    Named(id): Named,
    known: Option<Known>,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    users::delete(&mut write, &allowed.principal, &id, Known::version(known)).await?;
    write.commit().await?;
    Ok(Answer::nothing())
}
