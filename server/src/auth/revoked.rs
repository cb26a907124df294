//! Agents whose token is worth nothing, as facts beside the packs: an older copy of the control store does not bring one back.
//!
//! Invariant: a revocation is durable in the control store first, and does not wait for the store: what could not be written is written by the next start.

use std::collections::BTreeSet;

use common::id::{AgentId, SubscriptionId};

use super::older_records::facts;
use crate::control::agents::Agent;
use crate::control::audit::Trace;
use crate::control::{Control, ControlError};
use crate::store::error::StoreError;
use crate::store::fact::{self, NewFact};
use crate::store::name::FactKind;
use crate::store::objects::Objects;

/// Stores that an agent is revoked.
pub fn keep(objects: &Objects, subscription: &SubscriptionId, agent: &AgentId, at_ns: i64) {
    if let Err(error) = publish(objects, subscription, agent, at_ns) {
        tracing::error!(%agent, error = &error as &dyn std::error::Error, "a revocation could not be stored beside the packs");
    }
}

/// What records or facts say of the revocations of a subscription, both say afterwards.
pub(super) fn reconcile(
    objects: &Objects,
    control: &Control,
    subscription: &SubscriptionId,
    trace: &Trace,
) -> Result<(), ControlError> {
    let facts = facts(objects, subscription, FactKind::Revocation);
    let stored: BTreeSet<AgentId> = facts.iter().filter_map(|fact| AgentId::try_from(&fact.id[..]).ok()).collect();
    for Agent { agent, revoked_at_ns, .. } in control.agents(subscription)? {
        match revoked_at_ns {
            None if stored.contains(&agent) => {
                tracing::warn!(%agent, "an agent came back with an older control store and is revoked again");
                control.revoke_agent(subscription, &agent, trace)?;
            }
            Some(at_ns) if !stored.contains(&agent) => keep(objects, subscription, &agent, at_ns),
            _ => {}
        }
    }
    Ok(())
}

fn publish(objects: &Objects, subscription: &SubscriptionId, agent: &AgentId, at_ns: i64) -> Result<(), StoreError> {
    // Always the same bytes for one revocation: asked for again, it is stored once.
    let (kind, about) = (FactKind::Revocation, &agent.as_bytes()[..]);
    fact::publish(objects, subscription, NewFact { kind, about, at_ns, by: "", body: Vec::new() }).map(|_| ())
}
