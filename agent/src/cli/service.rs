//! `dobaas service run`: the loop of `service::daemon` with this machine's clock, network and signals.
//!
//! It prints nothing: what happens goes to the log, without names of files, and into the state folder, where `dobaas status` reads it.
//!
//! It holds the change journals of the sources: they hear of changes for as long as it runs.
//!
//! Invariant: a stop asked for while a source is being backed up ends the run at its next chunk, and the service with exit code 0.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use common::id::{AgentId, SourceId};
use jiff::Timestamp;

use super::context::Context;
use super::failure::{CliError, Exit};
use super::trial::{Bench, Choice, keep_for};
use crate::backup::run::Outcome;
use crate::service::daemon::{Scheduled, Surroundings, Woken, serve};
use crate::service::ending::Ending;
use crate::source::journal::Journal;
use crate::state::runs::RunResult;
use crate::state::source_folder;

/// This machine.
struct Machine<'a> {
    context: &'a Context,
    agent: AgentId,
    /// Those of the sources that were backed up since the start.
    journals: RefCell<HashMap<SourceId, Rc<Journal>>>,
}

/// Runs `service run`.
pub fn run(context: &Context) -> Result<Exit, CliError> {
    let agent = context.identity()?.agent;
    tracing::info!(agent = %agent.short(), "the service runs");
    serve(&Machine { context, agent, journals: RefCell::default() }, &agent, &context.state)?;
    tracing::info!("the service stops");
    Ok(Exit::Done)
}

impl Machine<'_> {
    fn own_sources(&self) -> Result<Vec<Scheduled>, CliError> {
        let identity = self.context.identity()?;
        let remote = self.context.connect(&identity.address, Some(identity.token))?;
        let sets = self.context.wait(remote.sets())?.sets;
        let own: Vec<_> = sets.into_iter().filter(|set| set.agent == self.agent).collect();
        // A source that is not this machine's any more is not watched any more.
        self.journals.borrow_mut().retain(|source, _| own.iter().any(|set| set.source == *source));
        Ok(own
            .into_iter()
            .map(|set| Scheduled { source: set.source, name: set.name, schedule: set.schedule })
            .collect())
    }

    fn journal(&self, source: &SourceId) -> Option<Rc<Journal>> {
        let folder = source_folder(&self.context.state, source);
        let is_wanted = self.context.config.journal.unwrap_or(true);
        let mut journals = self.journals.borrow_mut();
        is_wanted.then(|| journals.entry(*source).or_insert_with(|| Rc::new(Journal::new(&folder))).clone())
    }

    fn back_up(&self, source: &Scheduled) -> Result<(), CliError> {
        let started_at = self.now();
        let bench = Bench::prepare(Choice::Source(&source.source), self.context).inspect_err(|error| {
            // It ended before it began: the server, the keyring or the set could not be had.
            let names = (&self.agent, &source.source);
            keep_for(
                self.context,
                names,
                &source.schedule,
                (&Ending::of_command(error.refusal(), &error.word()), started_at),
            );
        })?;
        let journal = self.journal(&source.source);
        for set in &bench.sets {
            log(&source.name, &bench.run_scheduled(set, &self.context.stop.watched_run(), journal.as_deref())?);
        }
        Ok(())
    }
}

impl Surroundings for Machine<'_> {
    fn now(&self) -> Timestamp {
        self.context.now()
    }

    fn wait(&self, until: Timestamp) -> Woken {
        let time = Duration::try_from(until.duration_since(self.now())).unwrap_or(Duration::ZERO);
        if self.context.stop.wait(time) { Woken::Stop } else { Woken::Time }
    }

    fn sources(&self) -> Option<Vec<Scheduled>> {
        let sources = self.own_sources();
        sources.inspect_err(|error| tracing::warn!(error = error.word(), "the backup sets cannot be asked for")).ok()
    }

    fn run(&self, source: &Scheduled) -> Woken {
        tracing::info!(source = source.name, "a backup begins");
        if let Err(error) = self.back_up(source) {
            match error.exit {
                Exit::Busy | Exit::Suspended | Exit::Interrupted => {
                    tracing::info!(source = source.name, reason = error.word(), "no backup for now");
                }
                _ => tracing::error!(source = source.name, error = error.word(), "the backup failed"),
            }
        }
        if self.context.stop.is_requested() { Woken::Stop } else { Woken::Time }
    }
}

fn log(source: &str, outcome: &Outcome) {
    let result = Ending::of_outcome(outcome).result;
    tracing::info!(
        source,
        result = result.word(),
        files = outcome.counts.files,
        skipped = outcome.counts.files_skipped,
        deferred = outcome.deferred.files,
        plain_bytes = outcome.plain_bytes,
        changed_bytes = outcome.server.changed_bytes,
        sent_bytes = outcome.counts.sent_bytes,
        seconds = outcome.duration.as_secs(),
        walk = outcome.walk.word(),
        "the backup is made"
    );
    if result == RunResult::Refused {
        tracing::error!(source, "the contract leaves no room for the rest");
    }
    if outcome.rolled_back {
        tracing::error!(source, "the server shows an older history than this machine has receipts for");
    }
}
