//! Owns the routes of the audit log. Must not know how entries are chained.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;

use super::super::answer::Answer;
use super::super::auth::{Allowed, AuditErase, AuditRead, begin};
use super::super::backend::Backend;
use super::super::parameters::{Named, Query};
use super::super::problem::Refusal;
use crate::audit::{self, Entry, Export, Filter, LastEntry};
use crate::clock::Time;
use crate::failure::Failure;
use crate::page::{Listing, Page};

/// Which part of an export.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read as part of `Asked`; here it is described")]
pub(super) struct Part {
    /// After the entry of this number. Default: from the first.
    after: Option<u64>,
    /// Entries at most. Default: all.
    #[param(minimum = 1)]
    limit: Option<u32>,
}

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    limit: Option<u32>,
    after: Option<String>,
    from: Option<Time>,
    until: Option<Time>,
    actor: Option<String>,
    subject: Option<String>,
    kind: Option<String>,
}

impl Asked {
    fn parts(self) -> (Filter, Page) {
        let Self { limit, after, from, until, actor, subject, kind } = self;
        (Filter { from, until, actor, subject, kind }, Page { limit, after })
    }
}

/// List entries of the audit log, the newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", operation_id = "list_audit", params(Filter, Page),
    responses((status = 200, body = Listing<Entry>)), extensions(("x-permission" = json!("audit:read"))))]
pub(super) async fn list(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<AuditRead>,
    Query(asked): Query<Asked>,
) -> Result<Answer, Refusal> {
    let (filter, page) = asked.parts();
    Answer::of(&audit::list(&backend.store, &allowed.principal, &filter, &page).await?)
}

/// Export entries of the audit log, the oldest first: one JSON object a line. The export is of what there is when it begins.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "audit", operation_id = "export_audit", params(Filter, Part),
    responses((status = 200, body = Entry, content_type = "application/x-ndjson")), extensions(("x-permission" = json!("audit:read"))))]
pub(super) async fn export(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<AuditRead>,
    Query(asked): Query<Asked>,
) -> Result<Response, Refusal> {
    let (filter, Page { limit, after }) = asked.parts();
    let after = after.as_deref().map_or(Ok(0), str::parse).map_err(|_| Failure::invalid("after", "the number of an entry"))?;
    if limit == Some(0) {
        return Err(Failure::invalid("limit", "at least 1").into());
    }
    let mut export = audit::export(&backend.store, &allowed.principal, &filter, after, limit.map(u64::from)).await?;
    // What can be refused is refused with a status; later, only the connection can be cut off.
    let first = export.next().await?;
    let rest = stream::try_unfold((first, export), |(lines, mut export): (Option<String>, Export)| async move {
        let Some(lines) = lines else {
            return Ok(None);
        };
        let next = export.next().await.map_err(|failure| std::io::Error::other(failure.to_string()))?;
        Ok::<_, std::io::Error>(Some((lines, (next, export))))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(rest)).into_response())
}

/// Tell the last entry of the audit log, to be kept elsewhere: it stands for all before it.
#[utoipa::path(get, path = "/api/v1/audit/head", tag = "audit", operation_id = "get_audit_head",
    responses((status = 200, body = LastEntry)), extensions(("x-permission" = json!("audit:read"))))]
pub(super) async fn head(State(backend): State<Arc<Backend>>, allowed: Allowed<AuditRead>) -> Result<Answer, Refusal> {
    Answer::of(&audit::head(&backend.store, &allowed.principal).await?)
}

/// Have the audit log forget who somebody is. Entries and their chain stay.
#[utoipa::path(delete, path = "/api/v1/audit/persons/{person}", tag = "audit", operation_id = "erase_from_audit",
    params(("person" = String, Path, description = "`user:<id>`, `consumer:<id>`, `address:192.0.2.7`, or an entry's `person`.")),
    responses((status = 204)), extensions(("x-permission" = json!("audit:erase"))))]
pub(super) async fn erase(
    State(backend): State<Arc<Backend>>,
    allowed: Allowed<AuditErase>,
    Named(person): Named,
) -> Result<Answer, Refusal> {
    let mut write = begin(&backend, &allowed.principal).await?;
    audit::erase(&mut write, &allowed.principal, &person).await?;
    write.commit().await?;
    Ok(Answer::nothing())
}
