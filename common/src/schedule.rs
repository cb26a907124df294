//! When a source is backed up, as people write it and the server keeps it.
//!
//! ```text
//! schedule = "" | entry { ";" entry } [ zone ]
//! entry    = [ days ] times | [ days ] "every" N "h"
//! days     = day [ "-" day ] { "," day [ "-" day ] }        mon tue wed thu fri sat sun (lun mar mer jeu ven sam dim)
//! times    = HH:MM { "," HH:MM }
//! zone     = an IANA name such as Europe/Paris, which stands when none is given
//! ```
//! `21:30` · `12:00,21:30` · `mon-fri 21:30; sat 04:00` · `every 4h` · `mon-fri every 2h` · `21:30 Indian/Reunion`. It names local
//! moments; who is due, late or put off is the agent's to decide.
//!
//! Invariant: a local time that a change of clock skips happens as much later as the clock was moved; one that comes twice happens
//! at its first.

use std::collections::BTreeSet;
use std::fmt;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::limits::{SCHEDULE_BYTES_MAX, SCHEDULE_TIMES_MAX};
use crate::zone::{DEFAULT_ZONE, named};

/// Days that are looked at for one more occurrence: each weekday, and one skipped by a change of zone.
const LOOK_DAYS: i64 = 9;
const DAYS: [(&str, &str); 7] =
    [("mon", "lun"), ("tue", "mar"), ("wed", "mer"), ("thu", "jeu"), ("fri", "ven"), ("sat", "sam"), ("sun", "dim")];
pub(crate) const EVERYDAY: u8 = 0b111_1111;

/// A schedule that names at least one moment a week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    entries: Vec<Entry>,
    zone: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Bit 0 is Monday.
    days: u8,
    times: BTreeSet<Time>,
    /// Hours between the times, if it was written so.
    every_h: Option<i8>,
}

/// A text that is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// A part of it means nothing.
    #[error("{0:?} is no time, day or interval")]
    Part(String),
    /// The zone is not known.
    #[error("{0:?} is no time zone")]
    Zone(String),
    /// The interval does not divide the day.
    #[error("every {0}h does not divide a day")]
    Interval(i8),
    /// It is longer than a schedule may be.
    #[error("too long")]
    Long,
}

impl Schedule {
    /// Reads one; `None` for an empty text, which schedules nothing.
    ///
    /// # Errors
    /// The first part that means nothing.
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidSchedule> {
        if text.len() > SCHEDULE_BYTES_MAX {
            return Err(InvalidSchedule::Long);
        }
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let zone = match words.last() {
            Some(last) if last.contains('/') || *last == "UTC" => words.pop().unwrap_or(DEFAULT_ZONE),
            _ => DEFAULT_ZONE,
        };
        named(zone).ok_or_else(|| InvalidSchedule::Zone(zone.to_owned()))?;
        let body = words.join(" ").to_ascii_lowercase();
        let parts: Vec<&str> = body.split(';').map(str::trim).collect();
        if parts == [""] {
            return Ok(None);
        }
        let entries = parts.into_iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        if entries.iter().map(|entry| entry.times.len()).sum::<usize>() > SCHEDULE_TIMES_MAX {
            return Err(InvalidSchedule::Long);
        }
        Ok(Some(Self { entries, zone: zone.to_owned() }))
    }

    /// The first moment strictly after `after`.
    pub fn next(&self, after: Timestamp) -> Timestamp {
        let zone = self.zone();
        let first = self.day_of(after, &zone, -1);
        let ahead = (0..LOOK_DAYS + 2).flat_map(|days| self.on(first.saturating_add(days.days()), &zone));
        ahead.filter(|at| *at > after).min().unwrap_or(Timestamp::MAX)
    }

    /// The last moment at or before `until`.
    pub fn last(&self, until: Timestamp) -> Timestamp {
        let zone = self.zone();
        let last = self.day_of(until, &zone, 1);
        let back = (0..LOOK_DAYS + 2).flat_map(|days| self.on(last.saturating_sub(days.days()), &zone));
        back.filter(|at| *at <= until).max().unwrap_or(Timestamp::MIN)
    }

