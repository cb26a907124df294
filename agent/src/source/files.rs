//! The walk of a set of folders: directory by directory, each listing sorted by name bytes, then its subdirectories in the same
//! order — the key order of the snapshot tree.
//!
//! Directories are opened relative to their parent's handle and items are asked for relative to their directory, so renames and
//! links cannot lead out of the tree. It opens no file except cache tags, and does not compare anything. Directories that a change
//! journal knows to be settled are named, not listed (`kept`).
//!
//! Invariant: a selected path that is missing, cannot be listed or lost its file system ends the walk with an error; it never looks like an
//! empty tree.

use std::collections::BTreeSet;
use std::ffi::{CStr, OsStr};
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::limits::{NAME_BYTES_MAX, PATH_BYTES_MAX};
use rustix::fs::{CWD, Mode, OFlags, RawDir};
use rustix::io::Errno;

use crate::source::excludes::{CACHE_TAG_SIGNATURE, Excludes, InvalidPattern};
use crate::source::handles::{open_directory, open_file};
use crate::source::journal::Journal;
use crate::source::journal::marks::Standing;
use crate::source::metadata::{FileKind, Stat};
use crate::source::paths::{PathTree, components};
use crate::source::{FileSet, SkipReason, SkippedItem, is_gone};

/// Items of one listing; a longer directory comes in several.
pub const LISTING_ITEMS_MAX: usize = 1_024;
const DIRENT_BUFFER_BYTES: usize = 64 << 10;

/// Why a tree cannot be walked at all.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// A selected path is not there, or cannot be listed.
    #[error("folder {path:?} of the backup set cannot be read")]
    Root {
        /// As the set says it.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file system was mounted on a selected path in the last run; the folder is empty now.
    #[error("nothing is mounted on {path:?}")]
    NotMounted {
        /// The folder.
        path: PathBuf,
    },
    /// The set selects nothing.
    #[error("the backup set has no folder")]
    NoPath,
    /// An exclude rule is wrong.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
}

/// Some items of one directory, in key order.
#[derive(Debug)]
pub struct Listing {
    /// Path of the directory from `/`, without a leading slash; empty: `/` itself.
    pub directory: Arc<[u8]>,
    /// True if this is a selected folder itself, rather than something below or above one.
    pub is_root: bool,
    /// What is in it.
    pub items: Vec<Item>,
    /// What could not be seen.
    pub skipped: Vec<SkippedItem>,
    /// True if a change journal says that nothing in it changed.
    pub is_settled: bool,
    names: Arc<Vec<u8>>,
}

/// What the walk says next, in key order.
#[derive(Debug)]
pub enum Found {
    /// Some items of one directory.
    Listing(Listing),
    /// Entries that are taken over from the last tree.
    Kept(Kept),
}

/// A directory that was not listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Path of the directory from `/`, without a leading slash.
    pub directory: Arc<[u8]>,
    /// With everything below it; else its own entries.
    pub whole: bool,
}

/// One item of a listing.
#[derive(Debug, Clone, Copy)]
pub struct Item {
    name_at: u32,
    name_bytes: u32,
    /// What the system says of it.
    pub stat: Stat,
}

impl Listing {
    /// Name of an item of this listing.
    pub fn name(&self, item: &Item) -> &[u8] {
        &self.names[item.name_at as usize..(item.name_at + item.name_bytes) as usize]
    }
}

/// One selected folder and its rules.
pub(super) struct Root {
    excludes: Excludes,
    path_bytes: usize,
    device: u64,
    one_file_system: bool,
}

impl Root {
    /// What patterns are matched against: the path below this root.
    fn relative<'a>(&self, path: &'a [u8]) -> &'a Path {
        let below = &path[self.path_bytes.min(path.len())..];
        Path::new(OsStr::from_bytes(below.strip_prefix(b"/").unwrap_or(below)))
    }
}

/// What of a directory is wanted.
#[derive(Clone)]
pub(super) enum Wanted<'t> {
    /// Only what leads to selected folders.
    Ancestor(&'t PathTree),
    /// Everything that the rules leave.
    All(Arc<Root>),
}

