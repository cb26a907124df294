//! How a person names a snapshot: `latest`, `2026-11-21`, `"2026-11-21 18:00"`, `21/11/2026`, `@3`, the first digits of its id.
//!
//! It reads the text only; `access` finds the snapshot. Dates are of the contract's time zone.

use common::text::date::paris;
use jiff::civil::{Date, DateTime};

/// A snapshot as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// The newest one.
    Latest,
    /// So many before the newest one.
    Before(u32),
    /// The last one received until then, nanoseconds since 1970.
    Until {
        /// The moment, inclusive.
        until_ns: i64,
        /// The day that was named, to say so if the snapshot is of another one.
        day: Date,
    },
    /// The one whose id starts with these digits.
    Id(String),
}

/// Most snapshots back that `@n` may count.
const BEFORE_MAX: u32 = 999;
/// Digits of an id that are enough to try.
const ID_DIGITS_MIN: usize = 4;

impl Point {
    /// Reads what was typed; `None` if it is no such name.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if matches!(text, "latest" | "dernier" | "dernière" | "@0") {
            return Some(Self::Latest);
        }
        if let Some(count) = text.strip_prefix('@') {
            return count.parse().ok().filter(|count| *count <= BEFORE_MAX).map(Self::Before);
        }
        if let Some((day, time)) = date_and_time(text) {
            // What `dates` shows has no seconds: the whole minute, or the whole day, counts.
            let last = match time {
                Some(minute) => minute.checked_add(jiff::Span::new().seconds(59)).ok()?,
                None => day.at(23, 59, 59, 0),
            };
            let ambiguous = paris().to_ambiguous_zoned(last);
            let until = ambiguous.later().ok()?.timestamp().as_nanosecond() + 999_999_999;
            return Some(Self::Until { until_ns: i64::try_from(until).unwrap_or(i64::MAX), day });
        }
        let is_id = (ID_DIGITS_MIN..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then(|| Self::Id(text.to_ascii_lowercase()))
    }
}

fn date_and_time(text: &str) -> Option<(Date, Option<DateTime>)> {
    for format in ["%Y-%m-%d", "%d/%m/%Y"] {
        if let Ok(day) = Date::strptime(format, text) {
            return Some((day, None));
        }
        for separator in [" ", "T"] {
            for time in ["%H:%M", "%Hh%M"] {
                if let Ok(minute) = DateTime::strptime(format!("{format}{separator}{time}"), text) {
                    return Some((minute.date(), Some(minute)));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_until(text: &str, expected: &str) {
        let expected: jiff::Timestamp = expected.parse().unwrap();
        match Point::parse(text) {
            Some(Point::Until { until_ns, .. }) => {
                assert_eq!(i128::from(until_ns), expected.as_nanosecond(), "{text}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_can_be_pasted_is_understood() {
        check_until("2026-11-21", "2026-11-21T23:59:59.999999999+01:00");
        check_until("21/11/2026", "2026-11-21T23:59:59.999999999+01:00");
        check_until("2026-11-21 18:00", "2026-11-21T18:00:59.999999999+01:00");
        check_until("21/11/2026 18:00", "2026-11-21T18:00:59.999999999+01:00");
        check_until("2026-07-14T03:05", "2026-07-14T03:05:59.999999999+02:00");
        check_until("21/11/2026 18h30", "2026-11-21T18:30:59.999999999+01:00");
        assert_eq!(Point::parse("latest"), Some(Point::Latest));
        assert_eq!(Point::parse("@0"), Some(Point::Latest));
        assert_eq!(Point::parse("@3"), Some(Point::Before(3)));
        assert_eq!(Point::parse("9F2c"), Some(Point::Id("9f2c".into())));
    }

    #[test]
    fn in_the_doubled_hour_the_second_one_counts() {
        check_until("2026-10-25 02:30", "2026-10-25T01:30:59.999999999Z");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "hier", "@", "@-1", "@1000", "31/02/2026", "2026-13-01", "9f2", "2026-11-21 25:00", "xyzt"] {
            assert_eq!(Point::parse(text), None, "{text}");
        }
    }
}
