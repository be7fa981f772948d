//! Leases of quotas: granted once, by the calendar, whatever comes twice or late, and whatever is changed meanwhile.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_core::wire::{LeaseAnswer, LeaseAsk, MOST_ASKS, Recall, Settle};
use tollgate_server::clock::Time;
use tollgate_server::consumers::{self, ConsumerPatch};
use tollgate_server::ledger::{self, Filter, LedgerRow};
use tollgate_server::nodes::Incarnation;
use tollgate_server::page::Page;
use tollgate_server::store::Store;
use tollgate_server::tiers::{self, TierBody};

use crate::setup::*;

const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn quota(name: &str, rate: u64, per: &str) -> Value {
    json!({"name": name, "algorithm": "quota", "rate": rate, "per": per})
}

/// Gives a tier these limits.
pub(crate) async fn put(backend: &Backend, tier: &str, limits: &[Value]) {
    let body: TierBody = serde_json::from_value(json!({"limits": limits})).unwrap();
    committed!(backend, |write| tiers::put(write, &backend.admin, tier, None, body)).unwrap();
}

/// A backend with the consumer `acme`, of which tier `free` grants 100 units a month.
pub(crate) async fn with_quota() -> Backend {
    let backend = Backend::new().await;
    put(&backend, "free", &[quota("monthly", 100, "month")]).await;
    backend.consumer("acme").await;
    backend
}

pub(crate) fn node(number: u8) -> Incarnation {
    Incarnation { credential: "credential".to_owned(), incarnation: format!("{number:032x}") }
}

/// An ask for so many units, which is given just that as long as it is more than a small part of what is left.
pub(crate) fn ask(lease: u64, number: u64, units: u64) -> LeaseAsk {
    let (consumer, limit) = ("acme".to_owned(), "monthly".to_owned());
    LeaseAsk { consumer, limit, lease, number, need: units, waiting: units, ..LeaseAsk::default() }
}

/// The same of the lease that was answered.
pub(crate) fn again(answer: &LeaseAnswer, units: u64) -> LeaseAsk {
    LeaseAsk { window: answer.window, ..ask(answer.lease, answer.number + 1, units) }
}

pub(crate) async fn settle(backend: &Backend, node: &Incarnation, ask: LeaseAsk) -> LeaseAnswer {
    let settled = ledger::settle(&backend.store, node, &Settle { asks: vec![ask] }).await.unwrap();
    let [answer] = settled.answers.as_slice() else { panic!("{settled:?}") };
    *answer
}

pub(crate) async fn rows(backend: &Backend, all: bool) -> Vec<LedgerRow> {
    let filter = Filter { consumer: None, all };
    ledger::list(&backend.store, &backend.admin, &filter, &Page::default()).await.unwrap().items
}

pub(crate) async fn charged(backend: &Backend) -> u64 {
    rows(backend, false).await[0].charged
}

/// The process ends, and another one opens what it left.
pub(crate) async fn restart(backend: &mut Backend) {
    backend.store.close().await;
    backend.store = Store::open(backend.dir.path(), Arc::new(backend.clock.clone())).await.unwrap();
}

async fn patch(backend: &Backend, patch: ConsumerPatch) {
    committed!(backend, |write| consumers::update(write, &backend.admin, "acme", None, patch)).unwrap();
}

async fn override_(backend: &Backend, units: Option<u64>) {
    let overrides = units.map(|units| ("monthly".to_owned(), units)).into_iter().collect();
    patch(backend, ConsumerPatch { overrides: Some(overrides), ..Default::default() }).await;
}

fn millis(time: &str) -> u64 {
    u64::try_from(time.parse::<Time>().unwrap().millis()).unwrap()
}

#[tokio::test]
async fn units_are_granted_from_the_month_in_force() {
    let backend = with_quota().await;
    let answer = settle(&backend, &node(1), ask(1, 1, 30)).await;
    assert_eq!((answer.lease, answer.number, answer.granted, answer.left, answer.limit, answer.closed), (1, 1, 30, 70, 100, false));
    assert_eq!(answer.window, millis("2026-01-01T00:00:00Z"));
    assert_eq!(answer.full_in_ms, 18 * 86_400_000);
    let settled = ledger::settle(&backend.store, &node(1), &Settle { asks: Vec::new() }).await.unwrap();
    assert_eq!((settled.answers.len(), settled.revision), (0, backend.revision().await));
}

