//! The sentences that end a backup: what was protected, what was sent, how long it took, where today stands.
//!
//! The same facts make the terminal's last lines and, later, the daily mail. It does not gather them.
//!
//! Invariant: I12 — a run that left something out says so in its first words.

use crate::stored::SnapshotState;
use crate::text::{Arg, Texts};

/// What one committed backup did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReport {
    /// The source's name.
    pub source: String,
    /// Whether everything is in it.
    pub state: SnapshotState,
    /// Files in the snapshot.
    pub files: u64,
    /// Their bytes.
    pub plain_bytes: u64,
    /// Files that the one before did not have.
    pub files_new: u64,
    /// Files that differ from the one before.
    pub files_changed: u64,
    /// Files that are gone since the one before.
    pub files_deleted: u64,
    /// Files left out.
    pub files_skipped: u64,
    /// Frames sent, in bytes.
    pub sent_bytes: u64,
    /// How long it took.
    pub duration_ms: u64,
}

/// Where the subscription stands today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayReport {
    /// Plain bytes changed today.
    pub changed_bytes: u64,
    /// What the contract allows today; 0 while there is no baseline.
    pub allowed_bytes: u64,
}

impl RunReport {
    /// One sentence: `bureautique : 78 579 fichiers protégés (1,3 Go) en 12 s ; 2,1 Mo envoyés (…).`
    pub fn sentence(&self, texts: Texts) -> String {
        let key = if self.state == SnapshotState::Complete { "run-complete" } else { "run-partial" };
        let args = [
            ("source", Arg::from(&self.source)),
            ("files", self.files.into()),
            ("plain", texts.size(self.plain_bytes).into()),
            ("duration", texts.duration(self.duration_ms).into()),
            ("sent", texts.size(self.sent_bytes).into()),
            ("new", self.files_new.into()),
            ("changed", self.files_changed.into()),
            ("deleted", self.files_deleted.into()),
            ("skipped", texts.counted("count-files", self.files_skipped).into()),
        ];
        texts.say_with(key, &args)
    }
}

impl DayReport {
    /// One sentence: `Aujourd'hui : 2 Mo modifiés sur 2,6 Mo permis (76,9 %).`
    pub fn sentence(&self, texts: Texts) -> String {
        if self.allowed_bytes == 0 {
            return texts.say("day-without-baseline");
        }
        let args = [
            ("changed", Arg::from(texts.size(self.changed_bytes))),
            ("allowed", texts.size(self.allowed_bytes).into()),
            ("share", texts.percent(self.changed_bytes, self.allowed_bytes).into()),
        ];
        texts.say_with(if self.changed_bytes > self.allowed_bytes { "day-over" } else { "day-within" }, &args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_run_is_one_sentence_in_each_language() {
        let complete = RunReport {
            source: "bureautique".into(),
            state: SnapshotState::Complete,
            files: 78_579,
            plain_bytes: 1_300_000_000,
            files_new: 3,
            files_changed: 12,
            files_deleted: 1,
            files_skipped: 0,
            sent_bytes: 2_100_000,
            duration_ms: 12_400,
        };
        let partial = RunReport { state: SnapshotState::Partial, files_skipped: 1, ..complete.clone() };
        let day = |changed_bytes, allowed_bytes| DayReport { changed_bytes, allowed_bytes };
        let lines: Vec<String> = [Texts::FRENCH.plain(), Texts::ENGLISH]
            .into_iter()
            .flat_map(|texts| {
                [
                    complete.sentence(texts),
                    partial.sentence(texts),
                    day(2_000_000, 2_600_000).sentence(texts),
                    day(2_600_001, 2_600_000).sentence(texts),
                    day(5, 0).sentence(texts),
                ]
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
