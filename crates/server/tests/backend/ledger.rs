//! The ledger as operators see it, what reports say of it, what nodes are told of it, and that nothing is ever charged beyond a limit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tollgate_core::wire::{Acknowledged, Change, Hello, LeaseAsk, MOST_ASKS, MOST_OVERAGES, Overage, Recall, Report, Settle};
use tollgate_server::failure::Failure;
use tollgate_server::ledger::{self, Filter, ReleaseNode, Released, Standing};
use tollgate_server::nodes::{self, Incarnation, NewNodeCredential, NodeCredential};
use tollgate_server::page::Page;
use tollgate_server::{consumers, reports};

use crate::leases::{again, ask, charged, node, put, quota, restart, rows, settle, with_quota};
use crate::setup::*;

pub(crate) const FORCE: ReleaseNode = ReleaseNode { force: true };
const GENTLY: ReleaseNode = ReleaseNode { force: false };

pub(crate) async fn credential(backend: &Backend) -> NodeCredential {
    let new = NewNodeCredential::default();
    committed!(backend, |write| nodes::create_credential(write, &backend.secrets, &backend.admin, new)).unwrap().credential
}

/// A node of this name that says hello.
pub(crate) async fn hello(backend: &Backend, credential: &NodeCredential, name: &str, secret: u8) -> Incarnation {
    let hello = Hello { incarnation_secret: format!("{secret:032x}"), node: name.to_owned(), module: String::new() };
    let welcome = committed!(backend, |write| nodes::hello(write, &backend.secrets, credential, &hello)).unwrap();
    nodes::authorize(&backend.store, &backend.secrets, &welcome.token).unwrap()
}

pub(crate) async fn release(backend: &Backend, node: &str, how: &ReleaseNode) -> Result<Released, Failure> {
    committed!(backend, |write| ledger::release(write, &backend.store, &backend.admin, node, how))
}

fn overage(sequence: u64, units: u64) -> Report {
    let overage = Overage { consumer: "acme".to_owned(), limit: "monthly".to_owned(), units };
    Report { sequence, overages: vec![overage], ..Report::default() }
}

#[tokio::test]
async fn a_lost_node_is_let_go_once_and_granted_nothing_any_more() {
    let mut backend = with_quota().await;
    let credential = credential(&backend).await;
    let lost = hello(&backend, &credential, "edge", 1).await;
    let first = settle(&backend, &lost, ask(1, 1, 60)).await;
    let second = settle(&backend, &lost, LeaseAsk { own: 45, ..again(&first, 0) }).await;
    let other = settle(&backend, &lost, ask(2, 1, 20)).await;
    restart(&mut backend).await;
    backend.clock.advance(Duration::from_secs(61));
    let released = release(&backend, "edge", &GENTLY).await.unwrap();
    // 15 of the first lease's units were spent when it last spoke.
    assert_eq!(released, Released { incarnations: vec![lost.incarnation.clone()], leases: 2, units: 65 });
    restart(&mut backend).await;
    let row = &rows(&backend, false).await[0];
    assert_eq!((row.charged, row.outstanding, row.returned), (15, 0, 65));
    for answer in [&second, &other] {
        let late = settle(&backend, &lost, LeaseAsk { returned: 40, ..again(answer, 1) }).await;
        assert_eq!((late.closed, late.granted), (true, 0));
    }
    assert!(settle(&backend, &lost, ask(3, 1, 1)).await.closed);
    assert_eq!(charged(&backend).await, 15, "what it returns has come back already");
    assert_eq!(settle(&backend, &node(2), ask(1, 1, 85)).await.granted, 85);
    backend.clock.advance(Duration::from_secs(61));
    assert_eq!(release(&backend, "edge", &GENTLY).await.map(|released| (released.leases, released.units)), Ok((0, 0)));
    let events: Vec<(String, String)> =
        sqlx::query_as("SELECT action, subject FROM events WHERE action LIKE 'ledger:%'").fetch_all(&backend.raw().await).await.unwrap();
    assert_eq!(events, vec![("ledger:release".to_owned(), lost.incarnation.clone()); 2]);
}

