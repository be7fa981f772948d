//! Owns a node of two workers before its backend: their requests and calls, the time, and what must hold of every moment. Must not know
//! what happens next.

use std::collections::HashMap;
use std::sync::LazyLock;

use tollgate_core::policy::Policy;
use tollgate_core::time::{Instant, SECOND};
use tollgate_core::verdict::Reason;
use tollgate_core::wire::LARGEST_ANSWER;
use tollgate_filter::admission::{Gate, Verdict};
use tollgate_filter::authn::key_cache::Place;
use tollgate_filter::backend::call::{Answer, Call, Purpose};

use super::backend::{Backend, CREDENTIAL, KEYS, owner, text};
use super::shared::{Host, Interruption, Shared};
use crate::fixture::{map, policy};

pub(super) const MS: u64 = SECOND / 1_000;
const TIMEOUT: u64 = 400 * MS;
const MAX_STALENESS: u64 = 3 * SECOND;
/// A call is given up so long after its timeout.
const GRACE: u64 = SECOND;
const IN_FLIGHT: usize = 3;
/// For how long a key stays refused that the backend did not know.
const REFUSED_FOR: u64 = 10 * SECOND;

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    policy(&serde_json::json!({
        "backend": {
            "cluster": "backend", "credential": {"inline": CREDENTIAL}, "timeout": "400ms", "max_staleness": "3s",
            "resolves_in_flight": IN_FLIGHT, "unknown_per_address": 1_000_000, "unknown_per_node": 1_000_000,
        },
        "node": {"known_keys": 16, "unknown_keys": 16, "slots": 64},
    }))
});

pub(super) struct World {
    pub(super) workers: [Worker; 2],
    pub(super) shared: Shared,
    pub(super) backend: Backend,
    /// Calls under way, in the order they were made.
    pub(super) calls: Vec<Out>,
    pub(super) now: Instant,
    /// After how many operations on shared data the next callback of a worker is interrupted, and how long it then stands still.
    pub(super) interruption: Option<(u8, u64)>,
    /// How polls fare, and how questions about keys.
    pub(super) ways: [Way; 2],
    /// How verdicts are judged.
    pub(super) judged: Judged,
    /// Those that were not.
    pub(super) verdicts: Vec<(String, Verdict)>,
    /// The history of the backend that the node has heard of.
    synced: u32,
    made: u8,
}

/// How verdicts are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// By what the backend was lately.
    ByThePresent,
    /// By what the backend ever was: somebody else has a hand in shared data.
    ByThePast,
    /// Not here.
    Later,
}

/// How calls of a kind fare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Well,
    Lost,
    /// They are read at once, and their answers come later.
    Late,
    /// They are under way.
    Slow,
}

/// A worker, in one of its lives.
pub(super) struct Worker {
    gate: Gate,
    life: u8,
    /// Requests that wait, by context, with the key they carry and when they came.
    waiting: HashMap<u32, Waiting>,
    streams: u32,
    /// The history and the revision up to which it has heard of changes.
    heard: Option<(u32, u64)>,
}

/// A request that waits.
struct Waiting {
    key: String,
    came: Instant,
    place: Place,
}

/// A call under way.
pub(super) struct Out {
    worker: usize,
    life: u8,
    pub(super) call: Call,
    ends: Instant,
    came: Option<Instant>,
    /// The answer once it was read, and the history it was read of.
    answer: Option<(u16, Vec<u8>, u32)>,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Whole,
    Lost,
    Twice,
    Unavailable,
    Nonsense,
}

fn gate(life: u8) -> Gate {
    Gate::new(POLICY.clone(), "node", [life; 32])
}

impl World {
    pub(super) fn new() -> Self {
        let worker = |life| Worker { gate: gate(life), life, waiting: HashMap::new(), streams: 0, heard: None };
        let now = Instant(1_000 * SECOND);
        let (workers, backend) = ([worker(1), worker(2)], Backend::new(now));
        Self {
            workers,
            shared: Shared::default(),
            backend,
            calls: Vec::new(),
            now,
            interruption: None,
            ways: [Way::Well; 2],
            judged: Judged::ByThePresent,
            verdicts: Vec::new(),
            synced: 0,
            made: 2,
        }
    }

    /// A request with a key comes to a worker; what it is told, unless it waits.
    pub(super) fn ask(&mut self, worker: usize, key: &str) -> Option<Verdict> {
        let verdict = self.judge(worker, key, false);
        let own = &mut self.workers[worker];
        let Verdict::Wait(place, _) = verdict else {
            return Some(verdict);
        };
        own.streams += 1;
        assert!(own.gate.wait(place, own.streams), "nobody is waited for");
        own.waiting.insert(own.streams, Waiting { key: key.to_owned(), came: self.now, place });
        self.collect(worker);
        None
    }

