//! `server.toml`: read, checked, and written with its comments by `init`.
//!
//! It holds no secret and is not followed while it is wrong: the server does not start.
//!
//! Invariant: an unknown key is an error that names the nearest known one; [`KEYS`] is the whole list.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use common::limits::{MARK_MEMORY_BYTES, RESERVE_BYTES_MIN};
use serde::Deserialize;

use crate::contract::hold::Thresholds;
use crate::contract::location::{Location, LocationRefused};
use crate::monitor::settings::{AlarmSettings, AlarmsRefused, MetricsSettings};
use crate::upkeep::scrub_round::Pace;

/// Name of the file in the server's folder.
pub const FILE: &str = "server.toml";

/// Every key, dotted.
pub const KEYS: &[&str] = &[
    "listen",
    "names",
    "store",
    "location.site",
    "location.country",
    "location.owner",
    "reserve.min_bytes",
    "hold.allowance_times",
    "hold.changed_percent",
    "hold.incompressible_percent",
    "hold.compressed_before_percent",
    "hold.gone_percent",
    "scrub.bytes_per_second",
    "upkeep.memory_bytes_max",
    "log.level",
    "log.format",
    "public_certificate.names",
    "public_certificate.certificate",
    "public_certificate.key",
    "metrics.listen",
    "alarms.mail.server",
    "alarms.mail.port",
    "alarms.mail.encryption",
    "alarms.mail.login",
    "alarms.mail.password_file",
    "alarms.mail.authority",
    "alarms.mail.from",
    "alarms.mail.operators",
    "alarms.mail.customers",
    "alarms.webhook.url",
    "alarms.webhook.secret_file",
    "alarms.webhook.authority",
    "alarms.command.program",
];

/// The sample that `init` fills in.
const SAMPLE: &str = include_str!("../server.toml");

/// The configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Host names and addresses in the certificate.
    pub names: Vec<String>,
    /// Folder of the object store, relative to the server's folder.
    #[serde(default = "default_store")]
    pub store: PathBuf,
    #[serde(default)]
    location: DeclaredLocation,
    /// Part of the disk that is kept free.
    #[serde(default)]
    pub reserve: Reserve,
    /// When a snapshot is suspect.
    #[serde(default)]
    pub hold: Thresholds,
    /// How fast stored bytes are read again.
    #[serde(default)]
    pub scrub: Pace,
    /// What upkeep may take.
    #[serde(default)]
    pub upkeep: UpkeepSettings,
    /// What is logged, and how.
    #[serde(default)]
    pub log: Log,
    /// A certificate of a public authority beside the provider's own.
    pub public_certificate: Option<PublicCertificate>,
    /// Where metrics are shown; nowhere if absent.
    pub metrics: Option<MetricsSettings>,
    /// Through what alarms are sent.
    #[serde(default)]
    pub alarms: AlarmSettings,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredLocation {
    #[serde(default)]
    site: String,
    #[serde(default)]
    country: String,
    #[serde(default)]
    owner: String,
}

/// Part of the disk that is kept free for catalog, upkeep and audit; 2 % of the disk if that is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reserve {
    /// In bytes.
    pub min_bytes: u64,
}

impl Default for Reserve {
    fn default() -> Self {
        Self { min_bytes: RESERVE_BYTES_MIN }
    }
}

/// What upkeep may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpkeepSettings {
    /// Memory of the search for garbage, in bytes, for each of the jobs that run at once.
    pub memory_bytes_max: u64,
}

impl Default for UpkeepSettings {
    fn default() -> Self {
        Self { memory_bytes_max: MARK_MEMORY_BYTES }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `server=debug`.
    pub level: String,
    /// One line of text or one JSON object per event.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

/// Shape of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// JSON for programs.
    Json,
}

/// A certificate of a public authority.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicCertificate {
    /// Names that it is presented for.
    pub names: Vec<String>,
    /// PEM file of the chain, leaf first.
    pub certificate: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A key that does not exist.
    #[error("unknown key {key}")]
    UnknownKey {
        /// As written, dotted.
        key: String,
        /// The known key that looks most like it.
        nearest: &'static str,
    },
    /// Not TOML, a key missing or of the wrong type.
    #[error("read the configuration: {message}")]
    Invalid {
        /// What and where, from the reader.
        message: String,
    },
    /// The data may not be kept there.
    #[error("the location is refused")]
    Location(#[from] LocationRefused),
    /// The alarms cannot be sent like that.
    #[error("the alarms are refused")]
    Alarms(#[from] AlarmsRefused),
}

impl Config {
    /// Reads and checks the configuration of a server's folder; relative paths are made relative to it.
    ///
    /// # Errors
    /// As [`ConfigError`].
    pub fn load(folder: &Path) -> Result<Self, ConfigError> {
        let path = folder.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Read { path, source })?;
        let mut config = Self::parse(&text)?;
        config.store = folder.join(config.store);
        if let Some(public) = &mut config.public_certificate {
            public.certificate = folder.join(&public.certificate);
            public.key = folder.join(&public.key);
        }
        config.alarms.settle(folder);
        Ok(config)
    }

    /// Reads and checks a text.
    ///
    /// # Errors
    /// As [`ConfigError`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let invalid = |error: toml::de::Error| ConfigError::Invalid { message: error.to_string() };
        let table: toml::Table = text.parse().map_err(invalid)?;
        check_keys(&table, "")?;
        let config: Self = toml::from_str(text).map_err(invalid)?;
        config.location().check()?;
        config.alarms.check()?;
        Ok(config)
    }

