//! Reading frames back for a restore: where they are, in which order, and whether they are still good.
//!
//! Not part of a session; it only shares its subscription.
//!
//! Invariant: a frame is given out only if its 16-byte checksum fits; one that does not makes its pack the next to be scrubbed.
//! Invariant: I11 — an absent chunk, one of another scope and one that the caller may not see look the same.

use std::collections::BTreeMap;
use std::fs::File;

use bytes::Bytes;
use common::id::{ChunkId, PackId, ScopeId, SessionId};
use common::snapshot::StoredSnapshot;

use crate::catalog::chunks::{ChunkState, Location};
use crate::catalog::packs::PackState;
use crate::catalog::snapshots::SnapshotFacts;
use crate::session::error::SessionError;
use crate::session::subscription::Subscription;
use crate::store::error::StoreError;
use crate::store::name::ObjectName;
use crate::store::reader::{FrameRange, plan_runs, read_run};

/// What a caller may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Nodes only.
    Nodes,
    /// Content too.
    Content,
}

/// Why a chunk was not given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// It is not there, or not for this caller.
    NotFound,
    /// It was there and is lost or damaged.
    Damaged,
}

/// A found or missed chunk, in the order of reading.
#[derive(Debug, Clone, PartialEq)]
pub enum Fetched {
    /// Its frame.
    Frame {
        /// Row of the session that sealed it.
        session: u32,
        /// Whether that session's key is needed to open it.
        is_data: bool,
        /// The bytes.
        frame: Bytes,
    },
    /// Why there is none.
    Unavailable(ChunkId, Unavailable),
}

struct Wanted {
    id: ChunkId,
    location: Location,
}

impl Subscription {
    /// Gives the chunks `ids` of a scope to `sink`, ordered by pack and offset; stops when the sink says false.
    ///
    /// # Errors
    /// [`SessionError`] if the catalog can't be read, or if content is asked for without the right to it.
    pub fn fetch(
        &self,
        scope: &ScopeId,
        ids: &[ChunkId],
        right: Right,
        mut sink: impl FnMut(Fetched) -> bool,
    ) -> Result<(), SessionError> {
        let mut moved = Vec::new();
        if self.fetch_found((scope, ids, right), &mut sink, Some(&mut moved))? && !moved.is_empty() {
            // Compaction copied them since they were located, and removed the old pack: they are located again, once.
            self.fetch_found((scope, &moved, right), &mut sink, None)?;
        }
        Ok(())
    }

