//! Owns the statements by which a batch reads and writes rows and leases: one for all of a kind. Must not know what changes them.
//!
//! Each takes its many records as one JSON array, and answers with one: a statement, and each row of its answer, costs changes of thread, many
//! times what SQLite needs for a record. `jsonb_each` hands out what is nested as it is; `json_each` would write it as text each time it is named.

use std::collections::HashSet;

use sqlx::SqliteConnection;
use sqlx::types::Json;
use tollgate_core::ledger::{Lease, Row, Window};

use super::super::StoreError;
use super::super::values::signed;
use super::frozen::Frozen;

/// Which of these incarnations are fenced; of each consumer and limit the newest row that has begun and what follows it; and whether windows are
/// frozen, with those of these consumers whose are not.
pub(crate) const NEWEST: &str = "SELECT (SELECT json_group_array(f.incarnation) FROM jsonb_each(?1) j JOIN fenced f ON f.incarnation = j.value), \
    (SELECT json_group_array(json_array(j.key, r.seq, json_array(r.window_start, r.window_end, r.units, r.granted, r.charged, r.held, \
    r.overage, r.told_spent, r.recalled_at, r.recalled_held, r.highest, r.begun))) FROM jsonb_each(?2) j JOIN rows r ON r.consumer = j.value ->> 0 \
    AND r.name = j.value ->> 1 AND r.window_start >= coalesce((SELECT max(n.window_start) FROM rows n WHERE n.consumer = j.value ->> 0 \
    AND n.name = j.value ->> 1 AND n.window_start <= ?3), 0)), \
    (SELECT json_array(f.at, f.reopened, json((SELECT json_group_array(o.consumer) FROM reopened o \
    WHERE o.consumer IN (SELECT substr(j.value ->> 0, 1, instr((j.value ->> 0) || '/', '/') - 1) FROM jsonb_each(?2) j)))) FROM frozen f)";
/// New rows.
pub(crate) const INSERT: &str = "INSERT INTO rows (consumer, name, organisation, window_start, window_end, units, granted, charged, held, \
    overage, told_spent, recalled_at, recalled_held, highest) SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, j.value ->> 4, \
    j.value ->> 5, 0, 0, 0, 0, 0, 0, 0, j.value ->> 5 FROM jsonb_each(?) j";
/// The leases of each row and incarnation, and how many incarnations are active in each row: heard of since a time, or with an open lease and
/// heard of within twice its time.
pub(crate) const HELD: &str = "SELECT (SELECT json_group_array(json_array(j.key, json_array(l.lease, l.asked, l.granted, l.returned, l.newest, \
    l.held, l.asked_at, l.closed, l.lasts))) FROM jsonb_each(?1) j JOIN leases l ON l.row = j.value ->> 0 AND l.incarnation = j.value ->> 1), \
    (SELECT json_group_array(json_array(j.key, (SELECT count(*) FROM (SELECT 1 FROM leases l WHERE l.row = j.value ->> 0 \
    AND (l.asked_at >= j.value ->> 1 OR (l.closed = 0 AND l.asked_at + 2 * l.lasts >= ?3)) GROUP BY l.incarnation)))) FROM jsonb_each(?2) j)";
/// The rows in force that hold open leases of an incarnation.
pub(crate) const OPEN: &str = "SELECT json_group_array(json_array(r.consumer, r.name, r.seq, json_array(r.window_start, r.window_end, r.units, \
    r.granted, r.charged, r.held, r.overage, r.told_spent, r.recalled_at, r.recalled_held, r.highest, r.begun))) FROM rows r WHERE r.window_end > ? AND r.seq IN \
    (SELECT l.row FROM leases l WHERE l.closed = 0 AND l.incarnation = ?)";
