//! The memory of the last tree, fetched from the server when the agent has none that is worth anything.
//!
//! Only node frames come, and the scope's tree key opens them: no content. What is compared and never sent cannot come back, so
//! every file is then read and compared by its content digest, and nothing that is stored is sent again.
//!
//! Invariant: nothing is remembered that does not hang, id by id, from the root of an authentic snapshot.

use std::path::Path;

use common::frame::Opener;
use common::id::{ChunkId, ScopeId, SourceId, SubscriptionId};
use common::keys::{ChunkKind, ScopeKeys};
use common::limits::FETCH_NODES_AT_ONCE;
use common::tree::content::Content;
use common::tree::entry::EntryKind;
use common::tree::extents::child_nodes;
use common::tree::node::{LeafReader, Node};
use tokio::runtime::Handle;

use crate::backup::BackupError;
use crate::backup::content::malformed;
use crate::remote::restore::{Arrival, ListedSnapshot};
use crate::remote::retry::{Backoff, retry};
use crate::remote::{Remote, RemoteError};
use crate::state::by_id::ById;
use crate::state::memory::{Memory, MemoryError, Remembered, Row};
use crate::state::recorder::Recorder;

/// Whose tree is fetched, and with what it is opened.
pub struct Wanted<'a> {
    /// Where calls run.
    pub runtime: &'a Handle,
    /// The server.
    pub remote: &'a Remote,
    /// Whose.
    pub subscription: SubscriptionId,
    /// Dedup domain.
    pub scope: ScopeId,
    /// The source.
    pub source: SourceId,
    /// Keys of the scope.
    pub keys: &'a ScopeKeys,
    /// Random; for the jitter of retries.
    pub retry_seed: u64,
}

impl Wanted<'_> {
    /// The newest snapshot of the source, authentic; `None` if there is none.
    ///
    /// # Errors
    /// [`BackupError::Remote`].
    pub fn newest(&self) -> Result<Option<ListedSnapshot>, BackupError> {
        let list = async || self.remote.snapshots(Some(&self.source), None, 1).await;
        let list = self.runtime.block_on(retry(Backoff::new(self.retry_seed), list))?;
        let newest = list.snapshots.into_iter().next();
        Ok(newest.filter(|snapshot| {
            snapshot.stored.head.source == self.source && snapshot.stored.is_authentic(&self.keys.snapshot_mac)
        }))
    }

    /// Fetches the tree of a snapshot into the memory of the source.
    ///
    /// # Errors
    /// If a node is missing or damaged, or the disk refuses it.
    pub fn tree(&self, snapshot: &ListedSnapshot, folder: &Path) -> Result<Memory, BackupError> {
        let head = &snapshot.stored.head;
        let mut recorder = Recorder::new(folder, None);
        let mut opener = Opener::new(self.subscription, self.keys.id.clone()).map_err(BackupError::Io)?;
        let (mut waiting, mut seen) = (vec![head.root], ById::default());
        while !waiting.is_empty() {
            let batch = waiting.split_off(waiting.len().saturating_sub(FETCH_NODES_AT_ONCE));
            for node in self.nodes(&batch, &mut opener)? {
                let below = below(&node, &mut recorder)?;
                recorder.add(&node)?;
                waiting.extend(below.into_iter().filter(|id| seen.insert(*id, ()).is_none()));
            }
        }
        let remembered = Remembered { snapshot: head.session, root: head.root, sequence: head.sequence };
        recorder.finish(remembered, &self.keys.memory)?;
        Ok(Memory::open(folder, &self.keys.id, &self.keys.memory)?)
    }

    fn nodes(&self, ids: &[ChunkId], opener: &mut Opener) -> Result<Vec<Node>, BackupError> {
        let frames = async || {
            let mut fetch = self.remote.fetch(&self.scope, ids).await?;
            let mut frames = Vec::with_capacity(ids.len());
            while let Some(arrivals) = fetch.next().await? {
                frames.extend(arrivals.into_iter().filter_map(|arrival| match arrival {
                    Arrival::Frame(header, frame) => Some((header, frame)),
                    Arrival::Envelope(..) | Arrival::Absent(..) => None,
                }));
            }
            Ok::<_, RemoteError>(frames)
        };
        let frames = self.runtime.block_on(retry(Backoff::new(self.retry_seed), frames))?;
        let open = |(header, frame): (common::frame::FrameHeader, bytes::Bytes)| {
            let plaintext = opener.open(&header, &frame, self.keys.tree.expose()).ok()?;
            header.kind.is_node().then_some(Node {
                kind: header.kind,
                id: header.id,
                children: header.children,
                plaintext,
            })
        };
        let nodes: Vec<Node> = frames.into_iter().filter_map(open).collect();
        if nodes.len() == ids.len() { Ok(nodes) } else { Err(MemoryError::Damaged("the server lacks a node").into()) }
    }
}

/// The nodes that a node refers to; a leaf's entries get rows that equal nothing.
fn below(node: &Node, recorder: &mut Recorder<'_>) -> Result<Vec<ChunkId>, BackupError> {
    match node.kind {
        ChunkKind::Branch => Ok(node.children.clone()),
        ChunkKind::Extents => Ok(child_nodes(node).map_err(malformed)?.to_vec()),
        ChunkKind::Data => Err(MemoryError::Damaged("a chunk of data in the tree").into()),
        ChunkKind::Leaf => {
            let mut reader = LeafReader::open(node).map_err(malformed)?;
            let mut roots = Vec::new();
            while let Some(view) = reader.advance().map_err(malformed)? {
                recorder.row(Row::UNKNOWN);
                if view.is_file()
                    && let EntryKind::File(file) = view.to_entry(&node.children).map_err(malformed)?.kind
                    && let Content::Layers(layers) = file.content
                {
                    roots.extend(layers.iter().map(|layer| layer.root));
                }
            }
            Ok(roots)
        }
    }
}
