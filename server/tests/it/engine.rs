//! What the tests of the storage engine share: a server's folder, an agent that makes frames, a clock that stands still.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use aws_lc_rs::signature::Ed25519KeyPair;
use bytes::Bytes;
use common::frame::{Chunk, Sealer, checksum};
use common::id::{AgentId, ChunkId, ScopeId, SessionId, SourceId, SubscriptionId};
use common::keys::{ChunkKind, ScopeKeys, SessionKey, WritingSecret};
use common::pack::FrameClass;
use common::snapshot::{SnapshotHead, seal_part};
use common::stored::{Counts, SealedPart, SnapshotKind, SnapshotState};
use server::clock::{Clock, Random};
use server::contract::hold::Thresholds;
use server::contract::location::Location;
use server::contract::quota::Policy;
use server::contract::retention::History;
use server::contract::terms::{Terms, TermsSource};
use server::session::check::ReceivedFrame;
use server::session::commit::{CommitAnswer, CommitRequest};
use server::session::error::SessionError;
use server::session::open::{AgentPrincipal, OpenRequest, Opened};
use server::session::subscription::Subscription;
use server::store::objects::Objects;
use server::subscriptions::{KnownSource, Settings, Subscriptions};
use tempfile::TempDir;

pub const SUBSCRIPTION: SubscriptionId = SubscriptionId::new([1; 16]);
pub const SOURCE: SourceId = SourceId::new([5; 16]);
pub const OTHER_SOURCE: SourceId = SourceId::new([6; 16]);
/// 2026-11-22 12:00 in Paris.
pub const NOON_NS: i64 = 1_795_345_200_000_000_000;
pub const DAY_NS: i64 = 86_400_000_000_000;

/// A source that the first agent reads.
fn known(source: SourceId) -> KnownSource {
    KnownSource {
        source,
        name: "fichiers".into(),
        kind: proto::v1::SourceKind::Files,
        agent: Some(AgentId::new([1; 16])),
        scope: Some(ScopeId::new([1; 16])),
        host: "machine".into(),
        due_from: None,
    }
}

/// The settings of a server in `root` with this hard volume.
pub fn settings(root: &Path, hard_volume_bytes: u64) -> Settings {
    let terms = move |subscription: &SubscriptionId| {
        let source = |source| TermsSource { source, name: "fichiers".into() };
        Ok(Some(Terms {
            subscription: *subscription,
            contracted_bytes: hard_volume_bytes / 11 * 10,
            hard_volume_bytes,
            per_mille: 2,
            min_daily_allowance_bytes: 0,
            policy: Policy::Flag,
            history: History { days: 90, thinning: Vec::new() },
            period_h: 24,
            tolerance_h: 2,
            sources: vec![source(SOURCE), source(OTHER_SOURCE)],
            suspensions: Vec::new(),
            maintenance: Vec::new(),
            ended_at: None,
            contact: "01 02 03 04 05".into(),
        }))
    };
    static SALT: AtomicU64 = AtomicU64::new(1);
    let fill = |bytes: &mut [u8]| {
        let number = SALT.fetch_add(1, Ordering::Relaxed);
        blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(bytes);
    };
    Settings {
        catalogs: root.join("catalogs"),
        staging: root.join("staging"),
        location: Location { site: "Lyon".into(), country: "FR".into(), owner: "provider".into() },
        key: Arc::new(Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap()),
        terms: Arc::new(terms),
        sources: Arc::new(|_| Ok(vec![known(SOURCE)])),
        refusals: Arc::new(|_, _| Ok(())),
        hold: Thresholds::default(),
        clock: Clock::new(|| jiff::Timestamp::from_nanosecond(NOON_NS.into()).unwrap()),
        random: Random::new(fill),
    }
}

/// A server in `root` without a bound on the volume that matters.
pub fn server(root: &Path) -> Subscriptions {
    server_with(root, 1 << 40)
}

/// A server in `root` with this hard volume.
pub fn server_with(root: &Path, hard_volume_bytes: u64) -> Subscriptions {
    let objects = Objects::open(&root.join("store"), 0).unwrap();
    Subscriptions::new(settings(root, hard_volume_bytes), objects).unwrap()
}

