//! A file that takes room on the server's disk, to be given up when there is none left.
//!
//! A catalog cannot even be opened for reading on a disk that is full to its last byte: SQLite wants room for its log. Sessions stop at the store's
//! reserve, but whatever else writes to the disk does not. A server whose disk is full gives the ballast up, when it starts or within seconds, so
//! that restores are served; once there is room again, it takes it back.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// Name of the file in the server's folder.
const NAME: &str = "ballast";
/// Its size, in bytes: logs of the control store and of many catalogs.
const BYTES: u64 = 64 << 20;
/// Room below which it is given up, in bytes.
const FREE_BYTES_MIN: u64 = BYTES / 2;

/// Gives it up if the disk of the server's folder is full, or takes it if there is room enough. Told, and no reason not to start: what cannot be opened says so itself.
pub fn trim(folder: &Path) {
    let path = folder.join(NAME);
    match trimmed(folder, &path) {
        Ok(true) => tracing::error!(path = %path.display(), "the disk is full: the ballast is given up, make room"),
        Ok(false) => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "keep ballast"),
    }
}

/// True if it was given up.
fn trimmed(folder: &Path, path: &Path) -> io::Result<bool> {
    let disk = statvfs(folder)?;
    let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
    let held = path.metadata().map_or(0, |metadata| metadata.len());
    if free_bytes < FREE_BYTES_MIN && held > 0 {
        std::fs::remove_file(path)?;
        return Ok(true);
    }
    if free_bytes > 4 * BYTES && held < BYTES {
        let file: File = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        fallocate(&file, FallocateFlags::empty(), 0, BYTES)?;
        file.sync_all()?;
    }
    Ok(false)
}
