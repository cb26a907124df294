//! Page hashes of large files: what the page-exact increment compares with.
//!
//! ```text
//! file    "DBP" 1 | windows | chunks | tail | tail length u32 | "DBP" 1
//! window  kind u8 (0 data, 1 hole) | chaining value 32 | of data: per page 16 bytes | checksum 16
//! chunks  per chunk that the content reaches: id 32, plain bytes u32
//! tail    digest 32, size u64, windows u64, chunks u64, checksum of the chunks 16, checksum of the tail 16
//! ```
//! One file per large file of the source, `pages/aa/<keyed hash of its key in the tree>`. It belongs to a content, not to a run:
//! it is used only for an entry of the same size and content digest. What a run makes stands beside it as `<name>.new` until
//! its snapshot has a receipt; a crash in between leaves both, and whichever belongs to the remembered tree is found.
//! Losing one costs no data: the file is compared as a whole. So nothing waits for the disk until all of a run are adopted.
//! It does not decide what is laid.
//!
//! Invariant: a window whose checksum is wrong is unknown, never unchanged.
//! Invariant: I10 — magic and version first; whatever else is found is no page file.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use common::id::ChunkId;
use common::keys::IdKey;
use common::limits::{PAGE_BYTES, PAGED_CHUNKS_MAX, WINDOW_BYTES};
use common::tree::path::EntryKey;

use crate::backup::digest::ChainingValue;
use crate::durable::{self, DurableError};

const MAGIC: &[u8; 4] = b"DBP\x01";
const TAIL_BYTES: usize = 32 + 8 + 8 + 8 + 16 + 16;
const END_BYTES: usize = 4 + 4;
const CHUNK_BYTES: usize = 32 + 4;
const WINDOW_PAGES: u64 = (WINDOW_BYTES / PAGE_BYTES) as u64;
/// What is added to the name of a file whose snapshot has no receipt yet.
const NEW: &str = "new";

/// Hash of one page.
pub type PageHash = [u8; 16];

/// What is known of one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowPages {
    /// Of the window, in the tree of the content digest.
    pub value: ChainingValue,
    /// One per page; none if the whole window is a hole.
    pub pages: Vec<PageHash>,
}

/// The hash of a page whose chaining value is known; a page of a hole has another one than a page of zeros.
pub fn page_hash(value: &ChainingValue, is_hole: bool) -> PageHash {
    let mut hash = [0; 16];
    hash.copy_from_slice(&value[..16]);
    if is_hole {
        hash.iter_mut().for_each(|byte| *byte = !*byte);
    }
    hash
}

/// The folder of the page files of one source.
#[derive(Debug, Clone)]
pub struct PageFolder {
    folder: PathBuf,
}

impl PageFolder {
    /// The one in the state folder of a source.
    pub fn of(state: &Path) -> Self {
        Self { folder: state.join("pages") }
    }

    /// True if there is any: a source whose state was lost has none.
    pub fn exists(&self) -> bool {
        self.folder.exists()
    }

    /// Name of the page file of an entry.
    pub fn name(key: &EntryKey, memory_key: &IdKey) -> String {
        use std::fmt::Write;
        memory_key.short_hash(key.as_bytes()).iter().fold(String::with_capacity(32), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(&name[..2]).join(name)
    }

    /// The hashes of a content, if they are there.
    pub fn open(&self, name: &str, key: &IdKey, content: (&[u8; 32], u64)) -> Option<KnownPages> {
        let path = self.path(name);
        let new = path.with_extension(NEW);
        if let Some(pages) = KnownPages::open(&new, key, content) {
            // The content is in a snapshot: a crash came before this.
            rustix::fs::rename(&new, &path).ok()?;
            return Some(pages);
        }
        KnownPages::open(&path, key, content)
    }

    /// Starts the hashes of a content that is being read; those of the remembered one stay.
    ///
    /// # Errors
    /// If the disk refuses it.
    pub fn create(&self, name: &str, key: &IdKey) -> Result<PagesWriter, DurableError> {
        let path = self.path(name);
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            durable::create_folder(folder, 0o700)?;
        }
        let path = path.with_extension(NEW);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let file = file.map_err(|source| DurableError { step: "create", path, source })?;
        PagesWriter::new(file, key).map_err(|source| DurableError { step: "write", path: self.path(name), source })
    }

