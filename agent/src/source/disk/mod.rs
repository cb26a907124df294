//! Disk images, for sources of kind `virtual_disk`: which of the walked files are images, and their disks as blocks.
//!
//! `format`, `info` and `in_use` tell what an image is (`tools` asks), `label` what a snapshot keeps of it, `export` serves its disk,
//! `nbd` reads it, and `bitmaps` tell what changed on it. In the snapshot an image stands where it was, with the content of its *disk*, so that an increment is exact
//! whatever the container does; its label says how to make the container again. What would not come back whole that way (a
//! backing file, snapshots inside, encryption) is kept as the file that it is, and so is a raw image, which is its disk.
//! No file system inside is opened.
//!
//! Invariant: an image that a running machine holds is skipped with its reason, never read torn.

pub mod bitmaps;
pub mod export;
pub mod format;
pub mod in_use;
pub mod info;
pub mod label;
pub mod nbd;
pub mod tools;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::id::SessionId;
use common::limits::{DISK_IMAGES_MAX, PAGED_FILE_BYTES};
use parking_lot::Mutex;

use crate::source::files::{Found, Listing, Walk, WalkError, join, select};
use crate::source::handles::Handles;
use crate::source::metadata::{FileKind, Stat};
use crate::source::{FileSet, SkipReason, SkippedItem};

use bitmaps::Bitmaps;
use export::{Export, ExportError};
use format::Format;
use in_use::has_writer;
use info::{AsFile, Bitmap};
use label::Label;
use tools::{ToolError, Tools};

/// An image that is read as a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// How to make it again.
    pub label: Label,
    /// Size of its disk, in bytes.
    pub bytes: u64,
    /// What records changes in it.
    pub bitmaps: Vec<Bitmap>,
}

/// What reads the images of a source, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskRules {
    /// The QEMU tools.
    pub tools: Tools,
    /// Bitmaps of changes are kept in images that can hold them: this writes to the images.
    pub bitmaps: bool,
}

/// What one file of the source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A disk.
    Disk(Arc<Image>),
    /// A file, and why.
    File(AsFile),
    /// In use, in the words of the tool.
    InUse(String),
}

/// A disk that can be read.
pub struct Served {
    /// Where from.
    pub export: Export,
    /// What changed on it since the last tree's content, if that is known.
    pub changes: Option<Vec<Range<u64>>>,
    /// True if a bitmap records every change from before this reading.
    pub is_marked: bool,
}

/// The images of one run.
pub struct Disks {
    tools: Tools,
    /// What the tools say of themselves, if they are there; `None`: every image is a file.
    version: Option<String>,
    folder: PathBuf,
    bitmaps: Option<Bitmaps>,
    seed: u64,
    /// False for a source of another kind: nothing is looked at.
    is_on: bool,
    seen: Mutex<HashMap<Vec<u8>, Seen>>,
    /// How each disk was read.
    notes: Mutex<HashMap<Vec<u8>, String>>,
    handles: Mutex<Handles>,
    exports: AtomicU64,
}

impl Disks {
    /// No images: another kind of source.
    pub fn none() -> Self {
        Self {
            tools: Tools::default(),
            version: None,
            folder: PathBuf::new(),
            bitmaps: None,
            seed: 0,
            is_on: false,
            seen: Mutex::default(),
            notes: Mutex::default(),
            handles: Mutex::default(),
            exports: AtomicU64::new(0),
        }
    }

    /// Those of a source of kind `virtual_disk`, whose state is in `state`; `run` is no other run's. Undoes what a run that was cut
    /// left.
    pub fn new(rules: DiskRules, state: &Path, run: &SessionId) -> Self {
        let tools = rules.tools;
        let folder = state.join("disks");
        match export::clear(&folder) {
            Ok(0) => {}
            Ok(count) => tracing::warn!(count, "servers of disk images that an earlier run left were ended"),
            Err(error) => tracing::warn!(%error, "the folder of the disk images cannot be read"),
        }
        let version = tools.version().inspect_err(|error| tracing::warn!(%error, "disk images are read as files")).ok();
        let bitmaps = rules.bitmaps.then(|| Bitmaps::new(state, &run.to_string()));
        let seed = u64::from_le_bytes(*run.as_bytes().first_chunk().expect("an id has sixteen bytes"));
        Self { tools, version, folder, bitmaps, seed, is_on: true, ..Self::none() }
    }

