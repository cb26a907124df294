//! The commit: from a session's last frame to a receipt.
//!
//! ```text
//! durable point → closure walk (beside other sessions) → its trash brought back → packs of the closure published, whoever
//!   filled them → hold, if suspect
//!   → snapshot object durable
//!   → one transaction: snapshot, day ledger, uncommitted account, reach, session state, receipt → the receipt is given out
//! ```
//! A crash before the object leaves an open session, and the agent commits again. A crash after it leaves an object without a
//! row: everything that the transaction needs is in the object, so recovery runs the same transaction ([`crate::session::record`]) and
//! signs the same receipt (Ed25519 is deterministic), which the agent gets when it commits again.
//!
//! Invariant: I2, I3. Invariant: the same session gives the same receipt. Invariant: no two snapshots are received at the same
//! nanosecond, so time orders them.

use common::id::{ChunkId, SessionId};
use common::limits::{IDS_PER_MESSAGE_MAX, RECORD_BYTES_MAX, SNAPSHOT_SEALED_BYTES_MAX, SNAPSHOTS_PER_DAY_MAX};
use common::snapshot::{SnapshotHead, StoredSnapshot};
use common::stored::{ServerPart, SnapshotState};
use roaring::RoaringBitmap;

use crate::catalog::days::tally;
use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::catalog::ledger::Reach;
use crate::catalog::sessions::{SessionFacts, SessionState};
use crate::contract::ledger::{Baseline, node_allowance_bytes};
use crate::contract::terms::Terms;
use crate::session::budget::civil_day;
use crate::session::closure::{Closure, Walk, walk};
use crate::session::error::SessionError;
use crate::session::open::AgentPrincipal;
use crate::session::record::{SnapshotObjectBytes, add_first_reached, gone_bytes, reach_of, record_in_one};
use crate::session::subscription::Subscription;
use crate::session::suspicion::Candidate;
use crate::session::writer::Writer;
use crate::store::error::StoreError;
use crate::store::name::ObjectName;

/// Shortest sealed part: salt and tag, in bytes.
const SEALED_BYTES_MIN: usize = 32;
/// Times that a walk is repeated because something was found damaged meanwhile.
const WALKS_MAX: usize = 3;

/// What an agent hands in.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// The session.
    pub session: SessionId,
    /// What the server may read.
    pub agent_part: Vec<u8>,
    /// What it may not.
    pub sealed_part: Vec<u8>,
    /// Over both, by the scope's key.
    pub mac: [u8; 32],
}

/// What the agent gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitAnswer {
    /// The snapshot is durable.
    Committed {
        /// The signed receipt.
        receipt: Vec<u8>,
        /// What the server added to the snapshot.
        server_part: Vec<u8>,
    },
    /// These chunks are not there; nothing was committed.
    Missing(Vec<ChunkId>),
}

/// A snapshot that lacks nothing but its object and row.
struct CommitPlan {
    request: CommitRequest,
    head: SnapshotHead,
    closure: Closure,
    reach: Reach,
    gone_bytes: u64,
    now_ns: i64,
}

impl Subscription {
    /// Makes a session's snapshot.
    ///
    /// # Errors
    /// [`SessionError`]; the session stays open, and committing again is safe.
    pub fn commit(
        &self,
        who: AgentPrincipal,
        request: CommitRequest,
        now_ns: i64,
    ) -> Result<CommitAnswer, SessionError> {
        let known = self.read(|catalog| Ok(catalog.session(&request.session)?))?;
        let known = known.filter(|known| known.agent == who.agent).ok_or(SessionError::Unknown)?;
        match known.state {
            SessionState::Open => {}
            SessionState::Committed => return self.committed(&request.session),
            SessionState::Superseded => return Err(SessionError::Superseded),
            SessionState::Aborted | SessionState::Expired => return Err(SessionError::Unknown),
        }
        let head = self.check_head(&known, &request)?;
        self.writer().run(move |writer| writer.make_durable(now_ns))?;
        for _ in 0..WALKS_MAX {
            let found = self.read(|catalog| catalog.at_once(|catalog| find_closure(catalog, &known, &head)))?;
            let (closure, reach, gone_bytes) = match found {
                Ok(found) => found,
                Err(missing) => return Ok(CommitAnswer::Missing(missing)),
            };
            let plan = CommitPlan { request: request.clone(), head: head.clone(), closure, reach, gone_bytes, now_ns };
            if self.writer().run(move |writer| writer.commit(&plan))? {
                return self.committed(&request.session);
            }
        }
        Err(SessionError::Limit { limit: "closure_walks", max: WALKS_MAX as u64 })
    }

