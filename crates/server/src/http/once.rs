//! Owns requests that may come twice, by their `Idempotency-Key`: the second gets the answer of the first. Must not know what they do.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;

use super::answer::Answer;
use super::auth::begin;
use super::backend::Backend;
use super::document::{Document, Shape};
use super::problem::Refusal;
use crate::idempotency::{self, Attempt};
use crate::permission::Principal;
use crate::store::Write;

/// The header.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A body that something is to be made from, and the means to make it only once.
pub(super) struct Making<T> {
    pub(super) body: T,
    pub(super) attempt: Option<Attempt>,
}

impl<T: Shape> FromRequest<Arc<Backend>> for Making<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, backend: &Arc<Backend>) -> Result<Self, Refusal> {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let key = key(request.headers())?;
        let document = Document::<T>::from_request(request, backend).await?;
        let attempt = key.map(|key| Attempt::new(&key, method.as_str(), &path, &document.raw)).transpose()?;
        Ok(Self { body: document.value, attempt })
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(key), None) => match key.to_str() {
            Ok(key) => Ok(Some(key.to_owned())),
            Err(_) => Err(Refusal::field("Idempotency-Key", "1 to 128 visible ASCII characters")),
        },
        (Some(_), Some(_)) => Err(Refusal::field("Idempotency-Key", "given twice")),
    }
}

/// A transaction in which something is made, unless it was made before.
pub(super) struct Once<'a> {
    pub(super) write: Write,
    backend: &'a Backend,
    principal: &'a Principal,
    attempt: Option<Attempt>,
}

/// What [`Once::begin`] finds.
pub(super) enum Begun<'a> {
    /// The request came before: its answer.
    Before(Answer),
    /// It is new.
    Now(Once<'a>),
}

impl<'a> Once<'a> {
    /// Begins to write. Of two equal requests at once, the second waits here for the first.
    pub(super) async fn begin(backend: &'a Backend, principal: &'a Principal, attempt: Option<Attempt>) -> Result<Begun<'a>, Refusal> {
        let mut write = begin(backend, principal).await?;
        if let Some(attempt) = &attempt
            && let Some(answer) = idempotency::replay(&mut write, &backend.secrets, principal, attempt).await?
        {
            return Ok(Begun::Before(serde_json::from_slice(&answer)?));
        }
        Ok(Begun::Now(Self { write, backend, principal, attempt }))
    }

    /// Keeps what was made together with its answer.
    pub(super) async fn end(mut self, answer: Answer) -> Result<Answer, Refusal> {
        if let Some(attempt) = &self.attempt {
            let kept = serde_json::to_vec(&answer)?;
            idempotency::remember(&mut self.write, &self.backend.secrets, self.principal, attempt, &kept).await?;
        }
        self.write.commit().await?;
        Ok(answer)
    }
}
