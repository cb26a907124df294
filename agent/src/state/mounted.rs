//! Which file systems were mounted where a source leads: one that is gone is not an empty folder.
//!
//! Kept in `mounted.toml` of the source's folder. Names that are no UTF-8 are not kept.
//!
//! Invariant: losing it costs this guard for one run, nothing else. A further version of the set forgets what was mounted before it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use common::limits::RECORD_BYTES_MAX;
use serde::{Deserialize, Serialize};

use crate::durable::{self, DurableError};
use crate::source::mounts::{MOUNTS_PATH, data_points};
use crate::source::paths::PathTree;
use crate::source::{SkipReason, SkippedItem};

const VERSION: u32 = 1;

/// Paths from `/`, without a leading slash.
pub type Points = BTreeSet<Vec<u8>>;

/// What is mounted now, and what was in the last run and is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounted {
    present: Points,
    absent: Points,
    is_known: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    set_version: u64,
    points: BTreeSet<String>,
}

impl Mounted {
    /// Looks, and compares with what `folder` remembers of the same version of the set; of the top of each selected path only, if the set
    /// stays on one file system.
    pub fn look(folder: &Path, set_version: u64, selected: &PathTree, one_file_system: bool) -> Self {
        let present = || {
            let text = std::fs::read(MOUNTS_PATH).ok()?;
            data_points(&text, selected, one_file_system)
        };
        let known = load(folder, set_version);
        let missed = |present: &Points| known.difference(present).cloned().collect::<Points>();
        // Where nothing can be seen nothing is missed, and nothing is forgotten.
        let Some(now) = present() else { return Self::default() };
        // What is mounted on demand is, once somebody looks into it.
        for point in missed(&now) {
            let _ = std::fs::read_dir(Path::new("/").join(OsStr::from_bytes(&point))).map(|mut items| items.next());
        }
        let Some(present) = present() else { return Self::default() };
        Self { absent: missed(&present), present, is_known: true }
    }

    /// Where a file system is missing.
    pub fn absent(&self) -> &Points {
        &self.absent
    }

    /// Remembers what is mounted, and what was missed in this run; a folder that is gone is missed no more.
    ///
    /// # Errors
    /// [`DurableError`].
    pub fn keep(&self, folder: &Path, set_version: u64, skipped: &[SkippedItem]) -> Result<(), DurableError> {
        let missed = skipped.iter().filter(|item| item.reason == SkipReason::NotMounted).map(|item| &item.path);
        let points: Points = self.present.iter().chain(missed).cloned().collect();
        if !self.is_known || points == load(folder, set_version) {
            return Ok(());
        }
        let points = points.into_iter().filter_map(|point| String::from_utf8(point).ok()).collect();
        let text = toml::to_string(&Kept { version: VERSION, set_version, points }).expect("numbers and texts");
        durable::replace(&path(folder), text.as_bytes(), 0o600)
    }
}

/// What was mounted; nothing if that was for another version of the set, or cannot be read.
fn load(folder: &Path, set_version: u64) -> Points {
    let bytes = durable::read(&path(folder), RECORD_BYTES_MAX).ok().flatten();
    let kept = bytes.and_then(|bytes| toml::from_str::<Kept>(&String::from_utf8_lossy(&bytes)).ok());
    let kept = kept.filter(|kept| kept.version == VERSION && kept.set_version == set_version);
    kept.map_or_else(Points::new, |kept| kept.points.into_iter().map(String::into_bytes).collect())
}

fn path(folder: &Path) -> PathBuf {
    folder.join("mounted.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(all: &[&str]) -> Points {
        all.iter().map(|point| point.as_bytes().to_vec()).collect()
    }

    #[test]
    fn what_was_missed_is_remembered_until_its_folder_goes_or_the_set_changes() {
        let folder = tempfile::tempdir().unwrap();
        let mounted = |present: &[&str], absent: &[&str]| Mounted {
            present: points(present),
            absent: points(absent),
            is_known: true,
        };
        let missed = |path: &str| SkippedItem {
            path: path.into(),
            reason: SkipReason::NotMounted,
            detail: String::new(),
            accepted: false,
        };
        mounted(&["srv/a", "srv/b"], &[]).keep(folder.path(), 1, &[]).unwrap();
        assert_eq!(load(folder.path(), 1), points(&["srv/a", "srv/b"]));
        assert_eq!(load(folder.path(), 2), Points::new());
        mounted(&["srv/a"], &["srv/b"]).keep(folder.path(), 1, &[missed("srv/b")]).unwrap();
        assert_eq!(load(folder.path(), 1), points(&["srv/a", "srv/b"]));
        mounted(&["srv/a"], &["srv/b"]).keep(folder.path(), 1, &[]).unwrap();
        assert_eq!(load(folder.path(), 1), points(&["srv/a"]));
        Mounted::default().keep(folder.path(), 1, &[]).unwrap();
        assert_eq!(load(folder.path(), 1), points(&["srv/a"]), "nothing could be seen");
        durable::replace(&path(folder.path()), b"nonsense", 0o600).unwrap();
        assert_eq!(load(folder.path(), 1), Points::new());
    }
}
