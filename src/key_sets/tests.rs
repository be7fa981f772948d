use serde_json::json;
use tollgate_core::config;

use super::*;
use crate::shared::{Memory, Version};

const MS: u64 = 1_000_000;

/// A node of several workers, and the issuer that publishes its keys.
struct World {
    workers: Vec<KeySets>,
    counters: Counters,
    shared: Memory,
    /// What the issuer answers.
    published: (u16, String),
    /// Fetches that have no answer yet, and how many there were.
    under_way: Vec<(usize, Instant)>,
    fetches: usize,
    silent: bool,
    now: Instant,
}

fn set(ids: &[&str]) -> String {
    let key = |id: &&str| json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": id});
    json!({"keys": ids.iter().map(key).collect::<Vec<_>>()}).to_string()
}

impl World {
    fn new(workers: usize) -> Self {
        let remote = json!({"cluster": "login", "path": "/keys", "timeout": "2s", "pause": "5s", "refresh": "10m", "max_staleness": "1h"});
        let issuer = json!({"issuer": "i", "audiences": [], "keys": {"remote": remote}, "tier": {"default": "free"}});
        let document = json!({"tokens": {"issuers": [issuer]}}).to_string();
        let policy = config::load(document.as_bytes(), &|_: &str| None).unwrap();
        Self {
            workers: (0..workers).map(|_| KeySets::new(&policy)).collect(),
            counters: Counters::default(),
            shared: Memory::default(),
            published: (200, set(&["1"])),
            under_way: Vec::new(),
            fetches: 0,
            silent: false,
            now: Instant(100 * SECOND),
        }
    }

    /// Lets the workers' calls be answered; the requests that were woken.
    fn deliver(&mut self) -> Vec<u32> {
        for (worker, sets) in self.workers.iter_mut().enumerate() {
            for call in sets.take_calls() {
                let Purpose::KeySet { issuer: 0, sent } = call.purpose else { panic!("{:?}", call.purpose) };
                assert_eq!((call.method, call.path.as_str(), call.authorization.as_str()), ("GET", "/keys", ""));
                self.under_way.push((worker, sent));
                self.fetches += 1;
            }
        }
        if self.silent {
            return Vec::new();
        }
        let mut woken = Vec::new();
        for (worker, sent) in std::mem::take(&mut self.under_way) {
            let answer = Answer::Whole(self.published.0, self.published.1.as_bytes());
            let heard = self.workers[worker].heard(0, sent, answer, self.now, &mut self.shared, &mut self.counters);
            woken.extend(heard.0);
        }
        woken
    }

    /// Lets time pass, tick by tick.
    fn pass(&mut self, nanos: u64) -> Vec<u32> {
        let end = self.now.after(nanos);
        let mut woken = Vec::new();
        while self.now < end {
            self.now = self.now.after(50 * MS).min(end);
            for sets in &mut self.workers {
                let (own, done) = sets.tick(self.now, &mut self.shared, &mut self.counters);
                assert_eq!(done, Ok(()));
                woken.extend(own);
            }
            woken.extend(self.deliver());
        }
        woken
    }

    fn want(&mut self, worker: usize, id: &str) -> Prospect {
        self.want_by(worker, &Wish::Key(id.to_owned()))
    }

    fn want_by(&mut self, worker: usize, wish: &Wish) -> Prospect {
        self.workers[worker].want(0, wish, None, self.now, &mut self.shared, &mut self.counters)
    }

    /// A request that wants a key waits for it.
    fn wait(&mut self, worker: usize, id: &str, stream: u32) {
        assert!(self.workers[worker].wait(0, Wish::Key(id.to_owned()), stream, self.now));
    }

    fn names(&self, id: &str) -> Vec<bool> {
        self.workers.iter().map(|sets| sets.get(0, self.now).is_some_and(|(set, _)| set.names(id))).collect()
    }
}

#[test]
fn one_worker_fetches_for_all() {
    let mut world = World::new(4);
    assert_eq!(world.names("1"), [false; 4]);
    world.pass(150 * MS);
    assert_eq!((world.names("1"), world.fetches), (vec![true; 4], 1));
    world.pass(599 * SECOND);
    assert_eq!(world.fetches, 1);
    world.pass(2 * SECOND);
    assert_eq!(world.fetches, 2, "they are due again");
    assert_eq!(world.counters.get(Counter::KeySetChanged), 4, "the same set is no other one");
}

