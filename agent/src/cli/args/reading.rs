//! What can be typed to look into snapshots and to take back.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use super::{KeyArgs, PersonArgs, ServerArgs};

/// Who reads: nothing on an enrolled machine, a server and a person on any other.
#[derive(Args, Clone, Default)]
pub struct ReadArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub person: PersonArgs,
    #[command(flatten)]
    pub key: KeyArgs,
}

/// Which snapshots to list.
#[derive(Args)]
pub struct DatesArgs {
    pub source: Option<String>,
    #[command(flatten)]
    pub read: ReadArgs,
}

/// Which snapshot of which source, and who reads it.
#[derive(Args, Clone)]
pub struct PointArgs {
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    #[arg(long, value_name = "POINT", default_value = "latest", hide_default_value = true)]
    pub at: String,
    #[command(flatten)]
    pub read: ReadArgs,
}

/// What to list.
#[derive(Args)]
pub struct LsArgs {
    pub path: Option<PathBuf>,
    #[arg(long, short)]
    pub recursive: bool,
    #[command(flatten)]
    pub point: PointArgs,
}

/// What to look for.
#[derive(Args)]
pub struct FindArgs {
    pub pattern: String,
    pub path: Option<PathBuf>,
    #[command(flatten)]
    pub point: PointArgs,
}

/// Which file to follow through time.
#[derive(Args)]
pub struct VersionsArgs {
    pub file: PathBuf,
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    #[command(flatten)]
    pub read: ReadArgs,
}

/// Which snapshots to compare.
#[derive(Args)]
pub struct DiffArgs {
    pub old: String,
    #[arg(default_value = "latest", hide_default_value = true)]
    pub new: String,
    #[arg(long, value_name = "PATH")]
    pub path: Option<PathBuf>,
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    #[command(flatten)]
    pub read: ReadArgs,
}

/// Which file to write to standard output.
#[derive(Args)]
pub struct DumpArgs {
    pub file: PathBuf,
    #[command(flatten)]
    pub point: PointArgs,
}

/// What to read back.
#[derive(Args)]
pub struct VerifyArgs {
    #[arg(long, value_name = "1-100", default_value = "100", hide_default_value = true,
          value_parser = clap::value_parser!(u8).range(1..=100))]
    pub percent: u8,
    #[command(flatten)]
    pub point: PointArgs,
}

/// What to take back, and how.
#[derive(Args)]
pub struct RestoreArgs {
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub point: PointArgs,
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    #[arg(long)]
    pub full_paths: bool,
    #[arg(long, value_name = "never|older|changed|always", default_value = "never", hide_default_value = true)]
    pub overwrite: OverwriteArg,
    #[arg(long, value_name = "PATTERN", action = ArgAction::Append)]
    pub include: Vec<String>,
    #[arg(long, value_name = "PATTERN", action = ArgAction::Append)]
    pub exclude: Vec<String>,
    #[arg(long)]
    pub dry_run: bool,
    #[arg(long, value_name = "original|raw", default_value = "original", hide_default_value = true)]
    pub disk_format: DiskFormatArg,
    #[arg(long)]
    pub devices: bool,
    #[arg(long)]
    pub privileges: bool,
    #[arg(long)]
    pub numeric_owner: bool,
}

/// In which format disk images come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiskFormatArg {
    Original,
    Raw,
}

/// What happens to a file that stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OverwriteArg {
    Never,
    Older,
    Changed,
    Always,
}
