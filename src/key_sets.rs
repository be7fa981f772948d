//! Owns the keys of issuers on one worker: those of the configuration, and those that issuers publish. Must not know tokens.
//!
//! A published set is fetched by one worker for the node: whoever claims the fetch by compare-and-swap. It leaves what it got in shared
//! data, and every worker takes it over at its tick, or when it misses something. The last good set stays while a newer one cannot be had. Whoever meets a token of a
//! key that is not in the set may want another fetch; there is a pause between any two.

mod head;

use tollgate_core::issuer::{Keys, RemoteKeys};
use tollgate_core::jwk::{self, KeySet};
use tollgate_core::policy::Policy;
use tollgate_core::time::{Instant, SECOND};

use crate::call::{Answer, Call, CallError, Purpose, milliseconds};
use crate::counters::{Counter, Counters};
use crate::shared::{self, Broken, SharedData, Version};
use head::Head;

/// Requests that wait on a worker for the keys of an issuer.
const MOST_WAITERS: usize = 1_024;
/// Compare-and-swaps lost in a row before shared data counts as unusable.
const MOST_RETRIES: u32 = 16;
/// A fetch is given up so long after its timeout: the host should have said so before.
const GRACE: u64 = SECOND;

/// The keys of all issuers, by their position.
#[derive(Debug)]
pub struct KeySets {
    sets: Vec<Set>,
    calls: Vec<Call>,
}

#[derive(Debug)]
enum Set {
    Known(KeySet),
    Remote(Box<Remote>),
}

/// A set that is fetched.
#[derive(Debug)]
struct Remote {
    issuer: u16,
    settings: RemoteKeys,
    /// Where the head and the set are kept.
    head_key: String,
    set_key: String,
    /// What the workers share, as it was last seen.
    head: Head,
    /// The set, and its number; 0: there is none yet.
    set: KeySet,
    number: u64,
    /// Since when a newer set than this worker has is wanted.
    wanted: Option<Instant>,
    waiters: Vec<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    stream: u32,
    since: Instant,
    wish: Wish,
}

/// What is wanted of a set that is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Any set.
    Any,
    /// One with a key of this id.
    Key(String),
    /// Another than the one of this number, none of whose keys fits a token that names none.
    Other(u64),
}

/// Whether what is wanted will be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// It is: another worker had fetched it.
    There,
    /// It may be, soon.
    Coming,
    /// It is not: a fetch that began after it was wanted has not brought it.
    Missing,
    /// Nobody can know before so many nanoseconds have passed.
    Later(u64),
}

