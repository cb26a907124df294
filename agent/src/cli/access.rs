//! Who reads, and with which keys: this machine's agent for names, a person with the keyring for content.
//!
//! ```text
//! names    on an enrolled machine   the agent's token and the secret of its scope
//! content  on an enrolled machine   a login (or the agent's explicit right), and the keyring
//! both     on any other machine     --server, --fingerprint, a login, and the keyring
//! ```
//!
//! Invariant: a snapshot is used only if its mac is that of its scope, and its receipt the provider's for exactly its bytes.

use std::sync::atomic::AtomicBool;

use common::id::{ChunkId, ScopeId, SubscriptionId};
use common::keyring::KeyringError;
use common::keyring::holder::ReadingKeys;
use common::keys::ScopeSecret;
use common::text::Arg;
use common::text::date::moment;

use super::args::reading::ReadArgs;
use super::context::Context;
use super::failure::{CliError, Exit};
use super::login::{address, keyring, opened, person};
use crate::browse::address::{Address, Unresolved, resolve};
use crate::browse::history::{History, Point, ReceiptState};
use crate::remote::Remote;
use crate::remote::restore::{SnapshotList, SourceInfo};
use crate::remote::signers::certified;
use crate::restore::Snapshot;
use crate::restore::fetch::{Fetcher, RemoteFrames};
use crate::restore::unlock::Unlock;
use crate::state::identity::{Identity, Signer};

/// Most threads that open frames and write files.
const THREADS_MAX: usize = 8;

/// A connection that reads, with its keys.
pub struct Access {
    /// The connection.
    pub remote: Remote,
    subscription: SubscriptionId,
    signers: Vec<Signer>,
    keys: Keys,
}

enum Keys {
    /// Names of one scope.
    Scope(ScopeId, ScopeSecret),
    /// Everything.
    Holder(ReadingKeys),
}

impl Access {
    /// For dates and names. On an enrolled machine nothing is asked, unless the options name a person.
    ///
    /// # Errors
    /// Exit code 10 without an identity and without `--server`; exit code 12 for wrong credentials.
    pub fn to_names(args: &ReadArgs, context: &Context) -> Result<Self, CliError> {
        if args.server.server.is_some() || args.person.identifier.is_some() {
            return Self::to_content(args, context);
        }
        let identity = context.identity()?;
        let remote = context.connect(&identity.address, Some(identity.token.clone()))?;
        Ok(Self::of_agent(remote, identity))
    }

    /// For content: somebody who may restore, and the keyring.
    ///
    /// # Errors
    /// As [`Self::to_names`].
    pub fn to_content(args: &ReadArgs, context: &Context) -> Result<Self, CliError> {
        let address = address(&args.server, context)?;
        let identity = if args.server.server.is_none() { Some(context.identity()?) } else { None };
        let remote = match &identity {
            Some(identity) if args.person.identifier.is_none() => agent_or_person(identity, args, context)?,
            _ => person(&address, &args.person, context)?,
        };
        let pin = identity.as_ref().map(|identity| identity.pin);
        let keyring = keyring(&remote, pin.as_ref(), context)?.ok_or(KeyringError::Empty)?;
        let keys = opened(&keyring, &args.key, context)?;
        let subscription = context.wait(remote.whoami())?.subscription;
        let signers = match identity {
            Some(identity) => identity.signers,
            None => certified(&address.root_pem, &context.wait(remote.describe())?.signers)?,
        };
        Ok(Self { remote, subscription, signers, keys: Keys::Holder(keys) })
    }

    fn of_agent(remote: Remote, identity: Identity) -> Self {
        let keys = Keys::Scope(identity.scope, identity.scope_secret);
        Self { remote, subscription: identity.subscription, signers: identity.signers, keys }
    }

    /// What opens the frames of a scope; `None` for another scope than the agent's own.
    fn unlock(&self, scope: &ScopeId) -> Option<Unlock> {
        let (secret, identities) = match &self.keys {
            Keys::Scope(own, secret) => ((own == scope).then(|| secret.clone())?, Vec::new()),
            Keys::Holder(keys) => (keys.writing.scope_secret(scope), keys.identities.clone()),
        };
        Some(Unlock::new(self.subscription, secret.keys(), identities))
    }

    /// The source called `name`, or the only one.
    ///
    /// # Errors
    /// Exit code 2 if there is no such source, or several and no name.
    pub fn source(&self, name: Option<&str>, context: &Context) -> Result<SourceInfo, CliError> {
        let sources = context.wait(self.remote.sources())?;
        let known = sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>().join(", ");
        let mut fitting = sources.into_iter().filter(|source| name.is_none_or(|name| source.name == name));
        match (fitting.next(), fitting.next()) {
            (Some(source), None) => Ok(source),
            (None, _) if name.is_none() => Err(CliError::new(Exit::Failed, "cli-no-snapshot")),
            (None, _) => Err(CliError::new(Exit::Usage, "cli-source-unknown")
                .with("source", name.unwrap_or_default())
                .with("known", known)),
            (Some(_), Some(_)) => Err(CliError::new(Exit::Usage, "cli-source-needed").with("known", known)),
        }
    }

