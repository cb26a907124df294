//! Names of objects and the folders they are in (formats.md, first table).
//!
//! Invariant: a name comes from ids, numbers and a closed list of words, never from outside text.

use common::id::{FactId, PackId, SessionId};

/// What a fact states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactKind {
    /// Nothing of a subscription may go: a sudden change was seen.
    Hold,
    /// A snapshot is kept until a date.
    Protection,
    /// A hold or a protection has ended.
    Lift,
    /// Frames of a pack are damaged.
    Quarantine,
    /// An agent's token is worth nothing.
    Revocation,
    /// Tokens issued before are worth nothing.
    PasswordEpoch,
    /// A key holder verified or restored a snapshot.
    Verified,
}

impl FactKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Hold,
        Self::Protection,
        Self::Lift,
        Self::Quarantine,
        Self::Revocation,
        Self::PasswordEpoch,
        Self::Verified,
    ];

    /// The word that stands for it in names and records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Protection => "protection",
            Self::Lift => "lift",
            Self::Quarantine => "quarantine",
            Self::Revocation => "revocation",
            Self::PasswordEpoch => "password-epoch",
            Self::Verified => "verified",
        }
    }
}

/// An object of one subscription.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectName {
    /// Frames.
    Pack(PackId),
    /// A committed snapshot.
    Snapshot(SessionId),
    /// What is left of an expired snapshot.
    Tombstone(SessionId),
    /// A generation of the keyring.
    Keyring(u64),
    /// A fact.
    Fact(FactKind, FactId),
}

/// A set of objects that is listed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// Packs.
    Packs,
    /// Committed snapshots.
    Snapshots,
    /// Tombstones.
    Tombstones,
    /// Keyring generations.
    Keyring,
    /// Facts of one kind.
    Facts(FactKind),
}

impl Folder {
    /// Every folder.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Packs, Self::Snapshots, Self::Tombstones, Self::Keyring]
            .into_iter()
            .chain(FactKind::ALL.into_iter().map(Self::Facts))
    }

    /// Its path below the subscription's folder.
    pub fn path(self) -> String {
        match self {
            Self::Packs => "packs".to_owned(),
            Self::Snapshots => "snapshots".to_owned(),
            Self::Tombstones => "tombstones".to_owned(),
            Self::Keyring => "keyring".to_owned(),
            Self::Facts(kind) => format!("facts/{}", kind.word()),
        }
    }

    /// The object that a file name stands for; `None` if the file is no object.
    pub fn object(self, file: &str) -> Option<ObjectName> {
        let object = match self {
            Self::Packs => ObjectName::Pack(file.parse().ok()?),
            Self::Snapshots => ObjectName::Snapshot(file.parse().ok()?),
            Self::Tombstones => ObjectName::Tombstone(file.parse().ok()?),
            Self::Keyring => ObjectName::Keyring(file.parse().ok()?),
            Self::Facts(kind) => ObjectName::Fact(kind, file.parse().ok()?),
        };
        // One object has one spelling: upper-case digits or leading zeros are somebody else's file.
        (object.file() == file).then_some(object)
    }
}

impl ObjectName {
    /// Path of its folder below the subscription's, without a slash at either end.
    pub fn folder(&self) -> String {
        match self {
            Self::Pack(id) => format!("packs/{:02x}", id.as_bytes()[0]),
            Self::Snapshot(_) => Folder::Snapshots.path(),
            Self::Tombstone(_) => Folder::Tombstones.path(),
            Self::Keyring(_) => Folder::Keyring.path(),
            Self::Fact(kind, _) => Folder::Facts(*kind).path(),
        }
    }

    /// Its file name.
    pub fn file(&self) -> String {
        match self {
            Self::Pack(id) => id.to_string(),
            Self::Snapshot(id) | Self::Tombstone(id) => id.to_string(),
            Self::Keyring(number) => number.to_string(),
            Self::Fact(_, id) => id.to_string(),
        }
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.folder(), self.file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_from_its_file_and_no_other_spelling_is() {
        let id = SessionId::new([0xab; 16]);
        for (folder, name) in [
            (Folder::Packs, ObjectName::Pack(PackId::new([1; 32]))),
            (Folder::Snapshots, ObjectName::Snapshot(id)),
            (Folder::Tombstones, ObjectName::Tombstone(id)),
            (Folder::Keyring, ObjectName::Keyring(12)),
            (Folder::Facts(FactKind::Hold), ObjectName::Fact(FactKind::Hold, FactId::new([0xab; 16]))),
        ] {
            assert_eq!(folder.object(&name.file()), Some(name));
        }
        assert_eq!(Folder::Snapshots.object(&id.to_string().to_uppercase()), None);
        assert_eq!(Folder::Keyring.object("012"), None);
        assert_eq!(Folder::Packs.object("../x"), None);
    }
}
