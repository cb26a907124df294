//! What is counted of a subscription, as values: tallies of bytes by class, and what is known of each source's days.
//!
//! It does not count and does not decide: the catalog fills it, [`super::admission`] decides.
//!
//! Invariant: `counted_bytes` never falls when a tally grows, so that a check of the sum holds for each of its parts.

use common::id::SourceId;
use jiff::civil::Date;

use super::quota::{SourceShare, days_carried};
use super::terms::Terms;

/// Node bytes a day that are free of charge, whatever the contract, in bytes.
const NODE_ALLOWANCE_BYTES_MIN: u64 = 1 << 30;
/// Share of the contracted volume that is free of charge for nodes in a day, in per cent.
const NODE_ALLOWANCE_PERCENT: u64 = 2;

/// Plain bytes by class, before compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Data of class changed, of sources that have a baseline.
    pub changed_bytes: u64,
    /// Data of class relaid.
    pub relaid_bytes: u64,
    /// Data of class reseed.
    pub reseed_bytes: u64,
    /// Data of class changed, of sources without a baseline: never change.
    pub initial_bytes: u64,
    /// Nodes, each with the larger of its plaintext and its frame.
    pub node_bytes: u64,
    /// Chunks of all kinds.
    pub chunks: u64,
}

impl Tally {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }

    /// What is left without the other.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.each(other, u64::saturating_sub)
    }

    fn each(self, other: Self, join: fn(u64, u64) -> u64) -> Self {
        Self {
            changed_bytes: join(self.changed_bytes, other.changed_bytes),
            relaid_bytes: join(self.relaid_bytes, other.relaid_bytes),
            reseed_bytes: join(self.reseed_bytes, other.reseed_bytes),
            initial_bytes: join(self.initial_bytes, other.initial_bytes),
            node_bytes: join(self.node_bytes, other.node_bytes),
            chunks: join(self.chunks, other.chunks),
        }
    }

    /// Data of all classes.
    pub fn data_bytes(&self) -> u64 {
        let Self { changed_bytes, relaid_bytes, reseed_bytes, initial_bytes, .. } = *self;
        changed_bytes.saturating_add(relaid_bytes).saturating_add(reseed_bytes).saturating_add(initial_bytes)
    }

    /// What counts against a day's allowance: change, relaid bytes above it, node bytes above their own allowance.
    pub fn counted_bytes(&self, node_allowance_bytes: u64) -> u64 {
        let nodes = self.node_bytes.saturating_sub(node_allowance_bytes);
        self.changed_bytes.max(self.relaid_bytes).saturating_add(nodes)
    }
}

/// Node bytes a day that are free of charge.
pub fn node_allowance_bytes(contracted_bytes: u64) -> u64 {
    (contracted_bytes / 100 * NODE_ALLOWANCE_PERCENT).max(NODE_ALLOWANCE_BYTES_MIN)
}

/// The first complete snapshot of a source, frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Baseline {
    /// Plain bytes that it reached.
    pub bytes: u64,
    /// Its civil day.
    pub day: Date,
    /// When it was received, in nanoseconds since 1970.
    pub received_at_ns: i64,
}

/// What is known of a source on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceLedger {
    /// Which one.
    pub source: SourceId,
    /// Its first complete snapshot, once there is one.
    pub baseline: Option<Baseline>,
    /// The last day before this one on which it committed a snapshot, in any state.
    pub previous: Option<Date>,
    /// Snapshots that it committed on this day.
    pub snapshots: u32,
}

/// What is counted of a subscription on a civil day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// The day, in Europe/Paris.
    pub day: Date,
    /// What the day's snapshots were the first to reach.
    pub today: Tally,
    /// Plain bytes that the newest snapshots reach, each source for itself.
    pub volume_bytes: u64,
    /// Initial bytes so far of the sources that still have no baseline.
    pub started_bytes: u64,
    /// The first day of these.
    pub started_on: Option<Date>,
    /// Reseed bytes of the last 30 days.
    pub reseeded_bytes: u64,
    /// The first day of these.
    pub reseeded_on: Option<Date>,
    /// Every source that ever committed a snapshot.
    pub sources: Vec<SourceLedger>,
}

