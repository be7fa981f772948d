//! Owns the targets for a node before its backend: whatever happens in whatever order, a request passes only if its key could, and in the
//! end both agree.

mod answers;
mod backend;
mod shared;
mod stored;
mod world;

use bolero::{check, produce};

use crate::BRIEFLY;
use crate::input::several;
use backend::{CONSUMERS, Event, KEYS, TIERS, text};
use world::{Fate, MS, Way, World};

/// What happens next, in three numbers: which of the steps below, and with what.
type Step = (u8, u8, u8);

fn take(world: &mut World, (kind, first, second): Step) {
    let (worker, key) = (usize::from(first) % 2, usize::from(second) % KEYS);
    let call = usize::from(first) % world.calls.len().max(1);
    match kind % 32 {
        0..5 => drop(world.ask(worker, &text(key))),
        5 => (0..2).for_each(|worker| drop(world.ask(worker, &text(key)))),
        6 => drop(world.ask(worker, &format!("guess-{second}"))),
        7 => world.leave(worker),
        8 => world.tick(worker),
        9 => world.pass(u64::from(first) * 8 * MS),
        10 => world.settle(),
        11..14 => world.run(1 + u32::from(first) % 8, 50 * MS),
        14..16 => world.run(u32::from(first) % 64, 100 * MS),
        16 => world.carry(call),
        17 => {
            let fates = [Fate::Whole, Fate::Whole, Fate::Lost, Fate::Twice, Fate::Unavailable, Fate::Nonsense];
            world.deliver(call, fates[usize::from(second) % fates.len()]);
        }
        18..21 => {
            let ways = [Way::Well, Way::Lost, Way::Late, Way::Slow];
            world.ways[worker] = ways[usize::from(second) % ways.len()];
        }
        21 => world.ways = [Way::Well; 2],
        22..29 => {
            let heard = world.shared.revision().filter(|_| world.synced());
            world.backend.happens(event(first, second), world.now, heard);
        }
        29 => world.die(worker),
        30 => world.shared.fails = first % 16..first % 16 + 1 + second % 3,
        _ => world.interruption = Some((first % 12, u64::from(second) * 6 * MS)),
    }
}

fn event(kind: u8, number: u8) -> Event {
    let (key, consumer, tier) = (usize::from(number) % KEYS, usize::from(number) % CONSUMERS, usize::from(number / 2) % TIERS);
    match kind % 16 {
        0 => Event::Issue(key),
        1..4 => Event::Revoke(key),
        4 => Event::Expire(key, None),
        5 => Event::Expire(key, Some(u64::from(number) * 10 * MS)),
        6..8 => Event::Disable(consumer, number < 128),
        8 => Event::Move(consumer, tier),
        9..11 => Event::Retier(tier, 1_000 + u64::from(number)),
        11 => Event::Strange,
        12 => Event::Restart,
        13 => Event::Backup,
        14 => Event::Restore,
        _ => Event::Prune,
    }
}

#[test]
fn whatever_happens_only_keys_that_may_pass_do_and_all_agree_in_the_end() {
    check!().with_test_time(BRIEFLY).with_generator(several(produce::<Step>(), 80)).for_each(|steps| {
        let mut world = World::new();
        world.run(6, 50 * MS);
        for step in steps {
            take(&mut world, *step);
        }
        world.check_agreement();
    });
}
