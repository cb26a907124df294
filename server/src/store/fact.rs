//! Facts as objects: small records beside the packs that say what no index may forget.
//!
//! It does not say what a fact means: `upkeep::facts` and `upkeep::quarantine` read the bodies.
//!
//! Invariant: I1 — a fact is named by the hash of its bytes and never changed; the same fact stored twice is stored once.

use common::id::{FactId, SubscriptionId};
use common::limits::RECORD_BYTES_MAX;
use common::stored::{Fact, check_version, decode_strict};
use prost::Message;

use crate::store::error::StoreError;
use crate::store::name::{FactKind, Folder, ObjectName};
use crate::store::objects::Objects;

/// A fact to store.
#[derive(Debug, Clone)]
pub struct NewFact<'a> {
    /// What it states.
    pub kind: FactKind,
    /// What it is about; empty if its body says so.
    pub about: &'a [u8],
    /// When it came to be, server's clock.
    pub at_ns: i64,
    /// Who says so.
    pub by: &'a str,
    /// Per kind.
    pub body: Vec<u8>,
}

/// A fact that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownFact {
    /// What it states.
    pub kind: FactKind,
    /// Its name.
    pub id: FactId,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The name that a fact of these bytes has.
pub fn id_of(bytes: &[u8]) -> FactId {
    let mut id = [0; FactId::BYTES];
    id.copy_from_slice(&blake3::hash(bytes).as_bytes()[..FactId::BYTES]);
    FactId::new(id)
}

/// Stores a fact for good; storing it again changes nothing.
///
/// # Errors
/// [`StoreError`].
pub fn publish(objects: &Objects, subscription: &SubscriptionId, new: NewFact<'_>) -> Result<KnownFact, StoreError> {
    let NewFact { kind, about, at_ns, by, body } = new;
    let fact = Fact { version: 1, kind: kind.word().to_owned(), id: about.to_vec(), at_ns, by: by.to_owned(), body };
    let bytes = fact.encode_to_vec();
    let id = id_of(&bytes);
    match objects.publish(subscription, &ObjectName::Fact(kind, id), &bytes) {
        Ok(()) | Err(StoreError::AlreadyExists(_)) => Ok(KnownFact { kind, id, bytes }),
        Err(error) => Err(error),
    }
}

/// The facts of one kind, in the order of their names.
///
/// # Errors
/// [`StoreError::Damaged`] if one is not what was stored; others if one cannot be listed or read.
pub fn load(objects: &Objects, subscription: &SubscriptionId, kind: FactKind) -> Result<Vec<KnownFact>, StoreError> {
    let names = objects.list(subscription, Folder::Facts(kind))?;
    names.iter().map(|name| read(objects, subscription, name)).collect()
}

/// Reads one fact.
///
/// # Errors
/// As [`load`].
pub fn read(objects: &Objects, subscription: &SubscriptionId, name: &ObjectName) -> Result<KnownFact, StoreError> {
    let bytes = objects.read(subscription, name, RECORD_BYTES_MAX)?;
    match name {
        ObjectName::Fact(kind, id) if id_of(&bytes) == *id => Ok(KnownFact { kind: *kind, id: *id, bytes }),
        _ => Err(StoreError::Damaged(name.to_string())),
    }
}

impl KnownFact {
    /// Its name in the store.
    pub fn name(&self) -> ObjectName {
        ObjectName::Fact(self.kind, self.id)
    }

    /// What it says.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for bytes that this program would not have written.
    pub fn decode(&self) -> Result<Fact, StoreError> {
        let fact: Result<Fact, _> = decode_strict("fact", &self.bytes, RECORD_BYTES_MAX);
        let known = fact.ok().filter(|fact| check_version("fact", fact.version, 1).is_ok());
        known.filter(|fact| fact.kind == self.kind.word()).ok_or_else(|| self.damaged())
    }

    /// That it cannot be believed.
    pub fn damaged(&self) -> StoreError {
        StoreError::Damaged(self.name().to_string())
    }
}