#[tokio::test]
async fn an_ask_that_comes_again_is_answered_the_same_and_charged_once() {
    let mut backend = with_quota().await;
    let first = settle(&backend, &node(1), ask(1, 1, 30)).await;
    let second = settle(&backend, &node(1), again(&first, 20)).await;
    assert_eq!((first.granted, second.granted), (30, 20));
    for restarted in [false, true] {
        if restarted {
            restart(&mut backend).await;
        }
        assert_eq!(settle(&backend, &node(1), again(&first, 20)).await, second);
        // Nobody waits for an older one any more.
        assert_eq!(settle(&backend, &node(1), ask(1, 1, 30)).await.granted, 0);
        assert_eq!(charged(&backend).await, 50);
    }
}

#[tokio::test]
async fn asks_of_one_message_are_judged_one_after_the_other() {
    let backend = with_quota().await;
    let asks = vec![ask(1, 1, 60), ask(2, 1, 60), ask(3, 1, 40)];
    let settled = ledger::settle(&backend.store, &node(1), &Settle { asks }).await.unwrap();
    assert_eq!(
        settled.answers.iter().map(|answer| (answer.lease, answer.granted, answer.left)).collect::<Vec<_>>(),
        [(1, 60, 40), (2, 0, 40), (3, 40, 0)]
    );
}

#[tokio::test]
async fn what_is_returned_can_be_granted_to_another() {
    let mut backend = with_quota().await;
    let all = settle(&backend, &node(1), ask(1, 1, 100)).await;
    let refused = settle(&backend, &node(2), ask(1, 1, 10)).await;
    assert_eq!((all.granted, refused.granted, refused.closed), (100, 0, false));
    assert!(refused.retry_ms > 0 && refused.retry_ms <= 1_000, "{refused:?}");
    restart(&mut backend).await;
    settle(&backend, &node(1), LeaseAsk { returned: 25, close: true, ..again(&all, 0) }).await;
    assert_eq!(settle(&backend, &node(2), again(&refused, 10)).await.granted, 10);
    let row = &rows(&backend, false).await[0];
    assert_eq!((row.granted, row.returned, row.charged, row.outstanding), (110, 25, 85, 10));
}

#[tokio::test]
async fn a_month_that_ends_takes_its_leases_with_it_and_the_next_has_all_its_units() {
    let mut backend = with_quota().await;
    let january = settle(&backend, &node(1), ask(1, 1, 100)).await;
    backend.clock.advance(18 * DAY - Duration::from_millis(1));
    assert_eq!(settle(&backend, &node(2), ask(1, 1, 1)).await.window, january.window);
    backend.clock.advance(Duration::from_millis(1));
    restart(&mut backend).await;
    let late = settle(&backend, &node(1), LeaseAsk { returned: 50, ..again(&january, 1) }).await;
    assert_eq!((late.closed, late.granted), (true, 0));
    let february = settle(&backend, &node(1), ask(2, 1, 100)).await;
    assert_eq!((february.granted, february.window), (100, millis("2026-02-01T00:00:00Z")));
    assert_eq!(rows(&backend, false).await.len(), 1);
    let all: Vec<_> = rows(&backend, true).await.into_iter().map(|row| (row.window_start.to_string(), row.charged)).collect();
    assert_eq!(all, [("2026-01-01T00:00:00Z".to_owned(), 100), ("2026-02-01T00:00:00Z".to_owned(), 100)]);
}

/// A clock that is put back opens no window again.
#[tokio::test]
async fn the_clock_of_the_backend_brings_no_window_back() {
    let mut backend = with_quota().await;
    settle(&backend, &node(1), ask(1, 1, 100)).await;
    backend.clock.advance(18 * DAY);
    settle(&backend, &node(1), ask(2, 1, 60)).await;
    backend.store.close().await;
    backend.clock = tollgate_server::clock::FakeClock::at("2026-01-20T00:00:00Z".parse().unwrap());
    backend.store = Store::open(backend.dir.path(), Arc::new(backend.clock.clone())).await.unwrap();
    let answer = settle(&backend, &node(1), ask(3, 1, 60)).await;
    assert_eq!((answer.granted, answer.left, answer.window), (0, 40, millis("2026-02-01T00:00:00Z")));
}

