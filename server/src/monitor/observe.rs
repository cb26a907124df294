//! What is wrong in a look: pure rules, one function per area.
//!
//! It reads nothing and says nothing; `monitor::alarm` compares its answers over time.

use jiff::{SignedDuration, Timestamp};

use super::alarm::{Fault, Key, Kind, Measures, Observed};
use super::look::{Look, SourceLook, StoredLook, SubscriptionLook};
use crate::contract::quota::Level;
use crate::contract::terms::State;
use crate::control::reevaluations::Reevaluation;
use crate::control::upkeep::JobRecord;
use crate::session::subscription::DayRefusal;
use common::text::date::moment;

/// Life left below which a certificate is an alarm.
const CERTIFICATE: SignedDuration = SignedDuration::from_hours(21 * 24);
/// Age of the newest copy of the control store beyond which it is an alarm.
const COPY: SignedDuration = SignedDuration::from_hours(1);
/// Time of failures beyond which a channel is an alarm.
const CHANNEL: SignedDuration = SignedDuration::from_mins(15);
/// A store is nearly full below so many times its reserve.
const RESERVES: u64 = 2;

/// All that is wrong.
pub fn observe(look: &Look) -> Observed {
    let mut observed = Observed { wrong: server(look), ..Observed::default() };
    for subscription in &look.subscriptions {
        observed.wrong.extend(one(subscription, look.at));
        if subscription.stored.is_none() {
            observed.unread.insert(subscription.reference.clone());
        }
    }
    observed
}

fn fault(kind: Kind, subscription: &str, subject: &str, measures: Measures) -> Fault {
    Fault { key: Key { kind, subscription: subscription.to_owned(), subject: subject.to_owned() }, measures }
}

fn since(at: Timestamp) -> Measures {
    Measures { at_ns: nanoseconds(at), ..Measures::default() }
}

fn server(look: &Look) -> Vec<Fault> {
    let of_server = |kind, subject: &str, measures| fault(kind, "", subject, measures);
    let mut wrong = Vec::new();
    if look.is_suspect {
        wrong.push(of_server(Kind::StoreSuspect, "", Measures::default()));
    }
    if let Some(room) = look.room.filter(|room| room.free_bytes < room.reserve_bytes.saturating_mul(RESERVES)) {
        let used = room.free_bytes.saturating_sub(room.reserve_bytes);
        let measures = Measures { used, allowed: room.reserve_bytes, at_ns: 0 };
        wrong.push(of_server(Kind::StoreNearlyFull, "", measures));
    }
    for (name, ends) in look.certificates.iter().filter(|(_, ends)| ends.duration_since(look.at) < CERTIFICATE) {
        wrong.push(of_server(Kind::CertificateEnds, name, since(*ends)));
    }
    // After a downtime the job has its time to make one.
    let copied_at = look.copied_at.unwrap_or(Timestamp::MIN).max(look.started_at);
    if look.at.duration_since(copied_at) > COPY {
        wrong.push(of_server(Kind::ControlCopyFailed, "", since(copied_at)));
    }
    for channel in &look.channels {
        let failing = channel.failing_since_ns.map(moment);
        if let Some(at) = failing.filter(|at| look.at.duration_since(*at) > CHANNEL && channel.queued > 0) {
            let measures = Measures { used: channel.queued, ..since(at) };
            wrong.push(of_server(Kind::ChannelFailing, channel.channel.word(), measures));
        }
    }
    wrong
}

