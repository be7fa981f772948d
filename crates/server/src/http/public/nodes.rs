//! Owns the routes by which operators see nodes and give them credentials. Must not know what nodes ask: `http::node` does.

use std::sync::Arc;

use axum::extract::State;

use super::super::answer::Answer;
use super::super::auth::{Allowed, NodesRead, NodesWrite, begin};
use super::super::backend::Backend;
use super::super::document::Shape;
use super::super::once::{Begun, Making, Once};
use super::super::parameters::{Named, Query};
use super::super::problem::Refusal;
use super::openapi::IdempotencyKey;
use crate::nodes::{self, CreatedNodeCredential, NewNodeCredential, Node, NodeCredential};
use crate::page::{Listing, Page};

impl Shape for NewNodeCredential {
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// List the nodes of the last week.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "nodes", operation_id = "list_nodes", params(Page),
    responses((status = 200, body = Listing<Node>)), extensions(("x-permission" = json!("nodes:read"))))]
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<NodesRead>,
    Query(page): Query<Page>,
) -> Result<Answer, Refusal> {
    Answer::of(&nodes::list(&backend.store, &allowed.principal, &page).await?)
}

/// List the credentials of nodes.
#[utoipa::path(get, path = "/api/v1/node-credentials", tag = "nodes", operation_id = "list_node_credentials", params(Page),
    responses((status = 200, body = Listing<NodeCredential>)), extensions(("x-permission" = json!("nodes:read"))))]
pub(super) async fn credentials(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<NodesRead>,
    Query(page): Query<Page>,
) -> Result<Answer, Refusal> {
    Answer::of(&nodes::credentials(&backend.store, &allowed.principal, &page).await?)
}

/// Make a credential for nodes. It is shown this once.
#[utoipa::path(post, path = "/api/v1/node-credentials", tag = "nodes", operation_id = "create_node_credential", params(IdempotencyKey),
    request_body(content = Option<NewNodeCredential>), responses((status = 201, body = CreatedNodeCredential)),
    extensions(("x-permission" = json!("nodes:write"))))]
pub(super) async fn create_credential(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<NodesWrite>,
    making: Making<NewNodeCredential>,
) -> Result<Answer, Refusal> {
    let mut once = match Once::begin(&backend, &allowed.principal, making.attempt).await? {
        Begun::Before(answer) => return Ok(answer),
        Begun::Now(once) => once,
    };
    let made = nodes::create_credential(&mut once.write, &backend.secrets, &allowed.principal, making.body).await?;
    once.end(Answer::made(&made, format!("/api/v1/node-credentials/{}", made.credential.id))?).await
}

/// Revoke the credential of nodes, and with it the tokens it was traded for.
#[utoipa::path(delete, path = "/api/v1/node-credentials/{node_credential_id}", tag = "nodes", operation_id = "revoke_node_credential",
    params(("node_credential_id" = String, Path)), responses((status = 204)), extensions(("x-permission" = json!("nodes:write"))))]
pub(super) async fn revoke_credential(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<NodesWrite>,
    Named(id): Named,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    nodes::revoke_credential(&mut write, &allowed.principal, &id).await?;
    write.commit().await?;
    Ok(Answer::nothing())
}
