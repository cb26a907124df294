//! What `rebuild` and `scrub` share: the storage engine of a stopped server, and the subscriptions that a command names.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use clap::ArgMatches;
use common::id::SubscriptionId;

use super::arguments::text;
use super::explain::UsageError;
use super::folder;
use crate::app::{self, CONTROL_FILE, Environment, IDENTITY_FOLDER};
use crate::config::Config;
use crate::control::Control;
use crate::folder_lock::FolderLock;
use crate::identity::Identity;
use crate::subscriptions::Subscriptions;

/// The engine, and what the command is about.
pub struct Work {
    /// The engine.
    pub subscriptions: Subscriptions,
    /// The subscriptions with the references of their order forms (their ids without one).
    pub wanted: Vec<(SubscriptionId, String)>,
    /// When the command began, in nanoseconds since 1970.
    pub now_ns: i64,
    _folder: FolderLock,
}

/// Opens the engine of the folder that a command was given.
///
/// # Errors
/// If a part cannot be opened, or the named subscription is not there.
pub fn open(matches: &ArgMatches) -> anyhow::Result<Work> {
    let folder = folder(matches);
    let environment = Environment::system();
    let config = Config::load(&folder).with_context(|| folder.display().to_string())?;
    let held = FolderLock::take(&folder)?;
    let (subscriptions, control) = engine(&folder, &config, &environment)?;
    let known = control.subscriptions(None)?;
    let reference = |id: &SubscriptionId| {
        let found = known.iter().find(|known| known.subscription == *id);
        found.map_or_else(|| id.to_string(), |found| found.form.reference.clone())
    };
    let all = subscriptions.stored()?.into_iter().map(|id| (id, reference(&id)));
    let wanted: Vec<_> = match text(matches, "subscription") {
        None => all.collect(),
        Some(name) => all.filter(|(id, reference)| name == reference || name == id.to_string()).collect(),
    };
    match text(matches, "subscription") {
        Some(name) if wanted.is_empty() => Err(UsageError::new("SUBSCRIPTION", name).into()),
        _ => Ok(Work { subscriptions, wanted, now_ns: environment.clock.now_ns(), _folder: held }),
    }
}

fn engine(folder: &Path, config: &Config, environment: &Environment) -> anyhow::Result<(Subscriptions, Arc<Control>)> {
    let identity = Identity::load(&folder.join(IDENTITY_FOLDER))?;
    let control = Arc::new(Control::open(&folder.join(CONTROL_FILE))?);
    Ok((app::subscriptions(folder, config, &identity, &control, environment)?, control))
}
