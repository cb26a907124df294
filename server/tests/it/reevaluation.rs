//! The re-evaluation file: which days open and feed it, that there is one, how it ends, and what is told meanwhile.

use std::collections::BTreeMap;
use std::path::Path;

use common::stored::SnapshotState;
use jiff::civil::{Date, date};
use server::contract::amendment::FormChange;
use server::contract::quota::Policy;
use server::contract::reevaluation::{Cause, OverDay};
use server::control::ControlError;
use server::control::amendments::NewAmendment;
use server::control::reevaluations::{Outcome, Reevaluation};
use server::monitor::alarm::{Kind, Measures};
use server::monitor::look::{Gatherer, Look};
use server::monitor::observe::observe;
use server::upkeep::jobs::Context;
use server::upkeep::judge::judge;
use server::upkeep::token::Token;

use crate::allowance::commit;
use crate::engine::{DAY_NS, NOON_NS, SUBSCRIPTION};
use crate::site::{Site, by};

/// A site with a first backup of 1,000,000 bytes at noon of the 22nd.
fn site(root: &Path, policy: Policy) -> Site {
    let site = Site::new(root, 90);
    site.change_terms(|terms| (terms.policy, terms.contracted_bytes) = (policy, 2_000_000));
    site.back_up(1, &[&[7; 1_000_000]]);
    site
}

fn judge_now(site: &Site) -> u64 {
    let clock = server::clock::Clock::new({
        let now = site.now();
        move || now
    });
    let context = Context { place: Some(SUBSCRIPTION), now: site.now(), clock: &clock, token: &Token::default() };
    Site::count(&judge(&site.control, &site.server, &context).unwrap(), "over")
}

/// Sends new bytes in the session of this number and commits what went through; whether all did.
fn change(site: &Site, session: u32, bytes: usize) -> bool {
    let mut agent = site.agent(session);
    let (open, _) = agent.open(&site.server).unwrap();
    let data = agent.data(&[&session.to_be_bytes()[..], &vec![1; bytes - 4]].concat());
    let fits = agent.put(&open, &[&data]).is_ok();
    let leaf =
        agent.leaf(if fits { std::slice::from_ref(&data) } else { &[] }.iter().collect::<Vec<_>>().as_slice(), b"x");
    agent.put(&open, &[&leaf]).unwrap();
    let state = if fits { SnapshotState::Complete } else { SnapshotState::Partial };
    commit(&agent, &open, &leaf, state).unwrap();
    fits
}

fn open_file(site: &Site) -> Option<Reevaluation> {
    let mut open = site.control.reevaluations(Some(&SUBSCRIPTION), false).unwrap();
    assert!(open.len() <= 1);
    open.pop()
}

fn days(file: &Reevaluation) -> Vec<(Date, Cause, u64, u64)> {
    file.file.days.iter().map(|over| (over.day, over.cause, over.measured_bytes, over.allowed_bytes)).collect()
}

