//! What a client is told of its limits: `X-RateLimit-*` of the tightest, `RateLimit` of all.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sfv::{BareItem, List, ListEntry, Parser};
use tollgate_tests::plugin::{bucket, consumer, hourly, key, tier, window};
use tollgate_tests::{Answer, Call, Http, Setup, Shared, run};

fn plugin() -> Value {
    let mut scoped = bucket("search-only", 1, "3600s", 4);
    scoped["routes"] = json!(["search"]);
    let hourly = hourly(10);
    let tiers = [
        ("bucket", vec![hourly.clone()]),
        ("window", vec![window("per-minute", 10, "60s")]),
        ("several", vec![bucket("wide", 1, "3600s", 100), window("per-minute", 5, "60s")]),
        ("scoped", vec![scoped]),
        ("costly", vec![hourly.clone()]),
        ("errors", vec![hourly]),
        ("open", vec![]),
    ];
    let consumers: Vec<_> = tiers.iter().map(|(name, _)| consumer(name, name, &key(name))).collect();
    json!({
        "tiers": tiers.iter().map(|(name, limits)| tier(name, limits)).collect::<Vec<_>>(),
        "consumers": consumers,
        "routes": [
            {"name": "search", "match": {"prefix": "/search"}},
            {"name": "costly", "match": {"prefix": "/costly"}, "cost": 4},
        ],
        "answers": {"limit_headers": ["x-ratelimit", "ratelimit"], "reset": "epoch"},
    })
}

static GATE: Shared = Shared::new(|| Setup::new("limit-headers", &plugin()));

async fn get(path: &str, consumer: &str, http: Http) -> Answer {
    Call::get(path).bearer(&key(consumer)).send(GATE.get().await, http).await
}

fn limit_and_remaining(answer: &Answer) -> (u64, u64) {
    (answer.number("x-ratelimit-limit"), answer.number("x-ratelimit-remaining"))
}

#[allow(clippy::disallowed_methods, reason = "the reset is a time of this machine's clock, which the case compares it with")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The items of a structured list: name and integer parameters.
fn items(answer: &Answer, header: &str) -> Vec<(String, Vec<(String, i64)>)> {
    let text = answer.header(header).unwrap_or_else(|| panic!("no {header} in {answer:?}"));
    let list: List = Parser::new(text).parse().unwrap_or_else(|error| panic!("{header}: {text}: {error}"));
    let item = |entry: &ListEntry| {
        let ListEntry::Item(item) = entry else { panic!("an inner list in {text}") };
        let BareItem::String(name) = &item.bare_item else { panic!("{header} must name policies by strings: {text}") };
        let integer = |value: &BareItem| value.as_integer().map_or(-1, i64::from);
        let parameters = item.params.iter().map(|(name, value)| (name.to_string(), integer(value)));
        (name.to_string(), parameters.collect())
    };
    list.iter().map(item).collect()
}

fn parameter(parameters: &[(String, i64)], name: &str) -> i64 {
    let mut named = parameters.iter().filter(|(known, _)| known == name);
    named.next().unwrap_or_else(|| panic!("no {name} in {parameters:?}")).1
}

#[test]
fn a_bucket_shows_its_burst_what_is_left_and_when_it_is_full() {
    run(async {
        GATE.get().await;
        let started = now();
        for (spent, http) in [(1, Http::One), (2, Http::Two), (3, Http::One)] {
            let answer = get("/a", "bucket", http).await;
            answer.assert_admitted();
            assert_eq!(limit_and_remaining(&answer), (10, 10 - spent));
            // An hour for each unit after the first was spent, rounded up.
            let full = answer.number("x-ratelimit-reset") - spent * 3600;
            assert!((started..=now() + 1).contains(&full), "{full}, started at {started}");
            let policy = items(&answer, "ratelimit-policy");
            assert_eq!(policy.len(), 1);
            assert_eq!(policy[0].0, "hourly");
            assert_eq!(parameter(&policy[0].1, "q"), 10);
            let state = items(&answer, "ratelimit");
            assert_eq!(state.len(), 1);
            assert_eq!(state[0].0, "hourly");
            assert_eq!(parameter(&state[0].1, "r"), i64::try_from(10 - spent).unwrap());
        }
    });
}

#[test]
fn a_window_shows_its_rate_what_is_left_and_when_it_is_empty() {
    run(async {
        GATE.get().await;
        let started = now();
        let answer = get("/a", "window", Http::Two).await;
        assert_eq!(limit_and_remaining(&answer), (10, 9));
        let reset = answer.number("x-ratelimit-reset");
        // A unit stays up to a thirtieth of the window longer than the window.
        assert!((started + 60..=now() + 63).contains(&reset), "{reset}, started at {started}");
        let policy = items(&answer, "ratelimit-policy");
        assert_eq!(policy, [("per-minute".to_owned(), vec![("q".to_owned(), 10), ("w".to_owned(), 60)])]);
        let state = items(&answer, "ratelimit");
        assert_eq!((state.len(), &*state[0].0), (1, "per-minute"));
        assert_eq!(parameter(&state[0].1, "r"), 9);
        assert!((59..=62).contains(&parameter(&state[0].1, "t")), "{state:?}");
    });
}

