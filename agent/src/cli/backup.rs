//! `dobaas backup`: one run of each source of this machine, with its bar, its list of what was left out and its last sentence.
//!
//! With `--json`, one event per line: `progress`, `item_error`, `summary`, `error`.

use std::sync::Arc;

use common::id::SessionId;
use common::keyring::KeyringError;
use common::keys::SessionKey;
use common::report::{DayReport, RunReport};
use common::source_kind::SourceKind;
use common::stored::SnapshotState;
use common::text::{Arg, Texts, name};
use proto::code::{ErrorCode, Failure};
use serde::Serialize;

use super::args::BackupArgs;
use super::context::Context;
use super::failure::{CliError, Exit};
use super::login::keyring;
use super::meter::{Meter, Reading};
use super::output::note;
use super::report;
use crate::backup::BackupError;
use crate::backup::progress::{Progress, Step};
use crate::backup::run::{Completeness, Fresh, Outcome, Request, run as run_backup};
use crate::backup::seal::SealOptions;
use crate::remote::Remote;
use crate::remote::account::DayUse;
use crate::remote::sets::BackupSet;
use crate::source::SkippedItem;
use crate::state::identity::Identity;
use crate::state::journal::LockError;
use crate::state::source_folder;

/// zstd level of frames: on two cores a higher one costs more time than its bytes are worth.
const LEVEL: i32 = 1;

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
    today: &'a DayUse,
}

/// Runs `backup`.
pub fn run(args: &BackupArgs, context: &Context) -> Result<Exit, CliError> {
    let mut identity = context.identity()?;
    let remote = context.connect_patiently(&identity.address, &identity.token)?;
    follow_keyring(&mut identity, &remote, context)?;
    let mut sets = context.wait(remote.sets())?.sets;
    sets.retain(|set| set.agent == identity.agent && args.source.as_ref().is_none_or(|name| *name == set.name));
    if sets.is_empty() {
        let error = match &args.source {
            Some(name) => CliError::new(Exit::Usage, "cli-set-unknown").with("source", name),
            None => CliError::new(Exit::Failed, "cli-no-set"),
        };
        return Err(error);
    }
    let mut worst = Exit::Done;
    for set in &sets {
        let exit = match one(set, &identity, &remote, context) {
            Ok(exit) => exit,
            // One source that fails does not keep the others from being backed up.
            Err(error) if sets.len() > 1 => {
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

/// Takes over a newer generation of the keyring, if it is authentic, before anything is sealed to its recipients.
fn follow_keyring(identity: &mut Identity, remote: &Remote, context: &Context) -> Result<(), CliError> {
    let newest = keyring(remote, Some(&identity.pin), context)?.ok_or(KeyringError::Empty)?;
    if newest.pin() == identity.pin && newest.recipients() == identity.recipients {
        return Ok(());
    }
    // The file is read again, so that settings which overrule it are not written into it.
    let mut stored = Identity::load(&context.state)?;
    (stored.pin, stored.recipients) = (newest.pin(), newest.recipients().to_vec());
    stored.store(&context.state)?;
    (identity.pin, identity.recipients) = (stored.pin, stored.recipients);
    Ok(())
}

fn one(set: &BackupSet, identity: &Identity, remote: &Remote, context: &Context) -> Result<Exit, CliError> {
    if set.kind != SourceKind::Files {
        return Err(CliError::new(Exit::Failed, "cli-kind-off").with("source", &set.name));
    }
    let settings = toml::to_string(&set.files)
        .map_err(|error| CliError::new(Exit::Failed, "cli-set-unreadable").with("source", &set.name).because(&error))?;
    let request = Request {
        identity,
        folder: source_folder(&context.state, &set.source),
        source: set.source,
        set_version: set.version,
        set: set.files.clone(),
        settings,
        host: context.host.clone(),
        started_at_ns: i64::try_from(context.now().as_nanosecond()).unwrap_or(i64::MAX),
        options: SealOptions { level: LEVEL, check_all: false },
    };
    let fresh = Fresh {
        session: SessionId::new(context.random()),
        session_key: SessionKey::new(context.random()),
        salt_seed: context.random(),
        retry_seed: u64::from_le_bytes(context.random()),
    };
    let progress = Arc::new(Progress::default());
    let counters = progress.clone();
    let meter = Meter::start(context.output, move || reading(&counters));
    let outcome = run_backup(context.runtime.handle(), remote, &request, fresh, &progress);
    meter.finish();
    tell(set, &outcome.map_err(|error| failure(error, &set.name))?, context)
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
    for item in &outcome.skipped {
        output.event(&item_event(&set.name, item))?;
        if !output.json && !item.accepted {
            note(&item_line(item, texts));
        }
    }
    output.event(&summary(&set.name, outcome))?;
    output.say(&run_report(&set.name, outcome).sentence(texts))?;
    if outcome.counts.files_fuzzy > 0 {
        let args = [("count", Arg::Count(outcome.counts.files_fuzzy))];
        output.remark(&texts.say_with("backup-fuzzy", &args));
    }
    let today = DayReport { changed_bytes: outcome.today.changed_bytes, allowed_bytes: outcome.today.allowed_bytes };
    output.say(&today.sentence(texts))?;
    if outcome.rolled_back {
        note(&texts.say("backup-rolled-back"));
    }
    Ok(if outcome.has_remarks() { Exit::Incomplete } else { Exit::Done })
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
        today: &outcome.today,
    }
}

fn failure(error: BackupError, source: &str) -> CliError {
    let told = |exit, key| CliError::new(exit, key).with("source", source);
    match error {
        BackupError::Remote(error) => error.into(),
        BackupError::Disk(error) => error.into(),
        BackupError::Lock(LockError::Busy) => told(Exit::Busy, "backup-busy"),
        BackupError::Location { found, .. } => Failure::new(ErrorCode::LocationRefused).with("location", found).into(),
        BackupError::Walk(ref cause) => told(Exit::Failed, "backup-walk").because(cause),
        BackupError::Receipt { .. } => told(Exit::Failed, "backup-receipt").because(&error),
        BackupError::SelfCheck(ref cause) => told(Exit::Failed, "backup-self-check").because(cause),
        BackupError::StillMissing(_) => told(Exit::Failed, "backup-still-missing").because(&error),
        BackupError::Cancelled => CliError::new(Exit::Interrupted, "cli-interrupted"),
        error => told(Exit::Failed, "backup-failed").because(&error),
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
        let reasons =
            [SkipReason::PermissionDenied, SkipReason::IoError, SkipReason::PathTooLong, SkipReason::Unsupported];
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

    #[test]
    fn a_second_run_of_a_source_is_busy() {
        let error = failure(BackupError::Lock(LockError::Busy), "bureautique");
        assert_eq!(error.exit, Exit::Busy);
        assert!(error.say(Texts::FRENCH).unwrap().contains("bureautique"));
    }
}
