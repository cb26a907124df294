//! Dates as people read them, in the civil time of the contract (Europe/Paris).
//!
//! It does not read a clock: `now` is a value.

use jiff::tz::AmbiguousOffset;
use jiff::{Timestamp, Zoned};

use super::{Arg, Lang, Texts};
use crate::zone::paris;

/// The moment of a count of nanoseconds since 1970; the nearest representable one.
pub fn moment(ns: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(ns)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A moment as a count of nanoseconds since 1970; the nearest that 64 bits hold.
pub fn nanoseconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(if at > Timestamp::UNIX_EPOCH { i64::MAX } else { i64::MIN })
}

impl Texts {
    /// Day and time: `22/11/2026 03:05`; the doubled hour of October says which one it is.
    pub fn date(self, at: Timestamp) -> String {
        let format = match self.lang {
            Lang::French => "%d/%m/%Y %H:%M",
            Lang::English => "%Y-%m-%d %H:%M",
        };
        self.formatted(at, format)
    }

    /// With seconds, for tables: `22/11/2026 03:05:00`.
    pub fn date_precise(self, at: Timestamp) -> String {
        let format = match self.lang {
            Lang::French => "%d/%m/%Y %H:%M:%S",
            Lang::English => "%Y-%m-%d %H:%M:%S",
        };
        self.formatted(at, format)
    }

    /// The day alone: `22/11/2026`.
    pub fn day(self, day: jiff::civil::Date) -> String {
        let format = match self.lang {
            Lang::French => "%d/%m/%Y",
            Lang::English => "%Y-%m-%d",
        };
        day.strftime(format).to_string()
    }

    /// A line with the moments in it (RFC 3339, between spaces) as [`Self::date`] shows them.
    pub fn dates_in(self, line: &str) -> String {
        let word = |word: &str| word.parse().map_or_else(|_| word.to_owned(), |at| self.date(at));
        line.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }

    /// In words: `dimanche 22 novembre 2026 à 03:05`.
    pub fn date_full(self, at: Timestamp) -> String {
        let local = at.to_zoned(paris());
        let number = |value: i8| Arg::Count(u64::from(value.unsigned_abs()));
        self.say_with(
            "date-full",
            &[
                ("weekday", number(local.weekday().to_monday_one_offset())),
                ("day", number(local.day())),
                ("month", number(local.month())),
                ("year", local.year().to_string().into()),
                ("time", local.strftime("%H:%M").to_string().into()),
            ],
        )
    }

    /// How long ago, or in how long: `à l'instant`, `il y a 3 h`, `hier`, `dans 2 jours`.
    pub fn relative(self, at: Timestamp, now: Timestamp) -> String {
        let seconds = now.as_second().saturating_sub(at.as_second());
        let (past, distance) = (seconds >= 0, seconds.unsigned_abs());
        let (at, now) = (at.to_zoned(paris()).date(), now.to_zoned(paris()).date());
        let days = u64::from((now - at).get_days().unsigned_abs());
        let key = |ago: &'static str, ahead: &'static str| if past { ago } else { ahead };
        let (key, count) = match (distance, days) {
            (0..60, _) => ("date-now", 0),
            (60..3_600, _) => (key("date-minutes-ago", "date-in-minutes"), distance / 60),
            (_, 0) | (3_600..21_600, _) => (key("date-hours-ago", "date-in-hours"), distance / 3_600),
            (_, 1) => (key("date-yesterday", "date-tomorrow"), 0),
            (_, 2..60) => (key("date-days-ago", "date-in-days"), days),
            (_, 60..730) => (key("date-months-ago", "date-in-months"), days / 30),
            _ => (key("date-years-ago", "date-in-years"), days / 365),
        };
        if count == 0 { self.say(key) } else { self.say_with(key, &[("count", Arg::Count(count))]) }
    }

