//! Owns what the node has to tell the backend until it is told: all workers add to it, one sends it. Must not send anything, or know why
//! something is told.
//!
//! One value in shared data holds the number of the last report, the frozen report of that number until it is acknowledged, and what has been
//! added since. A report that was sent is never changed.

use hashbrown::HashMap;
use tollgate_core::wire::{self, LeaseAsk, MOST_ASKS, MOST_OFFENCES, MOST_OVERAGES, MOST_USED, Offence, Overage, Refused, Report, Used};

use crate::shared::{Broken, SharedData};

/// A lost swap is tried again so often; what is left waits for the next time.
const MOST_RETRIES: u32 = 8;

/// Where the workers of a node keep what is to be told.
#[derive(Debug)]
pub struct Outbox {
    key: String,
}

/// What a worker has to tell and has not yet added.
#[derive(Debug, Default)]
pub struct Notes {
    /// Credentials used on this worker, with the wall clock's milliseconds.
    pub used: HashMap<String, u64>,
    /// What becomes of leases. Units in it are nowhere else.
    pub leases: Vec<LeaseAsk>,
    /// Units let pass, by consumer and limit.
    pub overages: Vec<Overage>,
    /// What was detected of abuse.
    pub abuse: Vec<Offence>,
    /// Who was refused, and how often.
    pub refused: Vec<Refused>,
}

/// Refusals that are told apart by address and consumer: beyond that they are counted by reason, so that all fit in a report.
const TOLD_APART: usize = 38;

/// A report that is sent until it is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// Its number.
    pub sequence: u64,
    /// The message.
    pub body: Vec<u8>,
}

/// What the workers share.
#[derive(Debug, Default, PartialEq, Eq)]
struct Content {
    /// The number of the last report.
    sequence: u64,
    /// That report, while it is not acknowledged.
    frozen: Vec<u8>,
    /// What it says of leases.
    told: Vec<LeaseAsk>,
    /// What the next one will say.
    open: Report,
}

impl Outbox {
    /// The outbox under a key of its own.
    #[must_use]
    pub const fn new(key: String) -> Self {
        Self { key }
    }

    /// Adds what a worker has noted; what there is no room for stays with it.
    ///
    /// # Errors
    /// [`Broken`]: nothing was added.
    pub fn add(&self, notes: &mut Notes, shared: &mut impl SharedData) -> Result<(), Broken> {
        if notes.is_empty() {
            return Ok(());
        }
        let mut left = Notes::default();
        let added = self.exchange(shared, &mut |content| {
            left = notes.add_to(&mut content.open);
            true
        })?;
        if added {
            *notes = left;
        }
        Ok(())
    }

