//! A snapshot whose object is durable becomes a row: the last transaction of a commit, of a recovery and of a rebuild.
//!
//! Everything that it needs is in the object and in the catalog, so that all three write the same and sign the same receipt.
//!
//! Invariant: I2 — commit row, day ledger, uncommitted account, reach and receipt are one transaction.

use std::sync::Arc;

use aws_lc_rs::signature::Ed25519KeyPair;
use common::id::SourceId;
use common::keys::ChunkKind;
use common::pack::FrameClass;
use common::receipt;
use common::snapshot::StoredSnapshot;
use common::stored::{Receipt, ServerPart};
use roaring::RoaringBitmap;

use crate::catalog::chunks::ChunkFacts;
use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::catalog::ledger::Reach;
use crate::catalog::sessions::SessionState;
use crate::catalog::snapshots::SnapshotFacts;
use crate::session::closure::Closure;
use crate::session::error::SessionError;

/// A snapshot object with the hash of its bytes.
pub struct SnapshotObjectBytes {
    /// What it says.
    pub snapshot: StoredSnapshot,
    /// BLAKE3 of its bytes.
    pub digest: [u8; 32],
}

impl SnapshotObjectBytes {
    /// Reads an object.
    ///
    /// # Errors
    /// [`SessionError::Damaged`].
    pub fn decode(bytes: &[u8]) -> Result<Self, SessionError> {
        let snapshot = StoredSnapshot::decode(bytes).map_err(|error| SessionError::Damaged(error.to_string()))?;
        Ok(Self { snapshot, digest: *blake3::hash(bytes).as_bytes() })
    }
}

/// What the next snapshot of a source reaches, from what the previous one did: only the difference is looked up.
///
/// # Errors
/// [`CatalogError`].
pub fn reach_of(catalog: &Catalog, source: &SourceId, chunks: &RoaringBitmap) -> Result<Reach, CatalogError> {
    let previous = catalog.reach(source)?.unwrap_or(Reach { chunks: RoaringBitmap::new(), plain_bytes: 0 });
    let (gained, gone) =
        (data_bytes(catalog, &(chunks - &previous.chunks))?, data_bytes(catalog, &(&previous.chunks - chunks))?);
    Ok(Reach { chunks: chunks.clone(), plain_bytes: (previous.plain_bytes + gained).saturating_sub(gone) })
}

/// Plain bytes of data that the newest snapshot of a source reaches and that are not among `chunks`.
///
/// # Errors
/// [`CatalogError`].
pub fn gone_bytes(catalog: &Catalog, source: &SourceId, chunks: &RoaringBitmap) -> Result<u64, CatalogError> {
    let previous = catalog.reach(source)?;
    previous.map_or(Ok(0), |previous| data_bytes(catalog, &(&previous.chunks - chunks)))
}

fn data_bytes(catalog: &Catalog, rows: &RoaringBitmap) -> Result<u64, CatalogError> {
    rows.iter().try_fold(0u64, |sum, row| {
        let chunk = catalog.chunk_of_row(row)?;
        Ok(sum + if chunk.kind == ChunkKind::Data { u64::from(chunk.plain_bytes) } else { 0 })
    })
}

/// Adds what the ledger counts of the chunks that a snapshot is the first to reach. `is_initial` tells those that are no change:
/// sent by a session whose source had no complete snapshot, and reached before the snapshot's own source has one. Whatever was
/// charged as change when it came in stays change, whichever source reaches it (contract, 0.2 % rule).
///
/// # Errors
/// [`CatalogError`].
pub fn add_first_reached(
    catalog: &Catalog,
    first_reached: &RoaringBitmap,
    is_initial: impl Fn(&ChunkFacts) -> bool,
    part: &mut ServerPart,
) -> Result<(), CatalogError> {
    for row in first_reached {
        let chunk = catalog.chunk_of_row(row)?;
        part.stored_bytes += u64::from(chunk.frame_bytes);
        part.first_reached += 1;
        let counter = match (chunk.kind.is_node(), chunk.class) {
            (true, _) => {
                part.node_bytes += u64::from(chunk.plain_bytes.max(chunk.frame_bytes));
                continue;
            }
            (false, FrameClass::Changed) if is_initial(&chunk) => &mut part.initial_bytes,
            (false, FrameClass::Changed) => &mut part.changed_bytes,
            (false, FrameClass::Relaid) => &mut part.relaid_bytes,
            (false, FrameClass::Reseed) => &mut part.reseed_bytes,
        };
        *counter += u64::from(chunk.plain_bytes);
    }
    Ok(())
}

/// Records a snapshot whose object is durable, in one transaction; its receipt.
///
/// # Errors
/// [`CatalogError`].
pub fn record_in_one(
    catalog: &Catalog,
    key: &Arc<Ed25519KeyPair>,
    object: &SnapshotObjectBytes,
    found: (&Closure, &Reach),
) -> Result<Vec<u8>, CatalogError> {
    catalog.atomically(|catalog| record(catalog, key, object, found))
}

/// Records a snapshot whose object is durable; its receipt. To be called inside a transaction.
///
/// # Errors
/// [`CatalogError`].
pub fn record(
    catalog: &Catalog,
    key: &Ed25519KeyPair,
    object: &SnapshotObjectBytes,
    (closure, reach): (&Closure, &Reach),
) -> Result<Vec<u8>, CatalogError> {
    let (head, server) = (&object.snapshot.head, &object.snapshot.server);
    let session = catalog.session(&head.session)?.ok_or(CatalogError::Inconsistent("a snapshot has no session"))?;
    let previous = catalog.newest_snapshot(&head.source)?;
    let signed = receipt::sign(
        Receipt {
            version: 1,
            snapshot: object.digest.to_vec(),
            session: head.session.as_bytes().to_vec(),
            subscription: head.subscription.as_bytes().to_vec(),
            source: head.source.as_bytes().to_vec(),
            sequence: head.sequence,
            received_at_ns: server.received_at_ns,
            previous: previous.map_or(Vec::new(), |previous| receipt::digest(&previous.receipt).to_vec()),
            signer: Vec::new(),
        },
        key,
    );
    let row = SnapshotFacts {
        session: head.session,
        scope: session.scope,
        agent: head.agent,
        source: head.source,
        sequence: head.sequence,
        state: head.state,
        root: closure.root,
        claimed_bytes: head.claimed_plain_bytes,
        server: server.clone(),
        digest: object.digest,
        receipt: signed.clone(),
        verified_at_ns: 0,
        expired_at_ns: 0,
    };
    let first_reached = catalog.uncommitted_rows()? & &closure.chunks;
    catalog.insert_snapshot(&row)?;
    catalog.add_to_ledger(head, server)?;
    catalog.set_first_reached(&head.session, server, &first_reached)?;
    catalog.release_uncommitted(&first_reached)?;
    if catalog.has_trash()? {
        catalog.bring_back(&closure.chunks)?;
    }
    catalog.set_reach(&head.source, reach)?;
    catalog.mark_complete(&closure.newly_complete, closure.epoch)?;
    catalog.set_session_state(session.row, SessionState::Committed)?;
    Ok(signed)
}
