//! Change maps of images: bitmaps that QEMU keeps in a qcow2 image, and what this agent knows of each.
//!
//! Only where the setting `disk_bitmaps` says so, since it writes to the image: before a disk is read, a bitmap of this run's own
//! name is added to its image. Once the disk is read, a record binds the bitmap to the digest of what was read. The next run may leave
//! unread what such a bitmap calls unchanged, if the record is about the very content that the last tree has.
//!
//! Invariant: a bitmap is believed only for the content that its record names: it was there before the first byte of it was read.
//! Invariant: I10 — a record of another version is no record.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::limits::RECORD_BYTES_MAX;
use serde::{Deserialize, Serialize};

use super::info::Bitmap;
use super::tools::{ToolError, Tools, path_of, run};
use crate::durable::{self, DurableError};

/// What the names of the agent's bitmaps begin with.
const PREFIX: &str = "dobaas-";
const VERSION: u32 = 1;
/// Records of one image: of the last content, and of one that may not have become part of a snapshot.
const RECORDS_MAX: usize = 2;

/// The bitmaps of one run.
#[derive(Debug, Clone)]
pub struct Bitmaps {
    folder: PathBuf,
    /// Name of this run's.
    name: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Records {
    version: u32,
    /// Newest first.
    records: Vec<Record>,
}

/// A bitmap that was there before a content was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    bitmap: String,
    digest: String,
}

impl Bitmaps {
    /// Those of a run that is the only one to be called `run`, with the state of its source in `state`.
    pub fn new(state: &Path, run: &str) -> Self {
        Self { folder: state.join("bitmaps"), name: format!("{PREFIX}{run}") }
    }

    /// Adds this run's bitmap to an image which has `known`, and removes those of the agent's that no record names.
    ///
    /// # Errors
    /// [`ToolError`]; the image is then read as a whole the next time.
    pub fn mark(&self, tools: &Tools, (file, key): (&File, &str), known: &[Bitmap]) -> Result<(), ToolError> {
        let records = self.records(key);
        let is_stale = |bitmap: &&Bitmap| {
            let is_named = records.iter().any(|record| record.bitmap == bitmap.name);
            bitmap.name.starts_with(PREFIX) && bitmap.name != self.name && !(is_named && bitmap.is_sound())
        };
        let mut actions: Vec<(&str, &str)> =
            known.iter().filter(is_stale).map(|bitmap| ("--remove", &bitmap.name[..])).collect();
        if !known.iter().any(|bitmap| bitmap.name == self.name) {
            actions.push(("--add", &self.name));
        }
        for (action, name) in actions {
            let mut command = Command::new(&tools.image);
            command.args(["bitmap", action, "-f", "qcow2"]).arg(path_of(file)).arg(name);
            run(&mut command)?;
        }
        Ok(())
    }

    /// The bitmap that has every change since the content of this digest was read, if there is one.
    pub fn since(&self, key: &str, digest: &[u8; 32], known: &[Bitmap]) -> Option<String> {
        let digest = hex(digest);
        let records = self.records(key).into_iter().filter(|record| record.digest == digest);
        let mut names = records.map(|record| record.bitmap);
        names.find(|name| known.iter().any(|bitmap| bitmap.name == *name && bitmap.is_sound()))
    }

    /// Notes that this run's bitmap was there before the content of this digest was read.
    ///
    /// # Errors
    /// If the disk refuses it.
    pub fn record(&self, key: &str, digest: &[u8; 32]) -> Result<(), DurableError> {
        durable::create_folder(&self.folder, 0o700)?;
        let newest = Record { bitmap: self.name.clone(), digest: hex(digest) };
        let others = self.records(key).into_iter().filter(|record| record.bitmap != self.name);
        let records =
            Records { version: VERSION, records: std::iter::once(newest).chain(others).take(RECORDS_MAX).collect() };
        let bytes = serde_json::to_vec(&records).unwrap_or_default();
        durable::replace(&self.path(key), &bytes, 0o600)
    }

    fn records(&self, key: &str) -> Vec<Record> {
        let bytes = durable::read(&self.path(key), RECORD_BYTES_MAX).ok().flatten().unwrap_or_default();
        let records: Records = serde_json::from_slice(&bytes).unwrap_or_default();
        if records.version == VERSION { records.records } else { Vec::new() }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.json"))
    }
}

fn hex(digest: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(name: &str) -> Bitmap {
        Bitmap { name: name.into(), flags: vec!["auto".into()] }
    }

    #[test]
    fn a_bitmap_is_believed_for_the_content_of_its_record_alone() {
        let state = tempfile::tempdir().unwrap();
        let run = |name| Bitmaps::new(state.path(), name);
        run("1").record("key", &[1; 32]).unwrap();
        let known = [sound("dobaas-1"), sound("dobaas-2")];
        assert_eq!(run("9").since("key", &[1; 32], &known).as_deref(), Some("dobaas-1"));
        assert_eq!(run("9").since("key", &[2; 32], &known), None);
        assert_eq!(run("9").since("other", &[1; 32], &known), None);
        // A run that came to no snapshot takes nothing away from the one before it.
        run("2").record("key", &[2; 32]).unwrap();
        assert_eq!(run("9").since("key", &[1; 32], &known).as_deref(), Some("dobaas-1"));
        assert_eq!(run("9").since("key", &[2; 32], &known).as_deref(), Some("dobaas-2"));
        run("3").record("key", &[3; 32]).unwrap();
        assert_eq!(run("9").since("key", &[1; 32], &known), None);
        // One that was not closed, is switched off, or is gone.
        for flags in [&["in-use", "auto"][..], &[]] {
            let flags = flags.iter().map(ToString::to_string).collect();
            assert_eq!(run("9").since("key", &[2; 32], &[Bitmap { name: "dobaas-2".into(), flags }]), None);
        }
        assert_eq!(run("9").since("key", &[2; 32], &[]), None);
    }

    #[test]
    fn a_damaged_record_or_one_of_another_version_is_none() {
        let state = tempfile::tempdir().unwrap();
        let bitmaps = Bitmaps::new(state.path(), "1");
        bitmaps.record("key", &[1; 32]).unwrap();
        for bytes in [&b"{"[..], b"", br#"{"version":2,"records":[]}"#, &[b' '; RECORD_BYTES_MAX + 1]] {
            durable::replace(&bitmaps.path("key"), bytes, 0o600).unwrap();
            assert_eq!(bitmaps.since("key", &[1; 32], &[sound("dobaas-1")]), None);
        }
    }
}
