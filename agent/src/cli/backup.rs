//! `dobaas backup`: one run of each source of this machine, with its bar, its list of what was left out and its last sentence.
//!
//! With `--json`, one event per line: `progress`, `item_error`, `summary`, `error`.

use common::report::RunReport;
use common::stored::SnapshotState;
use common::text::{Arg, Texts, name};
use serde::Serialize;

use super::args::BackupArgs;
use super::context::Context;
use super::failure::{CliError, Exit};
use super::meter::{Meter, Reading};
use super::output::note;
use super::report;
use super::today;
use super::trial::{Bench, Choice};
use crate::backup::progress::{Progress, Step};
use crate::backup::run::{Completeness, Outcome};
use crate::remote::account::DayUse;
use crate::remote::sets::BackupSet;
use crate::service::ending::{Ending, is_deferred};
use crate::source::{SkipReason, SkippedItem};

/// Files that wait for another day which are named to a person; the others are counted.
const DEFERRED_LINES_MAX: usize = 20;

/// One item that is not in the snapshot as it should be.
#[derive(Serialize)]
struct ItemEvent<'a> {
    event: &'static str,
    source: &'a str,
    path: String,
    /// The exact bytes in hexadecimal, only if the path is not UTF-8.
    path_hex: Option<String>,
    reason: &'static str,
    detail: &'a str,
    accepted: bool,
}

/// The end of one source's run.
#[derive(Serialize)]
struct SummaryEvent<'a> {
    event: &'static str,
    source: &'a str,
    snapshot: String,
    sequence: u64,
    complete: bool,
    files: u64,
    files_new: u64,
    files_changed: u64,
    files_unchanged: u64,
    files_deleted: u64,
    files_skipped: u64,
    files_fuzzy: u64,
    plain_bytes: u64,
    read_bytes: u64,
    laid_bytes: u64,
    sent_bytes: u64,
    changed_bytes: u64,
    stored_bytes: u64,
    duration_ms: u64,
    receipt: String,
    rolled_back: bool,
    /// `complete`, `partial`, `deferred` or `refused`.
    result: &'static str,
    /// Files that wait because the contract leaves no room for them, and their bytes.
    deferred_files: u64,
    deferred_bytes: u64,
    /// The limit that was reached, if one was: `daily_change`, `hard_volume` and others.
    limit: Option<&'a str>,
    /// `full`, `journal`, or why a journal was not followed: `start`, `unproved`, `due`, `diverged` and others.
    walk: &'static str,
    /// Directories in which the walk found a change that the journal did not have.
    journal_divergences: u64,
    today: &'a DayUse,
}

/// Runs `backup`.
pub fn run(args: &BackupArgs, context: &Context) -> Result<Exit, CliError> {
    let bench = Bench::prepare(Choice::Named(args.source.as_deref()), context)?;
    let mut worst = Exit::Done;
    for set in &bench.sets {
        let exit = match one(&bench, set, context) {
            Ok(exit) => exit,
            Err(error) if error.exit == Exit::Interrupted => return Err(error),
            // One source that fails does not keep the others from being backed up.
            Err(error) if bench.sets.len() > 1 => {
                note(&format!("{} :", set.name));
                report(&error, context.output);
                error.exit
            }
            Err(error) => return Err(error),
        };
        worst = worse(worst, exit);
    }
    Ok(worst)
}

/// A failure outweighs an incomplete run, which outweighs a complete one.
const fn worse(a: Exit, b: Exit) -> Exit {
    match (a, b) {
        (Exit::Done, other)
        | (Exit::Incomplete, other @ (Exit::Failed | Exit::Busy | Exit::Quota | Exit::Suspended)) => other,
        (first, _) => first,
    }
}

fn one(bench: &Bench<'_>, set: &BackupSet, context: &Context) -> Result<Exit, CliError> {
    let progress = context.stop.watched_run();
    let counters = progress.clone();
    let meter = Meter::start(context.output, move || reading(&counters));
    let outcome = bench.run(set, &progress);
    meter.finish();
    tell(set, &outcome?, context)
}

fn reading(progress: &Progress) -> Reading {
    let walked = progress.walked.load(std::sync::atomic::Ordering::Relaxed);
    Reading {
        step: match progress.step() {
            Step::Opening => "step-opening",
            Step::Fetching => "step-fetching",
            Step::Reading => "step-reading",
            Step::Finishing => "step-finishing",
            Step::Committing => "step-committing",
        },
        files_done: Progress::get(&progress.files_done),
        files_total: walked.then(|| Progress::get(&progress.items_seen)),
        bytes_done: Progress::get(&progress.bytes_done),
        bytes_total: walked.then(|| Progress::get(&progress.bytes_seen)),
        bytes_moved: Progress::get(&progress.bytes_sent),
    }
}

