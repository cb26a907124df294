//! The check of one more batch against the contract: the daily change, the volume, the first backup, reseeds, chunks.
//!
//! It does not add: whoever calls it holds the account's lock and adds what was admitted.
//!
//! Invariant: every limit is inclusive, and only a batch that raises a measure can be refused for it. What is known already
//! raises nothing and is never refused.

use std::collections::BTreeMap;

use common::id::SourceId;
use jiff::civil::Date;

use super::ledger::{Ledger, Tally, node_allowance_bytes};
use super::order_form::HARD_VOLUME_PERCENT;
use super::quota::Policy;
use super::terms::Terms;

/// Chunks a day that are always allowed.
const CHUNKS_MIN: u64 = 1 << 20;
/// Further chunks a day: one per so many bytes of the hard volume.
const CHUNK_BYTES_MEAN_MIN: u64 = 16 << 10;

/// The limits that can refuse a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// The daily change.
    DailyChange,
    /// The hard volume.
    Volume,
    /// What sources without a first complete snapshot may send, in all.
    FirstBackup,
    /// What reseeds may send in 30 days.
    Reseed,
    /// Chunks of a day, however small.
    Chunks,
}

impl LimitKind {
    /// The name that travels in refusals.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DailyChange => "daily_change",
            Self::Volume => "hard_volume",
            Self::FirstBackup => "first_backup",
            Self::Reseed => "reseed",
            Self::Chunks => "chunks_per_day",
        }
    }
}

/// Why a batch is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Which limit.
    pub limit: LimitKind,
    /// What was used before the batch.
    pub used: u64,
    /// What is allowed.
    pub allowed: u64,
    /// What would have been used with it.
    pub wanted: u64,
    /// The day from which on `used` is counted.
    pub since: Date,
}

/// The account that a batch of one source is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    /// What is committed.
    pub ledger: &'a Ledger,
    /// What was accepted in any session and is not committed.
    pub uncommitted: &'a Tally,
    /// What was agreed.
    pub terms: &'a Terms,
    /// The part of it that open sessions sent, by source.
    pub running: &'a BTreeMap<SourceId, Tally>,
    /// Who sends.
    pub source: &'a SourceId,
}

impl Account<'_> {
    /// Admits a batch, or says why not.
    ///
    /// # Errors
    /// The first limit that the batch would exceed.
    pub fn admit(&self, batch: &Tally) -> Result<(), Refusal> {
        let next = self.uncommitted.plus(*batch);
        let allowed = |limit| self.allowed(limit, &next);
        for limit in
            [LimitKind::DailyChange, LimitKind::FirstBackup, LimitKind::Reseed, LimitKind::Volume, LimitKind::Chunks]
        {
            let Some(allowed) = allowed(limit) else { continue };
            let (used, wanted) = (self.measure(limit, self.uncommitted), self.measure(limit, &next));
            if wanted > allowed && wanted > used {
                return Err(Refusal { limit, used, allowed, wanted, since: self.since(limit) });
            }
        }
        Ok(())
    }

    /// What a limit compares, with `uncommitted` beside what is committed.
    fn measure(&self, limit: LimitKind, uncommitted: &Tally) -> u64 {
        let (ledger, node_allowance) = (self.ledger, node_allowance_bytes(self.terms.contracted_bytes));
        match limit {
            LimitKind::DailyChange => ledger.today.plus(*uncommitted).counted_bytes(node_allowance),
            LimitKind::Volume => {
                let nodes = uncommitted.node_bytes.saturating_sub(node_allowance);
                ledger.volume_bytes.saturating_add(uncommitted.data_bytes()).saturating_add(nodes)
            }
            LimitKind::FirstBackup => ledger.started_bytes.saturating_add(uncommitted.initial_bytes),
            LimitKind::Reseed => ledger.reseeded_bytes.saturating_add(uncommitted.reseed_bytes),
            LimitKind::Chunks => ledger.today.chunks.saturating_add(uncommitted.chunks),
        }
    }

    /// The day from which on a limit counts: of the daily change the day itself, of the others when the first of what is
    /// counted came in, and of the volume when a snapshot last changed it.
    fn since(&self, limit: LimitKind) -> Date {
        let ledger = self.ledger;
        let since = match limit {
            LimitKind::DailyChange | LimitKind::Chunks => None,
            LimitKind::FirstBackup => ledger.started_on,
            LimitKind::Reseed => ledger.reseeded_on,
            LimitKind::Volume => ledger.newest_day(),
        };
        since.unwrap_or(ledger.day)
    }

    /// What each other source at work adds to what counts, with `next` uncommitted.
    fn accepted_beside(&self, next: &Tally) -> Vec<(SourceId, u64)> {
        let mut rest = *next;
        let others = self.running.iter().filter(|(source, _)| *source != self.source);
        let accepted = others.map(|(source, tally)| {
            let with = self.measure(LimitKind::DailyChange, &rest);
            rest = rest.minus(*tally);
            (*source, with.saturating_sub(self.measure(LimitKind::DailyChange, &rest)))
        });
        accepted.collect()
    }

    /// The bound of a limit; `None` where the policy or the state sets none.
    fn allowed(&self, limit: LimitKind, next: &Tally) -> Option<u64> {
        let terms = self.terms;
        match limit {
            LimitKind::DailyChange => match terms.policy {
                Policy::Flag => None,
                Policy::Defer | Policy::Refuse => {
                    self.ledger.allowed_beside(terms, self.source, &self.accepted_beside(next))
                }
            },
            LimitKind::Volume => Some(terms.hard_volume_bytes),
            LimitKind::FirstBackup => {
                let exact = u128::from(terms.contracted_bytes) * u128::from(HARD_VOLUME_PERCENT) / 100;
                Some(u64::try_from(exact).unwrap_or(u64::MAX))
            }
            LimitKind::Reseed => Some(terms.contracted_bytes),
            LimitKind::Chunks => Some(CHUNKS_MIN.saturating_add(terms.hard_volume_bytes / CHUNK_BYTES_MEAN_MIN)),
        }
    }
}