    /// The snapshot of `source` that `text` names.
    ///
    /// # Errors
    /// Exit code 2 for a text that is no name of a snapshot; 1 if there is none, or it is not authentic.
    pub fn point(&self, source: &SourceInfo, text: &str, context: &Context) -> Result<Point, CliError> {
        let address: Address = text.parse().map_err(|_| CliError::new(Exit::Usage, "cli-point").with("point", text))?;
        let most = match address {
            Address::Back(back) => Some(back + 1),
            _ => None,
        };
        let mut history = self.history(source, most, context)?;
        let resolved = resolve(&address, &history.candidates()).map_err(|error| unresolved(&error, text, source))?;
        let point = history.points.swap_remove(resolved.index);
        if point.receipt != ReceiptState::Good {
            return Err(CliError::new(Exit::Failed, "cli-snapshot-untrusted").with("id", point.session().short()));
        }
        if !resolved.exact {
            let texts = context.output.texts;
            let date = texts.date_and_relative(moment(point.listed.stored.server.received_at_ns), context.now());
            let args = [("point", Arg::from(text)), ("date", date.into())];
            context.output.remark(&texts.say_with("point-other-day", &args));
        }
        Ok(point)
    }

    /// The snapshots of a source, newest first, at most `most`, each held against its scope's key and its receipt; says how
    /// many cannot be used.
    ///
    /// # Errors
    /// Any error of the server.
    pub fn history(&self, source: &SourceInfo, most: Option<usize>, context: &Context) -> Result<History, CliError> {
        let mut list = SnapshotList::default();
        loop {
            let until_ns = list.snapshots.last().map(|last| last.stored.server.received_at_ns - 1);
            let left = most.map_or(0, |most| u32::try_from(most - list.snapshots.len()).unwrap_or(0));
            let page = context.wait(self.remote.snapshots(Some(&source.source), until_ns, left))?;
            list.unreadable += page.unreadable;
            let ended = page.snapshots.is_empty();
            list.snapshots.extend(page.snapshots);
            if ended || most.is_some_and(|most| list.snapshots.len() >= most) {
                break;
            }
        }
        let signers: Vec<Vec<u8>> = self.signers.iter().map(|signer| signer.public_key.to_vec()).collect();
        let history = History::check(list, |scope| self.unlock(scope).map(|u| u.keys().snapshot_mac.clone()), &signers);
        let unusable = history.refused.len() + history.unreadable;
        if unusable > 0 {
            let args = [("count", Arg::Count(unusable as u64))];
            context.output.remark(&context.output.texts.say_with("dates-unusable", &args));
        }
        Ok(history)
    }

    /// A snapshot that is ready to be read.
    ///
    /// # Errors
    /// If its scope is not the one of this machine's agent.
    pub fn reader(&self, point: &Point, context: &Context) -> Result<Reader, CliError> {
        let head = &point.listed.stored.head;
        let unlock = self.unlock(&head.scope).ok_or_else(|| CliError::new(Exit::Failed, "cli-other-scope"))?;
        let frames = RemoteFrames {
            remote: self.remote.clone(),
            runtime: context.runtime.handle().clone(),
            scope: head.scope,
            seed: u64::from_le_bytes(context.random()),
        };
        Ok(Reader { frames, unlock, root: head.root, stop: AtomicBool::new(false) })
    }
}

/// What reads one snapshot: where its frames come from, and what opens them.
pub struct Reader {
    frames: RemoteFrames,
    unlock: Unlock,
    root: ChunkId,
    stop: AtomicBool,
}

impl Reader {
    /// Its root node.
    pub fn root(&self) -> ChunkId {
        self.root
    }

    /// For whole snapshots.
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot { frames: &self.frames, unlock: &self.unlock, root: self.root }
    }

    /// For nodes and single files.
    pub fn fetcher(&self) -> Fetcher<'_> {
        Fetcher { source: &self.frames, unlock: &self.unlock, threads: threads(), stop: &self.stop }
    }

    /// Never set: Ctrl-C ends the program.
    pub fn stop(&self) -> &AtomicBool {
        &self.stop
    }
}

/// Threads that open frames and write files.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).min(THREADS_MAX)
}

fn unresolved(error: &Unresolved, text: &str, source: &SourceInfo) -> CliError {
    let told = |key| CliError::new(Exit::Failed, key).with("point", text).with("source", &source.name);
    match error {
        Unresolved::None | Unresolved::TooOld { .. } | Unresolved::UnknownId => told("cli-point-absent"),
        Unresolved::AmbiguousId => CliError::new(Exit::Usage, "cli-id-ambiguous").with("id", text),
    }
}

/// The agent itself if it has the right to content, a person otherwise.
fn agent_or_person(identity: &Identity, args: &ReadArgs, context: &Context) -> Result<Remote, CliError> {
    let agent = context.connect(&identity.address, Some(identity.token.clone()))?;
    if context.wait(agent.whoami())?.can_restore {
        return Ok(agent);
    }
    person(&identity.address, &args.person, context)
}
