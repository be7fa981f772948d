//! Owns the statements by which a batch reads and writes rows and leases: one for all of a kind. Must not know what changes them.
//!
//! Each takes its many records as one JSON array: a statement costs two changes of thread, many times what SQLite needs for a record.

use std::collections::HashSet;

use sqlx::sqlite::SqliteRow;
use sqlx::types::Json;
use sqlx::{FromRow, Row as _, SqliteConnection};
use tollgate_core::ledger::{Lease, Row, Window};

use super::super::StoreError;
use super::super::values::signed;

const COLUMNS: &str =
    "r.seq, r.window_start, r.window_end, r.units, r.granted, r.charged, r.held, r.overage, r.recalled_at, r.recalled_held";
/// The newest row of each consumer and limit.
pub(crate) const NEWEST: &str = "SELECT j.key AS position, r.seq, r.window_start, r.window_end, r.units, r.granted, r.charged, r.held, \
    r.overage, r.recalled_at, r.recalled_held FROM json_each(?) j JOIN rows r ON r.seq = (SELECT n.seq FROM rows n \
    WHERE n.consumer = j.value ->> 0 AND n.name = j.value ->> 1 ORDER BY n.window_start DESC LIMIT 1)";
/// The leases of each row and incarnation.
pub(crate) const HELD: &str = "SELECT j.key AS position, l.lease, l.asked, l.granted, l.returned, l.newest, l.held, l.asked_at, l.lasts, l.closed \
    FROM json_each(?) j JOIN leases l ON l.row = j.value ->> 0 AND l.incarnation = j.value ->> 1 ORDER BY j.key, l.lease";
/// How many incarnations are active in each row: heard of since a time, or with an open lease and heard of within twice its time.
pub(crate) const ACTIVE: &str = "SELECT j.key AS position, (SELECT count(*) FROM (SELECT 1 FROM leases l WHERE l.row = j.value ->> 0 \
    AND (l.asked_at >= j.value ->> 1 OR (l.closed = 0 AND l.asked_at + 2 * l.lasts >= ?2)) GROUP BY l.incarnation)) AS active \
    FROM json_each(?1) j";

/// Rows as they are now.
pub(crate) const SAVE_ROWS: &str = "UPDATE rows SET units = j.value ->> '$[1][0]', granted = j.value ->> '$[1][1]', \
    charged = j.value ->> '$[1][2]', held = j.value ->> '$[1][3]', overage = j.value ->> '$[1][4]', recalled_at = j.value ->> '$[1][5]', \
    recalled_held = j.value ->> '$[1][6]' FROM json_each(?) j WHERE rows.seq = j.value ->> 0";
/// Leases that are no more.
pub(crate) const FORGET: &str = "DELETE FROM leases WHERE (row, incarnation, lease) IN \
    (SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2 FROM json_each(?) j)";

/// A row, and what is kept with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) seq: i64,
    pub(super) row: Row,
    /// Units granted, in all.
    pub(super) granted: u64,
    pub(super) recalled_at: u64,
    pub(super) recalled_held: u64,
}

/// A row that is not there yet.
pub(super) struct New<'a> {
    pub(super) consumer: &'a str,
    pub(super) name: &'a str,
    pub(super) organisation: &'a str,
    pub(super) row: Row,
}

/// A lease, and in how many milliseconds its holder should speak again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) lease: Lease,
    pub(super) lasts: u64,
}

/// A record, and which of those asked for it is.
struct Placed<T>(usize, T);

/// A lease and whose it is.
pub(super) type Owned<'a, T> = (i64, &'a str, T);

/// The newest row of each consumer and limit, in their order.
pub(super) async fn newest(connection: &mut SqliteConnection, named: &[(&str, &str)]) -> Result<Vec<Option<Kept>>, StoreError> {
    let rows: Vec<Placed<Kept>> = sqlx::query_as(NEWEST).bind(Json(named)).fetch_all(connection).await?;
    Ok(placed(named.len(), rows.into_iter().map(|Placed(position, kept)| (position, Some(kept)))))
}

