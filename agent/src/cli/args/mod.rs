//! What can be typed: commands, options, their names.
//!
//! Their descriptions are Fluent messages (`help-…`), put in by `help`. It does not run anything.
//!
//! Invariant: no option and no environment variable takes a secret; only a file, a command or a descriptor that gives it.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use reading::{DatesArgs, DiffArgs, DumpArgs, FindArgs, LsArgs, RestoreArgs, VerifyArgs, VersionsArgs};

pub mod reading;

/// The whole command line.
#[derive(Parser)]
#[command(
    name = "dobaas",
    version,
    disable_help_subcommand = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Args, Clone)]
pub struct Global {
    #[arg(long, global = true, value_name = "fr|en")]
    pub lang: Option<String>,
    #[arg(long, global = true)]
    pub json: bool,
    #[arg(long, short, global = true)]
    pub quiet: bool,
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[arg(long, short, global = true, action = ArgAction::Help)]
    pub help: Option<bool>,
    #[arg(long, action = ArgAction::Version)]
    pub version: Option<bool>,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    #[command(visible_alias = "installer")]
    Setup(Box<SetupArgs>),
    #[command(visible_alias = "sauvegarder")]
    Backup(BackupArgs),
    #[command(visible_alias = "etat")]
    Status,
    #[command(visible_alias = "acces")]
    Accesses(Box<AccessesArgs>),
    Dates(Box<DatesArgs>),
    Ls(Box<LsArgs>),
    Find(Box<FindArgs>),
    Versions(Box<VersionsArgs>),
    Diff(Box<DiffArgs>),
    #[command(visible_alias = "restaurer")]
    Restore(Box<RestoreArgs>),
    Dump(Box<DumpArgs>),
    #[command(visible_alias = "verifier")]
    Verify(Box<VerifyArgs>),
    #[command(subcommand)]
    Sources(SourcesCommand),
    #[command(subcommand)]
    Service(ServiceCommand),
    #[command(subcommand)]
    Key(Box<KeyCommand>),
    #[command(visible_alias = "mot-de-passe")]
    Password(Box<PasswordArgs>),
    Completions(CompletionsArgs),
}

/// A machine becomes an agent.
#[derive(Args)]
pub struct SetupArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub person: PersonArgs,
    #[command(flatten)]
    pub token: TokenArgs,
    #[command(flatten)]
    pub key: KeyArgs,
    #[arg(long, value_name = "FILE")]
    pub recovery_key_out: Option<PathBuf>,
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    #[command(flatten)]
    pub set: SetArgs,
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    #[arg(long, value_name = "AGENT", conflicts_with = "join_scope")]
    pub replace: Option<String>,
    #[arg(long, value_name = "AGENT")]
    pub join_scope: Option<String>,
    #[arg(long)]
    pub again: bool,
}

/// Which source.
#[derive(Args)]
pub struct BackupArgs {
    pub source: Option<String>,
}

/// Whose accesses, and since when.
#[derive(Args)]
pub struct AccessesArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub person: PersonArgs,
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub days: u16,
}

/// Whose password is changed, and into what.
#[derive(Args)]
pub struct PasswordArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub person: PersonArgs,
}

/// Where the server is.
#[derive(Args, Clone, Default)]
pub struct ServerArgs {
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    #[arg(long, value_name = "SHA-256")]
    pub fingerprint: Option<String>,
}

/// Who asks, and where the password comes from.
#[derive(Args, Clone, Default)]
pub struct PersonArgs {
    #[arg(long, value_name = "NAME")]
    pub identifier: Option<String>,
    #[arg(long, value_name = "FILE", group = "password")]
    pub password_file: Option<PathBuf>,
    #[arg(long, value_name = "COMMAND", group = "password")]
    pub password_command: Option<String>,
    #[arg(long, value_name = "FD", group = "password")]
    pub password_fd: Option<u32>,
    #[arg(long, value_name = "FILE")]
    pub new_password_file: Option<PathBuf>,
}

/// Where a one-use enrolment token comes from.
#[derive(Args, Clone, Default)]
pub struct TokenArgs {
    #[arg(long, value_name = "FILE", group = "token", conflicts_with = "identifier")]
    pub token_file: Option<PathBuf>,
    #[arg(long, value_name = "COMMAND", group = "token", conflicts_with = "identifier")]
    pub token_command: Option<String>,
    #[arg(long, value_name = "FD", group = "token", conflicts_with = "identifier")]
    pub token_fd: Option<u32>,
}