/// Leases as they are now, leases that are no more, and rows as they are now.
pub(crate) const SAVE: &str = "INSERT INTO leases (row, incarnation, lease, asked, granted, returned, newest, held, asked_at, lasts, closed) \
    SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, j.value ->> 4, j.value ->> 5, j.value ->> 6, j.value ->> 7, \
    j.value ->> 8, j.value ->> 9, j.value ->> 10 FROM jsonb_each(?) j WHERE TRUE ON CONFLICT (row, incarnation, lease) DO UPDATE \
    SET asked = excluded.asked, granted = excluded.granted, returned = excluded.returned, newest = excluded.newest, held = excluded.held, \
    asked_at = excluded.asked_at, lasts = excluded.lasts, closed = excluded.closed; \
    DELETE FROM leases WHERE (row, incarnation, lease) IN (SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2 FROM jsonb_each(?) j); \
    UPDATE rows SET units = j.value ->> 1, granted = j.value ->> 2, charged = j.value ->> 3, held = j.value ->> 4, overage = j.value ->> 5, \
    told_spent = j.value ->> 6, recalled_at = j.value ->> 7, recalled_held = j.value ->> 8, \
    highest = j.value ->> 9, begun = j.value ->> 10 FROM jsonb_each(?) j WHERE rows.seq = j.value ->> 0";

/// A row, and what is kept with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) seq: i64,
    pub(super) row: Row,
    /// Units granted, in all.
    pub(super) granted: u64,
    pub(super) recalled_at: u64,
    pub(super) recalled_held: u64,
    /// The highest limit that was in force when somebody asked from it.
    pub(super) highest: u64,
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

/// A row as it is read: which of those asked for it is, its number, and the rest.
type ReadRow = (usize, i64, [u64; 12]);
/// A lease as it is read: whose of those asked for it is, and the rest.
type ReadLease = (usize, [u64; 9]);
/// A row with its consumer and limit, its number, and the rest.
type ReadNamed = (String, String, i64, [u64; 12]);
/// The mark that windows are frozen, if there is one.
type ReadFrozen = Option<Json<(u64, u8, HashSet<String>)>>;
/// Leases, and how many incarnations are active in each row.
type ReadHeld = (Json<Vec<ReadLease>>, Json<Vec<(usize, u64)>>);

/// A lease and whose it is.
pub(super) type Owned<'a, T> = (i64, &'a str, T);

/// Those of these incarnations that are fenced; of each consumer and limit, in their order, the newest row that has begun at `now` and what follows
/// it; and which windows are frozen.
pub(super) async fn newest(
    connection: &mut SqliteConnection,
    incarnations: &HashSet<&str>,
    named: &[(&str, &str)],
    now: u64,
) -> Result<(HashSet<String>, Vec<Vec<Kept>>, Frozen), StoreError> {
    let query = sqlx::query_as(NEWEST).bind(Json(incarnations)).bind(Json(named)).bind(signed(now)?);
    let (Json(fenced), Json(rows), frozen): (Json<HashSet<String>>, Json<Vec<ReadRow>>, ReadFrozen) = query.fetch_one(connection).await?;
    let mut all = grouped(named.len(), rows.into_iter().map(|(position, seq, numbers)| (position, Kept::of(seq, numbers))));
    all.iter_mut().for_each(|rows| rows.sort_unstable_by_key(|kept| kept.row.window.start));
    Ok((fenced, all, frozen.map(|Json(frozen)| Frozen::of(frozen)).unwrap_or_default()))
}

