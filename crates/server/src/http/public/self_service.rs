//! Owns the route by which anybody takes a key. Must not tell whether an address is known.

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};

use super::super::answer::Answer;
use super::super::auth::address;
use super::super::backend::Backend;
use super::super::document::{Document, Shape};
use super::super::problem::Refusal;
use crate::self_service::{self, NewSelfServiceKey, SelfServiceKey};

impl Shape for NewSelfServiceKey {}

/// Take an API key in a tier that is open to everybody. It is shown this once.
///
/// There only where the setting `self_service` is on.
#[utoipa::path(post, path = "/api/auth/keys", tag = "self-service", operation_id = "take_key", request_body = NewSelfServiceKey,
    responses((status = 201, body = SelfServiceKey)), security(()), extensions(("x-permission" = json!("none"))))]
pub(super) async fn create(State(backend): State<Arc<Backend>>, request: Request) -> Result<Answer, Refusal> {
    if !backend.self_service {
        return Err(Refusal::not_found());
    }
    let (parts, body) = request.into_parts();
    let client = address(&backend, &parts);
    let Document { value: new, .. } = Document::from_request(Request::from_parts(parts, body), &backend).await?;
    // Refused requests count as well: each asks for a transaction.
    let wait = |wait| Refusal::limited(wait, "Too many keys were taken; try again later");
    backend.self_service_keys.take(client, backend.monotonic()).map_err(wait)?;
    let mut write = backend.store.begin().await?;
    let made = self_service::create(&mut write, &backend.secrets, new).await?;
    write.commit().await?;
    Answer::of(&made).map(Answer::created)
}
