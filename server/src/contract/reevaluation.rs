//! The re-evaluation file (B-083, B-300, B-301): one per contract, opened by the first day over, closed by an operator.
//!
//! It suggests; it changes neither volume nor price.
//!
//! Invariant: while a file is open, later days go into it; there are never two.

use jiff::civil::Date;

/// What opened or fed the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A day over the daily change.
    DailyChange,
    /// A day on which the policy refused what was above the daily change.
    Refused,
    /// Latest snapshots above the contracted volume.
    Volume,
    /// An amendment that grew the scope.
    Growth,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::DailyChange, Self::Refused, Self::Volume, Self::Growth];

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DailyChange => "daily_change",
            Self::Refused => "refused",
            Self::Volume => "volume",
            Self::Growth => "growth",
        }
    }

    /// The cause of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == name)
    }
}

/// A day that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverDay {
    /// Which day.
    pub day: Date,
    /// Over what.
    pub cause: Cause,
    /// Changed bytes, those that were wanted, or volume; of a growth the volume that it contracts.
    pub measured_bytes: u64,
    /// What was allowed; of a growth the volume before it.
    pub allowed_bytes: u64,
    /// The baseline that the allowance came from, in bytes; 0 where none did.
    pub baseline_bytes: u64,
}

impl OverDay {
    /// The measure in millionths of what was allowed.
    fn millionths(&self) -> u128 {
        u128::from(self.measured_bytes) * 1_000_000 / u128::from(self.allowed_bytes.max(1))
    }
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
        match self.days.iter_mut().find(|known| (known.day, known.cause) == (over.day, over.cause)) {
            Some(known) => *known = over,
            None => self.days.push(over),
        }
        self.days.sort_by_key(|over| (over.day, over.cause));
    }

    /// The worst day of a cause: the largest measure against what was allowed.
    pub fn peak(&self, cause: Cause) -> Option<OverDay> {
        self.days.iter().filter(|over| over.cause == cause).copied().max_by_key(OverDay::millionths)
    }

    /// The worst day of all.
    pub fn worst(&self) -> Option<OverDay> {
        self.days.iter().copied().max_by_key(OverDay::millionths)
    }

    /// The smallest contracted volume, in whole gigabytes, under which no day of the file would have been over. Days that carried
    /// missed ones were allowed so much more, and ask for no larger volume than others.
    pub fn suggested_volume_bytes(&self) -> u64 {
        const GIGABYTE: u64 = 1_000_000_000;
        let needed = |over: &OverDay| match over.cause {
            Cause::DailyChange | Cause::Refused => {
                let scaled = u128::from(over.measured_bytes) * u128::from(over.baseline_bytes);
                u64::try_from(scaled.div_ceil(u128::from(over.allowed_bytes.max(1)))).unwrap_or(u64::MAX)
            }
            Cause::Volume => over.measured_bytes,
            Cause::Growth => 0,
        };
        self.days.iter().map(needed).max().unwrap_or(0).div_ceil(GIGABYTE).saturating_mul(GIGABYTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn over(day: Date, measured_bytes: u64) -> OverDay {
        let (allowed_bytes, baseline_bytes) = (2_000_000_000, 1_000_000_000_000);
        OverDay { day, cause: Cause::DailyChange, measured_bytes, allowed_bytes, baseline_bytes }
    }

    #[test]
    fn a_day_that_carries_three_suggests_no_threefold_volume() {
        let allowed_bytes = 6_000_000_000;
        let carried = OverDay { allowed_bytes, ..over(date(2026, 2, 12), 6_600_000_000) };
        assert_eq!(File::open(carried).suggested_volume_bytes(), 1_100_000_000_000);
        let refused = OverDay { cause: Cause::Refused, ..over(date(2026, 2, 12), 2_400_000_001) };
        assert_eq!(File::open(refused).suggested_volume_bytes(), 1_201_000_000_000);
        let grown = OverDay { cause: Cause::Growth, ..over(date(2026, 2, 12), 9_000_000_000_000) };
        assert_eq!(File::open(grown).suggested_volume_bytes(), 0);
        assert!(Cause::ALL.into_iter().all(|cause| Cause::from_name(cause.name()) == Some(cause)));
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
        assert_eq!(file.suggested_volume_bytes(), 2_500_000_000_000);
        file.add(OverDay { cause: Cause::Volume, measured_bytes: 2_600_000_000_001, ..over(date(2026, 2, 13), 0) });
        assert_eq!(file.suggested_volume_bytes(), 2_601_000_000_000);
    }
}