    /// The report to send, if there is something to tell: the one that is not acknowledged, or a new one.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn freeze(&self, shared: &mut impl SharedData) -> Result<Option<Frozen>, Broken> {
        let mut frozen = None;
        self.exchange(shared, &mut |content| {
            let freezes = content.frozen.is_empty() && !is_empty(&content.open);
            if freezes {
                content.sequence = content.sequence.saturating_add(1);
                let report = Report { sequence: content.sequence, ..std::mem::take(&mut content.open) };
                content.frozen = wire::encode(&report).unwrap_or_default();
                content.told = report.leases;
            }
            frozen = (!content.frozen.is_empty()).then(|| Frozen { sequence: content.sequence, body: content.frozen.clone() });
            freezes
        })?;
        Ok(frozen)
    }

    /// The report of a number has been taken, or never will be: the next one may follow. What it said of leases, if it was the one under
    /// way.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn clear(&self, sequence: u64, shared: &mut impl SharedData) -> Result<Option<Vec<LeaseAsk>>, Broken> {
        let mut told = None;
        let cleared = self.exchange(shared, &mut |content| {
            let clears = content.sequence == sequence && !content.frozen.is_empty();
            if clears {
                content.frozen.clear();
                told = Some(std::mem::take(&mut content.told));
            }
            clears
        })?;
        Ok(told.filter(|_| cleared))
    }

    /// Changes the content under compare-and-swap; `change` says whether there is something to write. `false`: others were always faster.
    #[inline(never)]
    fn exchange(&self, shared: &mut impl SharedData, change: &mut dyn FnMut(&mut Content) -> bool) -> Result<bool, Broken> {
        for _ in 0..MOST_RETRIES {
            let mut value = Vec::new();
            let version = shared.get(&self.key, &mut value)?;
            let mut content = match version {
                Some(_) => Content::decode(&value).ok_or(Broken)?,
                None => Content::default(),
            };
            if !change(&mut content) || shared.set(&self.key, &content.encode(), version)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Notes {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used.is_empty() && self.leases.is_empty() && self.overages.is_empty() && self.abuse.is_empty() && self.refused.is_empty()
    }

    /// Adds these notes to a report, and answers those it has no room for.
    fn add_to(&self, report: &mut Report) -> Self {
        let mut left = Self::default();
        let mut used: HashMap<&str, u64> = report.used.iter().map(|used| (used.credential.as_str(), used.at_ms)).collect();
        for (credential, at) in &self.used {
            if used.len() < MOST_USED || used.contains_key(credential.as_str()) {
                let newest = used.entry(credential).or_default();
                *newest = (*newest).max(*at);
            } else {
                left.used.insert(credential.clone(), *at);
            }
        }
        let mut used: Vec<Used> = used.into_iter().map(|(credential, at_ms)| Used { credential: credential.to_owned(), at_ms }).collect();
        used.sort_unstable_by(|one, other| one.credential.cmp(&other.credential));
        report.used = used;
        for ask in &self.leases {
            // Of a lease only the newest message counts; first leases of several limits have one number.
            let same = |own: &LeaseAsk| own.lease == ask.lease && own.limit == ask.limit && own.consumer == ask.consumer;
            let room = report.leases.len() < MOST_ASKS;
            match report.leases.iter_mut().find(|own| same(own)) {
                Some(own) if own.number <= ask.number => *own = ask.clone(),
                Some(_) => {}
                None if room => report.leases.push(ask.clone()),
                None => left.leases.push(ask.clone()),
            }
        }
        for overage in &self.overages {
            let same = |own: &&mut Overage| own.consumer == overage.consumer && own.limit == overage.limit;
            let room = report.overages.len() < MOST_OVERAGES;
            match report.overages.iter_mut().find(same) {
                Some(own) => own.units = own.units.saturating_add(overage.units),
                None if room => report.overages.push(overage.clone()),
                None => left.overages.push(overage.clone()),
            }
        }
        for offence in &self.abuse {
            let room = report.abuse.len() < MOST_OFFENCES;
            if room { &mut report.abuse } else { &mut left.abuse }.push(offence.clone());
        }
        for refused in &self.refused {
            add_refused(&mut report.refused, refused.clone());
        }
        left
    }
}

/// Counts a refusal with those that are there.
#[inline(never)]
pub fn add_refused(all: &mut Vec<Refused>, mut one: Refused) {
    let same = |own: &Refused, one: &Refused| own.reason == one.reason && own.address == one.address && own.consumer == one.consumer;
    if all.len() >= TOLD_APART && !all.iter().any(|own| same(own, &one)) {
        (one.address, one.consumer) = (None, None);
    }
    match all.iter_mut().find(|own| same(own, &one)) {
        Some(own) => own.count = own.count.saturating_add(one.count),
        None => all.push(one),
    }
}

fn is_empty(report: &Report) -> bool {
    let Report { sequence: _, used, leases, overages, abuse, refused } = report;
    used.is_empty() && leases.is_empty() && overages.is_empty() && abuse.is_empty() && refused.is_empty()
}

impl Content {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_number(&mut bytes, self.sequence);
        put_bytes(&mut bytes, &self.frozen);
        put_number(&mut bytes, self.told.len() as u64);
        put_number(&mut bytes, self.open.leases.len() as u64);
        for ask in self.told.iter().chain(&self.open.leases) {
            put_bytes(&mut bytes, ask.consumer.as_bytes());
            put_bytes(&mut bytes, ask.limit.as_bytes());
            let numbers = [ask.lease, ask.number, ask.window, ask.after, ask.returned, ask.need, ask.waiting, ask.demand, ask.own];
            numbers.into_iter().chain([u64::from(ask.close)]).for_each(|number| put_number(&mut bytes, number));
        }
        put_number(&mut bytes, self.open.used.len() as u64);
        for used in &self.open.used {
            put_bytes(&mut bytes, used.credential.as_bytes());
            put_number(&mut bytes, used.at_ms);
        }
        put_number(&mut bytes, self.open.overages.len() as u64);
        for overage in &self.open.overages {
            put_bytes(&mut bytes, overage.consumer.as_bytes());
            put_bytes(&mut bytes, overage.limit.as_bytes());
            put_number(&mut bytes, overage.units);
        }
        put_number(&mut bytes, self.open.abuse.len() as u64);
        for offence in &self.open.abuse {
            put_bytes(&mut bytes, offence.subject.as_bytes());
            put_bytes(&mut bytes, offence.signal.as_bytes());
            let numbers = [offence.score, offence.first_ms, offence.longest_ms, offence.forgotten_ms, u64::from(offence.shadow)];
            numbers.into_iter().for_each(|number| put_number(&mut bytes, number));
        }
        put_number(&mut bytes, self.open.refused.len() as u64);
        for refused in &self.open.refused {
            let absent = String::new();
            for text in [&refused.reason, refused.address.as_ref().unwrap_or(&absent), refused.consumer.as_ref().unwrap_or(&absent)] {
                put_bytes(&mut bytes, text.as_bytes());
            }
            put_number(&mut bytes, refused.count);
        }
        bytes
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let from = &mut bytes;
        let mut content = Self { sequence: number(from)?, frozen: sized(from)?.to_vec(), ..Self::default() };
        let (told, open) = (number(from)?, number(from)?);
        for place in 0..told.checked_add(open)? {
            let (consumer, limit) = (text(from)?, text(from)?);
            let [lease, count, window, after, returned] = [number(from)?, number(from)?, number(from)?, number(from)?, number(from)?];
            let [need, waiting, demand, own] = [number(from)?, number(from)?, number(from)?, number(from)?];
            let close = number(from)? == 1;
            let ask = LeaseAsk { consumer, limit, lease, number: count, window, after, returned, close, need, waiting, demand, own };
            if place < told { &mut content.told } else { &mut content.open.leases }.push(ask);
        }
        for _ in 0..number(from)? {
            content.open.used.push(Used { credential: text(from)?, at_ms: number(from)? });
        }
        for _ in 0..number(from)? {
            content.open.overages.push(Overage { consumer: text(from)?, limit: text(from)?, units: number(from)? });
        }
        for _ in 0..number(from)? {
            let (subject, signal) = (text(from)?, text(from)?);
            let [score, first_ms, longest_ms, forgotten_ms] = [number(from)?, number(from)?, number(from)?, number(from)?];
            let shadow = number(from)? == 1;
            content.open.abuse.push(Offence { subject, signal, score, first_ms, longest_ms, forgotten_ms, shadow });
        }
        for _ in 0..number(from)? {
            let (reason, address, consumer, count) = (text(from)?, text(from)?, text(from)?, number(from)?);
            let [address, consumer] = [address, consumer].map(|text| Some(text).filter(|text| !text.is_empty()));
            content.open.refused.push(Refused { reason, address, consumer, count });
        }
        bytes.is_empty().then_some(content)
    }
}