#[cfg(test)]
mod tests {
    use common::id::SubscriptionId;
    use jiff::civil::date;

    use super::*;
    use crate::contract::ledger::{Baseline, SourceLedger};
    use crate::contract::retention::History;
    use crate::contract::terms::TermsSource;

    const SOURCE: SourceId = SourceId::new([5; 16]);
    const OTHER: SourceId = SourceId::new([6; 16]);

    fn terms(policy: Policy) -> Terms {
        let source = |source| TermsSource { source, name: "fichiers".into() };
        Terms {
            subscription: SubscriptionId::new([1; 16]),
            contracted_bytes: 100_000,
            hard_volume_bytes: 110_000,
            per_mille: 2,
            min_daily_allowance_bytes: 0,
            policy,
            history: History { days: 30, thinning: Vec::new() },
            period_h: 24,
            tolerance_h: 2,
            sources: vec![source(SOURCE), source(OTHER)],
            suspensions: Vec::new(),
            maintenance: Vec::new(),
            ended_at: None,
            contact: String::new(),
        }
    }

    fn ledger(today: Tally, volume_bytes: u64) -> Ledger {
        let baseline = |bytes| Some(Baseline { bytes, day: date(2026, 11, 1), received_at_ns: 1 });
        let source = |source, bytes| SourceLedger {
            source,
            baseline: baseline(bytes),
            previous: Some(date(2026, 11, 20)),
            snapshots: 0,
        };
        let (day, sources) = (date(2026, 11, 22), vec![source(SOURCE, 30_000), source(OTHER, 20_000)]);
        Ledger { day, today, volume_bytes, sources, ..Ledger::of(day) }
    }

    const NONE: Tally =
        Tally { changed_bytes: 0, relaid_bytes: 0, reseed_bytes: 0, initial_bytes: 0, node_bytes: 0, chunks: 0 };

    fn changed(changed_bytes: u64) -> Tally {
        Tally { changed_bytes, ..NONE }
    }

    /// The limit that refuses a batch, with what was used and allowed.
    fn check(policy: Policy, ledger: &Ledger, uncommitted: Tally, batch: Tally) -> Option<(LimitKind, u64, u64)> {
        let (terms, running) = (terms(policy), BTreeMap::new());
        let account = Account { ledger, uncommitted: &uncommitted, terms: &terms, running: &running, source: &SOURCE };
        account.admit(&batch).err().map(|refusal| (refusal.limit, refusal.used, refusal.allowed))
    }

    #[test]
    fn policies_admit_to_the_last_byte_and_a_running_source_carries_its_missed_days() {
        // SOURCE runs after 2 days: 2 × 60 bytes; OTHER has not run today: 40 bytes.
        let day = |committed| ledger(changed(committed), 50_000);
        for (policy, committed, uncommitted, batch, wanted) in [
            (Policy::Flag, 160, 1_000, 59_000, None),
            (Policy::Flag, 160, 1_000, 59_001, Some((LimitKind::Volume, 51_000, 110_000))),
            (Policy::Defer, 100, 50, 10, None),
            (Policy::Defer, 100, 50, 11, Some((LimitKind::DailyChange, 150, 160))),
            (Policy::Refuse, 100, 50, 11, Some((LimitKind::DailyChange, 150, 160))),
            (Policy::Refuse, 170, 0, 0, None),
        ] {
            let found = check(policy, &day(committed), changed(uncommitted), changed(batch));
            assert_eq!(found, wanted, "{policy:?} {committed} {uncommitted} {batch}");
        }
    }

