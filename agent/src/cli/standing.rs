//! Where each source stands with time: last complete backup, late or not, how the last run went, when the next one is.
//!
//! Part of `dobaas status`. The server says what is late; this machine's state folder says what its service does.
//!
//! Invariant: a service that does not run is said, never a planned run that nobody will make.

use common::text::date::moment;
use common::text::{Arg, Texts};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::remote::restore::SourceInfo;
use crate::source::journal::doubt::Doubt;
use crate::state::runs::{LastRun, RunResult, Runs};

/// A planned run that is this far in the past was made by nobody.
const OVERDUE: SignedDuration = SignedDuration::from_mins(15);

/// What `--json` prints of one source; times RFC 3339.
#[derive(Serialize)]
pub struct StandingDocument {
    complete_at: Option<String>,
    late_since: Option<String>,
    schedule: Option<String>,
    /// `running`, `planned`, `stopped` (a schedule, but no service at work) or `unscheduled`.
    service: &'static str,
    next_run_at: Option<String>,
    running_since: Option<String>,
    last_run: Option<LastRunDocument>,
    failures: u32,
}

#[derive(Serialize)]
struct LastRunDocument {
    started_at: String,
    ended_at: String,
    /// `complete`, `partial`, `deferred`, `refused`, `failed`, `busy`, `maintenance`, `suspended` or `interrupted`.
    result: &'static str,
    error: Option<String>,
    /// `full`, `journal`, or why the change journal was not followed.
    walk: Option<String>,
    /// Directories in which the walk found a change that the journal did not have.
    journal_divergences: u64,
}

/// What is known of one source.
pub struct Standing<'a> {
    /// What the server knows.
    pub info: &'a SourceInfo,
    /// Its schedule; `None` if this machine does not read it.
    pub schedule: Option<&'a str>,
    /// What its runs left.
    pub runs: Option<&'a Runs>,
    /// The clock.
    pub now: Timestamp,
}

/// What the service does about a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Running(Timestamp),
    Planned(Timestamp),
    Stopped,
    Unscheduled,
}

impl Service {
    const fn word(self) -> &'static str {
        match self {
            Self::Running(_) => "running",
            Self::Planned(_) => "planned",
            Self::Stopped => "stopped",
            Self::Unscheduled => "unscheduled",
        }
    }
}

