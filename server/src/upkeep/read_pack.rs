//! A stored pack as far as it can be read, for a rebuild.
//!
//! It verifies no frame and does not know the catalog.

use std::fs::File;
use std::io::Result;
use std::os::unix::fs::FileExt;

use common::limits::PACK_BYTES_MAX;
use common::pack::{self, PackEntry, PackHeader, PackTail, TRAILER_BYTES, Trailer};
use common::stored::PackSession;

/// How much of a pack is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What its directory says.
    Directory,
    /// Its frames too, if the directory cannot be read.
    Frames,
}

/// A pack.
pub struct ReadPack {
    /// The file.
    pub file: File,
    /// Its length.
    pub bytes: u64,
    /// What it begins with.
    pub header: PackHeader,
    /// Its frames.
    pub entries: Vec<PackEntry>,
    /// Who sealed them.
    pub sessions: Vec<PackSession>,
    /// The directory cannot be read: entries are what frames say of themselves.
    pub salvaged: bool,
}

/// Reads a pack; none if it does not begin as one.
///
/// # Errors
/// What the system says.
pub fn read_pack(file: File, depth: Depth) -> Result<Option<ReadPack>> {
    let bytes = file.metadata()?.len();
    let mut header = [0; pack::HEADER_BYTES];
    if bytes < header.len() as u64 || bytes > PACK_BYTES_MAX {
        return Ok(None);
    }
    file.read_exact_at(&mut header, 0)?;
    let Ok(header) = PackHeader::parse(&header) else { return Ok(None) };
    let tail = read_tail(&file, bytes)?;
    let salvaged = tail.is_none();
    let PackTail { entries, sessions } = match tail {
        Some(tail) => tail,
        None if depth == Depth::Directory => PackTail { entries: Vec::new(), sessions: Vec::new() },
        None => {
            let mut whole = vec![0; usize::try_from(bytes).unwrap_or(0)];
            file.read_exact_at(&mut whole, 0)?;
            PackTail { entries: pack::salvage(&whole), sessions: Vec::new() }
        }
    };
    Ok(Some(ReadPack { file, bytes, header, entries, sessions, salvaged }))
}

/// Directory and sessions of a pack; none if they can't be read as such.
fn read_tail(file: &File, bytes: u64) -> Result<Option<PackTail>> {
    let Some(trailer_at) = bytes.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
    let mut trailer = [0; TRAILER_BYTES];
    file.read_exact_at(&mut trailer, trailer_at)?;
    let Ok(trailer) = Trailer::parse(&trailer, bytes) else { return Ok(None) };
    let tail_bytes = trailer.tail_bytes();
    let mut tail = vec![0; tail_bytes];
    file.read_exact_at(&mut tail, trailer_at - tail_bytes as u64)?;
    Ok(PackTail::decode(&trailer, &tail, bytes).ok())
}
