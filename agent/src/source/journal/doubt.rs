//! Why a run walks everything although it has a journal.
//!
//! The words are stable: they are stored, and programs read them.

/// A reason for a full walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Nothing was watched before this run.
    Start,
    /// It was never compared with a full walk yet.
    Unproved,
    /// It was not compared with a full walk for long enough.
    Due,
    /// Events were lost.
    Overflow,
    /// The watcher failed, or does not answer.
    Failed,
    /// The system allows no more watches.
    Limit,
    /// There are more directories than a journal may hold.
    TooMany,
    /// The backup set, or what its paths lead to, changed.
    Set,
    /// File systems were mounted or unmounted.
    Mounts,
    /// The remembered tree is not the one that the journal follows.
    Memory,
    /// The pass does more than look for changes: chunks are missing, or the contract leaves no room.
    Repair,
    /// A file got one more name: its other names may be in directories where nothing happened.
    Names,
    /// It was wrong once.
    Diverged,
}

impl Doubt {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Start,
        Self::Unproved,
        Self::Due,
        Self::Overflow,
        Self::Failed,
        Self::Limit,
        Self::TooMany,
        Self::Set,
        Self::Mounts,
        Self::Memory,
        Self::Repair,
        Self::Names,
        Self::Diverged,
    ];

    /// The stable English word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Unproved => "unproved",
            Self::Due => "due",
            Self::Overflow => "overflow",
            Self::Failed => "failed",
            Self::Limit => "limit",
            Self::TooMany => "too_many",
            Self::Set => "set",
            Self::Mounts => "mounts",
            Self::Memory => "memory",
            Self::Repair => "repair",
            Self::Names => "names",
            Self::Diverged => "diverged",
        }
    }

    /// The doubt of a word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|doubt| doubt.word() == word)
    }

    /// True if it lasts until the service starts again.
    pub const fn is_lasting(self) -> bool {
        matches!(self, Self::Limit | Self::TooMany | Self::Diverged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_leads_back_to_its_doubt() {
        assert!(Doubt::ALL.into_iter().all(|doubt| Doubt::named(doubt.word()) == Some(doubt)));
        assert_eq!(Doubt::named("x"), None);
    }
}