    /// The moments of one local day.
    fn on(&self, day: Date, zone: &TimeZone) -> Vec<Timestamp> {
        let bit = 1 << day.weekday().to_monday_zero_offset();
        let entries = self.entries.iter().filter(|entry| entry.days & bit != 0);
        let moment = |time: &Time| {
            let local = DateTime::from_parts(day, *time);
            zone.to_ambiguous_zoned(local).compatible().ok().map(|zoned| zoned.timestamp())
        };
        entries.flat_map(|entry| &entry.times).filter_map(moment).collect()
    }

    fn day_of(&self, at: Timestamp, zone: &TimeZone, days: i64) -> Date {
        at.to_zoned(zone.clone()).date().saturating_add(days.days())
    }

    fn zone(&self) -> TimeZone {
        named(&self.zone).expect("parsing looked it up in the compiled-in database")
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, entry) in self.entries.iter().enumerate() {
            if at > 0 {
                formatter.write_str("; ")?;
            }
            if entry.days != EVERYDAY {
                let days = (0..7).filter(|day| entry.days & (1 << day) != 0).map(|day| DAYS[day].0);
                write!(formatter, "{} ", days.collect::<Vec<_>>().join(","))?;
            }
            match entry.every_h {
                Some(hours) => write!(formatter, "every {hours}h")?,
                None => {
                    let times = entry.times.iter().map(|time| format!("{:02}:{:02}", time.hour(), time.minute()));
                    formatter.write_str(&times.collect::<Vec<_>>().join(","))?;
                }
            }
        }
        if self.zone == DEFAULT_ZONE { Ok(()) } else { write!(formatter, " {}", self.zone) }
    }
}

fn entry(text: &str) -> Result<Entry, InvalidSchedule> {
    let meaningless = || InvalidSchedule::Part(text.to_owned());
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        ["every", hours] => every(EVERYDAY, hours),
        [days, "every", hours] => every(weekdays(days)?, hours),
        [times] => Ok(Entry { days: EVERYDAY, times: clock_times(times)?, every_h: None }),
        [days, times] => Ok(Entry { days: weekdays(days)?, times: clock_times(times)?, every_h: None }),
        _ => Err(meaningless()),
    }
}

fn every(days: u8, text: &str) -> Result<Entry, InvalidSchedule> {
    let hours: i8 = text
        .strip_suffix('h')
        .filter(|digits| digits.len() <= 2)
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| InvalidSchedule::Part(text.to_owned()))?;
    if !(1..=12).contains(&hours) || 24 % hours != 0 {
        return Err(InvalidSchedule::Interval(hours));
    }
    let times = (0..24 / hours).map(|at| Time::constant(at * hours, 0, 0, 0)).collect();
    Ok(Entry { days, times, every_h: Some(hours) })
}

pub(crate) fn weekdays(text: &str) -> Result<u8, InvalidSchedule> {
    let meaningless = || InvalidSchedule::Part(text.to_owned());
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (weekday(first).ok_or_else(meaningless)?, weekday(last).ok_or_else(meaningless)?);
        // From Saturday to Monday goes over the end of the week.
        let count = (last + 7 - first) % 7 + 1;
        days |= (0..count).fold(0, |days, at| days | 1 << ((first + at) % 7));
    }
    Ok(days)
}

fn weekday(text: &str) -> Option<u8> {
    let at = DAYS.iter().position(|(english, french)| text == *english || text == *french)?;
    Weekday::from_monday_zero_offset(i8::try_from(at).ok()?).ok().map(|day| day.to_monday_zero_offset().unsigned_abs())
}

fn clock_times(text: &str) -> Result<BTreeSet<Time>, InvalidSchedule> {
    text.split(',').map(clock_time).collect()
}

