//! Owns a root context: configuration, ticks, metrics. Must not know requests.

use crate::admission::Gate;
use crate::counters::{Counter, Counters};
use crate::host::{Vm, abi, monotonic, with_vm};
use crate::limits::GIVE_BACK_EVERY;
use crate::reply::Replies;
use crate::shared::{Broken, SharedData, Version};

/// How often counts are published and the clocks compared, in milliseconds.
const TICK: u32 = 1_000;
/// How often while a worker holds units, in milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "20 fits")]
const FAST_TICK: u32 = (GIVE_BACK_EVERY / 1_000_000) as u32;

/// One plugin configuration on one worker.
#[derive(Default)]
pub(super) struct Root {
    /// `None` until a configuration is accepted: every request is then refused.
    pub(super) gate: Option<(Gate, Replies)>,
    /// How far the wall clock is ahead of the monotonic one, compared at each publication instead of at each request.
    wall_ahead: u64,
    ticks_fast: bool,
    last_published: u64,
}

/// Metric ids of this VM, by number of the counter. Made once: the same name twice makes two ids.
#[derive(Default)]
pub(super) struct Metrics {
    ids: Vec<Option<u32>>,
}

/// The host's shared data, and what goes wrong with it.
pub(super) struct HostShared;

impl SharedData for HostShared {
    fn get(&mut self, key: &str, value: &mut Vec<u8>) -> Result<Option<Version>, Broken> {
        Ok(abi::shared_data(key, value).map_err(|_| Broken)?.map(Version))
    }

    fn set(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> Result<bool, Broken> {
        // On an absent key any version succeeds; a present one never has this one, so it means "create".
        const CREATE: u32 = u32::MAX;
        abi::set_shared_data(key, value, expected.map_or(CREATE, |version| version.0)).map_err(|_| Broken)
    }
}

impl Root {
    /// The wall clock at a reading of the monotonic one: nanoseconds since 1970.
    pub(super) fn wall(&self, now: tollgate_core::time::Instant) -> u64 {
        now.0.saturating_add(self.wall_ahead)
    }

    /// Makes sure units this worker holds are soon given back if nobody spends them.
    pub(super) fn tick_as_needed(&mut self) {
        let holds = self.gate.as_ref().is_some_and(|(gate, _)| gate.holds_units());
        if holds != self.ticks_fast && abi::set_tick_period(if holds { FAST_TICK } else { TICK }).is_ok() {
            self.ticks_fast = holds;
        }
    }

    fn compare_clocks(&mut self) {
        if let (Ok(wall), Ok(monotonic)) = (abi::wall_nanos(), abi::monotonic_nanos()) {
            self.wall_ahead = wall.saturating_sub(monotonic);
        }
    }
}

impl Metrics {
    fn publish(&mut self, counters: &mut Counters) {
        if self.ids.is_empty() {
            self.ids = Counter::names().map(|name| abi::define_counter(&name).ok()).collect();
        }
        for (number, amount) in counters.take() {
            if let Some(Some(id)) = self.ids.get(number) {
                // A count that cannot be published is lost; the requests themselves are not affected.
                let _ = abi::increment_counter(*id, amount);
            }
        }
    }
}

pub(super) fn create(context: u32) {
    with_vm((), |vm| drop(vm.roots.insert(context, Root::default())));
}

pub(super) fn delete(context: u32) {
    with_vm((), |vm| {
        if let Some(mut root) = vm.roots.remove(&context)
            && let Some((gate, _)) = &mut root.gate
        {
            vm.metrics.publish(&mut gate.counters);
        }
    });
}

/// Takes a configuration over. Its judgement depends on the document and the VM's environment alone, so that a worker never
/// refuses what the main thread accepted: Envoy would let everything pass there.
pub(super) fn configure(context: u32, size: usize) -> bool {
    let mut document = Vec::new();
    if let Err(error) = abi::plugin_configuration(size, &mut document) {
        abi::log(abi::Level::Error, &format!("tollgate: the configuration cannot be read: {error}"));
        return false;
    }
    let environment = |name: &str| std::env::var(name).ok();
    let policy = match tollgate_core::config::load(&document, &environment) {
        Ok(policy) => policy,
        Err(problems) => {
            for problem in problems.0 {
                abi::log(abi::Level::Error, &format!("tollgate: wrong configuration: {problem}"));
            }
            return false;
        }
    };
    let mut random = [0; 32];
    let usable = abi::random(&mut random).is_ok() && random != [0; 32];
    with_vm(false, |vm| {
        let root = vm.roots.entry(context).or_default();
        root.compare_clocks();
        // Without random bytes caches and tables could be aimed at: nothing is judged, everything refused.
        root.gate = usable.then(|| {
            let replies = Replies::new(&policy);
            (Gate::new(policy, random), replies)
        });
        if abi::set_tick_period(TICK).is_err() || root.gate.is_none() {
            abi::log(abi::Level::Error, "tollgate: the host lacks a clock or random bytes; see tollgate_host_errors");
        }
        true
    })
}

pub(super) fn tick(context: u32) {
    let now = monotonic();
    with_vm((), |vm| {
        let Vm { roots, metrics, .. } = vm;
        let Some(root) = roots.get_mut(&context) else {
            return;
        };
        if let Some((gate, _)) = &mut root.gate {
            gate.tick(now, &mut HostShared);
        }
        if now.0.saturating_sub(root.last_published) >= u64::from(TICK - FAST_TICK) * 1_000_000 {
            root.last_published = now.0;
            root.compare_clocks();
            if let Some((gate, _)) = &mut root.gate {
                metrics.publish(&mut gate.counters);
            }
        }
        root.tick_as_needed();
    });
}