#[test]
fn an_unknown_key_is_fetched_at_once_and_wakes_who_waits_for_it() {
    let mut world = World::new(2);
    world.pass(10 * SECOND);
    world.published.1 = set(&["1", "2"]);
    assert_eq!(world.want(0, "2"), Prospect::Coming);
    world.wait(0, "2", 7);
    assert_eq!(world.want(1, "2"), Prospect::Coming, "it is under way");
    world.wait(1, "2", 8);
    assert_eq!(world.deliver(), [7]);
    assert_eq!(world.pass(50 * MS), [8]);
    assert_eq!((world.names("2"), world.fetches), (vec![true; 2], 2));
}

#[test]
fn what_another_worker_has_fetched_is_there_before_the_tick() {
    let mut world = World::new(2);
    assert_eq!(world.want_by(0, &Wish::Any), Prospect::Coming);
    world.deliver();
    assert_eq!(world.want_by(1, &Wish::Any), Prospect::There);
    world.pass(10 * SECOND);
    let number = world.workers[1].number(0, world.now).unwrap();
    world.published.1 = set(&["1", "2"]);
    assert_eq!(world.want(0, "2"), Prospect::Coming);
    world.deliver();
    assert_eq!(world.want(1, "3"), Prospect::Later(5 * SECOND), "it is not in the newer set either");
    assert_eq!(world.want(1, "2"), Prospect::There);
    assert_eq!(world.want_by(1, &Wish::Other(number)), Prospect::There);
    assert_eq!((world.names("2"), world.fetches), (vec![true; 2], 2));
}

#[test]
fn whoever_waited_for_something_else_waits_no_longer_in_all_than_the_timeout() {
    let mut world = World::new(1);
    let since = world.now;
    let mut after = |waited: u64| {
        world.now = since.after(waited);
        world.workers[0].want(0, &Wish::Any, Some(since), world.now, &mut world.shared, &mut world.counters)
    };
    assert_eq!(after(MS), Prospect::Coming);
    assert_eq!(after(2 * SECOND - 1), Prospect::Coming);
    assert_eq!(after(2 * SECOND), Prospect::Later(0));
}

#[test]
fn who_waits_for_keys_is_not_woken_by_those_that_are_trusted_no_longer() {
    let mut world = World::new(1);
    world.pass(SECOND);
    world.published.0 = 503;
    world.pass(3_700 * SECOND);
    world.published.0 = 200;
    while let Prospect::Later(wait) = world.want_by(0, &Wish::Any) {
        world.now = world.now.after(wait);
    }
    assert!(world.workers[0].wait(0, Wish::Any, 7, world.now));
    let (woken, done) = world.workers[0].tick(world.now, &mut world.shared, &mut world.counters);
    assert_eq!((woken, done), (vec![], Ok(())));
    assert_eq!(world.deliver(), [7]);
    assert_eq!(world.names("1"), [true]);
}

#[test]
fn a_key_that_a_fetch_did_not_bring_is_missing_for_who_waited_for_that_fetch_and_for_nobody_else() {
    let mut world = World::new(2);
    world.pass(10 * SECOND);
    let since = world.now;
    assert_eq!(world.want(0, "2"), Prospect::Coming);
    world.wait(0, "2", 7);
    world.now = world.now.after(100 * MS);
    assert_eq!(world.deliver(), [7]);
    let mut after = |worker: usize, since| {
        let wish = Wish::Key("2".to_owned());
        world.workers[worker].want(0, &wish, Some(since), world.now, &mut world.shared, &mut world.counters)
    };
    assert_eq!((after(0, since), after(1, since)), (Prospect::Missing, Prospect::Missing));
    assert_eq!(after(0, since.after(1)), Prospect::Later(4_900 * MS), "who came later may have it of a newer set");
    world.published.1 = set(&["1", "2"]);
    world.pass(4_950 * MS);
    assert_eq!((world.names("2"), world.fetches), (vec![true; 2], 3));
}

