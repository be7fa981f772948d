//! Owns the routes of organisations. Must not know how they are kept.

use std::sync::Arc;

use axum::extract::State;

use super::super::answer::Answer;
use super::super::auth::{Allowed, OrganisationsRead, OrganisationsWrite, begin};
use super::super::backend::Backend;
use super::super::document::{Document, Shape};
use super::super::once::{Begun, Making, Once};
use super::super::parameters::{Known, Named, Query};
use super::super::problem::Refusal;
use super::openapi::{IdempotencyKey, IfMatch};
use crate::organisations::{self, NewOrganisation, Organisation, OrganisationPatch};
use crate::page::{Listing, Page};

impl Shape for NewOrganisation {}
impl Shape for OrganisationPatch {}

/// List organisations.
#[utoipa::path(get, path = "/api/v1/organisations", tag = "organisations", operation_id = "list_organisations", params(Page),
    responses((status = 200, body = Listing<Organisation>)), extensions(("x-permission" = json!("organisations:read"))))]
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<OrganisationsRead>,
    Query(page): Query<Page>,
) -> Result<Answer, Refusal> {
    Answer::of(&organisations::list(&backend.store, &allowed.principal, &page).await?)
}

/// Make an organisation.
#[utoipa::path(post, path = "/api/v1/organisations", tag = "organisations", operation_id = "create_organisation", params(IdempotencyKey),
    request_body = NewOrganisation, responses((status = 201, body = Organisation)),
    extensions(("x-permission" = json!("organisations:write"))))]
pub(super) async fn create(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<OrganisationsWrite>,
    making: Making<NewOrganisation>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let made = organisations::create(&mut once.write, &allowed.principal, making.body).await?;
    once.end(Answer::made(&made, format!("/api/v1/organisations/{}", made.id))?.version(made.version)).await
}

/// One organisation.
#[utoipa::path(get, path = "/api/v1/organisations/{organisation_id}", tag = "organisations", operation_id = "get_organisation",
    params(("organisation_id" = String, Path)), responses((status = 200, body = Organisation)),
    extensions(("x-permission" = json!("organisations:read"))))]
pub(super) async fn get(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<OrganisationsRead>,
    Named(id): Named,
) -> Result<Answer, Refusal> {
    let found = organisations::get(&backend.store, &allowed.principal, &id).await?;
    Ok(Answer::of(&found)?.version(found.version))
}

/// Change an organisation.
#[utoipa::path(patch, path = "/api/v1/organisations/{organisation_id}", tag = "organisations", operation_id = "update_organisation",
    params(("organisation_id" = String, Path), IfMatch), request_body = OrganisationPatch,
    responses((status = 200, body = Organisation)), extensions(("x-permission" = json!("organisations:write"))))]
pub(super) async fn update(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<OrganisationsWrite>,
    Named(id): Named,
    known: Option<Known>,
    Document { value: patch, .. }: Document<OrganisationPatch>,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    let changed = organisations::update(&mut write, &allowed.principal, &id, Known::version(known), patch).await?;
    write.commit().await?;
    Ok(Answer::of(&changed)?.version(changed.version))
}
