//! Owns the small notations in documents: durations and sets of statuses.

use crate::route::Statuses;
use crate::time::SECOND;

/// Reads a duration such as `100ms`, `60s`, `5m`, `1h` or `1d`, in nanoseconds; `None` for anything else.
pub(super) fn duration(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let unit = match unit {
        "ms" => SECOND / 1_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3_600 * SECOND,
        "d" => 86_400 * SECOND,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// Reads status patterns such as `404` or `2xx`; the offending pattern if one is wrong.
pub(super) fn statuses(patterns: &[String]) -> Result<Statuses, &str> {
    let ranges = patterns.iter().map(|pattern| range(pattern).ok_or(pattern.as_str()));
    Ok(Statuses(ranges.collect::<Result<_, _>>()?))
}

fn range(pattern: &str) -> Option<(u16, u16)> {
    if pattern.len() != 3 {
        return None;
    }
    if let Some(class) = pattern.strip_suffix("xx") {
        let low = class.parse::<u16>().ok().filter(|class| (1..=5).contains(class))? * 100;
        return Some((low, low + 99));
    }
    let status = pattern.parse::<u16>().ok().filter(|status| (100..=599).contains(status))?;
    pattern.bytes().all(|byte| byte.is_ascii_digit()).then_some((status, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations() {
        for (text, nanos) in
            [("0s", 0), ("100ms", SECOND / 10), ("60s", 60 * SECOND), ("1m", 60 * SECOND), ("2h", 7_200 * SECOND), ("1d", 86_400 * SECOND)]
        {
            assert_eq!(duration(text), Some(nanos), "{text}");
        }
        for wrong in ["", "s", "1", "1.5s", "-1s", "1 s", "1w", "99999999999999999999s", "999999999999d", "ö"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn reads_statuses() {
        let patterns = ["2xx".to_owned(), "404".to_owned()];
        assert_eq!(statuses(&patterns), Ok(Statuses(Box::new([(200, 299), (404, 404)]))));
        for wrong in ["", "6xx", "0xx", "99", "600", "2x", "+04", "20x", "2xxx"] {
            assert_eq!(statuses(&[wrong.to_owned()]), Err(wrong));
        }
    }
}
