//! Owns what the node has to tell the backend: it is gathered by all workers, sent by one, kept until acknowledged, and applied once.
//! Must not know why something is told.
//!
//! One value in shared data holds the number of the last report, the frozen report of that number until it is acknowledged, and what has been
//! gathered since. A report that was sent is never changed.

use hashbrown::HashMap;
use tollgate_core::policy;
use tollgate_core::time::Instant;
use tollgate_core::wire::{self, Acknowledged, MOST_USED, Report, Used};

use super::pace::Pace;
use crate::call::{Answer, Call, CallError, Purpose, milliseconds};
use crate::shared::{Broken, SharedData};

/// How often the node reports at most.
const REPORT_EVERY: u64 = 1_000_000_000;
/// How often a worker hands over what it has noted.
const SPILL_EVERY: u64 = 250_000_000;
/// A lost swap is tried again so often; what is left waits for the next time.
const MOST_RETRIES: u32 = 8;

/// This worker's part in the reports.
#[derive(Debug)]
pub(super) struct Reporter {
    key: String,
    /// Credentials used on this worker, with the wall clock's milliseconds, until they are handed over.
    used: HashMap<String, u64>,
    spilled: Instant,
    pace: Pace,
}

/// What the workers share.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outbox {
    /// The number of the last report.
    sequence: u64,
    /// That report, while it is not acknowledged.
    frozen: Vec<u8>,
    /// What the next one will say, in the report's own form.
    open: Vec<Used>,
}

impl Reporter {
    pub(super) fn new(prefix: &str) -> Self {
        Self { key: format!("{prefix}/report"), used: HashMap::new(), spilled: Instant(0), pace: Pace::default() }
    }

    /// Notes that a credential was used; `false` if there is no room for it now.
    pub(super) fn note(&mut self, credential: &str, wall: u64) -> bool {
        let room = self.used.len() < MOST_USED || self.used.contains_key(credential);
        if room {
            self.used.insert(credential.to_owned(), wall / 1_000_000);
        }
        room
    }

    /// Hands over what this worker has noted.
    pub(super) fn spill(&mut self, now: Instant, shared: &mut impl SharedData) -> Result<(), Broken> {
        if self.used.is_empty() || now.since(self.spilled) < SPILL_EVERY {
            return Ok(());
        }
        self.spilled = now;
        let noted = std::mem::take(&mut self.used);
        let mut left = HashMap::new();
        let handed_over = exchange(&self.key, shared, |outbox| {
            left.clear();
            let mut open: HashMap<&str, u64> = outbox.open.iter().map(|used| (used.credential.as_str(), used.at_ms)).collect();
            for (credential, at) in &noted {
                if open.len() < MOST_USED || open.contains_key(credential.as_str()) {
                    let newest = open.entry(credential).or_default();
                    *newest = (*newest).max(*at);
                } else {
                    left.insert(credential.clone(), *at);
                }
            }
            let mut open: Vec<Used> =
                open.into_iter().map(|(credential, at_ms)| Used { credential: credential.to_owned(), at_ms }).collect();
            open.sort_unstable_by(|one, other| one.credential.cmp(&other.credential));
            outbox.open = open;
            true
        });
        self.used = if handed_over == Ok(true) { left } else { noted };
        handed_over.map(|_| ())
    }

    /// The report to send, if there is one and it is time.
    pub(super) fn next_call(
        &mut self,
        settings: &policy::Backend,
        authorization: &str,
        now: Instant,
        shared: &mut impl SharedData,
    ) -> Result<Option<Call>, Broken> {
        if !self.pace.may(now) {
            return Ok(None);
        }
        let mut report = None;
        exchange(&self.key, shared, |outbox| {
            let freezes = outbox.frozen.is_empty() && !outbox.open.is_empty();
            if freezes {
                outbox.sequence = outbox.sequence.saturating_add(1);
                let frozen = Report { sequence: outbox.sequence, used: std::mem::take(&mut outbox.open), ..Report::default() };
                outbox.frozen = wire::encode(&frozen).unwrap_or_default();
            }
            report = (!outbox.frozen.is_empty()).then(|| (outbox.sequence, outbox.frozen.clone()));
            freezes
        })?;
        let Some((sequence, body)) = report else {
            self.pace.succeeded(now, REPORT_EVERY);
            return Ok(None);
        };
        let timeout_ms = milliseconds(settings.timeout);
        self.pace.started(now, timeout_ms);
        Ok(Some(Call {
            purpose: Purpose::Report { sequence, sent: now },
            method: "POST",
            path: "/internal/v1/reports".to_owned(),
            authorization: authorization.to_owned(),
            body,
            timeout_ms,
        }))
    }

