//! Civil days and moments as operators type them: `2026-12-31`, or `31/12/2026`, or with a time `"2026-12-31 22:00"`.
//!
//! Invariant: every day and time is Europe/Paris.

use common::zone::paris;
use jiff::Zoned;
use jiff::civil::{Date, DateTime, Time};

use super::failure::AdminError;

/// A civil day.
///
/// # Errors
/// [`AdminError::Value`] naming the option.
pub fn parse(option: &'static str, given: &str) -> Result<Date, AdminError> {
    read_date(given).ok_or_else(|| AdminError::value(option, given))
}

/// The moment at which a civil day is over, in nanoseconds since 1970.
///
/// # Errors
/// [`AdminError::Value`] naming the option.
pub fn end_ns(option: &'static str, given: &str) -> Result<i64, AdminError> {
    let end = read_date(given).and_then(|day| nanoseconds(day.tomorrow().ok()?.to_zoned(paris()).ok()?));
    end.ok_or_else(|| AdminError::value(option, given))
}

/// A day with a time, or the first moment of a day, in nanoseconds since 1970.
///
/// # Errors
/// [`AdminError::Value`] naming the option.
pub fn moment_ns(option: &'static str, given: &str) -> Result<i64, AdminError> {
    let read = || {
        let (day, time) = given.split_once([' ', 'T']).unwrap_or((given, "00:00"));
        let time: Time = time.parse().ok()?;
        nanoseconds(DateTime::from_parts(read_date(day)?, time).to_zoned(paris()).ok()?)
    };
    read().ok_or_else(|| AdminError::value(option, given))
}

fn read_date(given: &str) -> Option<Date> {
    given.parse().ok().or_else(|| Date::strptime("%d/%m/%Y", given).ok())
}

fn nanoseconds(at: Zoned) -> Option<i64> {
    i64::try_from(at.timestamp().as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::text::date::moment;

    #[test]
    fn days_and_times_are_those_of_paris() {
        let shown = |ns: Result<i64, AdminError>| ns.map(|ns| moment(ns).to_string()).unwrap_or_default();
        assert_eq!(shown(end_ns("until", "2026-12-31")), "2026-12-31T23:00:00Z");
        assert_eq!(shown(end_ns("until", "31/12/2026")), "2026-12-31T23:00:00Z");
        assert_eq!(shown(moment_ns("from", "2026-07-01 22:30")), "2026-07-01T20:30:00Z");
        assert_eq!(shown(moment_ns("from", "01/07/2026")), "2026-06-30T22:00:00Z");
        for bad in ["", "demain", "2026-13-01", "2026-07-01 25:00"] {
            assert!(moment_ns("from", bad).is_err(), "{bad}");
        }
    }
}
