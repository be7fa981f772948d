//! Owns how much of a list is asked for, page by page. Must not know what is listed.

use serde_json::{Value, json};

use super::{Answer, Client, ClientError};
use crate::page::{LARGEST_LIMIT, Listing};

/// The most items, if nothing is said.
const MOST: u32 = 100;

/// How much of a list is wanted.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Window {
    /// The most items.
    #[arg(long, value_name = "N", default_value_t = MOST, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All items.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Begin after the item where an earlier list ended: what it said.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
}

impl Default for Window {
    fn default() -> Self {
        Self { limit: MOST, all: false, after: None }
    }
}

impl Client {
    /// The part of a list that is wanted, as one page.
    pub(crate) fn list(&self, path: &str, query: &[(&str, Option<&str>)], window: &Window) -> Result<Answer, ClientError> {
        let mut after = window.after.clone();
        let mut items: Vec<Value> = Vec::new();
        loop {
            let missing =
                if window.all { LARGEST_LIMIT } else { window.limit.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX)) };
            let limit = missing.min(LARGEST_LIMIT).to_string();
            let page = [query, &[("limit", Some(limit.as_str())), ("after", after.as_deref())]].concat();
            let Listing { items: more, next } = self.get(path, &page)?.read::<Listing<Value>>()?;
            let empty = more.is_empty();
            items.extend(more);
            let enough = !window.all && items.len() >= window.limit as usize;
            // An empty page that names another would go on for ever.
            if enough || empty || next.is_none() {
                return Ok(Answer { body: json!({"items": items, "next": next}), etag: None });
            }
            after = next;
        }
    }
}