impl Wanted<'_> {
    /// True if the set accepts that this cannot be read.
    fn accepts(&self, path: &[u8], is_directory: bool) -> bool {
        match self {
            Self::All(root) => root.excludes.accepts_unreadable(root.relative(path), is_directory),
            Self::Ancestor(_) => false,
        }
    }
}

pub(super) struct Below<'t> {
    pub(super) name_at: u32,
    pub(super) name_bytes: u32,
    pub(super) wanted: Wanted<'t>,
    pub(super) is_root: bool,
}

pub(super) struct Level<'t> {
    pub(super) handle: OwnedFd,
    pub(super) path: Arc<[u8]>,
    pub(super) wanted: Wanted<'t>,
    pub(super) is_root: bool,
    pub(super) is_settled: bool,
    pub(super) names: Arc<Vec<u8>>,
    /// Sorted names, as positions; `next` is the first that was not listed yet.
    pub(super) sorted: Vec<(u32, u32)>,
    pub(super) next: usize,
    /// In reverse.
    pub(super) below: Vec<Below<'t>>,
}

/// A walk in progress.
pub struct Walk<'t> {
    set: &'t FileSet,
    pub(super) journal: Option<&'t Journal>,
    pub(super) levels: Vec<Level<'t>>,
    absent: BTreeSet<Vec<u8>>,
    /// What could not be seen since the last listing.
    skipped: Vec<SkippedItem>,
    path: Vec<u8>,
}

/// Resolves the folders of a set; the tree that [`Walk::new`] borrows.
///
/// # Errors
/// [`WalkError::Root`] for the first folder that is not there.
pub fn select(set: &FileSet) -> Result<PathTree, WalkError> {
    let resolved = set
        .paths
        .iter()
        .map(|path| path.canonicalize().map_err(|source| WalkError::Root { path: path.clone(), source }))
        .collect::<Result<Vec<_>, _>>()?;
    if resolved.is_empty() {
        return Err(WalkError::NoPath);
    }
    Ok(PathTree::new(resolved.iter().map(|path| components(path.as_os_str().as_bytes()))))
}

impl<'t> Walk<'t> {
    /// Starts at `/`; `selected` comes from [`select`]. With a journal, directories are watched, and perhaps passed by.
    ///
    /// # Errors
    /// [`WalkError`] if a rule is wrong or the top cannot be opened.
    pub fn new(set: &'t FileSet, selected: &'t PathTree, journal: Option<&'t Journal>) -> Result<Self, WalkError> {
        let (absent, skipped) = Default::default();
        let mut walk = Self { set, journal, levels: Vec::new(), absent, skipped, path: Vec::new() };
        let root_error = |source: Errno| WalkError::Root { path: "/".into(), source: source.into() };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(CWD, c"/", flags, Mode::empty()).map_err(root_error)?;
        let stat = Stat::at(&handle, c"").map_err(|source| WalkError::Root { path: "/".into(), source })?;
        let wanted = walk.wanted(selected, 0, stat.device)?;
        let is_root = matches!(wanted, Wanted::All(_));
        walk.enter(handle, Arc::from(&b""[..]), wanted, is_root)?;
        Ok(walk)
    }

    /// Where a file system is missing: such a folder is not what it looks like.
    pub fn misses(mut self, absent: &BTreeSet<Vec<u8>>) -> Self {
        self.absent.clone_from(absent);
        self
    }

