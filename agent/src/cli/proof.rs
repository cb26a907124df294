//! `dobaas verify` and `dobaas dump`: reading content back without putting it on the disk.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use common::text::Arg;
use common::tree::entry::EntryKind;
use serde::Serialize;

use super::access::{Access, threads};
use super::args::reading::{DumpArgs, VerifyArgs};
use super::browse::{failure as browse_failure, key_of};
use super::context::Context;
use super::failure::{CliError, Exit};
use super::meter::Meter;
use super::output::note;
use super::restore::{failure, item_event, item_line, reading};
use crate::browse::contents::Browser;
use crate::restore::dump::{DumpError, dump};
use crate::restore::fetch::FetchError;
use crate::restore::outcome::Progress;
use crate::restore::verify::{VerifyOptions, verify};

/// The end of a verification.
#[derive(Serialize)]
struct SummaryEvent<'a> {
    event: &'static str,
    source: &'a str,
    snapshot: String,
    percent: u8,
    complete: bool,
    files: u64,
    bytes: u64,
    failed: u64,
    duration_ms: u64,
}

/// Runs `verify`.
pub fn run_verify(args: &VerifyArgs, context: &Context) -> Result<Exit, CliError> {
    let access = Access::to_content(&args.point.read, context)?;
    let source = access.source(args.point.source.as_deref(), context)?;
    let point = access.point(&source, &args.point.at, context)?;
    let reader = access.reader(&point, context)?;
    let seed = u64::from_le_bytes(context.random());
    let options = VerifyOptions { percent: args.percent, seed, threads: threads() };
    let begun = Instant::now();
    let progress = Arc::new(Progress::default());
    let counters = progress.clone();
    let meter = Meter::start(context.output, move || reading("step-verifying", &counters));
    let outcome = verify(reader.snapshot(), options, &progress, reader.stop());
    meter.finish();
    let outcome = outcome.map_err(|error| failure(error, std::path::Path::new("/")))?;
    let (output, texts) = (context.output, context.output.texts);
    for item in &outcome.problems {
        output.event(&item_event(item))?;
        if !output.json {
            note(&item_line(item, texts));
        }
    }
    if outcome.is_complete() {
        let whole = args.percent == 100;
        if let Err(error) = context.wait(access.remote.report_verified(&point.session(), whole)) {
            tracing::info!(%error, "the verification could not be reported");
        }
    }
    let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    output.event(&SummaryEvent {
        event: "summary",
        source: &source.name,
        snapshot: point.session().to_string(),
        percent: args.percent,
        complete: outcome.is_complete(),
        files: outcome.files,
        bytes: outcome.bytes,
        failed: outcome.failed,
        duration_ms,
    })?;
    let words = [
        ("files", Arg::Count(outcome.files)),
        ("bytes", texts.size(outcome.bytes).into()),
        ("failed", Arg::Count(outcome.failed)),
        ("duration", texts.duration(duration_ms).into()),
    ];
    output.say(&texts.say_with(if outcome.is_complete() { "verify-good" } else { "verify-bad" }, &words))?;
    Ok(if outcome.is_complete() { Exit::Done } else { Exit::Incomplete })
}

/// Runs `dump`: the content of one file on standard output, nothing else.
pub fn run_dump(args: &DumpArgs, context: &Context) -> Result<Exit, CliError> {
    let absent = || CliError::new(Exit::Failed, "browse-absent").with("path", args.file.display());
    let key = key_of(&args.file)?.ok_or_else(absent)?;
    let access = Access::to_content(&args.point.read, context)?;
    let source = access.source(args.point.source.as_deref(), context)?;
    let reader = access.reader(&access.point(&source, &args.point.at, context)?, context)?;
    let fetcher = reader.fetcher();
    let browser = Browser { fetcher: &fetcher };
    let mut entry = browser.entry(reader.root(), &key).map_err(browse_failure)?.ok_or_else(absent)?;
    if let EntryKind::HardLink { to } = &entry.kind {
        entry = browser.entry(reader.root(), to).map_err(browse_failure)?.ok_or_else(absent)?;
    }
    let EntryKind::File(file) = &entry.kind else {
        return Err(CliError::new(Exit::Failed, "dump-no-file").with("path", args.file.display()));
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let ended = dump(&fetcher, file, &mut out);
    let flushed = out.flush();
    match ended {
        Ok(()) => {
            flushed?;
            Ok(Exit::Done)
        }
        Err(DumpError::Write(error)) => Err(error.into()),
        Err(DumpError::Fetch(FetchError::Remote(error))) => Err(error.into()),
        Err(error) => Err(CliError::new(Exit::Failed, "dump-failed").with("path", args.file.display()).because(&error)),
    }
}
