//! Limits of single credentials: they hold beside those of the consumer's tier, and a request spends from all of them or from none.

use tollgate_core::wire::Recall;

use super::ledger::metered;
use super::*;

const ACCOUNT: &str = "acme/acme-key";

fn limits(list: &serde_json::Value) -> document::Tier {
    serde_json::from_value(json!({"name": "key-1", "limits": list})).unwrap()
}

fn credits() -> document::Tier {
    limits(&json!([{"name": "credits", "algorithm": "quota", "rate": 7, "per": "lifetime"}]))
}

/// The key `k` of `acme` with limits of its own, and `free` without any, of the same consumer.
fn world(tier: &document::Tier, limits: document::Tier) -> World {
    let mut world = World::new(1, &json!({}));
    world.backend.issue("k", Known { own: Some(limits), account: Some(ACCOUNT.to_owned()), ..known("acme", tier.clone()) });
    world.backend.issue("free", Known { credential: "other-key".to_owned(), ..known("acme", tier.clone()) });
    world
}

#[test]
fn what_a_key_s_own_limit_refuses_is_not_charged_to_its_consumer() {
    let rate = limits(&json!([{"name": "key", "algorithm": "sliding_window", "rate": 2, "per": "60s"}]));
    let mut world = world(&tier("three", 3), rate);
    let got: Vec<Got> = (0..5).map(|_| world.settle(0, "k")).collect();
    assert_eq!(got[..2], [admitted("acme"), admitted("acme")]);
    assert_eq!(got[2..], vec![Got::Denied(Reason::RateLimited); 3]);
    assert_eq!(world.settle(0, "free"), admitted("acme"), "one of three is left to the others");
    assert_eq!(world.settle(0, "free"), Got::Denied(Reason::RateLimited));
}

#[test]
fn what_the_consumer_s_limit_refuses_is_not_charged_to_the_key() {
    let rate = limits(&json!([{"name": "key", "algorithm": "sliding_window", "rate": 2, "per": "1d"}]));
    let mut world = world(&tier("one", 1), rate);
    assert_eq!(world.settle(0, "k"), admitted("acme"));
    assert_eq!([(); 3].map(|()| world.settle(0, "k")), [(); 3].map(|()| Got::Denied(Reason::RateLimited)));
    world.pass(62 * SECOND);
    assert_eq!(world.settle(0, "k"), admitted("acme"), "the second of two");
    world.pass(62 * SECOND);
    assert_eq!(world.settle(0, "k"), Got::Denied(Reason::RateLimited));
}

#[test]
fn what_an_answer_is_not_charged_comes_back_to_the_key_and_to_its_consumer() {
    let rate = limits(&json!([{"name": "key", "algorithm": "sliding_window", "rate": 2, "per": "1d"}]));
    let mut world = world(&tier("two", 2), rate);
    assert_eq!(world.settle(0, "k"), admitted("acme"));
    let map = map(&[(b":method", b"GET"), (b":authority", b"api"), (b":path", b"/"), (b"x-api-key", b"k")]);
    let (now, gate) = (world.now, &mut world.workers[0]);
    let head = gate.read(&map).unwrap();
    let Verdict::Admit(permit) = gate.judge(&head, Waited::default(), now, now.0 + EPOCH, &mut world.node) else { panic!() };
    let mut limited = permit.limited.unwrap();
    let remaining = |limited: &crate::admission::Limited| limited.standings[0].map(|standing| standing.remaining);
    assert_eq!((remaining(&limited), limited.beside.as_deref().and_then(remaining)), (Some(0), Some(0)));
    gate.give_back(&mut limited, now, &mut world.node);
    assert_eq!((remaining(&limited), limited.beside.as_deref().and_then(remaining)), (Some(1), Some(1)));
    assert_eq!(world.settle(0, "k"), admitted("acme"), "it may be spent again");
    assert_eq!(world.settle(0, "free"), Got::Denied(Reason::RateLimited));
}

#[test]
fn credits_are_leased_in_the_name_of_the_key_and_end_for_good() {
    let mut world = world(&metered(1_000), credits());
    world.backend.ledger.prepare(ACCOUNT, 3);
    assert_eq!([(); 3].map(|()| world.settle(0, "k")), [(); 3].map(|()| admitted("acme")));
    assert_eq!(world.settle(0, "k"), Got::Denied(Reason::QuotaExceeded));
    world.pass(6 * SECOND);
    assert_eq!((world.backend.ledger.account(ACCOUNT).0, world.backend.ledger.account("acme").0), (3, 3), "a refused request is free");
    assert_eq!(world.settle(0, "free"), admitted("acme"), "another key of the consumer");
}

#[test]
fn credits_that_were_added_are_spent_once_nodes_hear_of_it() {
    let mut world = world(&tier("many", 1_000), credits());
    world.backend.ledger.prepare(ACCOUNT, 0);
    assert_eq!(world.settle(0, "k"), Got::Denied(Reason::QuotaExceeded));
    let settles = world.backend.ledger.settles;
    assert_eq!(world.settle(0, "k"), Got::Denied(Reason::QuotaExceeded));
    assert_eq!(world.backend.ledger.settles, settles, "nobody is asked again about what is spent");
    world.backend.ledger.raise(ACCOUNT, 2);
    let recall = Recall { consumer: ACCOUNT.to_owned(), limit: "credits".to_owned(), freed: true };
    world.backend.publish(Change { recall: Some(recall), ..Change::default() });
    world.pass(SECOND);
    assert_eq!([(); 2].map(|()| world.settle(0, "k")), [(); 2].map(|()| admitted("acme")));
    assert_eq!(world.settle(0, "k"), Got::Denied(Reason::QuotaExceeded));
}

#[test]
fn a_key_whose_limits_cannot_be_read_passes_nobody() {
    let rate = limits(&json!([{"name": "key", "algorithm": "sliding_window", "rate": 0, "per": "60s"}]));
    let mut world = world(&tier("many", 1_000), rate);
    assert_eq!(world.settle(0, "k"), Got::Denied(Reason::Unavailable));
    assert_eq!(world.settle(0, "free"), admitted("acme"));
    world
        .backend
        .issue("nobody's", Known { credential: "third-key".to_owned(), own: Some(credits()), ..known("acme", tier("many", 1_000)) });
    assert_eq!(world.settle(0, "nobody's"), Got::Denied(Reason::Unavailable));
}

#[test]
fn a_key_and_the_one_that_replaces_it_spend_from_one_account() {
    let rate = limits(&json!([{"name": "key", "algorithm": "sliding_window", "rate": 3, "per": "60s"}]));
    let mut world = world(&tier("many", 1_000), rate.clone());
    let next = Known {
        credential: "next-key".to_owned(),
        own: Some(rate),
        account: Some(ACCOUNT.to_owned()),
        ..known("acme", tier("many", 1_000))
    };
    world.backend.issue("next", next);
    assert_eq!(["k", "next", "k"].map(|key| world.settle(0, key)), [(); 3].map(|()| admitted("acme")));
    assert_eq!(["k", "next"].map(|key| world.settle(0, key)), [(); 2].map(|()| Got::Denied(Reason::RateLimited)));
}
