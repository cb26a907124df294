//! The `Upkeep` service: jobs as operators see and steer them, why pruning stands still, and what is damaged.
//!
//! It runs nothing itself: `upkeep::jobs` does, in its own threads.

use std::collections::HashMap;
use std::sync::Arc;

use common::id::{SourceId, SubscriptionId};
use proto::code::Failure;
use proto::v1;
use tonic::{Request, Response, Status};

use super::caller::{self, blocking, with_control};
use super::failure::{job_failure, session_failure};
use super::{records, status};
use crate::catalog::file::Catalog;
use crate::catalog::packs::PackState;
use crate::contract::order_form::is_name;
use crate::control::Control;
use crate::control::audit::{Action, Event, Trace};
use crate::control::subscriptions::Subscription;
use crate::session::error::SessionError;
use crate::store::name::ObjectName;
use crate::subscriptions::Subscriptions;
use crate::upkeep::guard::Guards;
use crate::upkeep::jobs::{JobKind, JobStatus, Jobs, Place};

/// Upkeep for operators.
#[derive(Clone)]
pub struct UpkeepService {
    /// The provider's records.
    pub control: Arc<Control>,
    /// What is stored.
    pub subscriptions: Arc<Subscriptions>,
    /// The jobs.
    pub jobs: Arc<Jobs>,
    /// Who may remove what.
    pub guards: Guards,
}

#[tonic::async_trait]
impl v1::upkeep_server::Upkeep for UpkeepService {
    async fn status(
        &self,
        request: Request<v1::UpkeepStatusRequest>,
    ) -> Result<Response<v1::UpkeepStatusReply>, Status> {
        let trace = caller::trace(&request);
        self.read(request.into_inner(), trace).await.map(Response::new).map_err(status::of_failure)
    }

    async fn run(&self, request: Request<v1::RunUpkeepRequest>) -> Result<Response<v1::RunUpkeepReply>, Status> {
        let trace = caller::trace(&request);
        self.ask(request.into_inner(), trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::RunUpkeepReply {}))
    }

    async fn pause(&self, request: Request<v1::PauseUpkeepRequest>) -> Result<Response<v1::PauseUpkeepReply>, Status> {
        let trace = caller::trace(&request);
        self.pause_place(request.into_inner().subscription, true, trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::PauseUpkeepReply {}))
    }

    async fn resume(
        &self,
        request: Request<v1::ResumeUpkeepRequest>,
    ) -> Result<Response<v1::ResumeUpkeepReply>, Status> {
        let trace = caller::trace(&request);
        self.pause_place(request.into_inner().subscription, false, trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::ResumeUpkeepReply {}))
    }

    async fn stop(&self, request: Request<v1::StopUpkeepRequest>) -> Result<Response<v1::StopUpkeepReply>, Status> {
        let trace = caller::trace(&request);
        let place = self.place(request.into_inner().subscription).await.map_err(status::of_failure)?;
        self.record(Action::StopUpkeep, place, "upkeep", &trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::StopUpkeepReply { stopped: self.jobs.stop(place) }))
    }

    async fn allow_pruning(
        &self,
        request: Request<v1::AllowPruningRequest>,
    ) -> Result<Response<v1::AllowPruningReply>, Status> {
        let trace = caller::trace(&request);
        let stopped = self.allow(request.into_inner(), trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::AllowPruningReply { stopped }))
    }

    async fn damage(&self, request: Request<v1::DamageRequest>) -> Result<Response<v1::DamageReply>, Status> {
        let trace = caller::trace(&request);
        let reference = request.into_inner().subscription;
        let known = records::look(&self.control, reference, "damage", &trace).await.map_err(status::of_failure)?;
        let subscriptions = self.subscriptions.clone();
        let read = move || {
            let found = subscriptions.peek(&known.subscription, |catalog, _| damage(catalog, &known));
            Ok(found.map_err(|error| session_failure(&error))?.unwrap_or_default())
        };
        blocking(read).await.map(Response::new).map_err(status::of_failure)
    }
}

impl UpkeepService {
    async fn read(&self, request: v1::UpkeepStatusRequest, trace: Trace) -> Result<v1::UpkeepStatusReply, Failure> {
        let only = records::look_or_overview(&self.control, request.subscription, "upkeep", &trace).await?;
        let only = only.map(|subscription| subscription.subscription);
        let references = records::references(&self.control).await?;
        let (jobs, guards) = (self.jobs.clone(), self.guards.clone());
        let now = common::text::date::moment(trace.at_ns);
        blocking(move || {
            let all = jobs.status().map_err(|error| job_failure(&error))?;
            let wanted = |place: Place| only.is_none() || place == only;
            let jobs = all.into_iter().filter(|job| wanted(job.place)).map(|job| wire(job, &references)).collect();
            let stops = guards.stops(now).map_err(|error| job_failure(&error))?;
            let stops = stops.into_iter().filter(|stop| stop.subscription.is_none() || wanted(stop.subscription));
            let stops = stops.map(|stop| v1::PruningStop {
                subscription: name(stop.subscription, &references),
                can_be_allowed: Guards::can_allow(&stop.reason),
                reason: stop.reason,
                since_ns: stop.since_ns,
            });
            Ok(v1::UpkeepStatusReply { jobs, stops: stops.collect() })
        })
        .await
    }

