//! The service `Restore`: what there is, and taking it back.
//!
//! Invariant: I11 — what is absent and what is somebody else's get the same answer: everything is looked up in the caller's own
//! subscription, and for an agent in its own scope, so there is nothing else that could be found.

use std::collections::BTreeMap;
use std::sync::Arc;

use common::id::{ScopeId, SourceId, SubscriptionId};
use common::text::date::{moment, nanoseconds};
use proto::code::{ErrorCode, Failure};
use proto::v1;
use proto::v1::restore_server::Restore;
use tonic::{Request, Response, Status};

use crate::auth::principal::{Principal, Role};
use crate::catalog::file::Catalog;
use crate::catalog::snapshots::{RestorableDay, SnapshotFacts, SourceStatistics};
use crate::contract::day::{Day, is_outside_guarantee};
use crate::grpc::blocking::{id, optional_id, principal, run};
use crate::grpc::failure::of_session;
use crate::grpc::fetch::{Places, Replies};
use crate::grpc::status::of_failure;
use crate::grpc::transfer::chunk_ids;
use crate::session::error::SessionError;
use crate::session::fetch::{Fetched, Right, Unavailable};
use crate::session::subscription::Subscription;
use crate::subscriptions::{KnownSource, Subscriptions};
use crate::upkeep::facts;
use crate::usage::day;

/// Snapshots in one answer, unless the caller wants fewer.
const SNAPSHOTS_MAX: u32 = 1_000;
/// Bytes of snapshot objects from which an answer ends, the last one included.
const SNAPSHOT_REPLY_BYTES: usize = 3 << 20;

/// Serves people and agents.
#[derive(Clone)]
pub struct RestoreService {
    subscriptions: Arc<Subscriptions>,
    places: Arc<Places>,
}

impl RestoreService {
    /// A service on these subscriptions.
    pub fn new(subscriptions: Arc<Subscriptions>) -> Self {
        Self { subscriptions, places: Arc::default() }
    }

    async fn with<T: Send + 'static>(
        &self,
        subscription: SubscriptionId,
        call: impl FnOnce(&Subscriptions, &Subscription) -> Result<T, SessionError> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let subscriptions = Arc::clone(&self.subscriptions);
        let reply = run(move || call(&subscriptions, &*subscriptions.get(&subscription)?));
        reply.await.map(Response::new)
    }
}

/// What a caller may see.
struct Reader {
    subscription: SubscriptionId,
    /// The only scope, for an agent.
    scope: Option<ScopeId>,
    right: Right,
    name: String,
}

fn reader<T>(request: &Request<T>) -> Result<Reader, Status> {
    match principal(request)? {
        Principal::Person { identifier, subscription, role, .. } => {
            let right = if role >= Role::Restore { Right::Content } else { Right::Nodes };
            Ok(Reader { subscription, scope: None, right, name: identifier })
        }
        Principal::Agent { agent, subscription, scope, can_restore } => {
            let right = if can_restore { Right::Content } else { Right::Nodes };
            Ok(Reader { subscription, scope: Some(scope), right, name: agent.to_string() })
        }
        Principal::Operator { .. } | Principal::Enrolment { .. } => {
            Err(of_failure(Failure::new(ErrorCode::PermissionDenied).with("role", "read_only")))
        }
    }
}

/// Passes unless a suspension closes restores.
fn check_restore(subscriptions: &Subscriptions, id: &SubscriptionId) -> Result<(), SessionError> {
    Ok(subscriptions.terms(id)?.check_restore(subscriptions.settings().clock.now())?)
}

#[tonic::async_trait]
impl Restore for RestoreService {
    type FetchStream = Replies;

