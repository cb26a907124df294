//! From options and prompts to a trusted server, a logged-in person and an open keyring.
//!
//! Shared by the commands that need a person: setup, keys, sets, and taking back on a machine without agent.
//!
//! Invariant: nothing is sent before the server showed the pinned root, or one with the fingerprint that was given.

use common::keyring::holder::{Opener, Passphrase, ReadingKeys};
use common::keyring::{Keyring, KeyringError, Pin};
use common::recovery::RecoveryKey;
use proto::code::ErrorCode;

use super::args::{KeyArgs, PersonArgs, ServerArgs};
use super::context::Context;
use super::failure::{CliError, Exit};
use super::output::note;
use super::secret::{Secret, SecretSource};
use crate::remote::account::Login;
use crate::remote::tls::{Fingerprint, fetch_root};
use crate::remote::{Address, Remote, RemoteError};

/// How often a person may mistype before the command ends.
const TRIES: usize = 3;

/// The server of the options, or of this machine's identity.
///
/// # Errors
/// Exit code 10 if neither names one; [`RemoteError::Tls`] if it does not show the fingerprint.
pub fn address(args: &ServerArgs, context: &Context) -> Result<Address, CliError> {
    match &args.server {
        Some(url) => pinned(url, args.fingerprint.as_deref(), context),
        None => Ok(context.identity()?.address),
    }
}

/// Takes the root of the server at `url`, held against a fingerprint that is given or asked for.
///
/// # Errors
/// Exit code 2 for a text that is no fingerprint; [`RemoteError`] otherwise.
pub fn pinned(url: &str, fingerprint: Option<&str>, context: &Context) -> Result<Address, CliError> {
    let text = match fingerprint {
        Some(text) => text.to_owned(),
        None => context.prompt.ask("prompt-fingerprint")?,
    };
    let fingerprint = Fingerprint::parse(&text).ok_or_else(|| CliError::new(Exit::Usage, "cli-fingerprint"))?;
    let root_pem = context.wait(fetch_root(url, fingerprint))?;
    Ok(Address { url: url.to_owned(), root_pem })
}

/// A connection with the credential of a person, whose default password is changed on the way if it must be.
///
/// # Errors
/// Exit code 12 for wrong credentials.
pub fn person(address: &Address, args: &PersonArgs, context: &Context) -> Result<Remote, CliError> {
    let (remote, login, password) = logged_in(address, args, context)?;
    if !login.must_change_password {
        return Ok(remote.with_credential(login.token)?);
    }
    if args.new_password_file.is_none() && args.password().is_some() {
        return Err(CliError::new(Exit::Credentials, "cli-must-change-password"));
    }
    note(&context.output.texts.say("setup-change-password"));
    changed(&remote, login, &password, args, context)
}

/// Changes the password of a person, whether it is a default one or their own; every login but this one ends.
///
/// # Errors
/// Exit code 12 for wrong credentials; what the server says of the new password.
pub fn change_password(address: &Address, args: &PersonArgs, context: &Context) -> Result<Remote, CliError> {
    let (remote, login, password) = logged_in(address, args, context)?;
    changed(&remote, login, &password, args, context)
}

fn logged_in(address: &Address, args: &PersonArgs, context: &Context) -> Result<(Remote, Login, Secret), CliError> {
    let remote = context.connect(address, None)?;
    let identifier = match &args.identifier {
        Some(identifier) => identifier.clone(),
        None => context.prompt.ask("prompt-identifier")?,
    };
    let (login, password) = tried(args.password().as_ref(), "prompt-password", context, |password| {
        Ok(context.wait(remote.login(&identifier, password))?)
    })?;
    Ok((remote, login, password))
}

