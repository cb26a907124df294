//! The `Closures` service: suspensions of a subscription, maintenance of one or of the server.
//!
//! It closes nothing itself: sessions, restores and upkeep ask the terms, which hold what is recorded here.

use std::collections::HashMap;
use std::sync::Arc;

use common::id::SubscriptionId;
use common::limits::{MAINTENANCE_AHEAD_DAYS_MAX, MAINTENANCE_DAYS_MAX};
use common::text::date::{moment, nanoseconds};
use proto::code::Failure;
use proto::v1;
use tonic::{Request, Response, Status};

use super::caller::{self, with_control};
use super::{records, status};
use crate::contract::order_form::is_name;
use crate::contract::service::{SuspensionReason, Window};
use crate::control::Control;
use crate::control::audit::Trace;
use crate::control::windows::{Maintenance, Suspended};

const DAY_NS: i64 = 86_400_000_000_000;

/// Suspensions and maintenance.
#[derive(Clone)]
pub struct ClosuresService {
    /// The provider's records.
    pub control: Arc<Control>,
}

#[tonic::async_trait]
impl v1::closures_server::Closures for ClosuresService {
    async fn suspend(&self, request: Request<v1::SuspendRequest>) -> Result<Response<v1::SuspendReply>, Status> {
        let trace = caller::trace(&request);
        let suspension = self.record(request.into_inner(), trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::SuspendReply { suspension: Some(suspension) }))
    }

    async fn resume(&self, request: Request<v1::ResumeRequest>) -> Result<Response<v1::ResumeReply>, Status> {
        let (trace, number) = (caller::trace(&request), request.get_ref().number);
        let resume = move |control: &Control| control.resume(number, &trace);
        with_control(&self.control, resume).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::ResumeReply {}))
    }

    async fn list_suspensions(
        &self,
        request: Request<v1::ListSuspensionsRequest>,
    ) -> Result<Response<v1::ListSuspensionsReply>, Status> {
        let trace = caller::trace(&request);
        let reference = request.into_inner().subscription;
        let only = records::look_or_overview(&self.control, reference, "suspensions", &trace);
        let only = only.await.map_err(status::of_failure)?.map(|known| known.subscription);
        let read = move |control: &Control| Ok((control.suspensions(only.as_ref())?, control.references()?));
        let (found, references) = with_control(&self.control, read).await.map_err(status::of_failure)?;
        let suspensions = found.into_iter().map(|suspended| wire_suspension(suspended, &references)).collect();
        Ok(Response::new(v1::ListSuspensionsReply { suspensions }))
    }

    async fn announce_maintenance(
        &self,
        request: Request<v1::AnnounceMaintenanceRequest>,
    ) -> Result<Response<v1::AnnounceMaintenanceReply>, Status> {
        let trace = caller::trace(&request);
        let maintenance = self.announce(request.into_inner(), trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::AnnounceMaintenanceReply { maintenance: Some(maintenance) }))
    }

    async fn end_maintenance(
        &self,
        request: Request<v1::EndMaintenanceRequest>,
    ) -> Result<Response<v1::EndMaintenanceReply>, Status> {
        let (trace, number) = (caller::trace(&request), request.get_ref().number);
        let end = move |control: &Control| control.end_maintenance(number, &trace);
        with_control(&self.control, end).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::EndMaintenanceReply {}))
    }

    async fn list_maintenance(
        &self,
        request: Request<v1::ListMaintenanceRequest>,
    ) -> Result<Response<v1::ListMaintenanceReply>, Status> {
        let (trace, all) = (caller::trace(&request), request.get_ref().all);
        records::overview(&self.control, "maintenance", &trace).await.map_err(status::of_failure)?;
        let read = move |control: &Control| Ok((control.maintenance(trace.at_ns, all)?, control.references()?));
        let (found, references) = with_control(&self.control, read).await.map_err(status::of_failure)?;
        let maintenance = found.into_iter().map(|window| wire_maintenance(window, &references)).collect();
        Ok(Response::new(v1::ListMaintenanceReply { maintenance }))
    }
}

