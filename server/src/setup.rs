//! Makes a server's folder: configuration, store, control store, identity, first operator.
//!
//! Invariant: an existing folder is refused, so nothing is ever overwritten.
//! Invariant: the configuration is written last: a folder without it is unfinished and is not served.

use std::path::Path;

use zeroize::Zeroizing;

use crate::app::{CONTROL_FILE, Environment, IDENTITY_FOLDER};
use crate::auth::logins::default_password;
use crate::auth::password::{self, PasswordError};
use crate::auth::principal::OperatorRole;
use crate::config::{self, Config, ConfigError, Settings};
use crate::contract::location::LocationRefused;
use crate::control::accounts::{Account, Standing};
use crate::control::audit::Trace;
use crate::control::{Control, ControlError};
use crate::durable::{self, DurableError};
use crate::identity::{Identity, IdentityError};
use crate::store::error::StoreError;
use crate::store::objects::Objects;

/// Why a folder was not made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// There is something already.
    #[error("the folder exists")]
    Exists,
    /// The data may not be kept there.
    #[error("the location is refused")]
    Location(#[from] LocationRefused),
    /// A file or folder cannot be made.
    #[error("make the server's folder")]
    Durable(#[from] DurableError),
    /// The identity cannot be made.
    #[error("make the server's identity")]
    Identity(#[from] IdentityError),
    /// The control store cannot be made.
    #[error("make the control store")]
    Control(#[from] ControlError),
    /// The object store cannot be made.
    #[error("make the object store")]
    Store(#[from] StoreError),
    /// The default password cannot be hashed.
    #[error("make a default password")]
    Password(#[from] PasswordError),
    /// The configuration that was written is not valid: a name or site that TOML or the certificate cannot hold.
    #[error("write the configuration")]
    Config(#[from] ConfigError),
}

/// What was made, to be shown once.
pub struct Initialized {
    /// SHA-256 of the provider's root certificate.
    pub fingerprint: String,
    /// What the first operator logs in with.
    pub operator: String,
    /// Their default password.
    pub default_password: Zeroizing<String>,
}

/// Makes the folder of a server, with `operator` as its first account.
///
/// # Errors
/// As [`SetupError`]; what was made until then stays, unfinished.
pub fn initialize(
    folder: &Path,
    settings: &Settings,
    operator: &str,
    environment: &Environment,
) -> Result<Initialized, SetupError> {
    let Environment { clock, random } = environment;
    settings.location.check()?;
    let text = config::sample(settings);
    let config = Config::parse(&text)?;
    if folder.exists() {
        return Err(SetupError::Exists);
    }
    durable::create_folder(folder)?;
    let identity_folder = folder.join(IDENTITY_FOLDER);
    durable::create_folder(&identity_folder)?;
    let identity = Identity::create(&identity_folder, &settings.location.site, random, clock.now())?;
    identity.leaf(&config.names, random, clock.now())?;
    Objects::open(&folder.join(&config.store), config.reserve.min_bytes)?.mark()?;
    let default = password::make_default(random);
    let hash = password::hash(default.as_bytes(), &random.bytes())?;
    let now_ns = clock.now_ns();
    let account = Account {
        identifier: operator.to_owned(),
        standing: Standing::Operator { role: OperatorRole::Operator },
        ends_at_ns: None,
        password: default_password(&default, hash, now_ns),
        created_at_ns: now_ns,
        last_login_at_ns: None,
    };
    let trace = Trace { who: "local".into(), address: "local".into(), at_ns: now_ns };
    Control::create(&folder.join(CONTROL_FILE))?.create_account(&account, &trace)?;
    durable::sync_folder(folder)?;
    durable::replace(&folder.join(config::FILE), text.as_bytes(), 0o600)?;
    Ok(Initialized { fingerprint: identity.fingerprint(), operator: account.identifier, default_password: default })
}

/// The fingerprint in the form that people read out: groups of four digits.
pub fn readable_fingerprint(fingerprint: &str) -> String {
    let groups: Vec<&str> = (0..fingerprint.len()).step_by(4).filter_map(|at| fingerprint.get(at..at + 4)).collect();
    groups.join(":")
}
