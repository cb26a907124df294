//! Every counter of a catalog computed again from its other rows (I6), and what differs.
//!
//! It corrects nothing: a counter that is wrong is a defect that a person must see.
//!
//! What a snapshot was the first to reach is proven without those that expired: the lines of `reached` share no chunk, each is
//! within its snapshot's closure, and each closure is within the lines up to its own. Together that leaves one possible line
//! for each snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::id::SourceId;
use common::keys::ChunkKind;
use common::stored::ServerPart;
use jiff::SignedDuration;
use roaring::RoaringBitmap;

use crate::catalog::chunks::ChunkFacts;
use crate::catalog::days::tally;
use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::catalog::reached::FirstReached;
use crate::catalog::snapshots::SnapshotFacts;
use crate::contract::ledger::Tally;
use crate::session::closure::survey;
use crate::session::error::SessionError;
use crate::session::record::add_first_reached;
use crate::session::subscription::Subscription;
use crate::subscriptions::Subscriptions;
use crate::upkeep::jobs::{Context, Counts, JobError, JobKind, Spec};

/// Time from one recount to the next.
const DAILY: SignedDuration = SignedDuration::from_hours(24);

/// Recomputes what each snapshot was the first to reach, the day ledger, baselines, the uncommitted account and the reach of the
/// newest snapshots; a sentence per difference.
///
/// # Errors
/// [`SessionError::Catalog`].
pub fn recount(catalog: &Catalog) -> Result<Vec<String>, SessionError> {
    catalog.at_once(|catalog| {
        let mut counts = Recount {
            catalog,
            baselines: catalog.baseline_times()?,
            sessions: catalog.session_openings()?,
            wrong: Vec::new(),
        };
        let reached = counts.closures()?;
        counts.days()?;
        counts.lines()?;
        counts.uncommitted(&reached)?;
        Ok(counts.wrong)
    })
}

/// The job: everything is counted again once a day, and what differs is said and counted, never corrected.
pub fn spec(subscriptions: Arc<Subscriptions>) -> Spec {
    let run = move |context: &Context<'_>| -> Result<Counts, JobError> {
        let open = subscriptions.get(context.subscription()?)?;
        let wrong = recount_open(&open)?;
        for what in &wrong {
            tracing::error!(subscription = %open.shared().subscription, what, "a counter differs from its recount");
        }
        Ok(vec![("differences", wrong.len() as u64)])
    };
    Spec { kind: JobKind::Recount, every: DAILY, for_server: false, run: Box::new(run) }
}

/// As [`recount`], and the account that batches are held to at this moment.
///
/// # Errors
/// [`SessionError`].
pub fn recount_open(open: &Subscription) -> Result<Vec<String>, SessionError> {
    let mut wrong = open.read(recount)?;
    // In the writer: nothing is committed or made durable between the two sides.
    if !open.writer().run(|writer| Ok(writer.shared.intake.lock().is_account_right()?))? {
        wrong.push("live account".to_owned());
    }
    Ok(wrong)
}

struct Recount<'a> {
    catalog: &'a Catalog,
    /// When each source's baseline was received.
    baselines: BTreeMap<SourceId, i64>,
    /// Each session's source, and when it was opened.
    sessions: BTreeMap<u32, (SourceId, i64)>,
    wrong: Vec<String>,
}

