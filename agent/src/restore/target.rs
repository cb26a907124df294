//! Where files are put back: directory handles, never path strings, so that nothing is ever touched outside the target.
//!
//! Paths are resolved from the target's own handle by `openat2` with `RESOLVE_BENEATH`, `NO_SYMLINKS` and `NO_MAGICLINKS`, or
//! where the kernel has no `openat2` one component at a time without following links. Everything else is done with one name
//! relative to a directory handle. It decides nothing about what is restored.
//!
//! Invariant: no operation takes more than one component relative to a handle, and no component is `.`, `..`, or holds a slash
//! or a NUL.
//! Invariant: no symbolic link below the target is ever followed.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use common::tree::path::check_component;
use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RenameFlags, ResolveFlags, Stat, Timespec, Timestamps,
    UTIME_OMIT,
};
use rustix::io::Errno;

/// Longest path given to the kernel at once, in bytes; longer ones are walked in pieces.
const PATH_PIECE_BYTES_MAX: usize = 4_000;
/// Mode of a directory until its metadata comes: for its owner only, and with a sticky bit that no other program sets on
/// such a directory, so that the next restore knows that it may finish it.
const UNFINISHED: Mode = Mode::RWXU.union(Mode::SVTX);
/// Times that a resolution is tried again when directories move under it.
const RESOLVE_ATTEMPTS: usize = 16;

/// The folder below which everything happens.
pub struct Target {
    root: OwnedFd,
    openat2: bool,
    umask: Mode,
}

/// A directory below the target, open.
pub struct Directory {
    fd: OwnedFd,
    /// Files made in it may get another group or mode than asked for: it has a default ACL or the set-group-id bit.
    pub inherits: bool,
}

/// How a directory came to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Made by this call: nothing stands in it.
    Fresh,
    /// Made by a restore that was cut before it came to the metadata.
    Unfinished,
    /// It was there.
    Stood,
}

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What it is.
    pub kind: FileType,
    /// Its permission bits.
    pub mode: u32,
    /// Its length, in bytes.
    pub size: u64,
    /// Its inode.
    pub inode: u64,
    /// Number of a device; 0 for anything else.
    pub device: u64,
    /// Its last modification, nanoseconds since 1970.
    pub mtime_ns: i64,
}

impl Target {
    /// Opens the target for one restore, which a person named: links in `path` itself are theirs to follow. Made, with its
    /// parents, if absent.
    ///
    /// # Errors
    /// If it cannot be made or is not a directory; [`io::ErrorKind::ResourceBusy`] if another restore writes there.
    pub fn create(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let target = Self::open(path)?;
        match rustix::fs::flock(&target.root, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Err(io::ErrorKind::ResourceBusy.into()),
            // File systems without locks have none to lose.
            _ => Ok(target),
        }
    }

    /// Opens a target that stands, to look only.
    ///
    /// # Errors
    /// If it is not there or not a directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let openat2 = match rustix::fs::openat2(&root, ".", flags, Mode::empty(), resolve()) {
            Ok(_) => true,
            // Old kernels, and sandboxes that answer for them.
            Err(Errno::NOSYS | Errno::PERM) => false,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { root, openat2, umask: process_umask()? })
    }

    /// True if a file created with `mode` has it, in a directory that passes nothing on.
    pub fn umask_keeps(&self, mode: u16) -> bool {
        mode & 0o7000 == 0 && !self.umask.intersects(Mode::from_bits_truncate(mode.into()))
    }

    /// Opens the directory at these components; none of them may be a link.
    ///
    /// # Errors
    /// As the kernel says; [`io::ErrorKind::InvalidInput`] for a component that is not a name.
    pub fn directory<'a>(&self, components: impl Iterator<Item = &'a [u8]>) -> io::Result<Directory> {
        let mut at: Option<OwnedFd> = None;
        let mut piece: Vec<u8> = Vec::new();
        for component in components {
            check_name(component)?;
            let full = !piece.is_empty() && (!self.openat2 || piece.len() + component.len() >= PATH_PIECE_BYTES_MAX);
            if full {
                at = Some(self.step(at.as_ref(), &piece)?);
                piece.clear();
            }
            if !piece.is_empty() {
                piece.push(b'/');
            }
            piece.extend_from_slice(component);
        }
        if piece.is_empty() {
            piece.push(b'.');
        }
        Directory::of(self.step(at.as_ref(), &piece)?)
    }

    fn step(&self, from: Option<&OwnedFd>, piece: &[u8]) -> io::Result<OwnedFd> {
        let from = from.unwrap_or(&self.root);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        if !self.openat2 {
            return Ok(rustix::fs::openat(from, piece, flags, Mode::empty())?);
        }
        for _ in 0..RESOLVE_ATTEMPTS {
            match rustix::fs::openat2(from, piece, flags, Mode::empty(), resolve()) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::XDEV) => return Err(io::ErrorKind::PermissionDenied.into()),
                answer => return Ok(answer?),
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// Makes everything that was written below the target durable, in one call for all files.
    ///
    /// # Errors
    /// If the file system reports that a write was lost.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.root)?)
    }
}

