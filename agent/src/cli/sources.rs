//! `dobaas sources`: the kinds of the contract with the honest level of each, and what a source of files reads.

use std::path::{Component, Path, PathBuf};

use common::schedule::Schedule;
use common::source_kind::SourceKind;
use common::text::Arg;
use serde::Serialize;

use super::args::{SetArgs, SourcesCommand, SourcesSetArgs};
use super::check;
use super::context::Context;
use super::failure::{CliError, Exit};
use super::login::person;
use super::output::Table;
use crate::remote::sets::{BackupSet, SetList};
use crate::source::FileSet;

/// The schedule of a source that is set up for the first time.
const DEFAULT_SCHEDULE: &str = "21:30";

/// What may honestly be said of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    /// Tested against the real thing.
    On,
    /// This version has no driver for it.
    Off,
}

impl Level {
    /// Of this version.
    const fn of(kind: SourceKind) -> Self {
        match kind {
            SourceKind::Files | SourceKind::VirtualDisk => Self::On,
            _ => Self::Off,
        }
    }

    /// Text for a kind of this level.
    const fn key(self, kind: SourceKind) -> &'static str {
        match (self, kind) {
            (Self::On, SourceKind::VirtualDisk) => "sources-level-on-virtual-disk",
            (Self::On, _) => "sources-level-on",
            (Self::Off, _) => "sources-level-off",
        }
    }
}

/// True if this version backs up sources of this kind.
pub fn is_on(kind: SourceKind) -> bool {
    Level::of(kind) == Level::On
}

#[derive(Serialize)]
struct KindDocument {
    #[serde(skip)]
    level_key: &'static str,
    kind: &'static str,
    name: String,
    level: Level,
}

/// Runs `sources list`, `check` or `set`.
pub fn run(command: &SourcesCommand, context: &Context) -> Result<Exit, CliError> {
    match command {
        SourcesCommand::List => list(context),
        SourcesCommand::Check(args) => check::run(args, context),
        SourcesCommand::Set(args) => set(args, context),
    }
}

fn list(context: &Context) -> Result<Exit, CliError> {
    let texts = context.output.texts;
    let document = |kind: SourceKind| {
        let level = Level::of(kind);
        KindDocument { level_key: level.key(kind), kind: kind.name(), name: texts.say(&text_key(kind)), level }
    };
    let kinds = SourceKind::ALL.map(document);
    let table = || {
        let headings = ["sources-heading-kind", "sources-heading-name", "sources-heading-level"];
        let mut table = Table::new(headings.iter().map(|key| texts.say(key)).collect(), &[]);
        for kind in &kinds {
            table.row(vec![kind.kind.to_owned(), kind.name.clone(), texts.say(kind.level_key)]);
        }
        table.text()
    };
    context.output.answer(&serde_json::json!({ "kinds": &kinds }), table)?;
    Ok(Exit::Done)
}

fn text_key(kind: SourceKind) -> String {
    format!("source-kind-{}", kind.name().replace('_', "-"))
}

fn set(args: &SourcesSetArgs, context: &Context) -> Result<Exit, CliError> {
    let identity = context.identity()?;
    let schedule = args.set.schedule()?;
    // A schedule alone may be changed; anything else names all of what is read.
    let files = if args.set.is_schedule_only() { None } else { Some(args.set.files()?) };
    let remote = person(&identity.address, &args.person, context)?;
    let mut set = next_set(&context.wait(remote.sets())?, &args.source, &identity.agent)?;
    match files {
        Some(files) => set.files = files,
        None if set.files.paths.is_empty() => return Err(CliError::new(Exit::Usage, "cli-no-path")),
        None => {}
    }
    if let Some(schedule) = schedule {
        set.schedule = schedule;
    }
    let version = context.wait(remote.put_set(&set))?;
    let document = serde_json::json!({ "source": &set.name, "version": version });
    let args = [("source", Arg::from(&set.name)), ("version", Arg::Count(version))];
    context.output.answer(&document, || format!("{}\n", context.output.texts.say_with("sources-set-saved", &args)))?;
    Ok(Exit::Done)
}