#[tokio::test]
async fn a_node_that_may_be_alive_is_not_let_go_by_mistake() {
    let backend = with_quota().await;
    let credential = credential(&backend).await;
    let dead = hello(&backend, &credential, "edge", 1).await;
    settle(&backend, &dead, ask(1, 1, 10)).await;
    backend.clock.advance(Duration::from_secs(61));
    let live = hello(&backend, &credential, "edge", 2).await;
    settle(&backend, &live, ask(1, 1, 20)).await;
    assert_eq!(conflict(release(&backend, &live.incarnation, &GENTLY).await), "node");
    assert_eq!(wrong(release(&backend, "edge", &FORCE).await), ["force"]);
    let released = release(&backend, "edge", &GENTLY).await.unwrap();
    assert_eq!((released.incarnations, released.units), (vec![dead.incarnation], 10));
    // It asks for nothing and is heard of all the same, as a node is that polls.
    backend.clock.advance(Duration::from_secs(50));
    let token = committed!(backend, |write| nodes::hello(
        write,
        &backend.secrets,
        &credential,
        &Hello { incarnation_secret: format!("{:032x}", 2), node: "edge".to_owned(), module: String::new() }
    ))
    .unwrap()
    .token;
    backend.clock.advance(Duration::from_secs(50));
    nodes::authorize(&backend.store, &backend.secrets, &token).unwrap();
    backend.clock.advance(Duration::from_secs(50));
    assert_eq!(conflict(release(&backend, &live.incarnation, &GENTLY).await), "node");
    assert_eq!(release(&backend, &live.incarnation, &FORCE).await.unwrap().units, 20);
    assert_eq!(release(&backend, "nobody", &GENTLY).await, Err(Failure::NotFound));
    let bound = operator(Some("default"));
    let refused = committed!(backend, |write| ledger::release(write, &backend.store, &bound, "edge", &GENTLY));
    assert_eq!(refused, Err(Failure::Forbidden));
}

/// What was not written down when the node said hello is in the ledger all the same.
#[tokio::test]
async fn a_node_is_known_by_its_leases_alone() {
    let backend = with_quota().await;
    settle(&backend, &node(9), ask(1, 1, 10)).await;
    assert_eq!(conflict(release(&backend, &node(9).incarnation, &GENTLY).await), "node");
    backend.clock.advance(Duration::from_secs(61));
    assert_eq!(release(&backend, &node(9).incarnation, &GENTLY).await.unwrap().units, 10);
}

#[tokio::test]
async fn overages_are_added_once_by_their_report_and_leave_less() {
    let mut backend = with_quota().await;
    let node = hello(&backend, &credential(&backend).await, "edge", 1).await;
    let receive = async |backend: &Backend, report: &Report| reports::receive(&backend.store, &node, report).await;
    receive(&backend, &overage(2, 30)).await.unwrap();
    // They overtake each other, and come twice.
    for report in [overage(1, 20), overage(2, 30), overage(1, 20)] {
        restart(&mut backend).await;
        receive(&backend, &report).await.unwrap();
    }
    let row = &rows(&backend, false).await[0];
    assert_eq!((row.overage, row.charged), (50, 0));
    let answer = settle(&backend, &node, ask(1, 1, 51)).await;
    assert_eq!((answer.granted, answer.left), (0, 50));
    assert_eq!(settle(&backend, &node, again(&answer, 50)).await.granted, 50);
    // More than there is room for, and of what the consumer does not have.
    receive(&backend, &overage(3, 1 << 53)).await.unwrap();
    receive(&backend, &overage(4, 1 << 53)).await.unwrap();
    let mut other = overage(5, 1);
    other.overages[0].limit = "daily".to_owned();
    receive(&backend, &other).await.unwrap();
    let row = &rows(&backend, false).await[0];
    assert_eq!((row.overage, row.charged), (50 + (1 << 54), 50));
    assert_eq!(rows(&backend, true).await.len(), 1);
}