    /// What comes next in key order; `None` at the end.
    ///
    /// # Errors
    /// [`WalkError::Root`] if a selected folder went away.
    #[expect(clippy::should_implement_trait, reason = "an iterator of results would be read on after an error")]
    pub fn next(&mut self) -> Result<Option<Found>, WalkError> {
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(self.last_words().map(Found::Listing)) };
            if level.next < level.sorted.len() {
                return self.list().map(|listing| Some(Found::Listing(listing)));
            }
            let Some(below) = level.below.pop() else {
                self.levels.pop();
                continue;
            };
            if let Some(kept) = self.descend(&below)? {
                return Ok(Some(Found::Kept(kept)));
            }
        }
    }

    /// An empty listing for what was skipped after the last one.
    fn last_words(&mut self) -> Option<Listing> {
        let skipped = std::mem::take(&mut self.skipped);
        let nowhere = Arc::from(&b""[..]);
        (!skipped.is_empty()).then(|| Listing {
            directory: nowhere,
            is_root: false,
            items: Vec::new(),
            skipped,
            is_settled: false,
            names: Arc::default(),
        })
    }

    fn wanted(&self, tree: &'t PathTree, path_bytes: usize, device: u64) -> Result<Wanted<'t>, WalkError> {
        if !tree.selected {
            return Ok(Wanted::Ancestor(tree));
        }
        let excludes = Excludes::new(self.set)?;
        Ok(Wanted::All(Arc::new(Root { excludes, path_bytes, device, one_file_system: self.set.one_file_system })))
    }

    fn descend(&mut self, below: &Below<'t>) -> Result<Option<Kept>, WalkError> {
        let level = self.levels.last().expect("the caller looked at it");
        let name = &level.names[below.name_at as usize..(below.name_at + below.name_bytes) as usize];
        let path = join(&level.path, name);
        let standing = self.standing(&path, below);
        let opened = if standing == Standing::Whole { Ok(None) } else { open_directory(&level.handle, name).map(Some) };
        // The last subdirectory needs its parent no more: a deep chain of directories then holds one handle, not one per level.
        if level.below.is_empty() {
            self.levels.pop();
        }
        match opened {
            Ok(handle) if standing != Standing::Listed => Ok(Some(self.keep(handle, Arc::from(path), below))),
            Ok(handle) => {
                let handle = handle.expect("only what is kept whole is not opened");
                self.enter(handle, Arc::from(path), below.wanted.clone(), below.is_root).map(|()| None)
            }
            Err(source) if below.is_root || matches!(below.wanted, Wanted::Ancestor(_)) => {
                Err(WalkError::Root { path: absolute(&path), source })
            }
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => {
                self.skipped.push(skipped(&path, &below.wanted, true, &error));
                Ok(None)
            }
        }
    }

    fn enter(&mut self, handle: OwnedFd, path: Arc<[u8]>, wanted: Wanted<'t>, is_root: bool) -> Result<(), WalkError> {
        let mut level = Level {
            handle,
            path,
            wanted,
            is_root,
            is_settled: false,
            names: Arc::default(),
            sorted: Vec::new(),
            next: 0,
            below: Vec::new(),
        };
        // The watch comes first: what happens after the listing is then heard of.
        level.is_settled = self.visit(&level);
        if let Err(source) = level.read_names() {
            if is_root || matches!(level.wanted, Wanted::Ancestor(_)) {
                return Err(WalkError::Root { path: absolute(&level.path), source });
            }
            self.skipped.push(skipped(&level.path, &level.wanted, true, &source));
        }
        if self.absent.contains(&*level.path) {
            if level.is_root && level.sorted.is_empty() {
                return Err(WalkError::NotMounted { path: absolute(&level.path) });
            }
            let accepted = level.wanted.accepts(&level.path, true);
            let (path, detail) = (level.path.to_vec(), String::new());
            self.skipped.push(SkippedItem { path, reason: SkipReason::NotMounted, detail, accepted });
        }
        self.levels.push(level);
        Ok(())
    }

    fn list(&mut self) -> Result<Listing, WalkError> {
        let level = self.levels.last_mut().expect("the caller looked at it");
        let mut items = Vec::with_capacity(LISTING_ITEMS_MAX.min(level.sorted.len() - level.next));
        let (mut roots, mut has_further_names) = (Vec::new(), false);
        while level.next < level.sorted.len() && items.len() < LISTING_ITEMS_MAX {
            let (name_at, name_bytes) = level.sorted[level.next];
            level.next += 1;
            if let Some(stat) = level.look_at((name_at, name_bytes), &mut self.path, &mut self.skipped)? {
                items.push(Item { name_at, name_bytes, stat });
                has_further_names |= stat.kind == FileKind::File && stat.links > 1;
                if stat.kind == FileKind::Directory {
                    roots.push((name_at, name_bytes, stat));
                }
            }
        }
        if has_further_names && let Some(journal) = self.journal {
            // A change through the other name is heard of elsewhere, if at all.
            journal.distrust(&level.path);
        }
        let listing = Listing {
            directory: level.path.clone(),
            is_root: level.is_root,
            items,
            skipped: std::mem::take(&mut self.skipped),
            is_settled: level.is_settled,
            names: level.names.clone(),
        };
        self.plan_below(&roots)?;
        Ok(listing)
    }

    fn plan_below(&mut self, directories: &[(u32, u32, Stat)]) -> Result<(), WalkError> {
        let level = self.levels.last().expect("the caller looked at it");
        let (names, parent) = (level.names.clone(), level.wanted.clone());
        let path_bytes = level.path.len() + usize::from(!level.path.is_empty());
        let mut planned = Vec::with_capacity(directories.len());
        for &(name_at, name_bytes, ref stat) in directories {
            let device = stat.device;
            let (wanted, is_root) = match &parent {
                Wanted::All(root) if root.one_file_system && device != root.device => continue,
                Wanted::All(_) => (parent.clone(), false),
                Wanted::Ancestor(tree) => {
                    let name = &names[name_at as usize..(name_at + name_bytes) as usize];
                    let child = &tree.children[name];
                    if let Some(journal) = self.journal.filter(|_| child.selected) {
                        journal.root(&join(&level.path, name), stat);
                    }
                    (self.wanted(child, path_bytes + name.len(), device)?, child.selected)
                }
            };
            planned.push(Below { name_at, name_bytes, wanted, is_root });
        }
        let level = self.levels.last_mut().expect("the caller looked at it");
        // Popped from the end, so kept in reverse.
        planned.reverse();
        planned.append(&mut level.below);
        level.below = planned;
        Ok(())
    }
}

