//! What every command is given: the output, the settings, the clock, randomness and a runtime for the network.
//!
//! Invariant: I8 — the clock, the system's randomness and the environment are read here and in `cli::run` only.

use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use jiff::Timestamp;
use tokio::runtime::Runtime;

use super::failure::CliError;
use super::output::Output;
use super::secret::Prompt;
use super::stop::Stop;
use crate::config::{Config, DEFAULT_LOCATION};
use crate::remote::pace::Pace;
use crate::remote::retry::{Backoff, retry};
use crate::remote::{Address, Remote, RemoteError, Token};
use crate::state::identity::Identity;

/// Everything around a command.
pub struct Context {
    /// Where to print.
    pub output: Output,
    /// Whom to ask.
    pub prompt: Prompt,
    /// Settings of the machine.
    pub config: Config,
    /// The file that they come from.
    pub config_path: PathBuf,
    /// Folder of the agent's state.
    pub state: PathBuf,
    /// Name of this machine.
    pub host: String,
    /// Where the connection runs.
    pub runtime: Arc<Runtime>,
    /// Whether somebody wants the command to end.
    pub stop: Arc<Stop>,
}

impl Context {
    /// The present moment.
    #[expect(clippy::disallowed_methods, reason = "I8: the clock is read in cli/")]
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Bytes that nobody can guess.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        SystemRandom::new().fill(&mut bytes).expect("the system gives random bytes");
        bytes
    }

    /// This machine's identity, with the settings that overrule it.
    ///
    /// # Errors
    /// Exit code 10 if the machine was never set up.
    pub fn identity(&self) -> Result<Identity, CliError> {
        let mut identity = Identity::load(&self.state)?;
        if let Some(server) = &self.config.server {
            identity.address.url.clone_from(server);
        }
        if let Some(location) = &self.config.location {
            identity.location.clone_from(location);
        }
        Ok(identity)
    }

    /// Country that the data may lie in.
    pub fn location(&self) -> &str {
        self.config.location.as_deref().unwrap_or(DEFAULT_LOCATION)
    }

    /// A connection to the server.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub fn connect(&self, address: &Address, credential: Option<Token>) -> Result<Remote, RemoteError> {
        self.wait(Remote::connect(address, credential))
    }

    /// A connection to a server that may be starting or cut off for a moment: attempted again for about half a minute.
    ///
    /// # Errors
    /// The last [`RemoteError`].
    pub fn connect_patiently(&self, address: &Address, credential: &Token) -> Result<Remote, RemoteError> {
        let backoff = Backoff::new(u64::from_le_bytes(self.random()));
        self.wait(retry(backoff, async || Remote::connect(address, Some(credential.clone())).await))
    }

    /// The pace at which backups are sent, if the settings limit it.
    pub fn pace(&self) -> Option<Arc<Pace>> {
        let bandwidth = self.config.bandwidth.clone()?;
        #[expect(clippy::disallowed_methods, reason = "I8: the clock is read in cli/")]
        let rate = move || bandwidth.bytes_per_second(Timestamp::now());
        Some(Arc::new(Pace::new(rate)))
    }

    /// Waits for a call.
    pub fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }
}
