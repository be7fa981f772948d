//! Owns the count of calls where nothing goes wrong: many nodes, each with a steady load of one consumer. Must not check what must hold: seeds
//! do.

use super::plan::{Consumer, MS, Network, Plan, SECOND};
use super::world::{Broken, World};

/// Until it is known what is spent.
const WARM_UP: u64 = 10 * SECOND;
/// How long is counted.
const COUNTED: u64 = 20 * SECOND;

/// Requests and calls of so many nodes with so many requests a second each, which would spend the quota in so many seconds.
pub(crate) fn run(nodes: usize, rate: u64, spent_in: u64) -> Result<(u64, u64), Broken> {
    let units = nodes as u64 * rate * spent_in;
    let plan = Plan {
        nodes,
        workers: 2,
        slots: 256,
        consumers: vec![Consumer { limits: vec![units], rates: Vec::new(), modes: vec!["deny"], costs: vec![1], rate }],
        period: 1 << 40,
        network: Network { lost: 0, doubled: 0, late: 0, delay: 5 * MS, lateness: MS, commit: 10 * MS },
        events: Vec::new(),
        all_ask: true,
        unknown_keys: 0,
    };
    let mut world = World::new(&plan, 1);
    world.start();
    world.run_until(WARM_UP)?;
    let before = world.ran();
    world.run_until(WARM_UP + COUNTED)?;
    let after = world.ran();
    Ok((after.requests - before.requests, after.calls - before.calls))
}
