//! A node whose answers, tokens and shared data are not what they should be.

use super::*;

#[test]
fn a_change_is_heard_though_the_reports_cannot_be_kept() {
    let mut world = World::new(2, &json!({}));
    world.backend.issue("k", known("acme", tier("many", 1_000)));
    (0..2).for_each(|worker| assert_eq!(world.settle(worker, "k"), admitted("acme")));
    world.pass(SECOND);
    world.node.spoil("/report/4", b"?");
    // Each worker has something to tell, and cannot.
    world.backend.issue("l", known("other", tier("many", 1_000)));
    (0..2).for_each(|worker| assert_eq!(world.settle(worker, "l"), admitted("other")));
    world.backend.revoke("k");
    world.deliver();
    world.pass(50 * MS);
    (0..2).for_each(|worker| assert_eq!(world.ask(worker, "k"), Got::Denied(Reason::InvalidKey)));
}

#[test]
fn the_incarnation_says_nothing_of_the_key_that_hides_where_limits_are_kept() {
    let mut world = World::new(1, &json!({}));
    world.backend.issue("k", known("acme", tier("many", 1_000)));
    world.settle(0, "k");
    let (told, secret) = (world.backend.hellos[0].incarnation_secret.clone(), world.node.value("/node"));
    assert_eq!((told.len(), secret.len()), (32, 16));
    assert_ne!(told, crate::backend::hex(&secret));
}

#[test]
fn a_token_that_cannot_be_read_is_replaced() {
    for spoiled in [&b"?"[..], b"", b"12345678"] {
        let mut world = World::new(2, &json!({}));
        world.backend.issue("k", known("acme", tier("many", 1_000)));
        world.node.spoil("/token", spoiled);
        world.pass(300 * MS);
        (0..2).for_each(|worker| assert_eq!(world.settle(worker, "k"), admitted("acme")));
        assert_eq!(world.backend.hellos.len(), 2);
    }
    let mut world = World::new(1, &json!({}));
    world.node.spoil("/token", &[[u8::MAX; 16].as_slice(), b"a\r\nx-consumer-id: acme"].concat());
    world.pass(300 * MS);
    assert_eq!(world.backend.hellos.len(), 2, "it would have been text of a header");
}

#[test]
fn a_token_that_one_worker_finds_refused_is_replaced_for_all() {
    let mut world = World::new(2, &json!({"max_staleness": "60s"}));
    world.backend.issue("k", known("acme", tier("many", 1_000)));
    let follower = 1 - world.held[0].0;
    world.pass(SECOND);
    // The listener hears nothing of it: the backend still holds its poll.
    world.backend.token += 1;
    let (polls, calls) = (std::mem::take(&mut world.held), world.backend.hellos.len());
    assert_eq!(world.ask(follower, "k"), Got::Waits);
    assert_eq!(world.pass(200 * MS).pop().unwrap().2, admitted("acme"));
    assert_eq!((polls.len(), world.backend.hellos.len()), (1, calls + 1));
}

#[test]
fn a_late_refusal_of_an_old_token_leaves_the_new_one_alone() {
    let mut world = World::new(1, &json!({}));
    for key in ["k", "l"] {
        world.backend.issue(key, known(key, tier("many", 1_000)));
    }
    world.backend.token += 1;
    let (Got::Waits, Got::Waits) = (world.ask(0, "k"), world.ask(0, "l")) else { panic!("nothing to ask") };
    let mut late = world.workers[0].take_calls();
    let soon = late.pop().unwrap();
    let mut woken = Vec::new();
    world.heard(0, soon.purpose, Answer::Whole(401, b""), &mut woken);
    woken.extend(world.pass(300 * MS));
    assert_eq!((woken.len(), world.backend.hellos.len()), (1, 2));
    world.heard(0, late.pop().unwrap().purpose, Answer::Whole(401, b""), &mut woken);
    woken.extend(world.deliver());
    assert_eq!((woken.len(), world.backend.hellos.len()), (2, 2), "asked again at once, with the token there is");
}

#[test]
fn refused_tokens_are_no_sign_of_a_dead_backend() {
    let mut world = World::new(1, &json!({}));
    world.backend.token += 1;
    let asked: Vec<Got> = (0..5).map(|number| world.ask(0, &format!("k{number}"))).collect();
    assert_eq!(asked, vec![Got::Waits; 5]);
    world.deliver();
    assert_eq!(world.ask(0, "k9"), Got::Waits);
}

#[test]
fn a_backend_whose_answers_stay_too_old_is_not_asked_without_a_pause() {
    let mut world = World::new(1, &json!({}));
    world.backend.issue("k", known("acme", tier("many", 1_000)));
    world.backend.revision = 3;
    assert_eq!(world.ask(0, "k"), Got::Waits);
    let woken = world.pass_without_polls(SECOND);
    assert_eq!(woken, [Got::Denied(Reason::Unavailable)]);
    assert!((10..=25).contains(&world.backend.resolves.len()), "{}", world.backend.resolves.len());
}

#[test]
fn an_answer_of_a_history_that_was_replaced_is_asked_for_again() {
    let mut world = World::new(1, &json!({}));
    world.backend.revision = 1_000;
    world.pass(400 * MS);
    world.backend.issue("k", known("acme", tier("many", 1_000)));
    assert_eq!(world.ask(0, "k"), Got::Waits);
    let call = world.workers[0].take_calls().pop().unwrap();
    let (status, body) = world.backend.answer(&call, false).unwrap();
    // A backup from before that key is restored, and the node hears of it before it gets the answer.
    world.backend.keys.clear();
    world.backend.revision = 20;
    world.pass(400 * MS);
    world.heard(0, call.purpose, Answer::Whole(status, &body), &mut Vec::new());
    assert_eq!(world.deliver().pop().unwrap().2, Got::Denied(Reason::InvalidKey));
}