/// A server in `root` with this hard volume, under changed terms.
pub fn server_under(
    root: &Path,
    hard_volume_bytes: u64,
    change: impl Fn(&mut Terms) + Send + Sync + 'static,
) -> Subscriptions {
    let mut settings = settings(root, hard_volume_bytes);
    let terms = Arc::clone(&settings.terms);
    settings.terms = Arc::new(move |subscription| {
        let mut terms = terms(subscription)?;
        terms.iter_mut().for_each(&change);
        Ok(terms)
    });
    let objects = Objects::open(&root.join("store"), 0).unwrap();
    Subscriptions::new(settings, objects).unwrap()
}

/// An agent with its keys, in one session.
pub struct Agent {
    pub who: AgentPrincipal,
    pub session: SessionId,
    pub source: SourceId,
    pub parent: Option<SessionId>,
    pub kind: SnapshotKind,
    pub keys: ScopeKeys,
    sealer: Sealer,
    salt: u64,
    now_ns: AtomicI64,
}

/// A frame with the id of its chunk.
pub struct Made {
    pub id: ChunkId,
    pub frame: ReceivedFrame,
}

impl Agent {
    /// Agent number `number`, with a scope of the same number, in the session of this number.
    pub fn new(number: u8, session: u8) -> Self {
        Self::in_session(number, SessionId::new([session; 16]))
    }

    /// Agent number `number` in any session.
    pub fn in_session(number: u8, session: SessionId) -> Self {
        let scope = ScopeId::new([number; 16]);
        let keys = WritingSecret::new([9; 32]).scope_secret(&scope).keys();
        let session_key = SessionKey::new([session.as_bytes()[0]; 32]);
        let sealer = Sealer::new(SUBSCRIPTION, session, session_key, keys.tree.clone(), 1).unwrap();
        let who = AgentPrincipal { agent: AgentId::new([number; 16]), scope };
        let (source, parent, kind) = (SOURCE, None, SnapshotKind::Regular);
        Self { who, session, source, parent, kind, keys, sealer, salt: 0, now_ns: AtomicI64::new(NOON_NS) }
    }

    pub fn of(mut self, source: SourceId) -> Self {
        self.source = source;
        self
    }

    pub fn after(mut self, parent: &Agent) -> Self {
        self.parent = Some(parent.session);
        self.now_ns = AtomicI64::new(parent.now_ns.load(Ordering::Relaxed) + DAY_NS);
        self
    }

    /// Puts the clock at a moment.
    pub fn at(self, now_ns: i64) -> Self {
        self.now_ns.store(now_ns, Ordering::Relaxed);
        self
    }

    /// Moves the clock of an agent that others see.
    pub fn at_now(&self, now_ns: i64) {
        self.now_ns.store(now_ns, Ordering::Relaxed);
    }

    pub fn now_ns(&self) -> i64 {
        self.now_ns.fetch_add(1_000, Ordering::Relaxed)
    }

    pub fn open_request(&self) -> OpenRequest {
        OpenRequest {
            session: self.session,
            source: self.source,
            set_version: 1,
            kind: self.kind,
            parent: self.parent,
            envelope: vec![self.session.as_bytes()[0]; 100],
            protocol: 1,
        }
    }

    pub fn open(&self, server: &Subscriptions) -> Result<(Arc<Subscription>, Opened), SessionError> {
        let open = server.get(&SUBSCRIPTION)?;
        let terms = server.terms(&SUBSCRIPTION)?;
        let opened = open.open_session(self.who, self.open_request(), &terms, self.now_ns())?;
        Ok((open, opened))
    }

    pub fn data(&mut self, plaintext: &[u8]) -> Made {
        self.made(ChunkKind::Data, &[], plaintext)
    }

    pub fn leaf(&mut self, children: &[&Made], plaintext: &[u8]) -> Made {
        let children: Vec<ChunkId> = children.iter().map(|made| made.id).collect();
        self.made(ChunkKind::Leaf, &children, plaintext)
    }

