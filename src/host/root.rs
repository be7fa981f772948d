//! Owns a root context: configuration, ticks, metrics, calls to the backend. Must not know what a request is judged by.

use std::collections::VecDeque;
use std::net::IpAddr;

use hashbrown::HashMap;
use tollgate_core::wire::LARGEST_ANSWER;

use crate::admission::Gate;
use crate::backend::Taken;
use crate::call::{Answer, Call, CallError, Purpose};
use crate::counters::{Counter, Counters};
use crate::host::{Vm, abi, http, monotonic, verify_signature, with_vm};
use crate::reply::Replies;
use crate::shared::{Broken, SharedData, Version};

/// How often counts are published and the clocks compared, in milliseconds.
const TICK: u32 = 1_000;
/// The same in nanoseconds, less than a tick that comes early.
const PUBLISH_EVERY: u64 = 980_000_000;
/// How soon to tick while woken requests are still to be judged, in nanoseconds.
const WAKE_EVERY: u64 = 1_000_000;

/// One plugin configuration on one worker.
#[derive(Default)]
pub(super) struct Root {
    /// `None` until a configuration is accepted: every request is then refused.
    pub(super) gate: Option<(Gate, Replies)>,
    /// How far the wall clock is ahead of the monotonic one, compared at each publication instead of at each request.
    wall_ahead: u64,
    /// How often the host was asked to tick, in milliseconds.
    period: u32,
    last_published: u64,
    /// What the calls under way are for, by the host's token.
    calls: HashMap<u32, Purpose>,
    /// What went wrong last, by what it was for, so that a failure is logged once, and its end.
    failing: HashMap<(&'static str, Option<String>), CallError>,
    /// Calls that the host did not take: their failure is told at the next tick, outside of any request.
    later: Vec<Purpose>,
    /// Requests that need wait no longer, and are judged as soon as there is time.
    pub(super) woken: VecDeque<u32>,
    /// Requests whose nonces are known to be their own, or not to be, and are told as soon as there is time.
    pub(super) taken: VecDeque<(u32, Taken)>,
}

/// Metric ids of this VM, by number of the counter. Made once: the same name twice makes two ids.
#[derive(Default)]
pub(super) struct Metrics {
    ids: Vec<Option<u32>>,
}

/// What the host knows, for as long as one request is judged.
#[derive(Default)]
pub(super) struct HostShared {
    /// The client's address, once it was asked for: it costs more than most of a judgement.
    pub(super) client: Option<Option<IpAddr>>,
}

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

    /// Makes sure that what is due by the clock is done in time.
    pub(super) fn tick_as_needed(&mut self) {
        let within = match self.woken.is_empty() && self.taken.is_empty() {
            true => self.gate.as_ref().and_then(|(gate, _)| gate.tick_within()),
            false => Some(WAKE_EVERY),
        };
        let period = within.and_then(|nanos| u32::try_from(nanos / 1_000_000).ok()).unwrap_or(TICK);
        if period != self.period && abi::set_tick_period(period).is_ok() {
            self.period = period;
        }
    }

    /// Makes the calls that are to be made, as the root's own: one that a request makes ends with it. `current` is the context of the callback,
    /// where that is another.
    pub(super) fn call_out(&mut self, own: u32, current: Option<u32>) {
        let Some((gate, _)) = &mut self.gate else {
            return;
        };
        // An answer may lead to more calls; the host never answers before the callback is over.
        let calls = gate.take_calls();
        if calls.is_empty() {
            return;
        }
        let mut failed = Vec::new();
        if current.is_none() || abi::set_effective_context(own).is_ok() {
            for call in calls {
                match gate.destination(call.purpose).map(|(cluster, authority)| send(cluster, authority, &call)) {
                    Some(Ok(token)) => drop(self.calls.insert(token, call.purpose)),
                    Some(Err(_)) | None => failed.push(call.purpose),
                }
            }
        } else {
            failed.extend(calls.iter().map(|call| call.purpose));
        }
        if let Some(current) = current {
            // Without it the rest of the callback would be the root's: the request then ends with the proxy's timeout.
            let _ = abi::set_effective_context(current);
        }
        for purpose in failed {
            self.later.push(purpose);
        }
    }

