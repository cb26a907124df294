//! What a subscription uses, as the wire carries it.

use common::id::{SourceId, SubscriptionId};
use proto::v1;

use crate::contract::quota::Level;
use crate::contract::terms::Terms;
use crate::grpc::form;
use crate::session::error::SessionError;
use crate::subscriptions::Subscriptions;
use crate::usage::{Usage, nothing, usage_of};

/// Today's account of a subscription, which is not opened for it; `running` is a source that is at work.
///
/// # Errors
/// If its catalog cannot be read.
pub fn day_use(
    subscriptions: &Subscriptions,
    id: &SubscriptionId,
    terms: &Terms,
    running: Option<&SourceId>,
) -> Result<v1::DayUse, SessionError> {
    let now = subscriptions.settings().clock.now();
    let used = subscriptions.peek(id, |catalog, account| {
        catalog.at_once(|catalog| Ok::<_, SessionError>(usage_of(catalog, account, (terms, now), running)?))
    })?;
    Ok(wire(&used.unwrap_or_else(|| nothing(terms, now)), terms))
}

/// What is used today.
pub fn wire(usage: &Usage, terms: &Terms) -> v1::DayUse {
    let tally = usage.ledger.today;
    v1::DayUse {
        day: usage.today.day.to_string(),
        changed_bytes: tally.changed_bytes,
        relaid_bytes: tally.relaid_bytes,
        reseed_bytes: tally.reseed_bytes,
        uncommitted_bytes: usage.uncommitted.data_bytes(),
        allowed_bytes: usage.today.allowed_bytes.unwrap_or(0),
        baseline_bytes: usage.baseline_bytes,
        contracted_bytes: terms.contracted_bytes,
        used_bytes: usage.ledger.volume_bytes,
        hard_volume_bytes: terms.hard_volume_bytes,
        per_mille: terms.per_mille,
        counted_bytes: usage.today.counted_bytes,
        policy: form::policy(terms.policy).into(),
        state: state(usage.today.level()).into(),
        since: usage.outlook.since.to_string(),
        days: usage.days_carried,
        contact: terms.contact.clone(),
    }
}

/// The level of a day.
pub const fn state(level: Level) -> v1::DayState {
    match level {
        Level::NotStarted => v1::DayState::NotStarted,
        Level::Inside => v1::DayState::Inside,
        Level::Near => v1::DayState::Near,
        Level::Over => v1::DayState::Over,
    }
}
