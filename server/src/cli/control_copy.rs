//! `dobaas-server backup-control` and `restore-control`: the provider's records into the store, and back from it.

use anyhow::Context;
use clap::ArgMatches;
use common::text::date::moment;
use serde::Serialize;

use super::arguments::text;
use super::exit::Exit;
use super::explain::UsageError;
use super::folder;
use super::output::Output;
use crate::app::{CONTROL_FILE, Environment};
use crate::config::Config;
use crate::folder_lock::FolderLock;
use crate::store::control_copies::{ControlCopies, CopyName};
use crate::store::objects::Objects;
use crate::upkeep::control_copy;

#[derive(Serialize)]
struct Line {
    file: String,
    taken_at: String,
}

/// Makes a copy.
///
/// # Errors
/// What could not be read or written.
pub fn backup(matches: &ArgMatches, output: Output) -> anyhow::Result<Exit> {
    let copies = copies(matches)?;
    let now_ns = Environment::system().clock.now_ns();
    let made = control_copy::make(&folder(matches).join(CONTROL_FILE), &copies, now_ns)?;
    output.document(&line(&made))?;
    output.say("control-copied", &[("file", made.file().into())])?;
    Ok(Exit::Done)
}

/// Puts a copy in the place of a control store that is gone.
///
/// # Errors
/// If the server runs, a control store is there, or the copy is not what it was.
pub fn restore(matches: &ArgMatches, output: Output) -> anyhow::Result<Exit> {
    let copies = copies(matches)?;
    let _held = FolderLock::take(&folder(matches))?;
    let named = |file: &str| CopyName::named(file).ok_or_else(|| UsageError::new("--copy", file));
    let wanted = text(matches, "copy").map(named).transpose()?;
    let restored = control_copy::restore(&folder(matches).join(CONTROL_FILE), &copies, wanted.as_ref())?;
    output.document(&line(&restored))?;
    output.say("control-restored", &[("at", output.texts.date_precise(moment(restored.taken_at_ns)).into())])?;
    Ok(Exit::Done)
}

fn copies(matches: &ArgMatches) -> anyhow::Result<ControlCopies> {
    let folder = folder(matches);
    let config = Config::load(&folder).with_context(|| folder.display().to_string())?;
    Ok(Objects::find(&config.store, config.reserve.min_bytes)?.control_copies())
}

fn line(name: &CopyName) -> Line {
    Line { file: name.file(), taken_at: moment(name.taken_at_ns).to_string() }
}
