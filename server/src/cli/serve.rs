//! `dobaas-server serve`: serves until SIGTERM or SIGINT.

use std::fs::OpenOptions;
use std::io::Write;

use anyhow::Context;
use clap::ArgMatches;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::exit::Exit;
use super::explain::UsageError;
use super::folder;
use super::output::Output;
use super::runtime;
use crate::app::{Environment, start};
use crate::config::{Config, Log, LogFormat};

#[derive(Serialize)]
struct Listening {
    event: &'static str,
    address: String,
    fingerprint: String,
}

/// Runs the command.
///
/// # Errors
/// What kept the server from starting.
pub fn run(matches: &ArgMatches, output: Output) -> anyhow::Result<Exit> {
    let folder = folder(matches);
    let config = Config::load(&folder).with_context(|| folder.display().to_string())?;
    start_log(&config.log)?;
    let ready_fd = matches.get_one::<u32>("ready-fd").copied();
    // The network takes less than one core; packs and catalogs have threads of their own.
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    runtime::start((cores / 2).clamp(1, 4))?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let running = start(&folder, &config, &Environment::system()).await?;
        let address = running.address().to_string();
        let fingerprint = running.fingerprint().to_owned();
        output.say("server-listening", &[("address", (&address).into())])?;
        if let Some(number) = ready_fd {
            tell(number, &address)?;
        }
        tracing::info!(%address, %fingerprint, "listening");
        output.document(&Listening { event: "listening", address, fingerprint })?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        running.stop().await?;
        Ok(Exit::Done)
    })
}

/// Writes the bound address to a file descriptor that the caller opened.
fn tell(number: u32, address: &str) -> anyhow::Result<()> {
    let mut pipe = OpenOptions::new().write(true).open(format!("/proc/self/fd/{number}"))?;
    Ok(writeln!(pipe, "{address}")?)
}

fn start_log(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.level).map_err(|_| UsageError::new("log.level", log.level.clone()))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
