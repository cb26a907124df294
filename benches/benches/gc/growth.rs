//! A catalog of as many chunks as asked for, grown as backups grow one: a first snapshot, then days that each lay some leaves again.
//!
//! Rows are made by the catalog's own functions, in the order in which an agent sends: children before their nodes. There are no
//! packs behind them: mark looks at none. Ids are in order, which mark does not look at either.

use std::collections::BTreeSet;
use std::path::Path;

use common::id::{AgentId, ChunkId, ScopeId, SessionId, SourceId};
use common::keys::ChunkKind;
use common::pack::{FrameClass, PackEntry};
use common::stored::{ServerPart, SnapshotState};
use server::catalog::chunks::StagedChunk;
use server::catalog::error::CatalogError;
use server::catalog::file::Catalog;
use server::catalog::nodes::NewNode;
use server::catalog::snapshots::SnapshotFacts;

/// Children of a node.
const FAN_OUT: u64 = 64;
/// Snapshots, one a day.
const SNAPSHOTS: u64 = 30;
/// The oldest of them have left the history.
const EXPIRED: u64 = 9;
/// One leaf in so many is laid again each day, with all its chunks: 0.2 %.
const CHANGED_EVERY: u64 = 500;
const LEAVES_PER_TRANSACTION: usize = 1_000;
/// Frames of 200 KiB in a pack of 32 MiB.
const CHUNKS_PER_PACK: u64 = 160;
const DAY_NS: u64 = 86_400_000_000_000;

/// What mark must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grown {
    /// Chunks, nodes included.
    pub chunks: u64,
    /// Nodes.
    pub nodes: u64,
    /// Chunks that a snapshot of the history reaches.
    pub reached: u64,
}

/// Fills a new catalog with about `chunks` chunks.
///
/// # Errors
/// Those of the catalog.
pub fn grow(path: &Path, chunks: u64) -> anyhow::Result<Grown> {
    let catalog = Catalog::create(path)?;
    let scope = catalog.atomically(|catalog| catalog.scope_row(&ScopeId::new([1; 16])))?;
    let next_row = catalog.next_chunk_row()?;
    let mut growth = Growth { catalog: &catalog, scope, next: 1, next_row, levels: vec![Vec::new()], nodes: 0 };
    // The later days lay about 6 % again, and the nodes above it.
    let leaves = (chunks * 92 / 100 / (FAN_OUT + 1)).max(1);
    growth.levels[0] = vec![0; usize::try_from(leaves)?];
    let (mut reached_leaves, mut reached_branches) = (BTreeSet::new(), BTreeSet::new());
    for day in 0..SNAPSHOTS {
        let is_laid = |leaf: &u64| day == 0 || (leaf + day * 17).is_multiple_of(CHANGED_EVERY);
        let laid: Vec<u64> = (0..leaves).filter(is_laid).collect();
        growth.back_up(&laid)?;
        growth.snapshot(day)?;
        if day >= EXPIRED {
            reached_leaves.extend(growth.levels[0].iter().copied());
            reached_branches.extend(growth.levels[1..].iter().flatten().copied());
        }
    }
    catalog.atomically(|catalog| catalog.release_uncommitted(&catalog.uncommitted_rows()?))?;
    catalog.checkpoint()?;
    let reached = reached_leaves.len() as u64 * (FAN_OUT + 1) + reached_branches.len() as u64;
    Ok(Grown { chunks: growth.next - 1, nodes: growth.nodes, reached })
}

/// The tree of the newest snapshot: numbers of its nodes, leaves first. The chunks of a leaf have the numbers before its own.
struct Growth<'a> {
    catalog: &'a Catalog,
    scope: u32,
    next: u64,
    next_row: u32,
    levels: Vec<Vec<u64>>,
    nodes: u64,
}

