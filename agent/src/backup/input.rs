//! What a large file is read from: the file itself, or the disk of the image that it is.
//!
//! Invariant: the zeros of a disk are holes, whatever the container says of them: an increment does not depend on its layout.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::ops::Range;

use common::tree::xattrs::Xattr;
use rustix::fs::Advice;

use crate::backup::job::Segment;
use crate::backup::read::{map, read_exact_at};
use crate::backup::sparing::ChangeMap;
use crate::source::disk::export::Export;
use crate::source::disk::{Image, Served};
use crate::source::metadata::{FileKind, Stat, xattrs_of_handle};

/// An open file.
pub struct Input {
    file: File,
    disk: Option<Disk>,
}

/// The disk of an image.
struct Disk {
    export: RefCell<Export>,
    bytes: u64,
    label: Xattr,
    changes: Option<ChangeMap>,
    /// False once the map was found wrong.
    is_believed: Cell<bool>,
    is_marked: bool,
}

impl Input {
    /// The bytes of the file.
    pub fn file(file: File) -> Self {
        Self { file, disk: None }
    }

    /// The bytes of the disk that is in it.
    ///
    /// # Errors
    /// If the server of the disk fails.
    pub fn disk(file: File, served: Served, (image, seed): (&Image, u64)) -> std::io::Result<Self> {
        let Served { mut export, changes, is_marked } = served;
        let bytes = export.client()?.size();
        let changes = changes.map(|changed| ChangeMap::new(changed, bytes, seed));
        let (label, is_believed) = (image.label.attribute(), Cell::new(true));
        let disk = Disk { export: RefCell::new(export), bytes, label, changes, is_believed, is_marked };
        Ok(Self { file, disk: Some(disk) })
    }

    /// True if it is the disk of an image: pages of zeros are holes.
    pub fn is_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// True if a bitmap records every change from before this reading.
    pub fn is_marked(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.is_marked)
    }

    /// What changed on the disk since the last tree, if that is known and to be believed.
    pub fn changes(&self) -> Option<&ChangeMap> {
        self.disk.as_ref().filter(|disk| disk.is_believed.get()).and_then(|disk| disk.changes.as_ref())
    }

    /// Notes that the change map is wrong.
    pub fn disbelieve(&self) {
        if let Some(disk) = &self.disk {
            disk.is_believed.set(false);
        }
    }

    /// What the system says of it now; the size is that of the content.
    ///
    /// # Errors
    /// Those of `statx`; `NotFound` if it is not a regular file any more.
    pub fn stat(&self) -> std::io::Result<Stat> {
        let stat = Stat::at(&self.file, c"")?;
        if stat.kind != FileKind::File {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        Ok(Stat { size: self.disk.as_ref().map_or(stat.size, |disk| disk.bytes), ..stat })
    }

    /// Its extended attributes, and what the snapshot needs to know of an image.
    ///
    /// # Errors
    /// Those of reading them.
    pub fn xattrs(&self) -> std::io::Result<Vec<Xattr>> {
        let mut xattrs = xattrs_of_handle(&self.file)?;
        xattrs.extend(self.disk.as_ref().map(|disk| disk.label.clone()));
        xattrs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(xattrs)
    }

    /// The file, if its bytes are the content: several threads may then read it at once.
    pub fn plain_file(&self) -> Option<&File> {
        self.disk.is_none().then_some(&self.file)
    }

    /// Says that it will be read from its start to its end.
    pub fn will_be_read(&self) {
        let _ = rustix::fs::fadvise(&self.file, 0, None, Advice::Sequential);
    }

    /// The holes of the content, as far as they are known without reading.
    ///
    /// # Errors
    /// Those of asking.
    pub fn holes(&self, stat: &Stat) -> std::io::Result<Vec<Range<u64>>> {
        if let Some(disk) = &self.disk {
            return Ok(disk.export.borrow_mut().client()?.holes()?);
        }
        let segments = if stat.may_have_holes() { self.segments(stat.size)? } else { Vec::new() };
        let mut at = 0;
        let range = |segment: &Segment| {
            let start = at;
            at += segment.bytes;
            segment.is_hole.then_some(start..at)
        };
        Ok(segments.iter().filter_map(range).collect())
    }

    /// Data and holes of the file's first `size` bytes.
    ///
    /// # Errors
    /// Those of `lseek`.
    pub fn segments(&self, size: u64) -> std::io::Result<Vec<Segment>> {
        map(&self.file, size)
    }

    /// Fills `out` from position `at`; the bytes read, fewer only at the end.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read_exact_at(&self, at: u64, out: &mut [u8]) -> std::io::Result<usize> {
        let Some(disk) = &self.disk else { return read_exact_at(&self.file, at, out) };
        let bytes = usize::try_from(disk.bytes.saturating_sub(at)).unwrap_or(usize::MAX).min(out.len());
        disk.export.borrow_mut().client()?.read(at, &mut out[..bytes])?;
        Ok(bytes)
    }
}
