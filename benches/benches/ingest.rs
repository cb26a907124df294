//! How fast does the server's engine take frames, from a batch in memory to a durable, acknowledged, published pack?
//!
//! No network: a stream is a thread that puts batches of 1 MiB and asks for a durable point every 8 MiB, two of them in flight,
//! as `grpc::transfer` does. Checking, looking up, charging, staging, syncing, the catalog and publishing are all in it.
#![allow(missing_docs, clippy::print_stdout)]

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use aws_lc_rs::signature::Ed25519KeyPair;
use benches::limit::{measure, rate};
use benches::sample::noise;
use benches::table::{Against, print_bytes, print_limits};
use bytes::Bytes;
use common::frame::checksum;
use common::id::{AgentId, ScopeId, SessionId, SourceId, SubscriptionId};
use common::limits::{DURABLE_EVERY_BYTES, MESSAGE_TARGET_BYTES};
use common::pack::FrameClass;
use common::stored::SnapshotKind;
use server::clock::{Clock, Random};
use server::contract::hold::Thresholds;
use server::contract::location::Location;
use server::contract::quota::Policy;
use server::contract::retention::History;
use server::contract::terms::{Terms, TermsSource};
use server::session::check::ReceivedFrame;
use server::session::error::SessionError;
use server::session::live::LiveSession;
use server::session::open::{AgentPrincipal, OpenRequest};
use server::session::subscription::Subscription;
use server::store::objects::Objects;
use server::subscriptions::{Settings, Subscriptions};

const SUBSCRIPTION: SubscriptionId = SubscriptionId::new([1; 16]);
const SOURCE: SourceId = SourceId::new([2; 16]);
const RUN_BYTES: usize = 512 << 20;
const POINTS_IN_FLIGHT: usize = 2;

fn main() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let limits = measure(scratch.path())?;
    print_limits(&limits);
    for frame_bytes in [256 << 10, 64 << 10] {
        let frames = frames(frame_bytes);
        let mut run = 0;
        let taken = rate(RUN_BYTES, || {
            run += 1;
            let root = scratch.path().join(format!("{frame_bytes}-{run}"));
            ingest(&root, &frames).expect("the engine takes what is well made");
            std::fs::remove_dir_all(&root).expect("the scratch folder can be emptied");
        });
        let name = format!("frames of {} KiB, put to published", frame_bytes >> 10);
        print_bytes(&name, taken, Against::new("write and fdatasync", limits.durable_write));
    }
    Ok(())
}

/// Data frames of the session, well made but for their ciphertext: the server has no key to tell.
fn frames(frame_bytes: usize) -> Vec<ReceivedFrame> {
    let body = noise(1, frame_bytes);
    let length = u32::try_from(frame_bytes).expect("a frame is at most 4 MiB");
    (0..RUN_BYTES / frame_bytes)
        .map(|number| {
            let mut frame = b"DBF\x01\x00\x00\x00".to_vec();
            frame.extend(length.to_le_bytes());
            frame.extend(length.to_le_bytes());
            frame.extend((number as u64).to_le_bytes().repeat(4));
            frame.extend([3; 16]);
            frame.extend([4; 16]);
            frame.extend(0u32.to_le_bytes());
            frame.extend(&body);
            let checksum = Bytes::copy_from_slice(&checksum(&frame));
            ReceivedFrame { frame: frame.into(), checksum, class: Some(FrameClass::Changed) }
        })
        .collect()
}

fn ingest(root: &Path, frames: &[ReceivedFrame]) -> Result<(), SessionError> {
    let subscriptions = Subscriptions::new(settings(root), Objects::open(&root.join("store"), 0)?)?;
    let open = subscriptions.get(&SUBSCRIPTION)?;
    let who = AgentPrincipal { agent: AgentId::new([3; 16]), scope: ScopeId::new([3; 16]) };
    let session = SessionId::new([3; 16]);
    let request = OpenRequest {
        session,
        source: SOURCE,
        set_version: 1,
        kind: SnapshotKind::Regular,
        parent: None,
        envelope: vec![5; 200],
        protocol: 1,
    };
    open.open_session(who, request, &subscriptions.terms(&SUBSCRIPTION)?, 1)?;
    stream(&open, &*open.live(who, &session)?, frames)?;
    open.abort_session(who, session, 2)
}

fn stream(open: &Subscription, live: &LiveSession, frames: &[ReceivedFrame]) -> Result<(), SessionError> {
    let (done, points) = channel();
    let (mut staged, mut in_flight) = (0, 0);
    let per_batch = MESSAGE_TARGET_BYTES / frames[0].frame.len().next_power_of_two().min(MESSAGE_TARGET_BYTES) * 2;
    for batch in frames.chunks(per_batch.max(1)) {
        staged += open.put(live, batch.to_vec(), 1)?;
        if staged >= DURABLE_EVERY_BYTES {
            staged = 0;
            if in_flight == POINTS_IN_FLIGHT {
                wait(&points)?;
                in_flight -= 1;
            }
            let done = done.clone();
            // The receiver outlives the loop.
            open.flush(1, move |result| drop(done.send(result)))?;
            in_flight += 1;
        }
    }
    (0..in_flight).try_for_each(|_| wait(&points))
}

fn wait(points: &Receiver<Result<(), SessionError>>) -> Result<(), SessionError> {
    points.recv().map_err(|_| SessionError::Closing)?
}

fn settings(root: &Path) -> Settings {
    let terms = |subscription: &SubscriptionId| {
        Ok(Some(Terms {
            subscription: *subscription,
            contracted_bytes: 1 << 40,
            hard_volume_bytes: 1 << 40,
            per_mille: 2,
            min_daily_allowance_bytes: 0,
            policy: Policy::Flag,
            history: History { days: 30, thinning: Vec::new() },
            period_h: 24,
            tolerance_h: 2,
            sources: vec![TermsSource { source: SOURCE, name: "bench".into() }],
            suspensions: Vec::new(),
            maintenance: Vec::new(),
            ended_at: None,
            contact: String::new(),
        }))
    };
    Settings {
        catalogs: root.join("catalogs"),
        staging: root.join("store/staging"),
        location: Location { site: "bench".into(), country: "FR".into(), owner: "bench".into() },
        key: Arc::new(Ed25519KeyPair::from_seed_unchecked(&[1; 32]).expect("32 bytes are a seed")),
        terms: Arc::new(terms),
        sources: Arc::new(|_| Ok(Vec::new())),
        refusals: Arc::new(|_, _| Ok(())),
        hold: Thresholds::default(),
        clock: Clock::new(|| jiff::Timestamp::UNIX_EPOCH),
        random: Random::new(|bytes| bytes.fill(6)),
    }
}
