//! What becomes of each snapshot of a subscription, and what another history would change, as operators see it.
//!
//! It decides nothing: `contract::retention` does, as upkeep asks it.

use common::text::date::nanoseconds;
use std::collections::BTreeSet;

use common::id::SessionId;
use common::stored::SnapshotState;
use jiff::{SignedDuration, Timestamp};
use proto::code::Failure;
use proto::v1;

use super::failure::session_failure;
use super::upkeep::source_name;
use crate::contract::order_form::HISTORY_DAYS_MAX;
use crate::contract::retention::{Fate, History, Outlook};
use crate::control::subscriptions::Subscription;
use crate::session::error::SessionError;
use crate::session::subscription::Subscription as Open;
use crate::upkeep::expire::{fates, outlook};
use crate::upkeep::facts::{Frozen, frozen};

/// How far ahead of the history's end is looked, in days.
const AHEAD_DAYS: u32 = 8;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What the present history is compared with.
pub struct Compared<'a> {
    /// Another history.
    pub with: Option<&'a History>,
    /// The moment that it is about.
    pub now: Timestamp,
}

/// Every snapshot of a subscription, by source, oldest first.
///
/// # Errors
/// If the catalog or a fact cannot be read.
pub fn snapshots(
    open: &Open,
    known: &Subscription,
    compared: &Compared<'_>,
) -> Result<Vec<v1::SnapshotOutlook>, Failure> {
    gather(open, known, compared).map_err(|error| session_failure(&error))
}

fn gather(
    open: &Open,
    known: &Subscription,
    compared: &Compared<'_>,
) -> Result<Vec<v1::SnapshotOutlook>, SessionError> {
    let shared = open.shared();
    let frozen = open.read(|catalog| frozen(&shared.objects, &shared.subscription, catalog))?;
    let terms = known.terms();
    let (history, pauses, now) = (&terms.history, terms.pauses(), compared.now);
    let ahead = (DAY, history.days.saturating_add(AHEAD_DAYS).min(HISTORY_DAYS_MAX));
    let all = outlook(open, ((history, &pauses), now), &frozen, ahead)?;
    let shorter = compared.with.map(|with| fates(open, (with, &pauses), &frozen, now)).transpose()?;
    let goes = |(session, fate): (SessionId, Fate)| (fate == Fate::Expire).then_some(session);
    let shorter: BTreeSet<SessionId> =
        shorter.into_iter().flat_map(std::collections::BTreeMap::into_values).flatten().filter_map(goes).collect();
    let mut shown = Vec::new();
    for (source, outlooks) in all {
        let name = source_name(known, &source);
        for one in outlooks {
            let Some(row) = open.read(|catalog| Ok(catalog.snapshot(&one.session)?))? else { continue };
            let kept = frozen.keeps(&one.session, nanoseconds(now));
            shown.push(v1::SnapshotOutlook {
                snapshot: one.session.to_string(),
                source: name.clone(),
                received_at_ns: row.server.received_at_ns,
                complete: row.state == SnapshotState::Complete,
                reason: reason(&one, &frozen, now).to_owned(),
                goes_at_ns: one.goes_at.filter(|_| !kept).map_or(0, nanoseconds),
                goes_if_shorter: !kept && shorter.contains(&one.session),
            });
        }
    }
    Ok(shown)
}

/// The snapshots that a shorter history would not keep and the present one does.
pub fn going(snapshots: Vec<v1::SnapshotOutlook>) -> Vec<v1::SnapshotOutlook> {
    snapshots.into_iter().filter(|snapshot| snapshot.goes_if_shorter && !snapshot.reason.is_empty()).collect()
}

fn reason(one: &Outlook, frozen: &Frozen, now: Timestamp) -> &'static str {
    match one.fate {
        Fate::Keep(reason) => reason.name(),
        Fate::Expire if frozen.keeps(&one.session, nanoseconds(now)) => "suspect",
        Fate::Expire => "",
    }
}