    /// The answer to a session that made its snapshot.
    fn committed(&self, session: &SessionId) -> Result<CommitAnswer, SessionError> {
        let row = self.read(|catalog| Ok(catalog.snapshot(session)?))?;
        let row = row.ok_or(SessionError::Unknown)?;
        let name = ObjectName::Snapshot(*session);
        let bytes = self.shared().objects.read(&self.shared().subscription, &name, StoredSnapshot::BYTES_MAX)?;
        let object = StoredSnapshot::decode(&bytes).map_err(|_| SessionError::Damaged(name.to_string()))?;
        self.shared().objects.health().activity().receipts.inc();
        Ok(CommitAnswer::Committed { receipt: row.receipt, server_part: object.object.server_part })
    }

    fn check_head(&self, known: &SessionFacts, request: &CommitRequest) -> Result<SnapshotHead, SessionError> {
        let sealed_bytes = request.sealed_part.len();
        if !(SEALED_BYTES_MIN..=SNAPSHOT_SEALED_BYTES_MAX).contains(&sealed_bytes) {
            return Err(SessionError::invalid("sealed_part", "is too short or too long"));
        }
        if request.agent_part.len() > RECORD_BYTES_MAX {
            return Err(SessionError::invalid("agent_part", "is too long"));
        }
        let head =
            SnapshotHead::decode(&request.agent_part).map_err(|error| SessionError::record("agent_part", &error))?;
        for (field, fits) in [
            ("session", head.session == known.id),
            ("subscription", head.subscription == self.shared().subscription),
            ("scope", head.scope == known.scope_id),
            ("agent", head.agent == known.agent),
            ("source", head.source == known.source),
            ("set_version", head.set_version == known.set_version),
            ("kind", head.kind == known.kind),
        ] {
            if !fits {
                return Err(SessionError::invalid(field, "is not the one of the session"));
            }
        }
        let parent = head.parent.map(|parent| self.read(|catalog| Ok(catalog.snapshot(&parent)?))).transpose()?;
        if parent.is_some_and(|parent| parent.is_none_or(|parent| parent.source != head.source)) {
            return Err(SessionError::invalid("parent", "is no snapshot of the source"));
        }
        Ok(head)
    }
}

/// A closure with its reach, and the plain bytes that the previous snapshot reached beyond it.
type Found = Result<(Closure, Reach, u64), Vec<ChunkId>>;

fn find_closure(catalog: &Catalog, known: &SessionFacts, head: &SnapshotHead) -> Result<Found, SessionError> {
    match walk(catalog, known.scope, &head.root, IDS_PER_MESSAGE_MAX)? {
        Walk::Missing(mut missing) => {
            missing.truncate(IDS_PER_MESSAGE_MAX);
            Ok(Err(missing))
        }
        Walk::Whole(closure) => {
            let reach = reach_of(catalog, &head.source, &closure.chunks)?;
            let gone_bytes = gone_bytes(catalog, &head.source, &closure.chunks)?;
            Ok(Ok((closure, reach, gone_bytes)))
        }
    }
}

