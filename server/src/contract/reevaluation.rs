//! The re-evaluation file (B-083, B-300, B-301): one per contract, opened by the first day over, closed by an operator.
//!
//! It suggests; it changes neither volume nor price.
//!
//! Invariant: while a file is open, later days go into it; there are never two.

use jiff::civil::Date;

use super::calendar::price_change_date;

/// What opened or fed the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A day over the daily change.
    DailyChange,
    /// Latest snapshots above the contracted volume.
    Volume,
}

/// A day that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverDay {
    /// Which day.
    pub day: Date,
    /// Over what.
    pub cause: Cause,
    /// Changed bytes, or volume.
    pub measured_bytes: u64,
    /// What was allowed.
    pub allowed_bytes: u64,
}

/// An open file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its days, in order; at least one.
    pub days: Vec<OverDay>,
}

impl File {
    /// Opens the file of a subscription that has none open.
    pub fn open(first: OverDay) -> Self {
        Self { days: vec![first] }
    }

    /// Adds a day, or replaces what was noted for the same day and cause.
    pub fn add(&mut self, over: OverDay) {
        match self.days.iter_mut().find(|known| (known.day, known.cause as u8) == (over.day, over.cause as u8)) {
            Some(known) => *known = over,
            None => self.days.push(over),
        }
        self.days.sort_by_key(|over| (over.day, over.cause as u8));
    }

    /// The worst day of a cause: the largest measure against what was allowed.
    pub fn peak(&self, cause: Cause) -> Option<OverDay> {
        let ratio =
            |over: &OverDay| u128::from(over.measured_bytes) * 1_000_000 / u128::from(over.allowed_bytes.max(1));
        self.days.iter().filter(|over| over.cause == cause).copied().max_by_key(ratio)
    }

    /// The smallest contracted volume, in whole gigabytes, under which no day of the file would have been over.
    pub fn suggested_volume_bytes(&self, per_mille: u32) -> u64 {
        const GIGABYTE: u64 = 1_000_000_000;
        let needed = |over: &OverDay| match over.cause {
            Cause::DailyChange => {
                let exact = (u128::from(over.measured_bytes) * 1_000).div_ceil(u128::from(per_mille.max(1)));
                u64::try_from(exact).unwrap_or(u64::MAX)
            }
            Cause::Volume => over.measured_bytes,
        };
        self.days.iter().map(needed).max().unwrap_or(0).div_ceil(GIGABYTE).saturating_mul(GIGABYTE)
    }

    /// When a new price would apply.
    pub fn price_change_date(&self, next_due: Date) -> Option<Date> {
        self.days.first().map(|first| price_change_date(first.day, next_due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn over(day: Date, measured_bytes: u64) -> OverDay {
        OverDay { day, cause: Cause::DailyChange, measured_bytes, allowed_bytes: 2_000_000_000 }
    }

    #[test]
    fn one_file_gathers_its_days_and_suggests_a_volume() {
        let mut file = File::open(over(date(2026, 2, 12), 2_000_000_001));
        file.add(over(date(2026, 2, 14), 5_000_000_000));
        file.add(over(date(2026, 2, 13), 3_000_000_000));
        file.add(over(date(2026, 2, 13), 3_100_000_000));
        assert_eq!(file.days.iter().map(|over| over.day.day()).collect::<Vec<_>>(), [12, 13, 14]);
        assert_eq!(file.peak(Cause::DailyChange).unwrap().measured_bytes, 5_000_000_000);
        assert_eq!(file.peak(Cause::Volume), None);
        assert_eq!(file.suggested_volume_bytes(2), 2_500_000_000_000);
        assert_eq!(file.price_change_date(date(2026, 9, 15)), Some(date(2026, 4, 1)));
        file.add(OverDay { cause: Cause::Volume, measured_bytes: 2_600_000_000_001, ..over(date(2026, 2, 13), 0) });
        assert_eq!(file.suggested_volume_bytes(2), 2_601_000_000_000);
    }
}
