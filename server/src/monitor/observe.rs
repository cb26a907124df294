//! What is wrong in a look: pure rules, one function per area.
//!
//! It reads nothing and says nothing; `monitor::alarm` compares its answers over time.

use jiff::{SignedDuration, Timestamp};

use super::alarm::{Fault, Key, Kind, Measures, Observed};
use super::look::{Look, SourceLook, StoredLook, SubscriptionLook};
use crate::contract::guards::Stop;
use crate::contract::quota::Level;
use crate::contract::terms::State;
use crate::control::reevaluations::Reevaluation;
use crate::control::upkeep::JobRecord;
use crate::session::subscription::DayRefusal;
use common::text::date::{moment, nanoseconds};

/// Life left below which a certificate is an alarm.
const CERTIFICATE: SignedDuration = SignedDuration::from_hours(21 * 24);
/// Age of the newest copy of the control store beyond which it is an alarm.
const COPY: SignedDuration = SignedDuration::from_hours(1);
/// Time of failures beyond which a channel is an alarm.
const CHANNEL: SignedDuration = SignedDuration::from_mins(15);
/// Time after which paused upkeep is an alarm.
const PAUSE: SignedDuration = SignedDuration::from_hours(24);
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
    wrong.extend(stopped("", look.pruning_stop.as_ref()));
    wrong.extend(paused("", look.paused_since, look.at));
    wrong.extend(look.jobs.iter().filter_map(|job| of_job("", job)));
    wrong
}

/// One alarm for what stands still everywhere, one for each subscription that stands still by itself.
fn stopped(reference: &str, stop: Option<&(String, Timestamp)>) -> Option<Fault> {
    stop.map(|(reason, at)| fault(Kind::PruningStopped, reference, reason, since(*at)))
}

