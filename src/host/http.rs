//! Owns a request's way through the callbacks: it asks the gate and carries out what the gate says. Must not judge by itself.

use std::net::IpAddr;

use tollgate_core::access::parse_source;
use tollgate_core::time::Instant;
use tollgate_core::verdict::Reason;

use crate::admission::{Awaited, Denial, Edit, Gate, Node, Permit, Verdict, Waited};
use crate::backend::{Nonce, Taken};
use crate::counters::Counter;
use crate::head::Head;
use crate::host::abi::{Action, Buffer, HostError, Level, Map};
use crate::host::root::HostShared;
use crate::host::{Vm, abi, monotonic, with_vm};
use crate::identity::Identity;
use crate::reply::{self, Answer, Replies};

/// Woken requests that are judged in one callback. The host answers those that are denied after it, each from within the end of the one
/// before: with about 300 the virtual machine's stack is full.
const MOST_AT_ONCE: usize = 64;
/// For so many nanoseconds at most: other requests of the worker wait meanwhile, and each check of a signature may cost milliseconds.
const LONGEST_AT_ONCE: u64 = 2_000_000;

/// A request in flight.
pub(super) struct Stream {
    root: u32,
    /// What it was admitted with, where that matters later; `None` before, and for one answered here.
    permit: Option<Permit>,
    /// What is known of its body.
    body: Body,
    /// Whether one follows the headers.
    has_body: bool,
    /// Whether its nonce is asked for: nothing passes before it is known to be its own.
    asks: bool,
    /// What it waits for.
    waits: Option<Awaited>,
    /// What it has waited for, that included.
    waited: Waited,
    /// The wall clock when it was judged, in nanoseconds since 1970.
    wall: u64,
}

/// A request's body, where it may have to be compared with a digest before the proxy passes anything on.
#[derive(Clone, Copy, Default)]
struct Body {
    state: Held,
    /// The bytes that are there.
    size: usize,
    /// Whether that is all.
    ended: bool,
}

/// What is to be done with a request's body.
#[derive(Clone, Copy, Default)]
enum Held {
    /// The request is not judged yet.
    #[default]
    Undecided,
    /// It passes as it comes.
    Free,
    /// The request is admitted if this is the signed one.
    Awaited,
    /// The request was answered here: nothing of it goes on.
    Refused,
}

impl Node for HostShared {
    fn source_address(&mut self) -> Option<IpAddr> {
        *self.client.get_or_insert_with(|| {
            let mut address = Vec::new();
            abi::property("source\0address", &mut address).ok()?.then(|| parse_source(&address))?
        })
    }
}

pub(super) fn create(context: u32, root: u32) {
    with_vm((), |vm| {
        vm.streams.insert(
            context,
            Stream {
                root,
                permit: None,
                body: Body::default(),
                has_body: false,
                asks: false,
                waits: None,
                waited: Waited::default(),
                wall: 0,
            },
        );
    });
}

pub(super) fn delete(context: u32) {
    with_vm((), |vm| {
        if let Some(Stream { root, waits: Some(awaited), .. }) = vm.streams.remove(&context)
            && let Some((gate, _)) = vm.roots.get_mut(&root).and_then(|root| root.gate.as_mut())
        {
            gate.leave(&awaited, context);
        }
    });
}

pub(super) fn request_headers(context: u32, has_body: bool) -> Action {
    // Whatever goes wrong, the request does not pass.
    with_vm(Action::Hold, |vm| {
        if let Some(stream) = vm.streams.get_mut(&context) {
            stream.has_body = has_body;
        }
        judge(vm, context)
    })
}

/// A part of the body came, or its end. Nothing passes as long as the request may still be denied.
pub(super) fn request_body(context: u32, size: usize, ends: bool) -> Action {
    with_vm(Action::Pause, |vm| arrived(vm, context, Some(size), ends))
}

fn arrived(vm: &mut Vm, context: u32, size: Option<usize>, ends: bool) -> Action {
    let Some(stream) = vm.streams.get_mut(&context) else {
        return Action::Pause;
    };
    let body = &mut stream.body;
    (body.size, body.ended) = (size.unwrap_or(body.size), ends);
    match body.state {
        Held::Free if stream.asks => Action::Pause,
        Held::Free => Action::Continue,
        Held::Awaited => compare(vm, context),
        Held::Undecided | Held::Refused => Action::Pause,
    }
}

