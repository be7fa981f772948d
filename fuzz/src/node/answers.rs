//! Owns the target for answers: whatever comes back from a call, nobody passes of whom the backend did not say so, and a backend that comes to its
//! senses is understood again.

use bolero::{check, produce};
use serde_json::{Value, json};
use tollgate_core::verdict::Reason;
use tollgate_filter::admission::Verdict;
use tollgate_filter::backend::call::Purpose;

use super::world::{Judged, MS, Way, World};
use crate::BRIEFLY;
use crate::input::{Splice, nth, several, size};

/// Values that stand in for others in a message.
const VALUES: [&str; 24] = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "9",
    "10",
    "11",
    "12",
    "-1",
    "0.5",
    "18446744073709551615",
    "1e400",
    "[]",
    "{}",
    "\"\"",
    "\"id-0\"",
    "\"id-3\"",
    "\"c0\"",
    "\"c 0\\r\\n\"",
    "\"\u{e9}\"",
    "\"t0\"",
    "\"tollgate-node/2\"",
    "{\"name\":\"t1\",\"limits\":[{\"name\":\"m\",\"algorithm\":\"token_bucket\",\"rate\":1,\"per\":\"1d\"}]}",
];

/// What is said, to which of the calls, and how it is twisted.
type Lie = (u8, u8, u8, Vec<(u16, usize)>, Vec<Splice>);

fn message(number: u8) -> Value {
    let tier = json!({"name": "t0", "limits": [{"name": "m", "algorithm": "token_bucket", "rate": 1_000, "per": "1s"}]});
    let changes = |change: Value| json!({"wire": "tollgate-node/1", "revision": 11, "held_ms": 5, "changes": [change]});
    match number % 10 {
        0 => json!({"wire": "tollgate-node/1", "token": "token-of-another-kind", "expires_in_ms": 60_000}),
        1 => {
            let known = json!({"credential": "id-1", "scopes": ["a"], "expires_in_ms": 500, "consumer": "c1", "tier": tier});
            json!({"wire": "tollgate-node/1", "revision": 10, "known": known})
        }
        2 => json!({"wire": "tollgate-node/1", "revision": 10}),
        3 => json!({"wire": "tollgate-node/1", "revision": 10, "held_ms": 1_000}),
        4 => json!({"wire": "tollgate-node/1", "revision": 7, "held_ms": 0, "reset": true}),
        5 => changes(json!({"revision": 11, "credential": {"id": "id-0", "gone": true}})),
        6 => changes(json!({"revision": 11, "consumer": {"id": "c0", "tier": tier}})),
        7 => changes(json!({"revision": 11, "tier": tier})),
        8 => json!({"wire": "tollgate-node/1", "sequence": 1}),
        _ => json!({"wire": "tollgate-node/1", "revision": 11, "held_ms": 0, "more": true, "changes": [{"revision": 11}]}),
    }
}

fn body((_, number, _, values, changes): &Lie) -> Vec<u8> {
    let mut message = message(*number);
    for (place, value) in values {
        let mut place = usize::from(*place) % size(&message);
        // What is no JSON is put in as text is.
        *nth(&mut message, &mut place).unwrap() = serde_json::from_str(VALUES[*value]).unwrap_or_else(|_| json!(VALUES[*value]));
    }
    let mut bytes = message.to_string().into_bytes();
    changes.iter().for_each(|change| change.apply(&mut bytes));
    bytes
}

/// A node that has made a call of a kind, and knows the first key on its first worker.
fn waiting(kind: u8) -> (World, usize) {
    let mut world = World::new();
    if kind != 0 {
        world.run(6, 50 * MS);
        assert!(world.ask(0, "key-0").is_none());
        world.settle();
    }
    world.ways = [Way::Slow; 2];
    if kind == 1 {
        assert!(world.ask(0, "key-1").is_none());
    }
    let wanted = |purpose: Purpose| match purpose {
        Purpose::Hello => kind == 0,
        Purpose::Resolve { .. } => kind == 1,
        Purpose::Poll { .. } => kind == 2,
        Purpose::Report { .. } => kind == 3,
    };
    for _ in 0..40 {
        if let Some(number) = world.calls.iter().position(|out| wanted(out.call.purpose)) {
            return (world, number);
        }
        world.run(1, 50 * MS);
    }
    panic!("no call of kind {kind}");
}

fn tell(kind: u8, status: u16, body: &[u8]) {
    let (mut world, number) = waiting(kind);
    world.judged = Judged::Later;
    world.verdicts.clear();
    world.tell(number, status, body);
    world.run(1, 50 * MS);
    for worker in 0..2 {
        for key in ["key-3", "guess"] {
            world.ask(worker, key);
        }
    }
    world.ask(0, "key-0");
    let said: Option<Value> = serde_json::from_slice(body).ok().filter(|_| status == 200);
    let shown = || String::from_utf8_lossy(body);
    for (key, verdict) in std::mem::take(&mut world.verdicts) {
        match verdict {
            Verdict::Admit(permit) => {
                let identity = permit.identity.unwrap();
                let (credential, consumer) = match (key.as_str(), &said) {
                    ("key-0", _) if kind != 0 => (json!("id-0"), json!("c0")),
                    ("key-1", Some(said)) if kind == 1 && said["wire"] == "tollgate-node/1" && said["revision"].is_u64() => {
                        (said["known"]["credential"].clone(), said["known"]["consumer"].clone())
                    }
                    _ => panic!("{key} passes after {}", shown()),
                };
                assert_eq!((json!(identity.credential), json!(identity.consumer.id)), (credential, consumer));
            }
            Verdict::Deny(denial) if key == "key-0" && kind != 0 => match denial.reason {
                Reason::InvalidKey => assert!(kind == 2 && shown().contains("id-0"), "not for {}", shown()),
                reason => assert!([Reason::Unavailable, Reason::RateLimited].contains(&reason), "{reason:?}"),
            },
            Verdict::Deny(_) | Verdict::Wait(..) => {}
        }
    }
    world.check_what_is_kept();
    world.backend.comes_to_its_senses(world.now);
    world.check_agreement();
}

#[test]
fn any_answer_lets_nobody_pass_of_whom_it_does_not_speak() {
    let lies = (produce(), produce(), produce(), several((produce(), 0..VALUES.len()), 3), several(produce::<Splice>(), 3));
    check!().with_test_time(BRIEFLY).with_generator(lies).for_each(|lie: &Lie| {
        let status = [200, 200, 200, 200, 200, 401, 400, 0][usize::from(lie.2) % 8];
        tell(lie.0 % 4, status, &body(lie));
    });
}

#[test]
fn any_bytes_are_an_answer_to_any_call_or_none() {
    check!().with_test_time(BRIEFLY).with_max_len(256).for_each(|bytes: &[u8]| {
        let kind = bytes.first().map_or(0, |first| first % 4);
        tell(kind, 200, bytes);
    });
}
