//! Days as people judge them: each one's level, how long it has lasted, means, peak, days over, and where it leads.
//!
//! It does not read the ledger: `usage` does, and gives it here.
//!
//! Invariant: a day that is over is judged by what its last snapshot wrote down, so no later amendment changes it.

use jiff::ToSpan;
use jiff::civil::Date;

use super::calendar::days_between;
use super::quota::{Level, days_until_over, level};

/// Days of the short mean.
pub const WEEK_DAYS: u32 = 7;
/// Days of the long mean, of the peak and of the forecast.
pub const MONTH_DAYS: u32 = 30;

/// What a civil day counted and allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Which day.
    pub day: Date,
    /// Counted against the allowance, in bytes.
    pub counted_bytes: u64,
    /// The allowance; `None` while there was no baseline.
    pub allowed_bytes: Option<u64>,
}

impl Day {
    /// How close it is to its allowance.
    pub fn level(&self) -> Level {
        level(self.counted_bytes, self.allowed_bytes)
    }

    /// Hundredths of the allowance that are used; `None` without one.
    pub fn percent(&self) -> Option<u64> {
        let allowed = self.allowed_bytes?;
        let exact = u128::from(self.counted_bytes) * 100 / u128::from(allowed.max(1));
        Some(u64::try_from(exact).unwrap_or(u64::MAX))
    }
}

/// What the last 30 days say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    /// Counted a day in the mean of the last 7 days, in bytes.
    pub mean_7_bytes: u64,
    /// The same of the last 30 days.
    pub mean_30_bytes: u64,
    /// The day of the last 30 that used most of its allowance.
    pub peak: Option<Day>,
    /// Days over among the last 30.
    pub days_over: u32,
    /// Days from 80 % to 100 % among the last 30.
    pub days_near: u32,
    /// Days until a day is over at the present slope; `None` if none is in sight.
    pub until_over_days: Option<u32>,
    /// The day on which today's level began.
    pub since: Date,
}

/// Sums up days, newest first and at most one line a day, as seen on `today`. A day without a line counted nothing; days
/// before the first one do not dilute a mean.
pub fn outlook(days: &[Day], today: Day) -> Outlook {
    let age = |day: &Day| days_between(day.day, today.day);
    let past = days.iter().filter(|day| day.day < today.day);
    let all: Vec<Day> = std::iter::once(today).chain(past.copied()).collect();
    let oldest = all.last().map_or(0, age);
    let window = |length: u32| {
        let inside = |day: &&Day| u32::try_from(age(day)).is_ok_and(|age| age < length);
        all.iter().filter(inside).collect::<Vec<_>>()
    };
    let mean = |length: u32| {
        let lived = u64::try_from(oldest).unwrap_or(0) + 1;
        window(length).iter().map(|day| day.counted_bytes).fold(0, u64::saturating_add) / lived.min(length.into())
    };
    let month = window(MONTH_DAYS);
    let number = |wanted: Level| month.iter().filter(|day| day.level() == wanted).count();
    Outlook {
        mean_7_bytes: mean(WEEK_DAYS),
        mean_30_bytes: mean(MONTH_DAYS),
        peak: month.iter().filter(|day| day.allowed_bytes.is_some()).max_by_key(|day| day.percent()).map(|day| **day),
        days_over: u32::try_from(number(Level::Over)).unwrap_or(u32::MAX),
        days_near: u32::try_from(number(Level::Near)).unwrap_or(u32::MAX),
        until_over_days: until_over(&month, today),
        since: all.iter().take_while(|day| day.level() == today.level()).last().map_or(today.day, |day| day.day),
    }
}

/// Days from today until a day is over at the present slope, from the share of its allowance that each day of `month` used:
/// a day that carries missed ones is allowed more. Days without a line used nothing; today counts once it changed something.
fn until_over(month: &[&Day], today: Day) -> Option<u32> {
    const WHOLE: u64 = 1_000_000;
    let share = |day: &Day| {
        let exact = u128::from(day.counted_bytes) * u128::from(WHOLE) / u128::from(day.allowed_bytes?.max(1));
        Some(u64::try_from(exact).unwrap_or(u64::MAX))
    };
    let first = month.iter().rev().find(|day| day.allowed_bytes.is_some())?.day;
    let last = if today.counted_bytes > 0 { today.day } else { today.day.yesterday().ok()? };
    let shares: Vec<u64> = first
        .series(1.day())
        .take_while(|day| *day <= last)
        .map(|day| month.iter().find(|known| known.day == day).and_then(|known| share(known)).unwrap_or(0))
        .collect();
    let ahead = days_until_over(&shares, WHOLE)?;
    Some(if last == today.day { ahead } else { ahead.saturating_sub(1) })
}

