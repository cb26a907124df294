//! What comes after all files: pipes, devices, hard links, symbolic links, then the directories' own metadata.
//!
//! Links come last so that nothing can be written through one, should every other barrier fail; directory times last of all, as
//! each name made in a directory changes them.
//!
//! Invariant: a hard link leads only to a regular file of the target that the snapshot has there.

use std::io;
use std::sync::Arc;

use common::tree::entry::DeviceNumber;
use rustix::fs::FileType;

use super::folders::{Folder, Handles};
use super::meta::{Created, Meta};
use super::outcome::{Problem, Progress};
use super::select::Overwrite;
use super::target::Directory;
use super::write::FileWriter;

/// An item that is made at the end.
pub struct Late {
    /// Unique in its restore.
    pub number: u64,
    /// Where.
    pub folder: Arc<Folder>,
    /// Its name.
    pub name: Box<[u8]>,
    /// Its metadata; a hard link has that of its file.
    pub meta: Option<Meta>,
    /// What it is.
    pub kind: LateKind,
}

/// What kinds of items are made at the end.
pub enum LateKind {
    /// A symbolic link and what it holds.
    Symlink(Vec<u8>),
    /// One more name of a file.
    HardLink {
        /// Where the file is.
        folder: Arc<Folder>,
        /// Its name there.
        name: Vec<u8>,
        /// Its length, in bytes.
        size: u64,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice(DeviceNumber),
    /// A block device.
    BlockDevice(DeviceNumber),
}

impl LateKind {
    /// What `mknod` makes of it.
    fn node(&self) -> (FileType, u64) {
        match self {
            Self::CharDevice(number) => (FileType::CharacterDevice, rustix::fs::makedev(number.major, number.minor)),
            Self::BlockDevice(number) => (FileType::BlockDevice, rustix::fs::makedev(number.major, number.minor)),
            Self::Fifo => (FileType::Fifo, 0),
            Self::Symlink(_) => (FileType::Symlink, 0),
            Self::HardLink { .. } => (FileType::RegularFile, 0),
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Fifo | Self::CharDevice(_) | Self::BlockDevice(_) => 0,
            Self::HardLink { .. } => 1,
            Self::Symlink(_) => 2,
        }
    }
}

/// Makes late items and finishes directories.
pub struct Finisher<'a> {
    /// Target, rules and reports.
    pub writer: &'a FileWriter<'a>,
    /// What happens to what stands there.
    pub overwrite: Overwrite,
}

