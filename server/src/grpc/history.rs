//! The `History` service: what goes and when, holds, protections. Names of files are unknown here.

use std::sync::Arc;

use common::text::date::moment;
use jiff::{SignedDuration, Timestamp};
use proto::code::Failure;
use proto::v1;
use tonic::{Request, Response, Status};

use super::caller::{self, blocking};
use super::failure::{job_failure, session_failure};
use super::outlook::{self, Compared};
use super::upkeep::source_name;
use super::{approvals, records, status};
use crate::contract::guards::NotYet;
use crate::contract::hold::Signal;
use crate::contract::order_form::is_name;
use crate::contract::retention::History;
use crate::control::Control;
use crate::control::audit::Trace;
use crate::control::subscriptions::Subscription;
use crate::session::subscription::Subscription as Open;
use crate::subscriptions::Subscriptions;
use crate::upkeep::facts::{self, Hold, Lift, Protection};
use crate::upkeep::guard::Guards;
use crate::upkeep::jobs::JobError;
use crate::upkeep::lifts::{Decision, LiftError};

/// Fewest hexadecimal digits that name a snapshot or a protection.
const DIGITS_MIN: usize = 8;
/// Furthest end of a protection.
const PROTECTION_MAX: SignedDuration = SignedDuration::from_hours(24 * 366 * 10);

/// The history for operators.
#[derive(Clone)]
pub struct HistoryService {
    /// The provider's records.
    pub control: Arc<Control>,
    /// What is stored.
    pub subscriptions: Arc<Subscriptions>,
    /// Who may remove what.
    pub guards: Guards,
}

#[tonic::async_trait]
impl v1::history_server::History for HistoryService {
    async fn retention_preview(
        &self,
        request: Request<v1::RetentionPreviewRequest>,
    ) -> Result<Response<v1::RetentionPreviewReply>, Status> {
        let (trace, request) = (caller::trace(&request), request.into_inner());
        let known = records::look(&self.control, request.subscription, "retention", &trace);
        let known = known.await.map_err(status::of_failure)?;
        let service = self.clone();
        let preview = move || service.preview(&known, request.history_days, moment(trace.at_ns));
        blocking(preview).await.map(Response::new).map_err(status::of_failure)
    }