impl Growth<'_> {
    /// Lays these leaves with chunks of their own, and the branches above them up to a root.
    fn back_up(&mut self, laid: &[u64]) -> anyhow::Result<()> {
        let catalog = self.catalog;
        for some in laid.chunks(LEAVES_PER_TRANSACTION) {
            catalog.atomically(|_| some.iter().try_for_each(|leaf| self.leaf(*leaf)))?;
        }
        let mut changed: BTreeSet<u64> = laid.iter().map(|leaf| leaf / FAN_OUT).collect();
        let mut level = 1;
        while self.levels[level - 1].len() > 1 {
            if self.levels.len() == level {
                let nodes = self.levels[level - 1].len().div_ceil(usize::try_from(FAN_OUT)?);
                self.levels.push(vec![0; nodes]);
            }
            catalog.atomically(|_| changed.iter().try_for_each(|branch| self.branch(level, *branch)))?;
            changed = changed.into_iter().map(|branch| branch / FAN_OUT).collect();
            level += 1;
        }
        Ok(())
    }

    fn leaf(&mut self, leaf: u64) -> Result<(), CatalogError> {
        let children: Vec<u64> = (self.next..self.next + FAN_OUT).collect();
        for _ in &children {
            self.chunk(ChunkKind::Data)?;
        }
        self.levels[0][at(leaf)] = self.node(ChunkKind::Leaf, &children)?;
        Ok(())
    }

    fn branch(&mut self, level: usize, branch: u64) -> Result<(), CatalogError> {
        let below = &self.levels[level - 1];
        let first = at(branch * FAN_OUT);
        let children = below[first..below.len().min(first + at(FAN_OUT))].to_vec();
        self.levels[level][at(branch)] = self.node(ChunkKind::Branch, &children)?;
        Ok(())
    }

    fn node(&mut self, kind: ChunkKind, children: &[u64]) -> Result<u64, CatalogError> {
        let number = self.next;
        let row = self.chunk(kind)?;
        let children: Vec<ChunkId> = children.iter().map(|child| id(*child)).collect();
        let node = NewNode { row, scope: self.scope, children: &children, epoch: 1 };
        self.catalog.store_node(node, &mut self.next_row)?;
        self.nodes += 1;
        Ok(number)
    }

    fn chunk(&mut self, kind: ChunkKind) -> Result<u32, CatalogError> {
        let entry = PackEntry {
            id: id(self.next),
            kind,
            class: FrameClass::Changed,
            offset: 0,
            frame_bytes: 200 << 10,
            plain_bytes: 500 << 10,
            checksum: [0; 16],
        };
        let pack = u32::try_from(self.next / CHUNKS_PER_PACK + 1).map_err(|_| CatalogError::Exhausted)?;
        let staged = StagedChunk { scope: self.scope, session: 1, pack, entry, children: Vec::new() };
        self.next += 1;
        self.catalog.store_chunk(&staged, &mut self.next_row)
    }

    fn snapshot(&self, day: u64) -> anyhow::Result<()> {
        let root = self.levels.last().and_then(|level| level.first()).map(|number| id(*number));
        let root = root.map(|root| self.catalog.chunk(self.scope, &root)).transpose()?.flatten();
        let received_at_ns = i64::try_from((day + 1) * DAY_NS)?;
        let snapshot = SnapshotFacts {
            session: session_of(day),
            scope: self.scope,
            agent: AgentId::new([1; 16]),
            source: SourceId::new([1; 16]),
            sequence: day + 1,
            state: SnapshotState::Complete,
            root: root.map_or(0, |root| root.row),
            claimed_bytes: 0,
            server: ServerPart { received_at_ns, ..ServerPart::default() },
            digest: [0; 32],
            receipt: Vec::new(),
            verified_at_ns: 0,
            expired_at_ns: 0,
        };
        self.catalog.atomically::<_, CatalogError>(|catalog| {
            catalog.insert_snapshot(&snapshot)?;
            if day < EXPIRED { catalog.set_expired(&snapshot.session, received_at_ns) } else { Ok(()) }
        })?;
        Ok(())
    }
}

fn at(number: u64) -> usize {
    usize::try_from(number).expect("a place in a list fits the machine")
}

fn id(number: u64) -> ChunkId {
    let mut id = [7; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    ChunkId::new(id)
}

/// The newest snapshot.
pub fn newest() -> SessionId {
    session_of(SNAPSHOTS - 1)
}

fn session_of(day: u64) -> SessionId {
    let mut session = [0; 16];
    session[..8].copy_from_slice(&day.to_be_bytes());
    SessionId::new(session)
}