    async fn sources(&self, request: Request<v1::SourcesRequest>) -> Result<Response<v1::SourcesReply>, Status> {
        let reader = reader(&request)?;
        self.with(reader.subscription, move |subscriptions, open| {
            let known = (subscriptions.settings().sources)(&reader.subscription)?;
            let (statistics, totals) =
                open.read(|catalog| Ok((catalog.source_statistics()?, catalog.source_totals()?)))?;
            let (terms, now) = (subscriptions.terms(&reader.subscription)?, subscriptions.settings().clock.now());
            let lateness = known.iter().map(|known| {
                let complete_at_ns = totals.get(&known.source).and_then(|totals| totals.complete_at_ns);
                let since = complete_at_ns.map(moment).or(known.due_from).and_then(|at| terms.late_since(at, now));
                (known.source, (complete_at_ns.unwrap_or(0), since.map_or(0, nanoseconds)))
            });
            let lateness: BTreeMap<SourceId, (i64, i64)> = lateness.collect();
            let mut sources = merge_sources(known, statistics);
            for source in &mut sources {
                let found = SourceId::try_from(&source.source[..]).ok().and_then(|id| lateness.get(&id));
                (source.complete_at_ns, source.late_since_ns) = found.copied().unwrap_or_default();
            }
            let sources = sources.into_iter();
            let visible = |source: &v1::Source| reader.scope.is_none_or(|scope| source.scope == scope.as_bytes()[..]);
            Ok(v1::SourcesReply { sources: sources.filter(visible).collect() })
        })
        .await
    }

    async fn dates(&self, request: Request<v1::DatesRequest>) -> Result<Response<v1::DatesReply>, Status> {
        let reader = reader(&request)?;
        let source = optional_id("source", &request.get_ref().source).map_err(|error| of_session(&error))?;
        self.with(reader.subscription, move |_, open| {
            let source: Option<SourceId> = source;
            let (days, suspect) = open.read(|catalog| {
                Ok((catalog.restorable_days(source.as_ref())?, suspect_days(catalog, source.as_ref())?))
            })?;
            let day = |line: RestorableDay| v1::Day {
                suspect: suspect.get(&line.day).copied().unwrap_or(0),
                newest_plain_bytes: line.newest_plain_bytes,
                day: line.day,
                complete: line.complete,
                partial: line.partial,
                changed_bytes: line.changed_bytes,
            };
            Ok(v1::DatesReply { days: days.into_iter().map(day).collect() })
        })
        .await
    }

    async fn snapshots(&self, request: Request<v1::SnapshotsRequest>) -> Result<Response<v1::SnapshotsReply>, Status> {
        let reader = reader(&request)?;
        let request = request.into_inner();
        self.with(reader.subscription, move |subscriptions, open| {
            let source = optional_id("source", &request.source)?;
            let limit = if request.limit == 0 { SNAPSHOTS_MAX } else { request.limit.min(SNAPSHOTS_MAX) };
            let until_ns = if request.until_ns == 0 { i64::MAX } else { request.until_ns };
            let rows = open.read(|catalog| {
                let scope = reader.scope.map(|scope| catalog.find_scope(&scope)).transpose()?;
                let mut rows = catalog.snapshots_until(source.as_ref(), until_ns, limit)?;
                rows.retain(|row| scope.is_none_or(|scope| scope == Some(row.scope)));
                Ok(rows)
            })?;
            snapshots_reply(open, rows, subscriptions.settings().clock.now_ns())
        })
        .await
    }

    async fn fetch(&self, request: Request<v1::FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let reader = reader(&request)?;
        let request = request.into_inner();
        let scope: ScopeId = id("scope", &request.scope).map_err(|error| of_session(&error))?;
        let ids = chunk_ids(&request.ids).map_err(|error| of_session(&error))?;
        let subscriptions = Arc::clone(&self.subscriptions);
        let (mut batch, replies) = self.places.enter(reader.subscription).await;
        tokio::task::spawn_blocking(move || {
            let result = check_restore(&subscriptions, &reader.subscription).and_then(|()| {
                let open = subscriptions.get(&reader.subscription)?;
                let _place = open.enter_stream()?;
                // An agent that asks for another scope asks for nothing that there is.
                let ids_here = if reader.scope.is_none_or(|own| own == scope) { &ids[..] } else { &[] };
                let absent = ids.iter().skip(ids_here.len());
                let mut failed = None;
                open.fetch(&scope, ids_here, reader.right, |fetched| {
                    batch.add(&open, fetched).unwrap_or_else(|error| {
                        failed = Some(error);
                        false
                    })
                })?;
                for id in absent {
                    batch.add(&open, Fetched::Unavailable(*id, Unavailable::NotFound))?;
                }
                batch.send();
                failed.map_or(Ok(()), Err)
            });
            if let Err(error) = result {
                batch.fail(of_session(&error));
            }
        });
        Ok(Response::new(replies))
    }

