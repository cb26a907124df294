//! Opening what the walk found, again and later, by handles: no link is ever followed, no long-lived handle is kept.
//!
//! Items of one directory follow each other, so one directory handle is kept open and used for all of them.
//!
//! Invariant: a component that was replaced by a symbolic link since the walk is an error, not a way out of the tree.

use common::tree::xattrs::Xattr;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::source::metadata::{Stat, xattrs_of_path};

/// Longest piece of a path that is given to one call, in bytes; the system's own limit is 4,096.
const STEP_BYTES_MAX: usize = 3_072;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a directory below `parent` without following any link in `path` (components joined by `/`; empty: itself).
///
/// # Errors
/// Those of `openat2`.
pub fn open_directory(parent: impl AsFd, path: &[u8]) -> std::io::Result<OwnedFd> {
    let mut current: Option<OwnedFd> = None;
    let mut rest = path;
    loop {
        let (step, after) = split_step(rest);
        let step = if step.is_empty() { b"." } else { step };
        let from = current.as_ref().map_or(parent.as_fd(), AsFd::as_fd);
        let opened = rustix::fs::openat2(from, step, DIRECTORY, Mode::empty(), ResolveFlags::NO_SYMLINKS);
        let opened = match opened {
            // Kernels and sandboxes without openat2: only the last component is guarded.
            Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(from, step, DIRECTORY, Mode::empty())?,
            other => other?,
        };
        if after.is_empty() {
            return Ok(opened);
        }
        current = Some(opened);
        rest = after;
    }
}

/// A first piece of whole components that one call can take, and what follows.
fn split_step(path: &[u8]) -> (&[u8], &[u8]) {
    if path.len() <= STEP_BYTES_MAX {
        return (path, &[]);
    }
    match path[..STEP_BYTES_MAX].iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (path, &[]),
    }
}

/// Opens a regular file of a directory for reading, without following a link and without changing its access time if possible.
///
/// # Errors
/// Those of `openat`.
pub fn open_file(directory: impl AsFd, name: &[u8]) -> std::io::Result<File> {
    // NONBLOCK: a file that was replaced by a fifo since the walk must not stop the run.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    match rustix::fs::openat(&directory, name, flags | OFlags::NOATIME, Mode::empty()) {
        // Only the owner of a file may ask for it.
        Err(Errno::PERM) => Ok(rustix::fs::openat(&directory, name, flags, Mode::empty())?.into()),
        other => Ok(other?.into()),
    }
}

/// The directory that was used last, kept open.
#[derive(Default)]
pub struct Handles {
    current: Option<(Vec<u8>, OwnedFd)>,
}

impl Handles {
    /// The handle of a directory given by its path from `/`, without a leading slash.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn directory(&mut self, path: &[u8]) -> std::io::Result<&OwnedFd> {
        let is_current = self.current.as_ref().is_some_and(|(current, _)| current == path);
        if !is_current {
            let root = rustix::fs::openat(CWD, c"/", DIRECTORY, Mode::empty())?;
            self.current = Some((path.to_vec(), open_directory(root, path)?));
        }
        Ok(&self.current.as_ref().expect("it was just opened").1)
    }

    /// Opens a regular file.
    ///
    /// # Errors
    /// Those of opening its directory and itself.
    pub fn file(&mut self, directory: &[u8], name: &[u8]) -> std::io::Result<File> {
        open_file(self.directory(directory)?, name)
    }

    /// Asks again for an item.
    ///
    /// # Errors
    /// Those of opening its directory and of `statx`.
    pub fn stat(&mut self, directory: &[u8], name: &[u8]) -> std::io::Result<Stat> {
        let name = CString::new(name).map_err(|_| std::io::ErrorKind::InvalidInput)?;
        Stat::at(self.directory(directory)?, &name)
    }

    /// Target of a symbolic link.
    ///
    /// # Errors
    /// Those of opening its directory and of `readlinkat`.
    pub fn link_target(&mut self, directory: &[u8], name: &[u8]) -> std::io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(self.directory(directory)?, name, Vec::new())?.into_bytes())
    }

    /// Extended attributes of an item that is not a regular file: such items cannot all be opened, so this goes by the handle of
    /// its directory under `/proc`.
    ///
    /// # Errors
    /// Those of opening its directory and of `llistxattr`.
    pub fn xattrs(&mut self, directory: &[u8], name: &[u8]) -> std::io::Result<Vec<Xattr>> {
        use std::os::fd::AsRawFd;
        let mut path = format!("/proc/self/fd/{}/", self.directory(directory)?.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        xattrs_of_path(&PathBuf::from(std::ffi::OsString::from_vec(path)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_directory_replaced_by_a_link_is_not_entered() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir(base.join("real")).unwrap();
        std::fs::write(base.join("real/f"), b"x").unwrap();
        std::os::unix::fs::symlink(base.join("real"), base.join("link")).unwrap();
        let below = |name: &str| base.join(name).as_os_str().as_bytes()[1..].to_vec();
        assert!(Handles::default().file(&below("real"), b"f").is_ok());
        assert!(Handles::default().file(&below("link"), b"f").is_err());
        assert_eq!(
            Handles::default().link_target(&below(""), b"link").unwrap(),
            base.join("real").as_os_str().as_bytes()
        );
    }

    #[test]
    fn a_path_longer_than_the_system_takes_is_opened_in_steps() {
        let folder = tempfile::tempdir().unwrap();
        let name = "d".repeat(200);
        let mut handle: OwnedFd = File::open(folder.path()).unwrap().into();
        for _ in 0..30 {
            rustix::fs::mkdirat(&handle, &name, Mode::RWXU).unwrap();
            handle = open_directory(&handle, name.as_bytes()).unwrap();
        }
        let path = vec![name.as_str(); 30].join("/");
        assert!(path.len() > 4_096);
        let root = File::open(folder.path()).unwrap();
        let deep = open_directory(&root, path.as_bytes()).unwrap();
        assert_eq!(Stat::at(&deep, c"").unwrap(), Stat::at(&handle, c"").unwrap());
    }
}
