//! Owns one transaction's judgement: loads what is asked about, has `tollgate_core::ledger` judge each ask after the ones before, saves what
//! changed. Must not begin or commit.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use sqlx::SqliteConnection;
use tollgate_core::ledger::{Holder, Lease, RETRY, Row, Which, Window};
use tollgate_core::limit::Rate;
use tollgate_core::wire::{LeaseAnswer, LeaseAsk};

use super::super::StoreError;
use super::accounts::{Account, Quota};
use super::frozen::{self, Frozen};
use super::rates::Rates;
use super::records::{self, Held, Kept, New};
use super::{Asked, News, Overages};
use crate::clock::Time;

/// How long an incarnation counts as active in a row at least, in milliseconds, however scarce its units are: some retries.
const ACTIVE_FOR: u64 = 5 * RETRY;
/// How soon to ask again where nothing is granted until somebody says so, in milliseconds.
const FROZEN_RETRY: u64 = 30_000;
/// How often nodes are told that units of a row are wanted elsewhere, in milliseconds: as often as whoever is refused asks again.
const RECALLED_EVERY: u64 = RETRY;
/// The same as long as nothing was returned or granted since: its holders may be dead, and the feed is everybody's.
const RECALLED_IN_VAIN_EVERY: u64 = 30_000;
/// What SQLite can count to.
const MOST: u64 = i64::MAX as u64;

/// What came of a batch.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// For each of those who asked, an answer to each ask.
    pub(super) answers: Vec<Vec<LeaseAnswer>>,
    /// What nodes are to be told.
    pub(super) news: Vec<News>,
    /// Units granted.
    pub(super) granted: u64,
    /// Asks that got less than they needed.
    pub(super) refused: u64,
    /// Somebody's ask shows that the ledger has forgotten what it answered.
    pub(super) forgot: Option<String>,
}

/// A row that is asked from.
struct State<'a> {
    kept: Kept,
    /// As it is in the database.
    before: Kept,
    /// The quota; `None` where the consumer has it no more: then units only come back.
    quota: Option<&'a Quota>,
    /// Incarnations that want from it lately, those that ask now included.
    active: u64,
    /// Nothing is granted from it.
    frozen: bool,
}

/// What is asked from.
struct Found<'a> {
    /// Incarnations that are granted nothing.
    fenced: HashSet<String>,
    rows: Vec<State<'a>>,
    places: Places<'a>,
    frozen: Frozen,
}

/// Where rows are, by consumer and limit.
#[derive(Default)]
struct Places<'a> {
    in_force: HashMap<(&'a str, &'a str), (usize, Window)>,
    /// What follows those.
    following: HashMap<(&'a str, &'a str), usize>,
}

/// What an incarnation was granted from a row.
struct Holding<'a> {
    row: usize,
    incarnation: &'a str,
    before: Vec<Held>,
    holder: Holder,
    lasts: HashMap<u64, u64>,
}