    async fn report_verified(
        &self,
        request: Request<v1::ReportVerifiedRequest>,
    ) -> Result<Response<v1::ReportVerifiedReply>, Status> {
        let reader = reader(&request)?;
        if reader.right != Right::Content {
            return Err(of_failure(Failure::new(ErrorCode::PermissionDenied).with("role", "restore")));
        }
        let request = request.into_inner();
        self.with(reader.subscription, move |subscriptions, open| {
            let session = id("session", &request.session)?;
            if request.complete {
                let now_ns = subscriptions.settings().clock.now_ns();
                open.report_verified(session, reader.name, now_ns)?;
            }
            Ok(v1::ReportVerifiedReply {})
        })
        .await
    }
}

fn merge_sources(known: Vec<KnownSource>, statistics: Vec<SourceStatistics>) -> Vec<v1::Source> {
    let mut sources: Vec<v1::Source> = known.into_iter().map(known_source).collect();
    for found in statistics {
        let id = &found.source.as_bytes()[..];
        let at = sources.iter().position(|source| source.source == id).unwrap_or_else(|| {
            // No longer on the order form, but its history is there.
            sources.push(v1::Source { source: id.to_vec().into(), ..v1::Source::default() });
            sources.len() - 1
        });
        let source = &mut sources[at];
        // The tree was sealed in the scope of who made it, whoever reads the source today.
        source.scope = found.scope.as_bytes().to_vec().into();
        source.agent = found.agent.as_bytes().to_vec().into();
        source.snapshots = found.snapshots;
        source.newest_at_ns = found.newest_at_ns;
        source.oldest_at_ns = found.oldest_at_ns;
        source.latest_plain_bytes = found.latest_plain_bytes;
        source.verified_at_ns = found.verified_at_ns;
    }
    sources
}

fn known_source(known: KnownSource) -> v1::Source {
    v1::Source {
        source: known.source.as_bytes().to_vec().into(),
        name: known.name,
        kind: known.kind.into(),
        scope: known.scope.map_or(Vec::new(), |scope| scope.as_bytes().to_vec()).into(),
        agent: known.agent.map_or(Vec::new(), |agent| agent.as_bytes().to_vec()).into(),
        host: known.host,
        ..v1::Source::default()
    }
}

/// How many snapshots of each day are suspect.
fn suspect_days(catalog: &Catalog, source: Option<&SourceId>) -> Result<BTreeMap<String, u32>, SessionError> {
    let mut days = BTreeMap::new();
    for hold in facts::known(catalog)?.standing().holds {
        if source.is_none_or(|source| *source == hold.source)
            && let Some(row) = catalog.snapshot(&hold.snapshot)?
        {
            *days.entry(row.server.day).or_default() += 1;
        }
    }
    Ok(days)
}

/// What is damaged is left out: it takes no other date with it.
fn snapshots_reply(
    open: &Subscription,
    rows: Vec<SnapshotFacts>,
    now_ns: i64,
) -> Result<v1::SnapshotsReply, SessionError> {
    let (known, lines) = open.read(|catalog| Ok((facts::known(catalog)?, catalog.days(None, None)?)))?;
    let days: BTreeMap<String, Day> = lines.iter().map(|line| (line.day.to_string(), day(line))).collect();
    let (mut snapshots, mut bytes) = (Vec::new(), 0);
    for row in rows {
        let Some(object) = open.snapshot_object(&row, now_ns)? else { continue };
        if bytes > 0 && bytes + object.len() > SNAPSHOT_REPLY_BYTES {
            break;
        }
        bytes += object.len() + row.receipt.len();
        snapshots.push(v1::Snapshot {
            object: object.into(),
            receipt: row.receipt.into(),
            verified_at_ns: row.verified_at_ns,
            suspect: known.suspects(&row.session),
            protected_until_ns: known.protected_until_ns(&row.session),
            outside_guarantee: days
                .get(&row.server.day)
                .is_some_and(|day| is_outside_guarantee(row.server.day_counted_bytes, day)),
        });
    }
    Ok(v1::SnapshotsReply { snapshots })
}
