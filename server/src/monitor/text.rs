//! Alarms in words, for mails and tables.
//!
//! Invariant: what a sentence shows comes from the notice: references, names of sources, sizes and dates.

use common::text::date::moment;
use common::text::{Arg, Texts};

use super::alarm::{Event, Kind, Measures};
use super::notice::Notice;
use crate::contract::amendment::name_key;

/// What is wrong, in a few words: the heart of a mail's subject.
pub fn title(kind: Kind, texts: Texts) -> String {
    texts.say(&key(kind, "title"))
}

/// What is wrong, in a sentence.
pub fn sentence(kind: Kind, subject: &str, measures: &Measures, texts: Texts) -> String {
    let size = |value: u64| if counts_bytes(kind) { texts.size(value) } else { texts.count(value) };
    let subject = about(kind, subject, texts);
    let subject = if subject.is_empty() { "none".to_owned() } else { subject };
    let args: [(&str, Arg<'_>); 4] = [
        ("subject", subject.into()),
        ("used", size(measures.used).into()),
        ("allowed", size(measures.allowed).into()),
        ("at", texts.date(moment(measures.at_ns)).into()),
    ];
    texts.say_with(&key(kind, "sentence"), &args)
}

/// What an alarm is about, as people read it: a civil day is written as their days are, the stop of a guard in words.
pub fn about(kind: Kind, subject: &str, texts: Texts) -> String {
    match kind {
        Kind::PruningStopped if !subject.is_empty() => {
            texts.say(&format!("pruning-stop-{}", subject.replace('_', "-")))
        }
        _ if kind.is_of_a_day() => subject.parse().map_or_else(|_| subject.to_owned(), |day| texts.day(day)),
        _ => subject.to_owned(),
    }
}

/// What to do about it.
pub fn advice(kind: Kind, is_customer: bool, texts: Texts) -> String {
    texts.say(&key(kind, if is_customer && kind.is_for_customer() { "customer" } else { "advice" }))
}

/// A notice whole: a mail's subject and text.
pub fn letter(notice: &Notice, is_customer: bool, texts: Texts) -> (String, String) {
    if notice.event == Event::Told {
        return told(notice, texts);
    }
    let Some(kind) = notice.kind else {
        return (texts.say("alarm-test-subject"), texts.say("alarm-test-body"));
    };
    let title = title(kind, texts);
    let subject = about(kind, &notice.subject, texts);
    let about = [notice.subscription.as_str(), subject.as_str()];
    let about = about.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let about = if about.is_empty() { texts.say("alarm-about-server") } else { about };
    let subject = match notice.event {
        Event::Ended => "alarm-subject-ended",
        _ => "alarm-subject",
    };
    let subject = texts.say_with(subject, &[("title", title.into()), ("about", (&about).into())]);
    let since = texts.date_full(notice.since);
    let state = match notice.event {
        Event::Raised | Event::Test | Event::Told => texts.say_with("alarm-raised", &[("since", since.into())]),
        Event::Reminder => texts.say_with("alarm-reminder", &[("since", since.into())]),
        Event::Ended => texts.say_with("alarm-ended", &[("since", since.into())]),
    };
    let mut parts = vec![texts.say_with("alarm-about", &[("about", about.into())])];
    parts.push(sentence(kind, &notice.subject, &notice.measures, texts));
    parts.push(state);
    if notice.event != Event::Ended {
        parts.push(advice(kind, is_customer, texts));
    }
    (subject, parts.join("\n\n"))
}

/// What a customer is told, which is no alarm.
fn told(notice: &Notice, texts: Texts) -> (String, String) {
    let topic = [("topic", Arg::from(&notice.topic))];
    let title = texts.say_with("notice-title", &topic);
    let args = [("title", title.into()), ("about", Arg::from(&notice.subscription))];
    let subject = texts.say_with("notice-subject", &args);
    let detail = match notice.topic.starts_with("amendment") {
        true => amendment(&notice.subject, texts),
        false => texts.dates_in(&notice.subject),
    };
    let parts = [
        texts.say_with("alarm-about", &[("about", Arg::from(&notice.subscription))]),
        texts.say_with("notice-sentence", &topic),
        texts.say_with("notice-detail", &[("detail", detail.into())]),
        texts.say_with("notice-told", &[("at", texts.date_full(notice.at).into())]),
    ];
    (subject, parts.join("\n\n"))
}

/// Number and document of an amendment, with what it changes by the names that people know; the signed document says what they
/// are to be.
fn amendment(told: &str, texts: Texts) -> String {
    let Some((which, fields)) = told.split_once(" : ") else { return told.to_owned() };
    let fields = fields.split(", ").map(|field| name_key(field).map_or_else(|| field.to_owned(), |key| texts.say(key)));
    let args = [("which", Arg::from(which)), ("fields", fields.collect::<Vec<_>>().join(", ").into())];
    texts.say_with("notice-amendment", &args)
}

/// Several notices in one text: a mail's subject and text.
pub fn digest(notices: &[Notice], is_customer: bool, texts: Texts) -> (String, String) {
    let subject = texts.say_with("alarm-digest-subject", &[("count", (notices.len() as u64).into())]);
    let items = notices.iter().map(|notice| {
        let (subject, body) = letter(notice, is_customer, texts);
        format!("== {subject}\n\n{body}")
    });
    (subject, items.collect::<Vec<_>>().join("\n\n"))
}

fn key(kind: Kind, part: &str) -> String {
    format!("alarm-{}-{part}", kind.word().replace('_', "-"))
}

/// True if the measures of a kind are bytes.
const fn counts_bytes(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::QuotaOver
            | Kind::QuotaNear
            | Kind::VolumeOver
            | Kind::Reevaluation
            | Kind::StoreNearlyFull
            | Kind::ClaimImpossible
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::alarm::{Key, Message};

    #[test]
    fn every_kind_and_event_has_its_letter_in_both_languages() {
        let since: jiff::Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        for texts in [Texts::FRENCH.plain(), Texts::ENGLISH] {
            for kind in Kind::ALL {
                for event in [Event::Raised, Event::Reminder, Event::Ended] {
                    let subject = if kind == Kind::PruningStopped { "downtime" } else { "bureautique" };
                    let key = Key { kind, subscription: "BC-1".into(), subject: subject.into() };
                    let measures = Measures { used: 3_000_000, allowed: 2_000_000, at_ns: 0 };
                    let notice = Notice::new(&Message { event, key, since, measures }, since);
                    for is_customer in [false, true] {
                        // A text or variable that is missing ends a debug build.
                        let (subject, body) = letter(&notice, is_customer, texts);
                        assert!(subject.contains("BC-1") && body.contains("22"), "{subject}: {body}");
                        assert!(!subject.contains('\n') && subject.len() < 200, "{subject}");
                    }
                }
            }
        }
        for topic in [
            "suspension",
            "resumed",
            "maintenance",
            "relocation",
            "password_reset",
            "password_withdrawn",
            "account_ended",
            "account_reopened",
            "end",
            "?",
        ] {
            let notice = Notice::told("BC-1", (topic, "2026-11-22T12:00:00Z → … : disque"), since);
            for texts in [Texts::FRENCH.plain(), Texts::ENGLISH] {
                let (subject, body) = letter(&notice, true, texts);
                assert!(subject.contains("BC-1") && body.contains("dobaas accesses"), "{subject}: {body}");
                assert!(!body.contains("T12:00"), "{body}");
            }
        }
        let amendment = Notice::told("BC-1", ("amendment", "3 (A-3) : contracted_bytes, prices"), since);
        let (_, body) = letter(&amendment, true, Texts::FRENCH.plain());
        assert!(body.contains("n° 3 (A-3) ; ce qui change : Volume souscrit, Prix"), "{body}");
        let (subject, body) = letter(&Notice::test(since), false, Texts::FRENCH);
        assert!(!subject.is_empty() && !body.is_empty());
    }
}