fn paused(reference: &str, paused_since: Option<Timestamp>, now: Timestamp) -> Option<Fault> {
    let at = paused_since.filter(|at| now.duration_since(*at) > PAUSE)?;
    Some(fault(Kind::UpkeepPaused, reference, "", since(at)))
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
    let damaged = stored.packs.damaged;
    if damaged > 0 {
        let measures = Measures { used: damaged, ..Measures::default() };
        wrong.push(fault(Kind::Damaged, reference, "", measures));
    }
    if let Some(late_ns) = stored.scrub.late_since_ns {
        wrong.push(fault(Kind::ScrubLate, reference, "", since(moment(late_ns))));
    }
    wrong.extend(subscription.reevaluation.iter().map(|known| of_reevaluation(reference, known)));
    wrong.extend(subscription.sources.iter().filter_map(|source| claim_impossible(reference, source)));
    wrong.extend(subscription.sources.iter().filter_map(|source| not_verified(subscription, source, now)));
    wrong.extend(stopped(reference, subscription.pruning_stop.as_ref()));
    wrong.extend(paused(reference, subscription.paused_since, now));
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

/// A newest snapshot that says to be smaller than what came in with it.
fn claim_impossible(reference: &str, source: &SourceLook) -> Option<Fault> {
    let claim = source.totals.claim;
    let measures = Measures { used: claim.laid_bytes, allowed: claim.claimed_bytes, at_ns: claim.at_ns };
    claim.is_impossible().then(|| fault(Kind::ClaimImpossible, reference, &source.name, measures))
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

/// What the last result of a job tells: that it failed, a store that does not show what it should, counters that differ.
///
/// Other refusals are no fault of their own: a stop is said from what the guards remember, a hold by its own alarm, and a
/// suspension and an end are as the contract wants them.
fn of_job(reference: &str, job: &JobRecord) -> Option<Fault> {
    let counted = |name: &str| job.counts.iter().find(|(known, _)| known == name).map_or(0, |(_, count)| *count);
    if job.outcome == "failed" {
        return Some(fault(Kind::JobFailed, reference, &job.job, since(moment(job.started_at_ns))));
    }
    if job.outcome == "refused" && job.error == Stop::ReadFailed.word() {
        return Some(fault(Kind::PruningStopped, reference, &job.error, since(moment(job.started_at_ns))));
    }
    let differences = counted("differences");
    (differences > 0).then(|| {
        let measures = Measures { used: differences, ..since(moment(job.started_at_ns)) };
        fault(Kind::CounterDiffers, reference, "", measures)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use common::id::SubscriptionId;
    use jiff::civil::Date;

    use super::*;
    use crate::catalog::totals::{ChunkTotals, PackTotals, SourceTotals};
    use crate::contract::claim::Claim;
    use crate::contract::day::Day;
    use crate::contract::order_form::OrderForm;
    use crate::contract::reevaluation::{Cause, File, OverDay};
    use crate::contract::service::{SuspensionReason, Window};
    use crate::control::alarms::ChannelState;
    use crate::control::subscriptions::Subscription;
    use crate::monitor::deliver::Channel;
    use crate::monitor::look::DayLook;
    use crate::store::health::Room;
    use crate::upkeep::scrub_round::ScrubState;

    const DAY_NS: i64 = 86_400_000_000_000;
    const NOW_NS: i64 = 20_000 * DAY_NS;
    const DAY: Date = jiff::civil::date(2024, 10, 4);

    fn ago(days: i64) -> Timestamp {
        moment(NOW_NS - days * DAY_NS)
    }

    fn job(outcome: &str, error: &str, counts: &[(&str, u64)]) -> JobRecord {
        JobRecord {
            subscription: None,
            job: "recount".into(),
            started_at_ns: NOW_NS,
            ended_at_ns: NOW_NS,
            outcome: outcome.into(),
            counts: counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            error: error.into(),
        }
    }

    /// A server with one subscription, of which nothing is wrong.
    fn quiet() -> Look {
        let form = OrderForm { reference: "BC-1".into(), contracted_bytes: 1_000, ..OrderForm::default() };
        let mut terms = Subscription::new(SubscriptionId::new([1; 16]), form, Vec::new(), 0).terms();
        (terms.history.days, terms.period_h, terms.tolerance_h) = (30, 24, 2);
        let totals = SourceTotals {
            snapshots: 2,
            oldest_at_ns: NOW_NS - DAY_NS,
            complete_at_ns: Some(NOW_NS - DAY_NS),
            verified_at_ns: 0,
            claim: Claim { claimed_bytes: 900, laid_bytes: 900, at_ns: NOW_NS },
        };
        let (changed_bytes, allowed_bytes, baseline_bytes) = (1, 2, 900);
        let level = Level::Inside;
        let stored = StoredLook {
            used_bytes: 900,
            uncommitted_bytes: 0,
            day: DayLook { changed_bytes, allowed_bytes, baseline_bytes, level, outlook: None },
            days: vec![Day { day: DAY, counted_bytes: 1, allowed_bytes: Some(2) }],
            packs: PackTotals::default(),
            damaged_objects: 0,
            chunks: ChunkTotals::default(),
            scrub: ScrubState::default(),
            sessions: 0,
            holds: Vec::new(),
        };
        let one = SubscriptionLook {
            reference: "BC-1".into(),
            terms,
            sources: vec![SourceLook { name: "bases".into(), due_from: Some(ago(20)), totals, changed_bytes: 0 }],
            stored: Some(stored),
            jobs: vec![job("done", "", &[("differences", 0)]), job("refused", "hold", &[])],
            reevaluation: None,
            refusals: Vec::new(),
            pruning_stop: None,
            paused_since: None,
        };
        Look {
            at: ago(0),
            started_at: ago(9),
            room: Some(Room { total_bytes: 100, free_bytes: 50, reserve_bytes: 10 }),
            certificates: vec![("provider", ago(-90))],
            copied_at: Some(ago(0)),
            jobs: vec![job("done", "", &[])],
            subscriptions: vec![one],
            ..Look::default()
        }
    }

    fn one(look: &mut Look) -> &mut SubscriptionLook {
        &mut look.subscriptions[0]
    }

    fn stored(look: &mut Look) -> &mut StoredLook {
        one(look).stored.as_mut().unwrap()
    }

    type Row = (Kind, &'static str, &'static str, fn(&mut Look));

    /// What goes wrong, and whose alarm of which kind about what it is.
    const ROWS: &[Row] = &[
        (Kind::Late, "BC-1", "bases", |look| one(look).sources[0].totals.complete_at_ns = Some(NOW_NS - 2 * DAY_NS)),
        (Kind::QuotaOver, "BC-1", "2024-10-04", |look| stored(look).days[0].counted_bytes = 3),
        (Kind::QuotaNear, "BC-1", "2024-10-04", |look| stored(look).days[0].counted_bytes = 2),
        (Kind::Reevaluation, "BC-1", "7", |look| {
            let over =
                OverDay { day: DAY, cause: Cause::Volume, measured_bytes: 2, allowed_bytes: 1, baseline_bytes: 0 };
            one(look).reevaluation = Some(Reevaluation {
                number: 7,
                subscription: SubscriptionId::new([1; 16]),
                file: File::open(over),
                opened_at_ns: NOW_NS,
                price_from: DAY,
                closing: None,
            });
        }),
        (Kind::VolumeOver, "BC-1", "", |look| stored(look).used_bytes = 1_001),
        (Kind::Hold, "BC-1", "bases", |look| stored(look).holds.push(("bases".into(), ago(1)))),
        (Kind::Damaged, "BC-1", "", |look| stored(look).packs.damaged = 1),
        (Kind::ScrubLate, "BC-1", "", |look| stored(look).scrub.late_since_ns = Some(NOW_NS - 1)),
        (Kind::PruningStopped, "BC-1", "rebuilt", |look| one(look).pruning_stop = Some(("rebuilt".into(), ago(1)))),
        (Kind::PruningStopped, "", "clock_back", |look| look.pruning_stop = Some(("clock_back".into(), ago(1)))),
        (Kind::PruningStopped, "BC-1", "read_failed", |look| one(look).jobs = vec![job("refused", "read_failed", &[])]),
        (Kind::StoreNearlyFull, "", "", |look| {
            look.room = Some(Room { total_bytes: 100, free_bytes: 19, reserve_bytes: 10 });
        }),
        (Kind::StoreSuspect, "", "", |look| look.is_suspect = true),
        (Kind::CertificateEnds, "", "provider", |look| look.certificates = vec![("provider", ago(-20))]),
        (Kind::CounterDiffers, "BC-1", "", |look| one(look).jobs = vec![job("done", "", &[("differences", 2)])]),
        (Kind::ClaimImpossible, "BC-1", "bases", |look| one(look).sources[0].totals.claim.laid_bytes = 1 << 30),
        (Kind::NotVerified, "BC-1", "bases", |look| one(look).sources[0].totals.oldest_at_ns = NOW_NS - 16 * DAY_NS),
        (Kind::ControlCopyFailed, "", "", |look| look.copied_at = Some(ago(1))),
        (Kind::Unreadable, "BC-1", "", |look| one(look).stored = None),
        (Kind::ChannelFailing, "", "mail", |look| {
            look.channels = vec![ChannelState {
                channel: Channel::Mail,
                delivered_at_ns: None,
                failing_since_ns: Some(NOW_NS - DAY_NS),
                failures: 3,
                dropped: 0,
                error: "connection refused".into(),
                queued: 1,
            }];
        }),
        (Kind::JobFailed, "BC-1", "recount", |look| one(look).jobs = vec![job("failed", "disk", &[])]),
        (Kind::JobFailed, "", "recount", |look| look.jobs = vec![job("failed", "disk", &[])]),
        (Kind::UpkeepPaused, "BC-1", "", |look| one(look).paused_since = Some(ago(2))),
        (Kind::UpkeepPaused, "", "", |look| look.paused_since = Some(ago(2))),
    ];

    #[test]
    fn each_thing_that_goes_wrong_is_one_alarm_of_its_kind() {
        assert_eq!(observe(&quiet()).wrong, []);
        for (kind, subscription, subject, break_it) in ROWS {
            let mut look = quiet();
            break_it(&mut look);
            let keys: Vec<Key> = observe(&look).wrong.into_iter().map(|fault| fault.key).collect();
            let key = Key { kind: *kind, subscription: (*subscription).into(), subject: (*subject).into() };
            assert_eq!(keys, [key]);
        }
        let shown: BTreeSet<Kind> = ROWS.iter().map(|(kind, ..)| *kind).collect();
        assert_eq!(shown, BTreeSet::from(Kind::ALL), "a row for every kind");
    }

    #[test]
    fn what_the_contract_wants_is_no_alarm() {
        let quiet_cases: [fn(&mut Look); 4] = [
            |look| {
                let reason = SuspensionReason::Unpaid;
                one(look).terms.suspensions = vec![Window { from: ago(1), until: None, reason }];
                one(look).jobs = vec![job("refused", "suspended", &[])];
            },
            |look| {
                one(look).terms.ended_at = Some(ago(1));
                one(look).jobs = vec![job("refused", "ended", &[])];
            },
            |look| one(look).paused_since = Some(ago(0)),
            |look| one(look).jobs = vec![job("stopped", "", &[])],
        ];
        for change in quiet_cases {
            let mut look = quiet();
            change(&mut look);
            assert_eq!(observe(&look).wrong, []);
        }
    }
}
