//! The program `dobaas`: from what was typed to an exit code.
//!
//! One module per group of commands. They call the library and print; they decide nothing about backups.
//!
//! ```text
//! args ─► help (language) ─► run ─► one command on its own thread ─► exit code
//!                                └─ Ctrl-C ─► 130: every file of the state is replaced whole, nothing needs cleaning;
//!                                             a backup or the service first ends what it has in hand
//! ```
//!
//! Invariant: I8 — with `main.rs`, the only home of the environment and of the process's end in the agent.

mod access;
mod accesses;
mod args;
mod backup;
mod browse;
mod check;
mod completions;
mod context;
mod dates;
mod failure;
mod help;
mod key;
mod login;
mod meter;
#[cfg(test)]
mod named;
mod output;
mod password;
mod proof;
mod restore;
mod runtime;
mod secret;
mod service;
mod setup;
mod sources;
mod standing;
mod status;
mod stop;
mod today;
mod trial;
mod unit;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::FromArgMatches;
use common::text::{Lang, Spaces, Texts};
use tokio::signal::unix::{Signal, SignalKind, signal};

use args::{Cli, Command, ServiceCommand};
use context::Context;
use failure::{CliError, Exit};
use output::{Output, note, stdout_is_terminal};
use secret::Prompt;

use crate::config::{Config, DEFAULT_PATH, DEFAULT_STATE};

/// The parts of the environment that the program reads.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `DOBAAS_LANG`.
    pub lang: Option<String>,
    /// `LC_ALL`, `LC_MESSAGES` or `LANG`, the first that is set.
    pub locale: Option<String>,
    /// `DOBAAS_STATE`.
    pub state: Option<PathBuf>,
    /// `DOBAAS_CONFIG`.
    pub config: Option<PathBuf>,
    /// `DOBAAS_LOG`.
    pub log: Option<String>,
    /// `NO_COLOR` is set, or the terminal is dumb.
    pub no_color: bool,
}

impl Environment {
    /// Reads it.
    #[expect(clippy::disallowed_methods, reason = "I8: the environment is read in cli/")]
    pub fn read() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            lang: text("DOBAAS_LANG"),
            locale: ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(text),
            state: path("DOBAAS_STATE"),
            config: path("DOBAAS_CONFIG"),
            log: text("DOBAAS_LOG"),
            no_color: std::env::var_os("NO_COLOR").is_some() || text("TERM").is_some_and(|term| term == "dumb"),
        }
    }

    /// The language: option, variable, setting, locale; French if none of them says English.
    fn lang(&self, option: Option<&str>, setting: Option<Lang>) -> Lang {
        let named = |text: Option<&str>| text.and_then(Lang::named);
        named(option)
            .or_else(|| named(self.lang.as_deref()))
            .or(setting)
            .or_else(|| named(self.locale.as_deref()))
            .unwrap_or(Lang::French)
    }

    /// No-break spaces only where they show as spaces.
    fn spaces(&self) -> Spaces {
        let utf8 = self.locale.as_ref().is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.ends_with("utf-8") || locale.ends_with("utf8")
        });
        if utf8 && stdout_is_terminal() { Spaces::Typographic } else { Spaces::Plain }
    }
}

/// Runs what was typed; the exit code.
pub fn run(typed: Vec<OsString>, environment: &Environment) -> ExitCode {
    let texts = Texts { lang: environment.lang(lang_option(&typed).as_deref(), None), spaces: environment.spaces() };
    let parsed = help::command(texts).try_get_matches_from(typed).and_then(|matches| Cli::from_arg_matches(&matches));
    let exit = match parsed {
        Ok(cli) => start(cli, environment),
        Err(error) => {
            let text = help::explain(&error, texts);
            if error.use_stderr() {
                note(text.trim_end());
                Exit::Usage
            } else {
                let _ = std::io::stdout().lock().write_all(text.as_bytes());
                Exit::Done
            }
        }
    };
    ExitCode::from(exit as u8)
}

/// The value of `--lang` before anything is parsed, so that even usage errors speak it.
fn lang_option(typed: &[OsString]) -> Option<String> {
    let mut typed = typed.iter().filter_map(|word| word.to_str());
    while let Some(word) = typed.next() {
        match word.strip_prefix("--lang") {
            Some("") => return typed.next().map(str::to_owned),
            Some(value) if value.starts_with('=') => return Some(value[1..].to_owned()),
            _ => {}
        }
    }
    None
}

fn start(cli: Cli, environment: &Environment) -> Exit {
    let path = cli.global.config.clone().or_else(|| environment.config.clone()).unwrap_or_else(|| DEFAULT_PATH.into());
    let (config, refused) = match Config::load(&path) {
        Ok(config) => (config, None),
        Err(error) => (Config::default(), Some(error)),
    };
    let lang = environment.lang(cli.global.lang.as_deref(), config.lang);
    let output = Output {
        texts: Texts { lang, spaces: environment.spaces() },
        json: cli.global.json,
        quiet: cli.global.quiet,
        fancy: stdout_is_terminal() && !environment.no_color && !cli.global.json,
    };
    let outcome = match refused {
        Some(error) => Err(error.into()),
        None => prepare(&cli, environment, (path, config), output)
            .and_then(|context| until_interrupted(cli.command, context)),
    };
    match outcome {
        Ok(exit) => exit,
        Err(error) => {
            report(&error, output);
            error.exit
        }
    }
}