#[test]
fn days_over_go_into_one_file_when_they_are_over_until_an_operator_closes_it() {
    let root = tempfile::tempdir().unwrap();
    let site = site(root.path(), Policy::Flag);
    site.jump(DAY_NS);
    assert!(change(&site, 2, 2_500));
    assert_eq!((judge_now(&site), open_file(&site)), (0, None), "the day goes on");
    site.jump(DAY_NS);
    assert!(change(&site, 3, 2_000), "exactly the allowance");
    assert_eq!(judge_now(&site), 1);
    let first = (date(2026, 11, 23), Cause::DailyChange, 2_500, 2_000);
    let file = open_file(&site).unwrap();
    assert_eq!(days(&file), [first]);
    assert_eq!(file.price_from, date(2027, 1, 1));
    // Nothing runs for three days; then one run carries them, and the job judges all of them at once.
    site.jump(3 * DAY_NS);
    assert!(change(&site, 4, 6_600));
    site.jump(DAY_NS);
    assert_eq!((judge_now(&site), judge_now(&site)), (1, 0), "each day is judged once");
    let file = open_file(&site).unwrap();
    assert_eq!(days(&file), [first, (date(2026, 11, 27), Cause::DailyChange, 6_600, 6_000)]);
    assert_eq!(file.file.worst().map(|over| over.measured_bytes), Some(2_500), "the peak is a share, not a size");
    assert_eq!(file.file.suggested_volume_bytes(), 1_000_000_000, "whole gigabytes");
    let notices = site.control.notices(&SUBSCRIPTION, 9).unwrap();
    assert_eq!(notices.iter().filter(|notice| notice.kind == "reevaluation_opened").count(), 1);
    assert!(notices[0].detail.contains("23/11/2026"), "{notices:?}");

    let close =
        |number| site.control.close_reevaluation(number, (Outcome::Waived, "mail du 28"), &by("anne", site.now_ns()));
    let closed = close(file.number).unwrap().closing.unwrap();
    assert_eq!(
        (closed.by.as_str(), closed.outcome, closed.document.as_str()),
        ("operator:anne", Outcome::Waived, "mail du 28")
    );
    assert!(matches!(close(file.number), Err(ControlError::NotFound { .. })), "once");
    assert_eq!((judge_now(&site), open_file(&site)), (0, None), "no earlier day opens it again");
    assert_eq!(site.control.notices(&SUBSCRIPTION, 1).unwrap()[0].kind, "reevaluation_closed");
    site.jump(DAY_NS);
    change(&site, 5, 9_000);
    site.jump(DAY_NS);
    assert_eq!(judge_now(&site), 1);
    let second = open_file(&site).unwrap();
    assert!(second.number > file.number);
    assert_eq!(site.control.reevaluations(None, true).unwrap().len(), 2);
}

#[test]
fn a_refusal_feeds_the_file_with_what_was_wanted() {
    for policy in [Policy::Refuse, Policy::Defer] {
        let root = tempfile::tempdir().unwrap();
        let site = site(root.path(), policy);
        site.jump(DAY_NS);
        assert!(!change(&site, 2, 2_500));
        site.jump(1_000_000_000);
        assert!(!change(&site, 3, 2_400), "asks for less");
        assert!(!change(&site, 4, 3_000), "asks for more");
        let refusals = site.control.refusals(&SUBSCRIPTION, date(2026, 11, 1)).unwrap();
        assert_eq!(refusals.len(), 1);
        assert_eq!(
            (refusals[0].day, refusals[0].wanted_bytes, refusals[0].allowed_bytes),
            (date(2026, 11, 23), 3_000, 2_000)
        );
        assert!(refusals[0].at_ns < NOON_NS + DAY_NS + 1_000_000_000, "the first time");
        assert_eq!(open_file(&site), None);
        site.jump(DAY_NS);
        assert_eq!(judge_now(&site), 1);
        assert_eq!(days(&open_file(&site).unwrap()), [(date(2026, 11, 23), Cause::Refused, 3_000, 2_000)]);
    }
}

#[test]
fn a_volume_above_the_contract_opens_the_file_at_once() {
    let root = tempfile::tempdir().unwrap();
    let site = site(root.path(), Policy::Flag);
    site.change_terms(|terms| terms.contracted_bytes = 900_000);
    assert_eq!((judge_now(&site), judge_now(&site)), (1, 1));
    let file = open_file(&site).unwrap();
    assert_eq!(days(&file), [(date(2026, 11, 22), Cause::Volume, 1_000_000, 900_000)]);
    site.control.close_reevaluation(file.number, (Outcome::Reduced, ""), &by("anne", site.now_ns())).unwrap();
    judge_now(&site);
    assert_eq!(open_file(&site), None, "not on the day on which it was closed");
    site.jump(DAY_NS);
    judge_now(&site);
    assert!(open_file(&site).is_some(), "an outcome that changes nothing lasts no longer");
}

