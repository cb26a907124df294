//! The tree: files of text and files that do not compress, always the same ones for their numbers.

use std::fs;
use std::path::{Path, PathBuf};

use benches::sample::{noise, text};

use crate::day::Change;

/// Files of one folder.
const FILES_PER_FOLDER: u64 = 100;
/// Mean length of a file, in bytes.
const FILE_BYTES_MEAN: u64 = 12_000;

/// A share of `files` files.
pub struct Tree {
    /// Where it is.
    pub root: PathBuf,
    /// How many files.
    pub files: u64,
    /// How many of a hundred are text.
    pub text_percent: u64,
}

impl Tree {
    /// Writes all files.
    ///
    /// # Errors
    /// What the disk says.
    pub fn make(&self) -> anyhow::Result<()> {
        for folder in 0..self.files.div_ceil(FILES_PER_FOLDER) {
            fs::create_dir_all(self.root.join(format!("dossier-{folder:03}")))?;
        }
        (0..self.files).try_for_each(|number| write(&self.path(number), &self.content(number, 0)))
    }

    /// Changes the tree; what comes in on the day of another number is something else.
    ///
    /// # Errors
    /// What the disk says.
    pub fn apply(&self, day: u64, change: Change) -> anyhow::Result<()> {
        let volume_bytes = self.files * FILE_BYTES_MEAN;
        let further = (day + 1) << 32;
        match change {
            Change::EncryptInPlace(part) => {
                self.each(part, |number, path| write(path, &noise(number + further, length(number))))
            }
            Change::EncryptAndRename(part) => self.each(part, |number, path| {
                write(&path.with_extension("locked"), &noise(number + further, length(number)))?;
                Ok(fs::remove_file(path)?)
            }),
            Change::Edit(part) => self.each(part, |number, path| write(path, &self.content(number, further))),
            Change::Upgrade(part) => {
                self.each(part, |number, path| write(path, &text(number + further, length(number))))
            }
            Change::Import(part) => {
                fs::create_dir_all(self.root.join("import"))?;
                let photo_bytes = 200_000;
                (0..(volume_bytes * part / 1_000).div_ceil(photo_bytes)).try_for_each(|photo| {
                    let path = self.root.join(format!("import/{photo}.jpg"));
                    write(&path, &noise(photo + further, usize::try_from(photo_bytes)?))
                })
            }
            Change::Dump(part) => {
                let bytes = usize::try_from(volume_bytes * part / 1_000)?;
                write(&self.root.join("base.sql"), &text(further, bytes))
            }
            Change::Move(part) => {
                fs::create_dir_all(self.root.join("archives"))?;
                self.each(part, |number, path| Ok(fs::rename(path, self.root.join(format!("archives/{number}")))?))
            }
            Change::Delete(part) => self.each(part, |_, path| Ok(fs::remove_file(path)?)),
        }
    }

    /// Undoes a change.
    ///
    /// # Errors
    /// What the disk says.
    pub fn restore(&self, change: Change) -> anyhow::Result<()> {
        match change {
            Change::EncryptInPlace(part) | Change::Edit(part) | Change::Upgrade(part) | Change::Delete(part) => {
                self.each(part, |number, path| write(path, &self.content(number, 0)))
            }
            Change::EncryptAndRename(part) => self.each(part, |number, path| {
                fs::remove_file(path.with_extension("locked"))?;
                write(path, &self.content(number, 0))
            }),
            Change::Import(_) => Ok(fs::remove_dir_all(self.root.join("import"))?),
            Change::Dump(_) => Ok(fs::remove_file(self.root.join("base.sql"))?),
            Change::Move(part) => {
                self.each(part, |number, path| Ok(fs::rename(self.root.join(format!("archives/{number}")), path)?))
            }
        }
    }

    /// Calls with each file of a part of the tree, spread over all of it.
    fn each(&self, part: u64, mut visit: impl FnMut(u64, &Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let chosen = |number: &u64| number * 7_919 % 1_000 < part;
        (0..self.files).filter(chosen).try_for_each(|number| visit(number, &self.path(number)))
    }

    fn path(&self, number: u64) -> PathBuf {
        let kind = if self.is_text(number) { "txt" } else { "jpg" };
        self.root.join(format!("dossier-{:03}/{number}.{kind}", number / FILES_PER_FOLDER))
    }

    fn is_text(&self, number: u64) -> bool {
        number * 37 % 100 < self.text_percent
    }

    fn content(&self, number: u64, further: u64) -> Vec<u8> {
        let make = if self.is_text(number) { text } else { noise };
        make(number + further, length(number))
    }
}

/// Length of a file in bytes, between a tenth and twice the mean.
fn length(number: u64) -> usize {
    let bytes = FILE_BYTES_MEAN / 10 + number * 6_151 % (FILE_BYTES_MEAN * 18 / 10);
    usize::try_from(bytes).unwrap_or_default()
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    Ok(fs::write(path, bytes)?)
}
