//! Answers the storage engine's questions about the contract, from the control store.
//!
//! Invariant: an unreadable control store is an error, never "no terms" or "no source".

use std::error::Error;
use std::sync::Arc;

use common::id::SubscriptionId;
use proto::convert::source_kind;

use crate::control::{Control, ControlError};
use crate::session::error::SessionError;
use crate::session::subscription::{RefusalNote, TermsLookup};
use crate::subscriptions::{KnownSource, SourcesLookup};

/// Terms of subscriptions.
pub fn terms(control: &Arc<Control>) -> TermsLookup {
    let control = Arc::clone(control);
    Arc::new(move |subscription| control.terms(subscription).map_err(unreadable))
}

/// Sources of subscriptions, with the agents that read them.
pub fn sources(control: &Arc<Control>) -> SourcesLookup {
    let control = Arc::clone(control);
    Arc::new(move |subscription| known_sources(&control, subscription).map_err(unreadable))
}

/// Where refusals of the daily change are remembered.
pub fn refusals(control: &Arc<Control>) -> RefusalNote {
    let control = Arc::clone(control);
    Arc::new(move |subscription, refusal| control.note_refusal(subscription, &refusal).map_err(unreadable))
}

fn known_sources(control: &Control, id: &SubscriptionId) -> Result<Vec<KnownSource>, ControlError> {
    let Some(subscription) = control.subscription(id)? else { return Ok(Vec::new()) };
    let (sets, agents) = (control.newest_sets(id)?, control.agents(id)?);
    let due = control.due_from(&subscription)?;
    let known = subscription.sources.into_iter().map(|source| {
        let set = sets.iter().find(|set| set.source == source.source);
        let agent = set.and_then(|set| agents.iter().find(|agent| agent.agent == set.agent));
        KnownSource {
            source: source.source,
            name: source.name,
            kind: source_kind::to_wire(source.kind),
            agent: agent.map(|agent| agent.agent),
            scope: agent.map(|agent| agent.scope),
            host: agent.map(|agent| agent.host.clone()).unwrap_or_default(),
            due_from: due.get(&source.source).copied(),
        }
    });
    Ok(known.collect())
}

fn unreadable(error: ControlError) -> SessionError {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    SessionError::Contract(format!("{error}{cause}"))
}