/// The set of the source called `name`, as the next version will follow it, read by `agent`.
///
/// # Errors
/// If the order form has no such source, or this version has no driver for its kind.
pub fn next_set(list: &SetList, name: &str, agent: &common::id::AgentId) -> Result<BackupSet, CliError> {
    let contracted = list.contracted.iter().find(|source| source.name == name).ok_or_else(|| {
        let known: Vec<&str> = list.contracted.iter().map(|source| source.name.as_str()).collect();
        CliError::new(Exit::Usage, "cli-source-unknown").with("source", name).with("known", known.join(", "))
    })?;
    if !is_on(contracted.kind) {
        return Err(CliError::new(Exit::Failed, "cli-kind-off").with("source", name));
    }
    let current = list.sets.iter().find(|set| set.source == contracted.source);
    Ok(BackupSet {
        source: contracted.source,
        version: current.map_or(0, |set| set.version),
        name: contracted.name.clone(),
        kind: contracted.kind,
        agent: *agent,
        files: current.map_or_else(FileSet::default, |set| set.files.clone()),
        schedule: current.map_or_else(|| DEFAULT_SCHEDULE.to_owned(), |set| set.schedule.clone()),
    })
}

impl SetArgs {
    /// The schedule in its one form; empty for `none`, which asks for no schedule.
    ///
    /// # Errors
    /// Exit code 2 for a text that is none.
    pub fn schedule(&self) -> Result<Option<String>, CliError> {
        let Some(text) = &self.schedule else { return Ok(None) };
        if text == "none" {
            return Ok(Some(String::new()));
        }
        let parsed = Schedule::parse(text)
            .map_err(|error| CliError::new(Exit::Usage, "cli-schedule").with("schedule", text).because(&error))?;
        Ok(Some(parsed.map_or_else(String::new, |schedule| schedule.to_string())))
    }

    /// True if nothing but a schedule is given.
    pub fn is_schedule_only(&self) -> bool {
        self.schedule.is_some() && self.path.is_empty() && self.exclude.is_empty() && self.exclude_if_present.is_empty()
    }

    /// What the options select, with absolute paths that exist.
    ///
    /// # Errors
    /// Exit code 2 for a path that is not there; none at all.
    pub fn files(&self) -> Result<FileSet, CliError> {
        if self.path.is_empty() {
            return Err(CliError::new(Exit::Usage, "cli-no-path"));
        }
        let mut names = self.exclude_if_present.clone();
        if names.is_empty() {
            names.push(".nobackup".to_owned());
        }
        Ok(FileSet {
            paths: self.path.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?,
            excludes: self.exclude.clone(),
            exclude_if_present: names,
            exclude_caches: !self.include_caches,
            one_file_system: self.one_file_system,
            accept_unreadable: self.accept_unreadable.clone(),
        })
    }
}

/// An existing path from `/`, links kept as they are typed.
fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    let plain = path.components().all(|component| component != Component::ParentDir);
    let resolved = if plain { std::path::absolute(path) } else { path.canonicalize() };
    resolved
        .and_then(|path| path.symlink_metadata().map(|_| path))
        .map_err(|error| CliError::new(Exit::Usage, "cli-path-missing").with("path", path.display()).because(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::text::Texts;

    #[test]
    fn every_kind_of_the_contract_has_its_name_in_both_languages() {
        for kind in SourceKind::ALL {
            assert!(Texts::FRENCH.has(&text_key(kind)) && Texts::ENGLISH.has(&text_key(kind)), "{kind:?}");
        }
    }

    #[test]
    fn a_schedule_is_kept_in_its_one_form() {
        let args = |schedule: &str| SetArgs { schedule: Some(schedule.into()), ..SetArgs::default() };
        assert_eq!(args("LUN-VEN 21:30").schedule().unwrap().as_deref(), Some("mon,tue,wed,thu,fri 21:30"));
        assert_eq!(args("none").schedule().unwrap().as_deref(), Some(""));
        assert_eq!(args("25:00").schedule().err().map(|error| error.exit), Some(Exit::Usage));
        assert!(args("21:30").is_schedule_only() && !SetArgs::default().is_schedule_only());
    }

    #[test]
    fn the_defaults_of_a_set_honor_cache_tags_and_nobackup() {
        let args = SetArgs { path: vec!["/tmp/..".into()], ..SetArgs::default() };
        let files = args.files().unwrap();
        assert_eq!(files.paths, [std::path::PathBuf::from("/")]);
        assert!(files.exclude_caches && files.exclude_if_present == [".nobackup"]);
        assert_eq!(SetArgs::default().files().err().map(|error| error.exit), Some(Exit::Usage));
        let absent = SetArgs { path: vec!["/absent".into()], ..SetArgs::default() };
        assert_eq!(absent.files().err().map(|error| error.exit), Some(Exit::Usage));
    }
}
