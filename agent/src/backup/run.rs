//! One run, from the lock to the receipt.
//!
//! Order of what is durable: journal (session id and key) → session open → frames acknowledged → snapshot committed → receipt
//! kept → memory replaced → journal ended. Killed between any two, the next run goes on: with the same session, or with a tree
//! fetched again.
//! It reads no clock and draws no random bytes: [`Fresh`] and `started_at_ns` come from the caller.
//!
//! Invariant: the memory is replaced only after the receipt of its snapshot was checked and kept.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::id::{ChunkId, SessionId, SourceId};
use common::keys::{ScopeKeys, SessionKey};
use common::limits::{MISSING_ROUNDS_MAX, SESSION_EXPIRY_S};
use common::snapshot::SnapshotHead;
use common::stored::{Counts, Receipt, ServerPart, SnapshotKind, SnapshotState};
use proto::code::{ErrorCode, Failure};
use tokio::runtime::Handle;

use crate::backup::BackupError;
use crate::backup::carry::{Deferred, portions};
use crate::backup::commit::{Expected, parts, sealed_part, verify};
use crate::backup::desk::Laying;
use crate::backup::pipeline::{Laid, Pipeline};
use crate::backup::progress::{Progress, Step};
use crate::backup::seal::{SealOptions, SealingKeys};
use crate::durable;
use crate::remote::account::DayUse;
use crate::remote::backup::{CommitAnswer, CommitParts, MemoryWorth, OpenSession, Opened};
use crate::remote::retry::{Backoff, retry};
use crate::remote::transfer::FrameClass;
use crate::remote::{Remote, RemoteError};
use crate::source::disk::{DiskRules, Disks};
use crate::source::files::select;
use crate::source::journal::doubt::Doubt;
use crate::source::journal::{Ask, Journal, Mode, Success, WalkNote};
use crate::source::paths::PathTree;
use crate::source::{FileSet, SkippedItem};
use crate::state::identity::Identity;
use crate::state::journal::{self, OpenedSession, RunLock};
use crate::state::memory::{self, Memory, Remembered};
use crate::state::mounted::Mounted;
use crate::state::receipts::Receipts;

/// Random values of one run, drawn by the caller.
pub struct Fresh {
    /// The session, if none is resumed.
    pub session: SessionId,
    /// Its key.
    pub session_key: SessionKey,
    /// Where salts come from; fresh for each run, also of a resumed session.
    pub salt_seed: [u8; 32],
    /// For the jitter of retries.
    pub retry_seed: u64,
}

/// What is backed up, for whom, and how.
pub struct Request<'a> {
    /// Who this machine is.
    pub identity: &'a Identity,
    /// Folder of the source's state.
    pub folder: PathBuf,
    /// The source.
    pub source: SourceId,
    /// Version of its backup set.
    pub set_version: u64,
    /// Its backup set.
    pub set: FileSet,
    /// What reads the disk images in it, if it is a source of such.
    pub disks: Option<DiskRules>,
    /// The same as TOML, for the snapshot.
    pub settings: String,
    /// Name of this machine, for the snapshot.
    pub host: String,
    /// The clock.
    pub started_at_ns: i64,
    /// How frames are made.
    pub options: SealOptions,
    /// What this machine heard of changes, if it listens.
    pub journal: Option<&'a Journal>,
}

/// How complete a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Everything that the set selects is in it.
    Complete,
    /// Some items are missing and listed.
    Partial,
}

