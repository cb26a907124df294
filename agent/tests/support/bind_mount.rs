//! A folder that shows a file system which comes and goes, for the tests of what is not mounted any more.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder of a disk, which is not of memory even where `/tmp` is.
pub fn disk() -> tempfile::TempDir {
    tempfile::tempdir_in("/var/tmp").unwrap()
}

/// A folder that shows another one, until this goes.
pub struct BindMount(PathBuf);

impl BindMount {
    /// None, and says so, where nothing can be mounted.
    pub fn new(shown: &Path, at: &Path) -> Option<Self> {
        let done = Command::new("mount").arg("--bind").args([shown, at]).status().is_ok_and(|status| status.success());
        if !done {
            eprintln!("skipped: nothing can be mounted here");
        }
        done.then(|| Self(at.to_owned()))
    }
}

impl Drop for BindMount {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success() || std::thread::panicking());
    }
}
