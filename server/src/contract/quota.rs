//! The 0.2 % rule (B-080..084, C-01..05): what a day allows, when it is over, what a policy does with one more batch.
//!
//! It does not count: the catalog's ledger does, inside the transactions that change what is counted.
//!
//! Invariant: integers only; exactly the allowance is inside, one byte more is over.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::calendar::days_between;

/// Most days of change that one run may carry.
pub const DAYS_MAX: u32 = 31;

/// What a source adds to a day's allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceShare {
    /// Plain bytes of its first complete snapshot.
    pub baseline_bytes: u64,
    /// Days of change that today's runs carry: [`days_carried`].
    pub days: u32,
}

/// Civil days since the previous committed snapshot of a source, in any state: 1 to 31, and 1 while it has not run today.
pub fn days_carried(today: Date, previous: Option<Date>, ran_today: bool) -> u32 {
    match previous {
        Some(previous) if ran_today => u32::try_from(days_between(previous, today)).unwrap_or(1).clamp(1, DAYS_MAX),
        _ => 1,
    }
}

/// The rate and the bounds of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Thousandths of the baseline that may change in a day; 2 by contract.
    pub per_mille: u32,
    /// Floor of the allowance, in bytes; favours the customer only.
    pub min_daily_allowance_bytes: u64,
    /// Contracted volume, in bytes: no baseline is more.
    pub contracted_bytes: u64,
}

impl Rate {
    /// Bytes that may change in a day; one byte more is over. `None` while there is no baseline.
    pub fn allowed_bytes(&self, shares: &[SourceShare]) -> Option<u64> {
        let baseline_bytes = baseline_bytes(shares);
        if baseline_bytes == 0 {
            return None;
        }
        let weighted =
            |share: &SourceShare| u128::from(share.baseline_bytes) * u128::from(share.days.clamp(1, DAYS_MAX));
        let all: u128 = shares.iter().map(weighted).sum();
        // Above the contracted volume every source's share shrinks alike.
        let bounded = match u128::from(self.contracted_bytes) {
            contracted if contracted < baseline_bytes => all.saturating_mul(contracted) / baseline_bytes,
            _ => all,
        };
        let exact = u128::from(self.per_mille) * bounded / 1_000;
        Some(u64::try_from(exact).unwrap_or(u64::MAX).max(self.min_daily_allowance_bytes))
    }

    /// The baseline that counts, in bytes.
    pub fn baseline_bytes(&self, shares: &[SourceShare]) -> u64 {
        u64::try_from(baseline_bytes(shares)).unwrap_or(u64::MAX).min(self.contracted_bytes)
    }
}

fn baseline_bytes(shares: &[SourceShare]) -> u128 {
    shares.iter().map(|share| u128::from(share.baseline_bytes)).sum()
}

/// What happens above the allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Accept; mark the day `over` and the snapshot outside the guarantee.
    #[default]
    Flag,
    /// Accept what the day allows; the rest goes on the next day.
    Defer,
    /// Refuse the batch that would exceed.
    Refuse,
}

/// How close a day is to its allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// There is no baseline yet.
    NotStarted,
    /// Under 80 %.
    Inside,
    /// From 80 % to exactly 100 %.
    Near,
    /// Strictly above.
    Over,
}

/// The level of a day that counted so many bytes of those allowed.
pub fn level(counted_bytes: u64, allowed_bytes: Option<u64>) -> Level {
    let Some(allowed_bytes) = allowed_bytes else { return Level::NotStarted };
    if counted_bytes > allowed_bytes {
        Level::Over
    } else if counted_bytes > 0 && u128::from(counted_bytes) * 10 >= u128::from(allowed_bytes) * 8 {
        Level::Near
    } else {
        Level::Inside
    }
}

