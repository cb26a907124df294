//! One file, in order, into any writer: for pipes, for `verify`, for large files that are only looked at.
//!
//! Chunks of a window are fetched and opened in parallel, then written in the file's order. It seeks nowhere and keeps no holes:
//! a pipe gets zeros.
//!
//! Invariant: what was written is a prefix of the file's exact bytes, also when it ends in an error.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use common::id::ChunkId;
use common::limits::{DUMP_WINDOW_BYTES, FETCH_IDS, FRAME_PLAIN_BYTES_MAX};
use common::tree::TreeError;
use common::tree::content::Extent;
use common::tree::entry::FileContent;
use common::tree::layers::ExtentReader;
use parking_lot::Mutex;

use super::fetch::{FetchError, Fetcher, Request};
use super::nodes::{NodeError, Nodes};
use super::unlock::{ChunkFailure, Plain};

/// Why a file did not come out whole.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// A chunk of it cannot be had.
    #[error("read the file's content")]
    Content(#[from] ChunkFailure),
    /// Its list of extents cannot be read.
    #[error("read where the file's content is")]
    Tree,
    /// Everything came out, but it is not what the snapshot says.
    #[error("the content does not have the digest that the snapshot says")]
    Digest,
    /// The server.
    #[error("fetch from the server")]
    Fetch(#[from] FetchError),
    /// Who takes the bytes.
    #[error("write the content")]
    Write(#[source] io::Error),
}

impl From<TreeError<NodeError>> for DumpError {
    fn from(error: TreeError<NodeError>) -> Self {
        match error {
            TreeError::Fetch { source: NodeError::Fetch(error), .. } => Self::Fetch(error),
            TreeError::Fetch { source: NodeError::Chunk(_), .. } | TreeError::Malformed { .. } => Self::Tree,
        }
    }
}

/// Writes the whole content of a file to `out` and checks its digest.
///
/// # Errors
/// [`DumpError`].
pub fn dump(fetcher: &Fetcher<'_>, file: &FileContent, out: &mut dyn Write) -> Result<(), DumpError> {
    let mut hasher = fetcher.unlock.keys().id.content_hasher();
    let nodes = RefCell::new(Nodes::for_walk(fetcher));
    let mut extents = ExtentReader::new(&file.content, file.size, 0, |id| nodes.borrow_mut().get(id));
    let (mut window, mut window_bytes) = (Vec::new(), 0);
    while let Some(extent) = extents.next_extent()? {
        // A hole is written in pieces, so it fills no memory; a chunk may be larger than the range that is wanted of it.
        window_bytes += if extent.chunk.is_some() { extent_cost_bytes(&extent) } else { 0 };
        window.push(extent);
        if window_bytes >= DUMP_WINDOW_BYTES || window.len() >= FETCH_IDS {
            write_window(fetcher, &window, &mut hasher, out)?;
            (window, window_bytes) = (Vec::new(), 0);
        }
    }
    write_window(fetcher, &window, &mut hasher, out)?;
    out.flush().map_err(DumpError::Write)?;
    if hasher.finalize() == file.digest { Ok(()) } else { Err(DumpError::Digest) }
}

/// What a chunk costs at least: it reaches to the end of the range; at most a frame.
fn extent_cost_bytes(extent: &Extent) -> u64 {
    (u64::from(extent.offset) + extent.bytes).clamp(256 << 10, FRAME_PLAIN_BYTES_MAX as u64)
}

fn write_window(
    fetcher: &Fetcher<'_>,
    window: &[Extent],
    hasher: &mut blake3::Hasher,
    out: &mut dyn Write,
) -> Result<(), DumpError> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let chunks = fetch_all(fetcher, window)?;
    let mut put = |bytes: &[u8]| {
        hasher.update(bytes);
        out.write_all(bytes).map_err(DumpError::Write)
    };
    for extent in window {
        let Some(id) = extent.chunk else {
            let mut left = extent.bytes;
            while left > 0 {
                let piece = ZEROS.len().min(usize::try_from(left).unwrap_or(ZEROS.len()));
                put(&ZEROS[..piece])?;
                left -= piece as u64;
            }
            continue;
        };
        let plain = chunks.get(&id).ok_or(ChunkFailure::Missing)?.as_ref().map_err(|failure| *failure)?;
        let from = extent.offset as usize;
        let to = from.saturating_add(usize::try_from(extent.bytes).unwrap_or(usize::MAX));
        put(plain.content()?.get(from..to).ok_or(ChunkFailure::Unfitting)?)?;
    }
    Ok(())
}

type Chunks = HashMap<ChunkId, Result<Plain, ChunkFailure>>;

fn fetch_all(fetcher: &Fetcher<'_>, window: &[Extent]) -> Result<Chunks, FetchError> {
    let mut ids: Vec<ChunkId> = window.iter().filter_map(|extent| extent.chunk).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() <= 2 {
        return Ok(if ids.is_empty() { Chunks::new() } else { fetcher.fetch_few(&ids)?.into_iter().collect() });
    }
    let chunks = Arc::new(Mutex::new(Chunks::new()));
    // Several requests, so that several streams bring them.
    let part = ids.len().div_ceil(4);
    fetcher.run(
        |submit| {
            let _ = ids.chunks(part).try_for_each(|ids| submit(Request { purpose: chunks.clone(), ids: ids.to_vec() }));
        },
        || {
            |chunks: &Arc<Mutex<Chunks>>, id: &ChunkId, plain: Result<Plain, ChunkFailure>| {
                chunks.lock().insert(*id, plain);
            }
        },
    )?;
    Ok(std::mem::take(&mut *chunks.lock()))
}