    async fn ask(&self, request: v1::RunUpkeepRequest, trace: Trace) -> Result<(), Failure> {
        let kind = JobKind::named(&request.job).ok_or_else(|| status::invalid("job", "unknown"))?;
        let place = self.place(request.subscription).await?;
        if let Some(id) = place {
            let subscriptions = self.subscriptions.clone();
            let stored = move || subscriptions.stored().map_err(|error| status::of_store(&error));
            if !blocking(stored).await?.contains(&id) {
                return Err(status::invalid("subscription", "empty"));
            }
        }
        if !self.jobs.knows(place, kind) {
            return Err(status::invalid("job", "place"));
        }
        self.record(Action::RunUpkeep, place, kind.name(), &trace).await?;
        self.jobs.request(place, kind).map_err(|error| job_failure(&error))
    }

    async fn pause_place(&self, reference: String, paused: bool, trace: Trace) -> Result<(), Failure> {
        let place = self.place(reference).await?;
        let jobs = self.jobs.clone();
        blocking(move || jobs.pause(place, paused, &trace).map_err(|error| status::of_control(&error))).await
    }

    async fn allow(&self, request: v1::AllowPruningRequest, trace: Trace) -> Result<String, Failure> {
        if !is_name(&request.reason) {
            return Err(status::invalid("reason", "name"));
        }
        let place = self.place(request.subscription).await?;
        let guards = self.guards.clone();
        let now = common::text::date::moment(trace.at_ns);
        let allow = move || guards.allow(place.as_ref(), now, (&request.reason, &trace));
        blocking(move || allow().map_err(|error| job_failure(&error))).await
    }

    /// A subscription by its reference, or the server itself.
    async fn place(&self, reference: String) -> Result<Place, Failure> {
        if reference.is_empty() {
            return Ok(None);
        }
        records::find(&self.control, reference).await.map(|known| Some(known.subscription))
    }

    async fn record(&self, action: Action, place: Place, object: &'static str, trace: &Trace) -> Result<(), Failure> {
        let trace = trace.clone();
        let record = move |control: &Control| {
            control.record(&trace, &Event { action, subscription: place, object, result: "done" })
        };
        with_control(&self.control, record).await
    }
}

fn name(place: Place, references: &HashMap<SubscriptionId, String>) -> String {
    place.map_or_else(String::new, |id| references.get(&id).cloned().unwrap_or_else(|| id.to_string()))
}

fn wire(job: JobStatus, references: &HashMap<SubscriptionId, String>) -> v1::UpkeepJob {
    let progress = job.progress.unwrap_or_default();
    let shown = v1::UpkeepJob {
        subscription: name(job.place, references),
        job: job.kind.name().to_owned(),
        due_at_ns: job.due_at_ns.max(0),
        running: job.progress.is_some(),
        done: progress.done,
        total: progress.total,
        unit: progress.unit.to_owned(),
        paused: job.paused,
        ..v1::UpkeepJob::default()
    };
    let Some(last) = job.last else { return shown };
    let counts = last.counts.into_iter().map(|(name, count)| v1::UpkeepCount { name, count });
    v1::UpkeepJob {
        started_at_ns: last.started_at_ns,
        ended_at_ns: last.ended_at_ns,
        outcome: last.outcome,
        counts: counts.collect(),
        error: last.error,
        ..shown
    }
}

/// What a catalog knows to be damaged.
fn damage(catalog: &Catalog, known: &Subscription) -> Result<v1::DamageReply, SessionError> {
    let damaged_rows = catalog.damaged_rows()?;
    let mut objects = Vec::new();
    for pack in catalog.packs()? {
        let state = match pack.state {
            PackState::Suspect => "suspect",
            PackState::Quarantined => "quarantined",
            PackState::Lost => "lost",
            PackState::Unread => "unread",
            PackState::Staging | PackState::Published | PackState::Arriving => continue,
        };
        let chunks = catalog.chunks_of_pack(pack.row)?;
        let damaged_chunks = chunks.iter().filter(|(row, _)| damaged_rows.contains(*row)).count() as u64;
        let object = pack.name.map_or_else(String::new, |name| ObjectName::Pack(name).to_string());
        objects.push(v1::DamagedObject { object, state: state.to_owned(), damaged_chunks });
    }
    let small = catalog.damaged_objects()?.into_iter();
    objects.extend(small.map(|(object, _)| v1::DamagedObject {
        object,
        state: "damaged".to_owned(),
        damaged_chunks: 0,
    }));
    let mut snapshots = Vec::new();
    // What was damaged and came again by a later backup affects nothing any more.
    let affected = if damaged_rows.is_empty() { Vec::new() } else { catalog.affected_snapshots()? };
    for (session, damaged_chunks) in affected {
        let Some(row) = catalog.snapshot(&session)?.filter(|row| row.expired_at_ns == 0) else { continue };
        snapshots.push(v1::AffectedSnapshot {
            snapshot: session.to_string(),
            source: source_name(known, &row.source),
            received_at_ns: row.server.received_at_ns,
            damaged_chunks,
        });
    }
    snapshots.sort_by_key(|snapshot| snapshot.received_at_ns);
    Ok(v1::DamageReply {
        objects,
        snapshots,
        damaged_chunks: damaged_rows.len(),
        objects_read_at_ns: catalog.objects_scrubbed_at_ns()?,
    })
}

/// The name of a source on the order form; its id if the form does not name it.
pub fn source_name(known: &Subscription, source: &SourceId) -> String {
    let found = known.sources.iter().find(|known| known.source == *source);
    found.map_or_else(|| source.to_string(), |found| found.name.clone())
}