    #[test]
    fn classes_count_where_the_contract_puts_them() {
        let day = ledger(NONE, 50_000);
        let over = Some(LimitKind::DailyChange);
        let nodes = |node_bytes| Tally { node_bytes, ..NONE };
        let relaid = |relaid_bytes, changed_bytes| Tally { relaid_bytes, changed_bytes, ..NONE };
        for (uncommitted, batch, wanted) in [
            (changed(160), relaid(160, 0), None),
            (changed(160), relaid(161, 0), over),
            (NONE, relaid(160, 0), None),
            (relaid(100, 100), relaid(60, 60), None),
            (NONE, Tally { reseed_bytes: 59_000, ..NONE }, None),
            (NONE, Tally { initial_bytes: 59_000, ..NONE }, None),
            (changed(100), nodes(1 << 30), None),
            (changed(100), nodes((1 << 30) + 60), None),
            (changed(100), nodes((1 << 30) + 61), over),
            (nodes(1 << 30), changed(160), None),
            (nodes(1 << 30), Tally { node_bytes: 1, ..changed(160) }, over),
            (NONE, Tally { chunks: (1 << 20) + 7, ..NONE }, Some(LimitKind::Chunks)),
        ] {
            let found = check(Policy::Refuse, &day, uncommitted, batch).map(|(limit, _, _)| limit);
            assert_eq!(found, wanted, "{uncommitted:?} {batch:?}");
        }
    }

    #[test]
    fn reseeds_and_first_backups_have_bounds_of_their_own() {
        let mut day = ledger(NONE, 0);
        (day.reseeded_bytes, day.started_bytes) = (40_000, 40_000);
        let reseed = |reseed_bytes| Tally { reseed_bytes, ..NONE };
        assert_eq!(check(Policy::Flag, &day, reseed(50_000), reseed(10_000)), None);
        let refused = Some((LimitKind::Reseed, 90_000, 100_000));
        assert_eq!(check(Policy::Flag, &day, reseed(50_000), reseed(10_001)), refused);
        let initial = |initial_bytes| Tally { initial_bytes, ..NONE };
        assert_eq!(check(Policy::Flag, &day, initial(60_000), initial(10_000)), None);
        let refused = Some((LimitKind::FirstBackup, 100_000, 110_000));
        assert_eq!(check(Policy::Flag, &day, initial(60_000), initial(10_001)), refused);
        assert_eq!(check(Policy::Flag, &day, initial(80_000), changed(10)), None, "other batches go on");
    }

    #[test]
    fn a_refusal_says_since_when_its_limit_counts() {
        let mut day = ledger(changed(160), 110_000);
        (day.reseeded_bytes, day.started_bytes) = (100_000, 110_000);
        (day.reseeded_on, day.started_on) = (Some(date(2026, 11, 2)), Some(date(2026, 10, 30)));
        let one = |limit| match limit {
            LimitKind::Reseed => Tally { reseed_bytes: 1, ..NONE },
            LimitKind::FirstBackup => Tally { initial_bytes: 1, ..NONE },
            _ => changed(1),
        };
        let since = |policy, limit, day: &Ledger| {
            let (terms, running) = (terms(policy), BTreeMap::new());
            let account =
                Account { ledger: day, uncommitted: &NONE, terms: &terms, running: &running, source: &SOURCE };
            let refusal = account.admit(&one(limit)).unwrap_err();
            assert_eq!((refusal.limit, refusal.wanted), (limit, refusal.used + 1));
            refusal.since
        };
        assert_eq!(since(Policy::Refuse, LimitKind::DailyChange, &day), date(2026, 11, 22));
        assert_eq!(since(Policy::Flag, LimitKind::Reseed, &day), date(2026, 11, 2));
        assert_eq!(since(Policy::Flag, LimitKind::FirstBackup, &day), date(2026, 10, 30));
        assert_eq!(since(Policy::Flag, LimitKind::Volume, &day), date(2026, 11, 20), "the last snapshot");
        day.sources[0].snapshots = 1;
        assert_eq!(since(Policy::Flag, LimitKind::Volume, &day), date(2026, 11, 22));
        day.started_on = None;
        assert_eq!(since(Policy::Flag, LimitKind::FirstBackup, &day), date(2026, 11, 22));
    }

    #[test]
    fn no_baseline_allows_a_day_of_any_change_within_the_volume() {
        let mut day = ledger(NONE, 0);
        day.sources.clear();
        assert_eq!(check(Policy::Refuse, &day, NONE, changed(110_000)), None);
        assert_eq!(check(Policy::Refuse, &day, NONE, changed(110_001)).map(|found| found.0), Some(LimitKind::Volume));
    }
}