#[tokio::test]
async fn the_asks_of_a_report_are_answered_in_their_order_however_often_it_comes() {
    let backend = with_quota().await;
    let node = hello(&backend, &credential(&backend).await, "edge", 1).await;
    let unknown = LeaseAsk { limit: "daily".to_owned(), ..ask(3, 1, 1) };
    let report = Report { sequence: 1, leases: vec![ask(1, 1, 60), unknown, ask(2, 1, 20)], ..Report::default() };
    let first = reports::receive(&backend.store, &node, &report).await.unwrap();
    assert_eq!((first.sequence, first.revision), (1, backend.revision().await));
    let told: Vec<_> = first.leases.iter().map(|answer| (answer.lease, answer.granted, answer.closed)).collect();
    assert_eq!(told, [(1, 60, false), (3, 0, true), (2, 20, false)]);
    let second = reports::receive(&backend.store, &node, &report).await.unwrap();
    let granted = |acknowledged: &Acknowledged| acknowledged.leases.iter().map(|answer| answer.granted).collect::<Vec<_>>();
    assert_eq!((granted(&second), charged(&backend).await), (granted(&first), 80));
    let plain = Report { sequence: 2, ..Report::default() };
    let plain = reports::receive(&backend.store, &node, &plain).await.unwrap();
    assert_eq!(plain, Acknowledged { sequence: 2, ..Acknowledged::default() });
}

#[tokio::test]
async fn reports_of_too_much_change_nothing() {
    let backend = with_quota().await;
    let node = hello(&backend, &credential(&backend).await, "edge", 1).await;
    let refused = async |report: &Report| wrong(reports::receive(&backend.store, &node, report).await);
    let asks = Report { sequence: 1, leases: vec![ask(1, 1, 1); MOST_ASKS + 1], ..Report::default() };
    assert_eq!(refused(&asks).await, ["leases"]);
    let mut overages = overage(1, 1);
    overages.overages = vec![overages.overages[0].clone(); MOST_OVERAGES + 1];
    assert_eq!(refused(&overages).await, ["overages"]);
    assert_eq!(refused(&overage(1, u64::MAX)).await, ["overages[0].units"]);
    assert_eq!(refused(&Report { sequence: 0, leases: vec![ask(1, 1, 1)], ..Report::default() }).await, ["sequence"]);
    assert!(rows(&backend, true).await.is_empty());
    reports::receive(&backend.store, &node, &Report { sequence: 1, ..Report::default() }).await.unwrap();
}

async fn recalled(backend: &Backend, after: u64) -> Vec<Option<Recall>> {
    // Nothing wakes it where nothing is wanted.
    let _ = tokio::time::timeout(Duration::from_millis(100), ledger::recall(&backend.store)).await;
    backend.changes(after).await.changes.into_iter().map(|change: Change| change.recall).collect()
}

#[tokio::test]
async fn holders_are_told_once_a_second_that_units_are_wanted_elsewhere() {
    let backend = with_quota().await;
    let start = backend.revision().await;
    let wanted = Some(Recall { consumer: "acme".to_owned(), limit: "monthly".to_owned(), freed: false });
    let all = settle(&backend, &node(1), ask(1, 1, 100)).await;
    assert_eq!(recalled(&backend, start).await, []);
    let mut refused = settle(&backend, &node(2), ask(1, 1, 10)).await;
    assert_eq!(recalled(&backend, start).await, std::slice::from_ref(&wanted));
    settle(&backend, &node(3), ask(1, 1, 10)).await;
    assert_eq!(recalled(&backend, start + 1).await, []);
    // Some comes back, and is not enough: in a second they are told again.
    let less = settle(&backend, &node(1), LeaseAsk { returned: 5, own: 40, ..again(&all, 0) }).await;
    refused = settle(&backend, &node(2), again(&refused, 10)).await;
    assert_eq!(recalled(&backend, start + 1).await, []);
    backend.clock.advance(Duration::from_secs(1));
    refused = settle(&backend, &node(2), again(&refused, 10)).await;
    assert_eq!(recalled(&backend, start + 1).await, std::slice::from_ref(&wanted));
    // Nothing comes back: whoever holds it may be dead, and the others need not hear of it every second.
    backend.clock.advance(Duration::from_secs(2));
    refused = settle(&backend, &node(2), again(&refused, 10)).await;
    assert_eq!(recalled(&backend, start + 2).await, []);
    backend.clock.advance(Duration::from_secs(28));
    settle(&backend, &node(3), ask(2, 1, 10)).await;
    refused = settle(&backend, &node(2), again(&refused, 10)).await;
    assert_eq!(recalled(&backend, start + 2).await, std::slice::from_ref(&wanted));
    // So they are as soon as the clock is put back, and not only when it shows as much again.
    backend.clock.set(backend.now().before(Duration::from_secs(3_600)));
    refused = settle(&backend, &node(2), again(&refused, 10)).await;
    assert_eq!(recalled(&backend, start + 3).await, [wanted]);
    // Enough came back.
    settle(&backend, &node(1), LeaseAsk { returned: 30, close: true, ..again(&less, 0) }).await;
    assert_eq!(settle(&backend, &node(2), again(&refused, 10)).await.granted, 10);
    assert_eq!(recalled(&backend, start + 4).await, []);
}