/// What a run did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The snapshot.
    pub snapshot: SessionId,
    /// Its place in the source's history.
    pub sequence: u64,
    /// Whether everything is in it.
    pub completeness: Completeness,
    /// What was seen and done.
    pub counts: Counts,
    /// Bytes of all files in the tree.
    pub plain_bytes: u64,
    /// What is not in it, accepted items among them.
    pub skipped: Vec<SkippedItem>,
    /// What the server recorded.
    pub server: ServerPart,
    /// Today's account.
    pub today: DayUse,
    /// Why the contract kept files out of the snapshot, if it did.
    pub refusal: Option<Failure>,
    /// Those files.
    pub deferred: Deferred,
    /// The receipt, checked.
    pub receipt: Receipt,
    /// Digest of the signed receipt; its first digits are what people compare.
    pub receipt_digest: [u8; 32],
    /// The server showed an older history than this agent has receipts for.
    pub rolled_back: bool,
    /// How long it took.
    pub duration: Duration,
    /// How it walked.
    pub walk: WalkNote,
}

impl Outcome {
    /// True if something is listed that a person should look at: skipped and not accepted, or fuzzy.
    pub fn has_remarks(&self) -> bool {
        self.completeness == Completeness::Partial || self.counts.files_fuzzy > 0
    }
}

/// Makes one snapshot. Called from a plain thread; `runtime` must run on threads of its own.
///
/// # Errors
/// Any [`BackupError`]: then there is no new snapshot.
pub fn run(
    runtime: &Handle,
    remote: &Remote,
    request: &Request<'_>,
    fresh: Fresh,
    progress: &Arc<Progress>,
) -> Result<Outcome, BackupError> {
    let begun = Instant::now();
    durable::create_folder(&request.folder, 0o700)?;
    let _lock = RunLock::take(&request.folder)?;
    progress.enter(Step::Opening);
    let keys = request.identity.scope_secret.keys();
    let disks =
        request.disks.clone().map_or_else(Disks::none, |rules| Disks::new(rules, &request.folder, &fresh.session));
    let run = Run { runtime, remote, request, disks: &disks, keys: &keys, progress, fresh: &fresh, begun };
    run.make_snapshot()
}

pub(super) struct Run<'a> {
    pub(super) runtime: &'a Handle,
    pub(super) remote: &'a Remote,
    pub(super) request: &'a Request<'a>,
    disks: &'a Disks,
    pub(super) keys: &'a ScopeKeys,
    pub(super) progress: &'a Arc<Progress>,
    pub(super) fresh: &'a Fresh,
    pub(super) begun: Instant,
}

/// An open session with what the server said to it.
struct Session {
    own: OpenedSession,
    open: OpenSession,
    opened: Opened,
}

/// A snapshot that the server says is committed.
struct Made<'m> {
    laid: Laid<'m>,
    head: SnapshotHead,
    parts: CommitParts,
    receipt: Bytes,
    server_part: Bytes,
    today: Box<DayUse>,
    refusal: Option<Failure>,
    rolled_back: bool,
    mounted: Mounted,
}

