//! `[alarms]` and `[metrics]` of `server.toml`: read, checked, relative paths made whole.
//!
//! Secrets are in files of their own, read at each delivery: they can be replaced while the server runs.
//!
//! Invariant: nothing leaves without TLS, except to this machine itself.
//! Invariant: every destination is written in the configuration; there is no other outbound connection.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::limits::{ALARM_OPERATORS_MAX, ALARM_SECRET_BYTES_MAX};
use lettre::message::Mailbox;
use serde::Deserialize;
use ureq::http::Uri;

/// Where metrics are shown.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsSettings {
    /// Address and port of their own listener; without TLS or password.
    pub listen: SocketAddr,
}

/// Through what alarms are sent; nothing if nothing is set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlarmSettings {
    /// Mails.
    pub mail: Option<MailSettings>,
    /// JSON to an address.
    pub webhook: Option<WebhookSettings>,
    /// JSON to a program.
    pub command: Option<CommandSettings>,
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// TLS after `STARTTLS`, or nothing is sent.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// None: this machine only.
    None,
}

/// How mails leave.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailSettings {
    /// Host of the mail server.
    pub server: String,
    /// Its port; 587, 465 or 25 by the encryption if absent.
    pub port: Option<u16>,
    /// How the connection is protected.
    #[serde(default)]
    pub encryption: Encryption,
    /// Name to log in with; no login if absent.
    pub login: Option<String>,
    /// File whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// PEM file of the authority that alone is trusted; the system's if absent.
    pub authority: Option<PathBuf>,
    /// Sender.
    pub from: String,
    /// Operators, who get every alarm.
    pub operators: Vec<String>,
    /// Whether customers get the alarms that concern them.
    #[serde(default = "yes")]
    pub customers: bool,
}

/// Where JSON is posted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// The address.
    pub url: String,
    /// File whose first line is the key of the signature.
    pub secret_file: PathBuf,
    /// PEM file of the authority that alone is trusted; the system's if absent.
    pub authority: Option<PathBuf>,
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandSettings {
    /// Absolute path and arguments; no shell reads them.
    pub program: Vec<String>,
}

/// Why the alarms cannot be sent as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the alarms are not configured well: {field} = {value}: {reason} {cause}")]
pub struct AlarmsRefused {
    /// Key of the text that says it, after `alarm-config-`.
    pub reason: &'static str,
    /// Which key, dotted.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// What the system said, if it did.
    pub cause: String,
}

fn refused(reason: &'static str, field: &'static str, value: impl Into<String>) -> AlarmsRefused {
    AlarmsRefused { reason, field, value: value.into(), cause: String::new() }
}

impl AlarmSettings {
    /// Checks what can be checked without looking at the disk.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), AlarmsRefused> {
        self.mail.as_ref().map_or(Ok(()), MailSettings::check)?;
        self.webhook.as_ref().map_or(Ok(()), WebhookSettings::check)?;
        match &self.command {
            Some(command) if !command.program.first().is_some_and(|path| Path::new(path).is_absolute()) => {
                Err(refused("program", "alarms.command.program", command.program.join(" ")))
            }
            _ => Ok(()),
        }
    }

    /// Checks that every file is there and no secret is open to others.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check_files(&self) -> Result<(), AlarmsRefused> {
        if let Some(mail) = &self.mail {
            check_secret("alarms.mail.password_file", mail.password_file.as_deref())?;
            check_file("alarms.mail.authority", mail.authority.as_deref())?;
        }
        if let Some(webhook) = &self.webhook {
            check_secret("alarms.webhook.secret_file", Some(&webhook.secret_file))?;
            check_file("alarms.webhook.authority", webhook.authority.as_deref())?;
        }
        let program = self.command.as_ref().and_then(|command| command.program.first());
        check_file("alarms.command.program", program.map(Path::new))
    }

    /// Makes relative paths relative to the server's folder.
    pub fn settle(&mut self, folder: &Path) {
        let mail = self.mail.as_mut().map(|mail| [&mut mail.password_file, &mut mail.authority]);
        for path in mail.into_iter().flatten().filter_map(Option::as_mut) {
            *path = folder.join(&path);
        }
        if let Some(webhook) = &mut self.webhook {
            webhook.secret_file = folder.join(&webhook.secret_file);
            webhook.authority = webhook.authority.take().map(|path| folder.join(path));
        }
    }
}

impl MailSettings {
    fn check(&self) -> Result<(), AlarmsRefused> {
        check_address("alarms.mail.from", &self.from)?;
        self.operators.iter().try_for_each(|address| check_address("alarms.mail.operators", address))?;
        if self.operators.is_empty() || self.operators.len() > ALARM_OPERATORS_MAX {
            return Err(refused("operators", "alarms.mail.operators", self.operators.join(", ")));
        }
        if self.login.is_some() != self.password_file.is_some() {
            return Err(refused("login", "alarms.mail.login", self.login.as_deref().unwrap_or_default()));
        }
        if self.encryption == Encryption::None && !is_this_machine(&self.server) {
            return Err(refused("plain", "alarms.mail.server", &*self.server));
        }
        Ok(())
    }
}

