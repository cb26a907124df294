//! `dobaas sources check`: whether what this machine's sources read is there and ready, before a run finds out.
//!
//! It reads no content and changes nothing.

use common::source_kind::SourceKind;
use common::text::{Arg, Texts, name};
use serde::Serialize;

use super::args::SourcesCheckArgs;
use super::context::Context;
use super::failure::{CliError, Exit};
use super::output::Table;
use super::trial::{Bench, Choice};
use crate::remote::sets::BackupSet;
use crate::source::disk::tools::Tools;
use crate::source::disk::{Disks, Seen};
use crate::source::files::{WalkError, select};

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    source: String,
    item: String,
    /// `ready`, `as_file`, `no_tools`, `in_use` or `unreadable`.
    state: &'static str,
    /// What is said of it to a person.
    #[serde(skip)]
    said: String,
    /// Format of a disk, or the reason for its being a file.
    detail: Option<&'static str>,
    /// Size of a disk.
    bytes: Option<u64>,
}

/// Runs `sources check`.
pub fn run(args: &SourcesCheckArgs, context: &Context) -> Result<Exit, CliError> {
    let bench = Bench::prepare(Choice::Named(args.source.as_deref()), context)?;
    let texts = context.output.texts;
    let findings: Vec<Finding> = bench.sets.iter().flat_map(|set| look(set, &Tools::default(), texts)).collect();
    let table = || {
        let headings = ["sources-heading-name", "check-heading-item", "check-heading-state"];
        let mut table = Table::new(headings.iter().map(|key| texts.say(key)).collect(), &[]);
        for finding in &findings {
            table.row(vec![finding.source.clone(), finding.item.clone(), finding.said.clone()]);
        }
        table.text()
    };
    context.output.answer(&serde_json::json!({ "findings": &findings }), table)?;
    let is_ready = findings.iter().all(|finding| !["in_use", "unreadable"].contains(&finding.state));
    Ok(if is_ready { Exit::Done } else { Exit::Incomplete })
}

fn look(set: &BackupSet, tools: &Tools, texts: Texts) -> Vec<Finding> {
    let finding = |item: String, state: &'static str, said: String| Finding {
        source: set.name.clone(),
        item,
        state,
        said,
        detail: None,
        bytes: None,
    };
    let unreadable = |error: &WalkError| {
        let item = match error {
            WalkError::Root { path, .. } => path.display().to_string(),
            _ => String::new(),
        };
        vec![finding(item, "unreadable", format!("{} ({error})", texts.say("check-unreadable")))]
    };
    if let Err(error) = select(&set.files) {
        return unreadable(&error);
    }
    if set.kind != SourceKind::VirtualDisk {
        let path = |path: &std::path::PathBuf| finding(path.display().to_string(), "ready", texts.say("check-ready"));
        return set.files.paths.iter().map(path).collect();
    }
    let disks = Disks::probing(tools.clone());
    let seen = match disks.probe(&set.files) {
        Ok(seen) => seen,
        Err(error) => return unreadable(&error),
    };
    let mut findings = vec![match disks.version() {
        Some(version) => finding(version.to_owned(), "ready", texts.say("check-ready")),
        None => finding("qemu-img, qemu-nbd".to_owned(), "no_tools", texts.say("check-no-tools")),
    }];
    for (path, seen) in seen {
        let path = format!("/{}", name::shown(&path));
        findings.push(match seen {
            Seen::Disk(image) => {
                let format = image.label.format.name();
                let args = [("format", Arg::from(format)), ("size", texts.size(image.bytes).into())];
                let said = texts.say_with("check-disk", &args);
                Finding { detail: Some(format), bytes: Some(image.bytes), ..finding(path, "ready", said) }
            }
            Seen::File(why) => {
                let why_said = texts.say(&format!("check-file-{}", why.word().replace('_', "-")));
                let said = texts.say_with("check-file", &[("why", Arg::from(why_said))]);
                Finding { detail: Some(why.word()), ..finding(path, "as_file", said) }
            }
            Seen::InUse(_) => finding(path, "in_use", texts.say("skip-reason-in-use")),
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]
    use super::*;
    use crate::source::FileSet;
    use crate::source::disk::info::AsFile;
    use common::id::{AgentId, SourceId};

    #[test]
    fn every_reason_for_being_a_file_is_said_in_both_languages() {
        for why in AsFile::ALL {
            let key = format!("check-file-{}", why.word().replace('_', "-"));
            assert!(Texts::FRENCH.has(&key) && Texts::ENGLISH.has(&key), "{key}");
        }
    }

    #[test]
    fn a_source_of_images_says_what_each_is_read_as() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let made = std::process::Command::new("qemu-img")
            .args(["create", "-q", "-f", "vhdx", root.join("vm.vhdx").to_str().unwrap(), "8M"])
            .status();
        assert!(made.unwrap().success());
        std::fs::write(root.join("other.qcow2"), "no image").unwrap();
        let set = |path: &str| BackupSet {
            source: SourceId::new([1; 16]),
            version: 1,
            name: "disques".into(),
            kind: SourceKind::VirtualDisk,
            agent: AgentId::new([1; 16]),
            files: FileSet { paths: vec![root.join(path)], ..FileSet::default() },
            schedule: String::new(),
        };
        let told = |path: &str, tools: &Tools, texts| {
            let findings = look(&set(path), tools, texts);
            findings.iter().map(|found| format!("{}: {}", found.state, found.said)).collect::<Vec<_>>()
        };
        let french = Texts::FRENCH.plain();
        assert_eq!(
            told("", &Tools::default(), french),
            [
                "ready: prêt",
                "as_file: lu comme un fichier : ni nom ni début d'une image",
                "ready: lu comme un disque (vhdx, 8,4 Mo)"
            ]
        );
        let absent = Tools { image: "/absent/a".into(), server: "/absent/b".into() };
        assert!(told("", &absent, Texts::ENGLISH)[0].starts_with("no_tools: the QEMU tools are not installed"));
        assert!(told("gone", &absent, Texts::ENGLISH)[0].starts_with("unreadable: "));
    }
}