impl Writer {
    /// The last steps. False if something was found damaged since the walk, which must then be repeated.
    fn commit(&mut self, plan: &CommitPlan) -> Result<bool, SessionError> {
        let session = &plan.request.session;
        let known = self.catalog.session(session)?.ok_or(SessionError::Unknown)?;
        match known.state {
            SessionState::Open => {}
            SessionState::Committed => return Ok(true),
            SessionState::Superseded => return Err(SessionError::Superseded),
            SessionState::Aborted | SessionState::Expired => return Err(SessionError::Unknown),
        }
        if self.catalog.closure_epoch()? != plan.closure.epoch {
            return Ok(false);
        }
        // The walk's view is some time ago: what was in trash then may have gone.
        if !self.catalog.has_rows(&plan.closure.trashed)? {
            return Ok(false);
        }
        self.keep(&plan.closure)?;
        let newest = self.catalog.newest_snapshot(&plan.head.source)?;
        if plan.head.sequence != newest.map_or(0, |newest| newest.sequence) + 1 {
            return Err(SessionError::invalid("sequence", "is not the next one of the source"));
        }
        let terms = self.shared.terms()?;
        let first_reached = self.catalog.uncommitted_rows()? & &plan.closure.chunks;
        let first = FirstReached { known: &known, terms: &terms, chunks: &first_reached };
        self.admit_commit(plan, &first)?;
        self.publish_packs_of(&plan.closure.chunks, plan.now_ns)?;
        let object = self.publish_object(plan, &first)?;
        let recorded = record_in_one(&self.catalog, &self.shared.key, &object, (&plan.closure, &plan.reach));
        recorded.map_err(|error| self.catalog_failed(error))?;
        let activity = self.shared.objects.health().activity();
        activity.commits.inc();
        activity.stored_bytes.inc_by(object.snapshot.server.stored_bytes);
        self.forget_live(session, known.row, SessionState::Committed);
        // What the session staged after its closure was found is garbage, but acknowledged garbage: it is published too.
        self.make_durable(plan.now_ns)?;
        self.publish_retired()?;
        self.shared.intake.lock().refresh_account()?;
        Ok(true)
    }

    /// Takes a closure out of the trash before its packs are looked for: a trashed chunk that another session sends again would
    /// move to that one's staging file meanwhile.
    fn keep(&mut self, closure: &Closure) -> Result<(), SessionError> {
        if let Some(referred) = &mut self.referred {
            referred.insert(closure.root);
        }
        if closure.trashed.is_empty() {
            return Ok(());
        }
        let brought = self.catalog.atomically(|catalog| catalog.bring_back(&closure.chunks));
        brought.map(|_| ()).map_err(|error| self.catalog_failed(error))
    }

    /// Publishes every staging pack that holds one of these chunks, also those of other sessions: what was damaged or in trash
    /// and was sent again lies in the staging file of whoever sent it, although an earlier snapshot reached it.
    fn publish_packs_of(&mut self, closure: &RoaringBitmap, now_ns: i64) -> Result<(), SessionError> {
        let mut staging = RoaringBitmap::new();
        for pack in self.catalog.staging_packs()? {
            if self.catalog.chunks_of_pack(pack.row)?.iter().any(|(row, _)| closure.contains(*row)) {
                staging.insert(pack.row);
            }
        }
        self.shared.intake.lock().retire_packs(&staging);
        self.make_durable(now_ns)?;
        self.publish_retired()?;
        if self.catalog.staging_packs()?.iter().any(|pack| staging.contains(pack.row)) {
            return Err(CatalogError::Inconsistent("a pack of the closure is not published").into());
        }
        Ok(())
    }

