//! What a person types to name a snapshot, and which one it is: values in, decision out.
//!
//! Dates are Europe/Paris, by the server's receipt time. A date without a snapshot means the last one before it.
//!
//! Invariant: the answer says when it is not literally what was asked for.

use common::text::date::nanoseconds;
use std::str::FromStr;

use common::id::SessionId;
use common::text::date::moment;
use common::zone::paris;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// Shortest part of an id that names a snapshot, in digits.
const SHORT_ID_DIGITS_MIN: usize = 4;

/// How a snapshot is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `latest`, `dernier`, or so many before it: `@3`.
    Back(usize),
    /// `2026-11-21` or `21/11/2026`: the last one received by the end of that day.
    Day(Date),
    /// `2026-11-21 18:00`: the last one received by the end of that minute or second.
    Moment(DateTime),
    /// First digits of its id.
    Id(String),
}

/// Text that names no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not name a snapshot")]
pub struct InvalidAddress(pub String);

impl FromStr for Address {
    type Err = InvalidAddress;
    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let text = text.trim();
        let invalid = || InvalidAddress(text.to_owned());
        match text.to_ascii_lowercase().as_str() {
            "latest" | "dernier" | "derniere" | "dernière" => return Ok(Self::Back(0)),
            _ => {}
        }
        if let Some(back) = text.strip_prefix('@') {
            return back.parse().map(Self::Back).map_err(|_| invalid());
        }
        if let Some(date) = date(text) {
            return Ok(Self::Day(date));
        }
        if let Some((day, time)) = text.split_once([' ', 'T']) {
            let (date, time) = date(day).zip(end_of(time.trim())).ok_or_else(invalid)?;
            return Ok(Self::Moment(date.to_datetime(time)));
        }
        let is_id = text.len() >= SHORT_ID_DIGITS_MIN && text.len() <= 2 * SessionId::BYTES;
        if is_id && text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Ok(Self::Id(text.to_ascii_lowercase()));
        }
        Err(invalid())
    }
}

fn date(text: &str) -> Option<Date> {
    let mut parts = text.split(['-', '/']);
    let (a, b, c) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || (text.contains('-') && text.contains('/')) {
        return None;
    }
    let (year, month, day) = if text.contains('/') { (c, b, a) } else { (a, b, c) };
    if year.len() != 4 {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

/// The last moment that a time of day covers: `18:00` the whole minute, `18` and `18h` the whole hour.
fn end_of(text: &str) -> Option<Time> {
    let text = text.replace(['h', 'H'], ":");
    let mut parts = text.trim_end_matches(':').split(':');
    let hour = parts.next()?.parse().ok()?;
    let (minute, second) = (parts.next(), parts.next());
    if parts.next().is_some() {
        return None;
    }
    let or_last = |part: Option<&str>| part.map_or(Some(59), |part| part.parse().ok());
    Time::new(hour, or_last(minute)?, or_last(second)?, 999_999_999).ok()
}

/// A snapshot that can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub session: SessionId,
    /// When the server received it, nanoseconds since 1970.
    pub received_at_ns: i64,
}

/// Which snapshot an address means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    /// Its place in the list.
    pub index: usize,
    /// False if there was none on that day, and this is the last one before.
    pub exact: bool,
}

/// Why an address means no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// There is no snapshot at all.
    #[error("there is no snapshot")]
    None,
    /// All of them are younger; the oldest one's time is given, nanoseconds since 1970.
    #[error("there is no snapshot that old")]
    TooOld {
        /// When the oldest one was received.
        oldest_at_ns: i64,
    },
    /// No id starts with these digits.
    #[error("no snapshot has this id")]
    UnknownId,
    /// Several ids do.
    #[error("several snapshots have an id that starts so")]
    AmbiguousId,
}