    /// Fetches once; false if the sink had enough. Chunks of packs that are gone are put into `moved`, if it is there.
    fn fetch_found(
        &self,
        (scope, ids, right): (&ScopeId, &[ChunkId], Right),
        sink: &mut dyn FnMut(Fetched) -> bool,
        mut moved: Option<&mut Vec<ChunkId>>,
    ) -> Result<bool, SessionError> {
        let mut packs: BTreeMap<(Option<PackId>, u32), Vec<Wanted>> = BTreeMap::new();
        for id in ids {
            match self.locate(scope, id, right)? {
                Ok(location) => {
                    let key = (location.name, location.pack);
                    packs.entry(key).or_default().push(Wanted { id: *id, location });
                }
                Err(why) => {
                    if !sink(Fetched::Unavailable(*id, why)) {
                        return Ok(false);
                    }
                }
            }
        }
        for ((name, pack), mut wanted) in packs {
            wanted.sort_unstable_by_key(|wanted| wanted.location.range.offset);
            let file = self.pack_file(name)?;
            if let (Some(moved), None, Some(_)) = (&mut moved, &file, name) {
                moved.extend(wanted.iter().map(|wanted| wanted.id));
            } else if !self.fetch_pack((name, pack, file), &wanted, sink)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The file of a pack; none while it is staging, or if it is gone.
    fn pack_file(&self, name: Option<PackId>) -> Result<Option<File>, SessionError> {
        // What is still in staging was never committed: nobody restores it, and the agent that sent it still has it.
        let file = name.map(|name| self.shared().objects.file(&self.shared().subscription, &ObjectName::Pack(name)));
        match file.transpose() {
            Err(StoreError::NotFound(_)) => Ok(None),
            file => Ok(file?),
        }
    }

    fn locate(
        &self,
        scope: &ScopeId,
        id: &ChunkId,
        right: Right,
    ) -> Result<Result<Location, Unavailable>, SessionError> {
        let found = self.read(|catalog| {
            let Some(scope) = catalog.find_scope(scope)? else { return Ok(None) };
            Ok(catalog.location(scope, id)?)
        })?;
        Ok(match found {
            None => Err(Unavailable::NotFound),
            Some(found) if right == Right::Nodes && !found.facts.kind.is_node() => Err(Unavailable::NotFound),
            Some(found) => match found.facts.state {
                // A frame that was damaged may read well again, or only its checksum was lost: the reader's key decides.
                ChunkState::Present | ChunkState::Damaged => Ok(found),
                ChunkState::Absent => Err(Unavailable::NotFound),
            },
        })
    }

    fn fetch_pack(
        &self,
        (name, pack, file): (Option<PackId>, u32, Option<File>),
        wanted: &[Wanted],
        sink: &mut dyn FnMut(Fetched) -> bool,
    ) -> Result<bool, SessionError> {
        let why = if name.is_some() { Unavailable::Damaged } else { Unavailable::NotFound };
        let ranges: Vec<FrameRange> = wanted.iter().map(|wanted| wanted.location.range).collect();
        let mut damaged = name.is_some() && file.is_none();
        for run in plan_runs(&ranges) {
            let frames =
                file.as_ref().map_or_else(|| vec![None; run.len()], |file| read_run(file, &ranges[run.clone()]));
            for (wanted, frame) in wanted[run].iter().zip(frames) {
                damaged |= frame.is_none() && name.is_some();
                let Location { facts, session, .. } = wanted.location;
                let fetched = match frame {
                    Some(frame) => Fetched::Frame { session, is_data: !facts.kind.is_node(), frame },
                    None => Fetched::Unavailable(wanted.id, why),
                };
                if !sink(fetched) {
                    return Ok(false);
                }
            }
        }
        if damaged {
            self.suspect_pack(pack)?;
        }
        Ok(true)
    }

    /// Notes that a pack did not read back well: the next scrub begins with it.
    pub(crate) fn suspect_pack(&self, row: u32) -> Result<(), SessionError> {
        tracing::error!(subscription = %self.shared().subscription, pack = row, "a pack does not read back as written");
        self.writer().run(move |writer| {
            let known = writer.catalog.pack(row)?;
            if known.is_some_and(|known| matches!(known.state, PackState::Published | PackState::Quarantined)) {
                writer.catalog.set_pack_state(row, PackState::Suspect)?;
            }
            Ok(())
        })
    }

    /// Reads a snapshot's object; none if it is not there as it was stored, which is logged and is an alarm until a scrub finds it
    /// well: one damaged date takes no other with it (P7).
    ///
    /// # Errors
    /// [`SessionError::Catalog`].
    pub fn snapshot_object(&self, row: &SnapshotFacts, now_ns: i64) -> Result<Option<Vec<u8>>, SessionError> {
        let (shared, name) = (self.shared(), ObjectName::Snapshot(row.session));
        let read = shared.objects.read(&shared.subscription, &name, StoredSnapshot::BYTES_MAX);
        match read {
            Ok(bytes) if *blake3::hash(&bytes).as_bytes() == row.digest => return Ok(Some(bytes)),
            // It left the history since it was listed.
            Err(StoreError::NotFound(_))
                if self
                    .read(|catalog| Ok(catalog.snapshot(&row.session)?))?
                    .is_none_or(|row| row.expired_at_ns != 0) =>
            {
                return Ok(None);
            }
            Ok(_) => tracing::error!(subscription = %shared.subscription, object = %name, "a snapshot is damaged"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, subscription = %shared.subscription, object = %name, "a snapshot is not readable");
            }
        }
        let name = name.to_string();
        self.writer().run(move |writer| {
            let noted = writer.catalog.atomically(|catalog| catalog.suspect_object(&name, now_ns));
            noted.map_err(|error| writer.catalog_failed(error))
        })?;
        Ok(None)
    }

    /// The id and the envelope of a session, by row.
    ///
    /// # Errors
    /// [`SessionError::Catalog`].
    pub fn envelope(&self, row: u32) -> Result<(SessionId, Vec<u8>), SessionError> {
        let session = self.read(|catalog| Ok(catalog.session_of_row(row)?))?;
        Ok((session.id, session.envelope))
    }
}
