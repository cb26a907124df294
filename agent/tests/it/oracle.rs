//! The oracle: what a tree is, content and metadata, as read from the file system without any code of the product.
//!
//! Taken from a source before its backup and from the target after its restore; the two listings must be equal. ctime, inode
//! numbers and access times are left out: nobody can put them back.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{SeekFrom, seek};

/// Everything that is compared about one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `file`, `directory`, `symlink`, `fifo`, `socket`, `char` or `block`.
    pub kind: &'static str,
    /// Permission bits with setuid, setgid and sticky; 0 for a symlink, which has none of its own.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime_ns: i128,
    /// 0 for everything but files.
    pub size: u64,
    /// 0 for everything but devices.
    pub rdev: u64,
    /// Plain BLAKE3 of what a file holds outside its holes.
    pub content: Option<blake3::Hash>,
    /// Ranges of a file that are not holes.
    pub data: Vec<(u64, u64)>,
    pub link_target: Option<OsString>,
    /// First path, in order, of the same inode; `None` for a path that is the only one.
    pub linked_to: Option<OsString>,
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
}

/// Entries by path from the root; the root itself is the empty path.
pub type Listing = BTreeMap<OsString, Facts>;

/// Reads everything under `root`.
pub fn listing(root: &Path) -> Listing {
    let mut found = Listing::new();
    let mut pending = vec![OsString::new()];
    while let Some(path) = pending.pop() {
        let full = if path.is_empty() { root.to_owned() } else { root.join(&path) };
        let facts = facts(&full);
        if facts.kind == "directory" {
            for entry in fs::read_dir(&full).unwrap() {
                pending.push(Path::new(&path).join(entry.unwrap().file_name()).into_os_string());
            }
        }
        found.insert(path, facts);
    }
    name_hard_links(root, &mut found);
    found
}

fn facts(path: &Path) -> Facts {
    let meta = fs::symlink_metadata(path).unwrap();
    let kind = meta.file_type();
    let names: [(bool, &'static str); 7] = [
        (kind.is_file(), "file"),
        (kind.is_dir(), "directory"),
        (kind.is_symlink(), "symlink"),
        (kind.is_fifo(), "fifo"),
        (kind.is_socket(), "socket"),
        (kind.is_char_device(), "char"),
        (kind.is_block_device(), "block"),
    ];
    let device = kind.is_char_device() || kind.is_block_device();
    let data = if kind.is_file() { data_ranges(path, meta.len()) } else { Vec::new() };
    Facts {
        kind: names.into_iter().find(|(is, _)| *is).unwrap().1,
        mode: if kind.is_symlink() { 0 } else { meta.mode() & 0o7777 },
        uid: meta.uid(),
        gid: meta.gid(),
        mtime_ns: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        size: if kind.is_file() { meta.len() } else { 0 },
        rdev: if device { meta.rdev() } else { 0 },
        content: kind.is_file().then(|| content(path, &data)),
        data,
        link_target: kind.is_symlink().then(|| fs::read_link(path).unwrap().into_os_string()),
        linked_to: None,
        xattrs: xattrs(path),
    }
}

fn content(path: &Path, data: &[(u64, u64)]) -> blake3::Hash {
    let file = File::open(path).unwrap();
    let mut hasher = blake3::Hasher::new();
    for (start, end) in data {
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        file.read_exact_at(&mut bytes, *start).unwrap();
        hasher.update(&bytes);
    }
    hasher.finalize()
}

fn data_ranges(path: &Path, size: u64) -> Vec<(u64, u64)> {
    let file = File::open(path).unwrap();
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < size {
        let Ok(start) = seek(&file, SeekFrom::Data(at)) else { break };
        let end = seek(&file, SeekFrom::Hole(start)).unwrap().min(size);
        ranges.push((start, end));
        at = end;
    }
    ranges
}

fn xattrs(path: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let Ok(names) = xattr::list(path) else { return BTreeMap::new() };
    names.filter_map(|name| xattr::get(path, &name).ok().flatten().map(|value| (name, value))).collect()
}

fn name_hard_links(root: &Path, found: &mut Listing) {
    let mut first: BTreeMap<(u64, u64), OsString> = BTreeMap::new();
    for (path, facts) in found.iter_mut().filter(|(_, facts)| facts.kind != "directory") {
        let meta = fs::symlink_metadata(root.join(path)).unwrap();
        if meta.nlink() > 1 {
            let target = first.entry((meta.dev(), meta.ino())).or_insert_with(|| path.clone());
            facts.linked_to = (target != path).then(|| target.clone());
        }
    }
}

/// Every difference, in words; empty if the trees are the same. At most 50.
pub fn differences(wanted: &Listing, found: &Listing) -> Vec<String> {
    let shown = |path: &OsStr| path.as_bytes().escape_ascii().to_string();
    let gone = wanted.keys().filter(|path| !found.contains_key(*path)).map(|path| format!("missing: {}", shown(path)));
    let extra = found.keys().filter(|path| !wanted.contains_key(*path)).map(|path| format!("extra: {}", shown(path)));
    let other = wanted.iter().filter_map(|(path, wanted)| {
        let found = found.get(path).filter(|found| *found != wanted)?;
        Some(format!("{}: wanted {wanted:?}, found {found:?}", shown(path)))
    });
    gone.chain(extra).chain(other).take(50).collect()
}

/// Ends the test unless the trees are the same.
#[track_caller]
pub fn assert_same(what: &str, wanted: &Listing, found: &Listing) {
    let differences = differences(wanted, found);
    assert!(differences.is_empty(), "{what}: {} differences\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn the_oracle_sees_each_kind_of_difference() {
    let scratch = tempfile::tempdir().unwrap();
    let (a, b) = (scratch.path().join("a"), scratch.path().join("b"));
    for root in [&a, &b] {
        crate::oddities::make(root);
    }
    assert_same("two trees made alike", &listing(&a), &listing(&b));
    type Spoil = fn(&Path);
    let spoils: &[(&str, Spoil)] = &[
        ("content", |root| {
            let path = root.join("sizes/2097153");
            let mtime = fs::metadata(&path).unwrap().modified().unwrap();
            let mut bytes = fs::read(&path).unwrap();
            bytes[1_000_000] ^= 1;
            fs::write(&path, bytes).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(mtime).unwrap();
        }),
        ("one nanosecond", |root| {
            let path = root.join("times/old");
            let mtime = fs::metadata(&path).unwrap().modified().unwrap() + std::time::Duration::from_nanos(1);
            File::options().write(true).open(&path).unwrap().set_modified(mtime).unwrap();
        }),
        ("a hard link", |root| {
            let path = root.join("links/hard-b");
            let bytes = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            fs::write(&path, bytes).unwrap();
        }),
        ("a link target", |root| {
            fs::remove_file(root.join("links/dangling")).unwrap();
            std::os::unix::fs::symlink("elsewhere", root.join("links/dangling")).unwrap();
        }),
        ("an xattr", |root| xattr::set(root.join("xattrs/file"), "user.origin", b"other").unwrap()),
        ("a file that is gone", |root| fs::remove_file(root.join("sizes/1")).unwrap()),
        ("an entry too many", |root| fs::create_dir(root.join("empty/extra")).unwrap()),
    ];
    for (what, spoil) in spoils {
        let c = scratch.path().join("c");
        crate::oddities::make(&c);
        spoil(&c);
        assert!(!differences(&listing(&a), &listing(&c)).is_empty(), "not seen: {what}");
        fs::remove_dir_all(&c).unwrap();
    }
}
