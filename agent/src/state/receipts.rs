//! The receipts of one source, oldest first: what the server is held to.
//!
//! ```text
//! per receipt: length u32 | stored.SignedReceipt
//! ```
//! Appended and synced; a torn end (power cut) is ignored and overwritten. It does not check signatures: who appends did.
//!
//! Invariant: a receipt that was appended stays: the file only grows.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use common::limits::RECORD_BYTES_MAX;

/// The receipts of one source.
pub struct Receipts {
    file: File,
    end: u64,
    newest: Option<Vec<u8>>,
    count: u64,
}

impl Receipts {
    /// Opens the file in `folder`, made if absent.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path(folder))?;
        let mut receipts = Self { file, end: 0, newest: None, count: 0 };
        while let Some(receipt) = receipts.read_one()? {
            receipts.end += 4 + receipt.len() as u64;
            receipts.newest = Some(receipt);
            receipts.count += 1;
        }
        Ok(receipts)
    }

    /// The newest one, exact bytes.
    pub fn newest(&self) -> Option<&[u8]> {
        self.newest.as_deref()
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Keeps one more, durably; the newest again is not kept twice.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn append(&mut self, receipt: &[u8]) -> io::Result<()> {
        if self.newest() == Some(receipt) {
            return Ok(());
        }
        let length = u32::try_from(receipt.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let record = [&length.to_le_bytes()[..], receipt].concat();
        self.file.set_len(self.end)?;
        self.file.write_all_at(&record, self.end)?;
        self.file.sync_all()?;
        self.end += record.len() as u64;
        self.newest = Some(receipt.to_vec());
        self.count += 1;
        Ok(())
    }

    fn read_one(&self) -> io::Result<Option<Vec<u8>>> {
        let mut length = [0; 4];
        let Some(()) = whole(self.file.read_exact_at(&mut length, self.end))? else { return Ok(None) };
        let length = u32::from_le_bytes(length) as usize;
        if length == 0 || length > RECORD_BYTES_MAX {
            return Ok(None);
        }
        let mut receipt = vec![0; length];
        Ok(whole(self.file.read_exact_at(&mut receipt, self.end + 4))?.map(|()| receipt))
    }
}

fn whole(read: io::Result<()>) -> io::Result<Option<()>> {
    match read {
        Ok(()) => Ok(Some(())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("receipts")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]
    use super::*;

    #[test]
    fn receipts_stay_and_a_torn_end_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let mut receipts = Receipts::open(folder.path()).unwrap();
        assert_eq!((receipts.newest(), receipts.count()), (None, 0));
        receipts.append(b"one").unwrap();
        receipts.append(b"two").unwrap();
        receipts.append(b"two").unwrap();
        let bytes = std::fs::read(path(folder.path())).unwrap();
        for cut in 8..bytes.len() {
            std::fs::write(path(folder.path()), &bytes[..cut]).unwrap();
            let mut receipts = Receipts::open(folder.path()).unwrap();
            assert_eq!((receipts.newest(), receipts.count()), (Some(&b"one"[..]), 1), "cut at {cut}");
            receipts.append(b"three").unwrap();
            assert_eq!(Receipts::open(folder.path()).unwrap().newest(), Some(&b"three"[..]));
        }
    }
}