    /// Takes an answer in.
    fn heard(&mut self, purpose: Purpose, answer: Answer<'_>) {
        let Some((gate, _)) = &mut self.gate else {
            return;
        };
        let outcomes = gate.heard(purpose, answer, monotonic(), &mut HostShared::default());
        let subject = (purpose.name(), gate.issuer_of(purpose).map(str::to_owned));
        let before = match outcomes.error {
            Some(error) => self.failing.insert(subject.clone(), error),
            None => self.failing.remove(&subject),
        };
        if outcomes.error != before {
            let (name, issuer) = subject;
            let name = issuer.map_or_else(|| name.to_owned(), |issuer| format!("{name} `{issuer}`"));
            match outcomes.error {
                Some(error) => abi::log(abi::Level::Error, &format!("tollgate: {name}: {error}")),
                None => abi::log(abi::Level::Info, &format!("tollgate: {name}: works again")),
            }
        }
        if let Some(away) = outcomes.away {
            let now = if away { "cannot be asked: limits over all nodes fail as each says" } else { "can be asked again" };
            abi::log(if away { abi::Level::Error } else { abi::Level::Info }, &format!("tollgate: the ledger {now}"));
        }
        self.woken.extend(outcomes.woken);
        self.taken.extend(outcomes.taken);
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
    if let Err(error) = abi::buffer(abi::Buffer::PluginConfiguration, size, &mut document) {
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
    let mut label = Vec::new();
    if !matches!(abi::property("xds\0node\0id", &mut label), Ok(true)) {
        label.clear();
    }
    // Like the clock and the random bytes, it decides nothing about the document.
    if !policy.tokens.issuers.is_empty() && !verify_signature::find_out() {
        abi::log(abi::Level::Info, "tollgate: the host checks no signatures: they are checked in the module, except ES512");
    }
    with_vm(false, |vm| {
        let root = vm.roots.entry(context).or_default();
        root.compare_clocks();
        // Without random bytes caches and tables could be aimed at: nothing is judged, everything refused.
        root.gate = usable.then(|| {
            let replies = Replies::new(&policy);
            (Gate::new(policy, &String::from_utf8_lossy(&label), random), replies)
        });
        root.tick_as_needed();
        if root.period == 0 || root.gate.is_none() {
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
        for purpose in std::mem::take(&mut root.later) {
            root.heard(purpose, Answer::Broken);
        }
        if let Some((gate, _)) = &mut root.gate {
            root.woken.extend(gate.tick(now, &mut HostShared::default()));
            root.taken.extend(gate.overdue_nonces(now));
        }
        if now.0.saturating_sub(root.last_published) >= PUBLISH_EVERY {
            root.last_published = now.0;
            root.compare_clocks();
            if let Some((gate, _)) = &mut root.gate {
                metrics.publish(&mut gate.counters);
            }
        }
        root.call_out(context, None);
        http::wake(vm, context);
    });
}

/// An answer to one of the root's calls has come, or will not: `headers` is 0 then.
pub(super) fn answered(context: u32, token: u32, headers: u32, body_size: usize) {
    with_vm((), |vm| {
        let Some(root) = vm.roots.get_mut(&context) else {
            return;
        };
        let Some(purpose) = root.calls.remove(&token) else {
            return;
        };
        let mut body = Vec::new();
        let status = if headers == 0 { None } else { read(body_size, &mut body) };
        root.heard(purpose, status.map_or(Answer::Broken, |status| Answer::Whole(status, &body)));
        root.call_out(context, None);
        http::wake(vm, context);
    });
}

/// Reads the response that the callback is about: its status, and its body if that is not too large.
fn read(size: usize, body: &mut Vec<u8>) -> Option<u16> {
    let mut status = Vec::new();
    let found = abi::header(abi::Map::CallResponse, ":status", &mut status).ok()?;
    let status = std::str::from_utf8(&status).ok().filter(|_| found)?.parse().ok()?;
    if size > LARGEST_ANSWER {
        return None;
    }
    abi::buffer(abi::Buffer::CallResponse, size, body).ok()?;
    Some(status)
}

fn send(cluster: &str, authority: &str, call: &Call) -> Result<u32, abi::HostError> {
    let mut headers = vec![
        (":method", call.method),
        (":path", call.path.as_str()),
        (":authority", authority),
        (":scheme", "https"),
        ("accept", "application/json"),
    ];
    if !call.authorization.is_empty() {
        headers.push(("authorization", call.authorization.as_str()));
    }
    if !call.body.is_empty() {
        let is_form = matches!(call.purpose, Purpose::Introspect { .. });
        headers.push(("content-type", if is_form { "application/x-www-form-urlencoded" } else { "application/json" }));
    }
    abi::http_call(cluster, &headers, &call.body, call.timeout_ms)
}