/// True for a snapshot outside the guarantee: by it, its day had counted more than the day allowed in the end.
pub fn is_outside_guarantee(day_counted_bytes: u64, day: &Day) -> bool {
    day.allowed_bytes.is_some_and(|allowed| day_counted_bytes > allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn day(number: i8, counted_bytes: u64) -> Day {
        Day { day: date(2026, 11, number), counted_bytes, allowed_bytes: Some(100) }
    }

    #[test]
    fn means_peak_and_the_beginning_of_a_level() {
        let past = [day(21, 110), day(20, 120), day(18, 90), day(12, 40), day(1, 500)];
        let found = outlook(&past, day(22, 101));
        assert_eq!(found.mean_7_bytes, (101 + 110 + 120 + 90) / 7);
        assert_eq!(found.mean_30_bytes, (101 + 110 + 120 + 90 + 40 + 500) / 22, "it exists for 22 days");
        assert_eq!(found.peak, Some(day(1, 500)));
        assert_eq!((found.days_over, found.days_near), (4, 1));
        assert_eq!(found.since, date(2026, 11, 20));
        assert_eq!(outlook(&past, day(22, 0)).since, date(2026, 11, 22));
        let first = Day { allowed_bytes: None, ..day(3, 0) };
        let alone = outlook(&[], first);
        assert_eq!((alone.mean_7_bytes, alone.peak, alone.until_over_days, alone.since), (0, None, None, first.day));
    }

    #[test]
    fn a_growing_change_is_over_in_so_many_days() {
        let past: Vec<Day> = (1..=9).rev().map(|number| day(number, 10 * u64::from(number.unsigned_abs()))).collect();
        assert_eq!(outlook(&past, day(10, 100)).until_over_days, Some(1));
        let shrinking: Vec<Day> =
            (1..=9).rev().map(|number| day(number, 90 - u64::from(number.unsigned_abs()))).collect();
        assert_eq!(outlook(&shrinking, day(10, 80)).until_over_days, None);
    }

    #[test]
    fn a_forecast_knows_idle_days_and_days_that_carry_others() {
        // A machine that runs every third day, and carries three days then, uses its allowance evenly.
        let carried = |number, counted_bytes| Day { allowed_bytes: Some(300), ..day(number, counted_bytes) };
        let even = [carried(16, 150), carried(13, 150), carried(10, 150), carried(7, 150), carried(4, 150)];
        assert_eq!(outlook(&even, day(19, 0)).until_over_days, None);
        // Bytes grow, and so does what the day carries: half of it all along.
        let grown = [carried(9, 150), day(8, 50), day(7, 50), day(6, 50)];
        assert_eq!(outlook(&grown, day(10, 0)).until_over_days, None);
        // 10, 20 … 70 with the 4th idle; today has changed nothing yet and is not a fall.
        let idle: Vec<Day> = [7, 6, 5, 3, 2, 1].map(|number| day(number, 10 * number.unsigned_abs() as u64)).to_vec();
        let found = outlook(&idle, day(8, 0)).until_over_days;
        assert_eq!(found, outlook(&idle[1..], day(7, 70)).until_over_days.map(|days| days - 1));
        assert!(found.is_some_and(|days| (1..=5).contains(&days)), "{found:?}");
        let quiet = [day(9, 10), day(2, 90), day(1, 90)];
        assert_eq!(outlook(&quiet, day(10, 0)).until_over_days, None, "idle days in between are a fall");
    }

    #[test]
    fn a_level_and_the_guarantee_change_with_one_byte() {
        for (counted, percent, level, outside) in [
            (79, 79, Level::Inside, false),
            (80, 80, Level::Near, false),
            (100, 100, Level::Near, false),
            (101, 101, Level::Over, true),
        ] {
            let day = day(1, counted);
            assert_eq!((day.percent(), day.level()), (Some(percent), level));
            assert_eq!(is_outside_guarantee(counted, &day), outside);
        }
        let none = Day { allowed_bytes: None, ..day(1, 5) };
        assert_eq!((none.percent(), none.level(), is_outside_guarantee(5, &none)), (None, Level::NotStarted, false));
    }
}