impl KeySets {
    /// The sets of a policy's issuers; nothing has been fetched yet.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let set = |(position, issuer): (usize, &tollgate_core::issuer::Issuer)| match &issuer.keys {
            Keys::Known(set) => Set::Known(set.clone()),
            Keys::Asked(_) => Set::Known(KeySet::default()),
            Keys::Remote(settings) => Set::Remote(Box::new(Remote::new(u16::try_from(position).unwrap_or(u16::MAX), settings.clone()))),
        };
        Self { sets: policy.tokens.issuers.iter().enumerate().map(set).collect(), calls: Vec::new() }
    }

    /// Whether any set is fetched, so that [`tick`](Self::tick) is needed.
    #[must_use]
    pub fn are_fetched(&self) -> bool {
        self.sets.iter().any(|set| matches!(set, Set::Remote(_)))
    }

    /// The keys of an issuer, and their number, if they can be trusted.
    #[must_use]
    pub fn get(&self, issuer: usize, now: Instant) -> Option<(&KeySet, u64)> {
        match self.sets.get(issuer)? {
            Set::Known(set) => Some((set, 0)),
            Set::Remote(remote) => remote.is_trusted(now).then_some((&remote.set, remote.number)),
        }
    }

    /// The number of an issuer's set, if it can be trusted: another set has another.
    #[must_use]
    pub fn number(&self, issuer: usize, now: Instant) -> Option<u64> {
        self.get(issuer, now).map(|(_, number)| number)
    }

    /// Something is wanted that is not in this worker's set of an issuer; it is taken over, or fetched anew where that may help. `since`:
    /// when the request began to wait for it, if it has waited.
    pub fn want(
        &mut self,
        issuer: usize,
        wish: &Wish,
        since: Option<Instant>,
        now: Instant,
        shared: &mut impl SharedData,
        counters: &mut Counters,
    ) -> Prospect {
        let Some(Set::Remote(remote)) = self.sets.get_mut(issuer) else {
            return Prospect::Missing;
        };
        // Where shared data cannot be used, the tick tries again, and counts it.
        let followed = remote.follow(now, shared, counters);
        if remote.has(wish, now) {
            return Prospect::There;
        }
        if since.is_some_and(|since| remote.was_fetched_since(since)) {
            return Prospect::Missing;
        }
        remote.wanted = Some(now);
        let _ = followed.and_then(|version| remote.fetch_if_due(version, now, shared, &mut self.calls));
        let (wait, deadline) = (remote.until_answered(now), remote.deadline(since.unwrap_or(now)));
        if now < deadline && now.after(wait) <= deadline { Prospect::Coming } else { Prospect::Later(wait) }
    }

    /// A request waits for what it wants, or has done so since then; `false` if it cannot.
    pub fn wait(&mut self, issuer: usize, wish: Wish, stream: u32, since: Instant) -> bool {
        match self.sets.get_mut(issuer) {
            Some(Set::Remote(remote)) if remote.waiters.len() < MOST_WAITERS => {
                remote.waiters.push(Waiter { stream, since, wish });
                true
            }
            Some(Set::Remote(_) | Set::Known(_)) | None => false,
        }
    }

    /// A request that waited has gone away.
    pub fn leave(&mut self, issuer: usize, stream: u32) {
        if let Some(Set::Remote(remote)) = self.sets.get_mut(issuer) {
            remote.waiters.retain(|waiter| waiter.stream != stream);
        }
    }

    /// Takes over what other workers have fetched, fetches what is due, and answers which requests need wait no longer.
    ///
    /// # Errors
    /// [`Broken`] if shared data cannot be used; what could be done is done.
    pub fn tick(&mut self, now: Instant, shared: &mut impl SharedData, counters: &mut Counters) -> (Vec<u32>, Result<(), Broken>) {
        let mut woken = Vec::new();
        let mut done = Ok(());
        for set in &mut self.sets {
            if let Set::Remote(remote) = set {
                let followed =
                    remote.follow(now, shared, counters).and_then(|version| remote.fetch_if_due(version, now, shared, &mut self.calls));
                done = done.and(followed);
                woken.extend(remote.wake(now));
            }
        }
        (woken, done)
    }

    /// Takes the answer to a fetch; answers which requests need wait no longer.
    pub fn heard(
        &mut self,
        issuer: u16,
        sent: Instant,
        answer: Answer<'_>,
        now: Instant,
        shared: &mut impl SharedData,
        counters: &mut Counters,
    ) -> (Vec<u32>, Option<CallError>) {
        let Some(Set::Remote(remote)) = self.sets.get_mut(usize::from(issuer)) else {
            return (Vec::new(), None);
        };
        let fetched = match answer {
            Answer::Whole(200, body) => KeySet::read(body).map(|_| body).map_err(CallError::NotASet),
            // The host makes these up where there is no answer.
            Answer::Whole(503 | 504, _) | Answer::Broken => Err(CallError::NoAnswer),
            Answer::Whole(status, _) => Err(CallError::Status(status)),
        };
        counters.count(if fetched.is_ok() { Counter::KeySetFetched } else { Counter::KeySetFailed });
        let error = fetched.err();
        let published = match fetched {
            Ok(body) => remote.publish(body, sent, shared),
            Err(_) => remote.change_head(shared, Head::failed),
        };
        // Where it cannot be shared, nobody has it; the next tick finds that out as well.
        let followed = published.and_then(|()| remote.follow(now, shared, counters));
        if followed.is_err() {
            counters.count(Counter::Degraded);
        }
        (remote.wake(now), error)
    }

    /// The calls to be made now.
    pub fn take_calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }
}

impl Remote {
    fn new(issuer: u16, settings: RemoteKeys) -> Self {
        // Issuers of one address share what is fetched, whatever they are called.
        let prefix = shared::prefix('j', &[&settings.cluster, &settings.authority, &settings.path]);
        Self {
            issuer,
            settings,
            head_key: format!("{prefix}/head"),
            set_key: format!("{prefix}/set"),
            head: Head::default(),
            set: KeySet::default(),
            number: 0,
            wanted: None,
            waiters: Vec::new(),
        }
    }

    fn is_trusted(&self, now: Instant) -> bool {
        self.number != 0 && now.since(Instant(self.head.fetched)) <= self.settings.max_staleness
    }

    /// Until when a request waits that began to then.
    const fn deadline(&self, since: Instant) -> Instant {
        since.after(self.settings.timeout)
    }

    /// How long it takes at most until a fetch that begins from now on, or is under way, may be answered; without its own time.
    fn until_answered(&self, now: Instant) -> u64 {
        if self.head.is_claimed(now) { 0 } else { self.head.earliest(self.settings.pause).since(now) }
    }

    /// Whether what is wanted is in the set, and that can be trusted.
    fn has(&self, wish: &Wish, now: Instant) -> bool {
        self.is_trusted(now)
            && match wish {
                Wish::Any => true,
                Wish::Key(id) => self.set.names(id),
                Wish::Other(old) => *old != self.number,
            }
    }

