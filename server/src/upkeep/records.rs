//! Jobs on the provider's own records: signed checkpoints of the audit trail, amendments whose day has come.
//!
//! Invariant: an amendment that is applied late is only ever applied late: nothing here makes anything earlier than its day.

use std::sync::Arc;

use aws_lc_rs::signature::Ed25519KeyPair;
use common::stored::SnapshotState;
use jiff::SignedDuration;

use super::jobs::{JobError, JobKind, Spec};
use crate::control::Control;
use crate::control::audit::Trace;
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

/// Applies amendments whose day has come, and notes from which backup the commitment runs (B-021).
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

/// Notes the first complete backup of each subscription that has one by now; how many had not been noted.
///
/// # Errors
/// The control store's, or the first subscription's that cannot be read: the next run looks again.
pub fn commission(control: &Control, subscriptions: &Subscriptions) -> Result<u64, JobError> {
    let stored = subscriptions.stored().map_err(SessionError::from)?;
    let mut noted = 0;
    for known in control.subscriptions(None)? {
        if known.commissioned_at_ns.is_some() || !stored.contains(&known.subscription) {
            continue;
        }
        let snapshots = subscriptions.get(&known.subscription)?.read(|catalog| Ok(catalog.snapshots()?))?;
        let complete = snapshots.iter().filter(|snapshot| snapshot.state == SnapshotState::Complete);
        if let Some(first_ns) = complete.map(|snapshot| snapshot.server.received_at_ns).min() {
            control.note_commissioned(&known.subscription, first_ns)?;
            noted += 1;
        }
    }
    Ok(noted)
}