    /// Takes the answer to a report.
    pub(super) fn reported(
        &mut self,
        answer: Answer<'_>,
        sequence: u64,
        now: Instant,
        shared: &mut impl SharedData,
    ) -> Result<(), CallError> {
        let acknowledged = answer.body().and_then(|body| wire::decode::<Acknowledged>(body).map_err(|_| CallError::Failed));
        let result = match acknowledged {
            Ok(acknowledged) if acknowledged.sequence == sequence => Ok(()),
            Ok(_) => Err(CallError::Failed),
            Err(error) => Err(error),
        };
        // One that will never be taken would hold up all that follow.
        if matches!(result, Ok(()) | Err(CallError::Rejected)) {
            let cleared = exchange(&self.key, shared, |outbox| {
                let clears = outbox.sequence == sequence;
                if clears {
                    outbox.frozen.clear();
                }
                clears
            });
            if cleared.is_ok() {
                self.pace.succeeded(now, REPORT_EVERY);
                return result;
            }
        }
        self.pace.failed(now);
        result
    }
}

/// Changes the outbox under compare-and-swap; `change` says whether there is something to write. `false`: others were always faster.
fn exchange(key: &str, shared: &mut impl SharedData, mut change: impl FnMut(&mut Outbox) -> bool) -> Result<bool, Broken> {
    for _ in 0..MOST_RETRIES {
        let mut value = Vec::new();
        let version = shared.get(key, &mut value)?;
        let mut outbox = match version {
            Some(_) => Outbox::decode(&value).ok_or(Broken)?,
            None => Outbox::default(),
        };
        if !change(&mut outbox) || shared.set(key, &outbox.encode(), version)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Outbox {
    fn encode(&self) -> Vec<u8> {
        let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = self.sequence.to_le_bytes().to_vec();
        bytes.extend(length(self.frozen.len()));
        bytes.extend_from_slice(&self.frozen);
        for used in &self.open {
            bytes.extend(used.at_ms.to_le_bytes());
            bytes.extend(length(used.credential.len()));
            bytes.extend_from_slice(used.credential.as_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (sequence, bytes) = bytes.split_first_chunk::<8>()?;
        let (frozen, mut bytes) = sized(bytes)?;
        let mut open = Vec::new();
        while !bytes.is_empty() {
            let (at, rest) = bytes.split_first_chunk::<8>()?;
            let (credential, rest) = sized(rest)?;
            open.push(Used { credential: String::from_utf8(credential.to_vec()).ok()?, at_ms: u64::from_le_bytes(*at) });
            bytes = rest;
        }
        Some(Self { sequence: u64::from_le_bytes(*sequence), frozen: frozen.to_vec(), open })
    }
}

/// Bytes after their length.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, bytes) = bytes.split_first_chunk::<4>()?;
    bytes.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Memory;

    fn outbox(shared: &mut Memory) -> Outbox {
        let mut value = Vec::new();
        shared.get("t/report", &mut value).unwrap();
        Outbox::decode(&value).unwrap()
    }

    #[test]
    fn what_has_no_room_is_handed_over_later() {
        let mut shared = Memory::default();
        let mut workers = [Reporter::new("t"), Reporter::new("t")];
        for (worker, reporter) in workers.iter_mut().enumerate() {
            for number in 0..MOST_USED {
                assert!(reporter.note(&format!("k{worker}-{number}"), 5_000_000));
            }
            assert!(!reporter.note("one more", 1), "the rest is noted later");
            assert!(reporter.note(&format!("k{worker}-0"), 9_000_000), "what is there can be renewed");
            reporter.spill(Instant(SPILL_EVERY), &mut shared).unwrap();
        }
        let open = outbox(&mut shared).open;
        assert_eq!(open.len(), MOST_USED);
        assert!(open.contains(&Used { credential: "k0-0".to_owned(), at_ms: 9 }));
        assert_eq!((workers[0].used.len(), workers[1].used.len()), (0, MOST_USED));
    }

    #[test]
    fn the_value_reads_back_as_written_and_nothing_else_does() {
        let used = Used { credential: "k".to_owned(), at_ms: 7 };
        let outbox = Outbox { sequence: 3, frozen: b"{}".to_vec(), open: vec![used.clone(), used] };
        let bytes = outbox.encode();
        assert_eq!(Outbox::decode(&bytes), Some(outbox));
        for cut in 1..bytes.len() {
            // A value may end after an entry, but nowhere else.
            let whole = [8 + 4 + 2, 8 + 4 + 2 + 13].contains(&cut);
            assert_eq!(Outbox::decode(&bytes[..cut]).is_some(), whole, "{cut}");
        }
    }
}
