//! Owns how long lists are walked: page by page, each beginning after the last item of the one before. Must not know what is listed.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::store::Window;

/// Items on a page that does not say how many.
pub const USUAL_LIMIT: u32 = 50;
/// The most items on a page.
pub const LARGEST_LIMIT: u32 = 200;

/// Which page is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// Items on the page: 1 to 200. Default: 50.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// `next` of the page before; nothing for the first page.
    pub after: Option<String>,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Listing<T> {
    /// The items, in the order they were made.
    pub items: Vec<T>,
    /// What to ask the next page with; null on the last one.
    pub next: Option<String>,
}

impl Page {
    /// How many items are asked for.
    ///
    /// # Errors
    /// [`Failure::Invalid`] if there may not be so many.
    pub fn size(&self) -> Result<u32, Failure> {
        match self.limit.unwrap_or(USUAL_LIMIT) {
            limit @ 1..=LARGEST_LIMIT => Ok(limit),
            limit => Err(Failure::invalid("limit", format!("{limit}; 1 to {LARGEST_LIMIT}"))),
        }
    }

    /// The rows to read: one more than asked for, which tells whether there is a next page.
    pub(crate) fn window(&self) -> Result<Window<'_>, Failure> {
        Ok(Window { after: self.after.as_deref(), size: self.size()? + 1 })
    }

    /// The page made of the rows that were read, each an item after `item`; `None` if there was no row to begin after.
    pub(crate) fn of<R, T>(&self, rows: Option<Vec<R>>, item: impl FnMut(R) -> T, id: impl Fn(&T) -> &str) -> Result<Listing<T>, Failure> {
        let rows = rows.ok_or_else(|| Failure::invalid("after", "not `next` of a page of this list"))?;
        let size = self.size()? as usize;
        let more = rows.len() > size;
        let items: Vec<T> = rows.into_iter().take(size).map(item).collect();
        let next = items.last().filter(|_| more).map(|last| id(last).to_owned());
        Ok(Listing { items, next })
    }
}
