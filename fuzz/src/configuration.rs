//! Owns the targets for plugin configurations: each is refused with words, or makes a gate that serves.

use std::sync::LazyLock;

use bolero::{check, produce};
use serde_json::Value;
use tollgate_core::config;
use tollgate_core::route::Target;
use tollgate_core::time::{Instant, SECOND};
use tollgate_filter::admission::{Gate, Verdict, Waited};
use tollgate_filter::reply::Replies;

use crate::BRIEFLY;
use crate::fixture::{Host, map};
use crate::input::{Splice, nth, several, size};

/// A configuration that uses every field.
const EXAMPLE: &str = include_str!("../../examples/plugin.json");
/// What every variable holds.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

static PARSED: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(EXAMPLE).unwrap());

/// Values that stand in for others: of other types, at ends of ranges, in other notations.
const VALUES: [&str; 40] = [
    "null",
    "true",
    "0",
    "-1",
    "1",
    "2",
    "8",
    "64",
    "255",
    "4194304",
    "4294967295",
    "1000000000",
    "18446744073709551615",
    "1e308",
    "0.5",
    "[]",
    "{}",
    "[{}]",
    "[\"*\"]",
    "\"\"",
    "\"*\"",
    "\"/\"",
    "\"/a/../b\"",
    "\"/{a}/{*b}\"",
    "\"/{\"",
    "\"(a*)*$\"",
    "\"a{999999}\"",
    "\"[\"",
    "\"1d\"",
    "\"1ms\"",
    "\"86401s\"",
    "\"18446744073709551615s\"",
    "\"::/0\"",
    "\"::ffff:0:0/95\"",
    "\"10.0.0.1/8\"",
    "\"5xx\"",
    "\"free\"",
    "\"default\"",
    "\"authorization\"",
    "\"\\u0000\\r\\n\u{e9}\"",
];

/// Loads a document; a gate made of it judges a few requests.
fn load(json: &[u8]) {
    let mut policy = match config::load(json, &|_: &str| Some(SECRET.to_owned())) {
        Ok(policy) => policy,
        Err(problems) => {
            assert!(!problems.0.is_empty(), "refused without a word");
            assert!(!problems.to_string().contains(SECRET), "{problems}");
            return;
        }
    };
    let anything = Target { method: b"?", authority: b"\xff", path: "*" };
    assert!(policy.route(anything).is_some(), "a request without a route");
    // A gate sets memory aside for these, for each input anew.
    policy.node.known_keys = 16;
    policy.node.unknown_keys = 16;
    let replies = Replies::new(&policy);
    let mut gate = Gate::new(policy, "node", [7; 32]);
    let mut host = Host { address: Some("10.1.2.3".parse().unwrap()), ..Host::default() };
    for (path, key) in [("/v1/search?api_key=x", "wrong"), ("/v1/reports/7", ""), ("/healthz", "a"), ("/", "")] {
        let map = map(&[
            (b":method", b"GET"),
            (b":authority", b"api.example.com"),
            (b":path", path.as_bytes()),
            (b"x-api-key", key.as_bytes()),
            (b"origin", b"https://app.example.com"),
        ]);
        let head = gate.read(&map).unwrap();
        match gate.judge(&head, Waited::default(), Instant(SECOND), SECOND, &mut host) {
            Verdict::Admit(permit) => assert!(gate.edits(&permit, &head).count() <= 8),
            Verdict::Deny(denial) => assert!(!replies.denial(gate.policy(), gate.tiers(), &head, &denial, SECOND).body.is_empty()),
            Verdict::Wait(awaited, _) => assert!(gate.wait(&awaited, 7)),
        }
    }
    gate.tick(Instant(2 * SECOND), &mut host);
}

#[test]
fn any_bytes_are_loaded_or_refused_with_words() {
    check!().with_test_time(BRIEFLY).with_max_len(256).for_each(load);
}

#[test]
fn the_example_with_other_bytes_is_loaded_or_refused_with_words() {
    check!().with_test_time(BRIEFLY).with_generator(several(produce::<Splice>(), 4)).for_each(|changes| {
        let mut document = EXAMPLE.as_bytes().to_vec();
        changes.iter().for_each(|change| change.apply(&mut document));
        load(&document);
    });
}

#[test]
fn the_example_with_other_values_is_loaded_or_refused_with_words() {
    check!().with_test_time(BRIEFLY).with_generator(several((produce::<u16>(), 0..VALUES.len()), 4)).for_each(|changes| {
        let mut document = PARSED.clone();
        for (place, value) in changes {
            let mut place = usize::from(*place) % size(&document);
            *nth(&mut document, &mut place).unwrap() = serde_json::from_str(VALUES[*value]).unwrap();
        }
        load(document.to_string().as_bytes());
    });
}