impl Ledger {
    /// A day on which nothing is counted, of a subscription without a snapshot.
    pub fn of(day: Date) -> Self {
        Self {
            day,
            today: Tally::default(),
            volume_bytes: 0,
            started_bytes: 0,
            started_on: None,
            reseeded_bytes: 0,
            reseeded_on: None,
            sources: Vec::new(),
        }
    }

    /// The last day on which a snapshot was committed.
    pub fn newest_day(&self) -> Option<Date> {
        let day = |known: &SourceLedger| if known.snapshots > 0 { Some(self.day) } else { known.previous };
        self.sources.iter().filter_map(day).max()
    }

    /// What is known of a source, if it ever committed a snapshot.
    pub fn source(&self, source: &SourceId) -> Option<&SourceLedger> {
        self.sources.iter().find(|known| known.source == *source)
    }

    /// Gives a source its baseline before it is committed.
    pub fn set_baseline(&mut self, source: &SourceId, baseline: Baseline) {
        let baseline = Some(baseline);
        match self.sources.iter_mut().find(|known| known.source == *source) {
            Some(known) => known.baseline = baseline,
            None => self.sources.push(SourceLedger { source: *source, baseline, previous: None, snapshots: 0 }),
        }
    }

    /// True if what a session sends is no change: it was opened before its source had a baseline.
    pub fn is_initial(&self, source: &SourceId, opened_at_ns: i64) -> bool {
        let baseline = self.source(source).and_then(|known| known.baseline);
        baseline.is_none_or(|baseline| opened_at_ns < baseline.received_at_ns)
    }

    /// What each contracted source adds to the day's allowance; `running` is at work and will commit today.
    pub fn shares(&self, terms: &Terms, running: Option<&SourceId>) -> Vec<SourceShare> {
        self.shares_beside(terms, running.map_or(&[], std::slice::from_ref))
    }

    fn shares_beside(&self, terms: &Terms, running: &[SourceId]) -> Vec<SourceShare> {
        let contracted = |known: &&SourceLedger| terms.sources.iter().any(|source| source.source == known.source);
        let share = |known: &SourceLedger| {
            let runs = known.snapshots > 0 || running.contains(&known.source);
            let baseline_bytes = known.baseline.map_or(0, |baseline| baseline.bytes);
            SourceShare { baseline_bytes, days: days_carried(self.day, known.previous, runs) }
        };
        self.sources.iter().filter(contracted).map(share).collect()
    }

    /// Bytes that may change on the day; `None` while there is no baseline.
    pub fn allowed_bytes(&self, terms: &Terms, running: Option<&SourceId>) -> Option<u64> {
        terms.rate().allowed_bytes(&self.shares(terms, running))
    }

    /// The same while other sources are at work too. What each of them has `accepted` uses the missed days that it carries
    /// before the day that all share, as it will once it commits; so nobody has to wait for the others, and together they are
    /// never allowed more than all of them have a right to.
    pub fn allowed_beside(&self, terms: &Terms, running: &SourceId, accepted: &[(SourceId, u64)]) -> Option<u64> {
        let rate = terms.rate();
        let mut at_work = vec![*running];
        let mut allowed = rate.allowed_bytes(&self.shares_beside(terms, &at_work))?;
        let mut raised = allowed;
        for (other, bytes) in accepted.iter().filter(|(other, _)| other != running) {
            at_work.push(*other);
            let all = rate.allowed_bytes(&self.shares_beside(terms, &at_work))?;
            raised = raised.saturating_add(all.saturating_sub(allowed).min(*bytes));
            allowed = all;
        }
        Some(raised)
    }
}

#[cfg(test)]
mod tests {
    use common::id::SubscriptionId;
    use jiff::civil::date;

    use super::*;
    use crate::contract::quota::Policy;
    use crate::contract::retention::History;
    use crate::contract::terms::TermsSource;

    const ONE: SourceId = SourceId::new([1; 16]);
    const TWO: SourceId = SourceId::new([2; 16]);
    const THREE: SourceId = SourceId::new([3; 16]);

    fn terms() -> Terms {
        let source = |source| TermsSource { source, name: "fichiers".into() };
        Terms {
            subscription: SubscriptionId::new([1; 16]),
            contracted_bytes: 10_000_000,
            hard_volume_bytes: 11_000_000,
            per_mille: 2,
            min_daily_allowance_bytes: 0,
            policy: Policy::Refuse,
            history: History { days: 30, thinning: Vec::new() },
            period_h: 24,
            tolerance_h: 2,
            sources: vec![source(ONE), source(TWO)],
            suspensions: Vec::new(),
            maintenance: Vec::new(),
            ended_at: None,
            contact: String::new(),
        }
    }

