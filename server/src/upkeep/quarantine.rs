//! The facts that name damaged frames, so that a rebuilt catalog knows them too.
//!
//! Body: pack 32, then the ids of its damaged frames, 32 each. The name of a fact is the hash of its bytes, so that scrubbing
//! tells a damaged fact.
//!
//! Invariant: a fact is durable before the catalog says the same.

use std::collections::{BTreeMap, BTreeSet};

use common::id::{ChunkId, PackId, SubscriptionId};
use common::limits::RECORD_BYTES_MAX;
use common::stored::{Fact, check_version, decode_strict};
use prost::Message;

use crate::session::error::SessionError;
use crate::store::error::StoreError;
use crate::store::name::{FactKind, Folder, ObjectName};
use crate::store::objects::Objects;

/// Ids in one fact.
const IDS_PER_FACT: usize = 1_024;

/// The name of a fact whose id is the hash of its bytes.
pub fn fact_name(kind: FactKind, bytes: &[u8]) -> ObjectName {
    let mut id = [0; 16];
    id.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    ObjectName::Fact(kind, id)
}

/// Stores that frames of a pack are damaged.
///
/// # Errors
/// [`StoreError`].
pub fn store(
    objects: &Objects,
    subscription: &SubscriptionId,
    pack: &PackId,
    damaged: &[ChunkId],
    at_ns: i64,
) -> Result<(), StoreError> {
    for ids in damaged.chunks(IDS_PER_FACT) {
        let mut body = pack.as_bytes().to_vec();
        ids.iter().for_each(|id| body.extend_from_slice(id.as_bytes()));
        let kind = FactKind::Quarantine.word().to_owned();
        let fact = Fact { version: 1, kind, id: Vec::new(), at_ns, by: "scrub".to_owned(), body }.encode_to_vec();
        match objects.publish(subscription, &fact_name(FactKind::Quarantine, &fact), &fact) {
            Ok(()) | Err(StoreError::AlreadyExists(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The damaged frames of each pack.
///
/// # Errors
/// [`SessionError::Damaged`] if a fact can't be read.
pub fn load(
    objects: &Objects,
    subscription: &SubscriptionId,
) -> Result<BTreeMap<PackId, BTreeSet<ChunkId>>, SessionError> {
    let mut packs: BTreeMap<PackId, BTreeSet<ChunkId>> = BTreeMap::new();
    for name in objects.list(subscription, Folder::Facts(FactKind::Quarantine))? {
        let bytes = objects.read(subscription, &name, RECORD_BYTES_MAX)?;
        let damaged = || SessionError::Damaged(name.to_string());
        if fact_name(FactKind::Quarantine, &bytes) != name {
            return Err(damaged());
        }
        let fact: Fact = decode_strict("fact", &bytes, RECORD_BYTES_MAX).map_err(|_| damaged())?;
        check_version("fact", fact.version, 1).map_err(|_| damaged())?;
        let (pack, ids) = fact.body.split_at_checked(PackId::BYTES).ok_or_else(damaged)?;
        let pack = PackId::try_from(pack).map_err(|_| damaged())?;
        let (ids, rest) = ids.as_chunks::<{ ChunkId::BYTES }>();
        if !rest.is_empty() {
            return Err(damaged());
        }
        packs.entry(pack).or_default().extend(ids.iter().copied().map(ChunkId::new));
    }
    Ok(packs)
}