    async fn list_holds(&self, request: Request<v1::ListHoldsRequest>) -> Result<Response<v1::ListHoldsReply>, Status> {
        let (trace, request) = (caller::trace(&request), request.into_inner());
        let only = records::look_or_overview(&self.control, request.subscription, "holds", &trace);
        let only = only.await.map_err(status::of_failure)?;
        let service = self.clone();
        let list = move || service.holds(only, request.all);
        let holds = blocking(list).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::ListHoldsReply { holds }))
    }

    async fn lift_hold(&self, request: Request<v1::LiftHoldRequest>) -> Result<Response<v1::LiftHoldReply>, Status> {
        let (trace, request) = (caller::trace(&request), request.into_inner());
        let lift = |decision: Decision<'_>, known: &Subscription| {
            let (lifted, standing) = decision.lift_holds().map_err(|error| lift_failure(&error))?;
            let lifted = lifted.into_iter().map(|hold| wire_hold(hold, known)).collect();
            Ok(v1::LiftHoldReply { lifted, standing: standing as u64 })
        };
        self.decide(request.subscription, trace, lift).await.map(Response::new).map_err(status::of_failure)
    }

    async fn protect(&self, request: Request<v1::ProtectRequest>) -> Result<Response<v1::ProtectReply>, Status> {
        let (trace, request) = (caller::trace(&request), request.into_inner());
        check_protection(&request, trace.at_ns).map_err(status::of_failure)?;
        let v1::ProtectRequest { subscription, snapshot, until_ns, reason } = request;
        let protect = move |decision: Decision<'_>, known: &Subscription| {
            let rows =
                decision.open.read(|catalog| Ok(catalog.snapshots()?)).map_err(|error| session_failure(&error))?;
            let ids = rows.into_iter().map(|row| (row.session.to_string(), row.session));
            let snapshot = one_of(ids, &snapshot, "snapshot")?;
            let set = decision.protect(snapshot, until_ns, &reason);
            let id = set.map_err(|error| lift_failure(&error))?;
            let all = protections(decision.open)?;
            let protection = all.into_iter().find(|protection| protection.id == id);
            let protection = protection.map(|protection| wire_protection(decision.open, protection, known));
            Ok(v1::ProtectReply { protection: protection.transpose()? })
        };
        self.decide(subscription, trace, protect).await.map(Response::new).map_err(status::of_failure)
    }

    async fn list_protections(
        &self,
        request: Request<v1::ListProtectionsRequest>,
    ) -> Result<Response<v1::ListProtectionsReply>, Status> {
        let (trace, request) = (caller::trace(&request), request.into_inner());
        let known = records::look(&self.control, request.subscription, "protections", &trace);
        let known = known.await.map_err(status::of_failure)?;
        let service = self.clone();
        let list = move || {
            let Some(open) = service.open(&known)? else { return Ok(Vec::new()) };
            let stands = |one: &Protection| one.lifted.is_none() && trace.at_ns < one.until_ns;
            let wanted = protections(&open)?.into_iter().filter(|one| request.all || stands(one));
            wanted.map(|one| wire_protection(&open, one, &known)).collect()
        };
        let protections = blocking(list).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::ListProtectionsReply { protections }))
    }

    async fn unprotect(&self, request: Request<v1::UnprotectRequest>) -> Result<Response<v1::UnprotectReply>, Status> {
        let (trace, request) = (caller::trace(&request), request.into_inner());
        if !is_name(&request.reason) {
            return Err(status::of_failure(status::invalid("reason", "name")));
        }
        let v1::UnprotectRequest { subscription, protection, reason } = request;
        let end = move |decision: Decision<'_>, _: &Subscription| {
            let all = protections(decision.open)?.into_iter().map(|one| (one.id.to_string(), one));
            let protection = one_of(all, &protection, "protection")?;
            let (asked, ended) = decision.unprotect(&protection, &reason).map_err(|error| lift_failure(&error))?;
            let due_at_ns = approvals::due_at_ns(&asked, decision.trace.at_ns);
            Ok(v1::UnprotectReply { approval: asked.number, due_at_ns, ended })
        };
        self.decide(subscription, trace, end).await.map(Response::new).map_err(status::of_failure)
    }
}

impl HistoryService {
    /// Runs an act on a subscription of which something is stored.
    async fn decide<T: Send + 'static>(
        &self,
        reference: String,
        trace: Trace,
        act: impl FnOnce(Decision<'_>, &Subscription) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let known = records::find(&self.control, reference).await?;
        let service = self.clone();
        blocking(move || {
            let open = service.open(&known)?.ok_or_else(|| status::not_found("snapshot"))?;
            act(Decision { control: &service.control, open: &open, trace: &trace }, &known)
        })
        .await
    }

    /// The storage of a subscription; none if nothing is stored, and nothing is made then.
    fn open(&self, known: &Subscription) -> Result<Option<Arc<Open>>, Failure> {
        let stored = self.subscriptions.stored().map_err(|error| status::of_store(&error))?;
        if !stored.contains(&known.subscription) {
            return Ok(None);
        }
        self.subscriptions.get(&known.subscription).map(Some).map_err(|error| session_failure(&error))
    }

    fn preview(
        &self,
        known: &Subscription,
        history_days: Option<u32>,
        now: Timestamp,
    ) -> Result<v1::RetentionPreviewReply, Failure> {
        let terms = known.terms();
        let empty =
            v1::RetentionPreviewReply { history_days: terms.history.days, ..v1::RetentionPreviewReply::default() };
        let Some(open) = self.open(known)? else { return Ok(empty) };
        let stopped = match self.guards.admissible(&open, now) {
            Ok(()) => String::new(),
            Err(JobError::Refused(word)) => word.to_owned(),
            Err(error) => return Err(job_failure(&error)),
        };
        let shorter = history_days.map(|days| History { days, ..terms.history.clone() });
        let snapshots = outlook::snapshots(&open, known, &Compared { with: shorter.as_ref(), now })?;
        Ok(v1::RetentionPreviewReply { snapshots, stopped, ..empty })
    }