/// Where what opens the keyring comes from.
#[derive(Args, Clone, Default)]
pub struct KeyArgs {
    #[arg(long, value_name = "FILE", group = "passphrase")]
    pub passphrase_file: Option<PathBuf>,
    #[arg(long, value_name = "COMMAND", group = "passphrase")]
    pub passphrase_command: Option<String>,
    #[arg(long, value_name = "FD", group = "passphrase")]
    pub passphrase_fd: Option<u32>,
    #[arg(long, conflicts_with = "passphrase")]
    pub recovery_key: bool,
    #[arg(long, value_name = "FILE", conflicts_with_all = ["passphrase", "recovery_key"])]
    pub recovery_key_file: Option<PathBuf>,
}

/// What a source of files reads.
#[derive(Args, Clone, Default)]
pub struct SetArgs {
    #[arg(long, value_name = "PATH", action = ArgAction::Append)]
    pub path: Vec<PathBuf>,
    #[arg(long, value_name = "PATTERN", action = ArgAction::Append)]
    pub exclude: Vec<String>,
    #[arg(long, value_name = "NAME", action = ArgAction::Append)]
    pub exclude_if_present: Vec<String>,
    #[arg(long)]
    pub include_caches: bool,
    #[arg(long)]
    pub one_file_system: bool,
    #[arg(long, value_name = "PATTERN", action = ArgAction::Append)]
    pub accept_unreadable: Vec<String>,
    #[arg(long, value_name = "SCHEDULE")]
    pub schedule: Option<String>,
}

/// Sources: what exists, what is backed up.
#[derive(Subcommand)]
pub enum SourcesCommand {
    List,
    Check(SourcesCheckArgs),
    Set(Box<SourcesSetArgs>),
}

/// Which source to look at.
#[derive(Args)]
pub struct SourcesCheckArgs {
    pub source: Option<String>,
}

/// A new version of a backup set.
#[derive(Args)]
pub struct SourcesSetArgs {
    pub source: String,
    #[command(flatten)]
    pub set: SetArgs,
    #[command(flatten)]
    pub person: PersonArgs,
}

/// The service that backs up by schedule.
#[derive(Subcommand)]
pub enum ServiceCommand {
    Run,
    Install(ServiceInstallArgs),
}

/// How the service is installed.
#[derive(Args)]
pub struct ServiceInstallArgs {
    #[arg(long)]
    pub print: bool,
}

/// Keys: what opens the backups.
#[derive(Subcommand)]
pub enum KeyCommand {
    Change(KeyChangeArgs),
    Recover(KeyRecoverArgs),
}

/// A new passphrase, and a new recovery key if wanted.
#[derive(Args)]
pub struct KeyChangeArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub person: PersonArgs,
    #[command(flatten)]
    pub key: KeyArgs,
    #[arg(long, value_name = "FILE")]
    pub new_passphrase_file: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub recovery_key_out: Option<PathBuf>,
    #[arg(long)]
    pub rotate: bool,
}

/// A new passphrase by way of the recovery key.
#[derive(Args)]
pub struct KeyRecoverArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub person: PersonArgs,
    #[arg(long, value_name = "FILE")]
    pub recovery_key_file: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub new_passphrase_file: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub recovery_key_out: Option<PathBuf>,
}

/// A script for a shell.
#[derive(Args)]
pub struct CompletionsArgs {
    pub shell: Shell,
}

/// Shells that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn check_no_secret(command: &clap::Command) {
        for arg in command.get_arguments() {
            let name = arg.get_id().as_str();
            let secret = ["password", "passphrase", "token", "recovery_key"].iter().any(|word| name.contains(word));
            let indirect = ["_file", "_command", "_fd", "_out"].iter().any(|ending| name.ends_with(ending));
            assert!(!secret || indirect || !arg.get_action().takes_values(), "{name} would take a secret");
        }
        command.get_subcommands().for_each(check_no_secret);
    }

    #[test]
    fn no_option_takes_a_secret() {
        check_no_secret(&Cli::command());
    }

    #[test]
    fn french_names_stand_for_english_ones() {
        for (french, english) in [
            ("installer", "setup"),
            ("sauvegarder", "backup"),
            ("etat", "status"),
            ("restaurer", "restore"),
            ("verifier", "verify"),
            ("acces", "accesses"),
        ] {
            let command = Cli::command();
            assert_eq!(command.find_subcommand(french).map(clap::Command::get_name), Some(english));
        }
    }
}
