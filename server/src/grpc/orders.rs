//! The `Orders` service: amendments of order forms, and the end of subscriptions.
//!
//! It removes no data: an ended subscription keeps its data until hand-back.

use std::sync::Arc;

use common::id::SourceId;
use common::text::date::moment;
use jiff::civil::Date;
use proto::code::Failure;
use proto::v1;
use tonic::{Request, Response, Status};

use super::caller::{self, with_control};
use super::failure::session_failure;
use super::form::{self, optional_day};
use super::outlook::{self, Compared};
use super::{records, status};
use crate::clock::Random;
use crate::contract::amendment::{AddedSource, FormChange};
use crate::contract::calendar::{day_of, start_ns};
use crate::contract::order_form::is_name;
use crate::contract::retention::History;
use crate::control::Control;
use crate::control::amendments::{Amendment, NewAmendment};
use crate::control::audit::Trace;
use crate::control::subscriptions::Subscription;
use crate::subscriptions::Subscriptions;

/// Order forms in force.
#[derive(Clone)]
pub struct OrdersService {
    /// The provider's records.
    pub control: Arc<Control>,
    /// What is stored.
    pub subscriptions: Arc<Subscriptions>,
    /// Ids of added sources.
    pub random: Random,
}

#[tonic::async_trait]
impl v1::orders_server::Orders for OrdersService {
    async fn preview_amendment(&self, request: Request<v1::AmendRequest>) -> Result<Response<v1::AmendReply>, Status> {
        let trace = caller::trace(&request);
        self.preview(request.into_inner(), trace).await.map(Response::new).map_err(status::of_failure)
    }

    async fn amend(&self, request: Request<v1::AmendRequest>) -> Result<Response<v1::AmendReply>, Status> {
        let trace = caller::trace(&request);
        let recorded = self.record(request.into_inner(), trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::AmendReply { amendment: Some(recorded), going: Vec::new() }))
    }

    async fn list_amendments(
        &self,
        request: Request<v1::ListAmendmentsRequest>,
    ) -> Result<Response<v1::ListAmendmentsReply>, Status> {
        let trace = caller::trace(&request);
        let reference = request.into_inner().subscription;
        let known = records::look(&self.control, reference, "amendments", &trace).await.map_err(status::of_failure)?;
        let read = move |control: &Control| Ok((control.amendments(&known.subscription)?, known));
        let (amendments, known) = with_control(&self.control, read).await.map_err(status::of_failure)?;
        let amendments = amendments.iter().map(|amendment| wire(amendment, &known)).collect();
        Ok(Response::new(v1::ListAmendmentsReply { amendments }))
    }

    async fn withdraw_amendment(
        &self,
        request: Request<v1::WithdrawAmendmentRequest>,
    ) -> Result<Response<v1::WithdrawAmendmentReply>, Status> {
        let (trace, number) = (caller::trace(&request), request.get_ref().number);
        let withdraw = move |control: &Control| control.withdraw_amendment(number, &trace);
        with_control(&self.control, withdraw).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::WithdrawAmendmentReply {}))
    }

    async fn end(&self, request: Request<v1::EndRequest>) -> Result<Response<v1::EndReply>, Status> {
        let trace = caller::trace(&request);
        self.finish(request.into_inner(), trace).await.map(Response::new).map_err(status::of_failure)
    }
}

impl OrdersService {
    async fn preview(&self, request: v1::AmendRequest, trace: Trace) -> Result<v1::AmendReply, Failure> {
        let known = records::look(&self.control, request.subscription.clone(), "order_form", &trace).await?;
        let change = self.change(request.change.unwrap_or_default(), &known)?;
        let after = change.apply(&known.form).map_err(|error| status::of_order_form(&error))?;
        let fields = FormChange::fields(&known.form, &after);
        let shortens_history = change.shortens_history(&known.form);
        let amendment = v1::Amendment {
            subscription: request.subscription,
            fields: fields.iter().map(field).collect(),
            shortens_history,
            ..v1::Amendment::default()
        };
        let going = if shortens_history { self.going(known, after.history, &trace).await? } else { Vec::new() };
        Ok(v1::AmendReply { amendment: Some(amendment), going })
    }

    /// The snapshots that a shorter history would not keep any more.
    async fn going(
        &self,
        known: Subscription,
        history: History,
        trace: &Trace,
    ) -> Result<Vec<v1::SnapshotOutlook>, Failure> {
        let (subscriptions, now) = (self.subscriptions.clone(), moment(trace.at_ns));
        caller::blocking(move || {
            let stored = subscriptions.stored().map_err(|error| status::of_store(&error))?;
            if !stored.contains(&known.subscription) {
                return Ok(Vec::new());
            }
            let open = subscriptions.get(&known.subscription).map_err(|error| session_failure(&error))?;
            let compared = Compared { with: Some(&history), now };
            Ok(outlook::going(outlook::snapshots(&open, &known, &compared)?))
        })
        .await
    }

    async fn record(&self, request: v1::AmendRequest, trace: Trace) -> Result<v1::Amendment, Failure> {
        let known = records::find(&self.control, request.subscription).await?;
        let today = day_of(moment(trace.at_ns));
        let change = self.change(request.change.unwrap_or_default(), &known)?;
        if change == FormChange::default() {
            return Err(status::invalid("change", "missing"));
        }
        if !is_name(&request.document) {
            return Err(status::invalid("document", "name"));
        }
        let signed_on = day("signed_on", &request.signed_on)?;
        if signed_on > today {
            return Err(status::invalid("signed_on", "future"));
        }
        let applies_on = optional_day("applies_on", &request.applies_on)?;
        if applies_on.is_some_and(|day| day < today) {
            return Err(status::invalid("applies_on", "past"));
        }
        let new = NewAmendment {
            subscription: known.subscription,
            change,
            document: request.document,
            signed_on,
            applies_on,
        };
        let amendment = with_control(&self.control, move |control| control.amend(&new, &trace)).await?;
        Ok(wire(&amendment, &known))
    }

