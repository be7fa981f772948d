//! Owns what becomes of a key that somebody has found in public. Must not ask who that is: to have the key is enough to end it.

use serde::{Deserialize, Serialize};
use tollgate_core::credential::{LONGEST_CREDENTIAL, digest};

use super::document::{ApiKey, Status};
use super::end;
use crate::audit::noted::Noted;
use crate::failure::{Failure, Problems};
use crate::outbox::{self, Mail};
use crate::permission::Principal;
use crate::resolve::holder;
use crate::secrets::{Purpose, Secrets};
use crate::store::api_keys as rows;
use crate::store::{self, Store};

/// The longest place that may be told, in characters.
const LONGEST_PLACE: usize = 2_000;

/// A key that was found where it should not be.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Leak {
    /// The whole API key.
    pub key: String,
    /// Where it was found, for the audit log: at most 2,000 characters. Default: not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(examples("https://git.example/acme/app/blob/main/.env"))]
    pub found_at: Option<String>,
}

/// What was done about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Leaked {
    /// The id of the key, which is revoked now. Absent: it is none that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
}

impl std::fmt::Debug for Leak {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Leak").field("found_at", &self.found_at).finish_non_exhaustive()
    }
}

/// Revokes a key that was found, if it passes, tells the nodes, and writes to its consumer.
///
/// # Errors
/// [`Failure::Invalid`] for a place that is none; [`Failure::Unavailable`].
pub async fn report(store: &Store, secrets: &Secrets, leak: &Leak) -> Result<Leaked, Failure> {
    let mut problems = Problems::default();
    let place = leak.found_at.as_deref().unwrap_or_default();
    problems.check(place.chars().count() <= LONGEST_PLACE, "found_at", format!("at most {LONGEST_PLACE} characters"));
    problems.check(leak.key.len() <= LONGEST_CREDENTIAL, "key", format!("at most {LONGEST_CREDENTIAL} characters"));
    problems.finish()?;
    let none = Leaked { revoked: None };
    let id = secrets.recognise(Purpose::Api, &leak.key);
    let Some(found) = holder(store, secrets, id, &digest(leak.key.as_bytes())).await?.1 else {
        return Ok(none);
    };
    let mut write = store.begin().await?;
    let now = write.now();
    // It may have ended meanwhile.
    let Some(key) = rows::get(&mut write, &found.id).await?.filter(|row| Status::of(row, now) == Status::Active) else {
        return Ok(none);
    };
    let before = ApiKey::of(key.clone(), now);
    let after = ApiKey::of(end(&mut write, &key).await?, now);
    let noted = Noted::changed(&before, &after).with("found_at", &leak.found_at).whose(Some(&key.organisation));
    write.note(&Principal::backend("leak"), "keys:leak", &key.id, noted).await?;
    if let Some(to) = store::consumers::get(&mut write, &key.consumer).await?.and_then(|consumer| consumer.email) {
        outbox::put(&mut write, secrets, Some(&key.organisation), &mail(to, &after)).await?;
    }
    write.commit().await?;
    Ok(Leaked { revoked: Some(key.id) })
}

/// What the consumer is told. Where the key was found is whatever somebody unknown has said, so that is not in it.
fn mail(to: String, key: &ApiKey) -> Mail {
    let label = if key.label.is_empty() { String::new() } else { format!(" ({})", key.label) };
    Mail {
        to,
        subject: "An API key of yours was found in public".to_owned(),
        text: format!(
            "Somebody has found the API key {}{label} of {} where others can read it, and reported it.\n\n\
             It was revoked at once and passes nowhere any more. Make another one, and look where this one was used: until now whoever had it \
             could use it.\n",
            key.id, key.consumer
        ),
    }
}