fn one(subscription: &SubscriptionLook, now: Timestamp) -> Vec<Fault> {
    let reference = subscription.reference.as_str();
    let Some(stored) = &subscription.stored else {
        return vec![fault(Kind::Unreadable, reference, "", Measures::default())];
    };
    let mut wrong = Vec::new();
    if subscription.state(now) == State::Active {
        wrong.extend(subscription.sources.iter().filter_map(|source| {
            let late = subscription.late_since(source, now)?;
            Some(fault(Kind::Late, reference, &source.name, since(late)))
        }));
        wrong.extend(contract(subscription, stored));
    }
    for (source, at) in &stored.holds {
        wrong.push(fault(Kind::Hold, reference, source, since(*at)));
    }
    if stored.packs.damaged > 0 {
        let measures = Measures { used: stored.packs.damaged, ..Measures::default() };
        wrong.push(fault(Kind::Damaged, reference, "", measures));
    }
    if let Some(late_ns) = stored.scrub.late_since_ns {
        wrong.push(fault(Kind::ScrubLate, reference, "", since(moment(late_ns))));
    }
    wrong.extend(subscription.reevaluation.iter().map(|known| of_reevaluation(reference, known)));
    wrong.extend(subscription.sources.iter().filter_map(|source| not_verified(subscription, source, now)));
    wrong.extend(subscription.jobs.iter().filter_map(|job| of_job(reference, job)));
    wrong
}

fn contract(subscription: &SubscriptionLook, stored: &StoredLook) -> Vec<Fault> {
    let reference = subscription.reference.as_str();
    let mut wrong = Vec::new();
    for day in &stored.days {
        let measures = Measures { used: day.counted_bytes, allowed: day.allowed_bytes.unwrap_or(0), at_ns: 0 };
        let refused = subscription.refusals.iter().find(|refusal| refusal.day == day.day);
        let (kind, measures) = match (refused, day.level()) {
            (Some(refusal), Level::NotStarted | Level::Inside | Level::Near) => (Kind::QuotaOver, of_refusal(refusal)),
            (_, Level::Over) => (Kind::QuotaOver, measures),
            (None, Level::Near) => (Kind::QuotaNear, measures),
            (None, Level::Inside | Level::NotStarted) => continue,
        };
        wrong.push(fault(kind, reference, &day.day.to_string(), measures));
    }
    let allowed = subscription.terms.contracted_bytes;
    if stored.used_bytes > allowed {
        let measures = Measures { used: stored.used_bytes, allowed, at_ns: 0 };
        wrong.push(fault(Kind::VolumeOver, reference, "", measures));
    }
    wrong
}

/// What was refused is told as what was wanted.
fn of_refusal(refusal: &DayRefusal) -> Measures {
    Measures { used: refusal.wanted_bytes, allowed: refusal.allowed_bytes, at_ns: refusal.at_ns }
}

/// A re-evaluation that waits, by its worst day.
fn of_reevaluation(reference: &str, known: &Reevaluation) -> Fault {
    let worst = known.file.worst();
    let (used, allowed) = worst.map_or((0, 0), |over| (over.measured_bytes, over.allowed_bytes));
    let measures = Measures { used, allowed, at_ns: known.opened_at_ns };
    fault(Kind::Reevaluation, reference, &known.number.to_string(), measures)
}

fn not_verified(subscription: &SubscriptionLook, source: &SourceLook, now: Timestamp) -> Option<Fault> {
    let totals = &source.totals;
    if totals.snapshots == 0 {
        return None;
    }
    let checked = moment(totals.verified_at_ns.max(totals.oldest_at_ns));
    let half = SignedDuration::from_hours(i64::from(subscription.terms.history.days) * 12);
    let wrong = now.duration_since(checked) > half;
    wrong.then(|| fault(Kind::NotVerified, &subscription.reference, &source.name, since(checked)))
}

/// What the last result of a job tells: a guard that stops pruning, counters that differ.
fn of_job(reference: &str, job: &JobRecord) -> Option<Fault> {
    let counted = |name: &str| job.counts.iter().find(|(known, _)| known == name).map_or(0, |(_, count)| *count);
    if job.outcome == "refused" && job.error != "hold" {
        return Some(fault(Kind::PruningStopped, reference, &job.error, since(moment(job.started_at_ns))));
    }
    let differences = counted("differences");
    (differences > 0).then(|| {
        let measures = Measures { used: differences, ..since(moment(job.started_at_ns)) };
        fault(Kind::CounterDiffers, reference, "", measures)
    })
}

fn nanoseconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX)
}