impl Level<'_> {
    /// Lists the names that are wanted, sorted.
    fn read_names(&mut self) -> std::io::Result<()> {
        let mut names = Vec::new();
        let mut add = |name: &[u8]| -> std::io::Result<(u32, u32)> {
            let at = u32::try_from(names.len()).map_err(|_| std::io::ErrorKind::FileTooLarge)?;
            names.extend_from_slice(name);
            names.push(0);
            Ok((at, u32::try_from(name.len()).map_err(|_| std::io::ErrorKind::InvalidFilename)?))
        };
        match &self.wanted {
            Wanted::Ancestor(tree) => {
                for name in tree.children.keys() {
                    self.sorted.push(add(name)?);
                }
            }
            Wanted::All(root) => {
                let mut buffer = vec![MaybeUninit::uninit(); DIRENT_BUFFER_BYTES];
                let mut directory = RawDir::new(&self.handle, &mut buffer);
                let mut markers = Vec::new();
                while let Some(entry) = directory.next() {
                    let entry = match entry {
                        // Gone between opening and listing.
                        Err(Errno::NOENT) => break,
                        entry => entry?,
                    };
                    let name = entry.file_name().to_bytes();
                    if name == b"." || name == b".." {
                        continue;
                    }
                    let at = add(name)?;
                    if root.excludes.is_marker(name, || read_start(&self.handle, name)) {
                        markers.push(at);
                    }
                    self.sorted.push(at);
                }
                if !markers.is_empty() {
                    self.sorted = markers;
                }
            }
        }
        let name = |at: &(u32, u32)| &names[at.0 as usize..(at.0 + at.1) as usize];
        self.sorted.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        self.names = Arc::new(names);
        Ok(())
    }

    /// Asks for one item; `None` if it is left out, gone, or skipped.
    fn look_at(
        &self,
        (at, bytes): (u32, u32),
        path: &mut Vec<u8>,
        skips: &mut Vec<SkippedItem>,
    ) -> Result<Option<Stat>, WalkError> {
        let with_end = &self.names[at as usize..=(at + bytes) as usize];
        let name = &with_end[..with_end.len() - 1];
        let c_name = CStr::from_bytes_with_nul(with_end).expect("names are kept with one zero at their end");
        let stat = Stat::at(&self.handle, c_name);
        let is_directory = stat.as_ref().is_ok_and(|stat| stat.kind == FileKind::Directory);
        if let Wanted::All(root) = &self.wanted
            && !root.excludes.has_no_patterns()
        {
            path.clear();
            path.extend_from_slice(&join(&self.path, name));
            if root.excludes.leaves_out(root.relative(path), is_directory) {
                return Ok(None);
            }
        }
        let error = match stat {
            Ok(stat) if name.len() <= NAME_BYTES_MAX && self.path.len() + 2 + name.len() <= PATH_BYTES_MAX => {
                return Ok(Some(stat));
            }
            Ok(_) => std::io::ErrorKind::InvalidFilename.into(),
            Err(source) if matches!(self.wanted, Wanted::Ancestor(_)) => {
                return Err(WalkError::Root { path: absolute(&join(&self.path, name)), source });
            }
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => error,
        };
        skips.push(skipped(&join(&self.path, name), &self.wanted, is_directory, &error));
        Ok(None)
    }
}

