//! Owns how a table is walked page by page, and how one row of it is found. Must not know whose rows are whose: conditions come from operations.

use sqlx::sqlite::SqliteRow;
use sqlx::{Encode, FromRow, QueryBuilder, Sqlite, Type};

use super::{Reader, StoreError};

/// Which rows of a table are read, in the order they were made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    /// The id of the row before the first; `None`: from the start.
    pub(crate) after: Option<&'a str>,
    /// How many rows at most.
    pub(crate) size: u32,
}

/// A table that is walked.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static str,
    /// The column with the id that people know a row by.
    pub(super) id: &'static str,
    /// What every row must meet.
    pub(super) condition: &'static str,
    /// Columns of conditions whose values may change.
    pub(super) changing: &'static [&'static str],
}

/// A column and the value it must have, if any is given.
pub(super) type Condition<'a> = (&'static str, Option<&'a str>);

impl Table {
    /// The row that has this value in a column of which each value is there once. `more` are columns beside the usual ones, each after a comma.
    pub(super) async fn find<T, V>(&self, reader: &mut impl Reader, more: &str, column: &str, value: V) -> Result<Option<T>, StoreError>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
        V: Encode<'static, Sqlite> + Type<Sqlite> + Send + 'static,
    {
        let Self { name, columns, condition, .. } = self;
        let mut query = QueryBuilder::<Sqlite>::new(format!("SELECT {columns}{more} FROM {name} WHERE {condition} AND {column} = "));
        Ok(query.push_bind(value).build_query_as::<T>().fetch_optional(reader.connection()).await?)
    }

    /// The rows in the window that meet all conditions; `None` if there is no row to begin after. That row need not meet those of
    /// `changing` columns: it may have changed since it was the last of a page. It must meet the others: what is outside of a caller's
    /// reach is not there for it.
    pub(super) async fn list<T>(
        &self,
        reader: &mut impl Reader,
        window: Window<'_>,
        conditions: &[Condition<'_>],
    ) -> Result<Option<Vec<T>>, StoreError>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let mut seq = 0;
        if let Some(after) = window.after {
            let mut query = QueryBuilder::<Sqlite>::new(format!("SELECT seq FROM {} WHERE {} = ", self.name, self.id));
            query.push_bind(after.to_owned());
            narrow(&mut query, conditions.iter().filter(|(column, _)| !self.changing.contains(column)));
            let found = query.build_query_scalar::<i64>().fetch_optional(reader.connection()).await?;
            let Some(found) = found else {
                return Ok(None);
            };
            seq = found;
        }
        let Self { name, columns, condition, .. } = self;
        let mut query = QueryBuilder::<Sqlite>::new(format!("SELECT {columns} FROM {name} WHERE {condition} AND seq > "));
        query.push_bind(seq);
        narrow(&mut query, conditions);
        query.push(" ORDER BY seq LIMIT ").push_bind(window.size);
        Ok(Some(query.build_query_as::<T>().fetch_all(reader.connection()).await?))
    }
}

fn narrow<'a>(query: &mut QueryBuilder<Sqlite>, conditions: impl IntoIterator<Item = &'a Condition<'a>>) {
    for (column, value) in conditions {
        if let Some(value) = value {
            query.push(format_args!(" AND {column} = ")).push_bind((*value).to_owned());
        }
    }
}