    /// Whether the set is what a fetch brought that began then or later.
    const fn was_fetched_since(&self, since: Instant) -> bool {
        self.number != 0 && self.number == self.head.number && self.head.fetched >= since.0
    }

    /// Fetches the set if that is due and nobody else does; the head is of this version.
    fn fetch_if_due(
        &mut self,
        version: Option<Version>,
        now: Instant,
        shared: &mut impl SharedData,
        calls: &mut Vec<Call>,
    ) -> Result<(), Broken> {
        let fetched = Instant(self.head.fetched);
        self.wanted = self.wanted.filter(|since| *since > fetched);
        let due = self.head.number == 0 || self.wanted.is_some() || now.since(fetched) >= self.settings.refresh;
        if !due || self.head.is_claimed(now) || now < self.head.earliest(self.settings.pause) {
            return Ok(());
        }
        let claimed = self.head.claimed(now, now.after(self.settings.timeout).after(GRACE));
        if shared.set(&self.head_key, &claimed.encode(), version)? {
            self.head = claimed;
            calls.push(Call {
                purpose: Purpose::KeySet { issuer: self.issuer, sent: now },
                method: "GET",
                path: self.settings.path.clone(),
                authorization: String::new(),
                body: Vec::new(),
                timeout_ms: milliseconds(self.settings.timeout),
            });
        }
        Ok(())
    }

    /// Leaves a good set for all workers.
    fn publish(&self, body: &[u8], sent: Instant, shared: &mut impl SharedData) -> Result<(), Broken> {
        let mut old = Vec::new();
        let version = shared.get(&self.set_key, &mut old)?;
        let (number, kept) = split(&old);
        let number = if kept.is_some_and(|kept| jwk::are_same(kept, body)) {
            number
        } else {
            let number = number.saturating_add(1);
            // Whoever was faster has a set as new as this one.
            shared.set(&self.set_key, &[&number.to_le_bytes(), body].concat(), version)?;
            number
        };
        self.change_head(shared, |head| head.succeeded(number, sent))
    }

    fn change_head(&self, shared: &mut impl SharedData, change: impl Fn(&Head) -> Head) -> Result<(), Broken> {
        for _ in 0..MOST_RETRIES {
            let (head, version) = self.read_head(shared)?;
            if shared.set(&self.head_key, &change(&head).encode(), version)? {
                return Ok(());
            }
        }
        Err(Broken)
    }

    /// The node's head, and its version; `None`: nobody has left one.
    fn read_head(&self, shared: &mut impl SharedData) -> Result<(Head, Option<Version>), Broken> {
        let mut value = Vec::new();
        let version = shared.get(&self.head_key, &mut value)?;
        let head = if version.is_some() { Head::decode(&value).ok_or(Broken)? } else { Head::default() };
        Ok((head, version))
    }

    /// Takes the node's set over, if it is another; the version of the head.
    fn follow(&mut self, now: Instant, shared: &mut impl SharedData, counters: &mut Counters) -> Result<Option<Version>, Broken> {
        let (head, version) = self.read_head(shared)?;
        self.head = head;
        // Nothing was fetched later than now, whatever stands there.
        self.head.fetched = self.head.fetched.min(now.0);
        if self.head.number == self.number {
            return Ok(version);
        }
        let mut value = Vec::new();
        shared.get(&self.set_key, &mut value)?;
        // A set under another number is on its way; the next tick has both.
        if let (number, Some(body)) = split(&value)
            && number == self.head.number
        {
            self.set = KeySet::read(body).map_err(|_| Broken)?;
            self.number = number;
            counters.count(Counter::KeySetChanged);
        }
        Ok(version)
    }

    /// Requests that need wait no longer: what they want is there, or a fetch that began after they came did not bring it, or none will
    /// be answered in time.
    fn wake(&mut self, now: Instant) -> Vec<u32> {
        if self.waiters.is_empty() {
            return Vec::new();
        }
        let until_answered = self.until_answered(now);
        let (ready, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiters).into_iter().partition(|waiter| {
            let deadline = self.deadline(waiter.since);
            let in_vain = now >= deadline || now.after(until_answered) > deadline;
            in_vain || self.has(&waiter.wish, now) || self.was_fetched_since(waiter.since)
        });
        self.waiters = waiting;
        ready.into_iter().map(|waiter| waiter.stream).collect()
    }
}

/// The number and the body of a shared set; no body: there is none.
fn split(value: &[u8]) -> (u64, Option<&[u8]>) {
    match value.split_first_chunk::<8>() {
        Some((number, body)) => (u64::from_le_bytes(*number), Some(body)),
        None => (0, None),
    }
}

#[cfg(test)]
mod tests;