fn skipped(path: &[u8], wanted: &Wanted<'_>, is_directory: bool, error: &std::io::Error) -> SkippedItem {
    let accepted = wanted.accepts(path, is_directory);
    SkippedItem { path: path.to_vec(), reason: SkipReason::of(error), detail: error.to_string(), accepted }
}

/// The first bytes of a small file, or none if it cannot be read.
fn read_start(directory: impl AsFd, name: &[u8]) -> Vec<u8> {
    let mut start = Vec::new();
    if let Ok(file) = open_file(directory, name) {
        let _ = file.take(CACHE_TAG_SIGNATURE.len() as u64).read_to_end(&mut start);
    }
    start
}

/// Path of an item from `/`, without a leading slash.
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !directory.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

fn absolute(path: &[u8]) -> PathBuf {
    Path::new("/").join(OsStr::from_bytes(path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]
    use super::*;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};

    fn walk(set: &FileSet) -> (Vec<String>, Vec<SkippedItem>) {
        let selected = select(set).unwrap();
        let mut walk = Walk::new(set, &selected, None).unwrap();
        let (mut paths, mut skips) = (Vec::new(), Vec::new());
        while let Some(Found::Listing(listing)) = walk.next().unwrap() {
            for item in &listing.items {
                paths.push(String::from_utf8_lossy(&join(&listing.directory, listing.name(item))).into_owned());
            }
            skips.extend(listing.skipped);
        }
        (paths, skips)
    }

    /// Names below `base`, in the order of the walk.
    fn below(set: &FileSet, base: &Path) -> Vec<String> {
        let prefix = format!("{}/", base.to_str().unwrap().trim_start_matches('/'));
        walk(set).0.into_iter().filter_map(|path| path.strip_prefix(&prefix).map(str::to_owned)).collect()
    }

    fn tree(entries: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for entry in entries {
            let path = base.join(entry.trim_end_matches('/'));
            std::fs::create_dir_all(if entry.ends_with('/') { &path } else { path.parent().unwrap() }).unwrap();
            if !entry.ends_with('/') {
                std::fs::write(&path, entry).unwrap();
            }
        }
        (folder, base)
    }

    #[test]
    fn a_directory_is_listed_whole_then_its_subdirectories_in_order() {
        let (_folder, base) = tree(&["b/x", "a.b/y", "a/z", "a/m/n", "c", "empty/"]);
        let set = FileSet { paths: vec![base.clone()], ..FileSet::default() };
        let wanted = ["a", "a.b", "b", "c", "empty", "a/m", "a/z", "a/m/n", "a.b/y", "b/x"];
        assert_eq!(below(&set, &base), wanted);
    }

    #[test]
    fn a_long_directory_comes_in_pieces_and_loses_nothing() {
        let names: Vec<String> = (0..3_000).map(|i| format!("d/{i:05}")).collect();
        let (_folder, base) = tree(&names.iter().map(String::as_str).collect::<Vec<_>>());
        std::fs::create_dir(base.join("d/00001x")).unwrap();
        std::fs::create_dir(base.join("d/02999x")).unwrap();
        std::fs::write(base.join("d/00001x/f"), b"").unwrap();
        std::fs::write(base.join("d/02999x/f"), b"").unwrap();
        let set = FileSet { paths: vec![base.join("d")], ..FileSet::default() };
        let found = below(&set, &base.join("d"));
        assert_eq!(found.len(), 3_004);
        assert_eq!(found[3_002..], ["00001x/f", "02999x/f"]);
    }

    #[test]
    fn ancestors_are_emitted_once_and_only_the_selected_is_entered() {
        let (_folder, base) = tree(&["s/a/1", "s/b/2", "s/c/3", "t/4"]);
        let set = FileSet { paths: vec![base.join("s/a"), base.join("s/c"), base.join("t/4")], ..FileSet::default() };
        assert_eq!(below(&set, &base), ["s", "t", "s/a", "s/c", "s/a/1", "s/c/3", "t/4"]);
        let first = base.to_str().unwrap().split('/').nth(1).unwrap().to_owned();
        assert_eq!(walk(&set).0[0], first);
    }

    #[test]
    fn rules_leave_out_patterns_marked_directories_and_caches() {
        let (_folder, base) =
            tree(&["keep", "x.o", "n/.nobackup", "n/secret", "c/CACHEDIR.TAG", "c/blob", "f/CACHEDIR.TAG", "f/kept"]);
        std::fs::write(base.join("c/CACHEDIR.TAG"), CACHE_TAG_SIGNATURE).unwrap();
        let set = FileSet {
            paths: vec![base.clone()],
            excludes: vec!["*.o".into()],
            exclude_if_present: vec![".nobackup".into()],
            exclude_caches: true,
            ..FileSet::default()
        };
        let wanted = ["c", "f", "keep", "n", "c/CACHEDIR.TAG", "f/CACHEDIR.TAG", "f/kept", "n/.nobackup"];
        assert_eq!(below(&set, &base), wanted);
    }

    #[test]
    fn names_are_bytes_and_every_type_is_seen() {
        let (_folder, base) = tree(&["f"]);
        let latin = OsStr::from_bytes(b"caf\xe9");
        std::fs::write(base.join(latin), b"").unwrap();
        std::os::unix::fs::symlink("f", base.join("l")).unwrap();
        rustix::fs::mkfifoat(CWD, base.join("p"), Mode::RWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(base.join("s")).unwrap();
        assert!(std::fs::symlink_metadata(base.join("s")).unwrap().file_type().is_socket());
        let set = FileSet { paths: vec![base], ..FileSet::default() };
        let selected = select(&set).unwrap();
        let mut walk = Walk::new(&set, &selected, None).unwrap();
        let mut seen = Vec::new();
        while let Some(Found::Listing(listing)) = walk.next().unwrap() {
            if listing.is_root {
                seen.extend(listing.items.iter().map(|item| (listing.name(item).to_vec(), item.stat.kind)));
            }
        }
        let wanted: Vec<(Vec<u8>, FileKind)> = vec![
            (b"caf\xe9".to_vec(), FileKind::File),
            (b"f".to_vec(), FileKind::File),
            (b"l".to_vec(), FileKind::Symlink),
            (b"p".to_vec(), FileKind::Fifo),
            (b"s".to_vec(), FileKind::Socket),
        ];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn a_missing_folder_is_an_error_and_an_unreadable_one_below_is_listed() {
        let (_folder, base) = tree(&["closed/x", "z"]);
        let missing = FileSet { paths: vec![base.join("nothing")], ..FileSet::default() };
        assert!(matches!(select(&missing), Err(WalkError::Root { .. })));
        assert!(matches!(select(&FileSet::default()), Err(WalkError::NoPath)));
        std::fs::set_permissions(base.join("closed"), std::fs::Permissions::from_mode(0o000)).unwrap();
        if std::fs::read_dir(base.join("closed")).is_ok() {
            return; // root reads everything
        }
        let set = FileSet { paths: vec![base.clone()], ..FileSet::default() };
        let (_, skips) = walk(&set);
        assert_eq!((skips.len(), skips[0].reason), (1, SkipReason::PermissionDenied));
    }
}