    /// The limits of a day that only a commit can exceed: bytes sent before the baseline that are change after it, and the number
    /// of snapshots.
    fn admit_commit(&self, plan: &CommitPlan, first: &FirstReached<'_>) -> Result<(), SessionError> {
        let (source, contact) = (&plan.head.source, &first.terms.contact);
        let mut intake = self.shared.intake.lock();
        let budget = intake.budget(plan.now_ns)?;
        let known = budget.ledger.source(source);
        if known.is_some_and(|known| known.snapshots >= SNAPSHOTS_PER_DAY_MAX) {
            return Err(SessionError::Limit { limit: "snapshots_per_day", max: u64::from(SNAPSHOTS_PER_DAY_MAX) });
        }
        if known.is_none_or(|known| known.baseline.is_none()) || budget.uncommitted.initial_bytes == 0 {
            return Ok(());
        }
        let mut bytes = 0;
        for row in self.catalog.initial_rows()? & first.chunks {
            bytes += u64::from(self.catalog.chunk_of_row(row)?.plain_bytes);
        }
        let turned = budget.turn_into_change(bytes, first.terms, source);
        turned.map_err(|exceeded| SessionError::quota(exceeded, contact.clone()))
    }

    fn publish_object(&self, plan: &CommitPlan, first: &FirstReached<'_>) -> Result<SnapshotObjectBytes, SessionError> {
        let server = server_part(&self.catalog, plan, first, &self.shared.country)?;
        let first_reached = first.chunks;
        self.judge(&Candidate { head: &plan.head, server: &server, first_reached, gone_bytes: plan.gone_bytes })?;
        let CommitRequest { agent_part, sealed_part, mac, session } = &plan.request;
        let (agent_part, sealed_part) = (agent_part.clone(), sealed_part.clone());
        let bytes = StoredSnapshot::encode(agent_part, sealed_part, *mac, &server, first.known.envelope.clone());
        let name = ObjectName::Snapshot(*session);
        match self.shared.objects.publish(&self.shared.subscription, &name, &bytes) {
            Ok(()) => SnapshotObjectBytes::decode(&bytes),
            // An earlier attempt got this far and not further: what is durable is what counts.
            Err(StoreError::AlreadyExists(_)) => {
                let objects = &self.shared.objects;
                let stored = objects.read(&self.shared.subscription, &name, StoredSnapshot::BYTES_MAX)?;
                let stored = SnapshotObjectBytes::decode(&stored)?;
                let same = stored.snapshot.object.agent_part == plan.request.agent_part
                    && stored.snapshot.object.sealed_part == plan.request.sealed_part;
                if same {
                    Ok(stored)
                } else {
                    Err(SessionError::invalid("agent_part", "differs from an earlier commit"))
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What a commit adds to what is reached, and under which terms.
struct FirstReached<'a> {
    known: &'a SessionFacts,
    terms: &'a Terms,
    chunks: &'a RoaringBitmap,
}

fn server_part(
    catalog: &Catalog,
    plan: &CommitPlan,
    added: &FirstReached<'_>,
    country: &str,
) -> Result<ServerPart, CatalogError> {
    let source = &plan.head.source;
    let received_at_ns = plan.now_ns.max(catalog.received_at_ns()? + 1);
    let day = civil_day(received_at_ns);
    let before_baseline = !catalog.has_baseline(source)?;
    let first = before_baseline && plan.head.state == SnapshotState::Complete;
    let mut part = ServerPart {
        version: 1,
        received_at_ns,
        day: day.to_string(),
        sent_bytes: added.known.sent_bytes,
        reachable_bytes: plan.reach.plain_bytes,
        location: country.to_owned(),
        first,
        ..ServerPart::default()
    };
    let initial = if before_baseline { catalog.initial_rows()? } else { RoaringBitmap::new() };
    add_first_reached(catalog, added.chunks, |chunk| initial.contains(chunk.row), &mut part)?;
    let mut ledger = catalog.ledger(day)?;
    if first {
        ledger.set_baseline(source, Baseline { bytes: part.reachable_bytes, day, received_at_ns });
    }
    let today = ledger.today.plus(tally(&part));
    part.day_counted_bytes = today.counted_bytes(node_allowance_bytes(added.terms.contracted_bytes));
    part.day_allowed_bytes = ledger.allowed_bytes(added.terms, Some(source));
    Ok(part)
}
