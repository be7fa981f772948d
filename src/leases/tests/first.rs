//! Leases that were asked for before it was known whose they would be.

use super::*;

impl World {
    /// A worker hears that the ledger has granted something to a lease that was sent for; `true` if it keeps it.
    fn first(&mut self, worker: usize, lease: u64, need: u64) -> bool {
        let name = self.leased[0].name.clone();
        let ask = LeaseAsk { limit: name.clone(), lease, number: 1, need, waiting: need, ..LeaseAsk::default() };
        let (answer, sent) = (self.judge(&ask), self.now);
        self.now = self.now.after(10_000_000);
        let place = self.workers[worker].place(Self::subject(), self.names[0]);
        let first = First { place, consumer: "acme", limit: &name, need, sent };
        self.workers[worker].take_first(&first, &answer, 1, self.now, &mut self.shared)
    }

    fn number(&mut self) -> u64 {
        next_number(&mut self.shared).unwrap()
    }
}

#[test]
fn an_empty_slot_takes_it_for_all_workers_and_goes_on_from_there() {
    let mut world = World::new(&[1_000], 2);
    let lease = world.number();
    assert!(world.first(0, lease, 2));
    assert_eq!(world.rows[0].charged, 15);
    assert!(world.admits(1, 2) && world.admits(0, 2));
    assert!(world.workers.iter_mut().all(|worker| worker.take_urgent().is_empty()));
    assert!(world.number() > lease);
    // Who took it looks after it.
    world.tick(3 * SECOND);
    assert_eq!((world.settle(0), world.settle(1)), (1, 0));
    assert_eq!((world.rows[0].charged, world.holders[0].open()), (4, 0));
}

#[test]
fn a_slot_that_holds_or_asks_for_another_lease_stays_and_all_is_returned() {
    for asks in [true, false] {
        let mut world = World::new(&[1_000], 1);
        let older = world.number();
        assert!(matches!(world.ask(0, 1, false), Outcome::Waiting));
        let lease = if asks { older } else { world.number() };
        if !asks {
            world.settle(0);
        }
        let before = world.rows[0].charged;
        assert!(!world.first(0, lease, 4));
        let returned = world.workers[0].take_background();
        assert_eq!((returned.len(), returned[0].lease, returned[0].number, returned[0].close), (1, lease, 2, true));
        assert!(world.judge(&returned[0]).closed);
        assert_eq!(world.rows[0].charged, before);
        world.settle(0);
        assert!(world.admits(0, 1));
    }
}

#[test]
fn where_there_is_no_room_or_no_shared_data_all_is_returned() {
    let mut world = World::new(&[1_000], 1);
    world.workers[0] = Leases::new(1, &["a"]);
    // Sixteen subjects that were used lately.
    for tag in 0..16 {
        let tier = TierLeases { position: 0, leased: &world.leased, names: &world.names };
        let subject = Subject { tag, ..World::subject() };
        let ask = Ask { tier, subject, consumer: "other", route: 0, cost: 1, impatient: false, now: world.now };
        world.workers[0].judge(&ask, &mut Standings::default(), &mut world.shared, &mut world.counters);
    }
    let lease = world.number();
    assert!(!world.first(0, lease, 4));
    let returned = world.workers[0].take_background();
    assert_eq!((returned.len(), returned[0].returned), (1, 15));
    let place = world.workers[0].place(World::subject(), world.names[0]);
    let key = world.workers[0].table.key(place.set);
    let version = world.shared.get(&key, &mut Vec::new()).unwrap();
    assert!(world.shared.set(&key, b"?", version).unwrap());
    assert!(!world.first(0, lease + 1, 4));
    assert_eq!(world.workers[0].take_background().len(), 1);
}

#[test]
fn a_refusal_is_remembered_and_one_before_it_forgotten() {
    let mut world = World::new(&[3], 1);
    let lease = world.number();
    assert!(world.first(0, lease, 4));
    assert!(matches!(world.ask(0, 4, false), Outcome::Refused { .. }));
    assert_eq!(world.workers[0].take_urgent().len(), 0);
}