/// Adds rows that begin after those there are; answers their numbers, in their order.
pub(super) async fn insert(connection: &mut SqliteConnection, new: &[New<'_>], now: u64) -> Result<Vec<i64>, StoreError> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = Vec::with_capacity(new.len());
    for New { consumer, name, organisation, row } in new {
        values.push((consumer, name, organisation, signed(row.window.start)?, signed(row.window.end)?, signed(row.limit)?));
    }
    sqlx::query(INSERT).bind(Json(values)).execute(&mut *connection).await?;
    let named: Vec<_> = new.iter().map(|new| (new.consumer, new.name)).collect();
    let (_, rows, _) = newest(connection, &HashSet::new(), &named, now).await?;
    let missing = || StoreError::Broken("a row that was just made is not there".to_owned());
    let seq = |(new, rows): (&New<'_>, Vec<Kept>)| rows.iter().find(|kept| kept.row.window == new.row.window).map(|kept| kept.seq);
    new.iter().zip(rows).map(|found| seq(found).ok_or_else(missing)).collect()
}

/// The leases of each row and incarnation, by their numbers; and how many incarnations are active at `now` in each row, given since when one
/// counts that has no open lease.
pub(super) async fn held(
    connection: &mut SqliteConnection,
    holders: &[(i64, &str)],
    rows: &[(i64, u64)],
    now: u64,
) -> Result<(Vec<Vec<Held>>, Vec<u64>), StoreError> {
    let query = sqlx::query_as(HELD).bind(Json(holders)).bind(Json(rows)).bind(signed(now)?);
    let (Json(leases), Json(active)): ReadHeld = query.fetch_one(connection).await?;
    let mut all = grouped(holders.len(), leases.into_iter().map(|(position, numbers)| (position, Held::of(numbers))));
    all.iter_mut().for_each(|holder| holder.sort_unstable_by_key(|held| held.lease.lease));
    Ok((all, placed(rows.len(), active.into_iter())))
}

/// Keeps leases and rows as they are now, and forgets leases by their numbers.
pub(super) async fn save(
    connection: &mut SqliteConnection,
    leases: &[Owned<'_, Held>],
    forgotten: &[Owned<'_, u64>],
    rows: &[&Kept],
) -> Result<(), StoreError> {
    if leases.is_empty() && forgotten.is_empty() && rows.is_empty() {
        return Ok(());
    }
    let mut kept_leases = Vec::with_capacity(leases.len());
    for (row, incarnation, Held { lease, lasts }) in leases {
        let Lease { lease, asked, granted, returned, newest, held, asked_at, closed } = *lease;
        let [lease, asked, granted, returned] = all_signed([lease, asked, granted, returned])?;
        let [newest, held, asked_at, lasts] = all_signed([newest, held, asked_at, *lasts])?;
        kept_leases.push((row, incarnation, lease, asked, granted, returned, newest, held, asked_at, lasts, u8::from(closed)));
    }
    let mut kept_rows = Vec::with_capacity(rows.len());
    for kept in rows {
        let Row { limit, charged, held, overage, told_spent, begun, window: _ } = kept.row;
        let [limit, granted, charged, held] = all_signed([limit, kept.granted, charged, held])?;
        let [overage, recalled_at, recalled_held, highest] = all_signed([overage, kept.recalled_at, kept.recalled_held, kept.highest])?;
        let [told_spent, begun] = [told_spent, begun].map(u8::from);
        kept_rows.push((kept.seq, limit, granted, charged, held, overage, told_spent, recalled_at, recalled_held, highest, begun));
    }
    let query = sqlx::query(SAVE).bind(Json(kept_leases)).bind(Json(forgotten)).bind(Json(kept_rows));
    query.execute(connection).await?;
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

/// The rows that are in force at `now` and hold open leases of an incarnation, with their consumers and limits.
pub(super) async fn open(
    connection: &mut SqliteConnection,
    incarnation: &str,
    now: u64,
) -> Result<Vec<(String, String, Kept)>, StoreError> {
    let query = sqlx::query_scalar(OPEN).bind(signed(now)?).bind(incarnation);
    let Json(rows): Json<Vec<ReadNamed>> = query.fetch_one(connection).await?;
    Ok(rows.into_iter().map(|(consumer, name, seq, numbers)| (consumer, name, Kept::of(seq, numbers))).collect())
}

/// Records of each of so many, by positions.
fn grouped<T: Clone>(count: usize, records: impl Iterator<Item = (usize, T)>) -> Vec<Vec<T>> {
    let mut all = vec![Vec::new(); count];
    for (position, record) in records {
        if let Some(group) = all.get_mut(position) {
            group.push(record);
        }
    }
    all
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

fn all_signed<const N: usize>(numbers: [u64; N]) -> Result<[i64; N], StoreError> {
    let mut all = [0; N];
    for (place, number) in all.iter_mut().zip(numbers) {
        *place = signed(number)?;
    }
    Ok(all)
}

impl Kept {
    const fn of(seq: i64, numbers: [u64; 12]) -> Self {
        let [start, end, limit, granted, charged, held, overage, told_spent, recalled_at, recalled_held, highest, begun] = numbers;
        let row = Row { window: Window { start, end }, limit, charged, held, overage, told_spent: told_spent != 0, begun: begun != 0 };
        Self { seq, row, granted, recalled_at, recalled_held, highest }
    }
}

impl Held {
    const fn of(numbers: [u64; 9]) -> Self {
        let [lease, asked, granted, returned, newest, held, asked_at, closed, lasts] = numbers;
        Self { lease: Lease { lease, asked, granted, returned, newest, held, asked_at, closed: closed != 0 }, lasts }
    }
}
