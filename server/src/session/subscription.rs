//! An open subscription: its catalog, its staging files, its sessions, its writer.
//!
//! Every method blocks. What several threads see is in [`Shared`]; what only the writer sees is in [`Writer`].
//!
//! Invariant: one process holds a subscription at a time (a lock on a file beside its catalog).

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::signature::Ed25519KeyPair;
use common::id::{ChunkId, ScopeId, SessionId, SubscriptionId};
use common::limits::STREAMS_PER_SUBSCRIPTION_MAX;
use jiff::civil::Date;
use parking_lot::Mutex;
use roaring::RoaringBitmap;

use crate::catalog::chunks::ChunkState;
use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::contract::admission::{LimitKind, Refusal};
use crate::contract::hold::Thresholds;
use crate::contract::quota::Rate;
use crate::contract::terms::Terms;
use crate::session::budget::Budget;
use crate::session::check::{CheckedFrame, ReceivedFrame, check_frame};
use crate::session::error::SessionError;
use crate::session::intake::{Intake, IntakeError};
use crate::session::live::LiveSession;
use crate::session::open::AgentPrincipal;
use crate::session::writer::{Writer, WriterThread};
use crate::store::objects::Objects;

/// Reading connections that are kept for the next reader.
const IDLE_READERS_MAX: usize = 4;

/// Asks for the terms of a subscription; `None` if there is no such.
pub type TermsLookup = Arc<dyn Fn(&SubscriptionId) -> Result<Option<Terms>, SessionError> + Send + Sync>;

/// A batch that was refused for the daily change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayRefusal {
    /// The civil day that it counts for.
    pub day: Date,
    /// When, in nanoseconds since 1970.
    pub at_ns: i64,
    /// What the day would have counted with it, in bytes.
    pub wanted_bytes: u64,
    /// What the day allowed.
    pub allowed_bytes: u64,
}

/// Remembers that a subscription's daily change was refused.
pub type RefusalNote = Arc<dyn Fn(&SubscriptionId, DayRefusal) -> Result<(), SessionError> + Send + Sync>;

/// What all threads of a subscription see.
pub struct Shared {
    /// Which one.
    pub subscription: SubscriptionId,
    /// Where its objects are.
    pub objects: Objects,
    /// Where its staging files are.
    pub staging: PathBuf,
    /// Its catalog's file.
    pub catalog_file: PathBuf,
    /// Signs receipts.
    pub key: Arc<Ed25519KeyPair>,
    /// The declared country of the store.
    pub country: String,
    /// When a snapshot is suspect.
    pub thresholds: Thresholds,
    /// Where frames come in.
    pub intake: Mutex<Intake>,
    /// The sessions that take frames.
    pub live: Mutex<HashMap<SessionId, Arc<LiveSession>>>,
    /// Held by whoever removes a snapshot, from asking whether it may go until it is gone, and by whoever protects one.
    pub removal: Mutex<()>,
    lookup: TermsLookup,
    note: RefusalNote,
    refused: Mutex<Option<DayRefusal>>,
    terms: Mutex<Option<Arc<Terms>>>,
    streams: AtomicUsize,
}

/// What [`Shared`] is made from.
pub struct SharedParts {
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// Where its objects are.
    pub objects: Objects,
    /// Where its staging files are.
    pub staging: PathBuf,
    /// Its catalog's file.
    pub catalog_file: PathBuf,
    /// Signs receipts.
    pub key: Arc<Ed25519KeyPair>,
    /// The declared country of the store.
    pub country: String,
    /// When a snapshot is suspect.
    pub thresholds: Thresholds,
    /// The contract.
    pub terms: TermsLookup,
    /// Where refusals are remembered.
    pub note: RefusalNote,
}

impl Shared {
    /// A subscription without sessions.
    pub fn new(parts: SharedParts, intake: Intake) -> Self {
        let SharedParts { subscription, objects, staging, catalog_file, key, country, thresholds, terms: lookup, note } =
            parts;
        let (intake, live, terms, streams) =
            (Mutex::new(intake), Mutex::default(), Mutex::default(), AtomicUsize::new(0));
        Self {
            subscription,
            objects,
            staging,
            catalog_file,
            key,
            country,
            thresholds,
            intake,
            live,
            removal: Mutex::default(),
            lookup,
            note,
            refused: Mutex::default(),
            terms,
            streams,
        }
    }

    /// Remembers the terms as they are now, for the batches to come.
    pub fn set_terms(&self, terms: &Terms) {
        *self.terms.lock() = Some(Arc::new(terms.clone()));
    }

