//! `dobaas-server init`: makes a server's folder and shows, once, what must be written down.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context;
use clap::ArgMatches;
use serde::Serialize;

use super::arguments::text;
use super::exit::Exit;
use super::explain::UsageError;
use super::folder;
use super::output::Output;
use crate::app::Environment;
use crate::auth::logins::{is_identifier, normal_identifier};
use crate::config::Settings;
use crate::contract::location::Location;
use crate::setup::{initialize, readable_fingerprint};

/// Names that every certificate holds, for agents on the same machine.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

#[derive(Serialize)]
struct Made<'a> {
    folder: &'a str,
    fingerprint: &'a str,
    operator: &'a str,
    default_password: &'a str,
}

/// Runs the command.
///
/// # Errors
/// What could not be made.
pub fn run(matches: &ArgMatches, output: Output) -> anyhow::Result<Exit> {
    let folder = folder(matches);
    let operator = normal_identifier(text(matches, "operator").unwrap_or_default());
    if !is_identifier(&operator) {
        return Err(UsageError::new("--operator", operator).into());
    }
    let settings = settings(matches)?;
    let made = initialize(&folder, &settings, &operator, &Environment::system())
        .with_context(|| folder.display().to_string())?;
    let shown_folder = folder.display().to_string();
    output.document(&Made {
        folder: &shown_folder,
        fingerprint: &made.fingerprint,
        operator: &made.operator,
        default_password: &made.default_password,
    })?;
    output.say(
        "server-init-done",
        &[
            ("folder", (&shown_folder).into()),
            ("fingerprint", readable_fingerprint(&made.fingerprint).into()),
            ("operator", (&made.operator).into()),
            ("password", made.default_password.as_str().into()),
            ("site", (&settings.location.site).into()),
            ("country", (&settings.location.country).into()),
        ],
    )?;
    Ok(Exit::Done)
}

fn settings(matches: &ArgMatches) -> anyhow::Result<Settings> {
    let listen = text(matches, "listen").unwrap_or_default();
    let listen: SocketAddr = listen.parse().map_err(|_| UsageError::new("--listen", listen))?;
    let mut names: Vec<String> = OWN_NAMES.map(str::to_owned).to_vec();
    if !listen.ip().is_unspecified() {
        names.push(listen.ip().to_string());
    }
    for name in matches.get_many::<String>("name").into_iter().flatten() {
        let is_host = name.parse::<IpAddr>().is_ok() || rustls::pki_types::DnsName::try_from(name.as_str()).is_ok();
        if !is_host {
            return Err(UsageError::new("--name", name.clone()).into());
        }
        names.push(name.clone());
    }
    names.sort_unstable();
    names.dedup();
    let part = |name| text(matches, name).unwrap_or_default().to_owned();
    let location = Location { site: part("site"), country: part("country"), owner: part("owner") };
    Ok(Settings { listen, names, location })
}
