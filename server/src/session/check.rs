//! Frames as they arrive: what can be checked without a key and without the catalog.
//!
//! The id can't be: it is a keyed hash, and only readers can tell (I1).
//!
//! Invariant: nothing is written that would not parse again, or that names another session.

use bytes::Bytes;

use common::frame::{FrameHeader, checksum};
use common::id::ChunkId;
use common::pack::{FrameClass, PackEntry};
use common::stored::SnapshotKind;

use crate::catalog::sessions::SessionFacts;
use crate::session::error::SessionError;

/// A frame as an agent sent it.
#[derive(Debug, Clone)]
pub struct ReceivedFrame {
    /// The frame.
    pub frame: Bytes,
    /// What the agent says its checksum is.
    pub checksum: Bytes,
    /// Why it was sent; `None` if the agent named no class that there is.
    pub class: Option<FrameClass>,
}

/// A frame that may be stored.
#[derive(Debug, Clone)]
pub struct CheckedFrame {
    /// The frame.
    pub frame: Bytes,
    /// What a directory says of it; the offset is not known yet.
    pub entry: PackEntry,
    /// What it refers to.
    pub children: Vec<ChunkId>,
}

/// Checks a frame that an agent sent in `session`.
///
/// # Errors
/// [`SessionError::Invalid`] names what is wrong.
pub fn check_frame(session: &SessionFacts, received: ReceivedFrame) -> Result<CheckedFrame, SessionError> {
    let ReceivedFrame { frame, checksum: claimed, class } = received;
    let header = FrameHeader::parse_whole(&frame).map_err(|error| SessionError::invalid("frame", error.to_string()))?;
    let found = checksum(&frame);
    if claimed != found[..] {
        return Err(SessionError::invalid("checksum", "is not the one of the frame"));
    }
    if header.session != session.id {
        return Err(SessionError::invalid("frame", "was sealed in another session"));
    }
    let class = class.ok_or_else(|| SessionError::invalid("class", "is missing"))?;
    if class == FrameClass::Reseed && session.kind != SnapshotKind::Reseed {
        return Err(SessionError::invalid("class", "is reseed in a session that is not"));
    }
    check_children(&header)?;
    let frame_bytes = u32::try_from(frame.len()).map_err(|_| SessionError::invalid("frame", "is too long"))?;
    let entry = PackEntry {
        id: header.id,
        kind: header.kind,
        class,
        offset: 0,
        frame_bytes,
        plain_bytes: header.plain_bytes,
        checksum: found,
    };
    Ok(CheckedFrame { frame, entry, children: header.children })
}

fn check_children(header: &FrameHeader) -> Result<(), SessionError> {
    let mut sorted = header.children.clone();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(SessionError::invalid("frame", "names a child twice"));
    }
    if sorted.binary_search(&header.id).is_ok() {
        return Err(SessionError::invalid("frame", "names itself as a child"));
    }
    Ok(())
}
