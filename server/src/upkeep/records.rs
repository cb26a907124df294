//! Jobs on the provider's own records: signed checkpoints of the audit trail, amendments whose day has come.
//!
//! Invariant: an amendment that is applied late is only ever applied late: nothing here makes anything earlier than its day.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::signature::Ed25519KeyPair;
use common::id::SourceId;
use jiff::SignedDuration;

use super::jobs::{JobError, JobKind, Spec};
use crate::control::Control;
use crate::control::audit::Trace;
use crate::control::subscriptions::Subscription;
use crate::session::error::SessionError;
use crate::subscriptions::Subscriptions;

/// Signs the audit trail every hour; nothing if nothing was added.
pub fn checkpoint(control: Arc<Control>, key: Arc<Ed25519KeyPair>) -> Spec {
    Spec {
        kind: JobKind::Checkpoint,
        every: SignedDuration::from_hours(1),
        for_server: true,
        run: Box::new(move |context| {
            let signed = control.sign_checkpoint(&key, context.now_ns())?;
            Ok(signed.map(|checkpoint| ("records", checkpoint.records)).into_iter().collect())
        }),
    }
}

/// Applies amendments whose day has come, and notes from when the commitment runs (B-021).
pub fn amend(control: Arc<Control>, subscriptions: Arc<Subscriptions>) -> Spec {
    Spec {
        kind: JobKind::Amend,
        every: SignedDuration::from_mins(5),
        for_server: true,
        run: Box::new(move |context| {
            let trace = Trace { who: "server".to_owned(), address: "local".to_owned(), at_ns: context.now_ns() };
            let applied = control.apply_amendments(&trace)?;
            let commissioned = commission(&control, &subscriptions)?;
            Ok(vec![("applied", applied), ("commissioned", commissioned)])
        }),
    }
}

/// Notes the commissioning of each subscription of whose every source a complete snapshot was received by now; how many had not been
/// noted. One that cannot be read is left to the next run, and the others are looked at all the same.
///
/// # Errors
/// The control store's, or those of listing what is stored.
pub fn commission(control: &Control, subscriptions: &Subscriptions) -> Result<u64, JobError> {
    let stored = subscriptions.stored().map_err(SessionError::from)?;
    let mut noted = 0;
    for known in control.subscriptions(None)? {
        if known.commissioned_at_ns.is_some() || !stored.contains(&known.subscription) {
            continue;
        }
        match subscriptions.peek(&known.subscription, |catalog, _| Ok(catalog.baseline_times()?)) {
            Ok(first) => {
                let first = first.unwrap_or_default();
                if let Some(at_ns) = commissioned_at_ns(&known, &first) {
                    control.note_commissioned(&known.subscription, at_ns)?;
                    noted += 1;
                }
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, subscription = %known.subscription, "a commissioning could not be looked for");
            }
        }
    }
    Ok(noted)
}

/// When the last of the sources had its first complete snapshot; none while one has none.
fn commissioned_at_ns(known: &Subscription, first: &BTreeMap<SourceId, i64>) -> Option<i64> {
    let times = known.sources.iter().map(|source| first.get(&source.source).copied());
    times.collect::<Option<Vec<_>>>()?.into_iter().max()
}