impl ClosuresService {
    async fn record(&self, request: v1::SuspendRequest, trace: Trace) -> Result<v1::Suspension, Failure> {
        let reason =
            SuspensionReason::from_name(&request.reason).ok_or_else(|| status::invalid("reason", "unknown"))?;
        if !is_name(&request.detail) {
            return Err(status::invalid("detail", "name"));
        }
        let told_at_ns = Some(request.told_at_ns).filter(|at| *at != 0);
        if told_at_ns.is_some_and(|at| at > trace.at_ns) {
            return Err(status::invalid("told_at_ns", "future"));
        }
        // Told beforehand, or a reason why not: one of the two, never both.
        if told_at_ns.is_none() != is_name(&request.untold_because) {
            return Err(status::invalid("untold_because", "missing"));
        }
        let (from_ns, until_ns) = period(request.from_ns, request.until_ns, trace.at_ns)?;
        let subscription = records::find(&self.control, request.subscription).await?.subscription;
        let mut suspended = Suspended {
            number: 0,
            subscription,
            window: Window { from: moment(from_ns), until: until_ns.map(moment), reason },
            detail: request.detail,
            told_at_ns,
            untold_because: request.untold_because,
            recorded_at_ns: trace.at_ns,
            recorded_by: trace.who.clone(),
        };
        let record = move |control: &Control| {
            suspended.number = control.suspend(&suspended, &trace)?;
            Ok((suspended, control.references()?))
        };
        let (suspended, references) = with_control(&self.control, record).await?;
        Ok(wire_suspension(suspended, &references))
    }

    async fn announce(
        &self,
        request: v1::AnnounceMaintenanceRequest,
        trace: Trace,
    ) -> Result<v1::Maintenance, Failure> {
        if !is_name(&request.detail) {
            return Err(status::invalid("detail", "name"));
        }
        let (from_ns, until_ns) = period(request.from_ns, request.until_ns, trace.at_ns)?;
        let until_ns = until_ns.ok_or_else(|| status::invalid("until_ns", "missing"))?;
        check_length(from_ns, until_ns, trace.at_ns)?;
        let subscription = match request.subscription.as_str() {
            "" => None,
            _ => Some(records::find(&self.control, request.subscription).await?.subscription),
        };
        let mut announced = Maintenance {
            number: 0,
            subscription,
            from_ns,
            until_ns,
            detail: request.detail,
            recorded_at_ns: trace.at_ns,
            recorded_by: trace.who.clone(),
        };
        let record = move |control: &Control| {
            announced.number = control.announce_maintenance(&announced, &trace)?;
            Ok((announced, control.references()?))
        };
        let (announced, references) = with_control(&self.control, record).await?;
        Ok(wire_maintenance(announced, &references))
    }
}

/// A period that begins now or later and is not empty.
fn period(from_ns: i64, until_ns: i64, now_ns: i64) -> Result<(i64, Option<i64>), Failure> {
    let from_ns = from_ns.max(now_ns);
    match until_ns {
        0 => Ok((from_ns, None)),
        until_ns if until_ns > from_ns => Ok((from_ns, Some(until_ns))),
        _ => Err(status::invalid("until_ns", "past")),
    }
}

/// Maintenance that agents wait for has an end that people wait for too.
fn check_length(from_ns: i64, until_ns: i64, now_ns: i64) -> Result<(), Failure> {
    if from_ns.saturating_sub(now_ns) / DAY_NS > MAINTENANCE_AHEAD_DAYS_MAX {
        return Err(status::invalid("from_ns", "too_far"));
    }
    if until_ns.saturating_sub(from_ns) > MAINTENANCE_DAYS_MAX * DAY_NS {
        return Err(status::invalid("until_ns", "too_long"));
    }
    Ok(())
}

fn wire_suspension(suspended: Suspended, references: &HashMap<SubscriptionId, String>) -> v1::Suspension {
    v1::Suspension {
        number: suspended.number,
        subscription: references.get(&suspended.subscription).cloned().unwrap_or_default(),
        reason: suspended.window.reason.name().to_owned(),
        detail: suspended.detail,
        from_ns: nanoseconds(suspended.window.from),
        until_ns: suspended.window.until.map_or(0, nanoseconds),
        told_at_ns: suspended.told_at_ns.unwrap_or_default(),
        untold_because: suspended.untold_because,
        recorded_at_ns: suspended.recorded_at_ns,
        recorded_by: suspended.recorded_by,
    }
}

fn wire_maintenance(window: Maintenance, references: &HashMap<SubscriptionId, String>) -> v1::Maintenance {
    let reference = window.subscription.and_then(|id| references.get(&id).cloned());
    v1::Maintenance {
        number: window.number,
        subscription: reference.unwrap_or_default(),
        from_ns: window.from_ns,
        until_ns: window.until_ns,
        detail: window.detail,
        recorded_at_ns: window.recorded_at_ns,
        recorded_by: window.recorded_by,
    }
}
