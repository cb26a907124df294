//! The alarm state machine: from what is wrong at each look to what is said, once, then daily at most, then the end.
//!
//! It does not observe and does not send. All channels (mail, webhook, command, metrics, command line) show the same states.
//!
//! Invariant: one message per change of state; a repeated look at the same fault says nothing for a day, and one that comes and
//! goes within [`SETTLE`] is one alarm.
//! Invariant: what could not be looked at has not ended.
//! Invariant: an alarm about a civil day is said once for that day, whatever its level does in between, and is neither repeated nor
//! ended: the day is over the next morning anyway.
//! Invariant: no file name: a subject is a source, a counter, a channel or a site, as operators named them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::contract::calendar::{day_of, days_between};

/// Time between two reminders of an alarm that goes on.
pub const REMINDER: SignedDuration = SignedDuration::from_hours(24);
/// Time without the fault after which an alarm has ended.
pub const SETTLE: SignedDuration = SignedDuration::from_mins(10);

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A source has no complete snapshot in its period.
    Late,
    /// A day is over the daily change.
    QuotaOver,
    /// A day reached 80 % of the daily change.
    QuotaNear,
    /// The latest snapshots are above the contracted volume.
    VolumeOver,
    /// A re-evaluation file waits for its outcome.
    Reevaluation,
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
    /// A snapshot claims to be smaller than what came in with it.
    ClaimImpossible,
    /// A key holder has not verified a source for half of its history.
    NotVerified,
    /// A copy of the control store failed.
    ControlCopyFailed,
    /// The catalog of a subscription cannot be read.
    Unreadable,
    /// Messages cannot be delivered through a channel.
    ChannelFailing,
    /// A job of upkeep failed.
    JobFailed,
    /// Upkeep is paused for a long time.
    UpkeepPaused,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 20] = [
        Self::Late,
        Self::QuotaOver,
        Self::QuotaNear,
        Self::VolumeOver,
        Self::Reevaluation,
        Self::Hold,
        Self::Damaged,
        Self::ScrubLate,
        Self::PruningStopped,
        Self::StoreNearlyFull,
        Self::StoreSuspect,
        Self::CertificateEnds,
        Self::CounterDiffers,
        Self::ClaimImpossible,
        Self::NotVerified,
        Self::ControlCopyFailed,
        Self::Unreadable,
        Self::ChannelFailing,
        Self::JobFailed,
        Self::UpkeepPaused,
    ];

    /// Its stable name, in metrics, rows and documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::QuotaOver => "quota_over",
            Self::QuotaNear => "quota_near",
            Self::VolumeOver => "volume_over",
            Self::Reevaluation => "reevaluation",
            Self::Hold => "hold",
            Self::Damaged => "damaged",
            Self::ScrubLate => "scrub_late",
            Self::PruningStopped => "pruning_stopped",
            Self::StoreNearlyFull => "store_nearly_full",
            Self::StoreSuspect => "store_suspect",
            Self::CertificateEnds => "certificate_ends",
            Self::CounterDiffers => "counter_differs",
            Self::ClaimImpossible => "claim_impossible",
            Self::NotVerified => "not_verified",
            Self::ControlCopyFailed => "control_copy_failed",
            Self::Unreadable => "unreadable",
            Self::ChannelFailing => "channel_failing",
            Self::JobFailed => "job_failed",
            Self::UpkeepPaused => "upkeep_paused",
        }
    }

    /// The kind of a name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// True if the customer is told beside the operators.
    pub const fn is_for_customer(self) -> bool {
        matches!(self, Self::Late | Self::QuotaOver | Self::QuotaNear | Self::VolumeOver | Self::Hold)
    }

    /// True if it is about a civil day, which is then its subject.
    pub const fn is_of_a_day(self) -> bool {
        matches!(self, Self::QuotaOver | Self::QuotaNear)
    }

    /// The graver kind that takes its place: its own end is then not said.
    const fn graver(self) -> Option<Self> {
        match self {
            Self::QuotaNear => Some(Self::QuotaOver),
            _ => None,
        }
    }
}

/// What an alarm is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What is wrong.
    pub kind: Kind,
    /// Whose, as a reference; empty for the server itself.
    pub subscription: String,
    /// With what: a source's name, a counter, a channel, a civil day.
    pub subject: String,
}

impl Key {
    /// The same about what takes its place, if anything does.
    fn graver(&self) -> Option<Self> {
        self.kind.graver().map(|kind| Self { kind, ..self.clone() })
    }