    /// The change as asked for; what it leads to is judged with the form.
    fn change(&self, change: v1::FormChange, known: &Subscription) -> Result<FormChange, Failure> {
        let policy = match change.policy() {
            v1::ChangePolicy::Unspecified => None,
            policy => Some(form::policy_from(policy)),
        };
        let added = |source: v1::OrderedSource| {
            let ordered = form::source_from(source)?;
            Ok(AddedSource { source: SourceId::new(self.random.bytes()), ordered })
        };
        Ok(FormChange {
            policy,
            history: history(&change, &known.form.history)?,
            prices: (!change.prices.is_empty()).then(|| change.prices.iter().map(form::price_from).collect()),
            signed_on: optional_day("change.signed_on", &change.signed_on)?,
            added_sources: change.added_sources.into_iter().map(added).collect::<Result<_, Failure>>()?,
            contracted_bytes: change.contracted_bytes,
            hard_volume_bytes: change.hard_volume_bytes,
            per_mille: change.per_mille,
            min_daily_allowance_bytes: change.min_daily_allowance_bytes,
            period_h: change.period_h,
            tolerance_h: change.tolerance_h,
            commitment_months: change.commitment_months,
            renewal_months: change.renewal_months,
            notice_months: change.notice_months,
            contact: change.contact,
        })
    }

    async fn finish(&self, request: v1::EndRequest, trace: Trace) -> Result<v1::EndReply, Failure> {
        let known = records::find(&self.control, request.subscription).await?;
        if !is_name(&request.document) {
            return Err(status::invalid("document", "name"));
        }
        if known.ended_at_ns.is_some_and(|ended| ended <= trace.at_ns) {
            return Err(status::invalid("subscription", "ended"));
        }
        let last_day = match request.cancel {
            true => None,
            false => Some(last_day(&known, &request.received_on, request.early, &trace)?),
        };
        let ended_at_ns = last_day.map(|day| start_ns(day.tomorrow().unwrap_or(day)));
        let detail = match last_day {
            Some(day) => format!("{day} ({})", request.document),
            None => format!("annulé ({})", request.document),
        };
        let id = known.subscription;
        let record = move |control: &Control| control.end_subscription(&id, ended_at_ns, &detail, &trace);
        with_control(&self.control, record).await?;
        Ok(v1::EndReply {
            ended_at_ns: ended_at_ns.unwrap_or_default(),
            last_day: last_day.map(|day| day.to_string()).unwrap_or_default(),
        })
    }
}

/// The last day that a notice leads to: the end of the commitment, the early end, or the day itself before commissioning.
fn last_day(known: &Subscription, received: &str, early: bool, trace: &Trace) -> Result<Date, Failure> {
    let received = day("received_on", received)?;
    if received > day_of(moment(trace.at_ns)) {
        return Err(status::invalid("received_on", "future"));
    }
    let term = known.term();
    let end = match (early, term.end_by_notice(received)) {
        (true, _) => term.early_end(received),
        (false, Some(end)) => end.yesterday().unwrap_or(end),
        (false, None) => received,
    };
    Ok(end)
}

/// The history as changed; what is not said stays.
fn history(change: &v1::FormChange, known: &History) -> Result<Option<History>, Failure> {
    let thinning = match (change.thinning.is_empty(), change.without_thinning) {
        (false, true) => return Err(status::invalid("thinning", "contradiction")),
        (false, false) => Some(change.thinning.iter().map(form::thinning_from).collect::<Result<_, Failure>>()?),
        (true, true) => Some(Vec::new()),
        (true, false) => None,
    };
    if thinning.is_none() && change.history_days.is_none() {
        return Ok(None);
    }
    Ok(Some(History {
        days: change.history_days.unwrap_or(known.days),
        thinning: thinning.unwrap_or_else(|| known.thinning.clone()),
    }))
}

fn day(field: &str, text: &str) -> Result<Date, Failure> {
    optional_day(field, text)?.ok_or_else(|| status::invalid(field, "missing"))
}

fn wire(amendment: &Amendment, known: &Subscription) -> v1::Amendment {
    v1::Amendment {
        number: amendment.number,
        subscription: known.form.reference.clone(),
        fields: amendment.fields.iter().map(field).collect(),
        document: amendment.document.clone(),
        signed_on: amendment.signed_on.to_string(),
        applies_from_ns: amendment.applies_from_ns,
        recorded_at_ns: amendment.recorded_at_ns,
        recorded_by: amendment.recorded_by.clone(),
        approval: amendment.approval.unwrap_or_default(),
        price_from: amendment.price_from.map(|day| day.to_string()).unwrap_or_default(),
        applied_at_ns: amendment.applied_at_ns.unwrap_or_default(),
        withdrawn_at_ns: amendment.withdrawn_at_ns.unwrap_or_default(),
        shortens_history: amendment.approval.is_some(),
    }
}

fn field(change: &crate::contract::amendment::FieldChange) -> v1::FieldChange {
    v1::FieldChange { field: change.field.clone(), before: change.before.to_string(), after: change.after.to_string() }
}