/// Lists what was left out, then says how the run ended.
fn tell(set: &BackupSet, outcome: &Outcome, context: &Context) -> Result<Exit, CliError> {
    let (output, texts) = (context.output, context.output.texts);
    let mut deferred = 0;
    for item in &outcome.skipped {
        output.event(&item_event(&set.name, item))?;
        deferred += usize::from(item.reason == SkipReason::Deferred);
        let is_told = item.reason != SkipReason::Deferred || deferred <= DEFERRED_LINES_MAX;
        if !output.json && !item.accepted && is_told {
            note(&item_line(item, texts));
        }
    }
    if let Some(more) = deferred.checked_sub(DEFERRED_LINES_MAX).filter(|more| *more > 0 && !output.json) {
        note(&texts.say_with("backup-deferred-more", &[("count", Arg::Count(more as u64))]));
    }
    output.event(&summary(&set.name, outcome))?;
    output.say(&run_report(&set.name, outcome).sentence(texts))?;
    if outcome.counts.files_fuzzy > 0 {
        let args = [("count", Arg::Count(outcome.counts.files_fuzzy))];
        output.remark(&texts.say_with("backup-fuzzy", &args));
    }
    for sentence in today::after_run(outcome, texts) {
        output.say(&sentence)?;
    }
    if outcome.rolled_back {
        note(&texts.say("backup-rolled-back"));
    }
    Ok(match &outcome.refusal {
        Some(_) if !is_deferred(outcome) => Exit::Quota,
        _ if outcome.has_remarks() => Exit::Incomplete,
        _ => Exit::Done,
    })
}

fn item_event<'a>(source: &'a str, item: &'a SkippedItem) -> ItemEvent<'a> {
    let path = || item.path.iter().map(|byte| format!("{byte:02x}")).collect();
    ItemEvent {
        event: "item_error",
        source,
        path: format!("/{}", String::from_utf8_lossy(&item.path)),
        path_hex: std::str::from_utf8(&item.path).is_err().then(path),
        reason: item.reason.word(),
        detail: &item.detail,
        accepted: item.accepted,
    }
}

/// `/srv/x : accès refusé (Permission denied)`
fn item_line(item: &SkippedItem, texts: Texts) -> String {
    let reason = texts.say(&format!("skip-reason-{}", item.reason.word().replace('_', "-")));
    let detail = if item.detail.is_empty() { String::new() } else { format!(" ({})", item.detail) };
    let args = [("path", Arg::from(format!("/{}", name::shown(&item.path)))), ("reason", Arg::from(reason + &detail))];
    texts.say_with("backup-skipped", &args)
}

fn run_report(source: &str, outcome: &Outcome) -> RunReport {
    let counts = &outcome.counts;
    RunReport {
        source: source.to_owned(),
        state: match outcome.completeness {
            Completeness::Complete => SnapshotState::Complete,
            Completeness::Partial => SnapshotState::Partial,
        },
        files: counts.files,
        plain_bytes: outcome.plain_bytes,
        files_new: counts.files_new,
        files_changed: counts.files_changed,
        files_deleted: counts.files_deleted,
        files_skipped: counts.files_skipped,
        sent_bytes: counts.sent_bytes,
        duration_ms: u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX),
    }
}

fn summary<'a>(source: &'a str, outcome: &'a Outcome) -> SummaryEvent<'a> {
    let counts = &outcome.counts;
    SummaryEvent {
        event: "summary",
        source,
        snapshot: outcome.snapshot.to_string(),
        sequence: outcome.sequence,
        complete: outcome.completeness == Completeness::Complete,
        files: counts.files,
        files_new: counts.files_new,
        files_changed: counts.files_changed,
        files_unchanged: counts.files_unchanged,
        files_deleted: counts.files_deleted,
        files_skipped: counts.files_skipped,
        files_fuzzy: counts.files_fuzzy,
        plain_bytes: outcome.plain_bytes,
        read_bytes: counts.read_bytes,
        laid_bytes: counts.laid_bytes,
        sent_bytes: counts.sent_bytes,
        changed_bytes: outcome.server.changed_bytes,
        stored_bytes: outcome.server.stored_bytes,
        duration_ms: u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX),
        receipt: blake3::Hash::from_bytes(outcome.receipt_digest).to_hex().to_string(),
        rolled_back: outcome.rolled_back,
        result: Ending::of_outcome(outcome).result.word(),
        deferred_files: outcome.deferred.files,
        deferred_bytes: outcome.deferred.bytes,
        limit: outcome.refusal.as_ref().and_then(|failure| failure.param("limit")),
        walk: outcome.walk.word(),
        journal_divergences: outcome.walk.divergences,
        today: &outcome.today,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SkipReason;

    #[test]
    fn every_reason_is_said_in_both_languages() {
        let item =
            |reason| SkippedItem { path: b"srv/\xe9".to_vec(), reason, detail: "EACCES".into(), accepted: false };
        let reasons = [
            SkipReason::PermissionDenied,
            SkipReason::IoError,
            SkipReason::PathTooLong,
            SkipReason::Unsupported,
            SkipReason::InUse,
            SkipReason::Deferred,
            SkipReason::NotMounted,
        ];
        let lines: Vec<String> = [Texts::FRENCH.plain(), Texts::ENGLISH]
            .into_iter()
            .flat_map(|texts| reasons.map(|reason| item_line(&item(reason), texts)))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
        let event = serde_json::to_value(item_event("bureautique", &item(SkipReason::IoError))).unwrap();
        assert_eq!(event["path_hex"], "7372762fe9");
        assert_eq!(event["reason"], "io_error");
    }

    #[test]
    fn the_worst_end_counts() {
        assert_eq!(worse(Exit::Done, Exit::Incomplete), Exit::Incomplete);
        assert_eq!(worse(Exit::Incomplete, Exit::Done), Exit::Incomplete);
        assert_eq!(worse(Exit::Incomplete, Exit::Failed), Exit::Failed);
        assert_eq!(worse(Exit::Quota, Exit::Incomplete), Exit::Quota);
    }
}