    /// Those of a source that is only looked at: nothing can be served.
    pub fn probing(tools: Tools) -> Self {
        Self { version: tools.version().ok(), tools, is_on: true, ..Self::none() }
    }

    /// What the tools say of themselves; `None` if they are not there.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Walks a set and says what its files are, those aside that nobody would take for images.
    ///
    /// # Errors
    /// If it cannot be walked.
    pub fn probe(&self, set: &FileSet) -> Result<BTreeMap<Vec<u8>, Seen>, WalkError> {
        let selected = select(set)?;
        let mut walk = Walk::new(set, &selected, None)?;
        while let Some(Found::Listing(mut listing)) = walk.next()? {
            self.look(&mut listing);
        }
        let seen = std::mem::take(&mut *self.seen.lock());
        Ok(seen.into_iter().collect())
    }

    /// Gives the images among the items of a listing the size of their disks, and takes out those that are in use.
    pub fn look(&self, listing: &mut Listing) {
        if !self.is_on {
            return;
        }
        let mut items = std::mem::take(&mut listing.items);
        items.retain_mut(|item| {
            if item.stat.kind != FileKind::File {
                return true;
            }
            let name = listing.name(item);
            if Format::of_name(name).is_none() && item.stat.size <= PAGED_FILE_BYTES {
                return true;
            }
            let path = join(&listing.directory, name);
            match self.see(&path, (&listing.directory, name)) {
                Seen::Disk(image) => item.stat.size = image.bytes,
                Seen::File(_) => {}
                Seen::InUse(detail) => {
                    listing.skipped.push(SkippedItem { path, reason: SkipReason::InUse, detail, accepted: false });
                    return false;
                }
            }
            true
        });
        listing.items = items;
    }

    /// Looks at one file, again in each pass.
    fn see(&self, path: &[u8], (directory, name): (&[u8], &[u8])) -> Seen {
        let seen = match self.handles.lock().file(directory, name) {
            Ok(_) if self.seen.lock().len() >= DISK_IMAGES_MAX => Seen::File(AsFile::Many),
            Ok(file) => self.examine(&file, name),
            // Whoever reads it tells what is wrong.
            Err(_) => Seen::File(AsFile::Unreadable),
        };
        self.seen.lock().insert(path.to_vec(), seen.clone());
        seen
    }

    fn examine(&self, file: &File, name: &[u8]) -> Seen {
        let tools = self.version.as_ref().map(|_| &self.tools);
        examine(tools, file, name)
    }

    /// The image at this path, if it is one.
    pub fn find(&self, path: &[u8]) -> Option<Arc<Image>> {
        match self.seen.lock().get(path) {
            Some(Seen::Disk(image)) => Some(image.clone()),
            _ => None,
        }
    }

    /// True for a source of images.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// What samples of disks are chosen by; another one in each run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Serves the disk of an image. One that cannot be served is a file from now on.
    ///
    /// `key` names its records; `old` is the digest of what the last tree has of it. With bitmaps, one is added to the image first if
    /// the disk may have changed.
    ///
    /// # Errors
    /// [`std::io::ErrorKind::ResourceBusy`] if it is in use.
    pub fn open(
        &self,
        (path, key): (&[u8], &str),
        (file, image): (&File, &Image),
        old: Option<&[u8; 32]>,
    ) -> std::io::Result<Option<Served>> {
        let served = self.serve(key, (file, image), old);
        match served {
            Ok(served) => {
                let how = match &served.changes {
                    Some(changes) => {
                        format!("bitmap {}", changes.iter().map(|range| range.end - range.start).sum::<u64>())
                    }
                    None => "whole".to_owned(),
                };
                self.notes.lock().insert(path.to_vec(), how);
                Ok(Some(served))
            }
            Err(ExportError::Tool(ToolError::InUse(said))) => {
                Err(std::io::Error::new(std::io::ErrorKind::ResourceBusy, said))
            }
            Err(error) => {
                tracing::warn!(%error, "a disk image is read as a file");
                self.seen.lock().insert(path.to_vec(), Seen::File(AsFile::Unreadable));
                Ok(None)
            }
        }
    }

