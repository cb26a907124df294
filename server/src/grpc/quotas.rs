//! The `Quotas` service: the daily change of each subscription, and the re-evaluation files.
//!
//! It opens no subscription: catalogs are read beside whoever uses them.
//!
//! Invariant: no file name; sources are named as the order form names them.

use std::collections::HashMap;
use std::sync::Arc;

use common::id::{SourceId, SubscriptionId};
use common::text::date::moment;
use jiff::Timestamp;
use proto::code::Failure;
use proto::v1;
use tonic::{Request, Response, Status};

use super::caller::{self, with_control};
use super::{records, status, usage};
use crate::catalog::days::DayLine;
use crate::contract::day::Day;
use crate::control::Control;
use crate::control::audit::Trace;
use crate::control::reevaluations::{Outcome, Reevaluation};
use crate::control::subscriptions::Subscription;
use crate::session::error::SessionError;
use crate::subscriptions::Subscriptions;
use crate::usage::{Usage, day, nothing, usage_of};

/// Longest reference of a writing, in bytes.
const DOCUMENT_BYTES_MAX: usize = 200;

/// Quotas and re-evaluations.
#[derive(Clone)]
pub struct QuotasService {
    /// The provider's records.
    pub control: Arc<Control>,
    /// What is stored.
    pub subscriptions: Arc<Subscriptions>,
}

#[tonic::async_trait]
impl v1::quotas_server::Quotas for QuotasService {
    async fn list_quotas(
        &self,
        request: Request<v1::ListQuotasRequest>,
    ) -> Result<Response<v1::ListQuotasReply>, Status> {
        let trace = caller::trace(&request);
        let quotas = self.list(request.into_inner(), trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::ListQuotasReply { quotas }))
    }

    async fn get_quota(&self, request: Request<v1::GetQuotaRequest>) -> Result<Response<v1::GetQuotaReply>, Status> {
        let trace = caller::trace(&request);
        let reference = request.into_inner().subscription;
        let known = records::look(&self.control, reference, "quota", &trace).await.map_err(status::of_failure)?;
        let subscriptions = self.subscriptions.clone();
        let read = move || Ok(quota(&subscriptions, &known, moment(trace.at_ns)));
        let (quota, lines) = caller::blocking(read).await.map_err(status::of_failure)?;
        let days = lines.iter().map(wire_line).collect();
        Ok(Response::new(v1::GetQuotaReply { quota: Some(quota), days }))
    }

    async fn list_reevaluations(
        &self,
        request: Request<v1::ListReevaluationsRequest>,
    ) -> Result<Response<v1::ListReevaluationsReply>, Status> {
        let trace = caller::trace(&request);
        let v1::ListReevaluationsRequest { subscription, closed } = request.into_inner();
        let only = records::look_or_overview(&self.control, subscription, "reevaluations", &trace);
        let only = only.await.map_err(status::of_failure)?.map(|known| known.subscription);
        let read = move |control: &Control| Ok((control.reevaluations(only.as_ref(), closed)?, control.references()?));
        let (found, references) = with_control(&self.control, read).await.map_err(status::of_failure)?;
        let reevaluations = found.into_iter().map(|known| wire_reevaluation(known, &references)).collect();
        Ok(Response::new(v1::ListReevaluationsReply { reevaluations }))
    }

    async fn close_reevaluation(
        &self,
        request: Request<v1::CloseReevaluationRequest>,
    ) -> Result<Response<v1::CloseReevaluationReply>, Status> {
        let trace = caller::trace(&request);
        let closed = self.close(request.into_inner(), trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::CloseReevaluationReply { reevaluation: Some(closed) }))
    }
}

impl QuotasService {
    async fn list(&self, request: v1::ListQuotasRequest, trace: Trace) -> Result<Vec<v1::Quota>, Failure> {
        records::overview(&self.control, "quotas", &trace).await?;
        let known = with_control(&self.control, |control| control.subscriptions(None)).await?;
        let subscriptions = self.subscriptions.clone();
        caller::blocking(move || {
            let now = moment(trace.at_ns);
            let quotas = known.iter().map(|known| quota(&subscriptions, known, now).0);
            Ok(quotas.filter(|quota| is_wanted(quota, &request)).collect())
        })
        .await
    }

    async fn close(&self, request: v1::CloseReevaluationRequest, trace: Trace) -> Result<v1::Reevaluation, Failure> {
        let v1::CloseReevaluationRequest { number, outcome, document } = request;
        let outcome = Outcome::from_name(&outcome).ok_or_else(|| status::invalid("outcome", "unknown"))?;
        if document.len() > DOCUMENT_BYTES_MAX || document.chars().any(char::is_control) {
            return Err(status::invalid("document", "name"));
        }
        let close = move |control: &Control| {
            Ok((control.close_reevaluation(number, (outcome, &document), &trace)?, control.references()?))
        };
        let (closed, references) = with_control(&self.control, close).await?;
        Ok(wire_reevaluation(closed, &references))
    }
}