#[tokio::test]
async fn days_begin_in_the_time_zone_of_the_limit() {
    let backend = with_quota().await;
    let mut tokyo = quota("monthly", 10, "day");
    tokyo["time_zone"] = json!("Asia/Tokyo");
    put(&backend, "free", &[tokyo]).await;
    let first = settle(&backend, &node(1), ask(1, 1, 10)).await;
    assert_eq!((first.granted, first.window, first.full_in_ms), (10, millis("2026-01-13T15:00:00Z"), 15 * 3_600_000));
    backend.clock.advance(Duration::from_secs(15 * 3_600));
    let second = settle(&backend, &node(1), ask(2, 1, 10)).await;
    assert_eq!((second.granted, second.window), (10, millis("2026-01-14T15:00:00Z")));
    // Another zone acts from the end of the window in force.
    put(&backend, "free", &[quota("monthly", 10, "day")]).await;
    assert_eq!(settle(&backend, &node(1), ask(3, 1, 1)).await.window, second.window);
    backend.clock.advance(DAY);
    let third = settle(&backend, &node(1), ask(4, 1, 1)).await;
    assert_eq!((third.window, third.full_in_ms), (millis("2026-01-15T15:00:00Z"), 9 * 3_600_000));
}

#[tokio::test]
async fn a_tier_of_an_unknown_time_zone_is_refused_with_its_place() {
    let backend = with_quota().await;
    let limits =
        json!([quota("daily", 1, "day"), {"name": "monthly", "algorithm": "quota", "rate": 1, "per": "month", "time_zone": "Europe/Bonn"}]);
    let body: TierBody = serde_json::from_value(json!({"limits": limits})).unwrap();
    assert_eq!(wrong(committed!(backend, |write| tiers::put(write, &backend.admin, "free", None, body))), ["limits[1].time_zone"]);
}

#[tokio::test]
async fn a_rate_over_all_nodes_is_leased_from_one_account_and_begins_anew_with_the_backend() {
    let mut backend = with_quota().await;
    let all = json!({"name": "all", "algorithm": "token_bucket", "rate": 10, "per": "1s", "burst": 50, "scope": "global"});
    put(&backend, "free", &[quota("monthly", 1_000, "month"), all.clone()]).await;
    let of = |lease, number, need| LeaseAsk { limit: "all".to_owned(), ..ask(lease, number, need) };
    let first = settle(&backend, &node(1), of(1, 1, 30)).await;
    assert_eq!((first.granted, first.limit, first.left, first.expires_in_ms), (30, 50, 20, 2_000));
    assert_eq!(settle(&backend, &node(2), of(1, 1, 30)).await.granted, 0);
    assert_eq!(settle(&backend, &node(1), of(1, 1, 30)).await.granted, 30, "the same answer");
    backend.clock.advance(Duration::from_secs(1));
    let again = LeaseAsk { window: first.window, ..of(1, 2, 30) };
    assert_eq!(settle(&backend, &node(2), LeaseAsk { lease: 2, number: 1, ..again.clone() }).await.granted, 30);
    assert_eq!(settle(&backend, &node(1), ask(2, 1, 30)).await.granted, 30, "a quota beside it");
    let listed = rows(&backend, false).await;
    assert_eq!(listed.iter().map(|row| row.limit.as_str()).collect::<Vec<_>>(), ["monthly"], "a rate has no row");
    // A rate that is raised is so at once, and one that is gone grants nothing.
    put(&backend, "free", &[json!({"name": "all", "algorithm": "token_bucket", "rate": 10, "per": "1s", "burst": 90, "scope": "global"})])
        .await;
    assert_eq!(settle(&backend, &node(3), of(1, 1, 40)).await.granted, 40);
    restart(&mut backend).await;
    assert!(settle(&backend, &node(1), again).await.closed, "of an account that is no more");
    assert_eq!(settle(&backend, &node(1), of(3, 1, 90)).await.granted, 90);
    put(&backend, "free", &[quota("monthly", 1_000, "month")]).await;
    assert!(settle(&backend, &node(1), of(4, 1, 1)).await.closed);
}

#[tokio::test]
async fn an_upgrade_raises_the_limit_at_once() {
    let backend = with_quota().await;
    let first = settle(&backend, &node(1), ask(1, 1, 100)).await;
    assert_eq!(settle(&backend, &node(1), again(&first, 1)).await.granted, 0);
    put(&backend, "pro", &[quota("monthly", 1_000, "month")]).await;
    patch(&backend, ConsumerPatch { tier: Some("pro".to_owned()), ..Default::default() }).await;
    let raised = settle(&backend, &node(1), LeaseAsk { number: 3, ..again(&first, 200) }).await;
    assert_eq!((raised.granted, raised.limit, raised.left), (200, 1_000, 700));
    // So is a tier that is put.
    put(&backend, "pro", &[quota("monthly", 5_000, "month")]).await;
    assert_eq!(settle(&backend, &node(2), ask(1, 1, 100)).await.limit, 5_000);
}

