use super::super::slot::Slot;
use super::super::table::{Displaces, Fate, Table};
use super::*;

/// The one set of a table.
struct Set(Table, Memory);

impl Set {
    fn new() -> Self {
        Self(Table::new(16, "t".to_owned()), Memory::default())
    }

    fn open(&mut self, tag: u64, displaces: Displaces, now: Instant) -> Option<Option<Slot>> {
        let make = || Slot::new(tag, "c", "l", now);
        let place = Place { set: 0, tag };
        self.0.open(place, (displaces, now), &make, &mut self.1, &mut |_, _| Ok(Fate::Changed)).unwrap()
    }
}

#[test]
fn a_full_set_gives_up_what_was_not_used_lately_and_returns_it() {
    let (mut set, now) = (Set::new(), Instant(START));
    for tag in 1..=16 {
        assert_eq!(set.open(tag, Displaces::Unused, now.after(tag)), Some(None));
    }
    assert_eq!(set.open(17, Displaces::Unused, now.after(20)), None, "all were used just now");
    assert_eq!(set.open(17, Displaces::Any, now.after(20)).unwrap().unwrap().tag, 1, "who cannot wait takes the oldest");
    assert_eq!(set.open(18, Displaces::Unused, now.after(2 * SECOND)).unwrap().unwrap().tag, 2);
}

#[test]
fn what_is_taken_ahead_of_need_displaces_nothing_and_leaves_room() {
    let (mut set, now) = (Set::new(), Instant(START));
    assert_eq!((1..=20).filter(|tag| set.open(*tag, Displaces::Nothing, now).is_some()).count(), 12);
    assert_eq!(set.open(20, Displaces::Nothing, now.after(60 * SECOND)), None);
}

#[test]
fn the_lease_of_a_slot_that_went_for_another_is_closed_and_returned() {
    let mut world = World::new(&[100_000], 1);
    world.workers[0] = Leases::new(16, &["a"]);
    let mut granted = Vec::new();
    for number in 1..=17 {
        world.now = world.now.after(SECOND);
        let subject = Subject { table: Kind::Consumers, place: number, tag: number };
        let tier = TierLeases { position: 0, leased: &world.leased, names: &world.names };
        let ask = Ask { tier, subject, consumer: "acme", route: 0, cost: 1, impatient: false, now: world.now };
        world.workers[0].judge(&ask, &mut Standings::default(), &mut world.shared, &mut world.counters);
        let ask = world.workers[0].take_urgent().pop().unwrap();
        let (answer, place) = (world.judge(&ask), world.workers[0].place(subject, world.names[0]));
        assert!(world.workers[0].answered(place, &answer, 1, world.now, world.now, &mut world.shared));
        granted.push((ask.lease, answer.granted));
    }
    let closed = world.workers[0].take_background().into_iter().map(|ask| (ask.lease, ask.returned, ask.close));
    assert_eq!(closed.collect::<Vec<_>>(), [(granted[0].0, granted[0].1, true)]);
}
