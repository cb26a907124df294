//! Which entries of a snapshot are wanted, and what happens to what stands in their place: values in, decision out.
//!
//! Patterns are gitignore syntax, relative to the top of the snapshot. It reads no tree and no disk.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use common::tree::path::{EntryKey, KeyRange};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::FileType;

use super::outcome::Problem;
use super::target::Standing;

/// A pattern that is not gitignore syntax.
#[derive(Debug, thiserror::Error)]
#[error("pattern {pattern:?} cannot be read")]
pub struct InvalidPattern {
    /// As it was written.
    pub pattern: String,
    /// What is wrong with it.
    #[source]
    pub source: ignore::Error,
}

/// The wanted part of a snapshot.
pub struct Selection {
    roots: Vec<EntryKey>,
    include: Gitignore,
    exclude: Gitignore,
}

impl Selection {
    /// Everything.
    pub fn all() -> Self {
        Self { roots: Vec::new(), include: Gitignore::empty(), exclude: Gitignore::empty() }
    }

    /// What is at and below `roots` (everything if there is none), matches `include` (if there is any) and not `exclude`.
    ///
    /// # Errors
    /// [`InvalidPattern`] names the first pattern that cannot be read.
    pub fn new(mut roots: Vec<EntryKey>, include: &[String], exclude: &[String]) -> Result<Self, InvalidPattern> {
        roots.sort_by(|a, b| a.components().cmp(b.components()));
        roots.dedup_by(|inner, outer| *inner == *outer || KeyRange::below(outer).contains(inner.as_bytes()));
        roots.sort();
        Ok(Self { roots, include: compile(include)?, exclude: compile(exclude)? })
    }

    /// The ranges of the tree that hold it; no two overlap.
    pub fn ranges(&self) -> Vec<KeyRange> {
        if self.roots.is_empty() {
            return vec![KeyRange::all()];
        }
        let itself = |root: &EntryKey| {
            let after = [root.as_bytes(), &[0]].concat();
            KeyRange { from: root.as_bytes().to_vec(), to: Some(after) }
        };
        self.roots.iter().flat_map(|root| [itself(root), KeyRange::below(root)]).collect()
    }

    /// True if an entry of one of the ranges is wanted.
    pub fn wants(&self, key: &EntryKey, is_directory: bool) -> bool {
        if self.include.is_empty() && self.exclude.is_empty() {
            return true;
        }
        let path = key.path();
        let path = Path::new(OsStr::from_bytes(&path));
        let matches = |patterns: &Gitignore| patterns.matched_path_or_any_parents(path, is_directory).is_ignore();
        (self.include.is_empty() || matches(&self.include)) && !matches(&self.exclude)
    }

    /// True if `key` lies in one of the ranges and is wanted.
    pub fn holds(&self, key: &EntryKey, is_directory: bool) -> bool {
        self.ranges().iter().any(|range| range.contains(key.as_bytes())) && self.wants(key, is_directory)
    }
}

fn compile(patterns: &[String]) -> Result<Gitignore, InvalidPattern> {
    let mut builder = GitignoreBuilder::new("");
    for pattern in patterns {
        let invalid = |source| InvalidPattern { pattern: pattern.clone(), source };
        builder.add_line(None, pattern).map_err(invalid)?;
    }
    builder.build().map_err(|source| InvalidPattern { pattern: patterns.join(", "), source })
}

/// What happens to a file that stands where one is to be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overwrite {
    /// It stays, and is listed.
    #[default]
    Never,
    /// It is replaced if its time is before the snapshot's.
    Older,
    /// It is replaced if it differs.
    Changed,
    /// It is replaced.
    Always,
}

/// What to do with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Write it, over what stands there if `replace`.
    Write {
        /// Something stands there.
        replace: bool,
    },
    /// It looks like the snapshot's: if its digest is too, it is done, else as the second value says.
    Compare(Box<Decision>),
    /// Leave it and list why.
    Leave(Problem),
}

/// Decides about a file of `size` bytes and `mtime_ns`, given what stands there.
pub fn decide(overwrite: Overwrite, standing: Option<&Standing>, size: u64, mtime_ns: i64) -> Decision {
    let Some(standing) = standing else { return Decision::Write { replace: false } };
    if standing.kind == FileType::Directory {
        return Decision::Leave(Problem::InTheWay);
    }
    let replaces = match overwrite {
        Overwrite::Never => false,
        Overwrite::Older => standing.mtime_ns < mtime_ns,
        Overwrite::Changed | Overwrite::Always => true,
    };
    let decision = if replaces { Decision::Write { replace: true } } else { Decision::Leave(Problem::Exists) };
    let looks_alike = standing.kind == FileType::RegularFile && standing.size == size;
    let compares = match overwrite {
        Overwrite::Never | Overwrite::Older => looks_alike && standing.mtime_ns == mtime_ns,
        Overwrite::Changed | Overwrite::Always => looks_alike,
    };
    if compares { Decision::Compare(Box::new(decision)) } else { decision }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> EntryKey {
        EntryKey::from_path(path.as_bytes()).unwrap()
    }

    #[test]
    fn existing_files_are_replaced_only_as_told() {
        let file =
            |size, mtime_ns| Standing { kind: FileType::RegularFile, mode: 0o644, size, inode: 1, device: 0, mtime_ns };
        let (leave, replace) = (Decision::Leave(Problem::Exists), Decision::Write { replace: true });
        let compare = |then: &Decision| Decision::Compare(Box::new(then.clone()));
        use Overwrite::{Always, Changed, Never, Older};
        for (overwrite, standing, expected) in [
            (Never, file(10, 5), compare(&leave)),
            (Never, file(10, 4), leave.clone()),
            (Never, file(11, 5), leave.clone()),
            (Older, file(11, 4), replace.clone()),
            (Older, file(11, 5), leave.clone()),
            (Older, file(11, 6), leave.clone()),
            (Changed, file(10, 9), compare(&replace)),
            (Changed, file(11, 5), replace.clone()),
            (Always, file(10, 5), compare(&replace)),
        ] {
            assert_eq!(decide(overwrite, Some(&standing), 10, 5), expected, "{overwrite:?} {standing:?}");
        }
        let link = Standing { kind: FileType::Symlink, ..file(10, 5) };
        assert_eq!(decide(Never, Some(&link), 10, 5), leave);
        assert_eq!(decide(Always, Some(&link), 10, 5), replace);
        let directory = Standing { kind: FileType::Directory, ..file(10, 5) };
        assert_eq!(decide(Always, Some(&directory), 10, 5), Decision::Leave(Problem::InTheWay));
        assert_eq!(decide(Never, None, 10, 5), Decision::Write { replace: false });
    }

    #[test]
    fn a_selection_is_roots_then_patterns() {
        let selection = Selection::new(
            vec![key("srv/a/b"), key("srv/a"), key("etc"), key("etc")],
            &["*.pdf".into(), "/srv/a/keep/".into()],
            &["old/".into()],
        )
        .unwrap();
        assert_eq!(selection.ranges().len(), 4);
        for (path, directory, wanted) in [
            ("srv/a/x.pdf", false, true),
            ("srv/a/x.txt", false, false),
            ("srv/a/keep", true, true),
            ("srv/a/keep/x.txt", false, true),
            ("srv/a/old/x.pdf", false, false),
            ("srv/b/x.pdf", false, false),
            ("etc/x.pdf", false, true),
        ] {
            assert_eq!(selection.holds(&key(path), directory), wanted, "{path}");
        }
        assert!(Selection::all().holds(&key("anything"), false));
    }
}