fn put_number(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn put_bytes(bytes: &mut Vec<u8>, put: &[u8]) {
    put_number(bytes, put.len() as u64);
    bytes.extend_from_slice(put);
}

#[inline(never)]
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*number))
}

fn sized<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(bytes)?).ok()?;
    let (own, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(own)
}

#[inline(never)]
fn text(bytes: &mut &[u8]) -> Option<String> {
    String::from_utf8(sized(bytes)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use tollgate_core::verdict::Reason;
    use tollgate_core::wire::MOST_REFUSED;

    use super::*;
    use crate::shared::Memory;

    fn outbox() -> Outbox {
        Outbox::new("t/report".to_owned())
    }

    fn told(shared: &mut Memory) -> Report {
        let frozen = outbox().freeze(shared).unwrap().unwrap();
        let report: Report = wire::decode(&frozen.body).unwrap();
        assert_eq!(outbox().clear(frozen.sequence, shared), Ok(Some(report.leases.clone())));
        report
    }

    fn ask(lease: u64, number: u64) -> LeaseAsk {
        LeaseAsk { lease, number, ..LeaseAsk::default() }
    }

    #[test]
    fn refusals_are_counted_and_a_flood_of_them_has_room_in_a_report() {
        let mut shared = Memory::default();
        let refused = |reason: Reason, number: u64| Refused {
            reason: reason.code().to_owned(),
            address: Some(format!("address:{number}")),
            consumer: None,
            count: 1,
        };
        for _worker in 0..2 {
            let mut notes = Notes::default();
            for number in 0..1_000 {
                for reason in Reason::ALL {
                    add_refused(&mut notes.refused, refused(reason, number));
                }
            }
            assert!(notes.refused.len() <= MOST_REFUSED, "{}", notes.refused.len());
            outbox().add(&mut notes, &mut shared).unwrap();
            assert!(notes.is_empty());
        }
        let report = told(&mut shared);
        assert!(report.refused.len() <= MOST_REFUSED, "{}", report.refused.len());
        assert_eq!(report.refused.iter().map(|refused| refused.count).sum::<u64>(), 2 * 1_000 * Reason::ALL.len() as u64);
        assert_eq!(report.refused[0], Refused { count: 2, ..refused(Reason::ALL[0], 0) });
    }

    #[test]
    fn what_has_no_room_is_added_later() {
        let mut shared = Memory::default();
        for worker in 0..2_u64 {
            let mut notes = Notes { used: (0..MOST_USED).map(|number| (format!("k{worker}-{number}"), 5)).collect(), ..Notes::default() };
            notes.used.insert("k0-0".to_owned(), 9 * (1 - worker));
            notes.leases = (0..MOST_ASKS as u64).map(|lease| ask(1_000 * worker + lease, 1)).collect();
            notes.overages.push(Overage { consumer: "c".to_owned(), limit: "l".to_owned(), units: 3 });
            outbox().add(&mut notes, &mut shared).unwrap();
            let rest = if worker == 0 { 0 } else { MOST_USED };
            assert_eq!((notes.used.len(), notes.leases.len()), (rest, rest.min(MOST_ASKS)));
            assert!(notes.overages.is_empty());
        }
        let report = told(&mut shared);
        assert_eq!((report.sequence, report.used.len(), report.leases.len()), (1, MOST_USED, MOST_ASKS));
        assert!(report.used.contains(&Used { credential: "k0-0".to_owned(), at_ms: 9 }));
        assert_eq!(report.overages.iter().map(|overage| overage.units).sum::<u64>(), 6);
        assert_eq!(outbox().freeze(&mut shared), Ok(None), "all is told");
    }

    #[test]
    fn a_report_that_was_sent_does_not_change_and_the_next_one_waits() {
        let mut shared = Memory::default();
        let add = |shared: &mut Memory, ask: LeaseAsk| outbox().add(&mut Notes { leases: vec![ask], ..Notes::default() }, shared);
        add(&mut shared, ask(7, 1)).unwrap();
        let first = outbox().freeze(&mut shared).unwrap().unwrap();
        add(&mut shared, ask(7, 2)).unwrap();
        add(&mut shared, ask(7, 3)).unwrap();
        add(&mut shared, ask(7, 2)).unwrap();
        assert_eq!(outbox().freeze(&mut shared), Ok(Some(first)));
        assert_eq!(outbox().clear(2, &mut shared), Ok(None), "no such report");
        assert_eq!(told(&mut shared).leases, [ask(7, 1)]);
        let second = told(&mut shared);
        assert_eq!((second.sequence, second.leases), (2, vec![ask(7, 3)]), "the newest of a lease");
        outbox().clear(2, &mut shared).unwrap();
        let other = LeaseAsk { limit: "other".to_owned(), ..ask(7, 2) };
        add(&mut shared, ask(7, 4)).unwrap();
        add(&mut shared, other.clone()).unwrap();
        assert_eq!(told(&mut shared).leases, [ask(7, 4), other], "two limits may have a lease of one number");
    }

    #[test]
    fn the_value_reads_back_as_written_and_nothing_else_does() {
        let used = Used { credential: "k".to_owned(), at_ms: 7 };
        let overage = Overage { consumer: "c".to_owned(), limit: "l".to_owned(), units: 3 };
        let offence = Offence { subject: "address:192.0.2.1/32".to_owned(), score: 105, shadow: true, ..Offence::default() };
        let close = LeaseAsk { returned: 4, close: true, consumer: "c".to_owned(), ..ask(1, 2) };
        let refused = vec![
            Refused {
                reason: "blocked".to_owned(),
                address: Some("address:192.0.2.7/32".to_owned()),
                consumer: Some("c".to_owned()),
                count: 3,
            },
            Refused { reason: "invalid_key".to_owned(), address: None, consumer: None, count: 4 },
        ];
        let open = Report { sequence: 0, used: vec![used], leases: vec![close], overages: vec![overage], abuse: vec![offence], refused };
        let content = Content { sequence: 3, frozen: b"{}".to_vec(), told: vec![ask(7, 1)], open };
        let bytes = content.encode();
        assert_eq!(Content::decode(&bytes), Some(content));
        assert!((0..bytes.len()).all(|cut| Content::decode(&bytes[..cut]).is_none()));
        assert_eq!(Content::decode(&[&bytes[..], b"x"].concat()), None);
    }
}