impl Recount<'_> {
    fn differs(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }

    /// Everything that any snapshot was the first to reach.
    fn closures(&mut self) -> Result<RoaringBitmap, SessionError> {
        let mut snapshots: BTreeMap<_, _> =
            self.catalog.snapshots()?.into_iter().map(|snapshot| (snapshot.session, snapshot)).collect();
        let mut reached = RoaringBitmap::new();
        let mut newest: BTreeMap<SourceId, (u64, RoaringBitmap)> = BTreeMap::new();
        for line in self.catalog.first_reached()? {
            if !reached.is_disjoint(&line.chunks) {
                self.differs(format!("chunks that snapshot {} was the first to reach", line.session));
            }
            reached |= &line.chunks;
            if let Some(snapshot) = snapshots.remove(&line.session) {
                let closure = self.snapshot(&snapshot, &line, &reached)?;
                newest.insert(snapshot.source, (snapshot.server.reachable_bytes, closure));
            }
        }
        for session in snapshots.keys() {
            self.differs(format!("snapshot {session}, which has no line of what it reached first"));
        }
        for (source, (bytes, chunks)) in &newest {
            let stored = self.catalog.reach(source)?;
            if !stored.is_some_and(|stored| stored.chunks == *chunks && stored.plain_bytes == *bytes) {
                self.differs(format!("reach of source {source}"));
            }
        }
        Ok(reached)
    }

    fn snapshot(
        &mut self,
        snapshot: &SnapshotFacts,
        line: &FirstReached,
        reached: &RoaringBitmap,
    ) -> Result<RoaringBitmap, SessionError> {
        let (session, part) = (snapshot.session, &snapshot.server);
        let closure = survey(self.catalog, snapshot.root, u64::MAX)?.chunks;
        if !closure.is_subset(reached) || !line.chunks.is_subset(&closure) {
            self.differs(format!("chunks first reached by snapshot {session}"));
        }
        let baseline = self.baselines.get(&snapshot.source).copied();
        if part.first && baseline != Some(part.received_at_ns) {
            self.differs(format!("baseline of source {}", snapshot.source));
        }
        let mut found = ServerPart::default();
        add_first_reached(self.catalog, &line.chunks, |chunk| self.is_initial(chunk, snapshot), &mut found)?;
        let same = Tally { chunks: line.tally.chunks, ..tally(part) } == line.tally;
        if !same || (line.exact && tally(&found) != line.tally) {
            self.differs(format!("bytes first reached by snapshot {session}"));
        }
        if data_bytes(self.catalog, &closure)? != part.reachable_bytes {
            self.differs(format!("bytes reached by snapshot {session}"));
        }
        Ok(closure)
    }

    /// Whether a chunk was no change when a snapshot was the first to reach it. Baselines that came later did not count then.
    fn is_initial(&self, chunk: &ChunkFacts, snapshot: &SnapshotFacts) -> bool {
        let at_ns = snapshot.server.received_at_ns;
        let before = |source: &SourceId, opened_at_ns: i64| {
            self.baselines.get(source).is_none_or(|baseline| at_ns <= *baseline || opened_at_ns < *baseline)
        };
        let sender = self.sessions.get(&chunk.charged);
        // A rebuild knows of a chunk that was laid again only who did that.
        let sent = |(source, opened_at_ns): &(SourceId, i64)| *opened_at_ns > at_ns || before(source, *opened_at_ns);
        before(&snapshot.source, i64::MAX) && sender.is_none_or(sent)
    }

    fn days(&mut self) -> Result<(), SessionError> {
        let mut counted: BTreeMap<String, Tally> = BTreeMap::new();
        for line in self.catalog.first_reached()? {
            let day = counted.entry(line.day).or_default();
            *day = day.plus(line.tally);
        }
        for line in self.catalog.days(None, None)? {
            let day = line.day.to_string();
            if counted.remove(&day) != Some(line.tally) {
                self.differs(format!("day ledger of {day}"));
            }
            let bounds = line.tally.counted_bytes(u64::MAX)..=line.tally.counted_bytes(0);
            if !bounds.contains(&line.counted_bytes) {
                self.differs(format!("bytes counted on {day}"));
            }
        }
        let without: BTreeSet<String> = counted.into_keys().collect();
        without.into_iter().for_each(|day| self.differs(format!("day ledger of {day}")));
        Ok(())
    }

    /// Each source's own line of each day, and what its first complete snapshot reached.
    fn lines(&mut self) -> Result<(), SessionError> {
        for (day, source) in self.catalog.wrong_day_lines()? {
            self.differs(format!("day ledger of {day}, source {source}"));
        }
        for source in self.catalog.wrong_baselines()? {
            self.differs(format!("baseline bytes of source {source}"));
        }
        Ok(())
    }

    fn uncommitted(&mut self, reached: &RoaringBitmap) -> Result<(), SessionError> {
        let (account, stored) = (self.catalog.uncommitted_rows()?, self.catalog.stored_rows()?);
        if !account.is_disjoint(reached) || !account.is_subset(&stored) || !stored.is_subset(&(&account | reached)) {
            self.differs("uncommitted account");
        }
        Ok(())
    }
}

fn data_bytes(catalog: &Catalog, chunks: &RoaringBitmap) -> Result<u64, CatalogError> {
    chunks.iter().try_fold(0, |sum, row| {
        let chunk = catalog.chunk_of_row(row)?;
        Ok(sum + if chunk.kind == ChunkKind::Data { u64::from(chunk.plain_bytes) } else { 0 })
    })
}
