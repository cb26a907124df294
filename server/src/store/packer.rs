//! An open pack: the staging file whose bytes are, from the first one on, those of the pack that it becomes.
//!
//! It does not fsync by itself: the catalog writer does, for many sessions at once.
//!
//! Invariant: I2 — a pack is finished only after all its frames are durable in staging and in the catalog.
//! Invariant: a write that failed leaves no trace: the next one goes to the same place, and name and directory do not know it.

use std::fs::{self, File, OpenOptions};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::id::PackId;
use common::limits::{PACK_FRAMES_MAX, PACK_TARGET_BYTES};
use common::pack::{HEADER_BYTES, PackEntry, PackHeader, PackNamer, PackTail};
use common::stored::PackSession;
use rustix::fs::Advice;

use crate::store::error::StoreError;
use crate::store::health::Health;

/// A pack that still grows.
pub struct OpenPack {
    path: PathBuf,
    file: Arc<File>,
    namer: PackNamer,
    end: u64,
    entries: Vec<PackEntry>,
}

impl OpenPack {
    /// Makes the staging file, which must not exist, and writes the header. Its name is durable after the next fsync of the
    /// staging folder.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(path: &Path, header: &PackHeader) -> Result<Self, StoreError> {
        let failed = |attempt, error| StoreError::from_io(attempt, path.display(), error);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let file = file.map_err(|error| failed("create", error))?;
        let bytes = header.encode();
        file.write_all_at(&bytes, 0).map_err(|error| failed("write", error))?;
        let mut namer = PackNamer::default();
        namer.update(&bytes);
        let end = HEADER_BYTES as u64;
        Ok(Self { path: path.to_owned(), file: Arc::new(file), namer, end, entries: Vec::new() })
    }

    /// Takes up a staging file again, of which exactly `entries` are to be kept: cuts what stands after them and reads the rest.
    ///
    /// # Errors
    /// What the system says, among it that the file is shorter than its entries.
    pub fn adopt(path: &Path, entries: Vec<PackEntry>) -> Result<Self, StoreError> {
        let failed = |attempt, error| StoreError::from_io(attempt, path.display(), error);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(|error| failed("open", error))?;
        let end = entries.last().map_or(HEADER_BYTES as u64, PackEntry::end);
        let mut namer = PackNamer::default();
        let mut buffer = vec![0; 1 << 20];
        let mut at = 0;
        while at < end {
            let part = &mut buffer[..usize::try_from((end - at).min(1 << 20)).expect("at most 1 MiB")];
            file.read_exact_at(part, at).map_err(|error| failed("read", error))?;
            namer.update(part);
            at += part.len() as u64;
        }
        file.set_len(end).map_err(|error| failed("cut", error))?;
        Ok(Self { path: path.to_owned(), file: Arc::new(file), namer, end, entries })
    }

    /// Where the next frame will stand, in bytes from the start.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// True while it holds no frame.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// True once the pack should be finished.
    pub fn is_full(&self) -> bool {
        self.end >= PACK_TARGET_BYTES || self.entries.len() >= PACK_FRAMES_MAX
    }

    /// The file, for fsync.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Writes a frame at [`Self::end`]; `entry.offset` is set to it.
    ///
    /// # Errors
    /// What the system says; the pack is then as it was.
    pub fn append(&mut self, frame: &[u8], mut entry: PackEntry) -> Result<PackEntry, StoreError> {
        let failed = |error| StoreError::from_io("write", self.path.display(), error);
        entry.offset = u32::try_from(self.end).expect("a pack that is not full ends far below 4 GiB");
        self.file.write_all_at(frame, self.end).map_err(failed)?;
        self.namer.update(frame);
        self.end += frame.len() as u64;
        self.entries.push(entry);
        Ok(entry)
    }

    /// Writes directory, sessions and trailer, makes the file durable and lets go of its pages.
    ///
    /// # Errors
    /// What the system says; a failed fsync makes the store suspect. The pack is then as it was and can be finished again.
    pub fn finish(&mut self, health: &Health, sessions: Vec<PackSession>) -> Result<FinishedPack, StoreError> {
        let failed = |error| StoreError::from_io("write", self.path.display(), error);
        let tail = PackTail { entries: self.entries.clone(), sessions }.encode();
        self.file.write_all_at(&tail, self.end).map_err(failed)?;
        let bytes = self.end + tail.len() as u64;
        // A directory that an earlier attempt left may be longer.
        self.file.set_len(bytes).map_err(failed)?;
        sync_data(health, &self.file, &self.path)?;
        // Long-free pages are dear: giving these back at once keeps them few. Advice may be ignored, so may its result.
        let _ = rustix::fs::fadvise(&*self.file, 0, NonZeroU64::new(bytes), Advice::DontNeed);
        let mut namer = self.namer.clone();
        namer.update(&tail);
        Ok(FinishedPack { path: self.path.clone(), name: namer.name(), bytes })
    }
}

/// A staging file that is a whole, durable pack and only lacks its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedPack {
    /// Where it stands.
    pub path: PathBuf,
    /// BLAKE3 of all its bytes.
    pub name: PackId,
    /// Its length.
    pub bytes: u64,
}

/// Makes the bytes of a file, and its length, durable.
///
/// # Errors
/// A failure makes the store suspect.
pub fn sync_data(health: &Health, file: &File, path: &Path) -> Result<(), StoreError> {
    let synced = health.activity().fsync(|| rustix::fs::fdatasync(file));
    synced.map_err(|error| health.failed("fdatasync", path.display(), error.into()))
}

/// Removes a staging file that nothing acknowledged is in.
///
/// # Errors
/// What the system says; a file that is not there is no error.
pub fn discard(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::from_io("remove", path.display(), error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::id::{ChunkId, SubscriptionId};
    use common::keys::ChunkKind;
    use common::pack::{self, FrameClass, PackKind};

    fn entry(frame: &[u8]) -> PackEntry {
        PackEntry {
            id: ChunkId::new([1; 32]),
            kind: ChunkKind::Data,
            class: FrameClass::Changed,
            offset: 0,
            frame_bytes: u32::try_from(frame.len()).unwrap(),
            plain_bytes: 1,
            checksum: common::frame::checksum(frame),
        }
    }

    #[test]
    fn a_finished_pack_reads_back_and_an_adopted_one_has_the_same_name() {
        let root = tempfile::tempdir().unwrap();
        let health = Health::new(root.path().into(), 0);
        let path = root.path().join("staging");
        let header = PackHeader { kind: PackKind::Data, subscription: SubscriptionId::new([1; 16]), salt: [2; 16] };
        let mut open = OpenPack::create(&path, &header).unwrap();
        let frames = [vec![7; 100], vec![8; 200]];
        let entries: Vec<_> = frames.iter().map(|frame| open.append(frame, entry(frame)).unwrap()).collect();
        let finished = open.finish(&health, Vec::new()).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!((finished.name, finished.bytes), (pack::name(&bytes), bytes.len() as u64));
        assert_eq!(pack::parse(&bytes).unwrap().1.entries, entries);

        let mut adopted = OpenPack::adopt(&path, entries.clone()).unwrap();
        assert_eq!(adopted.finish(&health, Vec::new()).unwrap(), finished);
        let mut shorter = OpenPack::adopt(&path, entries[..1].to_vec()).unwrap();
        assert_ne!(shorter.finish(&health, Vec::new()).unwrap().name, finished.name);
        assert_eq!(pack::parse(&fs::read(&path).unwrap()).unwrap().1.entries, entries[..1]);
    }
}
