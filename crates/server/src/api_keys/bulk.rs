//! Owns the making of very many keys in one transaction, as for trials of a large store. Must not be reachable for callers of the API.

use tollgate_core::credential::digest;

use super::issue::{Wish, row};
use crate::audit::noted::Noted;
use crate::consumers;
use crate::failure::Failure;
use crate::permission::Principal;
use crate::secrets::{Purpose, Secrets};
use crate::store::Write;
use crate::store::api_keys as rows;

/// Keys that are written at once.
const TOGETHER: usize = 1_000;

/// Makes `count` keys for a consumer and shows each to `each`.
///
/// # Errors
/// [`Failure::NotFound`] without the consumer; [`Failure::Unavailable`].
pub async fn load(
    write: &mut Write,
    secrets: &Secrets,
    principal: &Principal,
    consumer: &str,
    count: usize,
    each: &mut (dyn FnMut(&str) + Send),
) -> Result<(), Failure> {
    let consumer = consumers::find(write, principal, consumer).await?;
    let mut together = Vec::with_capacity(TOGETHER);
    for number in 1..=count {
        let issued = secrets.issue(Purpose::Api)?;
        let hash = secrets.hash_as_set(&digest(issued.shown.expose().as_bytes())).await?;
        each(issued.shown.expose());
        let wish = Wish::default();
        together.push((row(&consumer, issued.id, wish, false, write.now()), hash));
        if together.len() == TOGETHER || number == count {
            rows::insert(write, &together).await?;
            together.clear();
        }
    }
    let noted = Noted::default().with("keys", &count).whose(Some(&consumer.organisation));
    write.note(principal, "keys:load", &consumer.id, noted).await?;
    Ok(())
}