/// Changes a password to one that the server accepts.
fn changed(remote: &Remote, login: Login, old: &str, args: &PersonArgs, context: &Context) -> Result<Remote, CliError> {
    let remote = remote.with_credential(login.token)?;
    let source = args.new_password_file.clone().map(SecretSource::File);
    loop {
        let new = match &source {
            Some(source) => source.read()?,
            None => context.prompt.chosen("prompt-new-password", "prompt-new-password-again")?,
        };
        match context.wait(remote.change_password(old, &new)) {
            Ok(token) => return Ok(remote.with_credential(token)?),
            Err(error) if source.is_none() && error.refusal() == Some(ErrorCode::WeakPassword) => {
                tell(error.into(), context);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Fetches and checks the keyring; `None` while the subscription has none.
///
/// # Errors
/// Any [`RemoteError`] or [`KeyringError`].
pub fn keyring(remote: &Remote, pin: Option<&Pin>, context: &Context) -> Result<Option<Keyring>, CliError> {
    let generations = context.wait(remote.keyring())?;
    match Keyring::verify(&generations, pin) {
        Ok(keyring) => Ok(Some(keyring)),
        Err(KeyringError::Empty) if pin.is_none() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opens the keyring with the passphrase or recovery key that the options name or that is asked for.
///
/// # Errors
/// Exit code 12 for a wrong one.
pub fn opened(keyring: &Keyring, args: &KeyArgs, context: &Context) -> Result<ReadingKeys, CliError> {
    if args.recovery_key || args.recovery_key_file.is_some() {
        let source = args.recovery_key_file.clone().map(SecretSource::File);
        return opened_by_recovery_key(keyring, source.as_ref(), context);
    }
    let (keys, _) = tried(args.passphrase().as_ref(), "prompt-passphrase", context, |text| {
        Ok(keyring.open(&Opener::Passphrase(&Passphrase::typed(text)?))?)
    })?;
    Ok(keys)
}

/// Opens the keyring with the recovery key.
///
/// # Errors
/// Exit code 12 for a wrong one.
pub fn opened_by_recovery_key(
    keyring: &Keyring,
    source: Option<&SecretSource>,
    context: &Context,
) -> Result<ReadingKeys, CliError> {
    let (keys, _) = tried(source, "prompt-recovery-key", context, |text| {
        let key = RecoveryKey::parse(text)?;
        keyring.open(&Opener::Recovery(&key)).map_err(|error| match error {
            KeyringError::WrongSecret => CliError::new(Exit::Credentials, "cli-wrong-recovery-key"),
            error => error.into(),
        })
    })?;
    Ok(keys)
}

/// Tries a secret from its source once, or what a person types up to [`TRIES`] times.
fn tried<T>(
    source: Option<&SecretSource>,
    key: &str,
    context: &Context,
    attempt: impl Fn(&str) -> Result<T, CliError>,
) -> Result<(T, Secret), CliError> {
    if let Some(source) = source {
        let secret = source.read()?;
        return Ok((attempt(&secret)?, secret));
    }
    let mut left = TRIES;
    loop {
        let secret = context.prompt.secret(key)?;
        left -= 1;
        match attempt(&secret) {
            Ok(value) => return Ok((value, secret)),
            Err(error) if error.exit == Exit::Credentials && left > 0 => tell(error, context),
            Err(error) => return Err(error),
        }
    }
}

/// Says what went wrong and goes on.
fn tell(error: CliError, context: &Context) {
    if let Some(text) = error.say(context.output.texts) {
        note(&text);
    }
}

/// Refuses a server whose data would lie elsewhere than agreed.
///
/// # Errors
/// As the server's own refusal would read.
pub fn check_location(remote: &Remote, context: &Context) -> Result<(), CliError> {
    let description = context.wait(remote.describe())?;
    if description.location.country == context.location() {
        return Ok(());
    }
    let shown = format!("{}, {}", description.location.site, description.location.country);
    let failure = proto::code::Failure::new(ErrorCode::LocationRefused).with("location", shown);
    Err(RemoteError::Refused(failure).into())
}