#[test]
fn of_several_limits_the_tightest_is_shown_and_all_are_listed() {
    run(async {
        let answer = get("/a", "several", Http::One).await;
        assert_eq!(limit_and_remaining(&answer), (5, 4));
        let names = |header| items(&answer, header).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names("ratelimit-policy"), ["wide", "per-minute"]);
        assert_eq!(names("ratelimit"), ["wide", "per-minute"]);
        let remaining: Vec<_> = items(&answer, "ratelimit").iter().map(|(_, state)| parameter(state, "r")).collect();
        assert_eq!(remaining, [99, 4]);
    });
}

#[test]
fn a_limit_of_some_routes_shows_on_those_only() {
    run(async {
        let answer = get("/search", "scoped", Http::One).await;
        assert_eq!(limit_and_remaining(&answer), (4, 3));
        let elsewhere = get("/a", "scoped", Http::Two).await;
        elsewhere.assert_admitted();
        assert_no_limits(&elsewhere);
    });
}

fn assert_no_limits(answer: &Answer) {
    for name in answer.headers.keys() {
        assert!(!name.as_str().contains("ratelimit"), "{name}: {answer:?}");
    }
}

#[test]
fn without_a_limit_nothing_is_shown() {
    run(async {
        for http in Http::BOTH {
            let open = get("/a", "open", http).await;
            open.assert_admitted();
            assert_no_limits(&open);
            assert_no_limits(&Call::get("/a").send(GATE.get().await, http).await);
            assert_no_limits(&Call::get("/a").bearer("unknown").send(GATE.get().await, http).await);
        }
    });
}

#[test]
fn a_refusal_shows_the_limit_and_when_to_come_back() {
    run(async {
        assert_eq!(limit_and_remaining(&get("/costly", "costly", Http::One).await), (10, 6));
        assert_eq!(limit_and_remaining(&get("/costly", "costly", Http::Two).await), (10, 2));
        for http in Http::BOTH {
            let refused = get("/costly", "costly", http).await;
            refused.assert_denied(429, "rate_limited");
            assert_eq!(limit_and_remaining(&refused), (10, 2));
            // Two of four units are there; one comes each hour.
            let wait = refused.number("retry-after");
            assert!((7190..=7200).contains(&wait), "{wait}");
            assert!(refused.headers.contains_key("x-ratelimit-reset"));
            assert_eq!(items(&refused, "ratelimit").len(), 1);
            assert_eq!(items(&refused, "ratelimit-policy").len(), 1);
        }
    });
}

#[test]
fn errors_of_upstream_and_router_show_the_limits_too() {
    run(async {
        for http in Http::BOTH {
            for (path, status) in [("/status/500", 500), ("/status/404", 404), ("/dead", 503)] {
                let answer = get(path, "errors", http).await;
                assert_eq!(answer.status, status);
                assert_eq!(answer.number("x-ratelimit-limit"), 10);
                assert_eq!(items(&answer, "ratelimit").len(), 1);
            }
        }
        assert_eq!(limit_and_remaining(&get("/a", "errors", Http::One).await), (10, 3));
    });
}

#[test]
fn the_reset_has_the_configured_form() {
    run(async {
        for style in ["delta", "rfc3339"] {
            let mut plugin = plugin();
            plugin["answers"] = json!({"limit_headers": ["x-ratelimit"], "reset": style});
            let gate = Setup::new(&format!("reset-{style}"), &plugin).start().await;
            let started = now();
            let answer = Call::get("/a").bearer(&key("bucket")).send(&gate, Http::Two).await;
            assert!(answer.header("ratelimit").is_none() && answer.header("ratelimit-policy").is_none());
            let reset = answer.header("x-ratelimit-reset").unwrap().to_owned();
            if style == "delta" {
                assert!((3599..=3600).contains(&reset.parse::<u64>().unwrap()), "{reset}");
            } else {
                let seconds = seconds_of(&reset);
                assert!((started + 3600..=now() + 3601).contains(&seconds), "{reset}");
            }
        }
    });
}

#[test]
fn without_tiers_of_its_own_a_configuration_has_the_shipped_ones() {
    run(async {
        let shipped = [("free", Some("100")), ("basic", Some("500")), ("pro", Some("1000")), ("enterprise", None)];
        let consumers: Vec<_> = shipped.iter().map(|(tier, _)| consumer(tier, tier, &key(tier))).collect();
        let gate = Setup::new("default-tiers", &json!({"consumers": consumers})).start().await;
        for (tier, rate) in shipped {
            let answer = Call::get("/a").bearer(&key(tier)).send(&gate, Http::One).await;
            answer.assert_admitted();
            assert_eq!(answer.header("x-ratelimit-limit"), rate, "{tier}");
        }
    });
}

/// Seconds since 1970 of `YYYY-MM-DDThh:mm:ssZ`, by the civil-from-days arithmetic read backwards.
fn seconds_of(text: &str) -> u64 {
    let number = |range: std::ops::Range<usize>| text[range].parse::<u64>().unwrap_or_else(|_| panic!("{text}"));
    assert!(text.len() == 20 && text.ends_with('Z') && text[10..11] == *"T", "{text}");
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    days * 86_400 + number(11..13) * 3600 + number(14..16) * 60 + number(17..19)
}
