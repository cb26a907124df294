//! A key holder read a whole snapshot back: noted as a fact beside the packs, so that a rebuilt catalog knows it too.
//!
//! Invariant: the fact is durable before the answer; at most one a day and snapshot is kept, so reports cannot fill a disk.

use common::id::SessionId;
use common::stored::Fact;
use prost::Message;

use crate::session::error::SessionError;
use crate::session::subscription::Subscription;
use crate::store::error::StoreError;
use crate::store::name::FactKind;
use crate::upkeep::quarantine::fact_name;

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
            let fact = Fact {
                version: 1,
                kind: FactKind::Verified.word().to_owned(),
                id: session.as_bytes().to_vec(),
                at_ns: now_ns,
                by,
                body: Vec::new(),
            };
            let fact = fact.encode_to_vec();
            let name = fact_name(FactKind::Verified, &fact);
            match writer.shared.objects.publish(&writer.shared.subscription, &name, &fact) {
                Ok(()) | Err(StoreError::AlreadyExists(_)) => {}
                Err(error) => return Err(error.into()),
            }
            writer.catalog.set_verified(&session, now_ns)?;
            Ok(())
        })
    }
}
