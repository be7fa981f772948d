//! Owns the routes of the backend's own secrets. Must not show one but a prepared issuer key, once.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;

use super::super::answer::Answer;
use super::super::auth::{Allowed, SecretsRead, SecretsWrite, begin};
use super::super::backend::Backend;
use super::super::document::Shape;
use super::super::once::{Begun, Making, Once};
use super::super::parameters::{Named, Query};
use super::super::problem::Refusal;
use super::openapi::IdempotencyKey;
use crate::rotation::{self, Retire, SecretVersion, SecretVersions};
use crate::secrets::Kind;

/// Nothing more need be said.
#[derive(Debug, Default, serde::Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NextSecret {}

impl Shape for NextSecret {
    fn absent() -> Option<Self> {
        Some(Self {})
    }
}

/// List the versions of the backend's own secrets, with what was made with each. No secret is in it.
#[utoipa::path(get, path = "/api/v1/secrets", tag = "secrets", operation_id = "list_secrets",
    responses((status = 200, body = SecretVersions)), extensions(("x-permission" = json!("secrets:read"))))]
pub(super) async fn list(State(backend): State<Arc<Backend>>, allowed: Allowed<SecretsRead>) -> Result<Answer, Refusal> {
    let life = backend.tokens.signing.token_life;
    Answer::of(&rotation::list(&backend.store, &backend.secrets, &allowed.principal, life).await?)
}

/// Make a version that is not used yet, for others to know first: an issuer key, shown this once, for the nodes; any file for other backends.
#[utoipa::path(post, path = "/api/v1/secrets/{kind}/prepare", tag = "secrets", operation_id = "prepare_secret",
    params(("kind" = Kind, Path), IdempotencyKey), request_body(content = Option<NextSecret>), responses((status = 201, body = SecretVersion)),
    extensions(("x-permission" = json!("secrets:write"))))]
pub(super) async fn prepare(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<SecretsWrite>,
    Named(kind): Named,
    making: Making<NextSecret>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let made = rotation::prepare(&mut once.write, &backend.secrets, &allowed.principal, read(&kind)?).await?;
    once.end(Answer::made(&made, location(&made))?).await
}

/// Have another version of a secret used from now on; what was made with those before goes on.
#[utoipa::path(post, path = "/api/v1/secrets/{kind}/rotate", tag = "secrets", operation_id = "rotate_secret",
    params(("kind" = Kind, Path), IdempotencyKey), request_body(content = Option<NextSecret>), responses((status = 201, body = SecretVersion)),
    extensions(("x-permission" = json!("secrets:write"))))]
pub(super) async fn rotate(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<SecretsWrite>,
    Named(kind): Named,
    making: Making<NextSecret>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let made = rotation::rotate(&mut once.write, &backend.secrets, &allowed.principal, read(&kind)?).await?;
    let answer = once.end(Answer::made(&made, location(&made))?).await?;
    // The first part at once; the rest is done in the background, as this would be.
    let _ = rotation::upkeep(&backend.store, &backend.secrets).await;
    Ok(answer)
}

/// Take a former version of a secret away for good. Refused while something needs it, unless that is forced.
#[utoipa::path(delete, path = "/api/v1/secrets/{secret}", tag = "secrets", operation_id = "retire_secret",
    params(("secret" = String, Path, description = "Kind and version: `pepper.1`."), Retire), responses((status = 204)),
    extensions(("x-permission" = json!("secrets:write"))))]
pub(super) async fn retire(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<SecretsWrite>,
    Named(secret): Named,
    Query(how): Query<Retire>,
) -> Result<Answer, Refusal> {
    let (kind, version) = secret.split_once('.').ok_or_else(Refusal::not_found)?;
    let version = version.parse().map_err(|_| Refusal::not_found())?;
    let mut write = begin(&backend, &allowed.principal).await?;
    let (kind, life) = (read(kind)?, backend.tokens.signing.token_life);
    rotation::retire(&mut write, &backend.secrets, &allowed.principal, (kind, version), how, life).await?;
    write.commit().await?;
    backend.secrets.retire(kind, version)?;
    Ok(Answer::nothing())
}

fn read(kind: &str) -> Result<Kind, Refusal> {
    Kind::ALL.into_iter().find(|known| known.name() == kind).ok_or_else(Refusal::not_found)
}

fn location(made: &SecretVersion) -> String {
    format!("/api/v1/secrets/{}.{}", made.kind.name(), made.version)
}
