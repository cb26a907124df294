//! Every counter of a catalog computed again from its other rows (I6), and what differs.
//!
//! It corrects nothing: a counter that is wrong is a defect that a person must see.

use std::collections::{BTreeMap, BTreeSet};

use common::id::SourceId;
use common::keys::ChunkKind;
use common::stored::ServerPart;
use roaring::RoaringBitmap;

use crate::catalog::file::Catalog;
use crate::catalog::snapshots::SnapshotFacts;
use crate::session::closure::survey;
use crate::session::error::SessionError;
use crate::session::record::add_first_reached;

/// Recomputes what each snapshot was the first to reach, the day ledger, the uncommitted account and the reach of the newest
/// snapshots; a sentence per difference.
///
/// # Errors
/// [`SessionError::Catalog`].
pub fn recount(catalog: &Catalog) -> Result<Vec<String>, SessionError> {
    catalog.at_once(|catalog| {
        let (reached, with_baseline, days, wrong) = Default::default();
        let mut counts = Recount { catalog, reached, with_baseline, days, wrong };
        let mut newest: BTreeMap<SourceId, (u64, RoaringBitmap)> = BTreeMap::new();
        for snapshot in catalog.snapshots()? {
            let found = counts.snapshot(&snapshot)?;
            newest.insert(snapshot.source, (snapshot.server.reachable_bytes, found));
        }
        for (source, (bytes, chunks)) in &newest {
            let stored = catalog.reach(source)?;
            if !stored.is_some_and(|stored| stored.chunks == *chunks && stored.plain_bytes == *bytes) {
                counts.wrong.push(format!("reach of source {source}"));
            }
        }
        counts.finish()
    })
}

struct Recount<'a> {
    catalog: &'a Catalog,
    reached: RoaringBitmap,
    with_baseline: BTreeSet<SourceId>,
    days: BTreeMap<String, [u64; 4]>,
    wrong: Vec<String>,
}

impl Recount<'_> {
    fn snapshot(&mut self, snapshot: &SnapshotFacts) -> Result<RoaringBitmap, SessionError> {
        let found = survey(self.catalog, snapshot.root, u64::MAX)?.chunks;
        let first_reached = &found - &self.reached;
        self.reached |= &found;
        let mut part = ServerPart::default();
        let before_baseline = !self.with_baseline.contains(&snapshot.source);
        add_first_reached(self.catalog, &first_reached, before_baseline, &mut part)?;
        if snapshot.server.first {
            self.with_baseline.insert(snapshot.source);
        }
        let sums = |part: &ServerPart| [part.changed_bytes, part.relaid_bytes, part.reseed_bytes, part.node_bytes];
        if sums(&part) != sums(&snapshot.server) || part.initial_bytes != snapshot.server.initial_bytes {
            self.wrong.push(format!("bytes first reached by snapshot {}", snapshot.session));
        }
        let mut reachable_bytes = 0;
        for row in &found {
            let chunk = self.catalog.chunk_of_row(row)?;
            reachable_bytes += if chunk.kind == ChunkKind::Data { u64::from(chunk.plain_bytes) } else { 0 };
        }
        if reachable_bytes != snapshot.server.reachable_bytes {
            self.wrong.push(format!("bytes reached by snapshot {}", snapshot.session));
        }
        let day = self.days.entry(snapshot.server.day.clone()).or_default();
        day.iter_mut().zip(sums(&snapshot.server)).for_each(|(sum, bytes)| *sum += bytes);
        Ok(found)
    }

    fn finish(mut self) -> Result<Vec<String>, SessionError> {
        let lines = self.catalog.days(None, None)?.into_iter();
        let stored: BTreeMap<String, [u64; 4]> = lines
            .map(|line| (line.day, [line.changed_bytes, line.relaid_bytes, line.reseed_bytes, line.node_bytes]))
            .collect();
        if stored != self.days {
            self.wrong.push("day ledger".to_owned());
        }
        let mut uncommitted = self.catalog.stored_rows()?;
        uncommitted -= &self.reached;
        if uncommitted != self.catalog.uncommitted_rows()? {
            self.wrong.push("uncommitted account".to_owned());
        }
        Ok(self.wrong)
    }
}
