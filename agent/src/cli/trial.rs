//! One run of one source with everything around it: connection, keyring, newest set, counters, and the note of how it ended.
//!
//! `cli::backup` tells a person of it, `cli::service` the log.
//!
//! Invariant: every run follows the newest version of its set, and leaves its ending in the state folder, whoever asked for it.

use std::sync::Arc;

use common::id::{AgentId, SessionId, SourceId};
use common::keyring::KeyringError;
use common::keys::SessionKey;
use common::source_kind::SourceKind;
use jiff::Timestamp;
use proto::code::{ErrorCode, Failure};

use super::context::Context;
use super::failure::{CliError, Exit};
use super::login::keyring;
use super::sources::is_on;
use crate::backup::BackupError;
use crate::backup::progress::Progress;
use crate::backup::run::{Fresh, Outcome, Request, run as run_backup};
use crate::backup::seal::SealOptions;
use crate::remote::Remote;
use crate::remote::sets::BackupSet;
use crate::schedule::{Planner, Spread};
use crate::service::ending::{Ending, note, schedule_of};
use crate::source::disk::DiskRules;
use crate::source::disk::tools::Tools;
use crate::source::files::WalkError;
use crate::source::journal::Journal;
use crate::state::identity::Identity;
use crate::state::journal::LockError;
use crate::state::runs::RunResult;
use crate::state::source_folder;

/// zstd level of frames: on two cores a higher one costs more time than its bytes are worth.
const LEVEL: i32 = 1;

/// What is backed up, from where, to where.
pub struct Bench<'a> {
    context: &'a Context,
    identity: Identity,
    remote: Remote,
    /// The sets of this machine, newest versions.
    pub sets: Vec<BackupSet>,
}

/// Which of the machine's sources.
#[derive(Debug, Clone, Copy)]
pub enum Choice<'a> {
    /// All, or the one of this name.
    Named(Option<&'a str>),
    /// This one.
    Source(&'a SourceId),
}

impl Choice<'_> {
    fn takes(self, set: &BackupSet) -> bool {
        match self {
            Self::Named(name) => name.is_none_or(|name| name == set.name),
            Self::Source(source) => *source == set.source,
        }
    }
}

impl<'a> Bench<'a> {
    /// Connects, follows the keyring, and asks for the sets.
    ///
    /// # Errors
    /// Exit code 2 for a source that is not this machine's.
    pub fn prepare(choice: Choice<'_>, context: &'a Context) -> Result<Self, CliError> {
        let mut identity = context.identity()?;
        let remote = context.connect_patiently(&identity.address, &identity.token)?.paced(context.pace());
        follow_keyring(&mut identity, &remote, context)?;
        let mut sets = context.wait(remote.sets())?.sets;
        sets.retain(|set| set.agent == identity.agent && choice.takes(set));
        match choice {
            _ if !sets.is_empty() => Ok(Self { context, identity, remote, sets }),
            Choice::Named(Some(name)) => Err(CliError::new(Exit::Usage, "cli-set-unknown").with("source", name)),
            Choice::Named(None) | Choice::Source(_) => Err(CliError::new(Exit::Failed, "cli-no-set")),
        }
    }

    /// Makes one snapshot of `set` by hand; `progress` counts meanwhile.
    ///
    /// # Errors
    /// [`CliError`] if there is no snapshot.
    pub fn run(&self, set: &BackupSet, progress: &Arc<Progress>) -> Result<Outcome, CliError> {
        // Another run at work is no event of the source when somebody asked for one more.
        self.run_and_keep(set, (progress, None), |ending| ending.result != RunResult::Busy)
    }

