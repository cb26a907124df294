//! Today against the contract, in sentences: what changed, what is allowed, what waits and until when, whom to call.
//!
//! Said at the end of a backup and by `dobaas status`. It counts nothing: the server does.
//!
//! Invariant: I12 — what waits is said to wait, whatever else went well.

use common::report::DayReport;
use common::text::{Arg, Texts};
use common::zone::paris;
use jiff::ToSpan;
use jiff::civil::Date;
use proto::code::Failure;

use crate::backup::run::Outcome;
use crate::remote::account::{ChangePolicy, DayState, DayUse};
use crate::service::ending::is_deferred;

/// What is said after a run that made a snapshot.
pub fn after_run(outcome: &Outcome, texts: Texts) -> Vec<String> {
    let mut said = sentences(&outcome.today, texts);
    if let Some(refusal) = &outcome.refusal {
        said.push(if is_deferred(outcome) { deferred(outcome, texts) } else { refused(refusal, outcome, texts) });
    }
    said
}

/// Change and volume of the day.
pub fn sentences(today: &DayUse, texts: Texts) -> Vec<String> {
    let day = DayReport { changed_bytes: today.counted_bytes, allowed_bytes: today.allowed_bytes };
    let mut said = vec![day.sentence(texts)];
    if today.baseline_bytes > 0 {
        let args = [
            ("rate", Arg::from(texts.percent_fine(today.counted_bytes, today.baseline_bytes))),
            ("contract", texts.percent(today.per_mille.into(), 1_000).into()),
            ("baseline", texts.size(today.baseline_bytes).into()),
            ("days", u64::from(today.days.max(1)).into()),
        ];
        said.push(texts.say_with(if today.days > 1 { "today-rate-days" } else { "today-rate" }, &args));
    }
    match (today.state, today.policy) {
        (DayState::Near, _) => said.push(texts.say("today-near")),
        (DayState::Over, ChangePolicy::Flag) => said.push(texts.say("today-over")),
        _ => {}
    }
    let volume = [
        ("used", Arg::from(texts.size(today.used_bytes))),
        ("contracted", texts.size(today.contracted_bytes).into()),
        ("share", texts.percent(today.used_bytes, today.contracted_bytes).into()),
    ];
    said.push(texts.say_with("status-volume", &volume));
    said
}

/// What is protected, what waits, when it goes on.
fn deferred(outcome: &Outcome, texts: Texts) -> String {
    let next =
        outcome.today.day.parse::<Date>().ok().and_then(|day| day.saturating_add(1.day()).to_zoned(paris()).ok());
    let args = [
        ("files", Arg::Count(outcome.deferred.files)),
        ("bytes", texts.size(outcome.deferred.bytes).into()),
        ("protected", texts.counted("count-files", outcome.counts.files).into()),
        ("next", next.map_or_else(String::new, |next| texts.date(next.timestamp())).into()),
    ];
    texts.say_with("today-deferred", &args)
}

/// The refusal in the server's own words, and what waits because of it.
fn refused(refusal: &Failure, outcome: &Outcome, texts: Texts) -> String {
    let args = [
        ("files", Arg::Count(outcome.deferred.files)),
        ("bytes", texts.size(outcome.deferred.bytes).into()),
        ("protected", texts.counted("count-files", outcome.counts.files).into()),
        ("refusal", refusal.text(texts).into()),
    ];
    texts.say_with("today-refused", &args)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(counted_bytes: u64, state: DayState, policy: ChangePolicy) -> DayUse {
        DayUse {
            day: "2026-11-22".into(),
            counted_bytes,
            allowed_bytes: 2_000_000,
            baseline_bytes: 1_000_000_000,
            contracted_bytes: 2_000_000_000,
            used_bytes: 1_200_000_000,
            per_mille: 2,
            policy,
            state,
            days: 1,
            ..DayUse::default()
        }
    }

    #[test]
    fn every_state_of_a_day_is_said_in_both_languages() {
        let days = [
            DayUse { allowed_bytes: 0, baseline_bytes: 0, ..day(0, DayState::NotStarted, ChangePolicy::Flag) },
            day(1_000_000, DayState::Inside, ChangePolicy::Flag),
            day(1_800_000, DayState::Near, ChangePolicy::Refuse),
            day(2_500_000, DayState::Over, ChangePolicy::Flag),
            DayUse { days: 3, allowed_bytes: 6_000_000, ..day(4_000_000, DayState::Inside, ChangePolicy::Defer) },
        ];
        let lines: Vec<String> = [Texts::FRENCH.plain(), Texts::ENGLISH]
            .into_iter()
            .flat_map(|texts| days.iter().map(move |day| sentences(day, texts).join("\n")))
            .collect();
        insta::assert_snapshot!(lines.join("\n\n"));
    }
}