#[tokio::test]
async fn who_was_told_that_all_is_spent_is_told_once_when_units_come_free() {
    let mut backend = with_quota().await;
    let start = backend.revision().await;
    let freed = [Some(Recall { consumer: "acme".to_owned(), limit: "monthly".to_owned(), freed: true })];
    let first = settle(&backend, &node(1), ask(1, 1, 60)).await;
    let lost = settle(&backend, &node(2), ask(1, 1, 40)).await;
    // All of it is spent, as far as anybody knows.
    let first = settle(&backend, &node(1), again(&first, 0)).await;
    let lost = settle(&backend, &node(2), again(&lost, 0)).await;
    let refused = settle(&backend, &node(3), ask(1, 1, 5)).await;
    assert!(refused.retry_ms > 1_000, "{refused:?}");
    restart(&mut backend).await;
    let first = settle(&backend, &node(1), LeaseAsk { returned: 3, ..again(&first, 0) }).await;
    assert_eq!(recalled(&backend, start).await, freed);
    settle(&backend, &node(1), LeaseAsk { returned: 4, ..again(&first, 0) }).await;
    assert_eq!(recalled(&backend, start + 1).await, []);
    // So it is when a lost node is let go.
    let refused = settle(&backend, &node(3), again(&refused, 5)).await;
    assert!(refused.retry_ms > 1_000, "{refused:?}");
    settle(&backend, &node(2), LeaseAsk { own: 10, ..again(&lost, 0) }).await;
    release(&backend, &node(2).incarnation, &FORCE).await.unwrap();
    assert_eq!(recalled(&backend, start + 1).await, freed);
    assert_eq!(settle(&backend, &node(3), again(&refused, 5)).await.granted, 5);
    assert_eq!(recalled(&backend, start + 2).await, []);
}

#[tokio::test]
async fn who_is_alone_recalls_nothing() {
    let backend = with_quota().await;
    let start = backend.revision().await;
    settle(&backend, &node(1), ask(1, 1, 100)).await;
    backend.clock.advance(Duration::from_secs(3_600));
    assert_eq!(settle(&backend, &node(2), ask(1, 1, 10)).await.granted, 0);
    assert_eq!(recalled(&backend, start).await, []);
}

#[tokio::test]
async fn silent_is_what_is_with_nodes_that_should_have_spoken() {
    let backend = with_quota().await;
    let first = settle(&backend, &node(1), ask(1, 1, 30)).await;
    settle(&backend, &node(2), ask(1, 1, 20)).await;
    let silent = async || rows(&backend, false).await[0].silent;
    backend.clock.advance(Duration::from_millis(2 * first.lasts_ms));
    assert_eq!(silent().await, 20, "the second was told to come sooner");
    backend.clock.advance(Duration::from_millis(1));
    assert_eq!(silent().await, 50);
    settle(&backend, &node(1), LeaseAsk { own: 10, ..again(&first, 0) }).await;
    assert_eq!((silent().await, rows(&backend, false).await[0].outstanding), (20, 30));
}

