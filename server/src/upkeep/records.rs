//! Jobs on the provider's own records: signed checkpoints of the audit trail, amendments whose day has come.
//!
//! Invariant: an amendment that is applied late is only ever applied late: nothing here makes anything earlier than its day.

use std::sync::Arc;

use aws_lc_rs::signature::Ed25519KeyPair;
use jiff::SignedDuration;

use super::jobs::{JobKind, Spec};
use crate::control::Control;

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
