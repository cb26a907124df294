//! Reading files: into a shared buffer if they are small, as a stream if they are large; noticing what changes meanwhile.
//!
//! It hashes contents but does not split or send them.
//!
//! Invariant: what is kept as not fuzzy was the same before the first and after the last byte was read.

use std::fs::File;
use std::os::fd::AsFd;

use common::keys::IdKey;
use common::limits::SMALL_FILE_BYTES;
use rustix::buffer::spare_capacity;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::backup::job::Segment;
use crate::backup::progress::Progress;
use crate::source::metadata::{FileKind, Stat};

/// Times that a changing file is read before it is kept as it came.
pub const ATTEMPTS_MAX: usize = 3;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A small file whose content now ends a buffer.
#[derive(Debug)]
pub struct SmallFile {
    /// After the last byte.
    pub stat: Stat,
    /// Of the content.
    pub digest: [u8; 32],
    /// True if it changed during each attempt.
    pub fuzzy: bool,
    /// Data and holes; `None` if it has no hole. The buffer holds the data only.
    pub segments: Option<Vec<Segment>>,
}

/// Appends the data of a small file to `buffer`; `None` (and nothing appended) if it is not small any more.
///
/// # Errors
/// Those of reading; `NotFound` if it is not a regular file any more.
pub fn read_small(
    file: &File,
    seen: &Stat,
    id_key: &IdKey,
    buffer: &mut Vec<u8>,
    progress: &Progress,
) -> std::io::Result<Option<SmallFile>> {
    let start = buffer.len();
    let mut before = *seen;
    for attempt in 1..=ATTEMPTS_MAX {
        buffer.truncate(start);
        let segments = if before.may_have_holes() { Some(map(file, before.size)?) } else { None };
        let room = buffer.capacity() - start;
        let read = match &segments {
            None => read_to_end(file, before.size, buffer)?,
            Some(segments) => read_segments(file, segments, buffer)?,
        };
        Progress::add(&progress.bytes_read, (buffer.len() - start) as u64);
        let after = Stat::at(file, c"")?;
        if after.kind != FileKind::File {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        if read >= room || buffer.len() - start > usize::try_from(SMALL_FILE_BYTES).unwrap_or(usize::MAX) {
            buffer.truncate(start);
            return Ok(None);
        }
        let segments = segments.map(|segments| shortened(segments, read as u64));
        let size = segments.as_ref().map_or(read as u64, |segments| segments.iter().map(|part| part.bytes).sum());
        let is_steady = after.is_same_as(&before) && after.size == size;
        if is_steady || attempt == ATTEMPTS_MAX {
            let digest = digest_of(id_key, &buffer[start..], segments.as_deref());
            let segments = segments.filter(|segments| segments.iter().any(|segment| segment.is_hole));
            return Ok(Some(SmallFile { stat: Stat { size, ..after }, digest, fuzzy: !is_steady, segments }));
        }
        before = after;
    }
    unreachable!("the last attempt returns")
}

fn digest_of(id_key: &IdKey, data: &[u8], segments: Option<&[Segment]>) -> [u8; 32] {
    let mut hasher = id_key.content_hasher();
    let mut rest = data;
    match segments {
        None => drop(hasher.update(rest)),
        Some(segments) => {
            for segment in segments {
                if segment.is_hole {
                    hash_zeros(&mut hasher, segment.bytes);
                } else {
                    let (data, after) = rest.split_at(usize::try_from(segment.bytes).unwrap_or(rest.len()));
                    hasher.update(data);
                    rest = after;
                }
            }
        }
    }
    *hasher.finalize().as_bytes()
}

/// Feeds a hole to a content hash: a reader sees zeros there.
pub fn hash_zeros(hasher: &mut blake3::Hasher, mut bytes: u64) {
    while bytes > 0 {
        let step = bytes.min(ZEROS.len() as u64);
        hasher.update(&ZEROS[..usize::try_from(step).unwrap_or(ZEROS.len())]);
        bytes -= step;
    }
}

/// Appends what the file holds from its start, within the buffer's capacity; `expected` saves the call that finds the end.
fn read_to_end(file: &File, expected: u64, buffer: &mut Vec<u8>) -> std::io::Result<usize> {
    let start = buffer.len();
    loop {
        let at = (buffer.len() - start) as u64;
        if (at >= expected && at > 0) || buffer.len() == buffer.capacity() {
            return Ok(buffer.len() - start);
        }
        if read_at(file, at, buffer)? == 0 {
            return Ok(buffer.len() - start);
        }
    }
}

/// Appends at most the buffer's spare capacity from position `at`.
pub fn read_at(file: impl AsFd, at: u64, buffer: &mut Vec<u8>) -> std::io::Result<usize> {
    loop {
        match rustix::io::pread(&file, spare_capacity(buffer), at) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Appends the data of `segments`; what is missing at the end of a file that shrank is left out.
fn read_segments(file: &File, segments: &[Segment], buffer: &mut Vec<u8>) -> std::io::Result<usize> {
    let (start, mut at) = (buffer.len(), 0);
    for segment in segments {
        if !segment.is_hole {
            let wanted = usize::try_from(segment.bytes).unwrap_or(usize::MAX);
            if wanted > buffer.capacity() - buffer.len() {
                return Ok(buffer.capacity() - start);
            }
            let from = buffer.len();
            buffer.resize(from + wanted, 0);
            let read = read_exact_at(file, at, &mut buffer[from..])?;
            buffer.truncate(from + read);
            if read < wanted {
                break;
            }
        }
        at += segment.bytes;
    }
    Ok(buffer.len() - start)
}

/// The ranges that were read, when a file became shorter meanwhile.
fn shortened(segments: Vec<Segment>, mut data_bytes: u64) -> Vec<Segment> {
    let mut kept = Vec::with_capacity(segments.len());
    for segment in segments {
        let bytes = if segment.is_hole { segment.bytes } else { segment.bytes.min(data_bytes) };
        data_bytes -= if segment.is_hole { 0 } else { bytes };
        if bytes > 0 {
            kept.push(Segment { bytes, ..segment });
        }
        if bytes < segment.bytes {
            break;
        }
    }
    kept
}

/// Fills `out` from position `at`; the bytes read, fewer only at the end of the file.
///
/// # Errors
/// Those of `pread`.
pub fn read_exact_at(file: &File, at: u64, out: &mut [u8]) -> std::io::Result<usize> {
    let mut done = 0;
    while done < out.len() {
        match rustix::io::pread(file, &mut out[done..], at + done as u64) {
            Ok(0) => break,
            Ok(bytes) => done += bytes,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}

/// Data and holes of a file of `size` bytes, in order.
///
/// # Errors
/// Those of `lseek`. A file system that cannot tell gives one range of data.
pub fn map(file: &File, size: u64) -> std::io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut at = 0;
    let mut push = |bytes: u64, is_hole| {
        if bytes > 0 {
            segments.push(Segment { bytes, is_hole });
        }
    };
    while at < size {
        let data = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(data) => data.min(size),
            Err(Errno::NXIO) => size,
            Err(Errno::INVAL) => at,
            Err(error) => return Err(error.into()),
        };
        push(data - at.min(data), true);
        let hole = match rustix::fs::seek(file, SeekFrom::Hole(data)) {
            Ok(hole) => hole.min(size),
            Err(Errno::NXIO | Errno::INVAL) => size,
            Err(error) => return Err(error.into()),
        };
        push(hole - data.min(hole), false);
        at = hole.max(data).max(at + 1);
    }
    Ok(segments)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]
    use super::*;
    use std::os::unix::fs::FileExt;

    const KEY: [u8; 32] = [1; 32];

    fn read(path: &std::path::Path, seen: Option<Stat>) -> (Option<SmallFile>, Vec<u8>) {
        let file = File::open(path).unwrap();
        let seen = seen.unwrap_or_else(|| Stat::at(&file, c"").unwrap());
        let mut buffer = Vec::with_capacity(1 << 20);
        buffer.extend_from_slice(b"before");
        let small = read_small(&file, &seen, &IdKey::new(KEY), &mut buffer, &Progress::default()).unwrap();
        (small, buffer[6..].to_vec())
    }

    #[test]
    fn a_file_that_changed_since_the_walk_is_read_again_and_steady() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"long before").unwrap();
        let seen = Stat::at(File::open(&path).unwrap(), c"").unwrap();
        std::fs::write(&path, b"after").unwrap();
        let (small, data) = read(&path, Some(seen));
        let small = small.unwrap();
        assert_eq!((small.fuzzy, small.stat.size, &data[..]), (false, 5, &b"after"[..]));
        let mut hasher = IdKey::new(KEY).content_hasher();
        assert_eq!(small.digest, *hasher.update(b"after").finalize().as_bytes());
    }

    #[test]
    fn holes_are_not_read_but_hashed_as_zeros() {
        let folder = tempfile::tempdir().unwrap();
        let (sparse, dense) = (folder.path().join("s"), folder.path().join("d"));
        let file = File::create(&sparse).unwrap();
        file.set_len(200_000).unwrap();
        file.write_all_at(b"data", 100_000).unwrap();
        std::fs::copy(&sparse, &dense).unwrap();
        std::fs::write(&dense, std::fs::read(&sparse).unwrap()).unwrap();
        let (small, data) = read(&sparse, None);
        let small = small.unwrap();
        if let Some(segments) = &small.segments {
            assert!(data.len() < 100_000);
            assert_eq!(segments.iter().map(|segment| segment.bytes).sum::<u64>(), 200_000);
        }
        assert_eq!((small.stat.size, small.fuzzy), (200_000, false));
        assert_eq!(small.digest, read(&dense, None).0.unwrap().digest);
    }

    #[test]
    fn a_file_that_grew_large_is_left_to_the_other_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, vec![1; 300 << 10]).unwrap();
        let (small, data) = read(&path, None);
        assert!(small.is_none() && data.is_empty());
    }
}