#[tokio::test]
async fn the_rows_in_force_are_added_up_and_what_was_granted_too_much_shows() {
    let backend = with_quota().await;
    let standing = async || ledger::measure(&backend.store).await.unwrap();
    assert_eq!(standing().await, Standing::default());
    let first = settle(&backend, &node(1), ask(1, 1, 60)).await;
    let second = hello(&backend, &credential(&backend).await, "edge", 2).await;
    settle(&backend, &second, ask(1, 1, 20)).await;
    reports::receive(&backend.store, &second, &overage(1, 30)).await.unwrap();
    backend.clock.advance(Duration::from_millis(2 * first.lasts_ms));
    let all_well = Standing { outstanding: 80.0, silent: 20.0, overage: 30.0, ..Standing::default() };
    assert_eq!(standing().await, all_well);
    // A limit that is lowered below what was granted, and one that was raised for a while, are no faults.
    put(&backend, "free", &[quota("monthly", 200, "month")]).await;
    settle(&backend, &node(1), LeaseAsk { own: 60, ..again(&first, 90) }).await;
    put(&backend, "free", &[quota("monthly", 50, "month")]).await;
    settle(&backend, &node(3), ask(1, 1, 1)).await;
    let row = &rows(&backend, false).await[0];
    assert_eq!((row.units, row.charged, standing().await.over_admitted.to_string()), (50, 170, "0".to_owned()));
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(backend.dir.path().join("ledger.db"));
    let ledger_db = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("UPDATE rows SET charged = 207").execute(&ledger_db).await.unwrap();
    assert_eq!(standing().await.over_admitted.to_string(), "7");
    // Only windows in force count.
    backend.clock.advance(Duration::from_secs(31 * 86_400));
    assert_eq!(standing().await, Standing::default());
}

