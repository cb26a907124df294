//! What a walk leaves out: gitignore patterns relative to the set's root, and directories marked by a file.
//!
//! It does not walk. Parents are matched before their children, so a pattern is only tried on the path itself.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::source::FileSet;

/// Name of the file that marks a cache directory.
pub const CACHE_TAG_NAME: &[u8] = b"CACHEDIR.TAG";
/// First bytes of a valid [`CACHE_TAG_NAME`] file (Cache Directory Tagging Specification).
pub const CACHE_TAG_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// A pattern that is not gitignore syntax.
#[derive(Debug, thiserror::Error)]
#[error("exclude pattern {pattern:?} cannot be read")]
pub struct InvalidPattern {
    /// As it was written.
    pub pattern: String,
    /// What is wrong with it.
    #[source]
    pub source: ignore::Error,
}

/// The rules of one root of a set, compiled.
pub struct Excludes {
    patterns: Gitignore,
    accept_unreadable: Gitignore,
    markers: Vec<Vec<u8>>,
    caches: bool,
}

impl Excludes {
    /// Compiles the rules of `set`.
    ///
    /// # Errors
    /// [`InvalidPattern`] names the first pattern that cannot be read.
    pub fn new(set: &FileSet) -> Result<Self, InvalidPattern> {
        Ok(Self {
            patterns: compile(&set.excludes)?,
            accept_unreadable: compile(&set.accept_unreadable)?,
            markers: set.exclude_if_present.iter().map(|name| name.clone().into_bytes()).collect(),
            caches: set.exclude_caches,
        })
    }

    /// True if no pattern can leave anything out, so that paths need not be built.
    pub fn has_no_patterns(&self) -> bool {
        self.patterns.is_empty()
    }

    /// True if this path, relative to the root, is left out.
    pub fn leaves_out(&self, path: &Path, is_directory: bool) -> bool {
        self.patterns.matched(path, is_directory).is_ignore()
    }

    /// True if the set accepts that this path, relative to the root, cannot be read.
    pub fn accepts_unreadable(&self, path: &Path, is_directory: bool) -> bool {
        !self.accept_unreadable.is_empty()
            && self.accept_unreadable.matched_path_or_any_parents(path, is_directory).is_ignore()
    }

    /// True if a directory that holds `name` keeps only that file. `tag_start` reads the start of the file.
    pub fn is_marker(&self, name: &[u8], tag_start: impl FnOnce() -> Vec<u8>) -> bool {
        self.markers.iter().any(|marker| marker == name)
            || (self.caches && name == CACHE_TAG_NAME && tag_start().starts_with(CACHE_TAG_SIGNATURE))
    }
}

/// Which unreadable items a set accepts, by their path from `/`.
pub struct Acceptance {
    rules: Gitignore,
    roots: Vec<PathBuf>,
}

impl Acceptance {
    /// The rules of `set`.
    ///
    /// # Errors
    /// [`InvalidPattern`].
    pub fn new(set: &FileSet) -> Result<Self, InvalidPattern> {
        let roots = set.paths.iter().filter_map(|path| path.canonicalize().ok()).collect();
        Ok(Self { rules: compile(&set.accept_unreadable)?, roots })
    }

    /// True if the item at `path` (no leading slash) may be left out of a complete snapshot.
    pub fn accepts(&self, path: &[u8]) -> bool {
        let path = Path::new("/").join(Path::new(OsStr::from_bytes(path)));
        let mut below = self.roots.iter().filter_map(|root| path.strip_prefix(root).ok());
        !self.rules.is_empty() && below.any(|path| self.rules.matched_path_or_any_parents(path, false).is_ignore())
    }
}

fn compile(patterns: &[String]) -> Result<Gitignore, InvalidPattern> {
    let invalid = |pattern: &str, source| InvalidPattern { pattern: pattern.to_owned(), source };
    let mut builder = GitignoreBuilder::new(PathBuf::new());
    for pattern in patterns {
        builder.add_line(None, pattern).map_err(|source| invalid(pattern, source))?;
    }
    builder.build().map_err(|source| invalid("", source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_follow_gitignore() {
        let excludes = |lines: &[&str]| {
            let set = FileSet { excludes: lines.iter().map(|line| (*line).to_owned()).collect(), ..FileSet::default() };
            Excludes::new(&set).unwrap()
        };
        let rows: [(&[&str], &str, bool, bool); 9] = [
            (&["*.o"], "a/b.o", false, true),
            (&["/build"], "build", true, true),
            (&["/build"], "a/build", true, false),
            (&["cache/"], "a/cache", true, true),
            (&["cache/"], "a/cache", false, false),
            (&["*.log", "!keep.log"], "keep.log", false, false),
            (&["# comment", ""], "# comment", false, false),
            (&["a/**/z"], "a/b/c/z", false, true),
            (&["é*"], "étage", false, true),
        ];
        for (lines, path, is_directory, out) in rows {
            assert_eq!(excludes(lines).leaves_out(Path::new(path), is_directory), out, "{lines:?} {path}");
        }
        assert!(excludes(&[]).has_no_patterns());
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_named() {
        let set = FileSet { excludes: vec!["ok".into(), "[z-a]".into()], ..FileSet::default() };
        assert_eq!(Excludes::new(&set).err().unwrap().pattern, "[z-a]");
    }

    #[test]
    fn a_cache_tag_counts_only_with_its_signature() {
        let set = FileSet { exclude_caches: true, exclude_if_present: vec![".nobackup".into()], ..FileSet::default() };
        let excludes = Excludes::new(&set).unwrap();
        assert!(excludes.is_marker(CACHE_TAG_NAME, || [CACHE_TAG_SIGNATURE, b"\n"].concat()));
        assert!(!excludes.is_marker(CACHE_TAG_NAME, || b"Signature: wrong".to_vec()));
        assert!(excludes.is_marker(b".nobackup", Vec::new));
        assert!(!excludes.is_marker(b"other", Vec::new));
    }
}