    /// Takes over what a run made: its snapshot has a receipt.
    ///
    /// # Errors
    /// If the disk refuses it; the next run then finds the files under either name.
    pub fn adopt(&self, names: &[String]) -> std::io::Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        // One call for all of them: their bytes are durable before they replace anything.
        rustix::fs::syncfs(File::open(&self.folder)?)?;
        for name in names {
            let path = self.path(name);
            rustix::fs::rename(path.with_extension(NEW), path)?;
        }
        Ok(())
    }

    /// Removes what belongs to no entry any more: every file whose name `is_live` does not know.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn sweep(&self, is_live: impl Fn(&str) -> bool) -> std::io::Result<u64> {
        let mut removed = 0;
        for folder in subfolders(&self.folder)? {
            for file in std::fs::read_dir(folder)? {
                let file = file?;
                let name = file.file_name();
                let name = name.to_string_lossy();
                let stem = name.split('.').next().unwrap_or_default();
                if !is_live(stem) || name.as_ref() != stem {
                    std::fs::remove_file(file.path())?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}

fn subfolders(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Ok(all) => all.map(|item| Ok(item?.path())).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The hashes of a content, read window by window.
pub struct KnownPages {
    file: BufReader<File>,
    key: IdKey,
    size: u64,
    windows: u64,
    next: u64,
    chunks: Vec<(ChunkId, u32)>,
    is_lost: bool,
}

impl KnownPages {
    fn open(path: &Path, key: &IdKey, (digest, size): (&[u8; 32], u64)) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        let tail = Tail::read(&mut file, key)?;
        if tail.digest != *digest || tail.size != size {
            return None;
        }
        let chunks = tail.chunks(&mut file, key)?;
        file.seek(SeekFrom::Start(MAGIC.len() as u64)).ok()?;
        let file = BufReader::with_capacity(64 << 10, file);
        Some(Self { file, key: key.clone(), size, windows: tail.windows, next: 0, chunks, is_lost: false })
    }

    /// Plain bytes of the chunks that the content reaches.
    pub fn chunks(&self) -> &[(ChunkId, u32)] {
        &self.chunks
    }

    /// The next window; `None` if nothing is known of it.
    pub fn next_window(&mut self) -> Option<WindowPages> {
        let number = self.next;
        self.next += 1;
        if number >= self.windows || self.is_lost {
            return None;
        }
        let pages = window_page_count(self.size, number);
        let read = self.read_window(pages);
        // Where a record cannot be read to its end, the next one cannot be found.
        let Some((record, kind)) = read else {
            self.is_lost = true;
            return None;
        };
        let (body, checksum) = record.split_at(record.len() - 16);
        (self.key.short_hash(&[&number.to_le_bytes()[..], &[kind], body].concat()) == checksum).then(|| {
            let (value, pages) = body.split_at(32);
            let mut chaining = [0; 32];
            chaining.copy_from_slice(value);
            WindowPages { value: chaining, pages: pages.as_chunks::<16>().0.to_vec() }
        })
    }

    fn read_window(&mut self, pages: usize) -> Option<(Vec<u8>, u8)> {
        let mut kind = [0];
        self.file.read_exact(&mut kind).ok()?;
        let bytes = match kind[0] {
            0 => 32 + pages * 16 + 16,
            1 => 32 + 16,
            _ => return None,
        };
        let mut record = vec![0; bytes];
        self.file.read_exact(&mut record).ok()?;
        Some((record, kind[0]))
    }
}

/// Pages of window `number` of a content of `size` bytes.
fn window_page_count(size: u64, number: u64) -> usize {
    let pages = size.div_ceil(PAGE_BYTES as u64).saturating_sub(number.saturating_mul(WINDOW_PAGES));
    usize::try_from(pages.min(WINDOW_PAGES)).unwrap_or(0)
}

struct Tail {
    digest: [u8; 32],
    size: u64,
    windows: u64,
    chunk_count: u64,
    chunks_checksum: [u8; 16],
    at: u64,
}

impl Tail {
    fn read(file: &mut File, key: &IdKey) -> Option<Self> {
        let mut magic = [0; MAGIC.len()];
        file.read_exact(&mut magic).ok()?;
        let length = file.seek(SeekFrom::End(0)).ok()?;
        let at = length.checked_sub((TAIL_BYTES + END_BYTES) as u64)?;
        file.seek(SeekFrom::Start(at)).ok()?;
        let mut bytes = [0; TAIL_BYTES + END_BYTES];
        file.read_exact(&mut bytes).ok()?;
        let (tail, end) = bytes.split_at(TAIL_BYTES);
        let whole = magic == *MAGIC && end[4..] == *MAGIC && end[..4] == u32::try_from(TAIL_BYTES).ok()?.to_le_bytes();
        if !whole || key.short_hash(&tail[..TAIL_BYTES - 16]) != tail[TAIL_BYTES - 16..] {
            return None;
        }
        let word = |at: usize| u64::from_le_bytes(tail[at..at + 8].try_into().expect("eight bytes of a tail"));
        Some(Self {
            digest: tail[..32].try_into().expect("32 bytes of a tail"),
            size: word(32),
            windows: word(40),
            chunk_count: word(48),
            chunks_checksum: tail[56..72].try_into().expect("16 bytes of a tail"),
            at,
        })
    }

    fn chunks(&self, file: &mut File, key: &IdKey) -> Option<Vec<(ChunkId, u32)>> {
        let count = usize::try_from(self.chunk_count).ok().filter(|count| *count <= PAGED_CHUNKS_MAX)?;
        let bytes = count * CHUNK_BYTES;
        file.seek(SeekFrom::Start(self.at.checked_sub(bytes as u64)?)).ok()?;
        let mut table = vec![0; bytes];
        file.read_exact(&mut table).ok()?;
        if key.short_hash(&table) != self.chunks_checksum {
            return None;
        }
        let chunk = |item: &[u8; CHUNK_BYTES]| {
            let (id, bytes) = item.split_first_chunk::<32>().expect("an item starts with an id");
            (ChunkId::new(*id), u32::from_le_bytes(bytes.try_into().expect("and ends with four bytes")))
        };
        Some(table.as_chunks().0.iter().map(chunk).collect())
    }
}

/// Writes the hashes of a content while it is read.
pub struct PagesWriter {
    file: BufWriter<File>,
    key: IdKey,
    windows: u64,
}

impl PagesWriter {
    fn new(file: File, key: &IdKey) -> std::io::Result<Self> {
        let mut file = BufWriter::with_capacity(64 << 10, file);
        file.write_all(MAGIC)?;
        Ok(Self { file, key: key.clone(), windows: 0 })
    }

    /// Adds the next window.
    ///
    /// # Errors
    /// If the disk refuses it.
    pub fn window(&mut self, window: &WindowPages) -> std::io::Result<()> {
        let kind = u8::from(window.pages.is_empty());
        let mut body = Vec::with_capacity(9 + 32 + window.pages.len() * 16);
        body.extend_from_slice(&self.windows.to_le_bytes());
        body.push(kind);
        body.extend_from_slice(&window.value);
        window.pages.iter().for_each(|page| body.extend_from_slice(page));
        let checksum = self.key.short_hash(&body);
        self.file.write_all(&body[8..])?;
        self.windows += 1;
        self.file.write_all(&checksum)
    }

    /// Ends the hashes, as those of a content of `size` bytes with this digest, which reaches `chunks`.
    ///
    /// # Errors
    /// If the disk refuses it: there is then no such file.
    pub fn finish(mut self, digest: &[u8; 32], size: u64, chunks: &[(ChunkId, u32)]) -> std::io::Result<()> {
        let mut table = Vec::with_capacity(chunks.len() * CHUNK_BYTES);
        for (id, bytes) in chunks.iter().take(PAGED_CHUNKS_MAX) {
            table.extend_from_slice(id.as_bytes());
            table.extend_from_slice(&bytes.to_le_bytes());
        }
        let mut tail = digest.to_vec();
        tail.extend_from_slice(&size.to_le_bytes());
        tail.extend_from_slice(&self.windows.to_le_bytes());
        tail.extend_from_slice(&((table.len() / CHUNK_BYTES) as u64).to_le_bytes());
        tail.extend_from_slice(&self.key.short_hash(&table));
        tail.extend_from_slice(&self.key.short_hash(&tail));
        let length = u32::try_from(tail.len()).unwrap_or(u32::MAX).to_le_bytes();
        [&table[..], &tail, &length, MAGIC].iter().try_for_each(|part| self.file.write_all(part))?;
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]
    use super::*;

    const SIZE: u64 = 2 * WINDOW_BYTES as u64 + 3 * PAGE_BYTES as u64 + 1;

    fn key() -> IdKey {
        IdKey::new([3; 32])
    }

    fn windows() -> Vec<WindowPages> {
        let page = |number: usize| [u8::try_from(number % 251).unwrap(); 16];
        vec![
            WindowPages { value: [1; 32], pages: (0..256).map(page).collect() },
            WindowPages { value: [2; 32], pages: Vec::new() },
            WindowPages { value: [3; 32], pages: (0..4).map(page).collect() },
        ]
    }

    fn write(folder: &PageFolder, digest: [u8; 32]) {
        let mut writer = folder.create("ab01", &key()).unwrap();
        windows().iter().for_each(|window| writer.window(window).unwrap());
        writer.finish(&digest, SIZE, &[(ChunkId::new([9; 32]), 700)]).unwrap();
    }

    fn read(folder: &PageFolder, digest: [u8; 32]) -> Option<Vec<Option<WindowPages>>> {
        let mut known = folder.open("ab01", &key(), (&digest, SIZE))?;
        assert_eq!(known.chunks(), &[(ChunkId::new([9; 32]), 700)]);
        Some((0..4).map(|_| known.next_window()).collect())
    }

    #[test]
    fn hashes_are_found_by_the_content_that_they_belong_to_under_either_name() {
        let state = tempfile::tempdir().unwrap();
        let folder = PageFolder::of(state.path());
        assert!(!folder.exists() && read(&folder, [7; 32]).is_none());
        write(&folder, [7; 32]);
        let wanted: Vec<_> = windows().into_iter().map(Some).chain([None]).collect();
        assert_eq!(read(&folder, [7; 32]).unwrap(), wanted);
        folder.adopt(&["ab01".to_owned()]).unwrap_err();
        // What was found under the new name was taken over: what a later run makes stands beside it.
        write(&folder, [8; 32]);
        assert_eq!(read(&folder, [7; 32]).unwrap(), wanted);
        assert_eq!(folder.sweep(|name| name == "ab01").unwrap(), 1, "what has no receipt goes");
        write(&folder, [8; 32]);
        folder.adopt(&["ab01".to_owned()]).unwrap();
        assert_eq!(read(&folder, [8; 32]).unwrap(), wanted);
        assert!(read(&folder, [7; 32]).is_none());
        assert!(folder.open("ab01", &key(), (&[8; 32], SIZE + 1)).is_none());
        assert!(folder.open("ab01", &IdKey::new([4; 32]), (&[8; 32], SIZE)).is_none());
        assert_eq!(folder.sweep(|_| false).unwrap(), 1);
        assert!(read(&folder, [8; 32]).is_none());
    }

    #[test]
    fn a_wrong_byte_makes_its_window_unknown_and_no_other_content() {
        let state = tempfile::tempdir().unwrap();
        let folder = PageFolder::of(state.path());
        write(&folder, [7; 32]);
        folder.adopt(&["ab01".to_owned()]).unwrap();
        let path = folder.path("ab01");
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut wrong = good.clone();
            wrong[at] ^= 0x20;
            std::fs::write(&path, &wrong).unwrap();
            let Some(mut known) = folder.open("ab01", &key(), (&[7; 32], SIZE)) else { continue };
            let unlike = windows().into_iter().map(Some).filter(|window| known.next_window() != *window).count();
            assert!(unlike >= 1, "byte {at}");
        }
        for length in 0..good.len() {
            std::fs::write(&path, &good[..length]).unwrap();
            assert!(folder.open("ab01", &key(), (&[7; 32], SIZE)).is_none());
        }
    }

    #[test]
    fn a_page_of_a_hole_is_another_one_than_a_page_of_zeros() {
        let value = [5; 32];
        assert_ne!(page_hash(&value, true), page_hash(&value, false));
    }
}
