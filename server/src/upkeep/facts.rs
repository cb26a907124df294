//! What keeps history from being removed: holds, protections, and the lifts that end them.
//!
//! Facts beside the packs, so that they outlive the catalog and the control store. It does not decide when a hold begins
//! (`contract::hold`) nor who may end one (`control::approvals`).
//!
//! Invariant: G4, G5 — whoever removes asks [`frozen`] first; an error of it means that nothing goes.
//! Invariant: a fact that the catalog knows and the store does not list any more is an error, never "no hold".

use std::collections::BTreeMap;

use common::id::{FactId, SessionId, SourceId, SubscriptionId};
use common::limits::RECORD_BYTES_MAX;
use common::stored::{Fact, HoldBody, HoldSeen, LiftBody, ProtectionBody, check_version, decode_strict};
use prost::Message;

use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::contract::hold::{Observation, Signal};
use crate::session::error::SessionError;
use crate::store::error::StoreError;
use crate::store::fact::{self, KnownFact, NewFact};
use crate::store::name::{FactKind, Folder, ObjectName};
use crate::store::objects::Objects;

/// A sudden change that nobody looked at yet, or that somebody did.
#[derive(Debug, Clone, PartialEq)]
pub struct Hold {
    /// Its fact.
    pub id: FactId,
    /// The suspect snapshot.
    pub snapshot: SessionId,
    /// Whose snapshot it is.
    pub source: SourceId,
    /// The last clean snapshot of the source.
    pub clean: Option<SessionId>,
    /// When the suspect one was received.
    pub at_ns: i64,
    /// Why.
    pub signals: Vec<Signal>,
    /// The numbers that it was judged by.
    pub seen: Observation,
    /// How it ended.
    pub lifted: Option<Lift>,
}

/// A snapshot that is kept until a moment, whatever the history says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    /// Its fact.
    pub id: FactId,
    /// Which snapshot.
    pub snapshot: SessionId,
    /// Until when.
    pub until_ns: i64,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: String,
    /// When.
    pub at_ns: i64,
    /// How it ended before its time.
    pub lifted: Option<Lift>,
}

/// The end of a hold or of a protection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lift {
    /// When.
    pub at_ns: i64,
    /// Why.
    pub reason: String,
    /// Who asked for it.
    pub asked_by: String,
    /// Who else agreed.
    pub approved_by: String,
}

/// Every hold and protection of a subscription, lifted ones too.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// In the order of reception.
    pub holds: Vec<Hold>,
    /// In the order in which they were set.
    pub protections: Vec<Protection>,
}

/// What stands in the way of removing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Frozen {
    /// Holds that nobody lifted: while there is one, nothing of the subscription goes.
    pub holds: Vec<Hold>,
    /// Protections that nobody lifted; each keeps its snapshot until its end.
    pub protections: Vec<Protection>,
}

impl Frozen {
    /// True while nothing of the subscription may go.
    pub fn is_held(&self) -> bool {
        !self.holds.is_empty()
    }

    /// True if a snapshot may not go at `now_ns`: it is protected, suspect, or the last clean one before a suspect one.
    pub fn keeps(&self, snapshot: &SessionId, now_ns: i64) -> bool {
        let protects = |protection: &Protection| protection.snapshot == *snapshot && now_ns < protection.until_ns;
        let holds = |hold: &Hold| hold.snapshot == *snapshot || hold.clean == Some(*snapshot);
        self.protections.iter().any(protects) || self.holds.iter().any(holds)
    }
}

impl Facts {
    /// What is not lifted.
    pub fn standing(self) -> Frozen {
        let Self { mut holds, mut protections } = self;
        holds.retain(|hold| hold.lifted.is_none());
        protections.retain(|protection| protection.lifted.is_none());
        Frozen { holds, protections }
    }

    /// True if a snapshot is suspect: a hold of it stands.
    pub fn suspects(&self, snapshot: &SessionId) -> bool {
        self.holds.iter().any(|hold| hold.lifted.is_none() && hold.snapshot == *snapshot)
    }

    /// Until when a snapshot is protected; 0 if it is not.
    pub fn protected_until_ns(&self, snapshot: &SessionId) -> i64 {
        let of = |protection: &&Protection| protection.lifted.is_none() && protection.snapshot == *snapshot;
        self.protections.iter().filter(of).map(|protection| protection.until_ns).max().unwrap_or(0)
    }
}

/// What stands in the way of removing anything of a subscription, read from the store and compared with its catalog.
///
/// # Errors
/// [`SessionError`] if a fact cannot be listed or read, is damaged, or is missing: nothing may go then.
pub fn frozen(objects: &Objects, subscription: &SubscriptionId, catalog: &Catalog) -> Result<Frozen, SessionError> {
    let load = |kind| {
        let stored = fact::load(objects, subscription, kind)?;
        let is_stored = |known: &KnownFact| stored.iter().any(|stored| stored.id == known.id);
        match catalog.facts(kind)?.iter().find(|known| !is_stored(known)) {
            Some(lost) => Err(SessionError::Damaged(lost.name().to_string())),
            None => Ok(stored),
        }
    };
    Ok(facts_of(&load(FactKind::Hold)?, &load(FactKind::Protection)?, &load(FactKind::Lift)?)?.standing())
}

