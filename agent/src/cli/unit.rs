//! `dobaas service install`: the systemd unit of the service, written, enabled and started; or only printed.
//!
//! The unit is `deploy/systemd/dobaas-agent.service` with this machine's paths. It does not create users and changes nothing else.
//!
//! Invariant: without systemd nothing is written.

use std::path::Path;
use std::process::Command;

use common::text::Arg;

use super::args::ServiceInstallArgs;
use super::context::Context;
use super::failure::{CliError, Exit};
use crate::config::{DEFAULT_PATH, DEFAULT_STATE};
use crate::durable;
use crate::state::identity_path;

const UNIT: &str = include_str!("../../../deploy/systemd/dobaas-agent.service");
const UNIT_NAME: &str = "dobaas-agent.service";
const UNIT_FOLDER: &str = "/etc/systemd/system";
/// There while systemd runs the machine (`sd_booted(3)`).
const BOOTED: &str = "/run/systemd/system";

/// Runs `service install`.
pub fn install(args: &ServiceInstallArgs, context: &Context) -> Result<Exit, CliError> {
    let program = std::env::current_exe()?;
    let unit = unit(&program, &context.state, &context.config_path);
    let path = Path::new(UNIT_FOLDER).join(UNIT_NAME);
    if args.print {
        let document = serde_json::json!({ "path": path, "unit": unit });
        context.output.answer(&document, || unit.clone())?;
        return Ok(Exit::Done);
    }
    if !Path::new(BOOTED).is_dir() {
        return Err(CliError::new(Exit::Failed, "service-no-systemd").with("program", program.display()));
    }
    if !identity_path(&context.state).exists() {
        return Err(
            CliError::new(Exit::NotSetUp, "cli-not-set-up").with("path", identity_path(&context.state).display())
        );
    }
    durable::replace(&path, unit.as_bytes(), 0o644)?;
    for arguments in [&["daemon-reload"][..], &["enable", "--now", UNIT_NAME], &["restart", UNIT_NAME]] {
        systemctl(arguments)?;
    }
    let document = serde_json::json!({ "path": path, "enabled": true });
    let text = || {
        let args = [("path", Arg::from(path.display().to_string()))];
        format!("{}\n", context.output.texts.say_with("service-installed", &args))
    };
    context.output.answer(&document, text)?;
    Ok(Exit::Done)
}

fn systemctl(arguments: &[&str]) -> Result<(), CliError> {
    let refused = || CliError::new(Exit::Failed, "service-systemctl").with("command", arguments.join(" "));
    let status = Command::new("systemctl").args(arguments).status().map_err(|error| refused().because(&error))?;
    if status.success() { Ok(()) } else { Err(refused()) }
}

/// The unit with the paths of this machine, those that differ from the usual ones only.
fn unit(program: &Path, state: &Path, config: &Path) -> String {
    let mut command = vec![quoted(program)];
    if config != Path::new(DEFAULT_PATH) {
        command.extend(["--config".into(), quoted(config)]);
    }
    let mut unit = UNIT.to_owned();
    if state != Path::new(DEFAULT_STATE) {
        command.extend(["--state".into(), quoted(state)]);
        unit = unit.replace(&format!("{DEFAULT_STATE}/identity.toml"), &escaped(&identity_path(state))).replace(
            "StateDirectory=dobaas\nStateDirectoryMode=0700\n",
            &format!("ReadWritePaths={}\n", quoted(state)),
        );
    }
    command.extend(["service".into(), "run".into()]);
    unit.replace("ExecStart=/usr/bin/dobaas service run", &format!("ExecStart={}", command.join(" ")))
}

/// A path as a word of a unit file: specifiers and variables taken literally.
fn quoted(path: &Path) -> String {
    let text = escaped(path).replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$");
    if text.contains([' ', '\t', '"', '\\', '\'']) { format!("\"{text}\"") } else { text }
}

fn escaped(path: &Path) -> String {
    path.display().to_string().replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_of_an_ordinary_machine_is_the_one_that_is_shipped() {
        assert_eq!(unit(Path::new("/usr/bin/dobaas"), Path::new(DEFAULT_STATE), Path::new(DEFAULT_PATH)), UNIT);
    }

    #[test]
    fn other_paths_are_in_the_unit_and_quoted() {
        let unit = unit(Path::new("/opt/do baas/dobaas"), Path::new("/srv/100%/state"), Path::new("/etc/x$y.toml"));
        let line = |start: &str| unit.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
        assert_eq!(
            line("ExecStart="),
            "ExecStart=\"/opt/do baas/dobaas\" --config /etc/x$$y.toml --state /srv/100%%/state service run"
        );
        assert_eq!(line("ReadWritePaths="), "ReadWritePaths=/srv/100%%/state");
        assert_eq!(line("ConditionPathExists="), "ConditionPathExists=/srv/100%%/state/identity.toml");
        assert!(!unit.contains("StateDirectory"));
    }
}