    /// Both: `22/11/2026 03:05 (il y a 3 h)`.
    pub fn date_and_relative(self, at: Timestamp, now: Timestamp) -> String {
        format!("{} ({})", self.date(at), self.relative(at, now))
    }

    fn formatted(self, at: Timestamp, format: &str) -> String {
        let local = at.to_zoned(paris());
        let text = local.strftime(format).to_string();
        match doubled_hour(&local) {
            None => text,
            Some(Season::Summer) => format!("{text} ({})", self.say("date-summer-time")),
            Some(Season::Winter) => format!("{text} ({})", self.say("date-winter-time")),
        }
    }
}

enum Season {
    Summer,
    Winter,
}

/// Which of the two moments that read the same; `None` outside the doubled hour.
fn doubled_hour(local: &Zoned) -> Option<Season> {
    match local.time_zone().to_ambiguous_zoned(local.datetime()).offset() {
        AmbiguousOffset::Fold { before, .. } if local.offset() == before => Some(Season::Summer),
        AmbiguousOffset::Fold { .. } => Some(Season::Winter),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FR: Texts = Texts::FRENCH;
    const EN: Texts = Texts::ENGLISH;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn golden_french_dates() {
        let night = at("2026-11-22T03:05:00+01:00");
        assert_eq!(FR.date(night), "22/11/2026 03:05");
        assert_eq!(FR.date_precise(night), "22/11/2026 03:05:00");
        assert_eq!(FR.date_full(night), "dimanche 22 novembre 2026 à 03:05");
        assert_eq!(FR.date_full(at("2026-03-01T12:00:00Z")), "dimanche 1er mars 2026 à 13:00");
        assert_eq!(FR.day(night.to_zoned(paris()).date()), "22/11/2026");
        assert_eq!(EN.date(night), "2026-11-22 03:05");
        assert_eq!(EN.date_full(night), "Sunday 22 November 2026 at 03:05");
    }

    #[test]
    fn the_doubled_hour_of_october_says_which_one_it_is() {
        assert_eq!(FR.date(at("2026-10-25T00:30:00Z")), "25/10/2026 02:30 (heure d'été)");
        assert_eq!(FR.date(at("2026-10-25T01:30:00Z")), "25/10/2026 02:30 (heure d'hiver)");
        assert_eq!(FR.date(at("2026-10-25T02:30:00Z")), "25/10/2026 03:30");
    }

    #[test]
    fn relative_dates_follow_the_calendar() {
        let now = at("2026-11-22T14:00:00+01:00");
        let check = |then: &str, french: &str, english: &str| {
            assert_eq!(FR.relative(at(then), now), french, "{then}");
            assert_eq!(EN.relative(at(then), now), english, "{then}");
        };
        check("2026-11-22T13:59:30+01:00", "à l'instant", "just now");
        check("2026-11-22T13:55:00+01:00", "il y a 5 min", "5 min ago");
        check("2026-11-22T11:00:00+01:00", "il y a 3 h", "3 h ago");
        check("2026-11-22T00:10:00+01:00", "il y a 13 h", "13 h ago");
        check("2026-11-21T23:50:00+01:00", "hier", "yesterday");
        check("2026-11-21T03:05:00+01:00", "hier", "yesterday");
        check("2026-11-20T23:59:00+01:00", "il y a 2 jours", "2 days ago");
        check("2026-09-01T12:00:00+02:00", "il y a 2 mois", "2 months ago");
        check("2023-11-20T12:00:00+01:00", "il y a 3 ans", "3 years ago");
        check("2026-11-22T17:00:00+01:00", "dans 3 h", "in 3 h");
        check("2026-11-23T21:30:00+01:00", "demain", "tomorrow");
        check("2026-11-25T21:30:00+01:00", "dans 3 jours", "in 3 days");
        assert_eq!(FR.date_and_relative(at("2026-11-22T11:00:00+01:00"), now), "22/11/2026 11:00 (il y a 3 h)");
    }
}
