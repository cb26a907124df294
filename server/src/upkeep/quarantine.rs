//! The facts that name damaged frames, so that a rebuilt catalog knows them too.
//!
//! Body: pack 32, then the ids of its damaged frames, 32 each.
//!
//! Invariant: a fact is durable before the catalog says the same.

use std::collections::{BTreeMap, BTreeSet};

use common::id::{ChunkId, PackId, SubscriptionId};

use crate::session::error::SessionError;
use crate::store::error::StoreError;
use crate::store::fact::{self, KnownFact, NewFact};
use crate::store::name::{FactKind, Folder};
use crate::store::objects::Objects;

/// Ids in one fact.
const IDS_PER_FACT: usize = 1_024;

/// Stores that frames of a pack are damaged; the facts that say so.
///
/// # Errors
/// [`StoreError`].
pub fn store(
    objects: &Objects,
    subscription: &SubscriptionId,
    pack: &PackId,
    damaged: &[ChunkId],
    at_ns: i64,
) -> Result<Vec<KnownFact>, StoreError> {
    let publish = |ids: &[ChunkId]| {
        let mut body = pack.as_bytes().to_vec();
        ids.iter().for_each(|id| body.extend_from_slice(id.as_bytes()));
        let new = NewFact { kind: FactKind::Quarantine, about: &[], at_ns, by: "scrub", body };
        fact::publish(objects, subscription, new)
    };
    damaged.chunks(IDS_PER_FACT).map(publish).collect()
}

/// The damaged frames of each pack.
pub type DamagedFrames = BTreeMap<PackId, BTreeSet<ChunkId>>;

/// The damaged frames of each pack, and what is said of facts that cannot be read: they are hints for a reader that checks every
/// frame that they name, so that the loss of one loses nothing else.
///
/// # Errors
/// [`SessionError`] if the facts can't be listed.
pub fn load(objects: &Objects, subscription: &SubscriptionId) -> Result<(DamagedFrames, Vec<String>), SessionError> {
    let mut packs = DamagedFrames::new();
    let mut unreadable = Vec::new();
    for name in objects.list(subscription, Folder::Facts(FactKind::Quarantine))? {
        match fact::read(objects, subscription, &name).and_then(|known| decode(&known)) {
            Ok((pack, ids)) => packs.entry(pack).or_default().extend(ids),
            Err(error) => unreadable.push(error.to_string()),
        }
    }
    Ok((packs, unreadable))
}

fn decode(known: &KnownFact) -> Result<(PackId, Vec<ChunkId>), StoreError> {
    let damaged = || known.damaged();
    let body = known.decode()?.body;
    let (pack, ids) = body.split_at_checked(PackId::BYTES).ok_or_else(damaged)?;
    let pack = PackId::try_from(pack).map_err(|_| damaged())?;
    let (ids, rest) = ids.as_chunks::<{ ChunkId::BYTES }>();
    if rest.is_empty() { Ok((pack, ids.iter().copied().map(ChunkId::new).collect())) } else { Err(damaged()) }
}
