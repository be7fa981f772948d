//! Owns the calendar of quotas: which day or month of which time zone an instant is in. Must not know what is counted.
//!
//! Time zones are those of the IANA database that is built in, so that every machine and container knows the same.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tollgate_core::config::document::{Algorithm, Limit};
use tollgate_core::ledger::Window;

use crate::clock::Time;

/// All time, to a node: its clock counts nanoseconds, in which this is half of what it can count. 0 would name no window.
const LIFETIME: Window = Window { start: 1, end: 1 << 43 };

/// The periods of a quota.
#[derive(Clone, Debug)]
pub struct Calendar {
    unit: Unit,
    zone: TimeZone,
}

#[derive(Clone, Copy, Debug)]
enum Unit {
    Day,
    Month,
    Lifetime,
}

/// Whether there is a time zone of this name.
pub(crate) fn is_time_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok()
}

impl Calendar {
    /// The calendar of a limit; `None` if it is no quota, or one of a period or time zone that is unknown here.
    #[must_use]
    pub fn of(limit: &Limit) -> Option<Self> {
        let unit = match (limit.algorithm, limit.per.as_str()) {
            (Algorithm::Quota, "day") => Unit::Day,
            (Algorithm::Quota, "month") => Unit::Month,
            (Algorithm::Quota, "lifetime") => Unit::Lifetime,
            (Algorithm::Quota | Algorithm::TokenBucket | Algorithm::SlidingWindow, _) => return None,
        };
        let zone = match limit.time_zone.as_deref() {
            None | Some("UTC") => TimeZone::UTC,
            Some(name) => TimeZone::get(name).ok()?,
        };
        Some(Self { unit, zone })
    }

    /// The period that an instant is in; `None` beyond the end of the calendar, in the year 9999.
    #[must_use]
    pub fn period(&self, at: Time) -> Option<Window> {
        let date = Timestamp::from_millisecond(at.millis()).ok()?.to_zoned(self.zone.clone()).date();
        let (first, next) = match self.unit {
            Unit::Lifetime => return Some(LIFETIME),
            Unit::Day => (date, date.tomorrow().ok()?),
            Unit::Month => (date.first_of_month(), date.last_of_month().tomorrow().ok()?),
        };
        Some(Window { start: self.begin(first)?, end: self.begin(next)? })
    }

    /// The first instant of a day. A day may begin after midnight, where clocks are put forward then; one that a zone left out begins and
    /// ends with the next.
    fn begin(&self, date: Date) -> Option<u64> {
        let instant = date.to_zoned(self.zone.clone()).ok()?.timestamp().as_millisecond();
        // The day that 1970 begins in may have begun before, where clocks are ahead.
        Some(u64::try_from(instant).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(per: &str, zone: &str) -> Calendar {
        let limit = serde_json::json!({"name": "q", "algorithm": "quota", "rate": 1, "per": per, "time_zone": zone});
        Calendar::of(&serde_json::from_value(limit).unwrap()).unwrap()
    }

    fn period(per: &str, zone: &str, at: &str) -> [String; 2] {
        let window = calendar(per, zone).period(at.parse().unwrap()).unwrap();
        [window.start, window.end].map(|millis| Time::from_millis(i64::try_from(millis).unwrap()).to_string())
    }

    #[test]
    fn days_and_months_begin_at_midnight_of_their_zone() {
        for (per, zone, at, start, end) in [
            ("day", "UTC", "2026-01-14T23:59:59.999Z", "2026-01-14T00:00:00Z", "2026-01-15T00:00:00Z"),
            ("day", "UTC", "2026-01-15T00:00:00Z", "2026-01-15T00:00:00Z", "2026-01-16T00:00:00Z"),
            ("day", "Asia/Tokyo", "2026-01-14T15:00:00Z", "2026-01-14T15:00:00Z", "2026-01-15T15:00:00Z"),
            ("month", "UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("month", "UTC", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            ("month", "America/New_York", "2026-03-01T04:59:59Z", "2026-02-01T05:00:00Z", "2026-03-01T05:00:00Z"),
        ] {
            assert_eq!(period(per, zone, at), [start, end], "{per} {zone} {at}");
        }
    }

    #[test]
    fn a_day_is_as_long_as_the_clocks_make_it() {
        for (per, zone, at, start, end) in [
            // 23 and 25 hours.
            ("day", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            ("day", "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            ("month", "Europe/Berlin", "2026-03-15T12:00:00Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
            // Midnight does not exist, and the day begins at one.
            ("day", "Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"),
            // Midnight is twice, and the day begins at the first.
            ("day", "America/Havana", "2024-11-03T12:00:00Z", "2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z"),
            // The 30th of December 2011 was left out.
            ("day", "Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
            ("day", "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"),
        ] {
            assert_eq!(period(per, zone, at), [start, end], "{per} {zone} {at}");
        }
    }

    #[test]
    fn an_instant_is_in_its_period_and_each_period_begins_where_the_one_before_ended() {
        for zone in ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Africa/Cairo", "Pacific/Apia", "Asia/Kathmandu", "Antarctica/Troll"] {
            for per in ["day", "month"] {
                let calendar = calendar(per, zone);
                let mut at: Time = "2009-12-31T00:00:00Z".parse().unwrap();
                let mut before: Option<Window> = None;
                while at < "2028-01-01T00:00:00Z".parse().unwrap() {
                    let window = calendar.period(at).unwrap();
                    let millis = u64::try_from(at.millis()).unwrap();
                    assert!((window.start..window.end).contains(&millis), "{zone} {per} {at}: {window:?}");
                    assert!(
                        before.is_none_or(|before| before == window || before.end == window.start),
                        "{zone} {per} {at}: {before:?} {window:?}"
                    );
                    before = Some(window);
                    at = at.after(std::time::Duration::from_secs(3_600 * 7 + 1_800));
                }
            }
        }
    }

    #[test]
    fn only_quotas_of_known_zones_have_a_calendar() {
        assert!(is_time_zone("Europe/Berlin") && is_time_zone("UTC"));
        for name in ["Europe/Bonn", "", "Local", "../etc/passwd", "CET-1CEST"] {
            assert!(!is_time_zone(name), "{name}");
        }
        for limit in [
            serde_json::json!({"name": "q", "algorithm": "quota", "rate": 1, "per": "day", "time_zone": "Europe/Bonn"}),
            serde_json::json!({"name": "q", "algorithm": "quota", "rate": 1, "per": "1h"}),
            serde_json::json!({"name": "q", "algorithm": "token_bucket", "rate": 1, "per": "1s", "scope": "global"}),
        ] {
            assert!(Calendar::of(&serde_json::from_value(limit.clone()).unwrap()).is_none(), "{limit}");
        }
    }
}
