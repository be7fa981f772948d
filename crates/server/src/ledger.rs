//! Owns leases as nodes and operators see them: what may be asked, how it is settled, how lost nodes are let go. Must not judge: the
//! arithmetic is `tollgate_core::ledger`'s.

mod first;
mod frozen;
mod release;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tollgate_core::wire::{LeaseAsk, MOST_ASKS, MOST_OVERAGES, Overage, Report, Settle, Settled};

use crate::failure::{Failure, Problems};
use crate::nodes::Incarnation;
use crate::page::{Listing, Page};
use crate::permission::Principal;
use crate::store::changes::{Kind, publish};
use crate::store::ledger::{self as records, Asked, Before, Overages, Which};
use crate::store::{Store, Window};

pub use crate::store::ledger::{LedgerRow, Standing};
pub(crate) use first::first;
pub use frozen::{Reopen, Reopened, freeze, reopen};
pub use release::{ReleaseNode, Released, release};

/// The largest number a node may send: what every reader of JSON takes for the same number.
const LARGEST: u64 = 1 << 53;
/// The longest id of a consumer, and name of a limit, that a node may send.
const LONGEST_ID: usize = 128;
/// How long leases are kept after their window: nobody can return them any more, so only to look at them.
const LEASES_KEPT: Duration = Duration::from_secs(86_400);
/// How long rows are kept after their window: a year and a month, so that a month can be compared with the one a year before.
const ROWS_KEPT: Duration = Duration::from_secs(400 * 86_400);
/// How long it is remembered which overages were applied: as long as incarnations are.
const REPORTS_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Which rows of the ledger are listed: all that agree with everything given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Of this consumer.
    pub consumer: Option<String>,
    /// Also those whose window is over. Default: false.
    #[param(value_type = bool, required = false)]
    pub all: bool,
}

/// Settles the leases of an incarnation; what is answered is durable.
///
/// # Errors
/// [`Failure::Invalid`] for what no node sends; [`Failure::Unavailable`]: it may be asked again.
pub async fn settle(store: &Store, incarnation: &Incarnation, settle: &Settle) -> Result<Settled, Failure> {
    judge_asks("asks", &settle.asks)?;
    let asked = Asked { incarnation: incarnation.incarnation.clone(), asks: settle.asks.clone(), overages: None, first: false };
    let answered = records::settle(store, asked).await?;
    Ok(Settled { revision: answered.revision, answers: answered.answers })
}

/// Settles what a report says of leases, and adds its overages once, however often it comes; `None` if it says nothing.
///
/// # Errors
/// As for [`settle`].
pub(crate) async fn settle_report(store: &Store, incarnation: &Incarnation, report: &Report) -> Result<Option<Settled>, Failure> {
    judge_asks("leases", &report.leases)?;
    judge_overages(&report.overages)?;
    if report.leases.is_empty() && report.overages.is_empty() {
        return Ok(None);
    }
    let overages = (!report.overages.is_empty()).then(|| Overages { sequence: report.sequence, units: report.overages.clone() });
    let asked = Asked { incarnation: incarnation.incarnation.clone(), asks: report.leases.clone(), overages, first: false };
    let answered = records::settle(store, asked).await?;
    Ok(Some(Settled { revision: answered.revision, answers: answered.answers }))
}

/// The rows this principal may see.
///
/// # Errors
/// [`Failure::Invalid`] for a page that cannot be.
pub async fn list(store: &Store, principal: &Principal, filter: &Filter, page: &Page) -> Result<Listing<LedgerRow>, Failure> {
    let own = principal.consumer.as_deref();
    let asked = filter.consumer.as_deref();
    if let (Some(own), Some(asked)) = (own, asked)
        && own != asked
    {
        return Ok(Listing { items: Vec::new(), next: None });
    }
    let which = Which { organisation: principal.organisation.as_deref(), consumer: own.or(asked), all: filter.all };
    let window: Window<'_> = page.window()?;
    page.of(records::list(store, window, which).await?, |row| row, |row: &LedgerRow| &row.id)
}