/// Compares a body with what was signed, once it is whole.
fn compare(vm: &mut Vm, context: u32) -> Action {
    let Vm { roots, streams, header_map, .. } = vm;
    let stream = streams.get_mut(&context);
    let root = stream.as_ref().and_then(|stream| roots.get_mut(&stream.root));
    let (Some(stream), Some((gate, replies))) = (stream, root.and_then(|root| root.gate.as_mut())) else {
        return Action::Pause;
    };
    let Body { size, ended, .. } = stream.body;
    if !ended {
        return Action::Pause;
    }
    let mut body = Vec::new();
    let read = size == 0 || abi::buffer(Buffer::Request, size, &mut body).is_ok_and(|()| body.len() == size);
    let verdict = match &stream.permit {
        Some(permit) if read => gate.check_body(permit, &body, monotonic(), &mut HostShared::default()),
        Some(_) | None => {
            gate.counters.count(Counter::HostError);
            Some(Denial { reason: Reason::Unavailable, route: None, identity: None, wait: None, limited: None })
        }
    };
    let Some(denial) = verdict else {
        stream.body.state = Held::Free;
        return if stream.asks { Action::Pause } else { Action::Continue };
    };
    refuse(gate, replies, stream, header_map, &denial);
    Action::Pause
}

/// Answers a request that was admitted already.
fn refuse(gate: &mut Gate, replies: &Replies, stream: &mut Stream, header_map: &mut Vec<u8>, denial: &Denial) {
    (stream.body.state, stream.permit) = (Held::Refused, None);
    let head = abi::header_map(Map::Request, header_map).map_err(|_| ()).and_then(|()| gate.read(header_map).map_err(|_| ()));
    match head {
        Ok(head) => deny(gate, replies, &head, denial, stream.wall),
        Err(()) => refuse_unjudged(),
    };
}

/// Lets a request go on whose nonce is its own, unless its body is still to come, and answers any other.
fn taken(vm: &mut Vm, context: u32, taken: Taken) {
    let Vm { roots, streams, header_map, .. } = vm;
    let Some(stream) = streams.get_mut(&context).filter(|stream| stream.asks) else {
        return;
    };
    let Some((gate, replies)) = roots.get_mut(&stream.root).and_then(|root| root.gate.as_mut()) else {
        return;
    };
    stream.asks = false;
    let denial = match (&stream.permit, stream.body.state) {
        (_, Held::Refused) => return,
        (Some(permit), Held::Free | Held::Awaited) => gate.not_taken(permit, taken, &mut HostShared::default()),
        (_, Held::Undecided) | (None, _) => {
            Some(Denial { reason: Reason::Unavailable, route: None, identity: None, wait: None, limited: None })
        }
    };
    match (denial, stream.body.state) {
        (Some(denial), _) => refuse(gate, replies, stream, header_map, &denial),
        (None, Held::Free) => go_on(),
        (None, _) => {}
    }
}

fn go_on() {
    if let Err(error) = abi::continue_request() {
        // It ends with the proxy's idle timeout.
        abi::log(Level::Error, &format!("tollgate: a request cannot go on: {error}"));
    }
}

/// Judges requests of a root that need wait no longer, and lets go on or answers each; as many as one callback may, the rest at the next
/// tick.
pub(super) fn wake(vm: &mut Vm, root: u32) {
    let began = monotonic();
    for _ in 0..MOST_AT_ONCE {
        if monotonic().since(began) >= LONGEST_AT_ONCE {
            break;
        }
        if let Some((context, outcome)) = vm.roots.get_mut(&root).and_then(|root| root.taken.pop_front()) {
            if abi::set_effective_context(context).is_ok() {
                taken(vm, context, outcome);
            }
            continue;
        }
        let Some(context) = vm.roots.get_mut(&root).and_then(|root| root.woken.pop_front()) else {
            break;
        };
        let waited = vm.streams.get_mut(&context).and_then(|stream| stream.waits.take()).is_some();
        if !waited || abi::set_effective_context(context).is_err() {
            continue;
        }
        let judged = match judge(vm, context) {
            // Its whole body may be there already.
            Action::Pause => arrived_before(vm, context),
            judged @ (Action::Continue | Action::Hold) => judged,
        };
        if matches!(judged, Action::Continue) {
            go_on();
        }
    }
    if let Some(root) = vm.roots.get_mut(&root) {
        root.tick_as_needed();
    }
}

