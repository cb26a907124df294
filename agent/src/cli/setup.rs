//! `dobaas setup`: a machine becomes an agent, attended or not.
//!
//! ```text
//! server and its root ─► location ─► person or one-use token ─► keyring opened or made ─► enrolled
//!                                                              identity durable ─► backup set ─► done
//! ```
//! A one-use token enrolls first, because it can do nothing else; the agent's own credential then opens or makes the keyring.
//!
//! Invariant: what the options say is checked before anything is asked of the server, and the identity is durable before the
//! backup set is sent: a setup that was cut can be run again with `--again`.

use common::keyring::Keyring;
use common::keyring::holder::ReadingKeys;
use common::text::{Arg, Texts};
use serde::Serialize;

use super::args::{SetArgs, SetupArgs};
use super::context::Context;
use super::failure::{CliError, Exit};
use super::key::NewSecrets;
use super::login::{check_location, keyring, opened, person, pinned};
use super::output::note;
use super::sources::{is_on, next_set};
use crate::remote::account::{AgentInfo, EnrollRequest, Enrolled};
use crate::remote::signers::certified;
use crate::remote::{Address, Remote, Token};
use crate::source::FileSet;
use crate::state::identity::Identity;
use crate::state::identity_path;

/// What `--json` prints.
#[derive(Serialize)]
struct SetupDocument {
    agent: String,
    scope: String,
    subscription: String,
    location: String,
    source: Option<String>,
}

/// Runs `setup`.
pub fn run(args: &SetupArgs, context: &Context) -> Result<Exit, CliError> {
    if !args.again && identity_path(&context.state).exists() {
        let agent = context.identity()?.agent;
        return Err(CliError::new(Exit::Failed, "cli-already-set-up").with("agent", agent.short()));
    }
    let files = if args.set.path.is_empty() { None } else { Some(args.set.files()?) };
    args.set.schedule()?;
    if args.source.is_some() && files.is_none() && args.replace.is_none() {
        return Err(CliError::new(Exit::Usage, "cli-no-path"));
    }
    let url = match &args.server.server {
        Some(url) => url.clone(),
        None => context.prompt.ask("prompt-server")?,
    };
    let address = pinned(&url, args.server.fingerprint.as_deref(), context)?;
    let (identity, person) = enrolled(&address, args, context)?;
    identity.store(&context.state)?;
    let agent = context.connect(&address, Some(identity.token.clone()))?;
    let source = chosen_set(person.as_ref().unwrap_or(&agent), &identity, args, files, context)?;
    if let Some(person) = person {
        // The login is no longer needed; if this fails it expires by itself.
        let _ = context.wait(person.logout());
    }
    finish(&identity, source, context)
}

/// Enrolls this machine; its identity, and the person's connection if there is one.
fn enrolled(address: &Address, args: &SetupArgs, context: &Context) -> Result<(Identity, Option<Remote>), CliError> {
    if let Some(source) = args.token.token() {
        let token = Token::new(source.read()?.as_str().to_owned());
        let remote = context.connect(address, Some(token))?;
        check_location(&remote, context)?;
        let enrolled = context.wait(remote.enroll(&request(args, &[], context)?))?;
        let agent = remote.with_credential(enrolled.token.clone())?;
        let keys = keys(&agent, args, context)?;
        return Ok((identity(address, enrolled, &keys, &remote, context)?, None));
    }
    check_location(&context.connect(address, None)?, context)?;
    let person = person(address, &args.person, context)?;
    let keys = keys(&person, args, context)?;
    let agents =
        if args.replace.is_some() || args.join_scope.is_some() { context.wait(person.agents())? } else { Vec::new() };
    let enrolled = context.wait(person.enroll(&request(args, &agents, context)?))?;
    Ok((identity(address, enrolled, &keys, &person, context)?, Some(person)))
}

/// Opens the keyring of the subscription, or makes its first generation.
fn keys(remote: &Remote, args: &SetupArgs, context: &Context) -> Result<(Keyring, ReadingKeys), CliError> {
    match keyring(remote, None, context)? {
        Some(keyring) => {
            let keys = opened(&keyring, &args.key, context)?;
            Ok((keyring, keys))
        }
        None if args.key.recovery_key || args.key.recovery_key_file.is_some() => {
            Err(CliError::new(Exit::Usage, "cli-no-keyring-yet"))
        }
        None => {
            let passphrase = args.key.passphrase();
            if passphrase.is_some() && args.recovery_key_out.is_none() {
                return Err(CliError::new(Exit::Usage, "cli-recovery-out-needed"));
            }
            let secrets = NewSecrets { passphrase, recovery_key_out: args.recovery_key_out.as_deref() };
            secrets.create(remote, context)
        }
    }
}

