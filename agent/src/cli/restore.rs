//! `dobaas restore`: takes back one file, several, a pattern or everything, on this machine or on a blank one.
//!
//! With `--json`, one event per line: `progress`, `item_error`, `summary`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use common::text::date::moment;
use common::text::{Arg, Texts, name};
use serde::Serialize;

use super::access::{Access, threads};
use super::args::reading::{DiskFormatArg, OverwriteArg, RestoreArgs};
use super::browse::key_of;
use super::context::Context;
use super::failure::{CliError, Exit};
use super::meter::{Meter, Reading};
use super::output::note;
use crate::browse::history::Point;
use crate::restore::disk::DiskOutput;
use crate::restore::fetch::FetchError;
use crate::restore::meta::Accounts;
use crate::restore::outcome::{Gravity, ItemProblem, Outcome, Problem, Progress};
use crate::restore::select::{Overwrite, Selection};
use crate::restore::{RestoreError, RestoreOptions, restore};
use crate::source::disk::tools::Tools;

/// The end of a restore.
#[derive(Serialize)]
struct SummaryEvent<'a> {
    event: &'static str,
    source: &'a str,
    snapshot: String,
    target: String,
    dry_run: bool,
    complete: bool,
    files: u64,
    files_present: u64,
    directories: u64,
    others: u64,
    bytes: u64,
    failed: u64,
    skipped: u64,
    notices: u64,
    duration_ms: u64,
}

/// Runs `restore`.
pub fn run(args: &RestoreArgs, context: &Context) -> Result<Exit, CliError> {
    let options = options(args)?;
    let access = Access::to_content(&args.point.read, context)?;
    let source = access.source(args.point.source.as_deref(), context)?;
    let point = access.point(&source, &args.point.at, context)?;
    let target = args.to.clone().unwrap_or_else(|| PathBuf::from("/"));
    announce(&source.name, &point, &target, context);
    let head = &point.listed.stored.head;
    let reader = access.reader(&point, context)?;
    let begun = Instant::now();
    let progress = Arc::new(Progress::default());
    let counters = progress.clone();
    let meter = Meter::start(context.output, move || reading("step-restoring", &counters));
    let outcome = restore(reader.snapshot(), &target, &options, &progress, reader.stop());
    meter.finish();
    let outcome = outcome.map_err(|error| failure(error, &target))?;
    if !args.dry_run && outcome.failed == 0 && !outcome.interrupted {
        // What was restored is verified, what was left out is not: the server may count it. If it cannot be told, the restore is
        // as good.
        let whole = outcome.skipped == 0 && args.paths.is_empty() && args.include.is_empty() && args.exclude.is_empty();
        if let Err(error) = context.wait(access.remote.report_verified(&head.session, whole)) {
            tracing::info!(%error, "the verification could not be reported");
        }
    }
    let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let summary = SummaryEvent {
        event: "summary",
        source: &source.name,
        snapshot: head.session.to_string(),
        target: target.display().to_string(),
        dry_run: args.dry_run,
        complete: outcome.is_complete(),
        files: outcome.files,
        files_present: outcome.files_present,
        directories: outcome.directories,
        others: outcome.others,
        bytes: outcome.bytes,
        failed: outcome.failed,
        skipped: outcome.skipped,
        notices: outcome.notices,
        duration_ms,
    };
    tell(&summary, &outcome, context)
}

fn options(args: &RestoreArgs) -> Result<RestoreOptions, CliError> {
    let mut roots = Vec::with_capacity(args.paths.len());
    for path in &args.paths {
        roots.extend(key_of(path)?);
    }
    let strip = match (&args.to, roots.as_slice()) {
        // One folder taken somewhere else comes without the folders that led to it.
        (Some(_), [only]) if !args.full_paths => only.parent(),
        _ => None,
    };
    let selection = Selection::new(roots, &args.include, &args.exclude)
        .map_err(|error| CliError::new(Exit::Usage, "cli-pattern").with("pattern", &error.pattern).because(&error))?;
    Ok(RestoreOptions {
        selection,
        strip,
        overwrite: match args.overwrite {
            OverwriteArg::Never => Overwrite::Never,
            OverwriteArg::Older => Overwrite::Older,
            OverwriteArg::Changed => Overwrite::Changed,
            OverwriteArg::Always => Overwrite::Always,
        },
        dry_run: args.dry_run,
        devices: args.devices,
        privileges: args.privileges,
        disks: match args.disk_format {
            DiskFormatArg::Original => DiskOutput::Original(Tools::default()),
            DiskFormatArg::Raw => DiskOutput::Raw,
        },
        accounts: if args.numeric_owner { Accounts::default() } else { Accounts::of_this_system() },
        threads: threads(),
    })
}