    /// The terms that batches are held to: those of the last session opened, or of the contract after a restart.
    ///
    /// # Errors
    /// [`SessionError::NoSubscription`] without any.
    pub fn terms(&self) -> Result<Arc<Terms>, SessionError> {
        let known = self.terms.lock().clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let terms = (self.lookup)(&self.subscription)?.ok_or(SessionError::NoSubscription)?;
        let terms = Arc::new(terms);
        *self.terms.lock() = Some(Arc::clone(&terms));
        Ok(terms)
    }

    /// Has a refusal of the daily change remembered, if it is the day's first or asks for more than those before.
    fn note_refusal(&self, exceeded: &Refusal, at_ns: i64) {
        if exceeded.limit != LimitKind::DailyChange {
            return;
        }
        let Refusal { since: day, wanted: wanted_bytes, allowed: allowed_bytes, .. } = *exceeded;
        let refusal = DayRefusal { day, at_ns, wanted_bytes, allowed_bytes };
        let mut refused = self.refused.lock();
        if refused.is_some_and(|known| known.day == day && known.wanted_bytes >= wanted_bytes) {
            return;
        }
        match (self.note)(&self.subscription, refusal) {
            Ok(()) => *refused = Some(refusal),
            // The agent is told all the same; the next refusal tries again.
            Err(error) => tracing::error!(%error, subscription = %self.subscription, "remember a refusal"),
        }
    }

    /// What a day may change, by the terms that were last heard of.
    pub fn rate(&self) -> Option<Rate> {
        self.terms.lock().as_ref().map(|terms| terms.rate())
    }
}

/// An open subscription.
pub struct Subscription {
    shared: Arc<Shared>,
    writer: WriterThread,
    readers: Mutex<Vec<Catalog>>,
    /// Held as long as the subscription is open; dropped last.
    _lock: File,
}