fn request(args: &SetupArgs, agents: &[AgentInfo], context: &Context) -> Result<EnrollRequest, CliError> {
    let named = |name: &Option<String>| name.as_deref().map(|name| agent_named(name, agents)).transpose();
    let (replace, join) = (named(&args.replace)?, named(&args.join_scope)?);
    Ok(EnrollRequest {
        host: args.host.clone().unwrap_or_else(|| context.host.clone()),
        scope: join.map(|agent| agent.scope),
        replace: replace.map(|agent| agent.agent),
    })
}

/// The one agent whose id starts with `name` or whose host is `name`.
fn agent_named<'a>(name: &str, agents: &'a [AgentInfo]) -> Result<&'a AgentInfo, CliError> {
    let fits = |agent: &&AgentInfo| {
        !agent.revoked && (agent.host == name || agent.agent.to_string().starts_with(&name.to_ascii_lowercase()))
    };
    let mut fitting = agents.iter().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(agent), None) => Ok(agent),
        _ => {
            let known: Vec<String> =
                agents.iter().map(|agent| format!("{} ({})", agent.agent.short(), agent.host)).collect();
            Err(CliError::new(Exit::Usage, "cli-agent-unknown").with("agent", name).with("known", known.join(", ")))
        }
    }
}

fn identity(
    address: &Address,
    enrolled: Enrolled,
    (keyring, keys): &(Keyring, ReadingKeys),
    remote: &Remote,
    context: &Context,
) -> Result<Identity, CliError> {
    let description = context.wait(remote.describe())?;
    Ok(Identity {
        address: address.clone(),
        subscription: enrolled.subscription,
        agent: enrolled.agent,
        scope: enrolled.scope,
        token: enrolled.token,
        scope_secret: keys.writing.scope_secret(&enrolled.scope),
        recipients: keyring.recipients().to_vec(),
        pin: keyring.pin(),
        location: context.location().to_owned(),
        signers: certified(&address.root_pem, &description.signers)?,
    })
}

/// Sends the backup set that the options or the answers describe; the name of its source.
fn chosen_set(
    remote: &Remote,
    identity: &Identity,
    args: &SetupArgs,
    files: Option<FileSet>,
    context: &Context,
) -> Result<Option<String>, CliError> {
    let list = context.wait(remote.sets())?;
    let unattended = args.token.token().is_some() || args.person.password().is_some();
    let name = match (&args.source, unattended) {
        (Some(name), _) => name.clone(),
        (None, true) => return Ok(None),
        (None, false) => {
            let mut names = list.contracted.iter().filter(|source| is_on(source.kind)).map(|s| s.name.clone());
            match (names.next(), names.next()) {
                (None, _) => return Ok(None),
                (Some(only), None) => only,
                (Some(first), Some(second)) => {
                    let names: Vec<String> = [first, second].into_iter().chain(names).collect();
                    let known = [("known", Arg::from(names.join(", ")))];
                    note(&context.output.texts.say_with("setup-sources", &known));
                    context.prompt.ask("prompt-source")?
                }
            }
        }
    };
    let mut set = next_set(&list, &name, &identity.agent)?;
    set.files = match files {
        Some(files) => files,
        // A replaced machine gets the set of the dead one back.
        None if !set.files.paths.is_empty() => set.files,
        None => asked_files(context)?,
    };
    if let Some(schedule) = args.set.schedule()? {
        set.schedule = schedule;
    }
    context.wait(remote.put_set(&set))?;
    Ok(Some(set.name))
}

/// Asks for folders, one per line, then for excludes.
fn asked_files(context: &Context) -> Result<FileSet, CliError> {
    let texts = context.output.texts;
    note(&texts.say("setup-paths"));
    let mut args = SetArgs::default();
    loop {
        let path = context.prompt.ask("prompt-path")?;
        if path.is_empty() && !args.path.is_empty() {
            break;
        }
        args.path.push(path.into());
        if let Err(error) = args.files() {
            args.path.pop();
            say_problem(&error, texts);
        }
    }
    loop {
        let pattern = context.prompt.ask("prompt-exclude")?;
        if pattern.is_empty() {
            return args.files();
        }
        args.exclude.push(pattern);
    }
}

fn say_problem(error: &CliError, texts: Texts) {
    if let Some(text) = error.say(texts) {
        note(&text);
    }
}

fn finish(identity: &Identity, source: Option<String>, context: &Context) -> Result<Exit, CliError> {
    let texts = context.output.texts;
    let document = SetupDocument {
        agent: identity.agent.to_string(),
        scope: identity.scope.to_string(),
        subscription: identity.subscription.to_string(),
        location: identity.location.clone(),
        source: source.clone(),
    };
    let text = || {
        let done = texts.say_with("setup-done", &[("agent", identity.agent.short().into())]);
        let next = match &source {
            Some(source) => texts.say_with("setup-next-backup", &[("source", Arg::from(source))]),
            None => texts.say("setup-next-set"),
        };
        format!("{done}\n{next}\n")
    };
    context.output.answer(&document, text)?;
    Ok(Exit::Done)
}
