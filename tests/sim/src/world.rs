//! Owns a run of a seed: the order of events, the network between nodes and the ledger, and the checks after each step. Must not judge
//! requests or grants.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use fastrand::Rng;
use tollgate_core::limit::{Counted, FailureMode, Leased, Period, Rate, Routes};
use tollgate_core::sabotage::{Rule, removed};
use tollgate_core::wire::LeaseAsk;

use super::ledger::{Clocks, Ledger, Message, News, Quota};
use super::node::{Known, Node, Purpose, TICK_EVERY, TIMEOUT, name_hash};
pub(crate) use super::oracle::Broken;
use super::oracle::{Oracle, USED_FROM};
use super::plan::{CALM, Consumer, Event, MS, Plan, SECOND, TROUBLE};

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ran {
    pub(crate) requests: u64,
    pub(crate) admitted: u64,
    pub(crate) calls: u64,
    pub(crate) faults: u64,
    pub(crate) silent: u64,
}

#[derive(Debug)]
enum Step {
    Event(Event),
    Request { node: usize, consumer: usize, from: u64 },
    Tick { node: usize, incarnation: u64, worker: usize },
    ToLedger(Message),
    Begin,
    Committed(u64),
    ToNode { call: u64, body: Vec<u8> },
    TimedOut { call: u64 },
    Told { node: usize, quota: Quota, news: News, revision: u64 },
    LedgerUp,
    ClockNoticed,
    Dies(u64),
}

#[derive(Debug)]
struct Sent {
    node: u64,
    purpose: Purpose,
    asks: Vec<LeaseAsk>,
    answered: bool,
}

pub(crate) struct World<'a> {
    plan: &'a Plan,
    rng: Rng,
    now: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    steps: HashMap<u64, Step>,
    order: u64,
    nodes: Vec<Node>,
    /// Nodes that drain.
    old: Vec<Node>,
    /// Until when a node stands still, and until when nothing gets through to it.
    stopped: Vec<u64>,
    cut: Vec<u64>,
    gone: Vec<u64>,
    incarnations: u64,
    ledger: Ledger,
    ledger_down: bool,
    ledger_stops: u64,
    /// How far the ledger's wall clock is ahead of what it should be, in milliseconds; and the furthest that it was: nodes that were told then
    /// when a window begins go by that.
    ledger_ahead: i64,
    ledger_furthest: i64,
    life: u64,
    silent_until: Vec<u64>,
    known: Vec<Known>,
    rates: HashMap<Quota, Rate>,
    calls: HashMap<u64, Sent>,
    oracle: Oracle,
    /// Units lost in workers' hands while no window had just ended.
    stranded: u64,
    ran: Ran,
}

/// Runs a seed to its end.
pub(crate) fn run(seed: u64, traces: bool) -> Result<Ran, Broken> {
    let plan = Plan::of(seed);
    let mut world = World::new(&plan, seed);
    world.ledger.traces = traces;
    world.start();
    world.run_until(TROUBLE + CALM)?;
    world.end()
}

/// The ledger's clock, which has not just begun.
const fn ledger_time(world: u64) -> u64 {
    1_000_000 + world / MS
}

/// Of a run, for the reader of a failure.
pub(crate) fn describe(seed: u64) -> String {
    format!("{:#?}", Plan::of(seed))
}

impl<'a> World<'a> {
    pub(crate) fn new(plan: &'a Plan, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x51ed_270b_9f3a_1c77);
        let known: Vec<Known> = plan
            .consumers
            .iter()
            .enumerate()
            .map(|(position, consumer)| Known {
                name: format!("c{position}"),
                leased: consumer.modes.iter().enumerate().map(|(limit, mode)| leased(consumer, limit, mode)).collect(),
                names: (0..consumer.modes.len()).map(name_hash).collect(),
            })
            .collect();
        let mut limits = HashMap::new();
        let mut rates = HashMap::new();
        let mut names = HashMap::new();
        for (consumer, of) in plan.consumers.iter().enumerate() {
            for (limit, units) in of.limits.iter().enumerate() {
                limits.insert((consumer, limit), *units);
            }
            for (position, rate) in of.rates.iter().enumerate() {
                rates.insert((consumer, of.limits.len() + position), *rate);
            }
            for (limit, leased) in known[consumer].leased.iter().enumerate() {
                names.insert((known[consumer].name.clone(), leased.name.clone()), (consumer, limit));
            }
        }
        let nodes = (0..plan.nodes).map(|node| Node::new(node as u64 + 1, plan.workers, plan.slots, &mut rng)).collect();
        Self {
            plan,
            rng,
            now: 0,
            queue: BinaryHeap::new(),
            steps: HashMap::new(),
            order: 0,
            nodes,
            old: Vec::new(),
            stopped: vec![0; plan.nodes],
            cut: vec![0; plan.nodes],
            gone: Vec::new(),
            incarnations: plan.nodes as u64,
            ledger: Ledger::new(limits, rates.clone(), names, plan.period, ledger_time(TROUBLE)),
            ledger_down: false,
            ledger_stops: 0,
            ledger_ahead: 0,
            ledger_furthest: 0,
            life: 0,
            silent_until: vec![0; plan.consumers.len()],
            known,
            rates,
            calls: HashMap::new(),
            oracle: Oracle::default(),
            stranded: 0,
            ran: Ran::default(),
        }
    }

