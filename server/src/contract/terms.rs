//! The terms of a subscription, as its order form sets them and the sessions and upkeep jobs need them.
//!
//! It does not change by itself: what depends on the moment is asked with the moment.

use common::id::{SourceId, SubscriptionId};
use jiff::{SignedDuration, Timestamp};

use super::late::Due;
use super::quota::{Policy, Rate};
use super::retention::{History, Suspension};
use super::service::{Openness, SuspensionReason, Window, openness};

/// What closes backups or restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The subscription ended.
    Ended {
        /// When.
        at: Timestamp,
    },
    /// It is suspended.
    Suspended {
        /// Why.
        reason: SuspensionReason,
        /// Until when, if that is known.
        until: Option<Timestamp>,
    },
    /// Announced maintenance is under way.
    Maintenance {
        /// Until when.
        until: Timestamp,
        /// In how many seconds to try again.
        retry_s: u64,
    },
}

/// A contracted source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermsSource {
    /// Its id.
    pub source: SourceId,
    /// Its name on the order form.
    pub name: String,
}

/// Whether a subscription takes backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does.
    Active,
    /// Not for the moment.
    Suspended,
    /// No more.
    Ended,
}

/// What a session is held to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Whose terms.
    pub subscription: SubscriptionId,
    /// Volume of the order form, in bytes.
    pub contracted_bytes: u64,
    /// Volume that is never exceeded, in bytes.
    pub hard_volume_bytes: u64,
    /// Daily change, in thousandths of the first backup.
    pub per_mille: u32,
    /// Floor of a day's allowance, in bytes.
    pub min_daily_allowance_bytes: u64,
    /// What happens above the allowance.
    pub policy: Policy,
    /// How long snapshots are kept.
    pub history: History,
    /// Hours between two complete snapshots of a source.
    pub period_h: u32,
    /// Hours beyond which a source is late.
    pub tolerance_h: u32,
    /// Closed list of what may be backed up.
    pub sources: Vec<TermsSource>,
    /// Past, present and announced suspensions.
    pub suspensions: Vec<Window<SuspensionReason>>,
    /// Past, present and announced maintenance, of the server and of this subscription.
    pub maintenance: Vec<Window<()>>,
    /// When it ends or ended, if that is known.
    pub ended_at: Option<Timestamp>,
    /// Whom a refusal tells to call.
    pub contact: String,
}

impl Terms {
    /// What is open at `now`.
    pub fn openness(&self, now: Timestamp) -> Openness {
        openness(&self.suspensions, &self.maintenance, now)
    }

    /// Whether backups are taken at `now`, maintenance apart.
    pub fn state(&self, now: Timestamp) -> State {
        if self.ended_at.is_some_and(|ended| ended <= now) {
            State::Ended
        } else if self.openness(now).suspended.is_some() {
            State::Suspended
        } else {
            State::Active
        }
    }

    /// Whether backups are taken at `now`: neither ended, nor suspended, nor in maintenance.
    ///
    /// # Errors
    /// What closes them.
    pub fn check_backup(&self, now: Timestamp) -> Result<(), Closed> {
        let open = self.openness(now);
        if let Some(ended) = self.ended_at.filter(|ended| *ended <= now) {
            Err(Closed::Ended { at: ended })
        } else if let Some(window) = open.suspended {
            Err(Closed::Suspended { reason: window.reason, until: window.until })
        } else if let Some(until) = open.maintenance_until {
            Err(Closed::Maintenance { until, retry_s: retry_s(now, until) })
        } else {
            Ok(())
        }
    }

    /// Whether content may be taken back at `now`. An ended subscription's may.
    ///
    /// # Errors
    /// The suspension that closes restores.
    pub fn check_restore(&self, now: Timestamp) -> Result<(), Closed> {
        match self.openness(now) {
            Openness { restore: false, suspended: Some(window), .. } => {
                Err(Closed::Suspended { reason: window.reason, until: window.until })
            }
            _ => Ok(()),
        }
    }

    /// What a day may change.
    pub fn rate(&self) -> Rate {
        let Self { per_mille, min_daily_allowance_bytes, contracted_bytes, .. } = *self;
        Rate { per_mille, min_daily_allowance_bytes, contracted_bytes }
    }

    /// How often a source is due.
    pub fn due(&self) -> Due {
        let hours = |hours: u32| SignedDuration::from_hours(hours.into());
        Due { period: hours(self.period_h), tolerance: hours(self.tolerance_h) }
    }

    /// The times during which snapshots do not age; suspensions that touch or overlap are one.
    pub fn pauses(&self) -> Vec<Suspension> {
        let mut windows = self.suspensions.clone();
        windows.sort_by_key(|window| window.from);
        let mut pauses: Vec<Suspension> = Vec::with_capacity(windows.len());
        for window in windows {
            match pauses.last_mut() {
                Some(last) if last.until.is_none_or(|until| window.from <= until) => {
                    last.until = last.until.zip(window.until).map(|(one, other)| one.max(other));
                }
                _ => pauses.push(Suspension { from: window.from, until: window.until }),
            }
        }
        pauses
    }
}

