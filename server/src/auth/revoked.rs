//! Agents whose token is worth nothing, as facts beside the packs: an older copy of the control store does not bring one back.
//!
//! Invariant: a revocation is durable in the control store first, and does not wait for the store: what could not be written is written by the next start.

use std::collections::BTreeSet;

use common::id::{AgentId, SubscriptionId};

use crate::control::agents::Agent;
use crate::control::audit::Trace;
use crate::control::{Control, ControlError};
use crate::store::error::StoreError;
use crate::store::fact::{self, NewFact};
use crate::store::name::{FactKind, Folder};
use crate::store::objects::Objects;

/// Who says so in the trail, when an agent that came back is revoked again.
const AGAIN: &str = "local";

/// Stores that an agent is revoked.
pub fn keep(objects: &Objects, subscription: &SubscriptionId, agent: &AgentId, at_ns: i64) {
    if let Err(error) = publish(objects, subscription, agent, at_ns) {
        tracing::error!(%agent, error = &error as &dyn std::error::Error, "a revocation could not be stored beside the packs");
    }
}

/// Makes control store and facts agree: what one of them says of a revocation, both say afterwards.
///
/// # Errors
/// The control store's. A store that cannot be read or written is reported and passed over: it is no reason not to start.
pub fn reconcile(objects: &Objects, control: &Control, now_ns: i64) -> Result<(), ControlError> {
    let trace = Trace { who: AGAIN.to_owned(), address: AGAIN.to_owned(), at_ns: now_ns };
    let subscriptions = objects.subscriptions().unwrap_or_else(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "revocations could not be listed");
        Vec::new()
    });
    for subscription in subscriptions {
        let stored = stored(objects, &subscription);
        for Agent { agent, revoked_at_ns, .. } in control.agents(&subscription)? {
            match revoked_at_ns {
                None if stored.contains(&agent) => {
                    tracing::warn!(%agent, "an agent came back with an older control store and is revoked again");
                    control.revoke_agent(&subscription, &agent, &trace)?;
                }
                Some(at_ns) if !stored.contains(&agent) => keep(objects, &subscription, &agent, at_ns),
                _ => {}
            }
        }
    }
    Ok(())
}

fn publish(objects: &Objects, subscription: &SubscriptionId, agent: &AgentId, at_ns: i64) -> Result<(), StoreError> {
    // Always the same bytes for one revocation: asked for again, it is stored once.
    let (kind, about) = (FactKind::Revocation, &agent.as_bytes()[..]);
    fact::publish(objects, subscription, NewFact { kind, about, at_ns, by: "", body: Vec::new() }).map(|_| ())
}

/// The agents of the facts that can be read; the others are scrubbing's to report.
fn stored(objects: &Objects, subscription: &SubscriptionId) -> BTreeSet<AgentId> {
    let unreadable = |error: StoreError| {
        tracing::error!(%subscription, error = &error as &dyn std::error::Error, "a revocation cannot be read");
    };
    let names = objects.list(subscription, Folder::Facts(FactKind::Revocation)).map_err(unreadable).unwrap_or_default();
    let read = |name| fact::read(objects, subscription, name).and_then(|known| known.decode()).map_err(unreadable).ok();
    names.iter().filter_map(read).filter_map(|fact| AgentId::try_from(&fact.id[..]).ok()).collect()
}