    /// What it came to so far.
    pub(crate) const fn ran(&self) -> Ran {
        self.ran
    }

    /// Goes on until then.
    pub(crate) fn run_until(&mut self, until: u64) -> Result<(), Broken> {
        while let Some(Reverse((at, order))) = self.queue.peek().copied()
            && at <= until
        {
            self.queue.pop();
            let Some(step) = self.steps.remove(&order) else { continue };
            self.now = at;
            self.step(step).map_err(|broken| format!("at {} ms: {broken}", at / MS))?;
        }
        Ok(())
    }

    pub(crate) fn start(&mut self) {
        for (at, event) in &self.plan.events {
            self.at(*at, Step::Event(*event));
        }
        for node in 0..self.plan.nodes {
            self.tick_all(node);
            for consumer in 0..self.plan.consumers.len() {
                self.at(self.now, Step::Request { node, consumer, from: 0 });
            }
        }
        self.limits_in_force();
    }

    fn at(&mut self, at: u64, step: Step) {
        self.order += 1;
        self.queue.push(Reverse((at, self.order)));
        self.steps.insert(self.order, step);
    }

    fn tick_all(&mut self, node: usize) {
        let incarnation = self.nodes[node].incarnation;
        for worker in 0..self.nodes[node].workers() {
            let at = self.now + self.rng.u64(0..TICK_EVERY);
            self.at(at, Step::Tick { node, incarnation, worker });
        }
    }

    fn calm(&self) -> bool {
        self.now >= TROUBLE
    }

