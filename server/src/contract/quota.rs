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

/// The rate and the floor of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Thousandths of the baseline that may change in a day; 2 by contract.
    pub per_mille: u32,
    /// Floor of the allowance, in bytes; favours the customer only.
    pub min_daily_allowance_bytes: u64,
}

impl Rate {
    /// Bytes that may change today.
    pub fn allowed_bytes(&self, shares: &[SourceShare]) -> u64 {
        let exact = u128::from(self.per_mille) * weighted(shares) / 1_000;
        u64::try_from(exact).unwrap_or(u64::MAX).max(self.min_daily_allowance_bytes)
    }

    /// True if `changed_bytes` is strictly more than the day allows.
    pub fn is_over(&self, changed_bytes: u64, shares: &[SourceShare]) -> bool {
        u128::from(changed_bytes) * 1_000 > u128::from(self.per_mille) * weighted(shares)
            && changed_bytes > self.min_daily_allowance_bytes
    }
}

fn weighted(shares: &[SourceShare]) -> u128 {
    shares.iter().map(|share| u128::from(share.baseline_bytes) * u128::from(share.days.clamp(1, DAYS_MAX))).sum()
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

/// The account of a subscription when a batch arrives, in plain bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Changed bytes that today's committed snapshots reached first.
    pub committed_today_bytes: u64,
    /// Accepted in any session, not committed yet.
    pub uncommitted_bytes: u64,
    /// Plain bytes of the latest snapshots of all sources.
    pub volume_bytes: u64,
}

/// The limits that apply to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Today's allowance; `None` while there is no baseline.
    pub allowed_bytes: Option<u64>,
    /// Volume that is never exceeded.
    pub hard_volume_bytes: u64,
    /// What happens above the allowance.
    pub policy: Policy,
}

/// Why a batch is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Which limit.
    pub limit: LimitKind,
    /// What was used before the batch.
    pub used_bytes: u64,
    /// What is allowed.
    pub allowed_bytes: u64,
}

/// The limits of the contract that can refuse a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitKind {
    /// The daily change.
    DailyChange,
    /// The hard volume.
    Volume,
}

/// Accepts or refuses `batch_bytes` more; both limits are inclusive.
///
/// # Errors
/// The refusal names the limit that the batch would exceed.
pub fn admit(account: Account, limits: Limits, batch_bytes: u64) -> Result<(), Refusal> {
    let today = account.committed_today_bytes.saturating_add(account.uncommitted_bytes);
    if let (Some(allowed_bytes), Policy::Defer | Policy::Refuse) = (limits.allowed_bytes, limits.policy)
        && today.saturating_add(batch_bytes) > allowed_bytes
    {
        return Err(Refusal { limit: LimitKind::DailyChange, used_bytes: today, allowed_bytes });
    }
    let volume = account.volume_bytes.saturating_add(account.uncommitted_bytes);
    if volume.saturating_add(batch_bytes) > limits.hard_volume_bytes {
        let allowed_bytes = limits.hard_volume_bytes;
        return Err(Refusal { limit: LimitKind::Volume, used_bytes: volume, allowed_bytes });
    }
    Ok(())
}

/// How close a day is to its allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// There is no baseline yet.
    NotStarted,
    /// Under 80 %.
    Inside,
    /// From 80 % to exactly 100 %.
    Above80,
    /// Strictly above.
    Over,
}

/// The level of a day.
pub fn level(rate: Rate, changed_bytes: u64, shares: &[SourceShare]) -> Level {
    if shares.iter().all(|share| share.baseline_bytes == 0) {
        Level::NotStarted
    } else if rate.is_over(changed_bytes, shares) {
        Level::Over
    } else if u128::from(changed_bytes) * 10 >= u128::from(rate.allowed_bytes(shares)) * 8 {
        Level::Above80
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

    const CONTRACT: Rate = Rate { per_mille: 2, min_daily_allowance_bytes: 0 };

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
            assert_eq!(rate.is_over(changed, shares), over, "{shares:?} {floor} {changed}");
            assert!(!rate.is_over(rate.allowed_bytes(shares), shares), "the allowance itself is inside");
        }
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
    fn policies_admit_to_the_last_byte() {
        let limits = |policy| Limits { allowed_bytes: Some(100), hard_volume_bytes: 1_000, policy };
        let account = |committed, uncommitted, volume| Account {
            committed_today_bytes: committed,
            uncommitted_bytes: uncommitted,
            volume_bytes: volume,
        };
        for (policy, account, batch, wanted) in [
            (Policy::Flag, account(90, 0, 500), 11, None),
            (Policy::Flag, account(0, 400, 500), 100, None),
            (Policy::Flag, account(0, 400, 500), 101, Some(LimitKind::Volume)),
            (Policy::Defer, account(60, 30, 500), 10, None),
            (Policy::Defer, account(60, 30, 500), 11, Some(LimitKind::DailyChange)),
            (Policy::Refuse, account(60, 30, 500), 11, Some(LimitKind::DailyChange)),
            (Policy::Refuse, account(0, 0, 1_000), 1, Some(LimitKind::Volume)),
            (Policy::Refuse, account(u64::MAX, u64::MAX, 0), 1, Some(LimitKind::DailyChange)),
        ] {
            let refused = admit(account, limits(policy), batch).err().map(|refusal| refusal.limit);
            assert_eq!(refused, wanted, "{policy:?} {account:?} {batch}");
        }
        let first = Limits { allowed_bytes: None, ..limits(Policy::Refuse) };
        assert_eq!(admit(account(0, 900, 0), first, 100), Ok(()));
        assert!(admit(account(0, 900, 0), first, 101).is_err());
    }

    #[test]
    fn levels_change_at_80_and_above_100_per_cent() {
        let shares = [share(1_000_000, 1)];
        for (changed, wanted) in [
            (0, Level::Inside),
            (1_599, Level::Inside),
            (1_600, Level::Above80),
            (2_000, Level::Above80),
            (2_001, Level::Over),
        ] {
            assert_eq!(level(CONTRACT, changed, &shares), wanted, "{changed}");
        }
        assert_eq!(level(CONTRACT, 5, &[share(0, 1)]), Level::NotStarted);
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
