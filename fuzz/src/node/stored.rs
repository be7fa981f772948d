//! Owns the target for what workers share of the backend: whatever is in a shared value, no key passes that never could, and once it is
//! gone all is as it should be.

use bolero::{TypeGenerator, check, produce};

use super::world::{Judged, MS, World};
use super::{KEYS, text};
use crate::BRIEFLY;
use crate::input::{Edge, Splice, several};

/// What becomes of a shared value, and what happens then.
#[derive(Clone, Debug, TypeGenerator)]
struct Spoilt {
    which: u8,
    how: How,
    /// So many ticks follow.
    #[generator(0..8_u32)]
    ticks: u32,
    key: u8,
    dies: bool,
}

#[derive(Clone, Debug, TypeGenerator)]
enum How {
    /// Other bytes here and there.
    Spliced([Splice; 2]),
    /// One of its numbers is another.
    Number(u8, Edge),
    Cut(u8),
    Bytes([u8; 12]),
    Gone,
}

fn spoil(world: &mut World, spoilt: &Spoilt) -> String {
    let keys: Vec<String> = world.shared.keys().map(str::to_owned).collect();
    let key = keys[usize::from(spoilt.which) % keys.len()].clone();
    let mut value = world.shared.value(&key).to_vec();
    match &spoilt.how {
        How::Spliced(changes) => changes.iter().for_each(|change| change.apply(&mut value)),
        How::Number(place, number) => {
            let numbers = value.chunks_exact_mut(8).count().max(1);
            if let Some(bytes) = value.chunks_exact_mut(8).nth(usize::from(*place) % numbers) {
                let near = u64::from_le_bytes(bytes.try_into().unwrap());
                bytes.copy_from_slice(&number.number(near, 1_000 * MS).to_le_bytes());
            }
        }
        How::Cut(length) => value.truncate(usize::from(*length)),
        How::Bytes(bytes) => value = bytes.to_vec(),
        How::Gone => {
            world.shared.put(&key, None);
            return key;
        }
    }
    world.shared.put(&key, Some(value));
    key
}

#[test]
fn any_shared_value_lets_no_key_pass_that_never_could() {
    check!().with_test_time(BRIEFLY).with_generator(several(produce::<Spoilt>(), 6)).for_each(|spoils| {
        let mut world = World::new();
        world.run(6, 50 * MS);
        for key in [0, 1, 3] {
            (0..2).for_each(|worker| drop(world.ask(worker, &text(key))));
            world.settle();
        }
        world.run(6, 50 * MS);
        world.judged = Judged::ByThePast;
        world.backend.reported = None;
        let mut gone = Vec::new();
        for spoilt in spoils {
            gone.push(spoil(&mut world, spoilt));
            if spoilt.dies {
                world.die(usize::from(spoilt.key) % 2);
            }
            world.run(spoilt.ticks, 50 * MS);
            (0..2).for_each(|worker| drop(world.ask(worker, &text(usize::from(spoilt.key) % KEYS))));
            world.settle();
        }
        gone.iter().for_each(|key| world.shared.put(key, None));
        world.backend.comes_to_its_senses(world.now);
        world.check_agreement();
    });
}