/// Judges what is asked, in its order.
pub(super) async fn judge(
    connection: &mut SqliteConnection,
    asked: &[Asked],
    accounts: &HashMap<String, Arc<Account>>,
    rates: &mut Rates,
    at: Time,
) -> Result<Judged, StoreError> {
    let now = u64::try_from(at.millis()).unwrap_or(0);
    let Found { fenced, mut rows, places, frozen } = rows(connection, asked, accounts, now).await?;
    for asked in asked {
        let Some(Overages { sequence, units }) = &asked.overages else { continue };
        if records::insert_report(connection, &asked.incarnation, *sequence, now).await? {
            for overage in units {
                let place = places.in_force.get(&(overage.consumer.as_str(), overage.limit.as_str()));
                if let Some(state) = place.and_then(|(place, _)| rows.get_mut(*place)) {
                    state.kept.row.overage = state.kept.row.overage.saturating_add(overage.units).min(MOST);
                }
            }
        }
    }
    let asking = asked.iter().filter(|asked| !fenced.contains(&asked.incarnation));
    let pairs: Vec<(usize, &str)> = asking
        .flat_map(|asked| asked.asks.iter().filter_map(|ask| Some((places.of(ask)?, asked.incarnation.as_str()))))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let mut holdings = holdings(connection, &mut rows, &pairs, now).await?;
    let mut judged = Judged::default();
    let shows_loss = |asked: &Asked, ask: &LeaseAsk| {
        let Some((place, state)) = places.of(ask).and_then(|place| Some((place, rows.get(place)?))) else { return false };
        let start = state.kept.row.window.start;
        let holding = holdings.get(&(place, asked.incarnation.as_str()));
        !frozen.covers(start) && holding.is_some_and(|holding| holding.holder.shows_loss(ask, start))
    };
    // Before anything is granted.
    judged.forgot = asked.iter().find_map(|asked| {
        let LeaseAsk { consumer, limit, lease, number, .. } = asked.asks.iter().find(|ask| shows_loss(asked, ask))?;
        Some(format!("by incarnation {}: ask {number} of lease {lease} of `{limit}` of {consumer}", asked.incarnation))
    });
    if judged.forgot.is_some() {
        frozen::mark(connection, at).await?;
        let frozen = Frozen::since(now);
        rows.iter_mut().for_each(|state| state.frozen = frozen.covers(state.kept.row.window.start));
    }
    for asked in asked {
        let mut answers = Vec::with_capacity(asked.asks.len());
        for ask in &asked.asks {
            if let Some(rate) = rate(accounts, &ask.consumer, &ask.limit).filter(|_| !fenced.contains(&asked.incarnation)) {
                if asked.first && rates.has_another(&asked.incarnation, ask) {
                    answers.push(closed(ask));
                    continue;
                }
                let answer = rates.settle(&asked.incarnation, rate, ask);
                judged.granted = judged.granted.saturating_add(answer.granted);
                judged.refused += u64::from(answer.granted < ask.need);
                answers.push(answer);
                continue;
            }
            let place = places.of(ask);
            let holding = place.and_then(|place| holdings.get_mut(&(place, asked.incarnation.as_str())));
            answers.push(match (place.and_then(|place| rows.get_mut(place)), holding) {
                (Some(_), Some(holding)) if asked.first && holding.holder.has_another(ask.lease) => closed(ask),
                (Some(state), Some(holding)) => settle(state, holding, ask, now, &mut judged),
                // Nobody is asked for, or by somebody who is fenced.
                (..) => closed(ask),
            });
        }
        judged.answers.push(answers);
    }
    save(connection, &rows, holdings.values()).await?;
    Ok(judged)
}

/// Nothing comes of an ask.
fn closed(ask: &LeaseAsk) -> LeaseAnswer {
    LeaseAnswer { lease: ask.lease, number: ask.number, closed: true, ..LeaseAnswer::default() }
}

/// The rate that a limit of a consumer is, if it is one.
fn rate(accounts: &HashMap<String, Arc<Account>>, consumer: &str, limit: &str) -> Option<Rate> {
    accounts.get(consumer)?.rate(limit)
}

/// The quota that a limit of a consumer is, if it is one.
fn quota<'a>(accounts: &'a HashMap<String, Arc<Account>>, consumer: &str, limit: &str) -> Option<&'a Quota> {
    accounts.get(consumer)?.quota(limit)
}

impl Places<'_> {
    /// The place of the row that an ask is of.
    fn of(&self, ask: &LeaseAsk) -> Option<usize> {
        let name = (ask.consumer.as_str(), ask.limit.as_str());
        let (in_force, window) = *self.in_force.get(&name)?;
        match window.asked(ask) {
            Which::InForce => Some(in_force),
            Which::Following => self.following.get(&name).copied(),
            Which::Neither => None,
        }
    }
}

