//! A key holder read a whole snapshot back: noted as a fact beside the packs, so that a rebuilt catalog knows it too.
//!
//! Invariant: the fact is durable before the answer; at most one a day and snapshot is kept, so reports cannot fill a disk.

use common::id::SessionId;

use crate::catalog::error::CatalogError;
use crate::session::error::SessionError;
use crate::session::subscription::Subscription;
use crate::store::fact::{self, NewFact};
use crate::store::name::FactKind;

/// A report this soon after the last one adds nothing, in nanoseconds.
const REPORT_NS_MIN: i64 = 86_400_000_000_000;

impl Subscription {
    /// Notes that `by` verified a whole snapshot at `now_ns`.
    ///
    /// # Errors
    /// [`SessionError::Unknown`] if there is no such snapshot.
    pub fn report_verified(&self, session: SessionId, by: String, now_ns: i64) -> Result<(), SessionError> {
        self.writer().run(move |writer| {
            let known = writer.catalog.snapshot(&session)?.ok_or(SessionError::Unknown)?;
            if known.verified_at_ns != 0 && now_ns.saturating_sub(known.verified_at_ns) < REPORT_NS_MIN {
                return Ok(());
            }
            let (kind, about) = (FactKind::Verified, &session.as_bytes()[..]);
            let new = NewFact { kind, about, at_ns: now_ns, by: &by, body: Vec::new() };
            let fact = fact::publish(&writer.shared.objects, &writer.shared.subscription, new)?;
            writer.catalog.atomically::<_, CatalogError>(|catalog| {
                catalog.insert_fact(&fact)?;
                catalog.set_verified(&session, now_ns)
            })?;
            Ok(())
        })
    }
}