fn arrived_before(vm: &mut Vm, context: u32) -> Action {
    match vm.streams.get(&context).map(|stream| stream.body.state) {
        Some(Held::Awaited) => compare(vm, context),
        Some(Held::Undecided | Held::Free | Held::Refused) | None => Action::Pause,
    }
}

fn judge(vm: &mut Vm, context: u32) -> Action {
    let Vm { roots, streams, header_map, .. } = vm;
    let stream = streams.get_mut(&context);
    let root = stream.as_ref().and_then(|stream| roots.get_mut(&stream.root));
    let (Some(stream), Some(root)) = (stream, root) else {
        return refuse_unjudged();
    };
    let now = monotonic();
    let wall = root.wall(now);
    let Some((gate, replies)) = &mut root.gate else {
        return refuse_unjudged();
    };
    let judged = abi::header_map(Map::Request, header_map).map_err(|_| ()).and_then(|()| gate.read(header_map).map_err(|_| ()));
    let Ok(mut head) = judged else {
        gate.counters.count(Counter::HostError);
        return refuse_unjudged();
    };
    head.has_body = stream.has_body;
    let action = match gate.judge(&head, stream.waited, now, wall, &mut HostShared::default()) {
        Verdict::Admit(permit) => match admit(gate, &permit, &head) {
            Ok(()) => {
                stream.wall = wall;
                let awaits = permit.body.is_some();
                stream.body.state = if awaits { Held::Awaited } else { Held::Free };
                stream.asks = permit.nonce.is_some();
                let nonce = permit.nonce;
                stream.permit = (awaits || stream.asks || permit.limited.is_some()).then_some(permit);
                match nonce {
                    None if awaits => Action::Pause,
                    None => Action::Continue,
                    Some(nonce) => ask(gate, replies, stream, &head, (nonce, context), now),
                }
            }
            Err(error) => {
                gate.counters.count(Counter::HostError);
                abi::log(Level::Error, &format!("tollgate: a request cannot be passed on: {error}"));
                let denial = Denial { reason: Reason::Unavailable, route: Some(permit.route), identity: None, wait: None, limited: None };
                deny(gate, replies, &head, &denial, wall)
            }
        },
        Verdict::Deny(denial) => deny(gate, replies, &head, &denial, wall),
        Verdict::Wait(awaited, _) if gate.wait(&awaited, context) => {
            stream.waited.add(&awaited);
            stream.waits = Some(awaited);
            // The headers must be held in the way in which a body that is to be compared can be waited for.
            if stream.has_body && gate.policy().checks_bodies() { Action::Pause } else { Action::Hold }
        }
        Verdict::Wait(_, denial) => {
            gate.counters.count(Counter::Denied(denial.reason));
            deny(gate, replies, &head, &denial, wall)
        }
    };
    if matches!(action, Action::Hold) && stream.waits.is_none() && !stream.asks {
        stream.body.state = Held::Refused;
    }
    root.tick_as_needed();
    root.call_out(stream.root, Some(context));
    action
}

/// Asks whether a nonce is a request's own.
fn ask(gate: &mut Gate, replies: &Replies, stream: &mut Stream, head: &Head<'_>, (nonce, context): (Nonce, u32), now: Instant) -> Action {
    if gate.take(nonce, context, now) {
        // As for anything else that is waited for.
        return if matches!(stream.body.state, Held::Awaited) { Action::Pause } else { Action::Hold };
    }
    stream.asks = false;
    let permit = stream.permit.take();
    let denial = permit.and_then(|permit| gate.not_taken(&permit, Taken::Unknown, &mut HostShared::default()));
    let denial = denial.unwrap_or(Denial { reason: Reason::Unavailable, route: None, identity: None, wait: None, limited: None });
    deny(gate, replies, head, &denial, stream.wall)
}

/// Trailers may carry what headers may not: claims to an identity, and credentials.
pub(super) fn request_trailers(context: u32) -> Action {
    // Held back if they cannot be cleaned.
    with_vm(Action::Pause, |vm| {
        let Vm { roots, streams, header_map, .. } = vm;
        let root = streams.get(&context).and_then(|stream| roots.get_mut(&stream.root));
        let Some((gate, _)) = root.and_then(|root| root.gate.as_mut()) else {
            return Action::Pause;
        };
        let read = abi::header_map(Map::RequestTrailers, header_map).is_ok();
        let cleaned = read
            && gate
                .read(header_map)
                .is_ok_and(|trailers| gate.misplaced(&trailers).all(|name| abi::remove_header(Map::RequestTrailers, name).is_ok()));
        if cleaned {
            arrived(vm, context, None, true)
        } else {
            gate.counters.count(Counter::HostError);
            Action::Pause
        }
    })
}

