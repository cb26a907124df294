//! `dobaas-server mark-store`: says that the folder of the configuration is the store, after its disk was replaced.
//!
//! A folder without its mark is never taken for a store, so that a disk that is not mounted is not an empty one. Whoever put a new disk in its
//! place, with what could be saved or with nothing, says so here.
//!
//! Invariant: an empty folder is marked only if its path was typed: everything that the catalogs know is then gone. They are set aside, not
//! removed.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ArgMatches;
use serde::Serialize;

use super::arguments::text;
use super::exit::Exit;
use super::folder;
use super::output::Output;
use crate::app::CATALOGS_FOLDER;
use crate::config::Config;
use crate::folder_lock::FolderLock;
use crate::store::durable::move_new;
use crate::store::error::StoreError;
use crate::store::objects::Objects;

#[derive(Serialize)]
struct Marked {
    store: String,
    /// Subscriptions that have a folder in it.
    subscriptions: usize,
    /// Where the catalogs of what is gone are now.
    catalogs_aside: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// If the server runs, or the folder is marked already, cannot be read or written, or is empty and was not confirmed.
pub fn run(matches: &ArgMatches, output: Output) -> anyhow::Result<Exit> {
    let folder = folder(matches);
    let config = Config::load(&folder).with_context(|| folder.display().to_string())?;
    let _held = FolderLock::take(&folder)?;
    let path = config.store.display().to_string();
    let said = |key: &str| output.texts.say_with(key, &[("folder", (&path).into())]);
    match Objects::find(&config.store, config.reserve.min_bytes) {
        Err(StoreError::NoStore(_)) => {}
        Ok(_) => {
            output.complain(&said("mark-store-marked"));
            return Ok(Exit::Usage);
        }
        Err(error) => return Err(error.into()),
    }
    if !config.store.is_dir() {
        output.complain(&said("mark-store-absent"));
        return Ok(Exit::Failed);
    }
    let objects = Objects::open(&config.store, config.reserve.min_bytes)?;
    let subscriptions = objects.subscriptions()?.len();
    if subscriptions == 0 && text(matches, "confirm") != Some(path.as_str()) {
        output.complain(&said("mark-store-empty"));
        return Ok(Exit::Usage);
    }
    let aside = if subscriptions == 0 { set_catalogs_aside(&folder)? } else { None };
    objects.mark()?;
    let aside = aside.map(|aside| aside.display().to_string());
    output.document(&Marked { store: path.clone(), subscriptions, catalogs_aside: aside.clone() })?;
    if subscriptions > 0 {
        output.say("mark-store-done", &[("folder", path.into()), ("count", (subscriptions as u64).into())])?;
    } else {
        let aside = aside.unwrap_or_else(|| "none".to_owned());
        output.say("mark-store-done-empty", &[("folder", path.into()), ("aside", aside.into())])?;
    }
    Ok(Exit::Done)
}

/// Renames the folder of the catalogs, which describe what is gone; where it is now.
fn set_catalogs_aside(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let catalogs = folder.join(CATALOGS_FOLDER);
    if !catalogs.is_dir() {
        return Ok(None);
    }
    let free =
        (1..).map(|number| folder.join(format!("{CATALOGS_FOLDER}-before-{number}"))).find(|path| !path.exists());
    let aside = free.context("no name is free")?;
    move_new(&catalogs, &aside)?;
    crate::durable::sync_folder(folder)?;
    Ok(Some(aside))
}