impl Directory {
    fn of(fd: OwnedFd) -> io::Result<Self> {
        let set_group_id = rustix::fs::fstat(&fd)?.st_mode & 0o2000 != 0;
        let inherits = set_group_id || has_default_acl(fd.as_fd());
        Ok(Self { fd, inherits })
    }

    /// The handle, for its own metadata.
    pub fn handle(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What stands under `name`, links not followed; `None` if nothing does.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn standing(&self, name: &[u8]) -> io::Result<Option<Standing>> {
        check_name(name)?;
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(standing(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a directory that only its owner enters, marked as unfinished by its mode.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if something that is no directory stands there, a link to one among it.
    pub fn make_directory(&self, name: &[u8]) -> io::Result<Made> {
        check_name(name)?;
        match rustix::fs::mkdirat(&self.fd, name, UNFINISHED) {
            Ok(()) => Ok(Made::Fresh),
            Err(Errno::EXIST) => match self.standing(name)? {
                Some(Standing { kind: FileType::Directory, mode, .. })
                    if Mode::from_bits_truncate(mode) == UNFINISHED =>
                {
                    Ok(Made::Unfinished)
                }
                Some(Standing { kind: FileType::Directory, .. }) => Ok(Made::Stood),
                _ => Err(Errno::EXIST.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the mark of [`Made::Unfinished`] from a directory whose metadata is not known: it stays its owner's only.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn keep_private(&self) -> io::Result<()> {
        Ok(rustix::fs::fchmod(&self.fd, Mode::RWXU)?)
    }

    /// Makes a file that does not exist yet, open for writing and reading back.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], or as the kernel says.
    pub fn create_file(&self, name: &[u8], mode: u16) -> io::Result<File> {
        check_name(name)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_bits_truncate(u32::from(mode) & 0o777);
        Ok(File::from(rustix::fs::openat(&self.fd, name, flags, mode)?))
    }

    /// Opens a regular file, never waiting for a pipe's other end.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if it is not a regular file, or as the kernel says.
    pub fn open_file(&self, name: &[u8], write: bool) -> io::Result<File> {
        check_name(name)?;
        let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.fd, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// Gives a file its final name; without `replace` only if nothing stands there, in one step.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], or as the kernel says.
    pub fn rename(&self, from: &[u8], to: &[u8], replace: bool) -> io::Result<()> {
        self.rename_into(from, self, to, replace)
    }

    /// Gives a file of this directory its final name in `folder`, as [`Self::rename`] does.
    ///
    /// # Errors
    /// As those of [`Self::rename`].
    pub fn rename_into(&self, from: &[u8], folder: &Self, to: &[u8], replace: bool) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        match rustix::fs::renameat_with(&self.fd, from, &folder.fd, to, flags) {
            // A file system that can't do it in one step (NFS, some FUSE): look first.
            Err(Errno::INVAL | Errno::NOSYS) if !replace => match folder.standing(to)? {
                Some(_) => Err(Errno::EXIST.into()),
                None => Ok(rustix::fs::renameat(&self.fd, from, &folder.fd, to)?),
            },
            answer => Ok(answer?),
        }
    }

    /// Makes a directory for temporary files, which only its owner enters.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], or as the kernel says.
    pub fn make_private(&self, name: &[u8]) -> io::Result<()> {
        check_name(name)?;
        Ok(rustix::fs::mkdirat(&self.fd, name, Mode::RWXU)?)
    }

    /// Opens such a directory.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn private(&self, name: &[u8]) -> io::Result<Self> {
        check_name(name)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Self::of(rustix::fs::openat(&self.fd, name, flags, Mode::empty())?)
    }

    /// Removes such a directory with the files in it; absent already is fine.
    ///
    /// # Errors
    /// As the kernel says; if there is a directory in it.
    pub fn remove_folder(&self, name: &[u8]) -> io::Result<()> {
        let inside = match self.private(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            inside => inside?,
        };
        inside.remove_prefixed(b"")?;
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }

    /// Removes a name that is not a directory; absent already is fine.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn remove(&self, name: &[u8]) -> io::Result<()> {
        check_name(name)?;
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            answer => Ok(answer?),
        }
    }

    /// Removes names that start with `prefix`: what a restore that was cut left. Directories go with the files in them, if there is a
    /// prefix.
    ///
    /// # Errors
    /// If the directory cannot be listed, or a name cannot be removed.
    pub fn remove_prefixed(&self, prefix: &[u8]) -> io::Result<()> {
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." || !name.starts_with(prefix) {
                continue;
            }
            match self.standing(name)? {
                Some(found) if found.kind != FileType::Directory => self.remove(name)?,
                // A folder of temporary files: nobody else has such a name.
                Some(_) if !prefix.is_empty() => self.remove_folder(name)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// What a symbolic link holds; `None` if `name` is not one.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn symlink_target(&self, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
        check_name(name)?;
        match rustix::fs::readlinkat(&self.fd, name, Vec::new()) {
            Ok(target) => Ok(Some(target.into_bytes())),
            Err(Errno::INVAL | Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a symbolic link; its target is only bytes.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn make_symlink(&self, name: &[u8], target: &[u8]) -> io::Result<()> {
        check_name(name)?;
        Ok(rustix::fs::symlinkat(target, &self.fd, name)?)
    }

    /// Gives the file `from_name` in `from` one more name here; links are not followed.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn make_hard_link(&self, name: &[u8], from: &Self, from_name: &[u8]) -> io::Result<()> {
        check_name(name)?;
        check_name(from_name)?;
        Ok(rustix::fs::linkat(&from.fd, from_name, &self.fd, name, AtFlags::empty())?)
    }

    /// Makes a pipe or a device node that only its owner uses.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn make_node(&self, name: &[u8], kind: FileType, device: u64) -> io::Result<()> {
        check_name(name)?;
        Ok(rustix::fs::mknodat(&self.fd, name, kind, Mode::RUSR | Mode::WUSR, device)?)
    }
}

/// A name given to the kernel is one component; the tree says so already, this says it again where it matters.
fn check_name(name: &[u8]) -> io::Result<()> {
    check_component(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

fn resolve() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

fn standing(stat: &Stat) -> Standing {
    Standing {
        kind: FileType::from_raw_mode(stat.st_mode),
        mode: stat.st_mode & 0o7777,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        inode: stat.st_ino,
        device: stat.st_rdev,
        mtime_ns: ns_of(stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
    }
}

/// Nanoseconds since 1970; saturates at the ends, in the years 1677 and 2262.
fn ns_of(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// Times that leave the access time alone and set the modification time.
pub fn modified_at(mtime_ns: i64) -> Timestamps {
    let nanoseconds = mtime_ns.rem_euclid(1_000_000_000);
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime_ns.div_euclid(1_000_000_000), tv_nsec: nanoseconds },
    }
}

fn has_default_acl(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fgetxattr_query(fd, c"system.posix_acl_default").is_ok()
}

/// The process's umask. Reading it by setting it would change it for other threads; the kernel shows it.
fn process_umask() -> io::Result<Mode> {
    let status = std::fs::read_to_string("/proc/thread-self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let umask = line.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok());
    // Unknown: every mode is then set explicitly.
    Ok(Mode::from_bits_truncate(umask.unwrap_or(0o777)))
}