pub(crate) fn clock_time(text: &str) -> Result<Time, InvalidSchedule> {
    let two =
        |part: &str| (part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse().ok());
    text.split_once(':')
        .and_then(|(hour, minute)| Some((two(hour)??, two(minute)??)))
        .and_then(|(hour, minute)| Time::new(hour, minute, 0, 0).ok())
        .ok_or_else(|| InvalidSchedule::Part(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(text: &str) -> Schedule {
        Schedule::parse(text).unwrap().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_people_write_comes_back_in_one_form() {
        for (text, wanted) in [
            ("21:30", "21:30"),
            (" 21:30,06:00 ", "06:00,21:30"),
            ("LUN-VEN 21:30 ; Sam 04:00", "mon,tue,wed,thu,fri 21:30; sat 04:00"),
            ("sat-mon 01:00", "mon,sat,sun 01:00"),
            ("mon,wed,fri every 12h", "mon,wed,fri every 12h"),
            ("every 4h Indian/Reunion", "every 4h Indian/Reunion"),
            ("mon-sun 21:30 Europe/Paris", "21:30"),
        ] {
            assert_eq!(schedule(text).to_string(), wanted, "{text}");
            assert_eq!(schedule(wanted), schedule(text), "{wanted} reads back");
        }
        assert_eq!(Schedule::parse("  "), Ok(None));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in [
            "24:00",
            "9:30",
            "12:60",
            "1230",
            "ab:cd",
            "12:3",
            "+1:30",
            "every",
            "every h",
            "every 5h",
            "every 0h",
            "every 24h",
            "every -2h",
            "every 004h",
            "fun 12:00",
            "mon",
            "mon-fri",
            "12:00;",
            ";",
            "12:00 Mars/Olympus",
            "mon 12:00 tue",
            "21:30,",
        ] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
        assert_eq!(Schedule::parse(&"x".repeat(10_000)), Err(InvalidSchedule::Long));
        let many = ["every 1h"; 20].join("; ");
        assert_eq!(Schedule::parse(&many), Err(InvalidSchedule::Long));
    }

    #[test]
    fn the_next_moment_and_the_last_one() {
        for (text, now, last, next) in [
            ("21:30", "2026-11-22T20:29:59Z", "2026-11-21T20:30:00Z", "2026-11-22T20:30:00Z"),
            ("21:30", "2026-11-22T20:30:00Z", "2026-11-22T20:30:00Z", "2026-11-23T20:30:00Z"),
            ("06:00,12:00", "2026-11-22T08:00:00Z", "2026-11-22T05:00:00Z", "2026-11-22T11:00:00Z"),
            ("sat 04:00", "2026-11-22T08:00:00Z", "2026-11-21T03:00:00Z", "2026-11-28T03:00:00Z"),
            ("mon-fri 21:30", "2026-11-20T21:00:00Z", "2026-11-20T20:30:00Z", "2026-11-23T20:30:00Z"),
            ("every 6h", "2026-11-22T08:00:00Z", "2026-11-22T05:00:00Z", "2026-11-22T11:00:00Z"),
            ("00:30 Pacific/Auckland", "2026-11-22T12:00:00Z", "2026-11-22T11:30:00Z", "2026-11-23T11:30:00Z"),
        ] {
            let schedule = schedule(text);
            assert_eq!(schedule.last(at(now)), at(last), "{text} before {now}");
            assert_eq!(schedule.next(at(now)), at(next), "{text} after {now}");
        }
    }

    #[test]
    fn a_skipped_time_is_later_that_night_and_a_doubled_one_happens_once() {
        let spring = schedule("02:30");
        assert_eq!(spring.next(at("2026-03-28T12:00:00Z")), at("2026-03-29T01:30:00Z"), "03:30, summer time");
        assert_eq!(spring.next(at("2026-03-29T01:30:00Z")), at("2026-03-30T00:30:00Z"));
        assert_eq!(spring.next(at("2026-10-24T12:00:00Z")), at("2026-10-25T00:30:00Z"), "the first of both");
        assert_eq!(spring.next(at("2026-10-25T00:30:00Z")), at("2026-10-26T01:30:00Z"));
        let hourly = schedule("every 1h");
        let mut seen = Vec::new();
        let mut now = at("2026-03-28T22:59:00Z");
        while now < at("2026-03-29T22:00:00Z") {
            now = hourly.next(now);
            seen.push(now);
        }
        assert_eq!(seen.len(), 23 + 1, "a day of 23 hours and the midnight after it, each moment once");
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
