//! Settings of one machine: `/etc/dobaas/agent.toml`, then `agent.d/*.toml` in the order of their names, the last word wins.
//!
//! It does not hold what is backed up (the backup set, on the server) nor who the machine is (`state::identity`).
//!
//! Invariant: an unknown key is an error that names the nearest known one; `agent/agent.toml` shows every key (test below).

use std::path::{Path, PathBuf};

use common::bandwidth::Bandwidth;
use common::limits::CONFIG_BYTES_MAX;
use common::text::Lang;
use toml::{Table, Value};

use crate::durable::{self, DurableError};

/// Where the settings are if nobody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/dobaas/agent.toml";
/// Where the state is if nobody says otherwise.
pub const DEFAULT_STATE: &str = "/var/lib/dobaas";
/// Country that the data may lie in if nobody says otherwise.
pub const DEFAULT_LOCATION: &str = "FR";

const KEYS: [&str; 8] = ["server", "location", "state", "lang", "log", "bandwidth", "disk_bitmaps", "journal"];
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// The settings; `None` where nothing was said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Address of the server, instead of the one of the setup.
    pub server: Option<String>,
    /// Country that the data may lie in.
    pub location: Option<String>,
    /// Folder of the agent's state.
    pub state: Option<PathBuf>,
    /// Language of messages.
    pub lang: Option<Lang>,
    /// Level of the log.
    pub log: Option<String>,
    /// How fast backups may be sent, by day and hour.
    pub bandwidth: Option<Bandwidth>,
    /// Bitmaps of changes are kept in disk images.
    pub disk_bitmaps: bool,
    /// Whether the service listens for changes and passes by directories without any.
    pub journal: Option<bool>,
}

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML.
    #[error("{} is not valid TOML", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A key that means nothing.
    #[error("{}: unknown key {key:?}", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The known key that looks most like it.
        nearest: &'static str,
    },
    /// A value that a key cannot have.
    #[error("{}: {key} must be {wanted}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What it can be.
        wanted: &'static str,
    },
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] DurableError),
}

impl Config {
    /// Reads `path` and the folder beside it (`agent.toml` → `agent.d/`); absent files say nothing.
    ///
    /// # Errors
    /// The first file that is refused.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        for file in std::iter::once(path.to_owned()).chain(fragments(&path.with_extension("d"))?) {
            if let Some(bytes) = durable::read(&file, CONFIG_BYTES_MAX)? {
                config.merge(&file, &String::from_utf8_lossy(&bytes))?;
            }
        }
        Ok(config)
    }

    fn merge(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let table: Table =
            text.parse().map_err(|error| ConfigError::Syntax { path: path.to_owned(), source: Box::new(error) })?;
        for (key, value) in table {
            let Some(known) = KEYS.iter().find(|known| **known == key) else {
                return Err(ConfigError::UnknownKey { path: path.to_owned(), nearest: nearest(&key), key });
            };
            self.set(known, &value).map_err(|wanted| ConfigError::Value {
                path: path.to_owned(),
                key: known,
                wanted,
            })?;
        }
        Ok(())
    }

    /// Takes one value; what it must be, if it is something else.
    fn set(&mut self, key: &'static str, value: &Value) -> Result<(), &'static str> {
        if key == "journal" {
            self.journal = Some(value.as_bool().ok_or("true or false")?);
            return Ok(());
        }
        let text = value.as_str().ok_or("a text")?.to_owned();
        match key {
            "server" if text.starts_with("https://") => self.server = Some(text),
            "server" => return Err("an address like https://host:port"),
            "location" if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                self.location = Some(text);
            }
            "location" => return Err("a country code like FR"),
            "state" if text.starts_with('/') => self.state = Some(text.into()),
            "state" => return Err("an absolute path"),
            "lang" => self.lang = Some(Lang::named(&text).ok_or("fr or en")?),
            "bandwidth" => {
                let rates =
                    Bandwidth::parse(&text).map_err(|_| "rates like \"mon-fri 08:00-19:00 5 Mbit/s; 50 Mbit/s\"")?;
                self.bandwidth = Some(rates);
            }
            "disk_bitmaps" => self.disk_bitmaps = switch(&text).ok_or("on or off")?,
            _ if LEVELS.contains(&text.as_str()) => self.log = Some(text),
            _ => return Err("one of error, warn, info, debug, trace"),
        }
        Ok(())
    }
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// The files of `folder` that end in `.toml`, sorted by name.
fn fragments(folder: &Path) -> Result<Vec<PathBuf>, DurableError> {
    let failed = |source| DurableError { step: "read", path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The known key that takes the fewest changes.
fn nearest(key: &str) -> &'static str {
    KEYS.into_iter().min_by_key(|known| distance(key, known)).unwrap_or(KEYS[0])
}

/// Letters to insert, remove or replace (Levenshtein), one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, right) in b.bytes().enumerate() {
            let replaced = corner + usize::from(left != right);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../agent.toml");

    fn merged(text: &str) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        config.merge(Path::new("agent.toml"), text).map(|()| config)
    }

    #[test]
    fn the_sample_shows_every_key_and_each_line_of_it_is_valid() {
        assert_eq!(merged(SAMPLE).unwrap(), Config::default());
        let settings: Vec<&str> =
            SAMPLE.lines().filter_map(|line| line.strip_prefix("# ")).filter(|line| line.contains(" = ")).collect();
        let keys: Vec<&str> = settings.iter().map(|line| line.split(" = ").next().unwrap()).collect();
        assert_eq!(keys, KEYS);
        let config = merged(&settings.join("\n")).unwrap();
        assert_eq!((config.lang, config.journal), (Some(Lang::French), Some(true)));
        assert_eq!(config.location.as_deref(), Some(DEFAULT_LOCATION));
        assert_eq!(config.state.as_deref(), Some(Path::new(DEFAULT_STATE)));
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        for (key, expected) in [("serveur", "server"), ("lng", "lang"), ("loc", "log"), ("locations", "location")] {
            match merged(&format!("{key} = 'x'")) {
                Err(ConfigError::UnknownKey { nearest, .. }) => assert_eq!(nearest, expected),
                other => panic!("{key}: {other:?}"),
            }
        }
    }

    #[test]
    fn wrong_values_and_wrong_syntax_are_refused() {
        for text in [
            "lang = 'de'",
            "server = 'http://x'",
            "location = 'France'",
            "bandwidth = '5'",
            "state = 'x'",
            "log = 3",
            "log = 'x'",
            "disk_bitmaps = '1'",
            "journal = 'x'",
        ] {
            assert!(matches!(merged(text), Err(ConfigError::Value { .. })), "{text}");
        }
        assert!(matches!(merged("lang = "), Err(ConfigError::Syntax { .. })));
    }

    #[test]
    fn fragments_come_after_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        assert_eq!(Config::load(&path).unwrap(), Config::default());
        std::fs::create_dir(folder.path().join("agent.d")).unwrap();
        for (name, text) in [
            ("agent.toml", "lang = 'fr'\nlog = 'info'"),
            ("agent.d/20.toml", "lang = 'fr'"),
            ("agent.d/10.toml", "lang = 'en'\nlocation = 'DE'"),
            ("agent.d/notes.txt", "nonsense"),
        ] {
            durable::replace(&folder.path().join(name), text.as_bytes(), 0o644).unwrap();
        }
        let config = Config::load(&path).unwrap();
        assert_eq!(config.lang, Some(Lang::French));
        assert_eq!(config.log.as_deref(), Some("info"));
        assert_eq!(config.location.as_deref(), Some("DE"));
    }
}
