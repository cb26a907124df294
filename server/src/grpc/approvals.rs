//! The `Approvals` service: requests that need two operators.
//!
//! It carries nothing out; the guards in front of each removal ask the control store.

use std::collections::HashMap;
use std::sync::Arc;

use common::id::SubscriptionId;
use common::text::date::{moment, nanoseconds};
use jiff::Timestamp;
use proto::code::Failure;
use proto::v1;
use tonic::{Request, Response, Status};

use super::caller::{self, with_control};
use super::{records, status};
use crate::contract::guards::{NotYet, TWO_PERSON_DELAY};
use crate::contract::order_form::is_name;
use crate::control::Control;
use crate::control::approvals::{Approval, ApprovalKind};
use crate::control::audit::Trace;

/// Requests that need two operators.
#[derive(Clone)]
pub struct ApprovalsService {
    /// The provider's records.
    pub control: Arc<Control>,
}

#[tonic::async_trait]
impl v1::approvals_server::Approvals for ApprovalsService {
    async fn propose(&self, request: Request<v1::ProposeRequest>) -> Result<Response<v1::ProposeReply>, Status> {
        let trace = caller::trace(&request);
        let approval = self.ask(request.into_inner(), trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::ProposeReply { approval: Some(approval) }))
    }

    async fn list_approvals(
        &self,
        request: Request<v1::ListApprovalsRequest>,
    ) -> Result<Response<v1::ListApprovalsReply>, Status> {
        let trace = caller::trace(&request);
        let approvals = self.read(request.into_inner(), trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::ListApprovalsReply { approvals }))
    }

    async fn approve(&self, request: Request<v1::ApproveRequest>) -> Result<Response<v1::ApproveReply>, Status> {
        let (trace, number) = (caller::trace(&request), request.get_ref().number);
        let now_ns = trace.at_ns;
        let approve = move |control: &Control| Ok((control.approve(number, &trace)?, control.references()?));
        let (approval, references) = with_control(&self.control, approve).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::ApproveReply { approval: Some(wire(&approval, &references, now_ns)) }))
    }

    async fn withdraw(&self, request: Request<v1::WithdrawRequest>) -> Result<Response<v1::WithdrawReply>, Status> {
        let (trace, number) = (caller::trace(&request), request.get_ref().number);
        let withdraw = move |control: &Control| control.withdraw(number, &trace);
        with_control(&self.control, withdraw).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::WithdrawReply {}))
    }
}

impl ApprovalsService {
    async fn ask(&self, request: v1::ProposeRequest, trace: Trace) -> Result<v1::Approval, Failure> {
        let kind = ApprovalKind::from_name(&request.kind).ok_or_else(|| status::invalid("kind", "unknown"))?;
        if kind == ApprovalKind::ShortenHistory {
            // It comes with the amendment that shortens, so that both stand or fall together.
            return Err(status::invalid("kind", "amendment"));
        }
        if !kind.can_be_proposed() {
            return Err(status::invalid("kind", "not_available"));
        }
        if !is_name(&request.detail) {
            return Err(status::invalid("detail", "name"));
        }
        let subscription = records::find(&self.control, request.subscription).await?.subscription;
        let (now_ns, detail) = (trace.at_ns, request.detail);
        let ask = move |control: &Control| {
            control.propose(kind, &subscription, &detail, &trace)?;
            Ok((control.standing(kind, &subscription, now_ns)?, control.references()?))
        };
        let (approval, references) = with_control(&self.control, ask).await?;
        let approval = approval.ok_or_else(|| status::not_found("approval"))?;
        Ok(wire(&approval, &references, now_ns))
    }

    async fn read(&self, request: v1::ListApprovalsRequest, trace: Trace) -> Result<Vec<v1::Approval>, Failure> {
        let only = records::look_or_overview(&self.control, request.subscription, "approvals", &trace).await?;
        let only = only.map(|subscription| subscription.subscription);
        let read = move |control: &Control| Ok((control.approvals(only.as_ref())?, control.references()?));
        let (approvals, references) = with_control(&self.control, read).await?;
        let wanted = approvals.iter().filter(|approval| request.all || approval.stands(trace.at_ns));
        Ok(wanted.map(|approval| wire(approval, &references, trace.at_ns)).collect())
    }
}

fn wire(approval: &Approval, references: &HashMap<SubscriptionId, String>, now_ns: i64) -> v1::Approval {
    let (approved_by, approved_at_ns) = approval.approved.clone().unwrap_or_default();
    v1::Approval {
        number: approval.number,
        kind: approval.kind.name().to_owned(),
        subscription: references.get(&approval.subscription).cloned().unwrap_or_default(),
        detail: approval.detail.clone(),
        asked_by: approval.asked_by.clone(),
        asked_at_ns: approval.asked_at_ns,
        customer_told_at_ns: approval.customer_told_at_ns,
        approved_by,
        approved_at_ns,
        due_at_ns: due_at_ns(approval, now_ns),
        state: state(approval, now_ns).to_owned(),
    }
}

/// From when an approved request may be carried out, in nanoseconds since 1970; 0 if nobody approved it.
pub fn due_at_ns(approval: &Approval, now_ns: i64) -> i64 {
    due(approval, moment(now_ns)).map_or(0, nanoseconds)
}

/// From when an approved request may be carried out.
fn due(approval: &Approval, now: Timestamp) -> Option<Timestamp> {
    match (approval.check(now), approval.approved.as_ref()) {
        (Err(NotYet::Until(due)), _) => Some(due),
        (Ok(()), Some((_, approved_at_ns))) => {
            moment((*approved_at_ns).max(approval.customer_told_at_ns)).checked_add(TWO_PERSON_DELAY).ok()
        }
        _ => None,
    }
}

fn state(approval: &Approval, now_ns: i64) -> &'static str {
    match (&approval.closed, &approval.approved) {
        (Some(_), _) if approval.carried_out => "carried_out",
        (Some(_), _) => "withdrawn",
        (None, _) if !approval.stands(now_ns) => "expired",
        (None, Some(_)) => "approved",
        (None, None) => "asked",
    }
}
