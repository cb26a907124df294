//! A backup set: what a source reads, kept on the server so that a rebuilt machine gets it back.
//!
//! It is the customer's configuration; the server checks its shape, never follows its paths and never logs them.

use common::id::{AgentId, SourceId};
use common::schedule::Schedule;
use serde::{Deserialize, Serialize};

/// Most paths or patterns of one list.
pub const PATTERNS_MAX: usize = 1_000;
/// Longest path or pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 4_096;

/// What is read and how, as the customer set it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetRules {
    /// Roots, absolute.
    pub paths: Vec<String>,
    /// Left out, in gitignore syntax.
    pub excludes: Vec<String>,
    /// A folder that holds one of these is left out.
    pub exclude_if_present: Vec<String>,
    /// Folders tagged as caches are left out.
    pub exclude_caches: bool,
    /// Other file systems are left out.
    pub one_file_system: bool,
    /// Unreadable here does not make a snapshot partial.
    pub accept_unreadable: Vec<String>,
    /// When, as [`common::schedule`] reads it; empty: not scheduled.
    pub schedule: String,
}

/// One version of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSet {
    /// What it reads for.
    pub source: SourceId,
    /// 1, 2, 3 …
    pub version: u64,
    /// Who reads it.
    pub agent: AgentId,
    /// What is read.
    pub rules: SetRules,
    /// When, in nanoseconds since 1970.
    pub changed_at_ns: i64,
    /// Who set it.
    pub changed_by: String,
}

/// A set that cannot be followed: which field, and a stable English word for what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("set field {field}: {reason}")]
pub struct InvalidSet {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl SetRules {
    /// Checks the shape.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), InvalidSet> {
        let wrong = |field, reason| Err(InvalidSet { field, reason });
        if self.paths.is_empty() {
            return wrong("paths", "empty");
        }
        let lists = [
            ("paths", &self.paths),
            ("excludes", &self.excludes),
            ("exclude_if_present", &self.exclude_if_present),
            ("accept_unreadable", &self.accept_unreadable),
        ];
        for (field, list) in lists {
            if list.len() > PATTERNS_MAX {
                return wrong(field, "count");
            }
            if list.iter().any(|item| item.is_empty() || item.len() > PATTERN_BYTES_MAX || item.contains('\0')) {
                return wrong(field, "length");
            }
        }
        if !self.paths.iter().all(|path| path.starts_with('/')) {
            return wrong("paths", "relative");
        }
        if Schedule::parse(&self.schedule).is_err() {
            return wrong("schedule", "time");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_cannot_be_followed_is_refused_by_field() {
        let good = SetRules { paths: vec!["/srv".into()], schedule: "21:30".into(), ..SetRules::default() };
        assert_eq!(good.check(), Ok(()));
        let rows = [
            (SetRules { paths: vec![], ..good.clone() }, "paths"),
            (SetRules { paths: vec!["srv".into()], ..good.clone() }, "paths"),
            (SetRules { excludes: vec!["a\0".into()], ..good.clone() }, "excludes"),
            (SetRules { excludes: vec!["x".into(); PATTERNS_MAX + 1], ..good.clone() }, "excludes"),
            (SetRules { accept_unreadable: vec![String::new()], ..good.clone() }, "accept_unreadable"),
        ];
        for (rules, field) in rows {
            assert_eq!(rules.check().map_err(|error| error.field), Err(field));
        }
        for time in ["24:00", "9:30", "12:60", "1230", "ab:cd", "12:3", "every 5h", "fun 12:00"] {
            let rules = SetRules { schedule: time.into(), ..good.clone() };
            assert_eq!(rules.check().map_err(|error| error.field), Err("schedule"), "{time}");
        }
    }
}
