//! Who may work on a server's folder: the user whose it is, under whom the service runs.
//!
//! What another user makes there, root above all, the service could not open.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The folder belongs to another user than this process.
#[derive(Debug, thiserror::Error)]
#[error("{folder} belongs to {owner}")]
pub struct OtherOwner {
    /// Which folder.
    pub folder: PathBuf,
    /// Whose it is, as `sudo -u` takes it.
    pub owner: String,
}

/// Refuses a folder of another user. One that cannot be looked at is left to whoever opens it.
///
/// # Errors
/// [`OtherOwner`].
pub fn check(folder: &Path) -> Result<(), OtherOwner> {
    let Ok(owner) = std::fs::metadata(folder).map(|folder| folder.uid()) else { return Ok(()) };
    if owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let name = name(owner, std::fs::read_to_string("/etc/passwd"));
    Err(OtherOwner { folder: folder.to_owned(), owner: name })
}

/// The name of a user in the text of `/etc/passwd`, or the number.
fn name(user: u32, passwd: io::Result<String>) -> String {
    let number = user.to_string();
    let passwd = passwd.unwrap_or_default();
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&number));
    let name = line.and_then(|line| line.split(':').next());
    name.map_or_else(|| format!("'#{number}'"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_name_or_a_number() {
        let passwd =
            || Ok("root:x:0:0:root:/root:/bin/bash\ndobaas:x:993:990::/var/lib/dobaas-server:/bin/false\n".into());
        assert_eq!(name(993, passwd()), "dobaas");
        assert_eq!(name(99, passwd()), "'#99'");
        assert_eq!(name(99, Err(io::Error::other("none"))), "'#99'");
    }

    #[test]
    fn ones_own_folder_and_one_that_is_not_there_are_no_matter() {
        let own = tempfile::tempdir().unwrap();
        check(own.path()).unwrap();
        check(&own.path().join("absent")).unwrap();
    }
}
