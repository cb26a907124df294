//! Whole backups by the programs, counted: system calls for each file and each MiB, allocations, bytes stored.
//!
//! Two sources, each with a site of its own: many small files, and one large one that does not compress.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use benches::sample::{noise, text};
use benches::site::Site;

use crate::Gate;
use crate::count::{allocations, system_calls};

const FOLDERS: u64 = 40;
const FILES: u64 = 50;
const SMALL_FILES: f64 = (FOLDERS * FILES) as f64;
const LARGE_MIB: u64 = 64;
const PAGE: usize = 4 << 10;
/// Pages of the large file that change.
const PAGES: u64 = 16;

/// Longer than a backup takes a change for so recent that it reads the file again the next time.
const FRESH: Duration = Duration::from_secs(4);

/// Calls that reach files and folders.
const FILE_CALLS: [&str; 16] = [
    "openat",
    "openat2",
    "close",
    "statx",
    "newfstatat",
    "fstat",
    "read",
    "pread64",
    "preadv",
    "getdents64",
    "lseek",
    "flistxattr",
    "llistxattr",
    "lgetxattr",
    "fgetxattr",
    "readlinkat",
];
/// Calls that move bytes to the server. Reads are paced by what arrives, so only what is sent is counted.
const SEND_CALLS: [&str; 4] = ["sendto", "sendmsg", "write", "writev"];

/// Runs both and counts.
///
/// # Errors
/// What a program says.
pub fn gates() -> anyhow::Result<Vec<Gate>> {
    let mut gates = Vec::new();
    small(&mut gates)?;
    large(&mut gates)?;
    Ok(gates)
}

fn gate(gates: &mut Vec<Gate>, name: &str, counted: f64, limit: f64) {
    gates.push(Gate { name: name.to_owned(), counted, limit });
}

fn small(gates: &mut Vec<Gate>) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    // The folders above the source are in the tree, with their times: others write to the system's temporary folder, nobody to this one.
    let quiet = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let source = quiet.path().join("source");
    let mut bytes = 0;
    for folder in 0..FOLDERS {
        let path = source.join(format!("{folder}"));
        std::fs::create_dir_all(&path)?;
        for file in 0..FILES {
            let content = text(folder * FILES + file, 6_000);
            bytes += content.len() as u64;
            write_old(&path.join(format!("{file}.c")), &content)?;
        }
    }
    let site = Site::set_up(scratch.path(), &source, &[])?;
    std::thread::sleep(FRESH);
    let first = system_calls(&site.agent_command(&["backup"])?, &FILE_CALLS)?;
    gate(gates, "first backup, file calls for each small file", first as f64 / SMALL_FILES, 7.5);
    let stored = site.stored_bytes()?;
    gate(gates, "first backup, stored for each byte of text", stored as f64 / bytes as f64, 0.40);
    let unchanged = system_calls(&site.agent_command(&["backup"])?, &FILE_CALLS)?;
    gate(gates, "unchanged backup, file calls for each file", unchanged as f64 / SMALL_FILES, 1.7);
    let made = allocations(&site.agent_command(&["backup"])?)?;
    gate(gates, "unchanged backup, allocations for each file", made as f64 / SMALL_FILES, 6.0);
    // None, or a leaf and what is above it where somebody made a folder beside the checkout meanwhile.
    gate(gates, "unchanged backup, bytes of frames sent", site.backup()?.sent_bytes as f64, 10_000.0);
    Ok(())
}

fn large(gates: &mut Vec<Gate>) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let source = scratch.path().join("source");
    std::fs::create_dir_all(&source)?;
    let path = source.join("image");
    write_old(&path, &noise(1, 64 << 20))?;
    let site = Site::set_up(scratch.path(), &source, &[])?;
    let calls = [&FILE_CALLS[..], &SEND_CALLS].concat();
    let first = system_calls(&site.agent_command(&["backup"])?, &calls)?;
    gate(gates, "first backup, file and send calls for each MiB", first as f64 / LARGE_MIB as f64, 36.5);
    let image = OpenOptions::new().write(true).open(&path)?;
    for page in 0..PAGES {
        image.write_all_at(&noise(page + 2, PAGE), page * (4 << 20) + 8 * PAGE as u64)?;
    }
    age(&image)?;
    let run = site.backup()?;
    let changed = (PAGES * PAGE as u64) as f64;
    gate(gates, "pages overwritten, bytes laid for each changed", run.laid_bytes as f64 / changed, 1.05);
    Ok(())
}

/// A file that was written long before the backup, so that it is not read again for being fresh.
fn write_old(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, content)?;
    age(&File::options().write(true).open(path)?)
}

fn age(file: &File) -> anyhow::Result<()> {
    Ok(file.set_modified(SystemTime::now() - Duration::from_secs(3_600))?)
}