#[test]
fn a_growth_opens_a_price_re_evaluation_from_the_day_on_which_it_applies() {
    let root = tempfile::tempdir().unwrap();
    let site = site(root.path(), Policy::Flag);
    let before = site.control.subscription(&SUBSCRIPTION).unwrap().unwrap().form.contracted_bytes;
    let amendment = |change: FormChange, applies_on| NewAmendment {
        subscription: SUBSCRIPTION,
        change,
        document: "AV-1".into(),
        signed_on: date(2026, 11, 20),
        applies_on,
    };
    let growth = FormChange { contracted_bytes: Some(before + 1_000_000_000), ..FormChange::default() };
    let other = FormChange { policy: Some(Policy::Defer), ..FormChange::default() };
    let trace = || by("anne", site.now_ns());
    let recorded = site.control.amend(&amendment(growth, Some(date(2027, 2, 10))), &trace()).unwrap();
    assert_eq!(recorded.price_from, Some(date(2027, 4, 1)), "the quarter after the growth, not after its record");
    assert_eq!(site.control.amend(&amendment(other, None), &trace()).unwrap().price_from, None);
    assert_eq!(open_file(&site), None);
    site.jump(90 * DAY_NS);
    assert_eq!(site.control.apply_amendments(&trace()).unwrap(), 1);
    let file = open_file(&site).unwrap();
    let grown = OverDay {
        day: date(2027, 2, 10),
        cause: Cause::Growth,
        measured_bytes: before + 1_000_000_000,
        allowed_bytes: before,
        baseline_bytes: 0,
    };
    assert_eq!((file.file.days.as_slice(), file.price_from), (&[grown][..], date(2027, 4, 1)));
}

/// What the monitor sees of the daily change: kind, day and measures.
fn told(site: &Site) -> Vec<(Kind, String, u64, u64)> {
    let chunks = BTreeMap::new();
    let gatherer = Gatherer { control: &site.control, subscriptions: &site.server, chunks: &chunks };
    let subscriptions = gatherer.subscriptions(site.now()).unwrap();
    let look = Look { at: site.now(), started_at: site.now(), subscriptions, ..Look::default() };
    let wrong = observe(&look).wrong.into_iter();
    let wrong = wrong.filter(|fault| matches!(fault.key.kind, Kind::QuotaOver | Kind::QuotaNear | Kind::Reevaluation));
    let measures = |Measures { used, allowed, .. }| (used, allowed);
    wrong
        .map(|fault| {
            let (used, allowed) = measures(fault.measures);
            (fault.key.kind, fault.key.subject, used, allowed)
        })
        .collect()
}

#[test]
fn a_day_that_ended_over_is_told_after_midnight_and_a_refusal_at_once() {
    let root = tempfile::tempdir().unwrap();
    let site = site(root.path(), Policy::Flag);
    // 23:59:45 in Paris.
    site.jump(DAY_NS + DAY_NS / 2 - 15_000_000_000);
    change(&site, 2, 2_500);
    site.jump(30_000_000_000);
    assert_eq!(told(&site), [(Kind::QuotaOver, "2026-11-23".into(), 2_500, 2_000)]);
    assert_eq!(judge_now(&site), 1);
    let file = (Kind::Reevaluation, "1".to_owned(), 2_500, 2_000);
    site.change_terms(|terms| terms.policy = Policy::Refuse);
    site.jump(1_000_000_000);
    assert!(!change(&site, 3, 2_100));
    let refused = (Kind::QuotaOver, "2026-11-24".to_owned(), 2_100, 2_000);
    let over = (Kind::QuotaOver, "2026-11-23".to_owned(), 2_500, 2_000);
    assert_eq!(told(&site), [refused.clone(), over, file.clone()]);
    site.jump(2 * DAY_NS);
    assert_eq!(told(&site).first(), Some(&file), "a day is told while it is today or yesterday");
}