/// Says which snapshot goes where, before anything is written.
fn announce(source: &str, point: &Point, target: &Path, context: &Context) {
    let texts = context.output.texts;
    let at = moment(point.listed.stored.server.received_at_ns);
    let args = [
        ("source", Arg::from(source)),
        ("date", texts.date_and_relative(at, context.now()).into()),
        ("target", target.display().to_string().into()),
    ];
    if !context.output.json {
        context.output.remark(&texts.say_with("restore-from", &args));
    }
}

/// What the bar shows of a run of the restore engine.
pub fn reading(step: &'static str, progress: &Progress) -> Reading {
    let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    Reading {
        step,
        files_done: get(&progress.items_done),
        files_total: None,
        bytes_done: get(&progress.bytes_done),
        bytes_total: None,
        bytes_moved: get(&progress.fetched_bytes),
    }
}

fn tell(summary: &SummaryEvent<'_>, outcome: &Outcome, context: &Context) -> Result<Exit, CliError> {
    let (output, texts) = (context.output, context.output.texts);
    for item in &outcome.problems {
        output.event(&item_event(item))?;
        if !output.json {
            note(&item_line(item, texts));
        }
    }
    output.event(summary)?;
    let args = [
        ("files", Arg::Count(outcome.files)),
        ("bytes", texts.size(outcome.bytes).into()),
        ("present", texts.count(outcome.files_present).into()),
        ("failed", texts.count(outcome.failed).into()),
        ("skipped", texts.count(outcome.skipped).into()),
        ("duration", texts.duration(summary.duration_ms).into()),
    ];
    let key = match (summary.dry_run, outcome.is_complete()) {
        (true, _) => "restore-would",
        (false, true) => "restore-complete",
        (false, false) => "restore-incomplete",
    };
    output.say(&texts.say_with(key, &args))?;
    Ok(if outcome.is_complete() { Exit::Done } else { Exit::Incomplete })
}

/// One item that is not as the snapshot has it, for programs.
pub fn item_event(item: &ItemProblem) -> serde_json::Value {
    let gravity = match item.problem.gravity() {
        Gravity::Notice => "notice",
        Gravity::Skipped => "skipped",
        Gravity::Failed => "failed",
    };
    let hex = || item.path.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    serde_json::json!({
        "event": "item_error",
        "path": format!("/{}", String::from_utf8_lossy(&item.path)),
        "path_hex": std::str::from_utf8(&item.path).is_err().then(hex),
        "gravity": gravity,
        "reason": item.problem.word(),
    })
}

/// The same for people: `/srv/x : le contenu est endommagé sur le serveur`
pub fn item_line(item: &ItemProblem, texts: Texts) -> String {
    let word = item.problem.word().replace('_', "-");
    let reason = texts.say(&format!("problem-{word}"));
    let detail = match &item.problem {
        Problem::System { step, said } => format!(" ({step}: {said})"),
        _ => String::new(),
    };
    let args = [("path", Arg::from(format!("/{}", name::shown(&item.path)))), ("reason", Arg::from(reason + &detail))];
    texts.say_with("backup-skipped", &args)
}

/// Why a run of the restore engine ended early.
pub fn failure(error: RestoreError, target: &Path) -> CliError {
    let told = |key| CliError::new(Exit::Failed, key).with("target", target.display());
    match error {
        RestoreError::Fetch(FetchError::Remote(error)) => error.into(),
        RestoreError::Target(ref cause) => told("restore-target").because(cause),
        RestoreError::Disk(ref cause) => told("restore-disk").because(cause),
        RestoreError::Fetch(ref cause) => told("restore-failed").because(cause),
        RestoreError::Sync(ref cause) => told("restore-sync").because(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::unlock::ChunkFailure;

    #[test]
    fn every_problem_is_said_in_both_languages() {
        let problems = [
            Problem::Content(ChunkFailure::Missing),
            Problem::Content(ChunkFailure::Damaged),
            Problem::Content(ChunkFailure::KeyMissing),
            Problem::Content(ChunkFailure::Unfitting),
            Problem::Digest,
            Problem::Node,
            Problem::Exists,
            Problem::InTheWay,
            Problem::Tree,
            Problem::Device,
            Problem::Socket,
            Problem::Privilege,
            Problem::Owner,
            Problem::Attribute,
            Problem::DiskFormat,
            Problem::DigestNotChecked,
            Problem::System { step: "write", said: "No space left on device".into() },
        ];
        let lines: Vec<String> = [Texts::FRENCH.plain(), Texts::ENGLISH]
            .into_iter()
            .flat_map(|texts| {
                problems.iter().map(move |problem| {
                    item_line(&ItemProblem { path: b"srv/x".to_vec(), problem: problem.clone() }, texts)
                })
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
