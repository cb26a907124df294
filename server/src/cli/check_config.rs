//! `dobaas-server check-config`: reads everything that `serve` would need, and changes nothing.

use anyhow::Context;
use clap::ArgMatches;
use serde::Serialize;

use super::exit::Exit;
use super::folder;
use super::output::Output;
use crate::app::IDENTITY_FOLDER;
use crate::config::Config;
use crate::identity::Identity;
use crate::setup::readable_fingerprint;
use crate::store::objects::Objects;

#[derive(Serialize)]
struct Checked {
    listen: String,
    names: Vec<String>,
    store: String,
    site: String,
    country: String,
    owner: String,
    fingerprint: String,
}

/// Runs the command.
///
/// # Errors
/// The first thing that is wrong.
pub fn run(matches: &ArgMatches, output: Output) -> anyhow::Result<Exit> {
    let folder = folder(matches);
    let config = Config::load(&folder).with_context(|| folder.display().to_string())?;
    config.alarms.check_files()?;
    let identity = Identity::load(&folder.join(IDENTITY_FOLDER))?;
    Objects::find(&config.store, config.reserve.min_bytes)?;
    let location = config.location();
    let checked = Checked {
        listen: config.listen.to_string(),
        names: config.names,
        store: config.store.display().to_string(),
        site: location.site,
        country: location.country,
        owner: location.owner,
        fingerprint: identity.fingerprint(),
    };
    output.document(&checked)?;
    output.say(
        "server-config-valid",
        &[
            ("listen", (&checked.listen).into()),
            ("names", checked.names.join(", ").into()),
            ("store", (&checked.store).into()),
            ("site", (&checked.site).into()),
            ("country", (&checked.country).into()),
            ("owner", (&checked.owner).into()),
            ("fingerprint", readable_fingerprint(&checked.fingerprint).into()),
        ],
    )?;
    Ok(Exit::Done)
}
