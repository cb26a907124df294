//! What was withdrawn stays withdrawn when an older copy of the control store comes back: each start makes records and facts agree.
//!
//! Facts belong to subscriptions, and so an operator's password is in no fact: it comes back as it was in the copy.

use common::id::SubscriptionId;
use common::stored::Fact;

use super::{replaced, revoked};
use crate::clock::Random;
use crate::control::Control;
use crate::control::audit::Trace;
use crate::store::error::StoreError;
use crate::store::fact;
use crate::store::name::{FactKind, Folder};
use crate::store::objects::Objects;

/// Who says so in the trail.
const AGAIN: &str = "local";

/// Makes control store and facts agree: what one of them says of a revocation or of a new password, both say afterwards.
///
/// # Errors
/// The control store's, or no password could be made. A store that cannot be read or written is reported and passed over: it is no reason
/// not to start.
pub fn reconcile(objects: &Objects, control: &Control, random: &Random, now_ns: i64) -> anyhow::Result<()> {
    let trace = Trace { who: AGAIN.to_owned(), address: AGAIN.to_owned(), at_ns: now_ns };
    let subscriptions = objects.subscriptions().unwrap_or_else(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "what was withdrawn could not be listed");
        Vec::new()
    });
    for subscription in subscriptions {
        revoked::reconcile(objects, control, &subscription, &trace)?;
        replaced::reconcile(objects, control, &subscription, random, &trace)?;
    }
    Ok(())
}

/// What the facts of one kind say, those that can be read; the others are scrubbing's to report.
pub(super) fn facts(objects: &Objects, subscription: &SubscriptionId, kind: FactKind) -> Vec<Fact> {
    let unreadable = |error: StoreError| {
        tracing::error!(%subscription, kind = kind.word(), error = &error as &dyn std::error::Error, "a fact cannot be read");
    };
    let names = objects.list(subscription, Folder::Facts(kind)).map_err(unreadable).unwrap_or_default();
    let read = |name| fact::read(objects, subscription, name).and_then(|known| known.decode()).map_err(unreadable).ok();
    names.iter().filter_map(read).collect()
}