    fn serve(&self, key: &str, (file, image): (&File, &Image), old: Option<&[u8; 32]>) -> Result<Served, ExportError> {
        let start = |bitmap: Option<&str>| {
            let number = self.exports.fetch_add(1, Ordering::Relaxed);
            Export::start(&self.tools, (&self.folder, number), (file, image.label.format), bitmap)
        };
        let plain = |is_marked| Ok(Served { export: start(None)?, changes: None, is_marked });
        let Some(bitmaps) = self.bitmaps.as_ref().filter(|_| image.label.format == Format::Qcow2) else {
            return plain(false);
        };
        let mark = || {
            let marked = bitmaps.mark(&self.tools, (file, key), &image.bitmaps);
            marked.inspect_err(|error| tracing::warn!(%error, "no bitmap can be kept in a disk image")).is_ok()
        };
        let Some(since) = old.and_then(|digest| bitmaps.since(key, digest, &image.bitmaps)) else {
            return plain(mark());
        };
        let with_map = || {
            let mut export = start(Some(&since))?;
            let changes = export.client()?.changes()?;
            Ok::<_, ExportError>((export, changes))
        };
        match with_map() {
            // Nothing changed: the bitmap goes on being the one since that content.
            Ok((export, Some(changes))) if changes.is_empty() => {
                Ok(Served { export, changes: Some(changes), is_marked: false })
            }
            Ok((export, Some(_))) => {
                drop(export);
                let is_marked = mark();
                // What was written in between is in the map that is asked for now.
                let (export, changes) = with_map()?;
                Ok(Served { export, changes, is_marked })
            }
            Ok((export, None)) => Ok(Served { export, changes: None, is_marked: false }),
            Err(error @ ExportError::Tool(ToolError::InUse(_))) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "the bitmap of a disk image cannot be used: the whole disk is read");
                plain(mark())
            }
        }
    }

    /// Notes that the disk of a marked image was read: its content has this digest.
    pub fn was_read(&self, key: &str, digest: &[u8; 32]) {
        let recorded = self.bitmaps.as_ref().map_or(Ok(()), |bitmaps| bitmaps.record(key, digest));
        if let Err(error) = recorded {
            tracing::warn!(%error, "the bitmap of a disk image will not be used");
        }
    }

    /// What was seen, for the sealed part of the snapshot: a name and a value each, in order.
    pub fn evidence(&self) -> Vec<(String, String)> {
        if !self.is_on {
            return Vec::new();
        }
        let tools = ("disk_tools".to_owned(), self.version.clone().unwrap_or_else(|| "none".into()));
        let (seen, notes) = (self.seen.lock(), self.notes.lock());
        let mut images: Vec<(String, String)> = seen
            .iter()
            .filter_map(|(path, seen)| {
                let how = match seen {
                    Seen::Disk(image) => {
                        let how = notes.get(path).map_or("unchanged", String::as_str);
                        format!("disk {} {} {how}", image.label.format.name(), image.bytes)
                    }
                    Seen::File(AsFile::Plain) => return None,
                    Seen::File(why) => format!("file {}", why.word()),
                    Seen::InUse(_) => "in_use".to_owned(),
                };
                Some((format!("disk_image:/{}", String::from_utf8_lossy(path)), how))
            })
            .collect();
        images.sort();
        std::iter::once(tools).chain(images).collect()
    }
}

/// What an open file is, by these tools if there are any.
pub fn examine(tools: Option<&Tools>, file: &File, name: &[u8]) -> Seen {
    if Stat::at(file, c"").is_ok_and(|stat| has_writer(&stat)) {
        return Seen::InUse("a running process writes to it".to_owned());
    }
    let Some(tools) = tools else { return Seen::File(AsFile::NoTools) };
    let container = Format::of_name(name).filter(|format| format.begins(file).unwrap_or(false));
    match tools.info(file, container.unwrap_or(Format::Raw)) {
        Err(ToolError::InUse(said)) => Seen::InUse(said),
        Err(error) => {
            tracing::info!(%error, "a disk image cannot be described");
            Seen::File(AsFile::Unreadable)
        }
        Ok(info) => match container.map(|format| info.plan(format)) {
            None => Seen::File(AsFile::Plain),
            Some(Err(why)) => Seen::File(why),
            Some(Ok(label)) => {
                let bitmaps = info.bitmaps().to_vec();
                Seen::Disk(Arc::new(Image { label, bytes: info.virtual_size(), bitmaps }))
            }
        },
    }
}
