//! What `dobaas-admin` remembers between two commands: the server, its root's fingerprint, and the login.
//!
//! Invariant: the file is readable by its owner only, and replaced whole.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::failure::AdminError;
use crate::durable::{self, DurableError};

const FILE: &str = "login.json";

/// A login.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// `https://host:port`.
    pub server: String,
    /// SHA-256 of the provider's root certificate.
    pub fingerprint: String,
    /// Who is logged in.
    pub identifier: String,
    /// The login's token; empty after a logout.
    pub token: String,
}

impl State {
    /// Reads the login in `folder`.
    ///
    /// # Errors
    /// [`AdminError::NotLoggedIn`] if there is none.
    pub fn load(folder: &Path) -> Result<Self, AdminError> {
        let path = folder.join(FILE);
        match std::fs::read(&path).map(Zeroizing::new) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_| AdminError::Damaged { path }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(AdminError::NotLoggedIn),
            Err(source) => Err(DurableError { step: "read", path, source }.into()),
        }
    }

    /// Keeps the login in `folder`, which is made if need be.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn store(&self, folder: &Path) -> Result<(), AdminError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| DurableError { step: "create", path: folder.to_owned(), source })?;
        let bytes = Zeroizing::new(serde_json::to_vec(self).map_err(std::io::Error::from)?);
        Ok(durable::replace(&folder.join(FILE), &bytes, 0o600)?)
    }

    /// Forgets the token; where the server is stays known.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn forget(mut self, folder: &Path) -> Result<(), AdminError> {
        self.token.zeroize();
        self.store(folder)
    }
}

/// The folder of the login: `--state`, then `$XDG_STATE_HOME/dobaas-admin`, then `~/.local/state/dobaas-admin`.
#[expect(clippy::disallowed_methods, reason = "I8: command lines read the environment, and this is one")]
pub fn folder(given: Option<&PathBuf>) -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || variable("HOME").unwrap_or_default().join(".local/state");
    given.cloned().unwrap_or_else(|| variable("XDG_STATE_HOME").unwrap_or_else(home).join("dobaas-admin"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_login_is_kept_for_its_owner_only() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        assert!(matches!(State::load(&folder), Err(AdminError::NotLoggedIn)));
        let state = State {
            server: "https://s:1".into(),
            fingerprint: "00".into(),
            identifier: "op".into(),
            token: "dbl_1".into(),
        };
        state.store(&folder).unwrap();
        assert_eq!(State::load(&folder).unwrap().token, "dbl_1");
        let mode = std::fs::metadata(folder.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::OpenOptions::new().write(true).truncate(true).open(folder.join(FILE)).unwrap();
        assert!(matches!(State::load(&folder), Err(AdminError::Damaged { .. })));
        state.forget(&folder).unwrap();
        let forgotten = State::load(&folder).unwrap();
        assert_eq!((forgotten.token.as_str(), forgotten.server.as_str()), ("", "https://s:1"));
    }
}
