//! Owns the route by which anybody reports an API key that was found in public. Must not know what is done about it.

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};

use super::super::answer::Answer;
use super::super::auth::count_wrong;
use super::super::backend::Backend;
use super::super::document::{Document, Shape};
use super::super::problem::Refusal;
use crate::api_keys::{self, Leak, Leaked};
use crate::audit::Reason;

impl Shape for Leak {}

/// Report an API key that was found in public: it is revoked, in force on every connected node at once. Whoever has it may.
#[utoipa::path(post, path = "/api/v1/leaks", tag = "keys", operation_id = "report_leak", request_body = Leak,
    responses((status = 200, body = Leaked)), security(()), extensions(("x-permission" = json!("none"))))]
pub(super) async fn report(State(backend): State<Arc<Backend>>, request: Request) -> Result<Answer, Refusal> {
    let (parts, body) = request.into_parts();
    let Document { value: leak, .. } = Document::<Leak>::from_request(Request::from_parts(parts.clone(), body), &backend).await?;
    let leaked = api_keys::report(&backend.store, &backend.secrets, &leak).await?;
    if leaked.revoked.is_none() {
        // To guess here is to guess a credential.
        let wait = |wait| Refusal::limited(wait, "Too many wrong credentials from this address");
        count_wrong(&backend, &parts, Reason::Leak).map_err(wait)?;
    }
    Answer::of(&leaked)
}
