//! Civil days, months and quarters of the contract: Europe/Paris, whatever the machine's own zone.
//!
//! It does not read the clock.
//!
//! Invariant: a day has one name (`2026-11-22`), whether it lasts 23, 24 or 25 hours.

use common::text::date::nanoseconds;
use common::zone::paris;
use jiff::civil::Date;
use jiff::{Span, Timestamp, ToSpan};

/// The civil day of a moment.
pub fn day_of(at: Timestamp) -> Date {
    at.to_zoned(paris()).date()
}

/// The moment at which a civil day begins.
pub fn start_of(day: Date) -> Timestamp {
    day.to_zoned(paris()).map_or(Timestamp::MAX, |start| start.timestamp())
}

/// The same in nanoseconds since 1970.
pub fn start_ns(day: Date) -> i64 {
    nanoseconds(start_of(day))
}

/// Whole days from `from` to `to`; negative if `to` is earlier.
pub fn days_between(from: Date, to: Date) -> i32 {
    from.until(to).map_or(0, |span: Span| span.get_days())
}

/// `day` and some months later; the end of the month where that day does not exist (clause C-23).
pub fn months_after(day: Date, months: i32) -> Date {
    day.checked_add(months.months()).unwrap_or(Date::MAX)
}

/// The first day of the civil quarter after the one of `day`.
pub fn next_quarter(day: Date) -> Date {
    let first_month = (day.month() - 1) / 3 * 3 + 1;
    months_after(day.first_of_month().with().month(first_month).build().unwrap_or(day), 3)
}

/// When a growth of scope changes the price: the earlier of the next due date and the next civil quarter (B-301).
pub fn price_change_date(growth: Date, next_due: Date) -> Date {
    next_due.min(next_quarter(growth))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn a_day_belongs_to_paris() {
        for (at, wanted) in [
            ("2026-11-21T22:59:59Z", date(2026, 11, 21)),
            ("2026-11-21T23:00:00Z", date(2026, 11, 22)),
            ("2026-07-01T21:59:59Z", date(2026, 7, 1)),
            ("2026-07-01T22:00:00Z", date(2026, 7, 2)),
            ("2026-10-25T00:30:00Z", date(2026, 10, 25)),
            ("2026-10-25T22:59:59Z", date(2026, 10, 25)),
            ("2026-10-25T23:00:00Z", date(2026, 10, 26)),
        ] {
            assert_eq!(day_of(at.parse().unwrap()), wanted, "{at}");
        }
        let hours = |day: Date| (start_of(day.tomorrow().unwrap()) - start_of(day)).get_seconds() / 3_600;
        assert_eq!(hours(date(2026, 3, 29)), 23);
        assert_eq!(hours(date(2026, 10, 25)), 25);
        assert_eq!(hours(date(2026, 11, 22)), 24);
    }

    #[test]
    fn months_are_clamped_and_quarters_follow_the_contract() {
        assert_eq!(months_after(date(2027, 8, 31), -6), date(2027, 2, 28));
        assert_eq!(months_after(date(2024, 8, 31), -6), date(2024, 2, 29));
        assert_eq!(months_after(date(2026, 11, 22), 36), date(2029, 11, 22));
        for (growth, due, wanted) in [
            (date(2026, 2, 12), date(2026, 9, 15), date(2026, 4, 1)),
            (date(2026, 2, 12), date(2026, 3, 1), date(2026, 3, 1)),
            (date(2026, 12, 31), date(2027, 9, 15), date(2027, 1, 1)),
            (date(2026, 1, 1), date(2027, 9, 15), date(2026, 4, 1)),
        ] {
            assert_eq!(price_change_date(growth, due), wanted);
        }
        assert_eq!(days_between(date(2025, 3, 1), date(2025, 4, 30)), 60);
        assert_eq!(days_between(date(2025, 3, 2), date(2025, 3, 1)), -1);
    }
}
