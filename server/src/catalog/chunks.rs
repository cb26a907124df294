//! Rows of chunks: where each frame is, in which state, and what it counts for.
//!
//! Invariant: a chunk has one row per scope; laying it again after damage moves the row to the new frame, and nothing else.
//! Invariant: a chunk is on the list `uncommitted` from its first durable row until a snapshot reaches it.

use rusqlite::{OptionalExtension, Row};

use common::frame::FIXED_HEADER_BYTES;
use common::id::{ChunkId, PackId, ScopeId};
use common::keys::ChunkKind;
use common::pack::{FrameClass, PackEntry};

use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::store::reader::FrameRange;

/// Whether a chunk can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChunkState {
    /// A node names it; no frame of it was ever stored.
    Absent,
    /// Its frame is stored.
    Present,
    /// Its frame was stored and is lost or damaged.
    Damaged,
}

impl ChunkState {
    pub(in crate::catalog) const fn code(self) -> u8 {
        match self {
            Self::Absent => 0,
            Self::Present => 1,
            Self::Damaged => 2,
        }
    }

    pub(in crate::catalog) fn from_code(code: u8) -> Result<Self, CatalogError> {
        match code {
            0 => Ok(Self::Absent),
            1 => Ok(Self::Present),
            2 => Ok(Self::Damaged),
            _ => Err(CatalogError::Inconsistent("unknown state of a chunk")),
        }
    }
}

/// A frame that is durable in a staging file and gets its row.
#[derive(Debug, Clone)]
pub struct StagedChunk {
    /// Row of its scope.
    pub scope: u32,
    /// Row of its session.
    pub session: u32,
    /// Row of its pack.
    pub pack: u32,
    /// What the pack's directory will say of it.
    pub entry: PackEntry,
    /// What it refers to, if it is a node.
    pub children: Vec<ChunkId>,
}

/// What a chunk's row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkFacts {
    /// Its row.
    pub row: u32,
    /// Whether it can be used.
    pub state: ChunkState,
    /// What it holds; meaningless while absent.
    pub kind: ChunkKind,
    /// Why it was sent.
    pub class: FrameClass,
    /// Plaintext, in bytes.
    pub plain_bytes: u32,
    /// Frame, in bytes.
    pub frame_bytes: u32,
    /// Row of the session that first brought it, and is charged for it; 0 while absent.
    pub charged: u32,
}

/// Where a chunk's frame is.
#[derive(Debug, Clone)]
pub struct Location {
    /// The chunk's facts.
    pub facts: ChunkFacts,
    /// Row of the session that sealed it.
    pub session: u32,
    /// Row of the pack.
    pub pack: u32,
    /// Name of the pack; none while it is staging.
    pub name: Option<PackId>,
    /// Where in the pack.
    pub range: FrameRange,
}

const FACTS: &str = "chunks.row, chunks.state, chunks.kind, chunks.class, chunks.plain_bytes, chunks.frame_bytes,
    chunks.charged";

fn facts(row: &Row<'_>) -> Result<ChunkFacts, CatalogError> {
    Ok(ChunkFacts {
        row: row.get(0)?,
        state: ChunkState::from_code(row.get(1)?)?,
        kind: ChunkKind::from_code(row.get(2)?).ok_or(CatalogError::Inconsistent("unknown kind of a chunk"))?,
        class: FrameClass::from_code(row.get(3)?).ok_or(CatalogError::Inconsistent("unknown class of a chunk"))?,
        plain_bytes: row.get(4)?,
        frame_bytes: row.get(5)?,
        charged: row.get(6)?,
    })
}