    fn step(&mut self, step: Step) -> Result<(), Broken> {
        match step {
            Step::Event(event) => self.event(event)?,
            Step::Request { node, consumer, from } => self.request(node, consumer, from)?,
            Step::Tick { node, incarnation, worker } => self.tick(node, incarnation, worker)?,
            Step::ToLedger(message) if !self.ledger_down => {
                self.ledger.receive(message);
                let at = self.now.max(self.ledger_stops);
                self.at(at, Step::Begin);
            }
            Step::ToLedger(_) => {}
            Step::Begin => self.begin(),
            Step::Committed(life) if life == self.life => self.committed()?,
            Step::Committed(_) => {}
            Step::ToNode { call, body } => self.reaches_node(call, &body)?,
            Step::TimedOut { call } => self.timed_out(call)?,
            Step::Told { node, quota, news, revision } => self.told(node, quota, news, revision)?,
            Step::LedgerUp => self.ledger_down = false,
            Step::ClockNoticed => {
                self.ledger.revision += 1;
                self.tell(Quota::default(), News::RaiseAll);
            }
            Step::Dies(incarnation) => {
                self.old.retain(|node| node.incarnation != incarnation);
                self.gone.push(incarnation);
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), Broken> {
        self.ran.faults += 1;
        match event {
            Event::Crash(node) => {
                self.gone.push(self.nodes[node].incarnation);
                self.replace(node);
            }
            Event::HotRestart(node) => {
                let mut old = self.replace(node);
                old.drains = true;
                let dies = self.now + self.rng.u64(500..8_000) * MS;
                self.at(dies, Step::Dies(old.incarnation));
                for worker in 0..old.workers() {
                    self.at(self.now, Step::Tick { node, incarnation: old.incarnation, worker });
                }
                self.old.push(old);
            }
            Event::Trap(node, worker) => self.nodes[node].trap(worker),
            Event::Pause(node, long) => self.stopped[node] = self.now + long,
            Event::Partition(node, long) => self.cut[node] = self.now + long,
            Event::LedgerCrash(long) => {
                let committed = self.rng.bool();
                for entry in self.ledger.crash(committed) {
                    self.oracle.judged(&entry)?;
                }
                self.oracle.rates_lost(&self.rates, self.now);
                self.life += 1;
                self.ledger_down = true;
                self.at(self.now + long, Step::LedgerUp);
            }
            Event::LedgerPause(long) => self.ledger_stops = self.now + long,
            Event::LedgerClock(ahead) => {
                self.ledger_ahead = ahead;
                self.ledger_furthest = self.ledger_furthest.max(ahead);
                self.limits_in_force();
                let noticed = self.now + self.rng.u64(0..SECOND);
                self.at(noticed, Step::ClockNoticed);
            }
            Event::Limit { consumer, limit, units } => {
                self.ledger.limits.insert((consumer, limit), units);
                self.ledger.revision += 1;
                self.limits_in_force();
                self.tell((consumer, limit), News::Raise);
            }
            Event::Silence(consumer, long) => self.silent_until[consumer] = self.now + long,
            Event::Release => {
                if let Some(incarnation) = self.gone.pop() {
                    for (key, lease) in self.ledger.release(incarnation) {
                        self.oracle.released(incarnation, key, lease.lease, lease.held);
                    }
                }
            }
        }
        Ok(())
    }

    /// Another process takes a node's place.
    fn replace(&mut self, node: usize) -> Node {
        self.incarnations += 1;
        let incarnation = if removed(Rule::FreshIncarnation) { self.nodes[node].incarnation } else { self.incarnations };
        let new = Node::new(incarnation, self.plan.workers, self.plan.slots, &mut self.rng);
        let old = std::mem::replace(&mut self.nodes[node], new);
        self.stopped[node] = 0;
        self.tick_all(node);
        old
    }

    /// What the ledger's clocks show.
    fn clocks(&self) -> Clocks {
        Clocks { wall: self.wall(self.ledger_ahead), passed: ledger_time(self.now) }
    }

    /// What a wall clock shows that is so far ahead.
    const fn wall(&self, ahead: i64) -> u64 {
        ledger_time(self.now).saturating_add_signed(ahead)
    }

    /// Notes the limits of the windows that are in force.
    fn limits_in_force(&mut self) {
        let now = self.clocks().wall;
        let limits: Vec<(Quota, u64)> = self.ledger.limits.iter().map(|(quota, units)| (*quota, *units)).collect();
        for (quota, units) in limits {
            let key = self.ledger.row(quota, now);
            self.oracle.limit(key, units);
            // What is granted ahead is granted under the limit that is in force then.
            if let Some(following) = self.ledger.after(key) {
                self.oracle.limit(following, units);
            }
        }
    }

    fn tell(&mut self, quota: Quota, news: News) {
        let revision = self.ledger.revision;
        for node in 0..self.plan.nodes {
            let at = self.now.max(self.cut[node]) + self.rng.u64(1..300) * MS;
            self.at(at, Step::Told { node, quota, news, revision });
        }
    }

    fn request(&mut self, node: usize, consumer: usize, from: u64) -> Result<(), Broken> {
        let of = &self.plan.consumers[consumer];
        let calm = self.calm();
        // In the calm everybody wants more than there may be left: the mean gap is short.
        let rate = if calm { of.rate.max(40) } else { of.rate };
        let gap = self.rng.u64(0..2 * SECOND / rate);
        self.at(self.now + gap, Step::Request { node, consumer, from });
        let silent = if calm { node > 0 && !self.plan.all_ask } else { self.now < self.silent_until[consumer] };
        if silent || self.now < self.stopped[node] {
            return Ok(());
        }
        self.ran.requests += 1;
        let cost = of.costs[self.rng.usize(0..of.costs.len())];
        let worker = self.rng.usize(0..self.plan.workers);
        if self.plan.unknown_keys > 0 && self.rng.u64(0..self.plan.unknown_keys) == 0 {
            self.nodes[node].first(worker, consumer, cost, &self.known, self.now);
        }
        self.nodes[node].request(worker, consumer, cost, &self.known, self.now);
        self.after(node, None)
    }

    fn tick(&mut self, node: usize, incarnation: u64, worker: usize) -> Result<(), Broken> {
        let stopped = if self.nodes[node].incarnation == incarnation { self.stopped[node] } else { 0 };
        let next = (self.now + TICK_EVERY).max(stopped);
        if self.nodes[node].incarnation == incarnation && !self.old.iter().any(|old| old.incarnation == incarnation) {
            if self.now >= stopped {
                self.nodes[node].tick(worker, &self.known, self.now);
            }
            self.at(next, Step::Tick { node, incarnation, worker });
            return self.after(node, None);
        }
        if let Some(old) = self.old.iter().position(|old| old.incarnation == incarnation) {
            self.old[old].tick(worker, &self.known, self.now);
            self.at(next, Step::Tick { node, incarnation, worker });
            return self.after(node, Some(old));
        }
        Ok(())
    }

    /// What a node did in its last step goes on: calls to the network, admitted units to the oracle.
    fn after(&mut self, node: usize, old: Option<usize>) -> Result<(), Broken> {
        let it = match old {
            Some(old) => &mut self.old[old],
            None => &mut self.nodes[node],
        };
        let incarnation = it.incarnation;
        let stranded = it.newly_stranded();
        let (calls, judged) = (std::mem::take(&mut it.calls), std::mem::take(&mut it.judged));
        let (into, period) = (ledger_time(self.now) % self.plan.period, self.plan.period);
        // Nodes take a window for over a moment before the ledger does.
        let near_boundary = self.now < TROUBLE && (into < 6_000 || into + 1_000 > period) || self.now.abs_diff(TROUBLE) < 6 * SECOND;
        if !near_boundary {
            if stranded > 0 && self.ledger.traces {
                println!("{:>6} ms  node {incarnation}: {stranded} units are lost in a worker's hands", ledger_time(self.now));
            }
            self.stranded += stranded;
        }
        for judged in judged {
            self.ran.admitted += 1;
            let cost = u64::from(judged.cost);
            for (limit, lease) in judged.leases.iter().enumerate() {
                let quota = (judged.consumer, limit);
                match (self.rates.get(&quota), *lease) {
                    (Some(_), 0) => {}
                    (Some(rate), _) => self.oracle.rated(quota, rate, cost, self.now)?,
                    (None, 0) => self.oracle.passed(quota, cost, self.now),
                    (None, lease) => self.oracle.spent((incarnation, lease, quota), cost, self.wall(self.ledger_furthest))?,
                }
            }
        }
        for call in calls {
            self.ran.calls += 1;
            let world = self.now;
            if call.report {
                self.oracle.reported(incarnation, world)?;
            }
            for ask in &call.asks {
                let quota = self.ledger.names.get(&(ask.consumer.clone(), ask.limit.clone())).copied().unwrap_or_default();
                self.oracle.asked(incarnation, quota, world)?;
            }
            self.order += 1;
            let number = self.order;
            let first = matches!(call.purpose, Purpose::First { .. });
            self.calls.insert(number, Sent { node: incarnation, purpose: call.purpose, asks: call.asks, answered: false });
            self.at(world + TIMEOUT, Step::TimedOut { call: number });
            let message = Message { incarnation, report: call.report, first, body: call.body, call: number };
            for delay in self.fate(node) {
                self.at(world + delay, Step::ToLedger(message.clone()));
            }
        }
        Ok(())
    }

    /// When copies of a message arrive.
    fn fate(&mut self, node: usize) -> Vec<u64> {
        let network = self.plan.network;
        if self.calm() {
            return vec![self.rng.u64(0..network.delay)];
        }
        if self.now < self.cut[node] || self.rng.u64(0..1_000) < network.lost {
            return Vec::new();
        }
        let copies = 1 + usize::from(self.rng.u64(0..1_000) < network.doubled);
        (0..copies)
            .map(|_| {
                let late = self.rng.u64(0..1_000) < network.late;
                self.rng.u64(0..if late { network.lateness } else { network.delay })
            })
            .collect()
    }

    fn begin(&mut self) {
        if self.ledger_down || self.now < self.ledger_stops {
            return;
        }
        self.limits_in_force();
        if self.ledger.begin(self.clocks()) {
            self.limits_in_force();
            for (call, body) in self.ledger.premature() {
                self.answer(call, &body);
            }
            let at = self.now + self.rng.u64(1..self.plan.network.commit);
            self.at(at, Step::Committed(self.life));
        }
    }

    fn committed(&mut self) -> Result<(), Broken> {
        let (entries, answers, news) = self.ledger.commit();
        for entry in &entries {
            self.oracle.judged(entry)?;
        }
        self.oracle.adds_up(&self.ledger)?;
        for (key, row) in &self.ledger.working.rows {
            self.oracle.free(*key, row.free(), self.now);
        }
        for (call, body) in answers {
            self.answer(call, &body);
        }
        for (quota, news) in news {
            self.ledger.revision += 1;
            self.tell(quota, news);
        }
        let at = self.now.max(self.ledger_stops);
        self.at(at, Step::Begin);
        Ok(())
    }

    fn answer(&mut self, call: u64, body: &[u8]) {
        let node = self.calls.get(&call).and_then(|sent| self.nodes.iter().position(|node| node.incarnation == sent.node)).unwrap_or(0);
        for delay in self.fate(node) {
            self.at(self.now + delay, Step::ToNode { call, body: body.to_vec() });
        }
    }

    fn reaches_node(&mut self, call: u64, body: &[u8]) -> Result<(), Broken> {
        let Some(sent) = self.calls.get_mut(&call) else { return Ok(()) };
        let (incarnation, purpose, asks) = (sent.node, sent.purpose.clone(), sent.asks.clone());
        let old = self.old.iter().position(|node| node.incarnation == incarnation);
        let new = self.nodes.iter().position(|node| node.incarnation == incarnation);
        if let (Some(node), None) = (new, old)
            && self.now < self.stopped[node]
        {
            self.at(self.stopped[node], Step::ToNode { call, body: body.to_vec() });
            return Ok(());
        }
        sent.answered = true;
        let it = match (old, new) {
            (Some(old), _) => &mut self.old[old],
            (None, Some(new)) => &mut self.nodes[new],
            (None, None) => return Ok(()),
        };
        let mut adopted = Vec::new();
        let hears = |ask: &LeaseAsk, window: u64| adopted.push((ask.clone(), window));
        it.answered(&purpose, body, &self.known, self.now, hears, &asks);
        for (ask, window) in adopted {
            if let Some(quota) = self.ledger.names.get(&(ask.consumer, ask.limit)) {
                self.oracle.adopted(incarnation, ask.lease, (*quota, window));
            }
        }
        self.after(new.unwrap_or(0), old)
    }

    fn timed_out(&mut self, call: u64) -> Result<(), Broken> {
        let Some(sent) = self.calls.get(&call).filter(|sent| !sent.answered) else { return Ok(()) };
        let it = self.nodes.iter_mut().chain(&mut self.old).find(|node| node.incarnation == sent.node);
        if let Some(it) = it {
            it.unanswered(&sent.purpose, self.now);
        }
        Ok(())
    }

    fn told(&mut self, node: usize, quota: Quota, news: News, revision: u64) -> Result<(), Broken> {
        self.nodes[node].told(quota, news, revision, &self.known, self.now);
        self.after(node, None)
    }

    /// After the calm all of each quota is spent that anybody can have, and all that was let pass is known.
    fn end(mut self) -> Result<Ran, Broken> {
        let now = self.clocks().wall;
        let living: Vec<u64> = self.nodes.iter().map(|node| node.incarnation).collect();
        let stranded: u64 = self.nodes.iter().map(Node::stranded).sum();
        let network = self.plan.network;
        let faultless = self.plan.events.is_empty() && network.lost + network.doubled + network.late == 0;
        for (consumer, of) in self.plan.consumers.iter().enumerate() {
            let keys: Vec<_> = (0..of.limits.len()).map(|limit| self.ledger.row((consumer, limit), now)).collect();
            let rows: Vec<_> = keys.iter().filter_map(|key| self.ledger.working.rows.get(key).copied()).collect();
            let smallest = of.costs.iter().copied().min().map_or(1, u64::from);
            self.ran.silent += keys.iter().map(|key| self.oracle.burnt(*key, &living)).sum::<u64>();
            for (limit, row) in rows.iter().enumerate() {
                let refused = self.nodes.iter().filter_map(|node| node.refused.get(&(consumer, limit)).copied());
                let refused = refused.filter(|(_, at)| *at > TROUBLE + CALM - SECOND).map(|(cost, _)| u64::from(cost)).min();
                let free = keys.get(limit).map_or(0, |key| self.oracle.free_for(*key, 3 * SECOND, self.now));
                if let Some(cost) = refused.filter(|cost| free >= *cost) {
                    return Err(format!("consumer {consumer}: {cost} units are refused, and {row:?} has them"));
                }
            }
            let most = rows.iter().map(|row| row.limit).min().unwrap_or(0);
            if let ([row], [key], true) =
                (rows.as_slice(), keys.as_slice(), faultless && of.rates.is_empty() && self.wanted(consumer) > most)
            {
                let left = row.limit.saturating_sub(self.oracle.spent_of(*key) + row.overage);
                if left >= smallest + stranded {
                    return Err(format!("consumer {consumer}: nothing went wrong, and {left} units of {row:?} are left"));
                }
            }
            self.overages(consumer)?;
            self.rates_are_used(consumer)?;
        }
        self.nothing_is_lost()?;
        Ok(self.ran)
    }

    /// No unit is lost in a worker's hands, unless it died, a window ended, or slots were too few for those who shared them.
    fn nothing_is_lost(&self) -> Result<(), Broken> {
        let dies = |event: &Event| matches!(event, Event::Crash(_) | Event::HotRestart(_) | Event::Trap(..) | Event::Release);
        let rows: usize = self.plan.consumers.iter().map(|consumer| consumer.modes.len()).sum();
        // With a rate's account, its leases are lost.
        let forgets = |event: &Event| matches!(event, Event::LedgerCrash(_)) && !self.rates.is_empty();
        // Where its clock is set, a window ends at any time.
        let clock = |event: &Event| matches!(event, Event::LedgerClock(_));
        if self.stranded == 0 || rows > 16 || self.plan.events.iter().any(|(_, event)| dies(event) || forgets(event) || clock(event)) {
            return Ok(());
        }
        Err(format!("{} units were lost in workers' hands, and nobody died", self.stranded))
    }

    /// What was let pass is known to the ledger, unless a process or a VM died with it.
    fn overages(&self, consumer: usize) -> Result<(), Broken> {
        let dies = |event: &Event| matches!(event, Event::Crash(_) | Event::HotRestart(_) | Event::Trap(..));
        let lost = self.plan.events.iter().any(|(_, event)| dies(event));
        for limit in 0..self.plan.consumers[consumer].limits.len() {
            let (passed, lately) = self.oracle.passed_of((consumer, limit));
            let rows = self.ledger.working.rows.iter().filter(|((quota, _), _)| *quota == (consumer, limit));
            let told: u64 = rows.map(|(_, row)| row.overage).sum();
            if told > passed || told + lately < passed && !lost {
                return Err(format!("quota {:?}: {passed} units were let pass, and {told} are known", (consumer, limit)));
            }
        }
        Ok(())
    }

    /// Where one rate is all there is, and much more is wanted, it is used almost in full.
    fn rates_are_used(&self, consumer: usize) -> Result<(), Broken> {
        let of = &self.plan.consumers[consumer];
        let ([rate @ Rate::TokenBucket(_)], []) = (of.rates.as_slice(), of.limits.as_slice()) else { return Ok(()) };
        let long = self.now - USED_FROM;
        let most = rate.refill(long);
        let used = self.oracle.rated_lately((consumer, 0));
        let costs = u64::from(of.costs.iter().copied().max().unwrap_or(1));
        // Where a second's units are few requests, what waits for a dear one is a good part of all.
        let cheap = rate.refill(SECOND) >= 4 * costs;
        if cheap && self.wanted(consumer) > 4 * most && used + 2 * costs < most / 10 * 8 {
            return Err(format!("consumer {consumer}: {used} units are admitted in {} ms, and {rate:?} has {most}", long / MS));
        }
        Ok(())
    }

    /// Units that were asked for in the calm, or somewhat less.
    fn wanted(&self, consumer: usize) -> u64 {
        let of = &self.plan.consumers[consumer];
        let mean = of.costs.iter().copied().map(u64::from).sum::<u64>() / of.costs.len() as u64;
        let nodes = if self.plan.all_ask { self.plan.nodes as u64 } else { 1 };
        of.rate.max(40) * mean * nodes * (CALM / SECOND - 6) / 2
    }
}

fn leased(consumer: &Consumer, limit: usize, mode: &str) -> Leased {
    let rate = limit.checked_sub(consumer.limits.len()).and_then(|rate| consumer.rates.get(rate));
    let counted = rate.map_or(Counted::Quota(Period::Day), |rate| Counted::Rate(*rate));
    let failure_mode = match mode {
        "allow" => FailureMode::Allow,
        "degrade" => FailureMode::Degrade,
        _ => FailureMode::Deny,
    };
    let degraded = (failure_mode == FailureMode::Degrade)
        .then(|| tollgate_core::bucket::TokenBucket::new(10, SECOND, 10).map(Rate::TokenBucket))
        .flatten();
    Leased { name: format!("q{limit}"), counted, routes: Routes::All, shadow: false, failure_mode, degraded }
}