fn prepare(
    cli: &Cli,
    environment: &Environment,
    (config_path, config): (PathBuf, Config),
    output: Output,
) -> Result<Context, CliError> {
    let level = environment.log.as_deref().or(config.log.as_deref());
    let usual = if matches!(cli.command, Command::Service(ServiceCommand::Run)) { "info" } else { "error" };
    log_to_stderr(cli.global.verbose, level.unwrap_or(usual));
    let chosen = cli.global.state.clone().or_else(|| environment.state.clone()).or_else(|| config.state.clone());
    let runtime = runtime::start()?;
    Ok(Context {
        output,
        prompt: Prompt::new(output.texts),
        config,
        config_path,
        state: chosen.unwrap_or_else(|| DEFAULT_STATE.into()),
        host: host_name(),
        runtime: Arc::new(runtime),
        stop: Arc::default(),
    })
}

/// Name of this machine as the kernel knows it.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

fn log_to_stderr(verbose: u8, setting: &str) {
    let level = match verbose {
        0 => setting,
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_new(format!("error,agent={level}")).unwrap_or_default();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A log is for files and for people who search them: no colours.
    let _ = log.with_target(false).with_ansi(false).try_init();
}

/// Runs the command on a thread of its own, so that Ctrl-C ends the program whatever the command is doing.
fn until_interrupted(command: Command, context: Context) -> Result<Exit, CliError> {
    let (runtime, stop) = (context.runtime.clone(), context.stop.clone());
    let ends_in_order = matches!(command, Command::Backup(_) | Command::Service(ServiceCommand::Run));
    let terminal = rustix::termios::tcgetattr(std::io::stdin()).ok();
    let (sender, mut receiver) = tokio::sync::oneshot::channel();
    // Before the command begins: a Ctrl-C at its first question must find somebody listening.
    let mut interruptions = {
        let _context = runtime.enter();
        interruptions()?
    };
    runtime::thread("command", move || {
        // The receiver is gone only when the program is ending.
        let _ = sender.send(execute(command, &context));
    })?;
    runtime.block_on(async {
        let crashed = |_| Err(CliError::new(Exit::Failed, "cli-crashed"));
        tokio::select! {
            outcome = &mut receiver => return outcome.unwrap_or_else(crashed),
            _ = interruptions.recv() => {}
        }
        if ends_in_order {
            stop.request();
            tokio::select! {
                outcome = receiver => return outcome.unwrap_or_else(crashed),
                _ = interruptions.recv() => {}
            }
        }
        if let Some(state) = terminal {
            // A prompt may have switched the echo off.
            let _ = rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, &state);
        }
        Err(CliError::new(Exit::Interrupted, "cli-interrupted"))
    })
}

/// Ctrl-C and termination, from this call on.
struct Interruptions {
    interrupt: Signal,
    terminate: Signal,
}

/// Listens for them. Needs the runtime's context.
fn interruptions() -> std::io::Result<Interruptions> {
    Ok(Interruptions { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
}

impl Interruptions {
    /// The next of them.
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn execute(command: Command, context: &Context) -> Result<Exit, CliError> {
    match command {
        Command::Setup(args) => setup::run(&args, context),
        Command::Backup(args) => backup::run(&args, context),
        Command::Status => status::run(context),
        Command::Accesses(args) => accesses::run(&args, context),
        Command::Dates(args) => dates::run(&args, context),
        Command::Ls(args) => browse::ls(&args, context),
        Command::Find(args) => browse::find(&args, context),
        Command::Versions(args) => browse::versions(&args, context),
        Command::Diff(args) => browse::diff(&args, context),
        Command::Restore(args) => restore::run(&args, context),
        Command::Dump(args) => proof::run_dump(&args, context),
        Command::Verify(args) => proof::run_verify(&args, context),
        Command::Sources(command) => sources::run(&command, context),
        Command::Service(ServiceCommand::Run) => service::run(context),
        Command::Service(ServiceCommand::Install(args)) => unit::install(&args, context),
        Command::Key(command) => key::run(&command, context),
        Command::Password(args) => password::run(&args, context),
        Command::Completions(args) => completions::run(&args, context),
    }
}

/// One `error` event with `--json`, one sentence otherwise.
fn report(error: &CliError, output: Output) {
    let Some(message) = error.say(output.texts) else { return };
    if output.json {
        let event = serde_json::json!({
            "event": "error",
            "code": error.word(),
            "message": message,
            "exit": error.exit as u8,
        });
        let _ = output.event(&event);
    }
    note(&message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn french_is_the_default_and_everything_can_say_otherwise() {
        let environment = |lang: Option<&str>, locale: Option<&str>| Environment {
            lang: lang.map(str::to_owned),
            locale: locale.map(str::to_owned),
            ..Environment::default()
        };
        let check = |environment: Environment, option, setting, expected| {
            assert_eq!(environment.lang(option, setting), expected, "{environment:?}");
        };
        check(environment(None, None), None, None, Lang::French);
        check(environment(None, Some("C.UTF-8")), None, None, Lang::French);
        check(environment(None, Some("en_GB.UTF-8")), None, None, Lang::English);
        check(environment(None, Some("en_GB.UTF-8")), None, Some(Lang::French), Lang::French);
        check(environment(Some("fr"), Some("en_GB.UTF-8")), None, None, Lang::French);
        check(environment(Some("fr"), None), Some("en"), None, Lang::English);
        let typed = |words: &[&str]| lang_option(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(typed(&["dobaas", "--lang", "en", "status"]).as_deref(), Some("en"));
        assert_eq!(typed(&["dobaas", "status", "--lang=en"]).as_deref(), Some("en"));
        assert_eq!(typed(&["dobaas", "status"]), None);
    }
}
