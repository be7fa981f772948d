//! Owns how times and spans are read from arguments and shown to people. Must not read a clock.

use std::time::Duration;

use crate::clock::Time;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The longest span an argument may name: a hundred years.
const LONGEST: u64 = 36_525 * DAY;

/// Units, from the least of which they are used, in seconds: two days are better told as hours than three months as weeks.
const UNITS: [(u64, u64, &str); 6] = [
    (2 * 365 * DAY, 365 * DAY, "year"),
    (60 * DAY, 30 * DAY, "month"),
    (2 * DAY, DAY, "day"),
    (2 * HOUR, HOUR, "hour"),
    (2 * MINUTE, MINUTE, "minute"),
    (0, 1, "second"),
];

/// How a time lies to another: `3 days ago`, `in 2 hours`.
pub(super) fn relative(time: Time, now: Time) -> String {
    let (past, future) = (now.since(time).as_secs(), time.since(now).as_secs());
    match (past, future) {
        (0, 0) => "now".to_owned(),
        (0, future) => format!("in {}", span(future)),
        (past, _) => format!("{} ago", span(past)),
    }
}

fn span(seconds: u64) -> String {
    let unit = UNITS.iter().find(|(least, ..)| seconds >= *least);
    let (count, name) = unit.map_or((seconds, "second"), |(_, length, name)| (seconds / length, name));
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// Reads `90s`, `15m`, `12h`, `30d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let unit = match text.as_bytes().last() {
        Some(b's') => 1,
        Some(b'm') => MINUTE,
        Some(b'h') => HOUR,
        Some(b'd') => DAY,
        _ => 0,
    };
    let count = text.get(..text.len().saturating_sub(1)).filter(|count| count.bytes().all(|byte| byte.is_ascii_digit()));
    count
        .and_then(|count| count.parse::<u64>().ok()?.checked_mul(unit))
        .filter(|seconds| unit > 0 && *seconds <= LONGEST)
        .map(Duration::from_secs)
        .ok_or_else(|| "a number and a unit: `90s`, `15m`, `12h`, `30d`; at most 36525d".to_owned())
}

/// Reads `2027-01-31T12:00:00Z`, or `2027-01-31` for the day's beginning in UTC.
pub(super) fn time(text: &str) -> Result<Time, String> {
    let whole = if text.len() == "2027-01-31".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    whole.parse().map_err(|_| "a time such as `2027-01-31T12:00:00Z`, or a day such as `2027-01-31`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        let now = time("2026-01-14").unwrap();
        let day = |count| Duration::from_secs(count * DAY);
        for (duration, told) in [
            (Duration::from_secs(1), "1 second"),
            (Duration::from_secs(119), "119 seconds"),
            (Duration::from_secs(120), "2 minutes"),
            (Duration::from_secs(7_199), "119 minutes"),
            (Duration::from_secs(7_200), "2 hours"),
            (day(1), "24 hours"),
            (day(3), "3 days"),
            (day(59), "59 days"),
            (day(60), "2 months"),
            (day(729), "24 months"),
            (day(730), "2 years"),
        ] {
            assert_eq!(relative(now.before(duration), now), format!("{told} ago"));
            assert_eq!(relative(now.after(duration), now), format!("in {told}"));
        }
        assert_eq!(relative(now, now.after(Duration::from_millis(900))), "now");
    }

    #[test]
    fn spans_have_a_number_and_a_unit() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), ("36525d", LONGEST)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "s", "90", "-1s", "+1s", "1 s", "1.5h", "36526d", "1w", "99999999999999999999d", "1ä"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_day_is_its_beginning() {
        assert_eq!(time("2027-01-31").unwrap().to_string(), "2027-01-31T00:00:00Z");
        assert_eq!(time("2027-01-31T12:00:00+01:00").unwrap().to_string(), "2027-01-31T11:00:00Z");
        for text in ["", "tomorrow", "2027-02-30", "2027-1-1", "31.01.2027"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