    pub fn made(&mut self, kind: ChunkKind, children: &[ChunkId], plaintext: &[u8]) -> Made {
        let id = self.keys.id.chunk_id(kind, children, plaintext);
        self.salt += 1;
        let mut salt = [0; 16];
        salt[..8].copy_from_slice(&self.salt.to_le_bytes());
        let mut frame = Vec::new();
        self.sealer.seal(&Chunk { kind, id, children, plaintext }, salt, false, &mut frame);
        Made { id, frame: received(frame) }
    }

    pub fn put(&self, open: &Subscription, made: &[&Made]) -> Result<u64, SessionError> {
        let live = open.live(self.who, &self.session)?;
        open.put(&live, made.iter().map(|made| made.frame.clone()).collect(), self.now_ns())
    }

    pub fn head(&self, opened: &Opened, root: ChunkId) -> SnapshotHead {
        SnapshotHead { sequence: opened.sequence, ..self.head_at(root) }
    }

    /// The head of a first snapshot.
    pub fn head_at(&self, root: ChunkId) -> SnapshotHead {
        SnapshotHead {
            session: self.session,
            subscription: SUBSCRIPTION,
            scope: self.who.scope,
            agent: self.who.agent,
            source: self.source,
            set_version: 1,
            kind: self.kind,
            sequence: 1,
            root,
            parent: self.parent,
            started_at_ns: NOON_NS,
            state: SnapshotState::Complete,
            counts: Counts::default(),
            claimed_plain_bytes: 0,
            replaces: None,
        }
    }

    pub fn commit_request(&self, head: &SnapshotHead) -> CommitRequest {
        let agent_part = head.encode();
        let key = SessionKey::new([self.session.as_bytes()[0]; 32]);
        let part = SealedPart { version: 1, ..SealedPart::default() };
        let sealed_part = seal_part(&key, &SUBSCRIPTION, [3; 16], &agent_part, &part);
        let mac = self.keys.snapshot_mac.mac(&agent_part, &sealed_part);
        CommitRequest { session: self.session, agent_part, sealed_part, mac }
    }

    pub fn commit(&self, open: &Subscription, opened: &Opened, root: &Made) -> Result<CommitAnswer, SessionError> {
        let request = self.commit_request(&self.head(opened, root.id));
        open.commit(self.who, request, self.now_ns())
    }

    /// A whole backup of these contents; the receipt.
    pub fn back_up(&mut self, server: &Subscriptions, contents: &[&[u8]]) -> Vec<u8> {
        let (open, opened) = self.open(server).unwrap();
        let root = self.send(&open, contents);
        receipt(self.commit(&open, &opened, &root).unwrap())
    }

    /// Sends these contents and a leaf over them; the leaf.
    pub fn send(&mut self, open: &Subscription, contents: &[&[u8]]) -> Made {
        let data: Vec<Made> = contents.iter().map(|content| self.data(content)).collect();
        let data: Vec<&Made> = data.iter().collect();
        self.put(open, &data).unwrap();
        let leaf = self.leaf(&data, b"entries");
        self.put(open, &[&leaf]).unwrap();
        leaf
    }
}

pub fn received(frame: Vec<u8>) -> ReceivedFrame {
    let checksum = Bytes::copy_from_slice(&checksum(&frame));
    ReceivedFrame { frame: frame.into(), checksum, class: Some(FrameClass::Changed) }
}

pub fn receipt(answer: CommitAnswer) -> Vec<u8> {
    match answer {
        CommitAnswer::Committed { receipt, .. } => receipt,
        CommitAnswer::Missing(ids) => panic!("{} chunks are missing", ids.len()),
    }
}

/// Copies a folder with everything in it, as a crash would leave it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// A scratch folder in memory where there is such a place: a simulated year would otherwise wait for the disk most of the time.
pub fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    // More than the reserve below which a store takes nothing.
    let has_room = rustix::fs::statvfs(memory).is_ok_and(|room| room.f_bavail * room.f_frsize > 4 << 30);
    if has_room { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// All files below a folder.
pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}