impl Finisher<'_> {
    /// Makes all items, links last.
    pub fn make_all(&self, handles: &mut Handles, mut items: Vec<Late>) {
        items.sort_by_key(|item| item.kind.rank());
        for item in items {
            let path = || item.folder.path_of(&item.name);
            match self.make(handles, &item) {
                Ok(notices) => {
                    notices.into_iter().for_each(|notice| self.writer.tally.problem(path(), notice));
                    self.writer.tally.update(|outcome| outcome.others += 1);
                }
                Err(problem) => self.writer.tally.problem(path(), problem),
            }
            Progress::add(&self.writer.progress.items_done, 1);
        }
    }

    fn make(&self, handles: &mut Handles, item: &Late) -> Result<Vec<Problem>, Problem> {
        let folder = self.open(handles, &item.folder)?;
        let mut replace = false;
        if !item.folder.is_fresh() {
            let standing = folder.standing(&item.name).map_err(|error| self.writer.refused("read", &error))?;
            match standing {
                None => {}
                Some(_) if self.is_there(handles, &folder, item)? => return self.refresh(&folder, item),
                Some(standing) if standing.kind == FileType::Directory => return Err(Problem::InTheWay),
                Some(standing) => {
                    replace = match (self.overwrite, &item.meta) {
                        (Overwrite::Never, _) => false,
                        (Overwrite::Older, Some(meta)) => standing.mtime_ns < meta.mtime_ns,
                        _ => true,
                    };
                    if !replace {
                        return Err(Problem::Exists);
                    }
                }
            }
        }
        // Under a temporary name first: the final one shows it with its metadata, or what stood there.
        let temporary = self.writer.temporary_name(item.number);
        let made = folder
            .remove(&temporary)
            .map_err(|error| self.writer.refused("create", &error))
            .and_then(|()| self.make_temporary(handles, &folder, &temporary, item))
            .and_then(|notices| {
                let renamed = folder.rename(&temporary, &item.name, replace);
                renamed.map(|()| notices).map_err(|error| self.writer.refused("rename", &error))
            });
        if made.is_err() || matches!(item.kind, LateKind::HardLink { .. }) {
            // Renaming one name of a file over another name of it leaves both.
            let _ = folder.remove(&temporary);
        }
        made
    }

    fn make_temporary(
        &self,
        handles: &mut Handles,
        folder: &Directory,
        name: &[u8],
        item: &Late,
    ) -> Result<Vec<Problem>, Problem> {
        let made = match &item.kind {
            LateKind::Symlink(target) => folder.make_symlink(name, target),
            LateKind::Fifo | LateKind::CharDevice(_) | LateKind::BlockDevice(_) => {
                let (kind, device) = item.kind.node();
                folder.make_node(name, kind, device)
            }
            LateKind::HardLink { folder: from, name: from_name, size } => {
                let from = self.open(handles, from)?;
                match from.standing(from_name).map_err(|error| self.writer.refused("link", &error))? {
                    Some(standing) if standing.kind == FileType::RegularFile && standing.size == *size => {}
                    _ => return Err(Problem::Tree),
                }
                folder.make_hard_link(name, &from, from_name)
            }
        };
        made.map_err(|error| self.writer.refused("link", &error))?;
        match &item.meta {
            None => Ok(Vec::new()),
            Some(meta) => {
                let is_link = matches!(item.kind, LateKind::Symlink(_));
                let applied = self.writer.rules.apply_by_name(folder, name, meta, is_link);
                applied.map_err(|error| self.writer.refused("metadata", &error))
            }
        }
    }

    /// Gives what stands there already its metadata, if replacing was asked for.
    fn refresh(&self, folder: &Directory, item: &Late) -> Result<Vec<Problem>, Problem> {
        match &item.meta {
            Some(meta) if matches!(self.overwrite, Overwrite::Changed | Overwrite::Always) => {
                let is_link = matches!(item.kind, LateKind::Symlink(_));
                let applied = self.writer.rules.apply_by_name(folder, &item.name, meta, is_link);
                applied.map_err(|error| self.writer.refused("metadata", &error))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// True if what stands there is the item already.
    fn is_there(&self, handles: &mut Handles, folder: &Directory, item: &Late) -> Result<bool, Problem> {
        let read = |error: io::Error| self.writer.refused("read", &error);
        match &item.kind {
            LateKind::Symlink(target) => Ok(folder.symlink_target(&item.name).map_err(read)?.as_ref() == Some(target)),
            LateKind::HardLink { folder: from, name, .. } => {
                let file = self.open(handles, from)?.standing(name).map_err(read)?;
                let link = folder.standing(&item.name).map_err(read)?;
                Ok(file.is_some() && file.map(|file| file.inode) == link.map(|link| link.inode))
            }
            LateKind::Fifo | LateKind::CharDevice(_) | LateKind::BlockDevice(_) => {
                let (kind, device) = item.kind.node();
                let standing = folder.standing(&item.name).map_err(read)?;
                Ok(standing.is_some_and(|standing| (standing.kind, standing.device) == (kind, device)))
            }
        }
    }

    /// Gives directories their metadata, the deepest first.
    pub fn finish_directories(&self, handles: &mut Handles, folders: &[Arc<Folder>]) {
        for folder in folders.iter().rev().filter(|folder| folder.is_made()) {
            match self.finish_directory(handles, folder) {
                Ok(notices) => notices.into_iter().for_each(|notice| self.writer.tally.problem(folder.path(), notice)),
                Err(problem) => self.writer.tally.problem(folder.path(), problem),
            }
            self.writer.tally.update(|outcome| outcome.directories += 1);
            Progress::add(&self.writer.progress.items_done, 1);
        }
    }

    fn finish_directory(&self, handles: &mut Handles, folder: &Folder) -> Result<Vec<Problem>, Problem> {
        // A directory that stood before keeps what it has unless replacing was asked for.
        if !folder.is_ours() && !matches!(self.overwrite, Overwrite::Changed | Overwrite::Always) {
            return Ok(Vec::new());
        }
        let directory = self.open(handles, folder)?;
        let finished = match &folder.meta {
            Some(meta) => {
                let created = Created { mode_is_right: false, inherits: true };
                self.writer.rules.apply(directory.handle(), meta, created)
            }
            None if folder.is_ours() => directory.keep_private().map(|()| Vec::new()),
            None => Ok(Vec::new()),
        };
        finished.map_err(|error| self.writer.refused("metadata", &error))
    }

    fn open(&self, handles: &mut Handles, folder: &Folder) -> Result<Arc<Directory>, Problem> {
        handles.open(self.writer.target, folder).map_err(|error| self.writer.refused("create", &error))
    }
}