/// Adds rows; answers their numbers, in their order.
pub(super) async fn insert(connection: &mut SqliteConnection, new: &[New<'_>]) -> Result<Vec<i64>, StoreError> {
    let mut numbers = Vec::with_capacity(new.len());
    for new in new {
        let query = sqlx::query_scalar(
            "INSERT INTO rows (consumer, name, organisation, window_start, window_end, units, granted, charged, held, overage, recalled_at, \
             recalled_held) VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0) RETURNING seq",
        );
        let query = query.bind(new.consumer).bind(new.name).bind(new.organisation).bind(signed(new.row.window.start)?);
        let query = query.bind(signed(new.row.window.end)?).bind(signed(new.row.limit)?);
        numbers.push(query.fetch_one(&mut *connection).await?);
    }
    Ok(numbers)
}

/// The leases of each row and incarnation, in the order of these and then of their numbers.
pub(super) async fn held(connection: &mut SqliteConnection, holders: &[(i64, &str)]) -> Result<Vec<Vec<Held>>, StoreError> {
    let mut all = vec![Vec::new(); holders.len()];
    let rows: Vec<Placed<Held>> = sqlx::query_as(HELD).bind(Json(holders)).fetch_all(connection).await?;
    for Placed(position, held) in rows {
        if let Some(holder) = all.get_mut(position) {
            holder.push(held);
        }
    }
    Ok(all)
}

/// How many incarnations are active at `now` in each row, given since when one counts that has no open lease.
pub(super) async fn active(connection: &mut SqliteConnection, rows: &[(i64, u64)], now: u64) -> Result<Vec<u64>, StoreError> {
    let counts: Vec<(i64, i64)> = sqlx::query_as(ACTIVE).bind(Json(rows)).bind(signed(now)?).fetch_all(connection).await?;
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(placed(rows.len(), counts.into_iter().map(|(position, active)| (usize::try_from(position).unwrap_or(usize::MAX), number(active)))))
}

/// Those of these incarnations that are fenced.
pub(super) async fn fenced(connection: &mut SqliteConnection, incarnations: &HashSet<&str>) -> Result<HashSet<String>, StoreError> {
    let query = sqlx::query_scalar("SELECT f.incarnation FROM json_each(?) j JOIN fenced f ON f.incarnation = j.value");
    Ok(query.bind(Json(incarnations)).fetch_all(connection).await?.into_iter().collect())
}

/// Keeps rows as they are now.
pub(super) async fn save_rows(connection: &mut SqliteConnection, rows: &[&Kept]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut values = Vec::with_capacity(rows.len());
    for kept in rows {
        let Row { limit, charged, held, overage, .. } = kept.row;
        let numbers = [limit, kept.granted, charged, held, overage, kept.recalled_at, kept.recalled_held];
        values.push((kept.seq, all_signed(numbers)?));
    }
    sqlx::query(SAVE_ROWS).bind(Json(values)).execute(connection).await?;
    Ok(())
}

/// Keeps leases as they are now.
pub(super) async fn save_leases(connection: &mut SqliteConnection, leases: &[Owned<'_, Held>]) -> Result<(), StoreError> {
    if leases.is_empty() {
        return Ok(());
    }
    let mut values = Vec::with_capacity(leases.len());
    for (row, incarnation, Held { lease, lasts }) in leases {
        let Lease { lease, asked, granted, returned, newest, held, asked_at, closed } = *lease;
        values.push((row, incarnation, all_signed([lease, asked, granted, returned, newest, held, asked_at, *lasts])?, i64::from(closed)));
    }
    let query = sqlx::query(
        "INSERT INTO leases (row, incarnation, lease, asked, granted, returned, newest, held, asked_at, lasts, closed) \
         SELECT j.value ->> 0, j.value ->> 1, j.value ->> '$[2][0]', j.value ->> '$[2][1]', j.value ->> '$[2][2]', j.value ->> '$[2][3]', \
         j.value ->> '$[2][4]', j.value ->> '$[2][5]', j.value ->> '$[2][6]', j.value ->> '$[2][7]', j.value ->> 3 FROM json_each(?) j \
         WHERE TRUE ON CONFLICT (row, incarnation, lease) DO UPDATE SET asked = excluded.asked, granted = excluded.granted, \
         returned = excluded.returned, newest = excluded.newest, held = excluded.held, asked_at = excluded.asked_at, \
         lasts = excluded.lasts, closed = excluded.closed",
    );
    query.bind(Json(values)).execute(connection).await?;
    Ok(())
}

/// Forgets leases by their numbers.
pub(super) async fn forget(connection: &mut SqliteConnection, leases: &[Owned<'_, u64>]) -> Result<(), StoreError> {
    if leases.is_empty() {
        return Ok(());
    }
    sqlx::query(FORGET).bind(Json(leases)).execute(connection).await?;
    Ok(())
}

/// Notes that the overages of a report are applied and forgets reports before `oldest`; answers whether they were not applied before.
pub(super) async fn insert_report(
    connection: &mut SqliteConnection,
    incarnation: &str,
    sequence: u64,
    now: u64,
) -> Result<bool, StoreError> {
    let newest: Option<i64> = sqlx::query_scalar("SELECT max(sequence) FROM overages WHERE incarnation = ?")
        .bind(incarnation)
        .fetch_one(&mut *connection)
        .await?;
    let newest = newest.and_then(|newest| u64::try_from(newest).ok()).unwrap_or(0).max(sequence);
    let oldest = newest.saturating_sub(super::TOLD_APART - 1);
    if sequence < oldest {
        return Ok(false);
    }
    let query = sqlx::query("INSERT INTO overages (incarnation, sequence, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
    let query = query.bind(incarnation).bind(signed(sequence)?).bind(signed(now)?);
    let inserted = query.execute(&mut *connection).await?.rows_affected() > 0;
    let query = sqlx::query("DELETE FROM overages WHERE incarnation = ? AND sequence < ?");
    query.bind(incarnation).bind(signed(oldest)?).execute(connection).await?;
    Ok(inserted)
}

/// The rows that are in force at `now` and hold open leases of an incarnation.
pub(super) async fn open(connection: &mut SqliteConnection, incarnation: &str, now: u64) -> Result<Vec<Kept>, StoreError> {
    let query = format!(
        "SELECT 0 AS position, {COLUMNS} FROM rows r WHERE r.window_end > ? AND r.seq IN (SELECT l.row FROM leases l WHERE l.closed = 0 \
         AND l.incarnation = ?)"
    );
    let query = sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(signed(now)?).bind(incarnation);
    let rows: Vec<Placed<Kept>> = query.fetch_all(connection).await?;
    Ok(rows.into_iter().map(|Placed(_, kept)| kept).collect())
}

fn placed<T: Clone + Default>(count: usize, records: impl Iterator<Item = (usize, T)>) -> Vec<T> {
    let mut all = vec![T::default(); count];
    for (position, record) in records {
        if let Some(place) = all.get_mut(position) {
            *place = record;
        }
    }
    all
}

fn all_signed<const N: usize>(numbers: [u64; N]) -> Result<Vec<i64>, StoreError> {
    numbers.into_iter().map(signed).collect()
}

fn number(row: &SqliteRow, column: &str) -> sqlx::Result<u64> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|_| sqlx::Error::Decode(format!("{number} as `{column}`").into()))
}

fn position(row: &SqliteRow) -> sqlx::Result<usize> {
    Ok(usize::try_from(number(row, "position")?).unwrap_or(usize::MAX))
}

impl FromRow<'_, SqliteRow> for Placed<Kept> {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let window = Window { start: number(row, "window_start")?, end: number(row, "window_end")? };
        let (limit, charged, held) = (number(row, "units")?, number(row, "charged")?, number(row, "held")?);
        let kept = Kept {
            seq: row.try_get("seq")?,
            row: Row { window, limit, charged, held, overage: number(row, "overage")? },
            granted: number(row, "granted")?,
            recalled_at: number(row, "recalled_at")?,
            recalled_held: number(row, "recalled_held")?,
        };
        Ok(Self(position(row)?, kept))
    }
}

impl FromRow<'_, SqliteRow> for Placed<Held> {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let lease = Lease {
            lease: number(row, "lease")?,
            asked: number(row, "asked")?,
            granted: number(row, "granted")?,
            returned: number(row, "returned")?,
            newest: number(row, "newest")?,
            held: number(row, "held")?,
            asked_at: number(row, "asked_at")?,
            closed: row.try_get("closed")?,
        };
        Ok(Self(position(row)?, Held { lease, lasts: number(row, "lasts")? }))
    }
}