#[tokio::test]
async fn rows_are_listed_page_by_page_to_those_who_may_see_their_consumer() {
    let backend = with_quota().await;
    put(&backend, "free", &[quota("monthly", 100, "month"), quota("daily", 10, "day")]).await;
    backend.organisation("other").await;
    backend.consumer_of("theirs", "other").await;
    for consumer in ["acme", "theirs"] {
        for limit in ["monthly", "daily"] {
            let ask = LeaseAsk { consumer: consumer.to_owned(), limit: limit.to_owned(), ..ask(1, 1, 1) };
            ledger::settle(&backend.store, &node(1), &Settle { asks: vec![ask] }).await.unwrap();
        }
    }
    backend.clock.advance(Duration::from_secs(86_400));
    let list = async |principal, filter: &Filter, page: &Page| ledger::list(&backend.store, principal, filter, page).await;
    let names = async |principal, filter: Filter| {
        let listed = list(principal, &filter, &Page::default()).await.unwrap().items;
        listed.into_iter().map(|row| format!("{} {}", row.consumer, row.limit)).collect::<Vec<_>>()
    };
    let filter = |consumer: Option<&str>, all| Filter { consumer: consumer.map(str::to_owned), all };
    let all = ["acme monthly", "acme daily", "theirs monthly", "theirs daily"];
    assert_eq!(names(&backend.admin, filter(None, true)).await, all);
    assert_eq!(names(&backend.admin, filter(None, false)).await, [all[0], all[2]]);
    assert_eq!(names(&backend.admin, filter(Some("theirs"), true)).await, all[2..]);
    let bound = operator(Some("other"));
    assert_eq!(names(&bound, filter(None, true)).await, all[2..]);
    assert!(names(&bound, filter(Some("acme"), true)).await.is_empty());
    let theirs = developer(&consumers::get(&backend.store, &backend.admin, "theirs").await.unwrap());
    assert_eq!(names(&theirs, filter(None, true)).await, all[2..]);
    assert!(names(&theirs, filter(Some("acme"), true)).await.is_empty());
    let (mut walked, mut after) = (Vec::new(), None);
    loop {
        let page = list(&backend.admin, &filter(None, true), &Page { limit: Some(1), after }).await.unwrap();
        walked.extend(page.items.into_iter().map(|row| format!("{} {}", row.consumer, row.limit)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(walked, all);
    for after in ["", "x", "0", "5", "-1"] {
        let page = Page { limit: None, after: Some(after.to_owned()) };
        assert_eq!(wrong(list(&backend.admin, &filter(None, true), &page).await), ["after"], "{after}");
    }
    // What is out of reach is not there.
    let page = Page { limit: None, after: Some(rows(&backend, true).await[0].id.clone()) };
    assert_eq!(wrong(list(&bound, &filter(None, true), &page).await), ["after"]);
}

#[tokio::test]
async fn leases_are_forgotten_a_day_after_their_window_and_rows_after_400() {
    let backend = with_quota().await;
    let connect = async || {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(backend.dir.path().join("ledger.db"));
        sqlx::SqlitePool::connect_with(options).await.unwrap()
    };
    let ledger_db = connect().await;
    let count = async |table: &str| -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"))).fetch_one(&ledger_db).await.unwrap()
    };
    put(&backend, "free", &[quota("monthly", 100_000, "day")]).await;
    for number in 0..150 {
        backend.consumer(&format!("c{number}")).await;
        let asked = LeaseAsk { consumer: format!("c{number}"), ..ask(1, 1, 1) };
        settle(&backend, &node(1), asked).await;
    }
    let sweep = async || {
        let mut times = 1;
        while ledger::sweep(&backend.store).await.unwrap() {
            times += 1;
        }
        times
    };
    backend.clock.advance(Duration::from_secs(2 * 86_400));
    settle(&backend, &node(1), ask(2, 1, 1)).await;
    assert_eq!((sweep().await, count("leases").await, count("rows").await), (1, 151, 151));
    backend.clock.advance(Duration::from_millis(1));
    assert_eq!((sweep().await, count("leases").await, count("rows").await), (2, 1, 151), "a part at a time");
    assert_eq!(rows(&backend, true).await[0].charged, 1562);
    backend.clock.advance(Duration::from_secs(399 * 86_400));
    assert_eq!((sweep().await, count("leases").await, count("rows").await), (2, 0, 1));
}

/// Many nodes at once, in messages of many asks, with repetitions, returns and a limit that is changed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_ask_at_once_nothing_is_charged_beyond_the_limit() {
    const LIMIT: u64 = 5_000;
    let backend = Arc::new(with_quota().await);
    put(&backend, "free", &[quota("monthly", LIMIT, "month"), quota("daily", LIMIT / 10, "day")]).await;
    let running: Vec<_> = (0..24_u8)
        .map(|number| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move {
                // Of each limit: the lease's number, its asks, what was granted and returned, and its window.
                let mut held: HashMap<&str, (u64, u64, u64, u64, u64)> = HashMap::new();
                let mut totals: HashMap<&str, u64> = HashMap::new();
                let (mut newest, mut random) = (0, u64::from(number) + 1);
                for _ in 0..60 {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let mut asks = Vec::new();
                    for limit in ["monthly", "daily"] {
                        let (lease, asked, granted, returned, window) = held.entry(limit).or_insert_with(|| {
                            newest += 1;
                            (newest, 0, 0, 0, 0)
                        });
                        *asked += 1;
                        let back = (*granted - *returned) * (random >> 60) / 40;
                        *returned += back;
                        let close = random >> 40 & 15 == 0;
                        let asked = LeaseAsk {
                            limit: limit.to_owned(),
                            window: *window,
                            returned: *returned,
                            close,
                            demand: (random >> 20) % 1_000_000,
                            ..ask(*lease, *asked, (random >> 50) % 40)
                        };
                        asks.push(asked);
                    }
                    let message = Settle { asks };
                    let repetitions = 1 + (random >> 33) % 3;
                    let mut answers = Vec::new();
                    for _ in 0..repetitions {
                        answers.push(ledger::settle(&backend.store, &node(number), &message).await.unwrap().answers);
                    }
                    for (position, ask) in message.asks.iter().enumerate() {
                        let limit = if position == 0 { "monthly" } else { "daily" };
                        let answer = answers[0][position];
                        assert!(answers.iter().all(|other| ask.close || other[position].granted == answer.granted), "{answers:?}");
                        let (_, _, granted, returned, window) = held.get_mut(limit).unwrap();
                        *granted += answer.granted;
                        *window = answer.window;
                        if answer.closed {
                            *totals.entry(limit).or_default() += *granted - *returned;
                            held.remove(limit);
                        }
                    }
                }
                for (limit, (_, _, granted, returned, _)) in held {
                    *totals.entry(limit).or_default() += granted - returned;
                }
                totals
            })
        })
        .collect();
    let mut totals: HashMap<&str, u64> = HashMap::new();
    for node in running {
        for (limit, total) in node.await.unwrap() {
            *totals.entry(limit).or_default() += total;
        }
    }
    for row in rows(&backend, false).await {
        let total = totals[row.limit.as_str()];
        assert_eq!((row.charged, row.granted - row.returned), (total, total), "{row:?}");
        assert!(total <= row.units && total > row.units / 2, "{row:?}");
    }
}