impl Catalog {
    /// The row of a scope, made if need be.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn scope_row(&self, scope: &ScopeId) -> Result<u32, CatalogError> {
        if let Some(row) = self.find_scope(scope)? {
            return Ok(row);
        }
        let row = self.next_row("scopes")?;
        self.connection.execute("INSERT INTO scopes (row, id) VALUES (?1, ?2)", (row, scope.as_bytes()))?;
        Ok(row)
    }

    /// The row of a scope, if it has one.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn find_scope(&self, scope: &ScopeId) -> Result<Option<u32>, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT row FROM scopes WHERE id = ?1")?;
        Ok(statement.query_row([scope.as_bytes()], |row| row.get(0)).optional()?)
    }

    /// The next free row number of a chunk.
    ///
    /// # Errors
    /// [`CatalogError::Exhausted`].
    pub fn next_chunk_row(&self) -> Result<u32, CatalogError> {
        self.next_row("chunks")
    }

    /// What is known of a chunk.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn chunk(&self, scope: u32, id: &ChunkId) -> Result<Option<ChunkFacts>, CatalogError> {
        let sql = select_facts("WHERE chunks.scope = ?1 AND chunks.id = ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let found = statement.query_row((scope, id.as_bytes()), |row| Ok(facts(row))).optional()?;
        found.transpose()
    }

    /// What is known of the chunk of a row.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn chunk_of_row(&self, row: u32) -> Result<ChunkFacts, CatalogError> {
        let sql = select_facts("WHERE chunks.row = ?1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let found = statement.query_row([row], |row| Ok(facts(row))).optional()?;
        found.ok_or(CatalogError::Inconsistent("a chunk's row is missing"))?
    }

    /// The id of the chunk of a row.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn chunk_id(&self, row: u32) -> Result<ChunkId, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT id FROM chunks WHERE row = ?1")?;
        Ok(ChunkId::new(statement.query_row([row], |row| row.get(0))?))
    }

    /// Where the frame of a chunk is; none if it was never stored.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn location(&self, scope: u32, id: &ChunkId) -> Result<Option<Location>, CatalogError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {FACTS}, chunks.session, chunks.pack, packs.name, chunks.offset, chunks.checksum
             FROM chunks JOIN packs ON packs.row = chunks.pack WHERE chunks.scope = ?1 AND chunks.id = ?2"
        ))?;
        let found = statement.query_row((scope, id.as_bytes()), |row| Ok(location(row))).optional()?;
        found.transpose()
    }

    /// Gives a staged frame its row: the one of its absent or damaged chunk, or the next one. The row's number.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction.
    pub fn store_chunk(&self, staged: &StagedChunk, next_row: &mut u32) -> Result<u32, CatalogError> {
        let known = self.chunk(staged.scope, &staged.entry.id)?;
        let row = match known {
            // Trash may go before the new frame's pack is published: the row moves to the new frame.
            Some(known) if known.state == ChunkState::Present && !self.is_trashed(known.row)? => return Ok(known.row),
            Some(known) => {
                self.update_chunk(known.row, staged)?;
                known.row
            }
            None => {
                let row = take_row(next_row)?;
                self.insert_chunk(row, staged)?;
                row
            }
        };
        if known.is_none_or(|known| known.state == ChunkState::Absent) {
            self.connection.prepare_cached("INSERT OR IGNORE INTO uncommitted (row) VALUES (?1)")?.execute([row])?;
        }
        Ok(row)
    }

    fn insert_chunk(&self, row: u32, staged: &StagedChunk) -> Result<(), CatalogError> {
        let entry = &staged.entry;
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO chunks (row, scope, id, state, kind, class, pack, offset, frame_bytes, plain_bytes, session, charged, checksum)
             VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11)",
        )?;
        statement.execute((
            row,
            staged.scope,
            entry.id.as_bytes(),
            entry.kind.code(),
            entry.class.code(),
            staged.pack,
            entry.offset,
            entry.frame_bytes,
            entry.plain_bytes,
            staged.session,
            entry.checksum,
        ))?;
        Ok(())
    }

    /// What it counts for, and for whom, stays: laying a chunk again is no new content.
    fn update_chunk(&self, row: u32, staged: &StagedChunk) -> Result<(), CatalogError> {
        let entry = &staged.entry;
        let mut statement = self.connection.prepare_cached(
            "UPDATE chunks SET state = 1, kind = ?2, class = iif(state = 0, ?3, class), pack = ?4, offset = ?5,
             frame_bytes = ?6, plain_bytes = ?7, session = ?8, charged = iif(state = 0, ?8, charged), checksum = ?9
             WHERE row = ?1",
        )?;
        statement.execute((
            row,
            entry.kind.code(),
            entry.class.code(),
            staged.pack,
            entry.offset,
            entry.frame_bytes,
            entry.plain_bytes,
            staged.session,
            entry.checksum,
        ))?;
        Ok(())
    }

    /// The row of a chunk that a node names, made in state absent if there is none.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction.
    pub fn named_chunk(&self, scope: u32, id: &ChunkId, next_row: &mut u32) -> Result<ChunkFacts, CatalogError> {
        if let Some(known) = self.chunk(scope, id)? {
            return Ok(known);
        }
        let row = take_row(next_row)?;
        let mut statement =
            self.connection.prepare_cached("INSERT INTO chunks (row, scope, id, state) VALUES (?1, ?2, ?3, 0)")?;
        statement.execute((row, scope, id.as_bytes()))?;
        let (kind, class) = (ChunkKind::Data, FrameClass::Changed);
        Ok(ChunkFacts { row, state: ChunkState::Absent, kind, class, plain_bytes: 0, frame_bytes: 0, charged: 0 })
    }

    /// Marks a chunk's frame as unusable. The caller starts a closure epoch in the same transaction.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn mark_damaged(&self, row: u32) -> Result<(), CatalogError> {
        let damaged = ChunkState::Damaged.code();
        self.connection
            .prepare_cached("UPDATE chunks SET state = ?2 WHERE row = ?1 AND state = 1")?
            .execute((row, damaged))?;
        Ok(())
    }

    /// Marks a chunk's frame as unusable if it still is the one in this pack: it may have been laid again since it was read. The
    /// caller starts a closure epoch in the same transaction.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn mark_damaged_in(&self, row: u32, pack: u32) -> Result<(), CatalogError> {
        let damaged = ChunkState::Damaged.code();
        self.connection
            .prepare_cached("UPDATE chunks SET state = ?3 WHERE row = ?1 AND pack = ?2 AND state = 1")?
            .execute((row, pack, damaged))?;
        Ok(())
    }

    /// Marks a damaged chunk's frame as usable again: its pack reads well. What was found incomplete for its sake is looked at
    /// again the next time it is needed.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn mark_present(&self, row: u32) -> Result<(), CatalogError> {
        let damaged = ChunkState::Damaged.code();
        self.connection
            .prepare_cached("UPDATE chunks SET state = 1 WHERE row = ?1 AND state = ?2")?
            .execute((row, damaged))?;
        Ok(())
    }

    /// The frames of a pack that rows point to, in order, with their rows and scopes.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn chunks_of_pack(&self, pack: u32) -> Result<Vec<(u32, PackEntry)>, CatalogError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {FACTS}, chunks.session, chunks.pack, NULL, chunks.offset, chunks.checksum, chunks.id
             FROM chunks WHERE pack = ?1 ORDER BY offset"
        ))?;
        let rows = statement.query_map([pack], |row| Ok((location(row), ChunkId::new(row.get(12)?))))?;
        rows.map(|row| {
            let (location, id) = row?;
            let location = location?;
            let facts = location.facts;
            let offset = u32::try_from(location.range.offset).map_err(|_| CatalogError::Inconsistent("offset"))?;
            let entry = PackEntry {
                id,
                kind: facts.kind,
                class: facts.class,
                offset,
                frame_bytes: facts.frame_bytes,
                plain_bytes: facts.plain_bytes,
                checksum: location.range.checksum,
            };
            Ok((facts.row, entry))
        })
        .collect()
    }
}

fn select_facts(condition: &str) -> String {
    format!("SELECT {FACTS} FROM chunks {condition}")
}

fn location(row: &Row<'_>) -> Result<Location, CatalogError> {
    let facts = facts(row)?;
    let offset: u32 = row.get(10)?;
    if (facts.frame_bytes as usize) < FIXED_HEADER_BYTES {
        return Err(CatalogError::Inconsistent("a frame is too short"));
    }
    Ok(Location {
        facts,
        session: row.get(7)?,
        pack: row.get(8)?,
        name: row.get::<_, Option<[u8; 32]>>(9)?.map(PackId::new),
        range: FrameRange { offset: u64::from(offset), frame_bytes: facts.frame_bytes, checksum: row.get(11)? },
    })
}

fn take_row(next_row: &mut u32) -> Result<u32, CatalogError> {
    let row = *next_row;
    *next_row = row.checked_add(1).ok_or(CatalogError::Exhausted)?;
    Ok(row)
}
