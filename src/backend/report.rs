//! Owns this worker's part in the node's reports: it notes what is to be told, and sends the reports if it is the one that does. Must not
//! know why something is told.

use tollgate_core::policy;
use tollgate_core::time::Instant;
use tollgate_core::wire::{self, Acknowledged, LeaseAsk, MOST_OFFENCES, MOST_USED, Offence, Overage, Refused};

use super::leasing::{Settlement, settlement};
use super::pace::Pace;
use crate::call::{Answer, Call, CallError, Purpose, milliseconds};
use crate::outbox::{Frozen, Notes, Outbox, add_refused};
use crate::shared::{Broken, SharedData};

/// How often the node reports at most.
const REPORT_EVERY: u64 = 1_000_000_000;
/// How often a worker hands over what it has noted.
const SPILL_EVERY: u64 = 250_000_000;

/// This worker's part in the reports.
#[derive(Debug)]
pub(super) struct Reporter {
    outbox: Outbox,
    notes: Notes,
    spilled: Instant,
    pace: Pace,
}

impl Reporter {
    pub(super) fn new(prefix: &str) -> Self {
        // The number is of how it is written: a module in the place of another one must not read the other's.
        Self { outbox: Outbox::new(format!("{prefix}/report/4")), notes: Notes::default(), spilled: Instant(0), pace: Pace::default() }
    }

    /// Notes that a credential was used; `false` if there is no room for it now.
    pub(super) fn note(&mut self, credential: &str, wall: u64) -> bool {
        let used = &mut self.notes.used;
        let room = used.len() < MOST_USED || used.contains_key(credential);
        if room {
            used.insert(credential.to_owned(), wall / 1_000_000);
        }
        room
    }

    /// Notes what becomes of leases, and what was let pass without one.
    pub(super) fn note_leases(&mut self, asks: Vec<LeaseAsk>, overages: Vec<Overage>) {
        self.notes.leases.extend(asks);
        self.notes.overages.extend(overages);
    }

    /// Notes what was detected of abuse; `false` if there is no room for it now.
    pub(super) fn note_offence(&mut self, offence: Offence) -> bool {
        let room = self.notes.abuse.len() < MOST_OFFENCES;
        if room {
            self.notes.abuse.push(offence);
        }
        room
    }

    /// Notes that somebody was refused.
    pub(super) fn note_refused(&mut self, refused: Refused) {
        add_refused(&mut self.notes.refused, refused);
    }

    /// Hands over what this worker has noted.
    pub(super) fn spill(&mut self, now: Instant, shared: &mut impl SharedData) -> Result<(), Broken> {
        if self.notes.is_empty() || now.since(self.spilled) < SPILL_EVERY {
            return Ok(());
        }
        self.spilled = now;
        self.outbox.add(&mut self.notes, shared)
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
        let Some(Frozen { sequence, body }) = self.outbox.freeze(shared)? else {
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
        sent: Instant,
        shared: &mut impl SharedData,
    ) -> Result<(Settlement, Vec<String>), CallError> {
        let acknowledged = answer.body().and_then(|body| wire::decode::<Acknowledged>(body).map_err(|_| CallError::Failed));
        let acknowledged = acknowledged.and_then(|own| if own.sequence == sequence { Ok(own) } else { Err(CallError::Failed) });
        // One that will never be taken would hold up all that follow.
        if matches!(acknowledged, Ok(_) | Err(CallError::Rejected))
            && let Ok(told) = self.outbox.clear(sequence, shared)
        {
            self.pace.succeeded(now, REPORT_EVERY);
            let Acknowledged { revision, leases, unblocked, .. } = acknowledged?;
            return settlement(told.unwrap_or_default(), leases, revision, sent).map(|settlement| (settlement, unblocked));
        }
        self.pace.failed(now);
        acknowledged.and(Err(CallError::Failed))
    }
}