    /// Where the data is declared to be.
    pub fn location(&self) -> Location {
        let declared = &self.location;
        Location { site: declared.site.clone(), country: declared.country.clone(), owner: declared.owner.clone() }
    }
}

/// What `init` writes into the sample.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Host names and addresses in the certificate.
    pub names: Vec<String>,
    /// Where the data is declared to be.
    pub location: Location,
}

/// The commented configuration with these settings.
pub fn sample(settings: &Settings) -> String {
    let text = |value: &str| toml::Value::from(value).to_string();
    let names: Vec<String> = settings.names.iter().map(|name| text(name)).collect();
    SAMPLE
        .replace("@listen@", &text(&settings.listen.to_string()))
        .replace("@names@", &format!("[{}]", names.join(", ")))
        .replace("@site@", &text(&settings.location.site))
        .replace("@country@", &text(&settings.location.country))
        .replace("@owner@", &text(&settings.location.owner))
}

fn check_keys(table: &toml::Table, prefix: &str) -> Result<(), ConfigError> {
    for (key, value) in table {
        let dotted = Dotted { prefix, key }.to_string();
        let is_table = KEYS.iter().any(|known| known.strip_prefix(&dotted).is_some_and(|rest| rest.starts_with('.')));
        match value {
            toml::Value::Table(inner) if is_table => check_keys(inner, &dotted)?,
            _ if is_table || KEYS.contains(&dotted.as_str()) => {}
            _ => {
                let nearest = KEYS.iter().min_by_key(|known| distance(known, &dotted)).copied().unwrap_or_default();
                return Err(ConfigError::UnknownKey { key: dotted, nearest });
            }
        }
    }
    Ok(())
}

struct Dotted<'a> {
    prefix: &'a str,
    key: &'a str,
}

impl fmt::Display for Dotted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix.is_empty() { f.write_str(self.key) } else { write!(f, "{}.{}", self.prefix, self.key) }
    }
}

/// Levenshtein's distance.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, against) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *against);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

fn default_store() -> PathBuf {
    "store".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let location = Location { site: "Lyon \"1\"".into(), country: "FR".into(), owner: "provider".into() };
        Settings { listen: "[::]:7443".parse().unwrap(), names: vec!["backup.example".into()], location }
    }

    #[test]
    fn the_sample_is_valid_and_names_every_key() {
        let text = sample(&settings());
        let config = Config::parse(&text).unwrap();
        assert_eq!(config.location(), settings().location);
        assert_eq!(config.listen, settings().listen);
        assert_eq!(config.reserve, Reserve::default());
        assert_eq!(config.hold, Thresholds::default());
        assert_eq!(config.scrub, Pace::default());
        assert_eq!(config.log, Log::default());
        let uncommented: String =
            text.lines().map(|line| format!("{}\n", line.strip_prefix("#").unwrap_or(line))).collect();
        for key in KEYS {
            let last = key.rsplit('.').next().unwrap();
            assert!(uncommented.lines().any(|line| line.starts_with(&format!("{last} = "))), "{key}");
        }
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let rows = [
            ("lisen = 1", "lisen", "listen"),
            ("[location]\nsites = 'x'", "location.sites", "location.site"),
            ("[log]\nlevle = 'x'", "log.levle", "log.level"),
            ("[lcation]\nsite = 'x'", "lcation", "listen"),
        ];
        for (text, wrong, expected) in rows {
            match Config::parse(text) {
                Err(ConfigError::UnknownKey { key, nearest }) => {
                    assert_eq!(key, wrong);
                    if wrong != "lcation" {
                        assert_eq!(nearest, expected);
                    }
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_location_that_is_missing_or_not_french_is_refused() {
        let base = "listen = '127.0.0.1:0'\nnames = []\n";
        let refused = |location: &str| match Config::parse(&format!("{base}{location}")) {
            Err(ConfigError::Location(refused)) => refused,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(""), LocationRefused::Missing { field: "site" });
        assert_eq!(
            refused("[location]\nsite = 'Bruxelles'\ncountry = 'BE'\nowner = 'provider'"),
            LocationRefused::Country { country: "BE".into() }
        );
        assert_eq!(
            refused("[location]\nsite = 'Lyon'\ncountry = 'FR'\nowner = 'third_party'"),
            LocationRefused::ThirdParty
        );
    }
}