/// Every hold and protection, as the catalog knows them.
///
/// # Errors
/// [`SessionError`].
pub fn known(catalog: &Catalog) -> Result<Facts, SessionError> {
    let load = |kind| catalog.facts(kind);
    Ok(facts_of(&load(FactKind::Hold)?, &load(FactKind::Protection)?, &load(FactKind::Lift)?)?)
}

/// Gives every stored fact its row. One that cannot be read is left to scrubbing, which reports it, and to [`frozen`], which
/// then lets nothing go; its name is returned.
///
/// # Errors
/// [`SessionError`] if the catalog cannot be written.
pub fn adopt(objects: &Objects, subscription: &SubscriptionId, catalog: &Catalog) -> Result<Vec<String>, SessionError> {
    let mut unreadable = Vec::new();
    for kind in FactKind::ALL {
        let known = catalog.facts(kind)?;
        let names = objects.list(subscription, Folder::Facts(kind)).unwrap_or_else(|error| {
            unreadable.push(error.to_string());
            Vec::new()
        });
        let is_known = |name: &ObjectName| known.iter().any(|known| known.name() == *name);
        for name in names.iter().filter(|name| !is_known(name)) {
            match fact::read(objects, subscription, name) {
                Ok(fact) => catalog.atomically(|catalog| catalog.insert_fact(&fact))?,
                Err(error) => unreadable.push(error.to_string()),
            }
        }
    }
    Ok(unreadable)
}

/// A hold to place.
#[derive(Debug, Clone, PartialEq)]
pub struct NewHold {
    /// The suspect snapshot.
    pub snapshot: SessionId,
    /// Its source.
    pub source: SourceId,
    /// The last clean snapshot of the source.
    pub clean: Option<SessionId>,
    /// When the suspect one is received.
    pub at_ns: i64,
    /// Why.
    pub signals: Vec<Signal>,
    /// The numbers that it is judged by.
    pub seen: Observation,
}

/// Places a hold: durable when this returns.
///
/// # Errors
/// [`SessionError`].
pub fn hold(
    objects: &Objects,
    subscription: &SubscriptionId,
    catalog: &Catalog,
    new: &NewHold,
) -> Result<(), SessionError> {
    let body = HoldBody {
        version: 1,
        source: new.source.as_bytes().to_vec(),
        clean: new.clean.map_or(Vec::new(), |clean| clean.as_bytes().to_vec()),
        signals: new.signals.iter().map(|signal| i32::from(signal.stored())).collect(),
        seen: Some(stored_observation(&new.seen)),
    };
    let (kind, about) = (FactKind::Hold, &new.snapshot.as_bytes()[..]);
    let fact = NewFact { kind, about, at_ns: new.at_ns, by: "commit", body: body.encode_to_vec() };
    store(objects, subscription, catalog, fact).map(|_| ())
}

/// A protection to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProtection {
    /// Which snapshot.
    pub snapshot: SessionId,
    /// Until when.
    pub until_ns: i64,
    /// Why.
    pub reason: String,
    /// Who says so.
    pub by: String,
    /// When.
    pub at_ns: i64,
}

/// Protects a snapshot: durable when this returns.
///
/// # Errors
/// [`SessionError`].
pub fn protect(
    objects: &Objects,
    subscription: &SubscriptionId,
    catalog: &Catalog,
    new: &NewProtection,
) -> Result<FactId, SessionError> {
    let body = ProtectionBody { version: 1, until_ns: new.until_ns, reason: new.reason.clone() }.encode_to_vec();
    let (kind, about) = (FactKind::Protection, &new.snapshot.as_bytes()[..]);
    store(objects, subscription, catalog, NewFact { kind, about, at_ns: new.at_ns, by: &new.by, body })
}

/// Ends a hold or a protection; the caller has made sure that two persons agreed. Durable when this returns.
///
/// # Errors
/// [`SessionError`].
pub fn lift(
    objects: &Objects,
    subscription: &SubscriptionId,
    catalog: &Catalog,
    (ended, lift): (&FactId, &Lift),
) -> Result<(), SessionError> {
    let Lift { at_ns, reason, asked_by, approved_by } = lift.clone();
    let body = LiftBody { version: 1, reason, asked_by: asked_by.clone(), approved_by }.encode_to_vec();
    let (kind, about) = (FactKind::Lift, &ended.as_bytes()[..]);
    store(objects, subscription, catalog, NewFact { kind, about, at_ns, by: &asked_by, body }).map(|_| ())
}