    /// True if it is about a day that people still have in mind: today or yesterday.
    fn is_of_recent_day(&self, now: Timestamp) -> bool {
        let day = self.subject.parse::<Date>().ok().filter(|_| self.kind.is_of_a_day());
        day.is_some_and(|day| days_between(day, day_of(now)) <= 1)
    }
}

/// How bad it is, in the unit of the kind (bytes, days, objects); 0 where there is nothing to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Measures {
    /// What is used, or how many.
    pub used: u64,
    /// What is allowed.
    pub allowed: u64,
    /// The moment that it is about, in nanoseconds since 1970.
    pub at_ns: i64,
}

/// What is wrong at a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What it is about.
    pub key: Key,
    /// How bad it is.
    pub measures: Measures,
}

/// One look.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// All that is wrong, as far as it could be seen.
    pub wrong: Vec<Fault>,
    /// References of the subscriptions that could not be looked at.
    pub unread: BTreeSet<String>,
}

/// An alarm that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Active {
    /// Since when.
    pub since: Timestamp,
    /// When it was last said.
    pub said_at: Timestamp,
    /// Since when the fault is gone, if it is.
    pub gone_since: Option<Timestamp>,
    /// How bad it was when it was last seen.
    pub measures: Measures,
}

/// What happened to an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It began.
    Raised,
    /// It still goes on, a day later.
    Reminder,
    /// It ended.
    Ended,
    /// Nothing: an operator tries the channels.
    Test,
    /// No alarm: a customer is told what the provider did.
    Told,
}

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What happened.
    pub event: Event,
    /// To which alarm.
    pub key: Key,
    /// When it had begun.
    pub since: Timestamp,
    /// How bad it is, or was.
    pub measures: Measures,
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

    /// Compares what is wrong now with what was, and returns what to say.
    pub fn look(&mut self, observed: &Observed, now: Timestamp) -> Vec<Message> {
        let mut messages = Vec::new();
        let wrong: BTreeMap<&Key, Measures> = observed.wrong.iter().map(|fault| (&fault.key, fault.measures)).collect();
        for (key, measures) in &wrong {
            let is_lesser = key.graver().is_some_and(|graver| self.active.contains_key(&graver));
            let (since, event) = match self.active.get_mut(key) {
                Some(active) => {
                    (active.measures, active.gone_since) = (*measures, None);
                    if key.kind.is_of_a_day() || now.duration_since(active.said_at) < REMINDER {
                        continue;
                    }
                    active.said_at = now;
                    (active.since, Event::Reminder)
                }
                None if is_lesser => continue,
                None => {
                    let active = Active { since: now, said_at: now, gone_since: None, measures: *measures };
                    self.active.insert((*key).clone(), active);
                    (now, Event::Raised)
                }
            };
            messages.push(Message { event, key: (*key).clone(), since, measures: *measures });
        }
        self.active.retain(|key, active| {
            if wrong.contains_key(key) || observed.unread.contains(&key.subscription) {
                return true;
            }
            let is_replaced = key.graver().is_some_and(|graver| wrong.contains_key(&graver));
            if key.kind.is_of_a_day() {
                return !is_replaced && key.is_of_recent_day(now);
            }
            let gone_since = *active.gone_since.get_or_insert(now);
            if !is_replaced && now.duration_since(gone_since) < SETTLE {
                return true;
            }
            if !is_replaced {
                let Active { since, measures, .. } = *active;
                messages.push(Message { event: Event::Ended, key: key.clone(), since, measures });
            }
            false
        });
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;

    fn key(kind: Kind, subject: &str) -> Key {
        Key { kind, subscription: "BC-1".into(), subject: subject.into() }
    }

    fn observed(keys: &[Key]) -> Observed {
        let fault = |key: &Key| Fault { key: key.clone(), measures: Measures::default() };
        Observed { wrong: keys.iter().map(fault).collect(), unread: BTreeSet::new() }
    }

    fn start() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn said(messages: &[Message]) -> Vec<(Event, String)> {
        messages.iter().map(|message| (message.event, message.key.subject.clone())).collect()
    }

    #[test]
    fn an_alarm_is_said_once_then_daily_then_its_end() {
        let (a, b) = (key(Kind::Late, "a"), key(Kind::Late, "b"));
        let at = |minutes: i64| start().checked_add(minutes.minutes()).unwrap();
        let mut alarms = Alarms::default();
        type Row<'a> = (&'a [&'a Key], i64, &'a [(Event, &'a str)]);
        let rows: [Row<'_>; 9] = [
            (&[&a, &a], 0, &[(Event::Raised, "a")]),
            (&[&a], 23 * 60, &[]),
            (&[&a, &b], 24 * 60, &[(Event::Reminder, "a"), (Event::Raised, "b")]),
            (&[&b], 25 * 60, &[]),
            (&[&b], 25 * 60 + 10, &[(Event::Ended, "a")]),
            (&[&b], 26 * 60, &[]),
            (&[], 27 * 60, &[]),
            (&[], 28 * 60, &[(Event::Ended, "b")]),
            (&[&b], 29 * 60, &[(Event::Raised, "b")]),
        ];
        for (wrong, minutes, expected) in rows {
            // A restart between any two looks changes nothing.
            alarms = Alarms::restore(alarms.active().map(|(key, active)| (key.clone(), *active)).collect::<Vec<_>>());
            let keys: Vec<Key> = wrong.iter().map(|key| (*key).clone()).collect();
            let expected: Vec<_> = expected.iter().map(|(event, subject)| (*event, (*subject).to_owned())).collect();
            assert_eq!(said(&alarms.look(&observed(&keys), at(minutes))), expected, "at minute {minutes}");
        }
    }

    #[test]
    fn a_fault_that_comes_and_goes_is_one_alarm() {
        let fault = observed(&[key(Kind::StoreNearlyFull, "")]);
        let mut alarms = Alarms::default();
        let mut messages = Vec::new();
        for minute in 0..60 {
            let look = if minute % 5 == 0 { fault.clone() } else { Observed::default() };
            messages.extend(alarms.look(&look, start().checked_add(minute.minutes()).unwrap()));
        }
        assert_eq!(said(&messages), [(Event::Raised, String::new())]);
    }

    #[test]
    fn a_day_that_goes_from_near_to_over_does_not_end_on_the_way() {
        let (near, over) = (key(Kind::QuotaNear, "2026-11-22"), key(Kind::QuotaOver, "2026-11-22"));
        let mut alarms = Alarms::default();
        alarms.look(&observed(&[near]), start());
        let messages = alarms.look(&observed(std::slice::from_ref(&over)), start());
        assert_eq!(messages.len(), 1);
        assert_eq!((messages[0].event, &messages[0].key), (Event::Raised, &over));
        assert_eq!(alarms.active().count(), 1);
    }

    #[test]
    fn a_day_is_told_once_however_its_level_moves_and_the_next_day_again() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let [near, over] = [Kind::QuotaNear, Kind::QuotaOver].map(|kind| key(kind, "2026-11-22"));
        let next = key(Kind::QuotaOver, "2026-11-23");
        let mut alarms = Alarms::default();
        let rows: [(&str, &[&Key], &[&Key]); 10] = [
            ("2026-11-22T08:00:00Z", &[&near], &[&near]),
            ("2026-11-22T09:00:00Z", &[], &[]),
            ("2026-11-22T10:00:00Z", &[&near], &[]),
            ("2026-11-22T11:00:00Z", &[&over], &[&over]),
            ("2026-11-22T12:00:00Z", &[&near], &[]),
            ("2026-11-22T22:58:00Z", &[&over], &[]),
            // Midnight in Paris: yesterday is still looked at, and the new day is another one.
            ("2026-11-22T23:05:00Z", &[&over, &next], &[&next]),
            ("2026-11-23T12:00:00Z", &[&over, &next], &[]),
            ("2026-11-23T23:05:00Z", &[&next], &[]),
            ("2026-11-24T23:05:00Z", &[], &[]),
        ];
        for (moment, wrong, said) in rows {
            alarms = Alarms::restore(alarms.active().map(|(key, active)| (key.clone(), *active)).collect::<Vec<_>>());
            let keys: Vec<Key> = wrong.iter().map(|key| (*key).clone()).collect();
            let messages = alarms.look(&observed(&keys), at(moment));
            assert!(messages.iter().all(|message| message.event == Event::Raised), "{moment}");
            assert_eq!(messages.iter().map(|message| &message.key).collect::<Vec<_>>(), said, "{moment}");
        }
        assert_eq!(alarms.active().count(), 0);
    }

    #[test]
    fn what_could_not_be_looked_at_has_not_ended() {
        let mut alarms = Alarms::default();
        alarms.look(&observed(&[key(Kind::Late, "a")]), start());
        let blind = Observed { wrong: Vec::new(), unread: ["BC-1".to_owned()].into() };
        for hours in 1..50 {
            assert_eq!(alarms.look(&blind, start().checked_add(hours.hours()).unwrap()), []);
        }
        assert_eq!(alarms.active().count(), 1);
    }

    #[test]
    fn every_kind_is_known_by_its_word() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.word()), Some(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("{:?}", kind.word()));
        }
        assert_eq!(Kind::named("x"), None);
    }
}