    fn judge(&mut self, worker: usize, key: &str, woken: bool) -> Verdict {
        let map = map(&[(b":method", b"GET"), (b":authority", b"api"), (b":path", b"/"), (b"x-api-key", key.as_bytes())]);
        let own = &mut self.workers[worker];
        let head = own.gate.read(&map).unwrap();
        let (now, wall) = (self.now, self.now.0 + 1_000 * SECOND);
        let mut host = Host::new(&mut self.shared);
        let verdict = if woken { own.gate.judge_again(&head, now, wall, &mut host) } else { own.gate.judge(&head, now, wall, &mut host) };
        let position = (0..KEYS).find(|position| text(*position) == key);
        match self.judged {
            Judged::ByThePresent => self.check_verdict(worker, position, woken, &verdict),
            Judged::ByThePast => {
                let admits = |key: usize| self.backend.was(Instant(0), now, |state, at| state.admits(key, at));
                assert!(!matches!(verdict, Verdict::Admit(_)) || position.is_some_and(admits), "{key} was never valid");
            }
            Judged::Later => self.verdicts.push((key.to_owned(), verdict.clone())),
        }
        verdict
    }

    fn check_verdict(&self, worker: usize, position: Option<usize>, woken: bool, verdict: &Verdict) {
        match verdict {
            Verdict::Admit(permit) => {
                let identity = permit.identity.as_ref().expect("admitted without identity");
                let key = position.expect("it is nobody's");
                assert_eq!(identity.credential, format!("id-{key}"));
                assert_eq!(identity.consumer.id, format!("c{}", owner(key)));
                let tiers = self.workers[worker].gate.tiers();
                let tier = tiers.get(identity.consumer.tier.get()).unwrap();
                let (name, rate) = (tier.name.as_str(), tier.limits[0].rate.capacity());
                let start = Instant(self.now.0 - MAX_STALENESS);
                let was = |is: &dyn Fn(&super::backend::State, Instant) -> bool| self.backend.was(start, self.now, is);
                assert!(was(&|state, at| state.admits(key, at)), "{key} was not valid lately");
                assert!(was(&|state, _| name == format!("t{}", state.consumers[owner(key)].0)), "{key} was not of {name} lately");
                let number = usize::from(name == "t1");
                assert!(was(&|state, _| state.rates[number] == rate), "{name} had not {rate} lately");
                if let Some((history, revision)) = self.workers[worker].heard
                    && history == self.backend.history
                {
                    let said = self.backend.state.says(key, revision);
                    assert_eq!(said, None, "{key} passes though this worker has heard {revision}");
                }
            }
            Verdict::Deny(denial) => match denial.reason {
                Reason::Unavailable => {}
                Reason::InvalidKey => {
                    let start = Instant(self.now.0 - REFUSED_FOR - TIMEOUT - GRACE);
                    let refused = position.is_none_or(|key| {
                        self.backend.history > 0
                            || self
                                .backend
                                .was(start, self.now, |state, at| !state.admits(key, at) || !state.admits(key, at.after(TIMEOUT)))
                    });
                    assert!(refused, "{position:?} was valid all the time");
                }
                reason => panic!("{reason:?}"),
            },
            Verdict::Wait(..) => assert!(!woken, "it has waited already"),
        }
    }

    /// A client goes away, or none is there.
    pub(super) fn leave(&mut self, worker: usize) {
        let own = &mut self.workers[worker];
        let Some(stream) = own.waiting.keys().min().copied() else { return };
        let waiting = own.waiting.remove(&stream).unwrap();
        own.gate.leave(waiting.place, stream);
    }

    pub(super) fn tick(&mut self, worker: usize) {
        let now = self.now;
        let alone = self.interruption.is_none();
        let broke = self.callback(worker, |gate, now, host| gate.tick(now, host));
        let own = &mut self.workers[worker];
        assert!(!own.waiting.values().any(|waiting| now.since(waiting.came) >= TIMEOUT + GRACE), "waits though its time is over");
        if alone && !broke {
            own.heard = self.shared.revision().filter(|_| self.synced == self.backend.history).map(|revision| (self.synced, revision));
        }
    }

