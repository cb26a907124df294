//! How fast a machine may send, by day and hour, as people write it in its settings.
//!
//! ```text
//! bandwidth = entry { ";" entry } [ zone ]
//! entry     = [ days ] [ HH:MM "-" HH:MM ] rate          days and zone as in `schedule`; a slot may go past midnight
//! rate      = N ( "kbit/s" | "Mbit/s" | "Gbit/s" ) | "unlimited"
//! ```
//! `20 Mbit/s` · `mon-fri 08:00-19:00 5 Mbit/s; 50 Mbit/s`. The first entry that holds at a moment counts; if none does, nothing is limited.
//!
//! Invariant: a rate is at least [`RATE_BITS_MIN`], so that no message takes longer than a stream may be idle.

use jiff::Timestamp;
use jiff::civil::Time;

use crate::limits::SCHEDULE_BYTES_MAX;
use crate::schedule::{EVERYDAY, clock_time, weekdays};
use crate::zone::{DEFAULT_ZONE, named};

/// Slowest rate that can be asked for, in bits per second.
pub const RATE_BITS_MIN: u64 = 256_000;
/// Fastest, in bits per second.
const RATE_BITS_MAX: u64 = 1_000_000_000_000;

/// Rates by day and hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bandwidth {
    entries: Vec<Entry>,
    zone: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// Bit 0 is Monday: the day on which a slot begins.
    days: u8,
    /// From, until; the whole day if none.
    slot: Option<(Time, Time)>,
    /// None is no limit.
    bits_per_second: Option<u64>,
}

/// A text that says no rates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} says no rate")]
pub struct InvalidBandwidth(String);

impl Bandwidth {
    /// Reads one.
    ///
    /// # Errors
    /// The first part that means nothing.
    pub fn parse(text: &str) -> Result<Self, InvalidBandwidth> {
        let invalid = |part: &str| InvalidBandwidth(part.to_owned());
        if text.len() > SCHEDULE_BYTES_MAX {
            return Err(invalid("…"));
        }
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let is_zone = |word: &str| (word.contains('/') && !word.ends_with("/s")) || word == "UTC";
        let zone = match words.last() {
            Some(last) if is_zone(last) => words.pop().unwrap_or(DEFAULT_ZONE),
            _ => DEFAULT_ZONE,
        };
        named(zone).ok_or_else(|| invalid(zone))?;
        let body = words.join(" ").to_ascii_lowercase();
        let entries = body.split(';').map(|part| entry(part.trim()).ok_or_else(|| invalid(part.trim())));
        Ok(Self { entries: entries.collect::<Result<_, _>>()?, zone: zone.to_owned() })
    }

    /// Bytes that may leave in a second at that moment; none if nothing is limited.
    pub fn bytes_per_second(&self, at: Timestamp) -> Option<u64> {
        let zone = named(&self.zone).expect("parsing looked it up in the compiled-in database");
        let local = at.to_zoned(zone);
        let day = local.date().weekday().to_monday_zero_offset().unsigned_abs();
        let found = self.entries.iter().find(|entry| entry.holds(day, local.time()))?;
        found.bits_per_second.map(|bits| bits / 8)
    }
}

impl Entry {
    /// `day` counts from Monday.
    fn holds(&self, day: u8, time: Time) -> bool {
        let on = |day: u8| self.days & (1 << day) != 0;
        match self.slot {
            None => on(day),
            Some((from, until)) if from < until => on(day) && (from..until).contains(&time),
            // Past midnight the slot is the one of the day before.
            Some((from, until)) => (on(day) && time >= from) || (on((day + 6) % 7) && time < until),
        }
    }
}

fn entry(text: &str) -> Option<Entry> {
    let mut words: Vec<&str> = text.split(' ').collect();
    let bits_per_second = match words.pop()? {
        "unlimited" => None,
        unit => Some(rate(words.pop()?, unit)?),
    };
    let slot = match words.last() {
        Some(word) if word.contains(':') => {
            let (from, until) = words.pop()?.split_once('-')?;
            Some((clock_time(from).ok()?, clock_time(until).ok()?)).filter(|(from, until)| from != until)
        }
        _ => None,
    };
    if text.contains(':') != slot.is_some() {
        return None;
    }
    let days = match words[..] {
        [] => EVERYDAY,
        [days] => weekdays(days).ok()?,
        _ => return None,
    };
    Some(Entry { days, slot, bits_per_second })
}

fn rate(number: &str, unit: &str) -> Option<u64> {
    let unit: u64 = match unit {
        "kbit/s" => 1_000,
        "mbit/s" => 1_000_000,
        "gbit/s" => 1_000_000_000,
        _ => return None,
    };
    let bits = number.parse::<u64>().ok()?.checked_mul(unit)?;
    (RATE_BITS_MIN..=RATE_BITS_MAX).contains(&bits).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_that_holds_says_the_rate() {
        let office = "mon-fri 08:00-19:00 8 Mbit/s; sat 22:00-02:00 unlimited; 80 Mbit/s";
        for (text, at, wanted) in [
            ("20 Mbit/s", "2026-11-22T12:00:00Z", Some(2_500_000)),
            ("256 kbit/s", "2026-11-22T12:00:00Z", Some(32_000)),
            ("unlimited", "2026-11-22T12:00:00Z", None),
            // Monday 08:00 in Paris, the moment before, and the evening.
            (office, "2026-11-23T07:00:00Z", Some(1_000_000)),
            (office, "2026-11-23T06:59:59Z", Some(10_000_000)),
            (office, "2026-11-23T18:00:00Z", Some(10_000_000)),
            // The night from Saturday to Sunday, and the same hour a day later.
            (office, "2026-11-21T21:30:00Z", None),
            (office, "2026-11-22T00:30:00Z", None),
            (office, "2026-11-22T01:30:00Z", Some(10_000_000)),
            (office, "2026-11-23T00:30:00Z", Some(10_000_000)),
            ("LUN 08:00-19:00 8 mbit/s", "2026-11-22T12:00:00Z", None),
            ("08:00-19:00 8 Mbit/s Indian/Reunion", "2026-11-22T04:30:00Z", Some(1_000_000)),
        ] {
            let bandwidth = Bandwidth::parse(text).unwrap();
            assert_eq!(bandwidth.bytes_per_second(at.parse().unwrap()), wanted, "{text} at {at}");
        }
    }

    #[test]
    fn what_says_no_rate_is_refused() {
        let long = "x".repeat(10_000);
        for text in [
            "",
            "20",
            "Mbit/s",
            "20 Mbits",
            "-1 Mbit/s",
            "1,5 Mbit/s",
            "255 kbit/s",
            "9999 Gbit/s",
            "mon",
            "08:00-19:00",
            "08:00 5 Mbit/s",
            "08:00-08:00 5 Mbit/s",
            "08:00-25:00 5 Mbit/s",
            "fun 5 Mbit/s",
            "mon tue 5 Mbit/s",
            "5 Mbit/s;",
            "5 Mbit/s Mars/Olympus",
            &long,
        ] {
            assert!(Bandwidth::parse(text).is_err(), "{text:.40}");
        }
    }
}