#[tokio::test]
async fn a_downgrade_in_mid_window_grants_nothing_until_enough_has_come_back() {
    let mut backend = with_quota().await;
    let first = settle(&backend, &node(1), ask(1, 1, 80)).await;
    put(&backend, "free", &[quota("monthly", 50, "month")]).await;
    let refused = settle(&backend, &node(2), ask(1, 1, 1)).await;
    assert_eq!((refused.granted, refused.left, refused.limit), (0, 0, 50));
    restart(&mut backend).await;
    let second = settle(&backend, &node(1), LeaseAsk { returned: 30, ..again(&first, 0) }).await;
    assert_eq!((second.left, settle(&backend, &node(2), again(&refused, 1)).await.granted), (0, 0));
    settle(&backend, &node(1), LeaseAsk { returned: 35, ..again(&second, 0) }).await;
    let granted = settle(&backend, &node(2), LeaseAsk { number: 3, ..again(&refused, 5) }).await;
    assert_eq!((granted.granted, granted.left), (5, 0));
}

#[tokio::test]
async fn an_override_is_in_force_at_the_next_ask_and_nodes_are_told() {
    let backend = with_quota().await;
    let first = settle(&backend, &node(1), ask(1, 1, 100)).await;
    let before = backend.revision().await;
    override_(&backend, Some(300)).await;
    let told = backend.changes(before).await.changes;
    assert_eq!(told[0].consumer.as_ref().map(|consumer| consumer.id.as_str()), Some("acme"));
    let freed = Recall { consumer: "acme".to_owned(), limit: "monthly".to_owned(), freed: true };
    assert_eq!(told[1].recall, Some(freed), "who was told that all is spent asks again");
    let raised = settle(&backend, &node(1), again(&first, 100)).await;
    assert_eq!((raised.granted, raised.limit, raised.left), (100, 300, 100));
    override_(&backend, None).await;
    let back = settle(&backend, &node(1), again(&raised, 1)).await;
    assert_eq!((back.granted, back.limit, back.left), (0, 100, 0));
    let actions: Vec<String> =
        sqlx::query_scalar("SELECT action FROM events WHERE subject = 'acme' ORDER BY seq").fetch_all(&backend.raw().await).await.unwrap();
    assert_eq!(actions, ["consumers:create", "consumers:update", "consumers:update"]);
}

#[tokio::test]
async fn overrides_that_cannot_be_are_refused() {
    let backend = with_quota().await;
    for (name, units) in [("monthly", 0), ("monthly", 1 << 53), ("Monthly", 1), ("", 1)] {
        let overrides = Some([(name.to_owned(), units)].into_iter().collect());
        let patch = ConsumerPatch { overrides, ..Default::default() };
        let refused = committed!(backend, |write| consumers::update(write, &backend.admin, "acme", None, patch));
        assert_eq!(wrong(refused), [format!("overrides.{name}")]);
    }
}

#[tokio::test]
async fn nothing_is_granted_of_what_a_consumer_does_not_have() {
    let backend = with_quota().await;
    let rate = json!({"name": "node", "algorithm": "token_bucket", "rate": 5, "per": "1s"});
    put(&backend, "free", &[quota("monthly", 100, "month"), rate]).await;
    for (consumer, limit) in [("acme", "daily"), ("acme", "node"), ("nobody", "monthly"), ("a b", "monthly")] {
        let asked = LeaseAsk { consumer: consumer.to_owned(), limit: limit.to_owned(), ..ask(7, 1, 1) };
        let answer = settle(&backend, &node(1), asked).await;
        assert_eq!(answer, LeaseAnswer { lease: 7, number: 1, closed: true, ..LeaseAnswer::default() }, "{consumer} {limit}");
    }
    assert!(rows(&backend, true).await.is_empty());
    // One that is made after it was asked for is there at once.
    backend.consumer("nobody").await;
    assert_eq!(settle(&backend, &node(1), LeaseAsk { consumer: "nobody".to_owned(), ..ask(8, 1, 5) }).await.granted, 5);
}

