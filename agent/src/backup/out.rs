//! What leaves the assembly: nodes of the new tree, those of the last one that are kept, attributes too large for an entry.
//!
//! Invariant: a node leaves after everything that it refers to.

use std::cell::RefCell;

use common::frame::Chunk;
use common::id::ChunkId;
use common::keys::ChunkKind;
use common::tree::content::Extent;
use common::tree::extents::child_nodes;
use common::tree::node::Node;

use crate::backup::BackupError;
use crate::backup::content::malformed;
use crate::backup::desk::Laying;
use crate::backup::progress::Progress;
use crate::backup::seal::Press;
use crate::backup::shared::Shared;
use crate::remote::transfer::FrameClass;
use crate::state::recorder::Recorder;

/// What the sink of the tree needs, apart from the builder that calls it.
pub(super) struct Out<'r, 'k, 'm> {
    pub(super) shared: &'r Shared<'k>,
    pub(super) press: RefCell<Press>,
    pub(super) recorder: RefCell<Recorder<'m>>,
}

impl Out<'_, '_, '_> {
    /// Hands over a node that the server may not have.
    pub(super) fn node(&self, node: &Node) -> Result<(), BackupError> {
        self.recorder.borrow_mut().add(node)?;
        let shared = self.shared;
        let is_old = shared.known.memory().is_some_and(|memory| memory.has_node(&node.id));
        if (is_old && !shared.known.is_missing(&node.id)) || !shared.upload.claim(&node.id) {
            return Ok(());
        }
        shared.upload.wait_handed(&node.children, |id| shared.known.is_stored(id).unwrap_or(false))?;
        self.seal(node.kind, node.id, &node.children, &node.plaintext)
    }

    fn seal(&self, kind: ChunkKind, id: ChunkId, children: &[ChunkId], plaintext: &[u8]) -> Result<(), BackupError> {
        let frame = self.press.borrow_mut().seal(&Chunk { kind, id, children, plaintext })?;
        Ok(self.shared.upload.put(&id, frame, FrameClass::Changed)?)
    }

    /// Keeps the extents nodes below what the last tree has, and sends those again that the server misses.
    pub(super) fn keep_below(&self, children: &[ChunkId]) -> Result<(), BackupError> {
        let known = &self.shared.known;
        let Some(memory) = known.memory() else { return Ok(()) };
        if !known.has_missing() {
            return Ok(self.recorder.borrow_mut().keep_below(memory, children)?);
        }
        for id in children.iter().filter(|id| memory.has_node(id)) {
            let node = memory.node(id)?;
            if node.kind == ChunkKind::Extents {
                self.keep_below(child_nodes(&node).map_err(malformed)?)?;
                self.node(&node)?;
            }
        }
        Ok(())
    }

    /// Lays a few bytes outside of any job: attributes too large for an entry. `None` if the contract leaves no room for them.
    pub(super) fn lay(&self, bytes: &[u8]) -> Result<Option<Vec<Extent>>, BackupError> {
        let shared = self.shared;
        let id = shared.keys.id.chunk_id(ChunkKind::Data, &[], bytes);
        if !shared.known.is_stored(&id)? {
            if shared.laying == Laying::Nothing {
                return Ok(None);
            }
            if shared.upload.claim(&id) {
                Progress::add(&shared.progress.bytes_laid, bytes.len() as u64);
                Progress::add(&shared.progress.data_frames_sent, 1);
                self.seal(ChunkKind::Data, id, &[], bytes)?;
            }
        }
        Ok(Some(vec![Extent { chunk: Some(id), offset: 0, bytes: bytes.len() as u64 }]))
    }

    /// Which of the chunks of a content are stored, or on their way.
    pub(super) fn stored(&self, extents: &[Extent]) -> Result<Vec<bool>, BackupError> {
        let is_stored = |extent: &Extent| match &extent.chunk {
            Some(id) => Ok(self.shared.known.is_stored(id)? || self.shared.upload.wait_known(id)?),
            None => Ok(true),
        };
        extents.iter().map(is_stored).collect()
    }
}