    /// Runs a callback of a worker, and judges the requests it wakes; whether shared data failed in it.
    fn callback(&mut self, worker: usize, run: impl FnOnce(&mut Gate, Instant, &mut Host<'_>) -> Vec<u32>) -> bool {
        let [first, second] = &mut self.workers;
        let (own, other) = if worker == 0 { (first, second) } else { (second, first) };
        let (mut held, mut over, mut woken_other) = (Vec::new(), Vec::new(), Vec::new());
        let (now, mut later) = (self.now, self.now);
        let mut host = Host::new(&mut self.shared);
        if let Some((after, stalled)) = self.interruption.take() {
            later = now.after(stalled);
            // The other does not stand still: the host ends its calls in time.
            over = self.calls.extract_if(.., |out| out.worker != worker && out.ends <= later).collect();
            host.interruption = Some(Interruption {
                after,
                over: over.iter().map(|out| out.call.purpose).collect(),
                gate: &mut other.gate,
                now: later,
                backend: &mut self.backend,
                held: &mut held,
                woken: &mut woken_other,
            });
        }
        let woken = run(&mut own.gate, now, &mut host);
        let broke = host.broke;
        if host.interruption.is_some() {
            // Nobody came between.
            later = now;
            self.calls.append(&mut over);
        }
        self.now = later;
        for call in held {
            self.made_call(1 - worker, call, Some(self.now));
        }
        self.collect(worker);
        self.wake(worker, woken);
        self.wake(1 - worker, woken_other);
        if later > now {
            self.pass(0);
        }
        broke
    }

    fn wake(&mut self, worker: usize, woken: Vec<u32>) {
        for stream in woken {
            let waiting = self.workers[worker].waiting.remove(&stream).expect("nobody waits there");
            self.judge(worker, &waiting.key, true);
        }
        self.collect(worker);
    }

    /// Takes the calls that a worker wants to make.
    fn collect(&mut self, worker: usize) {
        let mut calls = self.workers[worker].gate.take_calls();
        // They come out of a table without an order.
        calls.sort_by(|one, other| one.body.cmp(&other.body));
        for call in calls {
            self.made_call(worker, call, None);
        }
        let of_kind = |is: fn(&Purpose) -> bool| {
            let life = self.workers[worker].life;
            self.calls.iter().filter(|out| out.life == life && is(&out.call.purpose)).count()
        };
        assert!(of_kind(|purpose| matches!(purpose, Purpose::Resolve { .. })) <= IN_FLIGHT, "too many keys are asked about");
        assert!(of_kind(|purpose| matches!(purpose, Purpose::Poll { .. })) <= 1, "two polls");
        assert!(of_kind(|purpose| matches!(purpose, Purpose::Hello)) <= 1, "two hellos");
        assert!(of_kind(|purpose| matches!(purpose, Purpose::Report { .. })) <= 1, "two reports");
    }

    fn made_call(&mut self, worker: usize, call: Call, came: Option<Instant>) {
        let visible = |text: &str| text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        assert!(call.timeout_ms > 0 && visible(&call.path) && visible(&call.authorization), "{call:?}");
        let ends = self.now.after(u64::from(call.timeout_ms) * MS);
        self.calls.push(Out { worker, life: self.workers[worker].life, call, ends, came, answer: None });
    }

    /// A call reaches the backend, and is answered unless it is held.
    pub(super) fn carry(&mut self, number: usize) {
        let Some(out) = self.calls.get_mut(number).filter(|out| out.answer.is_none()) else { return };
        let came = *out.came.get_or_insert(self.now);
        let history = self.backend.history;
        out.answer = self.backend.answer(&out.call, came, self.now).map(|(status, body)| (status, body, history));
    }

    /// Something comes back in an answer's place.
    pub(super) fn tell(&mut self, number: usize, status: u16, body: &[u8]) {
        let out = self.calls.remove(number);
        self.callback(out.worker, |gate, now, host| gate.heard(out.call.purpose, Answer::Whole(status, body), now, host).woken);
    }

    /// An answer comes back, if there is one.
    pub(super) fn deliver(&mut self, number: usize, fate: Fate) {
        self.carry(number);
        let Some(out) = self.calls.get(number) else { return };
        if out.answer.is_none() && fate != Fate::Lost {
            return;
        }
        let out = self.calls.remove(number);
        let (status, body, history) = out.answer.unwrap_or((0, Vec::new(), 0));
        let purpose = out.call.purpose;
        let before = self.shared.revision();
        for _ in 0..=u8::from(fate == Fate::Twice) {
            let answer = match fate {
                Fate::Whole | Fate::Twice => Answer::Whole(status, &body),
                Fate::Lost => Answer::Broken,
                Fate::Unavailable => Answer::Whole(503, b"no"),
                Fate::Nonsense => Answer::Whole(200, b"{\"wire\":\"tollgate-node/1\",\"revision\":[]}"),
            };
            self.callback(out.worker, |gate, now, host| gate.heard(purpose, answer, now, host).woken);
        }
        // The first that follows a restored backup is a reset, which says where the history is.
        let moved = matches!(purpose, Purpose::Poll { .. }) && history == self.backend.history && self.shared.revision() != before;
        if moved {
            self.synced = history;
        }
    }

    pub(super) fn synced(&self) -> bool {
        self.synced == self.backend.history
    }

    /// Time passes; the host ends the calls whose time is over.
    pub(super) fn pass(&mut self, nanos: u64) {
        self.now = self.now.after(nanos);
        if self.synced() {
            self.backend.expire(self.now);
        }
        while let Some(number) = self.calls.iter().position(|out| out.ends <= self.now) {
            self.calls[number].answer = Some((504, b"timeout".to_vec(), 0));
            self.deliver(number, Fate::Whole);
        }
    }

    /// A worker's virtual machine traps, and another takes its place.
    pub(super) fn die(&mut self, worker: usize) {
        self.made += 1;
        self.workers[worker] = Worker { gate: gate(self.made), life: self.made, waiting: HashMap::new(), streams: 0, heard: None };
        let lives = self.workers.each_ref().map(|worker| worker.life);
        self.calls.retain(|out| lives.contains(&out.life));
    }

    /// Time passes tick by tick, and calls fare as they do.
    pub(super) fn run(&mut self, ticks: u32, every: u64) {
        for _ in 0..ticks {
            self.pass(every);
            for worker in 0..2 {
                self.tick(worker);
            }
            self.settle();
        }
    }

    fn way(&self, number: usize) -> Way {
        match self.calls[number].call.purpose {
            Purpose::Resolve { .. } => self.ways[1],
            Purpose::Poll { .. } => self.ways[0],
            Purpose::Hello | Purpose::Report { .. } if self.ways[0] == Way::Late => Way::Well,
            Purpose::Hello | Purpose::Report { .. } => self.ways[0],
        }
    }

    /// Lets calls fare as they do until nothing moves.
    pub(super) fn settle(&mut self) {
        for _ in 0..200 {
            for number in 0..self.calls.len() {
                if matches!(self.way(number), Way::Well | Way::Late) {
                    self.carry(number);
                }
            }
            let moves = |number: &usize| match self.way(*number) {
                Way::Well => self.calls[*number].answer.is_some(),
                Way::Lost => true,
                Way::Late | Way::Slow => false,
            };
            let Some(number) = (0..self.calls.len()).find(moves) else { return };
            let fate = if self.way(number) == Way::Lost { Fate::Lost } else { Fate::Whole };
            self.deliver(number, fate);
        }
        panic!("calls without end");
    }

    /// After a quiet time each worker says what the backend says.
    pub(super) fn check_agreement(&mut self) {
        self.interruption = None;
        self.shared.fails = 0..0;
        self.ways = [Way::Well; 2];
        self.run(60, (REFUSED_FOR + 2 * SECOND) / 60);
        for worker in 0..2 {
            for key in 0..KEYS {
                let verdict = self.ask(worker, &text(key)).unwrap_or_else(|| {
                    self.settle();
                    assert!(self.workers[worker].waiting.is_empty(), "still waits");
                    self.ask(worker, &text(key)).expect("waits again")
                });
                let state = &self.backend.state;
                let expected = state.admits(key, self.now).then(|| {
                    let tier = state.consumers[owner(key)].0;
                    (format!("t{tier}"), state.rates[tier])
                });
                let got = match verdict {
                    Verdict::Admit(permit) => {
                        let gate = &self.workers[worker].gate;
                        let tier = gate.tiers().get(permit.identity.unwrap().consumer.tier.get()).unwrap();
                        Some((tier.name.clone(), tier.limits[0].rate.capacity()))
                    }
                    Verdict::Deny(denial) => {
                        assert_eq!(denial.reason, Reason::InvalidKey);
                        None
                    }
                    Verdict::Wait(..) => panic!("waits again"),
                };
                assert_eq!(got, expected, "worker {worker}, key {key}");
            }
        }
        let polls = self.calls.iter().filter(|out| matches!(out.call.purpose, Purpose::Poll { .. })).count();
        assert!(polls <= 1 && self.calls.len() == polls, "one worker listens, and nothing else is asked");
        self.check_what_is_kept();
    }

    /// Little is kept, and nothing secret.
    pub(super) fn check_what_is_kept(&self) {
        for worker in &self.workers {
            let shown = format!("{:?}", worker.gate);
            assert!(shown.len() < 100_000, "{} bytes", shown.len());
            assert!(!shown.contains("key-") && !shown.contains("token-") && !shown.contains(CREDENTIAL), "{shown}");
        }
        assert!(self.shared.keys().count() < 80 && self.shared.keys().all(|key| self.shared.value(key).len() <= LARGEST_ANSWER));
    }
}