/// Finds the snapshot in a list that has the newest first.
///
/// # Errors
/// [`Unresolved`].
pub fn resolve(address: &Address, newest_first: &[Candidate]) -> Result<Resolved, Unresolved> {
    let oldest = newest_first.last().ok_or(Unresolved::None)?;
    let too_old = || Unresolved::TooOld { oldest_at_ns: oldest.received_at_ns };
    let paris = paris();
    let last_by = |limit: DateTime| {
        // In the hour that comes twice, the second one; in the hour that is left out, after it.
        let limit_ns = paris.to_ambiguous_timestamp(limit).later().map_or(i64::MAX, nanoseconds);
        let index = newest_first.iter().position(|candidate| candidate.received_at_ns <= limit_ns);
        index.ok_or_else(too_old)
    };
    let on_day = |index: usize, day: Date| day_of(newest_first[index].received_at_ns, &paris) == day;
    match address {
        Address::Back(back) if *back < newest_first.len() => Ok(Resolved { index: *back, exact: true }),
        Address::Back(_) => Err(too_old()),
        Address::Day(day) => {
            let index = last_by(day.to_datetime(Time::MAX))?;
            Ok(Resolved { index, exact: on_day(index, *day) })
        }
        Address::Moment(limit) => {
            let index = last_by(*limit)?;
            Ok(Resolved { index, exact: on_day(index, limit.date()) })
        }
        Address::Id(start) => {
            let mut matching =
                newest_first.iter().enumerate().filter(|(_, it)| it.session.to_string().starts_with(start));
            let (index, _) = matching.next().ok_or(Unresolved::UnknownId)?;
            if matching.next().is_some() { Err(Unresolved::AmbiguousId) } else { Ok(Resolved { index, exact: true }) }
        }
    }
}

fn day_of(ns: i64, zone: &TimeZone) -> Date {
    zone.to_datetime(moment(ns)).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Newest first: 22 Nov 03:05, 21 Nov 18:00:30, 21 Nov 03:05, 19 Nov 03:05, all in Paris.
    fn list() -> Vec<Candidate> {
        let at = |text: &str, id: u8| {
            let timestamp: jiff::Timestamp = text.parse().unwrap();
            Candidate { session: SessionId::new([id; 16]), received_at_ns: nanoseconds(timestamp) }
        };
        vec![
            at("2026-11-22T02:05:00Z", 0xab),
            at("2026-11-21T17:00:30Z", 0xac),
            at("2026-11-21T02:05:00Z", 0xcd),
            at("2026-11-19T02:05:00Z", 0xce),
        ]
    }

    fn resolved(text: &str) -> Result<(usize, bool), Unresolved> {
        resolve(&text.parse().unwrap(), &list()).map(|resolved| (resolved.index, resolved.exact))
    }

    #[test]
    fn addresses_mean_the_snapshot_that_a_person_expects() {
        for (text, expected) in [
            ("latest", (0, true)),
            ("Dernier", (0, true)),
            ("@0", (0, true)),
            ("@3", (3, true)),
            ("2026-11-21", (1, true)),
            ("21/11/2026", (1, true)),
            ("2026-11-21 18:00", (1, true)),
            ("2026-11-21 18:00:29", (2, true)),
            ("2026-11-21T12h", (2, true)),
            ("2026-11-21 12h30", (2, true)),
            ("2026-11-20", (3, false)),
            ("2026-11-21 03:04", (3, false)),
            ("2027-01-01", (0, false)),
            ("cdcd", (2, true)),
            ("ABABABAB", (0, true)),
        ] {
            assert_eq!(resolved(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_names_none_says_why() {
        assert!(matches!(resolved("2026-11-18"), Err(Unresolved::TooOld { .. })));
        assert!(matches!(resolved("@4"), Err(Unresolved::TooOld { .. })));
        assert_eq!(resolved("dddd"), Err(Unresolved::UnknownId));
        assert_eq!(resolve(&Address::Back(0), &[]), Err(Unresolved::None));
        let twice = [list()[0], Candidate { received_at_ns: 0, ..list()[0] }];
        assert_eq!(resolve(&"abab".parse().unwrap(), &twice), Err(Unresolved::AmbiguousId));
        for bad in
            ["", "@", "@x", "hier soir", "2026-13-01", "2026-11-21 25:00", "21/11/26", "abc", "2026-11/21", "1-2"]
        {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_hour_that_comes_twice_ends_with_its_second_half() {
        // 25 October 2026: 03:00 summer time becomes 02:00 winter time. 02:30 comes at 00:30Z and at 01:30Z.
        let at = |text: &str| nanoseconds(text.parse().unwrap());
        let session = SessionId::new([1; 16]);
        let list = [Candidate { session, received_at_ns: at("2026-10-25T01:20:00Z") }];
        let address: Address = "2026-10-25 02:30".parse().unwrap();
        assert_eq!(resolve(&address, &list), Ok(Resolved { index: 0, exact: true }));
    }
}