impl WebhookSettings {
    fn check(&self) -> Result<(), AlarmsRefused> {
        let wrong = |reason| Err(refused(reason, "alarms.webhook.url", &*self.url));
        let Ok(uri) = self.url.parse::<Uri>() else { return wrong("url") };
        match (uri.scheme_str(), uri.host()) {
            (Some("https"), Some(_)) => Ok(()),
            (Some("http"), Some(host)) if is_this_machine(host) => Ok(()),
            (Some("http"), Some(_)) => wrong("url-plain"),
            _ => wrong("url"),
        }
    }
}

/// Reads the first line of a secret's file.
///
/// # Errors
/// What the system says.
pub fn read_secret(path: &Path) -> std::io::Result<String> {
    let bytes = std::fs::read(path)?;
    if bytes.len() > ALARM_SECRET_BYTES_MAX {
        return Err(std::io::Error::other("the file is too long for a secret"));
    }
    let text = String::from_utf8(bytes).map_err(std::io::Error::other)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(std::io::Error::other("the file is empty")),
    }
}

fn check_address(field: &'static str, address: &str) -> Result<(), AlarmsRefused> {
    address.parse::<Mailbox>().map(|_| ()).map_err(|_| refused("address", field, address))
}

fn check_file(field: &'static str, path: Option<&Path>) -> Result<(), AlarmsRefused> {
    let Some(path) = path else { return Ok(()) };
    let opened = std::fs::File::open(path).map(|_| ());
    opened.map_err(|error| AlarmsRefused { cause: error.to_string(), ..refused("file", field, shown(path)) })
}

fn check_secret(field: &'static str, path: Option<&Path>) -> Result<(), AlarmsRefused> {
    let Some(path) = path else { return Ok(()) };
    let unusable =
        |error: std::io::Error| AlarmsRefused { cause: error.to_string(), ..refused("file", field, shown(path)) };
    read_secret(path).map_err(unusable)?;
    let mode = std::fs::metadata(path).map_err(unusable)?.permissions().mode();
    if mode & 0o077 != 0 { Err(refused("secret-open", field, shown(path))) } else { Ok(()) }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// True for names and addresses of the loopback interface.
fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> Option<&'static str> {
        let settings: AlarmSettings = toml::from_str(text).unwrap();
        settings.check().err().map(|refused| refused.reason)
    }

    #[test]
    fn what_is_wrong_is_named() {
        let mail = |rest: &str| format!("[mail]\nserver = 'smtp.example.fr'\nfrom = 'a@example.fr'\n{rest}");
        let one = "operators = ['b@example.fr']\n";
        for (text, expected) in [
            (mail(one), None),
            (mail("operators = []"), Some("operators")),
            (mail("operators = ['nobody']"), Some("address")),
            (mail(&format!("{one}encryption = 'none'")), Some("plain")),
            (mail(&format!("{one}login = 'x'")), Some("login")),
            (mail(&format!("{one}login = 'x'\npassword_file = 'p'")), None),
            (format!("[mail]\nserver = '::1'\nencryption = 'none'\nfrom = 'S <a@b.fr>'\n{one}"), None),
            ("[webhook]\nurl = 'https://hooks.example.fr/x'\nsecret_file = 's'".into(), None),
            ("[webhook]\nurl = 'http://127.0.0.1:80/x'\nsecret_file = 's'".into(), None),
            ("[webhook]\nurl = 'http://example.fr/x'\nsecret_file = 's'".into(), Some("url-plain")),
            ("[webhook]\nurl = 'ftp://example.fr/x'\nsecret_file = 's'".into(), Some("url")),
            ("[webhook]\nurl = 'nowhere'\nsecret_file = 's'".into(), Some("url")),
            ("[command]\nprogram = ['/bin/true', 'x']".into(), None),
            ("[command]\nprogram = ['true']".into(), Some("program")),
            ("[command]\nprogram = []".into(), Some("program")),
        ] {
            assert_eq!(reason(&text), expected, "{text}");
        }
    }

    #[test]
    fn every_refusal_has_its_text() {
        use common::text::Texts;
        for reason in ["address", "operators", "plain", "login", "url", "url-plain", "program", "file", "secret-open"] {
            for texts in [Texts::FRENCH, Texts::ENGLISH] {
                assert!(texts.has(&format!("alarm-config-{reason}")), "{reason}");
            }
        }
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let mut settings: AlarmSettings =
            toml::from_str("[webhook]\nurl = 'https://x.fr/'\nsecret_file = 'secret'").unwrap();
        settings.settle(folder.path());
        assert_eq!(settings.check_files().unwrap_err().reason, "file");
        std::fs::File::create(&path).unwrap().write_all(b"s3cret\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(settings.check_files().unwrap_err().reason, "secret-open");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        settings.check_files().unwrap();
        assert_eq!(read_secret(&path).unwrap(), "s3cret");
    }
}