/// Whole days until the allowance is exceeded if change goes on growing as over `days` (oldest first, one value a day):
/// the least-squares slope. `None` if it does not grow, or not within a year.
pub fn days_until_over(days: &[u64], allowed_bytes: u64) -> Option<u32> {
    const HORIZON_DAYS: u32 = 365;
    let count = u32::try_from(days.len()).ok()?;
    if count < 2 {
        return None;
    }
    let mean_x = f64::from(count - 1) / 2.0;
    let values: Vec<f64> = days.iter().map(|bytes| *bytes as f64).collect();
    let mean_y = values.iter().sum::<f64>() / f64::from(count);
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (x, y) in (0..count).map(f64::from).zip(&values) {
        covariance += (x - mean_x) * (y - mean_y);
        variance += (x - mean_x).powi(2);
    }
    let slope = covariance / variance;
    let today = mean_y + slope * (f64::from(count - 1) - mean_x);
    (0..=HORIZON_DAYS).find(|ahead| slope > 0.0 && today + slope * f64::from(*ahead) > allowed_bytes as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const CONTRACT: Rate = Rate { per_mille: 2, min_daily_allowance_bytes: 0, contracted_bytes: u64::MAX };

    fn share(baseline_bytes: u64, days: u32) -> SourceShare {
        SourceShare { baseline_bytes, days }
    }

    #[test]
    fn exactly_the_allowance_is_inside_and_one_byte_more_is_over() {
        for (shares, floor, changed, over) in [
            (&[share(1_000_000_000, 1)][..], 0, 2_000_000, false),
            (&[share(1_000_000_000, 1)], 0, 2_000_001, true),
            (&[share(1_000_000_000, 3)], 0, 6_000_000, false),
            (&[share(1_000_000_000, 3)], 0, 6_000_001, true),
            (&[share(1_000_000_000, 1), share(500_000_000, 2)], 0, 4_000_000, false),
            (&[share(1_000_000_000, 1), share(500_000_000, 2)], 0, 4_000_001, true),
            (&[share(1_001, 1)], 0, 2, false),
            (&[share(1_001, 1)], 0, 3, true),
            (&[share(1_001, 1)], 50, 50, false),
            (&[share(1_001, 1)], 50, 51, true),
            (&[share(1_000_000_000, 40)], 0, 62_000_001, true),
            (&[share(u64::MAX, 31)], 0, u64::MAX / 1_000, false),
        ] {
            let rate = Rate { min_daily_allowance_bytes: floor, ..CONTRACT };
            let found = level(changed, rate.allowed_bytes(shares)) == Level::Over;
            assert_eq!(found, over, "{shares:?} {floor} {changed}");
        }
    }

    #[test]
    fn a_baseline_counts_up_to_the_contracted_volume() {
        let shares = [share(600_000, 1), share(600_000, 2)];
        for (contracted_bytes, baseline, allowed) in
            [(2_000_000, 1_200_000, 3_600), (1_200_000, 1_200_000, 3_600), (1_000_000, 1_000_000, 3_000)]
        {
            let rate = Rate { contracted_bytes, ..CONTRACT };
            assert_eq!(rate.baseline_bytes(&shares), baseline);
            assert_eq!(rate.allowed_bytes(&shares), Some(allowed));
        }
        assert_eq!(CONTRACT.allowed_bytes(&[share(0, 3)]), None);
        let floor = Rate { min_daily_allowance_bytes: 9, ..CONTRACT };
        assert_eq!(floor.allowed_bytes(&[]), None, "a floor makes no baseline");
    }

    #[test]
    fn a_run_after_missed_days_carries_them() {
        let today = date(2026, 11, 22);
        for (previous, ran_today, wanted) in [
            (None, true, 1),
            (Some(date(2026, 11, 21)), true, 1),
            (Some(date(2026, 11, 22)), true, 1),
            (Some(date(2026, 11, 19)), true, 3),
            (Some(date(2026, 11, 19)), false, 1),
            (Some(date(2026, 1, 1)), true, 31),
            (Some(date(2026, 12, 1)), true, 1),
        ] {
            assert_eq!(days_carried(today, previous, ran_today), wanted, "{previous:?}");
        }
    }

    #[test]
    fn levels_change_at_80_and_above_100_per_cent() {
        let shares = [share(1_000_000, 1)];
        for (changed, wanted) in [
            (0, Level::Inside),
            (1_599, Level::Inside),
            (1_600, Level::Near),
            (2_000, Level::Near),
            (2_001, Level::Over),
        ] {
            assert_eq!(level(changed, CONTRACT.allowed_bytes(&shares)), wanted, "{changed}");
        }
        assert_eq!(level(5, None), Level::NotStarted);
        assert_eq!(level(0, Some(0)), Level::Inside);
        assert_eq!(level(1, Some(0)), Level::Over);
    }

    #[test]
    fn a_forecast_needs_growth() {
        for (days, wanted) in [
            (&[10, 20, 30, 40][..], Some(7)),
            (&[40, 30, 20, 10], None),
            (&[50, 50, 50], None),
            (&[50], None),
            (&[90, 120], Some(0)),
        ] {
            assert_eq!(days_until_over(days, 100), wanted, "{days:?}");
        }
    }
}