pub(super) fn response_headers(context: u32) -> Action {
    with_vm(Action::Continue, |vm| {
        let Vm { roots, streams, header_map, .. } = vm;
        let Some(stream) = streams.get_mut(&context) else {
            return Action::Continue;
        };
        let gate = roots.get_mut(&stream.root).and_then(|root| root.gate.as_mut());
        let (Some(mut permit), Some((gate, _))) = (stream.permit.take(), gate) else {
            return Action::Continue;
        };
        if gate.charge_depends_on_status(&permit)
            && let Ok(true) = abi::header(Map::Response, ":status", header_map)
            && let Some(status) = std::str::from_utf8(header_map).ok().and_then(|text| text.parse().ok())
        {
            gate.answered(&mut permit, status, monotonic(), &mut HostShared::default());
        }
        if let Some(limited) = &permit.limited {
            let mut failed = 0;
            reply::limit_headers(gate.policy(), gate.tiers(), limited, stream.wall, |name, value| {
                failed += u64::from(abi::set_header(Map::Response, name, value.as_bytes()).is_err());
            });
            gate.counters.add(Counter::HostError, failed);
        }
        Action::Continue
    })
}

fn admit(gate: &Gate, permit: &Permit, head: &Head<'_>) -> Result<(), HostError> {
    for edit in gate.edits(permit, head) {
        match edit {
            Edit::Remove(name) => abi::remove_header(Map::Request, name)?,
            Edit::Add(name, value) => abi::add_header(Map::Request, name, value)?,
        }
    }
    redact(gate, head)?;
    if gate.policy().filter_state {
        filter_state(gate, Some(permit.route), permit.identity.as_deref(), "admitted")?;
    }
    Ok(())
}

fn deny(gate: &mut Gate, replies: &Replies, head: &Head<'_>, denial: &Denial, wall: u64) -> Action {
    let told = redact(gate, head).and_then(|()| {
        if gate.policy().filter_state { filter_state(gate, denial.route, denial.identity.as_deref(), denial.reason.code()) } else { Ok(()) }
    });
    let answer = replies.denial(gate.policy(), gate.tiers(), head, denial, wall);
    // The answer goes out even if the log cannot be told.
    if send(&answer, denial.reason).and(told).is_err() {
        gate.counters.count(Counter::HostError);
    }
    Action::Hold
}

/// Answers a request that could not even be read.
fn refuse_unjudged() -> Action {
    let reason = Reason::Unavailable;
    let headers = vec![("retry-after", "1".to_owned())];
    let body = reason.message().to_owned();
    let answer = Answer { status: reply::status(reason), grpc_status: Some(reply::grpc_status(reason)), headers, body };
    if let Err(error) = send(&answer, reason) {
        abi::log(Level::Error, &format!("tollgate: a request cannot be answered: {error}"));
    }
    Action::Hold
}

/// Takes a credential out of the target before anybody logs it.
fn redact(gate: &Gate, head: &Head<'_>) -> Result<(), HostError> {
    match gate.redacted_target(head) {
        Some(target) => abi::set_header(Map::Request, ":path", &target),
        None => Ok(()),
    }
}

fn filter_state(gate: &Gate, route: Option<u16>, identity: Option<&Identity>, verdict: &str) -> Result<(), HostError> {
    let policy = gate.policy();
    abi::set_property("tollgate.verdict", verdict.as_bytes())?;
    if let Some(route) = route.and_then(|position| policy.routes.get(usize::from(position))) {
        abi::set_property("tollgate.route", route.name.as_bytes())?;
    }
    if let Some(identity) = identity {
        abi::set_property("tollgate.consumer", identity.consumer.id.as_bytes())?;
        abi::set_property("tollgate.credential", identity.credential.as_bytes())?;
        abi::set_property("tollgate.tier", gate.tier_name(identity).as_bytes())?;
    }
    Ok(())
}

fn send(answer: &Answer, reason: Reason) -> Result<(), HostError> {
    let details = format!("tollgate_{}", reason.code());
    let headers: Vec<(&str, &str)> = answer.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    abi::send_local_response(answer.status, &details, &answer.body, &headers, answer.grpc_status)
}
