//! The alarm state machine: from what is wrong at each look to what is said, once, then daily at most, then the end.
//!
//! It does not observe and does not send. All channels (mail, webhook, command, metrics, console) show the same states.
//!
//! Invariant: one message per change of state; a repeated look at the same fault says nothing for a day.
//! Invariant: no file name: a subject is a subscription, a source, a pack or a site.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

/// Time between two reminders of an alarm that goes on.
pub const REMINDER: SignedDuration = SignedDuration::from_hours(24);

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A source has no complete snapshot in its period.
    Late,
    /// A day is over the daily change.
    QuotaOver,
    /// A day reached 80 % of the daily change.
    QuotaNear,
    /// The latest snapshots are above the contracted volume.
    VolumeOver,
    /// A snapshot is suspect; pruning is frozen.
    Hold,
    /// A stored object is damaged.
    Damaged,
    /// An object was not read again in its time.
    ScrubLate,
    /// Pruning waits for an operator.
    PruningStopped,
    /// The disk is near its reserve.
    StoreNearlyFull,
    /// A write failed; the store accepts nothing more.
    StoreSuspect,
    /// A certificate ends soon.
    CertificateEnds,
    /// A counter differs from its recount.
    CounterDiffers,
    /// A key holder has not verified a source for half of its history.
    NotVerified,
    /// A copy of the control store failed.
    ControlCopyFailed,
}

/// What an alarm is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What is wrong.
    pub kind: Kind,
    /// Whose, as a reference; empty for the server itself.
    pub subscription: String,
    /// With what: a source's name, a pack's id, a site.
    pub subject: String,
}

/// An alarm that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Active {
    /// Since when.
    pub since: Timestamp,
    /// When it was last said.
    pub said_at: Timestamp,
}

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// It began.
    Raised(Key),
    /// It still goes on, a day later.
    Reminder(Key, Timestamp),
    /// It ended; it had begun at that time.
    Ended(Key, Timestamp),
}

/// All alarms that go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alarms {
    active: BTreeMap<Key, Active>,
}

impl Alarms {
    /// Takes up where a stored state stopped.
    pub fn restore(active: impl IntoIterator<Item = (Key, Active)>) -> Self {
        Self { active: active.into_iter().collect() }
    }

    /// What goes on, to show and to store.
    pub fn active(&self) -> impl Iterator<Item = (&Key, &Active)> {
        self.active.iter()
    }

    /// Compares what is wrong now with what was, and returns what to say. `wrong` is the whole truth of this look: what is not
    /// in it has ended.
    pub fn look(&mut self, wrong: impl IntoIterator<Item = Key>, now: Timestamp) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut next = BTreeMap::new();
        for key in wrong.into_iter().collect::<BTreeSet<_>>() {
            let Some(known) = self.active.remove(&key) else {
                next.insert(key.clone(), Active { since: now, said_at: now });
                messages.push(Message::Raised(key));
                continue;
            };
            let remind = now.duration_since(known.said_at) >= REMINDER;
            let said_at = if remind { now } else { known.said_at };
            if remind {
                messages.push(Message::Reminder(key.clone(), known.since));
            }
            next.insert(key, Active { said_at, ..known });
        }
        let ended = std::mem::replace(&mut self.active, next);
        messages.extend(ended.into_iter().map(|(key, known)| Message::Ended(key, known.since)));
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;

    fn key(subject: &str) -> Key {
        Key { kind: Kind::Late, subscription: "BC-1".into(), subject: subject.into() }
    }

    #[test]
    fn an_alarm_is_said_once_then_daily_then_its_end() {
        let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let at = |hours: i64| start.checked_add(hours.hours()).unwrap();
        let mut alarms = Alarms::default();
        assert_eq!(alarms.look([key("a"), key("a")], at(0)), [Message::Raised(key("a"))]);
        assert_eq!(alarms.look([key("a"), key("a")], at(23)), []);
        assert_eq!(
            alarms.look([key("a"), key("b")], at(24)),
            [Message::Reminder(key("a"), at(0)), Message::Raised(key("b"))]
        );
        let mut restored = Alarms::restore(alarms.active().map(|(key, active)| (key.clone(), *active)));
        assert_eq!(restored.look([key("b")], at(25)), [Message::Ended(key("a"), at(0))]);
        assert_eq!(restored.look([key("b")], at(26)), []);
        assert_eq!(restored.look([], at(27)), [Message::Ended(key("b"), at(24))]);
        assert_eq!(restored.look([key("b")], at(28)), [Message::Raised(key("b"))], "it may come back");
    }
}