impl Run<'_> {
    fn make_snapshot(&self) -> Result<Outcome, BackupError> {
        let mut receipts = Receipts::open(&self.request.folder).map_err(BackupError::Io)?;
        let mut memory = self.remembered()?;
        let session = self.open(memory.as_ref().map(|memory| memory.remembered().snapshot))?;
        let found = &session.opened.country;
        if *found != self.request.identity.location {
            let wanted = self.request.identity.location.clone();
            return Err(BackupError::Location { found: found.clone(), wanted });
        }
        let rolled_back = self.keep_announced(&mut receipts, &session.opened)?;
        let (mut missing, mut is_own) = (HashSet::new(), true);
        match &session.opened.memory {
            MemoryWorth::Valid => {}
            MemoryWorth::ValidExcept(ids) => missing.extend(ids.iter().copied()),
            MemoryWorth::Invalid => (memory, is_own) = (self.fetch(&session.opened)?, false),
        }
        let (mut round, mut is_fetched, mut refusal, mut doubt) = (0, false, None, None);
        while round <= MISSING_ROUNDS_MAX + 1 {
            // After enough rounds nothing that is remembered is trusted: everything is read.
            let known = memory.as_ref().filter(|_| round <= MISSING_ROUNDS_MAX);
            let laying = if refusal.is_some() { Laying::Nothing } else { Laying::AsNeeded };
            let remembered = known.filter(|_| is_own).map(|memory| memory.remembered().snapshot);
            let repairs = !missing.is_empty() || laying == Laying::Nothing;
            let selected = self.select(remembered, if repairs { Some(Doubt::Repair) } else { doubt })?;
            let (folder, version) = (&self.request.folder, self.request.set_version);
            let mounted = Mounted::look(folder, version, &selected, self.request.set.one_file_system);
            let laid = match self.lay((&session, &selected, &mounted), known, (missing.clone(), laying)) {
                // A node that is damaged shows when it is read: the tree is fetched, once, and the pass begins again.
                Err(BackupError::Memory(error)) if memory.is_some() && !is_fetched => {
                    tracing::warn!(%error, "the memory of the last tree is not used");
                    memory::forget(&self.request.folder)?;
                    memory = self.fetch(&session.opened)?;
                    (is_fetched, is_own) = (true, false);
                    continue;
                }
                Err(BackupError::FurtherName) if doubt.is_none() => {
                    doubt = Some(Doubt::Names);
                    continue;
                }
                // What was accepted stays; a second pass makes a snapshot of it.
                Err(BackupError::Remote(RemoteError::Refused(failure)))
                    if failure.code == ErrorCode::QuotaExceeded && laying == Laying::AsNeeded =>
                {
                    tracing::info!("the contract leaves no room for more: what fits is committed");
                    refusal = Some(failure);
                    continue;
                }
                laid => laid?,
            };
            if self.progress.is_cancelled() {
                return Err(BackupError::Cancelled);
            }
            self.progress.enter(Step::Committing);
            let (head, parts) = self.parts(&session, known, &laid, round);
            match self.commit(&parts)? {
                CommitAnswer::Missing(ids) => {
                    tracing::warn!(count = ids.len(), round, "the server misses chunks, which are laid again");
                    missing.extend(ids);
                    round += 1;
                }
                CommitAnswer::Committed { receipt, server_part, today } => {
                    let refusal = refusal.filter(|_| laid.deferred.files > 0);
                    let made = Made { laid, head, parts, receipt, server_part, today, refusal, rolled_back, mounted };
                    return self.accept(&session, &mut receipts, made);
                }
            }
        }
        Err(BackupError::StillMissing(missing.len()))
    }

    /// Checks and keeps the receipt, then the memory of the new tree; in this order.
    fn accept(&self, session: &Session, receipts: &mut Receipts, made: Made<'_>) -> Result<Outcome, BackupError> {
        let Made { laid, head, parts, receipt, server_part, today, refusal, rolled_back, mounted } = made;
        let previous = Some(&session.opened.newest_receipt[..]).filter(|signed| !signed.is_empty());
        let expected = Expected {
            subscription: self.request.identity.subscription,
            source: self.request.source,
            signers: &self.request.identity.signers,
            parts: &parts,
            envelope: &session.own.envelope,
            previous,
        };
        let (checked, server) = expected.check(&receipt, &server_part)?;
        receipts.append(&receipt).map_err(BackupError::Io)?;
        let remembered = Remembered { snapshot: head.session, root: head.root, sequence: head.sequence };
        if let Err(error) = laid.recorder.finish(remembered, &self.keys.memory) {
            tracing::warn!(%error, "the tree is not remembered: the next run fetches it");
        }
        if let Err(error) = mounted.keep(&self.request.folder, self.request.set_version, &laid.skipped) {
            tracing::warn!(%error, "what was mounted is not remembered");
        }
        self.keep_pages(&laid.pages, laid.counts.files_deleted > 0);
        let success = Success { snapshot: head.session, now_s: self.now_s(), suspects: &laid.suspects };
        let walk = self.request.journal.map_or_else(WalkNote::default, |journal| journal.succeed(&success));
        journal::end(&self.request.folder)?;
        let is_complete = head.state == SnapshotState::Complete;
        Ok(Outcome {
            snapshot: head.session,
            sequence: head.sequence,
            completeness: if is_complete { Completeness::Complete } else { Completeness::Partial },
            counts: head.counts,
            plain_bytes: head.claimed_plain_bytes,
            skipped: laid.skipped,
            server,
            today: *today,
            refusal,
            deferred: laid.deferred,
            receipt: checked,
            receipt_digest: common::receipt::digest(&receipt),
            rolled_back,
            duration: self.begun.elapsed(),
            walk,
        })
    }

    /// Where the paths of the set lead; the journal is asked whether a pass from there may follow it.
    fn select(&self, remembered: Option<SessionId>, doubt: Option<Doubt>) -> Result<PathTree, BackupError> {
        let set = &self.request.set;
        let selected = select(set)?;
        if let Some(journal) = self.request.journal {
            let ask = Ask { set, selected: &selected, remembered, doubt, now_s: self.now_s() };
            match journal.begin(&ask) {
                Mode::Journal => tracing::info!("only directories in which something happened are listed"),
                Mode::Proof(doubt) | Mode::Full(doubt) => {
                    tracing::info!(reason = doubt.word(), "everything is walked");
                }
            }
        }
        Ok(selected)
    }

    fn now_s(&self) -> i64 {
        self.request.started_at_ns.div_euclid(1_000_000_000)
    }

    /// Opens the session that was left, if it can still go on, or a new one.
    fn open(&self, parent: Option<SessionId>) -> Result<Session, BackupError> {
        if let Some(own) = self.resumable()? {
            match self.open_own(own, parent) {
                Ok(session) if !session.opened.committed => return Ok(session),
                Ok(_) => {}
                Err(BackupError::Remote(error))
                    if matches!(
                        error.refusal(),
                        Some(ErrorCode::SessionUnknown | ErrorCode::SessionSuperseded | ErrorCode::NotFound)
                    ) => {}
                Err(error) => return Err(error),
            }
            journal::end(&self.request.folder)?;
        }
        let is_reseed = parent.is_none() && self.has_lost_its_state()?;
        let key = self.fresh.session_key.clone();
        let own = OpenedSession {
            session: self.fresh.session,
            envelope: common::envelope::seal(&key, &self.request.identity.recipients)?,
            key,
            set_version: self.request.set_version,
            started_at_ns: self.request.started_at_ns,
            is_reseed,
        };
        journal::keep(&self.request.folder, &own)?;
        self.open_own(own, parent)
    }

    fn resumable(&self) -> Result<Option<OpenedSession>, BackupError> {
        let kept = journal::kept(&self.request.folder)?;
        let now = self.request.started_at_ns;
        let is_fresh = |session: &OpenedSession| {
            session.set_version == self.request.set_version
                && (0..SESSION_EXPIRY_S.saturating_mul(1_000_000_000)).contains(&(now - session.started_at_ns))
        };
        Ok(kept.filter(is_fresh))
    }

    fn open_own(&self, own: OpenedSession, parent: Option<SessionId>) -> Result<Session, BackupError> {
        let open = OpenSession {
            session: own.session,
            source: self.request.source,
            set_version: own.set_version,
            kind: kind_of(&own),
            started_at_ns: own.started_at_ns,
            parent,
            envelope: own.envelope.clone().into(),
        };
        let call = async || self.remote.open_session(&open).await;
        let opened = self.runtime.block_on(retry(Backoff::new(self.fresh.retry_seed), call))?;
        Ok(Session { own, open, opened })
    }

    /// Keeps the newest receipt that the server announces; true if its history is older than ours.
    fn keep_announced(&self, receipts: &mut Receipts, opened: &Opened) -> Result<bool, BackupError> {
        let signers = &self.request.identity.signers;
        let ours = receipts.newest().map(|signed| verify(signed, signers)).transpose()?;
        if opened.newest_receipt.is_empty() {
            return Ok(ours.is_some());
        }
        let theirs = verify(&opened.newest_receipt, signers)?;
        if theirs.source != self.request.source.as_bytes() {
            return Err(BackupError::Receipt { what: "the newest one is for another source", source: None });
        }
        let is_fork = |ours: &Receipt| match theirs.sequence.checked_sub(ours.sequence) {
            None => true,
            Some(0) => receipts.newest() != Some(&opened.newest_receipt[..]),
            Some(1) => receipts.newest().is_some_and(|signed| theirs.previous != common::receipt::digest(signed)),
            Some(_) => false,
        };
        if ours.as_ref().is_some_and(is_fork) {
            tracing::error!("the server shows an older history than this agent has receipts for");
            return Ok(true);
        }
        receipts.append(&opened.newest_receipt).map_err(BackupError::Io)?;
        Ok(false)
    }

    fn lay<'m>(
        &self,
        (session, selected, mounted): (&Session, &PathTree, &Mounted),
        memory: Option<&'m Memory>,
        (missing, laying): (HashSet<ChunkId>, Laying),
    ) -> Result<Laid<'m>, BackupError>
    where
        Self: 'm,
    {
        self.progress.enter(Step::Reading);
        let sealing = SealingKeys {
            subscription: self.request.identity.subscription,
            session: session.own.session,
            session_key: session.own.key.clone(),
            tree_key: self.keys.tree.clone(),
            id_key: self.keys.id.clone(),
            salt_seed: self.fresh.salt_seed,
        };
        let pipeline = Pipeline {
            runtime: self.runtime,
            remote: self.remote,
            open: &session.open,
            set: &self.request.set,
            absent: mounted.absent(),
            disks: self.disks,
            selected,
            journal: self.request.journal,
            keys: self.keys,
            sealing,
            options: self.request.options,
            folder: &self.request.folder,
            started_at_ns: self.request.started_at_ns,
            retry_seed: self.fresh.retry_seed,
            progress: self.progress,
            laying,
            portions: portions(&session.opened.today),
            class_without_pages: if session.own.is_reseed { FrameClass::Reseed } else { FrameClass::Changed },
        };
        pipeline.run(memory, missing)
    }

    fn parts(
        &self,
        session: &Session,
        parent: Option<&Memory>,
        laid: &Laid<'_>,
        round: usize,
    ) -> (SnapshotHead, CommitParts) {
        let identity = self.request.identity;
        let is_partial = laid.skipped.iter().any(|item| !item.accepted);
        let mut counts = laid.counts;
        counts.duration_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let head = SnapshotHead {
            session: session.own.session,
            subscription: identity.subscription,
            scope: identity.scope,
            agent: identity.agent,
            source: self.request.source,
            set_version: session.own.set_version,
            kind: kind_of(&session.own),
            sequence: session.opened.sequence,
            root: laid.tree.root,
            parent: parent.map(|memory| memory.remembered().snapshot),
            started_at_ns: session.own.started_at_ns,
            state: if is_partial { SnapshotState::Partial } else { SnapshotState::Complete },
            counts,
            claimed_plain_bytes: laid.tree.bytes,
            replaces: None,
        };
        let sealed =
            sealed_part(self.request.settings.clone(), self.request.host.clone(), &laid.skipped, self.disks.evidence());
        let mut salt = [0; 16];
        let context = [b"snapshot".as_slice(), &round.to_le_bytes()].concat();
        salt.copy_from_slice(&blake3::keyed_hash(&self.fresh.salt_seed, &context).as_bytes()[..16]);
        let parts = parts(&head, &sealed, self.keys, &session.own.key, salt);
        (head, parts)
    }

    fn commit(&self, parts: &CommitParts) -> Result<CommitAnswer, BackupError> {
        let call = async || self.remote.commit(parts).await;
        Ok(self.runtime.block_on(retry(Backoff::new(self.fresh.retry_seed), call))?)
    }
}

fn kind_of(session: &OpenedSession) -> SnapshotKind {
    if session.is_reseed { SnapshotKind::Reseed } else { SnapshotKind::Regular }
}