fn store(
    objects: &Objects,
    subscription: &SubscriptionId,
    catalog: &Catalog,
    new: NewFact<'_>,
) -> Result<FactId, SessionError> {
    let fact = fact::publish(objects, subscription, new)?;
    catalog.atomically::<_, CatalogError>(|catalog| catalog.insert_fact(&fact))?;
    Ok(fact.id)
}

fn facts_of(holds: &[KnownFact], protections: &[KnownFact], lifts: &[KnownFact]) -> Result<Facts, StoreError> {
    let lifts: BTreeMap<FactId, Lift> = lifts.iter().map(lift_of).collect::<Result<_, _>>()?;
    let mut facts = Facts {
        holds: holds.iter().map(|known| hold_of(known, &lifts)).collect::<Result<_, _>>()?,
        protections: protections.iter().map(|known| protection_of(known, &lifts)).collect::<Result<_, _>>()?,
    };
    facts.holds.sort_by_key(|hold| (hold.at_ns, hold.id));
    facts.protections.sort_by_key(|protection| (protection.at_ns, protection.id));
    Ok(facts)
}

fn hold_of(known: &KnownFact, lifts: &BTreeMap<FactId, Lift>) -> Result<Hold, StoreError> {
    let fact = known.decode()?;
    let body: HoldBody = body_of(known, &fact, |body: &HoldBody| body.version)?;
    let damaged = |_| known.damaged();
    let signals = body.signals().map(Signal::of_stored).collect::<Option<Vec<_>>>();
    Ok(Hold {
        id: known.id,
        snapshot: SessionId::try_from(&fact.id[..]).map_err(damaged)?,
        source: SourceId::try_from(&body.source[..]).map_err(damaged)?,
        clean: if body.clean.is_empty() { None } else { Some(body.clean[..].try_into().map_err(damaged)?) },
        at_ns: fact.at_ns,
        signals: signals.ok_or_else(|| known.damaged())?,
        seen: observation_of(body.seen.as_ref().ok_or_else(|| known.damaged())?),
        lifted: lifts.get(&known.id).cloned(),
    })
}

fn protection_of(known: &KnownFact, lifts: &BTreeMap<FactId, Lift>) -> Result<Protection, StoreError> {
    let fact = known.decode()?;
    let body: ProtectionBody = body_of(known, &fact, |body: &ProtectionBody| body.version)?;
    Ok(Protection {
        id: known.id,
        snapshot: SessionId::try_from(&fact.id[..]).map_err(|_| known.damaged())?,
        until_ns: body.until_ns,
        reason: body.reason,
        by: fact.by,
        at_ns: fact.at_ns,
        lifted: lifts.get(&known.id).cloned(),
    })
}

fn lift_of(known: &KnownFact) -> Result<(FactId, Lift), StoreError> {
    let fact = known.decode()?;
    let body: LiftBody = body_of(known, &fact, |body: &LiftBody| body.version)?;
    let ended = FactId::try_from(&fact.id[..]).map_err(|_| known.damaged())?;
    let LiftBody { reason, asked_by, approved_by, .. } = body;
    Ok((ended, Lift { at_ns: fact.at_ns, reason, asked_by, approved_by }))
}

/// The body of a fact, of version 1.
pub(in crate::upkeep) fn body_of<T: Message + Default>(
    known: &KnownFact,
    fact: &Fact,
    version: impl Fn(&T) -> u32,
) -> Result<T, StoreError> {
    let body: Option<T> = decode_strict("body", &fact.body, RECORD_BYTES_MAX).ok();
    body.filter(|body| check_version("body", version(body), 1).is_ok()).ok_or_else(|| known.damaged())
}

fn stored_observation(seen: &Observation) -> HoldSeen {
    HoldSeen {
        changed_bytes: seen.changed_bytes,
        changed_stored_bytes: seen.stored_bytes,
        allowed_bytes: seen.allowed_bytes,
        plain_bytes: seen.plain_bytes,
        previous_plain_bytes: seen.previous_plain_bytes,
        history_plain_bytes: seen.history_plain_bytes,
        history_stored_bytes: seen.history_stored_bytes,
        previous_entries: seen.previous_entries,
        gone_entries: seen.gone_entries,
        gone_bytes: seen.gone_bytes,
    }
}

fn observation_of(seen: &HoldSeen) -> Observation {
    Observation {
        changed_bytes: seen.changed_bytes,
        stored_bytes: seen.changed_stored_bytes,
        allowed_bytes: seen.allowed_bytes,
        plain_bytes: seen.plain_bytes,
        previous_plain_bytes: seen.previous_plain_bytes,
        history_plain_bytes: seen.history_plain_bytes,
        history_stored_bytes: seen.history_stored_bytes,
        previous_entries: seen.previous_entries,
        gone_entries: seen.gone_entries,
        gone_bytes: seen.gone_bytes,
    }
}