#[test]
fn however_many_keys_are_unknown_there_is_a_pause_between_fetches() {
    let mut world = World::new(2);
    world.pass(10 * SECOND);
    for number in 0..600_usize {
        let prospect = world.want(number % 2, &format!("forged-{number}"));
        assert!(prospect != Prospect::Missing, "nobody has looked for that one");
        if let Prospect::Later(wait) = prospect {
            assert!(wait <= 5 * SECOND);
        }
        world.pass(100 * MS);
    }
    assert!((12..=14).contains(&world.fetches), "{} fetches in 70 s", world.fetches);
}

#[test]
fn what_is_no_set_of_keys_changes_nothing() {
    let mut world = World::new(2);
    world.pass(10 * SECOND);
    world.published.0 = 504;
    world.pass(600 * SECOND);
    for wrong in [
        (500, set(&["2"])),
        (404, set(&["2"])),
        (301, set(&["2"])),
        (200, "{}".to_owned()),
        (200, set(&[])),
        (200, "x".repeat(70_000)),
        (200, "[".repeat(60_000)),
    ] {
        world.published = wrong;
        world.pass(31 * SECOND);
        assert_eq!(world.names("1"), [true; 2]);
    }
    assert!(world.counters.get(Counter::KeySetFailed) > 7);
    world.published = (200, set(&["3"]));
    world.pass(40 * SECOND);
    assert_eq!((world.names("1"), world.names("3")), (vec![false; 2], vec![true; 2]));
}

#[test]
fn keys_that_cannot_be_fetched_again_are_trusted_for_so_long_and_no_longer() {
    let mut world = World::new(2);
    world.pass(SECOND);
    world.published.0 = 503;
    world.pass(3_590 * SECOND);
    assert_eq!(world.names("1"), [true; 2]);
    world.pass(20 * SECOND);
    assert_eq!(world.names("1"), [false; 2]);
    world.published.0 = 200;
    world.pass(31 * SECOND);
    assert_eq!(world.names("1"), [true; 2]);
}

#[test]
fn a_fetch_without_an_answer_is_given_up_and_made_again_by_whoever_is_there() {
    let mut world = World::new(2);
    world.silent = true;
    assert_eq!(world.want_by(0, &Wish::Any), Prospect::Coming);
    assert!(world.workers[0].wait(0, Wish::Any, 7, world.now));
    world.deliver();
    assert!(world.pass(1_900 * MS).is_empty());
    assert_eq!(world.pass(200 * MS), [7], "it has waited for as long as it may");
    world.under_way.clear();
    world.silent = false;
    world.pass(5 * SECOND);
    assert_eq!((world.names("1"), world.fetches), (vec![true; 2], 2));
}

#[test]
fn a_failed_fetch_lets_go_who_waits_and_is_tried_again_ever_more_seldom() {
    let mut world = World::new(1);
    world.published.0 = 500;
    world.pass(40 * SECOND);
    assert_eq!(world.fetches, 7, "at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s");
    let prospect = world.want_by(0, &Wish::Any);
    assert!(matches!(prospect, Prospect::Later(_)), "{prospect:?}");
}

#[test]
fn who_waits_is_bounded_and_may_go_away() {
    let mut world = World::new(1);
    world.silent = true;
    for stream in 0..u32::try_from(MOST_WAITERS).unwrap() {
        world.wait(0, "2", stream);
    }
    assert!(!world.workers[0].wait(0, Wish::Any, 9_999, world.now));
    world.workers[0].leave(0, 3);
    world.wait(0, "2", 9_999);
    assert_eq!(world.pass(3 * SECOND).len(), MOST_WAITERS);
}

#[test]
fn shared_data_that_holds_something_else_is_never_taken_for_keys() {
    let mut world = World::new(1);
    world.pass(SECOND);
    let key = match &world.workers[0].sets[0] {
        Set::Remote(remote) => remote.set_key.clone(),
        Set::Known(_) => panic!("it is fetched"),
    };
    let version: Option<Version> = world.shared.get(&key, &mut Vec::new()).unwrap();
    assert!(world.shared.set(&key, b"\x01\0\0\0\0\0\0\0{}", version).unwrap());
    let policy_of = World::new(1);
    let mut late = policy_of.workers.into_iter().next().unwrap();
    let (_, done) = late.tick(world.now, &mut world.shared, &mut world.counters);
    assert_eq!(done, Err(Broken));
    assert_eq!(late.number(0, world.now), None);
}