    fn holds(&self, only: Option<Subscription>, all: bool) -> Result<Vec<v1::SubscriptionHold>, Failure> {
        let subscriptions = match only {
            Some(known) => vec![known],
            None => self.control.subscriptions(None).map_err(|error| status::of_control(&error))?,
        };
        let mut holds = Vec::new();
        for known in subscriptions {
            let facts = self.subscriptions.peek(&known.subscription, |catalog, _| facts::known(catalog));
            let facts = facts.map_err(|error| session_failure(&error))?.unwrap_or_default();
            let wanted = facts.holds.into_iter().filter(|hold| all || hold.lifted.is_none());
            let subscription = &known.form.reference;
            holds.extend(wanted.map(|hold| v1::SubscriptionHold {
                subscription: subscription.clone(),
                hold: Some(wire_hold(hold, &known)),
            }));
        }
        Ok(holds)
    }
}

fn check_protection(request: &v1::ProtectRequest, now_ns: i64) -> Result<(), Failure> {
    if !is_name(&request.reason) {
        return Err(status::invalid("reason", "name"));
    }
    let until = moment(request.until_ns).duration_since(moment(now_ns));
    if !until.is_positive() {
        return Err(status::invalid("until", "past"));
    }
    if until > PROTECTION_MAX {
        return Err(status::invalid("until", "too_far"));
    }
    Ok(())
}

/// The one thing whose id begins with these digits.
fn one_of<T>(all: impl Iterator<Item = (String, T)>, digits: &str, what: &'static str) -> Result<T, Failure> {
    if digits.len() < DIGITS_MIN {
        return Err(status::invalid(what, "short"));
    }
    let digits = digits.to_ascii_lowercase();
    let mut found = all.filter(|(id, _)| id.starts_with(&digits)).map(|(_, thing)| thing);
    match (found.next(), found.next()) {
        (Some(thing), None) => Ok(thing),
        (Some(_), Some(_)) => Err(status::invalid(what, "ambiguous")),
        (None, _) => Err(status::not_found(what)),
    }
}

fn protections(open: &Open) -> Result<Vec<Protection>, Failure> {
    Ok(open.read(facts::known).map_err(|error| session_failure(&error))?.protections)
}

fn lift_failure(error: &LiftError) -> Failure {
    match error {
        LiftError::NotFound(what) => status::not_found(what),
        LiftError::NotYet(NotYet::Until(until)) => status::invalid("approval", "not_due").with("until", until),
        LiftError::NotYet(_) => status::invalid("approval", "not_approved"),
        LiftError::Session(error) => session_failure(error),
        LiftError::Control(error) => status::of_control(error),
    }
}

fn wire_hold(hold: Hold, known: &Subscription) -> v1::Hold {
    let signal = |signal: &Signal| signal.name().to_owned();
    v1::Hold {
        hold: hold.id.to_string(),
        snapshot: hold.snapshot.to_string(),
        source: source_name(known, &hold.source),
        clean_snapshot: hold.clean.map_or_else(String::new, |clean| clean.to_string()),
        at_ns: hold.at_ns,
        signals: hold.signals.iter().map(signal).collect(),
        figures: Some(v1::HoldFigures {
            changed_bytes: hold.seen.changed_bytes,
            changed_stored_bytes: hold.seen.stored_bytes,
            allowed_bytes: hold.seen.allowed_bytes,
            plain_bytes: hold.seen.plain_bytes,
            previous_plain_bytes: hold.seen.previous_plain_bytes,
            previous_entries: hold.seen.previous_entries,
            gone_entries: hold.seen.gone_entries,
            gone_bytes: hold.seen.gone_bytes,
        }),
        lifted: hold.lifted.map(wire_lift),
    }
}

fn wire_protection(open: &Open, protection: Protection, known: &Subscription) -> Result<v1::Protection, Failure> {
    let row = open.read(|catalog| Ok(catalog.snapshot(&protection.snapshot)?));
    let row = row.map_err(|error| session_failure(&error))?;
    Ok(v1::Protection {
        protection: protection.id.to_string(),
        snapshot: protection.snapshot.to_string(),
        until_ns: protection.until_ns,
        reason: protection.reason,
        set_by: protection.by,
        set_at_ns: protection.at_ns,
        lifted: protection.lifted.map(wire_lift),
        source: row.map_or_else(String::new, |row| source_name(known, &row.source)),
    })
}

fn wire_lift(lift: Lift) -> v1::Lifted {
    v1::Lifted { at_ns: lift.at_ns, reason: lift.reason, asked_by: lift.asked_by, approved_by: lift.approved_by }
}