/// A stream of frames; gives its place back when dropped.
pub struct StreamPlace(Arc<Shared>);

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Subscription {
    /// Starts the writer of a recovered subscription. `lock` is held until the subscription is dropped.
    ///
    /// # Errors
    /// [`SessionError::Closing`] if no thread can be started.
    pub fn start(writer: Writer, lock: File) -> Result<Self, SessionError> {
        let shared = Arc::clone(&writer.shared);
        Ok(Self { shared, writer: WriterThread::start(writer)?, readers: Mutex::default(), _lock: lock })
    }

    /// What all threads see.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The thread that writes.
    pub fn writer(&self) -> &WriterThread {
        &self.writer
    }

    /// Reads the catalog beside the writer.
    ///
    /// # Errors
    /// That of `read`, or [`SessionError::Catalog`].
    pub fn read<T>(&self, read: impl FnOnce(&Catalog) -> Result<T, SessionError>) -> Result<T, SessionError> {
        let idle = self.readers.lock().pop();
        let reader = idle.map_or_else(|| Catalog::open_reader(&self.shared.catalog_file), Ok)?;
        let result = read(&reader)?;
        let mut readers = self.readers.lock();
        if readers.len() < IDLE_READERS_MAX {
            readers.push(reader);
        }
        Ok(result)
    }

    /// The session of an agent, while it takes frames.
    ///
    /// # Errors
    /// [`SessionError::Superseded`], or [`SessionError::Unknown`] for one that ended, never was, or is another agent's.
    pub fn live(&self, who: AgentPrincipal, session: &SessionId) -> Result<Arc<LiveSession>, SessionError> {
        let live = self.shared.live.lock().get(session).cloned();
        if let Some(live) = live.filter(|live| live.facts.agent == who.agent && live.facts.scope_id == who.scope) {
            return Ok(live);
        }
        let known = self.read(|catalog| Ok(catalog.session(session)?))?;
        match known.filter(|known| known.agent == who.agent).map(|known| known.state) {
            Some(crate::catalog::sessions::SessionState::Superseded) => Err(SessionError::Superseded),
            _ => Err(SessionError::Unknown),
        }
    }

    /// Takes a place among the subscription's streams.
    ///
    /// # Errors
    /// [`SessionError::Limit`].
    pub fn enter_stream(&self) -> Result<StreamPlace, SessionError> {
        let place = StreamPlace(Arc::clone(&self.shared));
        if self.shared.streams.fetch_add(1, Ordering::AcqRel) < STREAMS_PER_SUBSCRIPTION_MAX {
            Ok(place)
        } else {
            let max = STREAMS_PER_SUBSCRIPTION_MAX as u64;
            Err(SessionError::Limit { limit: "streams_per_subscription", max })
        }
    }

    /// Takes a batch of frames; how many bytes it was. They are not durable yet.
    ///
    /// # Errors
    /// [`SessionError`]; a refused batch is refused whole.
    pub fn put(&self, session: &LiveSession, frames: Vec<ReceivedFrame>, now_ns: i64) -> Result<u64, SessionError> {
        session.check_open()?;
        self.shared.objects.health().check()?;
        let checked = frames.into_iter().map(|frame| check_frame(&session.facts, frame));
        let checked = checked.collect::<Result<Vec<CheckedFrame>, _>>()?;
        let terms = self.shared.terms()?;
        let at_work = self.shared.live.lock().values().map(|live| live.facts.source).collect();
        let mut intake = self.shared.intake.lock();
        // A session ends before its packs are retired under this lock: none is opened for it afterwards.
        session.check_open()?;
        match intake.put(&session.facts, &checked, (&terms, &at_work), now_ns) {
            Ok(()) => {
                let bytes = checked.iter().map(|frame| u64::from(frame.entry.frame_bytes)).sum();
                self.shared.objects.health().activity().received_bytes.inc_by(bytes);
                Ok(bytes)
            }
            Err(IntakeError::Exceeded(exceeded)) => {
                drop(intake);
                self.shared.note_refusal(&exceeded, now_ns);
                Err(SessionError::quota(exceeded, terms.contact.clone()))
            }
            Err(IntakeError::Store(error)) => Err(error.into()),
            Err(IntakeError::Catalog(error)) => Err(error.into()),
        }
    }

    /// Asks for a durable point; `done` is called from the writer's thread and must not block.
    ///
    /// # Errors
    /// [`SessionError::Closing`].
    pub fn flush(
        &self,
        now_ns: i64,
        done: impl FnOnce(Result<(), SessionError>) + Send + 'static,
    ) -> Result<(), SessionError> {
        let mut answer = Answer(Some(done));
        self.writer.submit(move |writer| {
            answer.give(writer.make_durable(now_ns));
            if let Err(error) = writer.publish_retired() {
                tracing::error!(%error, subscription = %writer.shared.subscription, "publish packs");
            }
        })
    }

    /// For each id, whether it is stored and may be referred to.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn have(&self, scope: &ScopeId, ids: &[ChunkId]) -> Result<Vec<bool>, SessionError> {
        let (have, trashed) = self.read(|catalog| Ok(catalog.at_once(|catalog| have(catalog, scope, ids))?))?;
        if trashed.is_empty() {
            return Ok(have);
        }
        // The answer may only be given once what it says is out of the trash.
        let (scope, ids) = (*scope, ids.to_vec());
        self.writer.run(move |writer| {
            let brought = writer.catalog.atomically(|catalog| {
                let (have, trashed) = self::have(catalog, &scope, &ids)?;
                catalog.bring_back_reached(&trashed)?;
                Ok((have, trashed))
            });
            let (have, trashed) = brought.map_err(|error| writer.catalog_failed(error))?;
            if let Some(referred) = &mut writer.referred {
                *referred |= trashed;
            }
            Ok(have)
        })
    }

    /// Makes everything durable that was staged, and waits for it.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn flush_and_wait(&self, now_ns: i64) -> Result<(), SessionError> {
        self.writer.run(move |writer| writer.make_durable(now_ns))
    }

    /// What is used of the contract, on the civil day of the last batch or commit.
    pub fn account(&self) -> Budget {
        self.shared.intake.lock().account().clone()
    }
}

/// For each id, whether it may be referred to, and the rows of those that are in trash.
fn have(catalog: &Catalog, scope: &ScopeId, ids: &[ChunkId]) -> Result<(Vec<bool>, RoaringBitmap), CatalogError> {
    let mut trashed = RoaringBitmap::new();
    let Some(scope) = catalog.find_scope(scope)? else { return Ok((vec![false; ids.len()], trashed)) };
    let (epoch, has_trash) = (catalog.closure_epoch()?, catalog.has_trash()?);
    let mut have = Vec::with_capacity(ids.len());
    for id in ids {
        let known = catalog.chunk(scope, id)?.filter(|known| known.state == ChunkState::Present);
        let usable = known.map(|known| catalog.is_usable(&known, epoch)).transpose()?.unwrap_or(false);
        if let Some(known) = known.filter(|_| usable && has_trash)
            && catalog.is_trashed(known.row)?
        {
            trashed.insert(known.row);
        }
        have.push(usable);
    }
    Ok((have, trashed))
}

/// Gives its result once, also if the writer ends before the job is done.
struct Answer<F: FnOnce(Result<(), SessionError>)>(Option<F>);

impl<F: FnOnce(Result<(), SessionError>)> Answer<F> {
    fn give(&mut self, result: Result<(), SessionError>) {
        if let Some(done) = self.0.take() {
            done(result);
        }
    }
}

impl<F: FnOnce(Result<(), SessionError>)> Drop for Answer<F> {
    fn drop(&mut self) {
        self.give(Err(SessionError::Closing));
    }
}