impl Standing<'_> {
    fn service(&self) -> Service {
        let runs = self.runs;
        let planned = runs.and_then(|runs| runs.next_at).filter(|next| self.now.duration_since(*next) <= OVERDUE);
        match (self.schedule.filter(|schedule| !schedule.is_empty()), runs.and_then(|runs| runs.running_since), planned)
        {
            (_, Some(since), _) => Service::Running(since),
            (None, None, _) => Service::Unscheduled,
            (Some(_), None, Some(next)) => Service::Planned(next),
            (Some(_), None, None) => Service::Stopped,
        }
    }

    /// For programs.
    pub fn document(&self) -> StandingDocument {
        let service = self.service();
        let time = |ns: i64| moment(ns).to_string();
        let last = self.runs.and_then(|runs| runs.last.as_ref());
        StandingDocument {
            complete_at: self.info.complete_at_ns.map(time),
            late_since: self.info.late_since_ns.map(time),
            schedule: self.schedule.map(str::to_owned),
            service: service.word(),
            next_run_at: if let Service::Planned(next) = service { Some(next.to_string()) } else { None },
            running_since: if let Service::Running(since) = service { Some(since.to_string()) } else { None },
            last_run: last.map(|last| LastRunDocument {
                started_at: last.started_at.to_string(),
                ended_at: last.ended_at.to_string(),
                result: last.result.word(),
                error: last.error.clone(),
                walk: last.walk.as_ref().map(|walk| walk.by.clone()),
                journal_divergences: last.walk.as_ref().map_or(0, |walk| walk.divergences),
            }),
            failures: self.runs.map_or(0, |runs| runs.standing.failures),
        }
    }

    /// For people: one line.
    pub fn line(&self, texts: Texts) -> String {
        let date = |at: Timestamp| texts.date_and_relative(at, self.now);
        let dated = |key: &str, at: Timestamp| texts.say_with(key, &[("date", date(at).into())]);
        let mut parts = vec![match self.info.complete_at_ns {
            Some(ns) => dated("standing-complete", moment(ns)),
            None => texts.say("standing-never"),
        }];
        if let Some(since) = self.info.late_since_ns {
            parts.push(dated("standing-late", moment(since)));
        }
        if let Some(last) =
            self.runs.and_then(|runs| runs.last.as_ref()).filter(|last| last.result != RunResult::Complete)
        {
            parts.push(self.last(last, texts));
        }
        parts.extend(self.journal(texts));
        if self.schedule.is_some() {
            parts.push(match self.service() {
                Service::Running(since) => dated("standing-running", since),
                Service::Planned(next) => dated("standing-next", next),
                Service::Stopped => texts.say("standing-stopped"),
                Service::Unscheduled => texts.say("standing-unscheduled"),
            });
        }
        texts.say_with("standing", &[("source", Arg::from(&self.info.name)), ("text", parts.join(" ").into())])
    }

    /// What a person should know of the change journal.
    fn journal(&self, texts: Texts) -> Option<String> {
        let walk = self.runs?.last.as_ref()?.walk.as_ref()?;
        if walk.divergences > 0 {
            return Some(texts.say_with("standing-journal-missed", &[("count", Arg::Count(walk.divergences))]));
        }
        match Doubt::named(&walk.by)? {
            Doubt::Diverged => Some(texts.say("standing-journal-off")),
            Doubt::Limit | Doubt::TooMany => Some(texts.say("standing-journal-limit")),
            _ => None,
        }
    }

    fn last(&self, last: &LastRun, texts: Texts) -> String {
        let result = texts.say(&format!("run-result-{}", last.result.word()));
        let args = [
            ("date", Arg::from(texts.date_and_relative(last.ended_at, self.now))),
            ("result", result.into()),
            ("failures", u64::from(self.runs.map_or(0, |runs| runs.standing.failures)).into()),
        ];
        let several = self.runs.is_some_and(|runs| runs.standing.failures > 1);
        texts.say_with(if several { "standing-failures" } else { "standing-last" }, &args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::runs::LastWalk;
    use common::id::{AgentId, ScopeId, SourceId};
    use common::source_kind::SourceKind;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn ns(text: &str) -> i64 {
        i64::try_from(at(text).as_nanosecond()).unwrap()
    }

    const RESULTS: [RunResult; 9] = [
        RunResult::Complete,
        RunResult::Partial,
        RunResult::Deferred,
        RunResult::Refused,
        RunResult::Failed,
        RunResult::Busy,
        RunResult::Maintenance,
        RunResult::Suspended,
        RunResult::Interrupted,
    ];

    #[test]
    fn every_way_a_source_can_stand_is_said_in_both_languages() {
        let mut info = SourceInfo {
            source: SourceId::new([1; 16]),
            name: "bureautique".into(),
            kind: SourceKind::Files,
            scope: ScopeId::new([2; 16]),
            agent: AgentId::new([3; 16]),
            host: "pc".into(),
            snapshots: 3,
            newest_at_ns: None,
            oldest_at_ns: None,
            latest_plain_bytes: 0,
            verified_at_ns: None,
            complete_at_ns: Some(ns("2026-11-21T20:40:00Z")),
            late_since_ns: None,
        };
        let now = at("2026-11-22T20:00:00Z");
        let mut runs = Runs::new(at("2026-11-20T20:00:00Z"));
        let mut lines = Vec::new();
        let mut say = |info: &SourceInfo, runs: Option<&Runs>, schedule: Option<&str>| {
            let standing = Standing { info, schedule, runs, now };
            lines.push((
                standing.line(Texts::FRENCH.plain()),
                standing.line(Texts::ENGLISH),
                standing.document().service,
            ));
        };
        say(&info, None, None);
        say(&info, None, Some("21:30"));
        say(&info, None, Some(""));
        runs.next_at = Some(at("2026-11-22T20:41:00Z"));
        say(&info, Some(&runs), Some("21:30"));
        runs.next_at = Some(at("2026-11-21T20:41:00Z"));
        say(&info, Some(&runs), Some("21:30"));
        runs.running_since = Some(at("2026-11-22T19:41:00Z"));
        info.complete_at_ns = None;
        say(&info, Some(&runs), Some("21:30"));
        runs.running_since = None;
        info.late_since_ns = Some(ns("2026-11-22T03:00:00Z"));
        runs.standing.failures = 4;
        for result in RESULTS {
            let (started_at, ended_at) = (at("2026-11-22T19:00:00Z"), at("2026-11-22T19:05:00Z"));
            runs.last = Some(LastRun { started_at, ended_at, result, error: None, walk: None });
            say(&info, Some(&runs), None);
            runs.standing.failures = 0;
        }
        for (by, divergences) in [("journal", 0), ("due", 1), ("due", 12), ("diverged", 0), ("limit", 0)] {
            let (started_at, ended_at) = (at("2026-11-22T19:00:00Z"), at("2026-11-22T19:05:00Z"));
            let walk = Some(LastWalk { by: by.to_owned(), divergences });
            runs.last = Some(LastRun { started_at, ended_at, result: RunResult::Complete, error: None, walk });
            say(&info, Some(&runs), None);
        }
        insta::assert_debug_snapshot!(lines);
    }
}