/// What the filters leave; what cannot be read is never left out.
fn is_wanted(quota: &v1::Quota, request: &v1::ListQuotasRequest) -> bool {
    let Some(today) = quota.today.as_ref().filter(|_| quota.readable) else { return true };
    let above = u128::from(today.counted_bytes) * 100
        >= u128::from(today.allowed_bytes) * u128::from(request.above_percent)
        && today.allowed_bytes > 0;
    (!request.over || today.state() == v1::DayState::Over) && (request.above_percent == 0 || above)
}

/// One subscription, and the lines of its last 30 days.
fn quota(subscriptions: &Subscriptions, known: &Subscription, now: Timestamp) -> (v1::Quota, Vec<DayLine>) {
    let terms = known.terms();
    let reference = known.form.reference.clone();
    let peeked = subscriptions.peek(&known.subscription, |catalog, account| {
        let usage = usage_of(catalog, account, (&terms, now), None)?;
        let sources = catalog.sources_of_day(usage.today.day)?;
        Ok::<_, SessionError>((usage, sources))
    });
    match peeked {
        Ok(Some((usage, sources))) => {
            let today = usage::wire(&usage, &terms);
            let sources = responsible(known, &sources);
            (
                v1::Quota { subscription: reference, readable: true, today: Some(today), sources, ..outlook(&usage) },
                usage.days,
            )
        }
        Ok(None) => {
            let today = Some(usage::wire(&nothing(&terms, now), &terms));
            (v1::Quota { subscription: reference, readable: true, today, ..v1::Quota::default() }, Vec::new())
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, subscription = %known.subscription, "a quota could not be read");
            (v1::Quota { subscription: reference, ..v1::Quota::default() }, Vec::new())
        }
    }
}

fn outlook(usage: &Usage) -> v1::Quota {
    let outlook = &usage.outlook;
    v1::Quota {
        mean_7_bytes: outlook.mean_7_bytes,
        mean_30_bytes: outlook.mean_30_bytes,
        peak: outlook.peak.as_ref().map(wire_day),
        days_over: outlook.days_over,
        days_near: outlook.days_near,
        until_over_days: outlook.until_over_days,
        ..v1::Quota::default()
    }
}

/// The sources that changed something today, the largest first.
fn responsible(known: &Subscription, lines: &[(SourceId, DayLine)]) -> Vec<v1::QuotaSource> {
    let name = |id: &SourceId| {
        let found = known.sources.iter().find(|source| source.source == *id);
        found.map_or_else(|| id.to_string(), |source| source.name.clone())
    };
    let source = |(id, line): &(SourceId, DayLine)| v1::QuotaSource {
        name: name(id),
        changed_bytes: line.tally.counted_bytes(u64::MAX),
        sent_bytes: line.sent_bytes,
    };
    let mut sources: Vec<v1::QuotaSource> = lines.iter().map(source).collect();
    sources.sort_by_key(|source| std::cmp::Reverse(source.changed_bytes));
    sources
}

fn wire_day(day: &Day) -> v1::QuotaDay {
    v1::QuotaDay {
        day: day.day.to_string(),
        counted_bytes: day.counted_bytes,
        allowed_bytes: day.allowed_bytes.unwrap_or(0),
        state: usage::state(day.level()).into(),
        ..v1::QuotaDay::default()
    }
}

fn wire_line(line: &DayLine) -> v1::QuotaDay {
    let DayLine { sent_bytes, stored_bytes, complete, partial, .. } = *line;
    v1::QuotaDay { sent_bytes, stored_bytes, complete, partial, ..wire_day(&day(line)) }
}

fn wire_reevaluation(known: Reevaluation, references: &HashMap<SubscriptionId, String>) -> v1::Reevaluation {
    let suggested_volume_bytes = known.file.suggested_volume_bytes();
    let days = known.file.days.iter().map(|over| v1::ReevaluationDay {
        day: over.day.to_string(),
        cause: over.cause.name().to_owned(),
        measured_bytes: over.measured_bytes,
        allowed_bytes: over.allowed_bytes,
    });
    let open = v1::Reevaluation {
        number: known.number,
        subscription: references.get(&known.subscription).cloned().unwrap_or_default(),
        opened_at_ns: known.opened_at_ns,
        price_from: known.price_from.to_string(),
        suggested_volume_bytes,
        days: days.collect(),
        ..v1::Reevaluation::default()
    };
    match known.closing {
        None => open,
        Some(closing) => v1::Reevaluation {
            closed_at_ns: closing.at_ns,
            closed_by: closing.by,
            outcome: closing.outcome.name().to_owned(),
            document: closing.document,
            ..open
        },
    }
}
