//! Owns the routes of token families. Must not make a token.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;

use super::super::answer::Answer;
use super::super::auth::{Allowed, TokensRead, TokensWrite, begin};
use super::super::backend::Backend;
use super::super::parameters::{Named, Query};
use super::super::problem::Refusal;
use crate::page::{Listing, Page};
use crate::tokens::{self, Family, FamilyFilter};

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    limit: Option<u32>,
    after: Option<String>,
    consumer: Option<String>,
    credential: Option<String>,
}

/// List what came from exchanges of API keys, until a week after its end.
#[utoipa::path(get, path = "/api/v1/token-families", tag = "tokens", operation_id = "list_token_families", params(FamilyFilter, Page),
    responses((status = 200, body = Listing<Family>)), extensions(("x-permission" = json!("tokens:read"))))]
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<TokensRead>,
    Query(asked): Query<Asked>,
) -> Result<Answer, Refusal> {
    let Asked { limit, after, consumer, credential } = asked;
    let (filter, page) = (FamilyFilter { consumer, credential }, Page { limit, after });
    Answer::of(&tokens::families(&backend.store, &allowed.principal, &filter, &page).await?)
}

/// Revoke a family: none of its tokens passes any longer, on any node.
#[utoipa::path(delete, path = "/api/v1/token-families/{family_id}", tag = "tokens", operation_id = "revoke_token_family",
    params(("family_id" = String, Path)), responses((status = 204)), extensions(("x-permission" = json!("tokens:write"))))]
pub(super) async fn revoke(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<TokensWrite>,
    Named(id): Named,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    tokens::revoke_family(&mut write, &backend.tokens, &allowed.principal, &id).await?;
    write.commit().await?;
    Ok(Answer::nothing())
}