/// The rows in force of all that is named, and those that follow where they are asked from; made where needed.
async fn rows<'a>(
    connection: &mut SqliteConnection,
    asked: &'a [Asked],
    accounts: &'a HashMap<String, Arc<Account>>,
    now: u64,
) -> Result<Found<'a>, StoreError> {
    let asks = asked.iter().flat_map(|asked| &asked.asks).map(|ask| (ask.consumer.as_str(), ask.limit.as_str()));
    let overages = asked.iter().filter_map(|asked| asked.overages.as_ref()).flat_map(|overages| &overages.units);
    let named: HashSet<_> = asks.chain(overages.map(|overage| (overage.consumer.as_str(), overage.limit.as_str()))).collect();
    // Rates have no rows; and what was let pass of one has flowed in meanwhile.
    let named: Vec<_> = named.into_iter().filter(|(consumer, limit)| rate(accounts, consumer, limit).is_none()).collect();
    let mut states: Vec<State<'a>> = Vec::with_capacity(named.len());
    let mut places = Places { in_force: HashMap::with_capacity(named.len()), following: HashMap::new() };
    let mut new = Vec::new();
    let incarnations = asked.iter().map(|asked| asked.incarnation.as_str()).collect();
    let (fenced, known, frozen) = records::newest(connection, &incarnations, &named, now).await?;
    let mut place = |states: &mut Vec<State<'a>>, (consumer, name): (&'a str, &'a str), window: Window, kept: Option<&Kept>| {
        let quota = quota(accounts, consumer, name);
        let place = states.len();
        let kept = kept.cloned().unwrap_or_else(|| {
            let row = Row::new(window, quota.map_or(0, |quota| quota.units));
            let organisation = accounts.get(consumer).map_or("", |account| account.organisation.as_str());
            new.push((place, New { consumer, name, organisation, row }));
            Kept { seq: 0, row, granted: 0, recalled_at: 0, recalled_held: 0, highest: row.limit }
        });
        states.push(State { before: kept.clone(), kept, quota, active: 1, frozen: frozen.holds(consumer, window.start) });
        place
    };
    // There are such only shortly before a window ends.
    let mut next = HashMap::new();
    for (name, known) in named.into_iter().zip(&known) {
        let newest = known.iter().rev().find(|kept| kept.row.has_begun(now)).map(|kept| kept.row.window);
        let window = match (quota(accounts, name.0, name.1), newest) {
            (_, Some(newest)) if now < newest.end => Some(newest),
            (Some(quota), newest) => period(quota, newest, now),
            (None, _) => None,
        };
        if let Some(window) = window {
            let kept = known.iter().find(|kept| kept.row.window == window);
            let place = place(&mut states, name, window, kept);
            states.get_mut(place).into_iter().for_each(|state| state.kept.row.begun = true);
            places.in_force.insert(name, (place, window));
            next.extend(known.iter().find(|kept| kept.row.window.start == window.end).map(|kept| (name, kept)));
        }
    }
    for ask in asked.iter().flat_map(|asked| &asked.asks) {
        let name = (ask.consumer.as_str(), ask.limit.as_str());
        let Some((_, window)) = places.in_force.get(&name).copied().filter(|_| !places.following.contains_key(&name)) else { continue };
        if window.asked(ask) == Which::Following {
            let kept = next.get(&name).copied();
            let made = || window.following(calendar(quota(accounts, name.0, name.1)?, window.end)?, now);
            if let Some(window) = kept.map(|kept| kept.row.window).or_else(made) {
                places.following.insert(name, place(&mut states, name, window, kept));
            }
        }
    }
    let (new_places, new): (Vec<_>, Vec<_>) = new.into_iter().unzip();
    for (place, seq) in new_places.into_iter().zip(records::insert(connection, &new, now).await?) {
        if let Some(state) = states.get_mut(place) {
            (state.kept.seq, state.before.seq) = (seq, seq);
        }
    }
    for state in &mut states {
        // A raise is in force at once. So is a lowering: nothing more is granted until enough has come back.
        state.kept.row.limit = state.quota.map_or(state.kept.row.limit, |quota| quota.units);
        state.kept.highest = state.kept.highest.max(state.kept.row.limit);
    }
    Ok(Found { fenced, rows: states, places, frozen })
}

/// The window that follows, if it has begun: a period of the calendar never ends before now.
fn period(quota: &Quota, newest: Option<Window>, now: u64) -> Option<Window> {
    let window = Window::in_force(newest, calendar(quota, now)?, now);
    (window.start < window.end).then_some(window)
}

/// The period of a quota's calendar that a moment is in.
fn calendar(quota: &Quota, at: u64) -> Option<Window> {
    quota.calendar.period(Time::from_millis(i64::try_from(at).unwrap_or(i64::MAX)))
}

