//! Owns the taking over of many keys from elsewhere at once. Must not make new ones.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::document::NewApiKey;
use super::issue::{Wish, row};
use super::judge;
use crate::audit::noted::Noted;
use crate::consumers::{self, Consumer};
use crate::failure::{Failure, Problem, Problems};
use crate::permission::Principal;
use crate::secrets::{Hash, Secrets, random_id};
use crate::signing::Signing;
use crate::store::Write;
use crate::store::api_keys as rows;

/// The most keys of one list.
pub const MOST_TAKEN_OVER: usize = 500;
/// So many problems of a list are told.
const MOST_PROBLEMS: usize = 20;

/// Keys that exist already, from elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeOver {
    /// Each with `import`, and without a signing secret: at most 500.
    #[schema(max_items = 500)]
    pub keys: Vec<NewApiKey>,
}

/// What became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TakenOver {
    /// So many pass from now on.
    pub imported: u32,
    /// So many were imported before for the same consumer, and stay as they are.
    pub known: u32,
}

/// Takes over keys from elsewhere, all or none. Those that are there already are passed over, so that the same list may come again.
///
/// # Errors
/// [`Failure::Invalid`], by the place in the list; also where a key was imported for another consumer.
pub async fn take_over(write: &mut Write, secrets: &Secrets, principal: &Principal, list: &TakeOver) -> Result<TakenOver, Failure> {
    let count = list.keys.len();
    if !(1..=MOST_TAKEN_OVER).contains(&count) {
        return Err(Failure::invalid("keys", format!("{count} entries; 1 to {MOST_TAKEN_OVER}")));
    }
    let now = write.now();
    let mut consumers: HashMap<&str, Option<Consumer>> = HashMap::new();
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    let (mut made, mut taken, mut problems) = (Vec::new(), TakenOver::default(), Vec::new());
    for (position, new) in list.keys.iter().enumerate() {
        let consumer = match consumers.get(new.consumer.as_str()) {
            Some(known) => known.clone(),
            None => {
                let found = match consumers::find(write, principal, &new.consumer).await {
                    Err(Failure::NotFound) => None,
                    found => Some(found?),
                };
                consumers.insert(&new.consumer, found.clone());
                found
            }
        };
        let mut wrong = Problems::default();
        wrong.check(new.import.is_some(), "import", "required: the key, or its SHA-256");
        wrong.check(new.signing == Signing::None, "signing", "a key in a list has no signing secret: nobody would see it");
        let digest = judge(secrets, new, consumer.as_ref(), now, &mut wrong);
        if let (Some(consumer), Some(digest)) = (&consumer, digest) {
            let hashes = secrets.hashes(&digest);
            match holder(write, secrets, new, &hashes).await? {
                Some(holder) if holder != consumer.id => wrong.check(false, "import", "the key is another consumer's"),
                Some(_) => taken.known += 1,
                None => {
                    let hash = secrets.hash(&digest)?;
                    match seen.insert(hash.bytes.clone()) {
                        true => made.push((row(consumer, random_id(16)?, Wish::of(new.clone()), true, now), hash)),
                        false => wrong.check(false, "import", "the key is in the list twice"),
                    }
                }
            }
        }
        if let Err(Failure::Invalid { problems: of_key }) = wrong.finish() {
            problems.extend(of_key.into_iter().map(|problem| Problem::new(format!("keys[{position}].{}", problem.field), problem.reason)));
        }
        if problems.len() >= MOST_PROBLEMS {
            break;
        }
    }
    if !problems.is_empty() {
        problems.truncate(MOST_PROBLEMS);
        return Err(Failure::Invalid { problems });
    }
    rows::insert(write, &made).await?;
    taken.imported = u32::try_from(made.len()).unwrap_or(u32::MAX);
    if !made.is_empty() {
        note(write, principal, &made).await?;
    }
    Ok(taken)
}

/// Whose a key is already, if it is anybody's: imported before, or issued here.
async fn holder(write: &mut Write, secrets: &Secrets, new: &NewApiKey, hashes: &[Hash]) -> Result<Option<String>, Failure> {
    if let Some(consumer) = rows::imported_for(write, hashes).await? {
        return Ok(Some(consumer));
    }
    match new.import.as_ref().and_then(|import| import.issued_id(secrets)) {
        Some(id) => Ok(rows::get(write, id).await?.map(|row| row.consumer)),
        None => Ok(None),
    }
}

/// One entry of the audit log for each consumer.
async fn note(write: &mut Write, principal: &Principal, made: &[(rows::Row, Hash)]) -> Result<(), Failure> {
    let mut of: HashMap<(&str, &str), Vec<&str>> = HashMap::new();
    for (row, _) in made {
        of.entry((&row.consumer, &row.organisation)).or_default().push(&row.id);
    }
    for ((consumer, organisation), keys) in of {
        write.note(principal, "keys:import", consumer, Noted::default().with("keys", &keys).whose(Some(organisation))).await?;
    }
    Ok(())
}