/// Waits until units of some limit are wanted elsewhere or came free, and tells the nodes.
///
/// # Errors
/// [`Failure::Unavailable`]: whoever wants them asks again, and it comes back here.
pub async fn recall(store: &Store) -> Result<(), Failure> {
    let wanted = records::recalls(store).await;
    let mut write = store.begin().await?;
    for recall in wanted {
        let kind = if recall.freed { Kind::Freed } else { Kind::Recall };
        publish(&mut write, kind, &quota(&recall.consumer, &recall.limit)).await?;
    }
    Ok(write.commit().await?)
}

/// The clock was set: windows end sooner or later than nodes were told, so whoever was refused until then may ask again.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn clock_was_set(store: &Store) -> Result<(), Failure> {
    let mut write = store.begin().await?;
    publish(&mut write, Kind::Freed, &quota("", "")).await?;
    Ok(write.commit().await?)
}

/// Forgets some of what is old: leases a day after their window, rows 400 days after. Answers whether there may be more.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn sweep(store: &Store) -> Result<bool, Failure> {
    let now = store.now();
    let before = Before { leases: now.before(LEASES_KEPT), rows: now.before(ROWS_KEPT), reports: now.before(REPORTS_KEPT) };
    Ok(records::sweep(store, before).await?)
}

/// Tells the metrics what the rows in force add up to.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn measure(store: &Store) -> Result<Standing, Failure> {
    let standing = records::standing(store).await?;
    for (name, value) in [
        ("tollgate_ledger_outstanding_units", standing.outstanding),
        ("tollgate_ledger_silent_units", standing.silent),
        ("tollgate_ledger_overage_units", standing.overage),
        ("tollgate_ledger_over_admitted_units", standing.over_admitted),
        ("tollgate_ledger_frozen_rows", standing.frozen_rows),
    ] {
        metrics::gauge!(name).set(value);
    }
    Ok(standing)
}

/// How the feed names a limit of a consumer.
pub(crate) fn quota(consumer: &str, limit: &str) -> String {
    format!("{consumer}/{limit}")
}

fn judge_asks(field: &str, asks: &[LeaseAsk]) -> Result<(), Failure> {
    if asks.len() > MOST_ASKS {
        return Err(Failure::invalid(field, format!("{} entries; at most {MOST_ASKS}", asks.len())));
    }
    let mut problems = Problems::default();
    for (position, ask) in asks.iter().enumerate() {
        let field = |name: &str| format!("{field}[{position}].{name}");
        problems.named(&field("consumer"), &ask.consumer);
        problems.named(&field("limit"), &ask.limit);
        problems.check(ask.number > 0, &field("number"), "counts from 1");
        let numbers = [
            ("lease", ask.lease),
            ("number", ask.number),
            ("window", ask.window),
            ("returned", ask.returned),
            ("need", ask.need),
            ("waiting", ask.waiting),
            ("demand", ask.demand),
            ("own", ask.own),
        ];
        for (name, number) in numbers {
            problems.check(number <= LARGEST, &field(name), format!("at most {LARGEST}"));
        }
    }
    problems.finish()
}

fn judge_overages(overages: &[Overage]) -> Result<(), Failure> {
    if overages.len() > MOST_OVERAGES {
        return Err(Failure::invalid("overages", format!("{} entries; at most {MOST_OVERAGES}", overages.len())));
    }
    let mut problems = Problems::default();
    for (position, overage) in overages.iter().enumerate() {
        let field = |name: &str| format!("overages[{position}].{name}");
        problems.named(&field("consumer"), &overage.consumer);
        problems.named(&field("limit"), &overage.limit);
        problems.check(overage.units <= LARGEST, &field("units"), format!("at most {LARGEST}"));
    }
    problems.finish()
}

impl Problems {
    fn named(&mut self, field: &str, name: &str) {
        self.check((1..=LONGEST_ID).contains(&name.len()), field, format!("1 to {LONGEST_ID} bytes"));
    }
}