#[test]
fn an_answer_with_a_tier_that_has_changed_meanwhile_is_asked_for_again() {
    let mut world = World::new(1, &json!({}));
    world.backend.issue("k", known("acme", tier("few", 5)));
    assert_eq!(world.ask(0, "k"), Got::Waits);
    let call = world.workers[0].take_calls().pop().unwrap();
    let (status, body) = world.backend.answer(&call, false).unwrap();
    world.backend.issue("k", known("acme", tier("few", 1)));
    world.backend.publish(Change { tier: Some(tier("few", 1)), ..Change::default() });
    world.pass(50 * MS);
    world.heard(0, call.purpose, Answer::Whole(status, &body), &mut Vec::new());
    assert_eq!(world.deliver().pop().unwrap().2, admitted("acme"));
    assert_eq!(world.ask(0, "k"), Got::Denied(Reason::RateLimited));
}

#[test]
fn a_key_whose_end_was_put_off_at_the_last_moment_passes_again() {
    let mut world = World::new(1, &json!({}));
    world.backend.issue("k", Known { expires_in_ms: Some(1_000), ..known("acme", tier("many", 1_000)) });
    assert_eq!(world.settle(0, "k"), admitted("acme"));
    world.now = world.now.after(SECOND);
    assert_eq!(world.ask(0, "k"), Got::Denied(Reason::InvalidKey));
    world.backend.issue("k", known("acme", tier("many", 1_000)));
    world.backend.publish(Change { credential: Some(CredentialChange { id: "acme-key".to_owned(), gone: false }), ..Change::default() });
    world.pass(10 * SECOND);
    assert_eq!(world.settle(0, "k"), admitted("acme"));
}

#[test]
fn an_address_pays_nothing_where_the_node_may_not_ask() {
    let mut world = World::new(1, &json!({"unknown_per_node": 1, "unknown_per_address": 10}));
    let asked: Vec<Got> = (0..50).map(|number| world.settle(0, &format!("k{number}"))).collect();
    assert_eq!(asked[0], Got::Denied(Reason::InvalidKey));
    assert_eq!(asked[1..], vec![Got::Denied(Reason::Unavailable); 49]);
}

#[test]
fn guesses_leave_room_for_issued_keys() {
    let mut world = World::new(1, &json!({"resolves_in_flight": 4}));
    let guesses: Vec<Got> = (0..5).map(|number| world.ask(0, &format!("guess-{number}"))).collect();
    assert_eq!(guesses.iter().filter(|got| **got == Got::Waits).count(), 3);
    let issuer = IssuerKey::new(1, "foil", Secret::new(ISSUER.as_bytes().to_vec())).unwrap();
    let issued = [1, 2].map(|number| issuer.issue(&mut |bytes: &mut [u8]| bytes.fill(number)));
    assert_eq!(issued.map(|key| world.ask(0, &key)), [Got::Waits, Got::Denied(Reason::Unavailable)]);
}

#[test]
fn guesses_use_up_nothing_of_what_issued_keys_need() {
    let mut world = World::new(1, &json!({"unknown_per_node": 3, "unknown_per_address": 100}));
    let asked = |got: &Got| *got == Got::Denied(Reason::InvalidKey);
    let guesses: Vec<Got> = (0..20).map(|number| world.settle(0, &format!("guess-{number}"))).collect();
    assert_eq!(guesses.iter().filter(|got| asked(got)).count(), 3, "{guesses:?}");
    let issuer = IssuerKey::new(1, "foil", Secret::new(ISSUER.as_bytes().to_vec())).unwrap();
    for number in 0..20 {
        let issued = issuer.issue(&mut |bytes: &mut [u8]| bytes.fill(number));
        assert!(asked(&world.settle(0, &issued)), "{number}");
    }
}

#[test]
fn a_change_that_says_two_things_makes_the_node_forget() {
    let mut world = World::new(1, &json!({}));
    world.backend.issue("k", known("acme", tier("many", 1_000)));
    assert_eq!(world.settle(0, "k"), admitted("acme"));
    let (credential, consumer) =
        (CredentialChange { id: "x".to_owned(), gone: true }, ConsumerChange { id: "acme".to_owned(), tier: None });
    world.backend.publish(Change { credential: Some(credential), consumer: Some(consumer), ..Change::default() });
    world.backend.keys.clear();
    world.pass(100 * MS);
    assert_eq!(world.settle(0, "k"), Got::Denied(Reason::InvalidKey));
}

#[test]
fn an_answer_that_nobody_waits_for_says_nothing() {
    let mut world = World::new(1, &json!({}));
    world.backend.issue("k", known("acme", tier("many", 1_000)));
    assert_eq!(world.ask(0, "k"), Got::Waits);
    let call = world.workers[0].take_calls().pop().unwrap();
    let (status, body) = world.backend.answer(&call, false).unwrap();
    world.pass(2_500 * MS);
    assert_eq!(world.ask(0, "k"), Got::Waits);
    let mut woken = Vec::new();
    world.heard(0, call.purpose, Answer::Whole(status, &body), &mut woken);
    world.heard(0, call.purpose, Answer::Broken, &mut woken);
    assert_eq!(woken, [], "the next answer is on its way");
    assert_eq!(world.deliver().pop().unwrap().2, admitted("acme"));
}