/// Whole seconds until a moment, at least one.
fn retry_s(now: Timestamp, until: Timestamp) -> u64 {
    u64::try_from(until.duration_since(now).as_secs()).unwrap_or_default() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window<R>(from: &str, until: Option<&str>, reason: R) -> Window<R> {
        Window { from: at(from), until: until.map(at), reason }
    }

    /// Terms that end with November.
    fn terms(suspensions: Vec<Window<SuspensionReason>>, maintenance: Vec<Window<()>>) -> Terms {
        Terms {
            subscription: SubscriptionId::new([1; 16]),
            contracted_bytes: 1,
            hard_volume_bytes: 1,
            per_mille: 2,
            min_daily_allowance_bytes: 7,
            policy: Policy::Flag,
            history: History { days: 30, thinning: Vec::new() },
            period_h: 24,
            tolerance_h: 2,
            sources: Vec::new(),
            suspensions,
            maintenance,
            ended_at: Some(at("2026-12-01T00:00:00Z")),
            contact: String::new(),
        }
    }

    /// What closes something, in a word.
    fn word(checked: Result<(), Closed>) -> &'static str {
        match checked {
            Ok(()) => "open",
            Err(Closed::Ended { .. }) => "ended",
            Err(Closed::Suspended { reason, .. }) => reason.name(),
            Err(Closed::Maintenance { .. }) => "maintenance",
        }
    }

    #[test]
    fn what_closes_backups_and_restores_follows_the_moment() {
        use SuspensionReason::{AuthorityRequest, Other, Security, Unpaid};
        let (from, until) = ("2026-11-22T03:00:00Z", Some("2026-11-23T03:00:00Z"));
        let (before, during, after) = ("2026-11-22T02:59:59Z", "2026-11-22T03:00:00Z", "2026-11-23T03:00:00Z");
        let ended = "2026-12-01T00:00:00Z";
        let suspended = |reason| terms(vec![window(from, until, reason)], Vec::new());
        let maintained = terms(Vec::new(), vec![window(from, until, ())]);
        let both = terms(vec![window(from, None, Security)], vec![window(from, until, ())]);
        for (terms, now, backup, restore) in [
            (&suspended(Unpaid), before, "open", "open"),
            (&suspended(Unpaid), during, "unpaid", "open"),
            (&suspended(Other), during, "other", "open"),
            (&suspended(Security), during, "security", "security"),
            (&suspended(AuthorityRequest), during, "authority_request", "authority_request"),
            (&suspended(Security), after, "open", "open"),
            (&maintained, before, "open", "open"),
            (&maintained, during, "maintenance", "open"),
            (&maintained, after, "open", "open"),
            (&both, during, "security", "security"),
            (&both, after, "security", "security"),
            (&both, ended, "ended", "security"),
            (&maintained, ended, "ended", "open"),
        ] {
            let found = (word(terms.check_backup(at(now))), word(terms.check_restore(at(now))));
            assert_eq!(found, (backup, restore), "{now}: {terms:?}");
        }
        let closed = maintained.check_backup(at("2026-11-23T02:59:00Z"));
        assert_eq!(closed, Err(Closed::Maintenance { until: at(after), retry_s: 61 }), "come again a second later");
    }

    #[test]
    fn the_state_follows_the_moment() {
        let suspended = window("2026-11-22T03:00:00Z", Some("2026-11-23T03:00:00Z"), SuspensionReason::Unpaid);
        let terms = terms(vec![suspended], Vec::new());
        for (now, state) in [
            ("2026-11-22T02:59:59Z", State::Active),
            ("2026-11-22T03:00:00Z", State::Suspended),
            ("2026-11-23T03:00:00Z", State::Active),
            ("2026-12-01T00:00:00Z", State::Ended),
        ] {
            assert_eq!(terms.state(at(now)), state, "{now}");
        }
        assert_eq!(terms.due(), Due::default());
        assert_eq!(terms.rate().min_daily_allowance_bytes, 7);
        let further = |from: &str, until: Option<&str>| window(from, until, SuspensionReason::Security);
        let overlapping = further("2026-11-22T12:00:00Z", Some("2026-11-24T00:00:00Z"));
        let later = further("2026-11-25T00:00:00Z", None);
        let terms = Terms { suspensions: vec![later, suspended, overlapping], ..terms };
        let pauses: Vec<_> = terms.pauses().iter().map(|pause| (pause.from, pause.until)).collect();
        assert_eq!(pauses, [(suspended.from, overlapping.until), (later.from, None)]);
    }
}