    /// Makes one snapshot of `set` for its schedule, by what the service heard of changes.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_scheduled(
        &self,
        set: &BackupSet,
        progress: &Arc<Progress>,
        journal: Option<&Journal>,
    ) -> Result<Outcome, CliError> {
        self.run_and_keep(set, (progress, journal), |_| true)
    }

    fn run_and_keep(
        &self,
        set: &BackupSet,
        (progress, journal): (&Arc<Progress>, Option<&Journal>),
        keeps: impl Fn(&Ending) -> bool,
    ) -> Result<Outcome, CliError> {
        let started_at = self.context.now();
        let outcome = self.attempt(set, started_at, (progress, journal));
        let ending = match &outcome {
            Ok(outcome) => Ending::of_outcome(outcome),
            Err(Attempt::Backup(error)) => Ending::of_error(error),
            Err(Attempt::Set(_)) => Ending::failed("set"),
        };
        if keeps(&ending) {
            let names = (&self.identity.agent, &set.source);
            keep_for(self.context, names, &set.schedule, (&ending, started_at));
        }
        outcome.map_err(|error| match error {
            Attempt::Backup(error) => failure(error, &set.name),
            Attempt::Set(error) => error,
        })
    }

    fn attempt(
        &self,
        set: &BackupSet,
        started_at: Timestamp,
        (progress, journal): (&Arc<Progress>, Option<&Journal>),
    ) -> Result<Outcome, Attempt> {
        let Self { context, identity, remote, .. } = self;
        if !is_on(set.kind) {
            return Err(Attempt::Set(CliError::new(Exit::Failed, "cli-kind-off").with("source", &set.name)));
        }
        let unreadable = |error: toml::ser::Error| {
            Attempt::Set(CliError::new(Exit::Failed, "cli-set-unreadable").with("source", &set.name).because(&error))
        };
        let request = Request {
            identity,
            folder: source_folder(&context.state, &set.source),
            source: set.source,
            set_version: set.version,
            set: set.files.clone(),
            disks: (set.kind == SourceKind::VirtualDisk)
                .then(|| DiskRules { tools: Tools::default(), bitmaps: context.config.disk_bitmaps }),
            settings: toml::to_string(&set.files).map_err(unreadable)?,
            host: context.host.clone(),
            started_at_ns: i64::try_from(started_at.as_nanosecond()).unwrap_or(i64::MAX),
            options: SealOptions { level: LEVEL, check_all: false },
            // Who writes into disk images keeps them open, and its writes are not all heard of.
            journal: journal.filter(|_| set.kind == SourceKind::Files),
        };
        let fresh = Fresh {
            session: SessionId::new(context.random()),
            session_key: SessionKey::new(context.random()),
            salt_seed: context.random(),
            retry_seed: u64::from_le_bytes(context.random()),
        };
        run_backup(context.runtime.handle(), remote, &request, fresh, progress).map_err(Attempt::Backup)
    }
}

/// Why there is no snapshot.
enum Attempt {
    Backup(BackupError),
    Set(CliError),
}

/// Notes how a run ended that may not even have got as far as its set.
pub fn keep_for(
    context: &Context,
    (agent, source): (&AgentId, &SourceId),
    schedule: &str,
    (ending, started_at): (&Ending, Timestamp),
) {
    let schedule = schedule_of(schedule);
    let spread = Spread::of(agent, source);
    let planner = schedule.as_ref().map(|schedule| Planner { schedule, spread, awake_since: started_at });
    let folder = source_folder(&context.state, source);
    if let Err(error) = note(&folder, planner.as_ref(), ending, (started_at, context.now())) {
        tracing::warn!(%error, "how the run ended is not kept");
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

fn failure(error: BackupError, source: &str) -> CliError {
    let told = |exit, key| CliError::new(exit, key).with("source", source);
    match error {
        BackupError::Remote(error) => error.into(),
        BackupError::Disk(error) => error.into(),
        BackupError::Lock(LockError::Busy) => told(Exit::Busy, "backup-busy"),
        BackupError::Location { found, .. } => Failure::new(ErrorCode::LocationRefused).with("location", found).into(),
        BackupError::Walk(WalkError::NotMounted { path }) => {
            told(Exit::Failed, "backup-not-mounted").with("path", path.display().to_string())
        }
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
    use common::text::Texts;

    #[test]
    fn a_second_run_of_a_source_is_busy() {
        let error = failure(BackupError::Lock(LockError::Busy), "bureautique");
        assert_eq!(error.exit, Exit::Busy);
        assert!(error.say(Texts::FRENCH).unwrap().contains("bureautique"));
    }
}
