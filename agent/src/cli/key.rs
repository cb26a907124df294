//! `dobaas key`: a keyring is made, its passphrase changed, its way back found again.
//!
//! Invariant: a generation is sent only after its recovery key was written to a file or typed back.

use std::path::Path;

use common::keyring::holder::{Lock, NewHolder, Passphrase, ReadingKeys};
use common::keyring::{Keyring, KeyringError, Rotation, create};
use common::keys::WritingSecret;
use common::limits::PASSPHRASE_LOG_N;
use common::recovery::RecoveryKey;
use common::text::Arg;

use super::args::{KeyChangeArgs, KeyCommand, KeyRecoverArgs, ServerArgs};
use super::context::Context;
use super::failure::{CliError, Exit};
use super::login::{address, keyring, opened, opened_by_recovery_key, person};
use super::output::note;
use super::secret::{SecretSource, write_secret};
use crate::remote::Remote;
use crate::state::identity::Identity;

/// Runs `key change` or `key recover`.
pub fn run(command: &KeyCommand, context: &Context) -> Result<Exit, CliError> {
    match command {
        KeyCommand::Change(args) => change(args, context),
        KeyCommand::Recover(args) => recover(args, context),
    }
}

fn change(args: &KeyChangeArgs, context: &Context) -> Result<Exit, CliError> {
    let remote = person(&address(&args.server, context)?, &args.person, context)?;
    let current = existing(&remote, &args.server, context)?;
    let keys = opened(&current, &args.key, context)?;
    let secrets = NewSecrets {
        passphrase: args.new_passphrase_file.clone().map(SecretSource::File),
        recovery_key_out: args.recovery_key_out.as_deref(),
    };
    let rotation = if args.rotate { Rotation::NewIdentity } else { Rotation::Keep };
    let (generation, _) = current.change(&keys, &secrets.holders(context)?, rotation)?;
    append(&remote, generation, &args.server, context)
}

fn recover(args: &KeyRecoverArgs, context: &Context) -> Result<Exit, CliError> {
    let remote = person(&address(&args.server, context)?, &args.person, context)?;
    let current = existing(&remote, &args.server, context)?;
    let source = args.recovery_key_file.clone().map(SecretSource::File);
    let keys = opened_by_recovery_key(&current, source.as_ref(), context)?;
    let secrets = NewSecrets {
        passphrase: args.new_passphrase_file.clone().map(SecretSource::File),
        recovery_key_out: args.recovery_key_out.as_deref(),
    };
    let (generation, _) = current.change(&keys, &secrets.holders(context)?, Rotation::Keep)?;
    append(&remote, generation, &args.server, context)
}

/// The keyring, held against what this machine knows of it unless another server was named.
fn existing(remote: &Remote, server: &ServerArgs, context: &Context) -> Result<Keyring, CliError> {
    let pin = if server.server.is_some() { None } else { Some(context.identity()?.pin) };
    keyring(remote, pin.as_ref(), context)?.ok_or_else(|| KeyringError::Empty.into())
}

/// Sends a generation; this machine follows it, other agents do at their next backup.
fn append(remote: &Remote, generation: Vec<u8>, server: &ServerArgs, context: &Context) -> Result<Exit, CliError> {
    context.wait(remote.append_keyring(generation))?;
    let newest = existing(remote, server, context)?;
    if server.server.is_none() {
        let mut identity = Identity::load(&context.state)?;
        identity.pin = newest.pin();
        identity.recipients = newest.recipients().to_vec();
        identity.store(&context.state)?;
    }
    let number = newest.pin().generation;
    let text = || format!("{}\n", context.output.texts.say_with("key-changed", &[("number", Arg::Count(number))]));
    context.output.answer(&serde_json::json!({ "generation": number }), text)?;
    Ok(Exit::Done)
}

/// Where a new passphrase comes from and a new recovery key goes.
pub struct NewSecrets<'a> {
    /// Not typed, but read from here.
    pub passphrase: Option<SecretSource>,
    /// Not shown and typed back, but written here.
    pub recovery_key_out: Option<&'a Path>,
}

impl NewSecrets<'_> {
    /// The two holders of a keyring: a chosen passphrase and a fresh recovery key that is in the customer's hands.
    ///
    /// # Errors
    /// If the passphrase is too short, the file exists, or the key is not typed back.
    pub fn holders(&self, context: &Context) -> Result<[NewHolder; 2], CliError> {
        let texts = context.output.texts;
        let passphrase = match &self.passphrase {
            Some(source) => Passphrase::chosen(&source.read()?)?,
            None => chosen_passphrase(context)?,
        };
        let recovery = RecoveryKey::new(context.random());
        match self.recovery_key_out {
            Some(path) => {
                write_secret(path, &recovery.to_text())?;
                let args = [("path", Arg::from(path.display().to_string()))];
                context.output.remark(&texts.say_with("key-recovery-written", &args));
            }
            None => typed_back(&recovery, context)?,
        }
        Ok([
            NewHolder {
                label: texts.say("key-label-passphrase"),
                lock: Lock::Passphrase(passphrase, PASSPHRASE_LOG_N),
            },
            NewHolder { label: texts.say("key-label-recovery"), lock: Lock::Recovery(recovery) },
        ])
    }

    /// Makes the first generation of a keyring and sends it.
    ///
    /// # Errors
    /// As [`Self::holders`]; any error of the server.
    pub fn create(&self, remote: &Remote, context: &Context) -> Result<(Keyring, ReadingKeys), CliError> {
        let holders = self.holders(context)?;
        let (generation, keys) = create(WritingSecret::new(context.random()), &holders)?;
        let keyring = Keyring::verify(std::slice::from_ref(&generation), None)?;
        context.wait(remote.append_keyring(generation))?;
        Ok((keyring, keys))
    }
}

fn chosen_passphrase(context: &Context) -> Result<Passphrase, CliError> {
    note(&context.output.texts.say("key-choose-passphrase"));
    loop {
        let text = context.prompt.chosen("prompt-new-passphrase", "prompt-new-passphrase-again")?;
        match Passphrase::chosen(&text) {
            Ok(passphrase) => return Ok(passphrase),
            Err(error) => {
                if let Some(text) = CliError::from(error).say(context.output.texts) {
                    note(&text);
                }
            }
        }
    }
}

/// Shows the recovery key and lets nobody go on who has not typed it back.
fn typed_back(recovery: &RecoveryKey, context: &Context) -> Result<(), CliError> {
    let texts = context.output.texts;
    note(&texts.say("key-recovery-shown"));
    note(&format!("\n    {}\n", recovery.to_text().as_str()));
    loop {
        let typed = context.prompt.secret("prompt-recovery-key-again")?;
        let problem = match RecoveryKey::parse(&typed) {
            Ok(key) if *key.to_text() == *recovery.to_text() => return Ok(()),
            Ok(_) => CliError::new(Exit::Credentials, "cli-recovery-checksum"),
            Err(error) => error.into(),
        };
        if let Some(text) = problem.say(texts) {
            note(&text);
        }
    }
}
