//! Who reads, and with which keys: this machine's agent for names, a person with the keyring for content.
//!
//! ```text
//! names    on an enrolled machine   the agent's token and the secret of its scope
//! content  on an enrolled machine   a login (or the agent's explicit right), and the keyring
//! both     on any other machine     --server, --fingerprint, a login, and the keyring
//! ```
//!
//! Invariant: a snapshot is used only if its mac is that of its scope, and its receipt that of the provider and of its bytes.

use common::id::{ScopeId, SubscriptionId};
use common::keyring::KeyringError;
use common::keyring::holder::ReadingKeys;
use common::keys::ScopeSecret;
use common::receipt::verify;
use common::text::Arg;
use common::text::date::{moment, paris};

use super::args::ReadArgs;
use super::context::Context;
use super::failure::{CliError, Exit};
use super::login::{address, keyring, opened, person};
use super::point::Point;
use crate::remote::Remote;
use crate::remote::restore::{ListedSnapshot, SourceInfo};
use crate::remote::signers::certified;
use crate::restore::fetch::RemoteFrames;
use crate::restore::unlock::Unlock;
use crate::state::identity::{Identity, Signer};

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
    pub fn unlock(&self, scope: &ScopeId) -> Option<Unlock> {
        let (secret, identities) = match &self.keys {
            Keys::Scope(own, secret) => ((own == scope).then(|| secret.clone())?, Vec::new()),
            Keys::Holder(keys) => (keys.writing.scope_secret(scope), keys.identities.clone()),
        };
        Some(Unlock::new(self.subscription, secret.keys(), identities))
    }

    /// Where the frames of a scope come from.
    pub fn frames(&self, scope: ScopeId, context: &Context) -> RemoteFrames {
        RemoteFrames {
            remote: self.remote.clone(),
            runtime: context.runtime.handle().clone(),
            scope,
            seed: u64::from_le_bytes(context.random()),
        }
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

    /// The snapshot of `source` that `text` names, checked.
    ///
    /// # Errors
    /// Exit code 2 for a text that is no name of a snapshot; 1 if there is none, or it is not authentic.
    pub fn snapshot(&self, source: &SourceInfo, text: &str, context: &Context) -> Result<ListedSnapshot, CliError> {
        let point = Point::parse(text).ok_or_else(|| CliError::new(Exit::Usage, "cli-point").with("point", text))?;
        let absent =
            || CliError::new(Exit::Failed, "cli-point-absent").with("point", text).with("source", &source.name);
        let list = |until_ns, limit| context.wait(self.remote.snapshots(Some(&source.source), until_ns, limit));
        let found = match &point {
            Point::Latest => list(None, 1)?.snapshots.into_iter().next(),
            Point::Before(count) => list(None, count + 1)?.snapshots.into_iter().nth(*count as usize),
            Point::Until { until_ns, .. } => list(Some(*until_ns), 1)?.snapshots.into_iter().next(),
            Point::Id(digits) => self.by_id(source, digits, context)?,
        };
        let found = found.ok_or_else(absent)?;
        self.check(&found)?;
        if let Point::Until { day, .. } = point {
            let at = moment(found.stored.server.received_at_ns);
            if at.to_zoned(paris()).date() != day {
                let texts = context.output.texts;
                let args =
                    [("day", Arg::from(texts.day(day))), ("date", texts.date_and_relative(at, context.now()).into())];
                context.output.remark(&texts.say_with("point-other-day", &args));
            }
        }
        Ok(found)
    }

    /// Every snapshot of a source, newest first, page by page.
    ///
    /// # Errors
    /// Any error of the server.
    pub fn snapshots(&self, source: &SourceInfo, context: &Context) -> Result<Vec<ListedSnapshot>, CliError> {
        let mut all: Vec<ListedSnapshot> = Vec::new();
        loop {
            let until_ns = all.last().map(|last| last.stored.server.received_at_ns - 1);
            let page = context.wait(self.remote.snapshots(Some(&source.source), until_ns, 0))?.snapshots;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    fn by_id(&self, source: &SourceInfo, digits: &str, context: &Context) -> Result<Option<ListedSnapshot>, CliError> {
        let all = self.snapshots(source, context)?;
        let mut fitting = all.into_iter().filter(|one| one.stored.head.session.to_string().starts_with(digits));
        match (fitting.next(), fitting.next()) {
            (Some(_), Some(_)) => Err(CliError::new(Exit::Usage, "cli-id-ambiguous").with("id", digits)),
            (one, _) => Ok(one),
        }
    }

    /// Refuses a snapshot that its scope did not write, or that is not what the provider gave a receipt for.
    fn check(&self, snapshot: &ListedSnapshot) -> Result<(), CliError> {
        let head = &snapshot.stored.head;
        let refused = |reason: &str| {
            CliError::new(Exit::Failed, "cli-snapshot-untrusted")
                .with("id", head.session.short())
                .with("reason", reason)
        };
        let unlock = self.unlock(&head.scope).ok_or_else(|| CliError::new(Exit::Failed, "cli-other-scope"))?;
        if head.subscription != self.subscription || !snapshot.stored.is_authentic(&unlock.keys().snapshot_mac) {
            return Err(refused("mac"));
        }
        let receipt = self.signers.iter().find_map(|signer| verify(&snapshot.receipt, &signer.public_key).ok());
        let receipt = receipt.ok_or_else(|| refused("receipt"))?;
        let fits = receipt.snapshot == snapshot.object_hash
            && receipt.session == head.session.as_bytes()
            && receipt.source == head.source.as_bytes()
            && receipt.sequence == head.sequence;
        if fits { Ok(()) } else { Err(refused("receipt")) }
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