#[tokio::test]
async fn a_disabled_consumer_is_granted_nothing_and_what_it_returns_is_there_when_it_is_enabled() {
    let backend = with_quota().await;
    let disable = |disabled| ConsumerPatch { disabled: Some(disabled), ..Default::default() };
    let first = settle(&backend, &node(1), ask(1, 1, 100)).await;
    patch(&backend, disable(true)).await;
    let repeated = settle(&backend, &node(1), ask(1, 1, 100)).await;
    assert_eq!((repeated.closed, repeated.granted), (true, 0));
    let closed = settle(&backend, &node(1), LeaseAsk { returned: 40, ..again(&first, 5) }).await;
    assert_eq!((closed.closed, closed.granted), (true, 0));
    assert!(settle(&backend, &node(2), ask(1, 1, 1)).await.closed);
    patch(&backend, disable(false)).await;
    assert!(settle(&backend, &node(1), LeaseAsk { number: 3, ..again(&first, 5) }).await.closed, "the lease is over");
    assert_eq!(settle(&backend, &node(2), ask(2, 1, 40)).await.granted, 40);
    committed!(backend, |write| consumers::delete(write, &backend.admin, "acme", None)).unwrap();
    assert!(settle(&backend, &node(2), ask(3, 1, 1)).await.closed);
}

#[tokio::test]
async fn an_incarnation_has_only_its_own_leases() {
    let backend = with_quota().await;
    let first = settle(&backend, &node(1), ask(1, 1, 50)).await;
    // Another one's number 1 is another lease; and what it never had it cannot return.
    let other = settle(&backend, &node(2), LeaseAsk { returned: 50, ..again(&first, 1) }).await;
    assert_eq!((other.closed, other.granted, charged(&backend).await), (true, 0, 50));
}

#[tokio::test]
async fn what_no_node_asks_is_refused_with_its_place() {
    let backend = with_quota().await;
    let refused = async |ask: LeaseAsk| wrong(ledger::settle(&backend.store, &node(1), &Settle { asks: vec![ask] }).await);
    let largest = 1_u64 << 53;
    assert_eq!(refused(LeaseAsk { consumer: String::new(), ..ask(1, 1, 1) }).await, ["asks[0].consumer"]);
    assert_eq!(refused(LeaseAsk { consumer: "x".repeat(129), ..ask(1, 1, 1) }).await, ["asks[0].consumer"]);
    assert_eq!(refused(LeaseAsk { limit: "x".repeat(129), ..ask(1, 1, 1) }).await, ["asks[0].limit"]);
    assert_eq!(refused(ask(1, 0, 1)).await, ["asks[0].number"]);
    assert_eq!(refused(ask(largest + 1, largest + 1, 1)).await, ["asks[0].lease", "asks[0].number"]);
    let all = LeaseAsk { window: u64::MAX, returned: u64::MAX, demand: u64::MAX, own: u64::MAX, ..ask(1, 1, u64::MAX) };
    assert_eq!(refused(all).await, ["window", "returned", "need", "waiting", "demand", "own"].map(|name| format!("asks[0].{name}")));
    let many = Settle { asks: vec![ask(1, 1, 1); MOST_ASKS + 1] };
    assert_eq!(wrong(ledger::settle(&backend.store, &node(1), &many).await), ["asks"]);
    let most = Settle { asks: many.asks[..MOST_ASKS].to_vec() };
    assert_eq!(ledger::settle(&backend.store, &node(1), &most).await.unwrap().answers.len(), MOST_ASKS);
    let extreme = LeaseAsk { demand: largest, own: largest, ..ask(largest, 1, largest) };
    assert_eq!(settle(&backend, &node(1), extreme).await.granted, 0);
}

/// Whoever asks at the same time gets a fair share: the first takes not all.
#[tokio::test]
async fn a_node_that_expects_much_leaves_half_to_each_of_the_others() {
    let backend = with_quota().await;
    let greedy = |lease| LeaseAsk { demand: 1_000_000_000, ..ask(lease, 1, 1) };
    let mut granted = Vec::new();
    for number in 1..=4 {
        granted.push(settle(&backend, &node(number), greedy(1)).await.granted);
    }
    // Half of what is free, by how many want from it.
    assert_eq!(granted, [50, 12, 6, 4]);
    // Those that are not heard of for long count no more.
    backend.clock.advance(Duration::from_secs(700));
    assert_eq!(settle(&backend, &node(5), greedy(1)).await.granted, 14);
}
