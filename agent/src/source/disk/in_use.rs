//! Whether a running machine writes to an image: QEMU says so by locks on single bytes of the file, which the kernel lists.
//!
//! The tools notice it themselves for formats with tables, but not for raw images, and not where they are not installed. Where the
//! list does not show the file (another host, a file system with numbers of its own), nothing is known.

use crate::source::metadata::Stat;

/// The byte that a QEMU process which writes to an image locks (`file-posix.c`: 100 and the number of the permission, 1).
const WRITER_BYTE: u64 = 101;

/// True if the kernel's list of locks has a writer of this file.
pub fn has_writer(stat: &Stat) -> bool {
    let locks = std::fs::read("/proc/locks").unwrap_or_default();
    String::from_utf8_lossy(&locks).lines().any(|line| is_writer(line, stat).unwrap_or(false))
}

/// `1: OFDLCK ADVISORY  READ -1 fe:01:5123 100 101`
fn is_writer(line: &str, stat: &Stat) -> Option<bool> {
    let mut fields = line.split_whitespace().skip_while(|field| *field != "OFDLCK").skip(4);
    let (file, start, end) = (fields.next()?, fields.next()?.parse::<u64>().ok()?, fields.next()?);
    let mut numbers = file.split(':');
    let mut hex = || u64::from_str_radix(numbers.next()?, 16).ok();
    let device = hex()? << 32 | hex()?;
    let inode: u64 = numbers.next()?.parse().ok()?;
    let reaches = end.parse().map_or(end == "EOF", |end: u64| end >= WRITER_BYTE);
    // A lock of the whole file is not one of QEMU's.
    Some(device == stat.device && inode == stat.inode && (100..=WRITER_BYTE).contains(&start) && reaches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_told_from_readers_other_files_and_other_locks() {
        let folder = tempfile::tempdir().unwrap();
        let stat = Stat::at(std::fs::File::open(folder.path()).unwrap(), c"").unwrap();
        let stat = Stat { device: 0xfe << 32 | 1, inode: 5_123, ..stat };
        for (line, wanted) in [
            ("1: OFDLCK ADVISORY  READ -1 fe:01:5123 100 101", Some(true)),
            ("1: OFDLCK ADVISORY  READ -1 fe:01:5123 101 101", Some(true)),
            ("1: -> OFDLCK ADVISORY  READ -1 fe:01:5123 100 103", Some(true)),
            ("1: OFDLCK ADVISORY  READ -1 fe:01:5123 100 100", Some(false)),
            ("1: OFDLCK ADVISORY  READ -1 fe:01:5123 201 201", Some(false)),
            ("1: OFDLCK ADVISORY  READ -1 fe:01:5124 100 101", Some(false)),
            ("1: OFDLCK ADVISORY  READ -1 fe:02:5123 100 101", Some(false)),
            ("1: OFDLCK ADVISORY  WRITE -1 fe:01:5123 0 EOF", Some(false)),
            ("1: POSIX  ADVISORY  READ 7 fe:01:5123 100 101", None),
            ("1: OFDLCK ADVISORY  READ -1 fe:01 100 101", None),
            ("", None),
        ] {
            assert_eq!(is_writer(line, &stat), wanted, "{line}");
        }
    }
}