/// What the incarnations that ask were granted from each row; and how many want from it lately. Those who ask in this batch count for each of
/// them, also for the first.
async fn holdings<'a>(
    connection: &mut SqliteConnection,
    rows: &mut [State<'_>],
    pairs: &[(usize, &'a str)],
    now: u64,
) -> Result<HashMap<(usize, &'a str), Holding<'a>>, StoreError> {
    let since: Vec<u64> = rows.iter().map(|state| now.saturating_sub((2 * state.kept.row.lasting()).max(ACTIVE_FOR))).collect();
    let counted: Vec<(i64, u64)> = rows.iter().zip(&since).map(|(state, since)| (state.kept.seq, *since)).collect();
    let keys: Vec<(i64, &str)> =
        pairs.iter().map(|(place, incarnation)| (rows.get(*place).map_or(0, |state| state.kept.seq), *incarnation)).collect();
    let (held, active) = records::held(connection, &keys, &counted, now).await?;
    for (state, active) in rows.iter_mut().zip(active) {
        state.active = active;
    }
    let mut holdings = HashMap::with_capacity(pairs.len());
    for ((row, incarnation), before) in pairs.iter().copied().zip(held) {
        let since = since.get(row).copied().unwrap_or(now);
        let is_active =
            |held: &Held| held.lease.asked_at >= since || (!held.lease.closed && held.lease.asked_at.saturating_add(2 * held.lasts) >= now);
        if !before.iter().any(is_active)
            && let Some(state) = rows.get_mut(row)
        {
            state.active += 1;
        }
        let holder = Holder { leases: before.iter().map(|held| held.lease).collect() };
        let lasts = before.iter().map(|held| (held.lease.lease, held.lasts)).collect();
        holdings.insert((row, incarnation), Holding { row, incarnation, before, holder, lasts });
    }
    Ok(holdings)
}

fn settle(state: &mut State<'_>, holding: &mut Holding<'_>, ask: &LeaseAsk, now: u64, judged: &mut Judged) -> LeaseAnswer {
    let found = |holder: &Holder| holder.leases.iter().find(|lease| lease.lease == ask.lease).copied();
    let before = found(&holding.holder);
    let ended = state.quota.is_none();
    // What comes back comes back also to a quota that is no more, since it may be there again before the window ends.
    let closing = ended.then(|| LeaseAsk { close: true, ..ask.clone() });
    let limit = state.kept.row.limit;
    if state.frozen {
        // Nothing is free. What comes back counts.
        state.kept.row.limit = 0;
    }
    let mut settled = state.kept.row.settle(&mut holding.holder, closing.as_ref().unwrap_or(ask), now, state.active);
    (state.kept.row.limit, settled.answer.limit) = (limit, limit);
    if state.frozen {
        // It may be reopened at any time.
        settled.answer.retry_ms = settled.answer.retry_ms.min(FROZEN_RETRY);
    }
    let after = found(&holding.holder);
    if after != before {
        holding.lasts.insert(ask.lease, settled.answer.lasts_ms);
    }
    let of = |lease: Option<Lease>| lease.map_or(0, |lease| lease.granted);
    let granted = of(after).saturating_sub(of(before));
    state.kept.granted = state.kept.granted.saturating_add(granted).min(MOST);
    judged.granted = judged.granted.saturating_add(granted);
    judged.refused += u64::from(settled.answer.granted < ask.need);
    if settled.freed {
        judged.news.push((ask.consumer.clone(), ask.limit.clone(), true));
    }
    // Alone, nobody is there who could return anything.
    if settled.recall && state.active > 1 && !ended && !state.frozen {
        let held = state.kept.row.held;
        let every = if held == state.kept.recalled_held { RECALLED_IN_VAIN_EVERY } else { RECALLED_EVERY };
        // Also where the clock was put back meanwhile.
        if now.abs_diff(state.kept.recalled_at) >= every {
            (state.kept.recalled_at, state.kept.recalled_held) = (now, held);
            judged.news.push((ask.consumer.clone(), ask.limit.clone(), false));
        }
    }
    if ended { LeaseAnswer { closed: true, granted: 0, ..settled.answer } } else { settled.answer }
}

/// Saves what changed. A batch of nothing but repetitions changes nothing.
async fn save<'a>(
    connection: &mut SqliteConnection,
    rows: &[State<'_>],
    holdings: impl Iterator<Item = &'a Holding<'a>>,
) -> Result<(), StoreError> {
    let (mut kept, mut forgotten) = (Vec::new(), Vec::new());
    for holding in holdings {
        let Some(row) = rows.get(holding.row).map(|state| state.kept.seq) else { continue };
        for lease in &holding.holder.leases {
            if !holding.before.iter().any(|held| held.lease == *lease) {
                let lasts = holding.lasts.get(&lease.lease).copied().unwrap_or(0);
                kept.push((row, holding.incarnation, Held { lease: *lease, lasts }));
            }
        }
        let is_left = |number: u64| holding.holder.leases.iter().any(|lease| lease.lease == number);
        forgotten.extend(
            holding.before.iter().filter(|held| !is_left(held.lease.lease)).map(|held| (row, holding.incarnation, held.lease.lease)),
        );
    }
    let changed: Vec<&Kept> = rows.iter().filter(|state| state.kept != state.before).map(|state| &state.kept).collect();
    records::save(connection, &kept, &forgotten, &changed).await
}