    /// On the 22nd: ONE ran today after the 20th, TWO last ran on the 19th, THREE is not contracted any more.
    fn ledger() -> Ledger {
        let source = |source, bytes, day, snapshots| SourceLedger {
            source,
            baseline: Some(Baseline { bytes, day: date(2026, 11, 1), received_at_ns: 100 }),
            previous: Some(date(2026, 11, day)),
            snapshots,
        };
        let sources = vec![source(ONE, 1_000_000, 20, 1), source(TWO, 500_000, 19, 0), source(THREE, 9_000_000, 1, 1)];
        Ledger { sources, ..Ledger::of(date(2026, 11, 22)) }
    }

    #[test]
    fn contracted_sources_share_the_allowance_with_the_days_that_they_carry() {
        let share = |baseline_bytes, days| SourceShare { baseline_bytes, days };
        for (running, two_days, allowed) in [(None, 1, 5_000), (Some(&ONE), 1, 5_000), (Some(&TWO), 3, 7_000)] {
            let shares = ledger().shares(&terms(), running);
            assert_eq!(shares, [share(1_000_000, 2), share(500_000, two_days)], "{running:?}");
            assert_eq!(ledger().allowed_bytes(&terms(), running), Some(allowed));
        }
        assert_eq!(Ledger::of(date(2026, 11, 22)).allowed_bytes(&terms(), Some(&ONE)), None);
    }

    #[test]
    fn what_others_at_work_accepted_uses_what_they_carry_first() {
        for (accepted, allowed) in [
            (&[][..], 5_000),
            (&[(TWO, 0)], 5_000),
            (&[(TWO, 1_500)], 6_500),
            (&[(TWO, 2_000)], 7_000),
            (&[(TWO, 9_000)], 7_000),
            (&[(ONE, 9_000)], 5_000),
            (&[(THREE, 9_000)], 5_000),
        ] {
            assert_eq!(ledger().allowed_beside(&terms(), &ONE, accepted), Some(allowed), "{accepted:?}");
        }
        let floor = Terms { min_daily_allowance_bytes: 6_000, ..terms() };
        assert_eq!(ledger().allowed_beside(&floor, &ONE, &[(TWO, 900)]), Some(6_900));
        assert_eq!(ledger().allowed_beside(&floor, &ONE, &[(TWO, 9_000)]), Some(7_000), "never above what all may");
    }

    #[test]
    fn a_session_is_initial_if_it_was_opened_before_its_sources_baseline() {
        let unknown = SourceId::new([9; 16]);
        for (source, opened_at_ns, initial) in
            [(ONE, 99, true), (ONE, 100, false), (ONE, 101, false), (unknown, 500, true)]
        {
            assert_eq!(ledger().is_initial(&source, opened_at_ns), initial, "{source} {opened_at_ns}");
        }
        let mut day = ledger();
        day.set_baseline(&unknown, Baseline { bytes: 1, day: day.day, received_at_ns: 400 });
        assert!(!day.is_initial(&unknown, 500));
    }

    #[test]
    fn nodes_are_free_up_to_two_per_cent_of_the_contract_and_a_gibibyte_at_least() {
        for (contracted, free) in [(0, 1 << 30), (10_000_000_000, 1 << 30), (100_000_000_000, 2_000_000_000)] {
            assert_eq!(node_allowance_bytes(contracted), free, "{contracted}");
        }
    }

    #[test]
    fn change_counts_with_what_relaid_and_nodes_have_above_it() {
        for ([changed_bytes, relaid_bytes, node_bytes], counted) in [
            ([0, 0, 0], 0),
            ([10, 7, 5], 10),
            ([10, 12, 5], 12),
            ([10, 0, 101], 11),
            ([10, 20, 200], 120),
            ([u64::MAX, 0, 200], u64::MAX),
        ] {
            let tally = Tally { changed_bytes, relaid_bytes, node_bytes, reseed_bytes: 9, initial_bytes: 9, chunks: 9 };
            assert_eq!(tally.counted_bytes(100), counted, "{tally:?}");
        }
    }
}
