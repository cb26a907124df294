//! What a subscription uses of its contract, read from its catalog: today, and the days before.
//!
//! It reads no clock and decides nothing: `contract::{ledger, day}` do.
//!
//! Invariant: reading changes nothing and waits for no backup.

use common::id::SourceId;
use jiff::civil::Date;
use jiff::{Span, Timestamp};

use crate::catalog::days::DayLine;
use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::contract::calendar::day_of;
use crate::contract::day::{Day, MONTH_DAYS, Outlook, outlook};
use crate::contract::ledger::{Ledger, Tally, node_allowance_bytes};
use crate::contract::terms::Terms;
use crate::session::budget::{Budget, civil_day};

/// What a subscription uses.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// What is counted today.
    pub ledger: Ledger,
    /// Accepted, not yet reached by a snapshot.
    pub uncommitted: Tally,
    /// Today, as it stands.
    pub today: Day,
    /// The baseline that counts, in bytes; 0 while there is none.
    pub baseline_bytes: u64,
    /// Most days of change that one source's runs carry today.
    pub days_carried: u32,
    /// The last 30 days, newest first.
    pub days: Vec<DayLine>,
    /// What they say.
    pub outlook: Outlook,
    /// What stored frames of all published packs take, in bytes.
    pub stored_bytes: u64,
}

/// Reads what a subscription uses at `now` from its catalog; its account, if it is open, also knows what is staged. `running` is a source
/// that is at work and will commit today.
///
/// # Errors
/// [`CatalogError`].
pub fn usage_of(
    catalog: &Catalog,
    account: Option<Budget>,
    (terms, now): (&Terms, Timestamp),
    running: Option<&SourceId>,
) -> Result<Usage, CatalogError> {
    let mut account = account.map_or_else(|| Budget::load(catalog), Ok)?;
    let now_ns = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
    if civil_day(now_ns) > account.ledger.day {
        account.roll(catalog, now_ns)?;
    }
    let since = account.ledger.day.checked_sub(Span::new().days(MONTH_DAYS)).unwrap_or(Date::MIN);
    let (days, stored_bytes) = (catalog.days(Some(since), None)?, catalog.stored_bytes()?);
    Ok(Usage { stored_bytes, ..judged(account.ledger, account.uncommitted, (terms, running), days) })
}

/// What a subscription uses of which nothing was ever stored.
pub fn nothing(terms: &Terms, now: Timestamp) -> Usage {
    judged(Ledger::of(day_of(now)), Tally::default(), (terms, None), Vec::new())
}

fn judged(
    ledger: Ledger,
    uncommitted: Tally,
    (terms, running): (&Terms, Option<&SourceId>),
    days: Vec<DayLine>,
) -> Usage {
    let shares = ledger.shares(terms, running);
    let today = Day {
        day: ledger.day,
        counted_bytes: ledger.today.counted_bytes(node_allowance_bytes(terms.contracted_bytes)),
        allowed_bytes: terms.rate().allowed_bytes(&shares),
    };
    let past: Vec<Day> = days.iter().map(day).collect();
    Usage {
        baseline_bytes: terms.rate().baseline_bytes(&shares),
        days_carried: shares.iter().map(|share| share.days).max().unwrap_or(1),
        outlook: outlook(&past, today),
        ledger,
        uncommitted,
        today,
        days,
        stored_bytes: 0,
    }
}

/// A line of the ledger as a day to judge.
pub fn day(line: &DayLine) -> Day {
    Day { day: line.day, counted_bytes: line.counted_bytes, allowed_bytes: line.allowed_bytes }
}
