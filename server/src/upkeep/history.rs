//! The jobs that keep the history to its length: expire, mark, purge, compact, once a day and subscription.
//!
//! They run in this order; each leaves the next one something that is safe to find, also if it ends in the middle.

use std::sync::Arc;

use jiff::SignedDuration;

use crate::session::subscription::Subscription;
use crate::subscriptions::Subscriptions;
use crate::upkeep::compact::compact;
use crate::upkeep::expire::expire;
use crate::upkeep::guard::Guards;
use crate::upkeep::jobs::{Context, Counts, JobError, JobKind, Spec};
use crate::upkeep::mark::{MarkSettings, mark};
use crate::upkeep::purge::purge;
use crate::upkeep::remove::Pass;
use crate::upkeep::token::Token;

/// How long a day's upkeep waits for the next.
const DAILY: SignedDuration = SignedDuration::from_hours(24);

type Work = fn(&Subscription, &Pass<'_>, &Token) -> Result<Counts, JobError>;

/// The four jobs. `memory_bytes_max` bounds what mark holds.
pub fn history_jobs(guards: &Guards, subscriptions: &Arc<Subscriptions>, memory_bytes_max: u64) -> Vec<Spec> {
    let guarded = |kind, work: Work| {
        let (guards, subscriptions) = (guards.clone(), subscriptions.clone());
        let run = move |context: &Context<'_>| {
            let open = subscriptions.get(context.subscription()?)?;
            work(&open, &guards.admit(&open, context.now)?, context.token)
        };
        Spec { kind, every: DAILY, for_server: false, run: Box::new(run) }
    };
    let marking = {
        let (guards, subscriptions) = (guards.clone(), subscriptions.clone());
        move |context: &Context<'_>| {
            let open = subscriptions.get(context.subscription()?)?;
            // The grace of what moves to trash runs by the clock of the guards, which purging will compare it with.
            let now = guards.tick(context.now)?;
            let now_ns = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
            mark(&open, MarkSettings { now_ns, memory_bytes_max }, context.token)
        }
    };
    vec![
        guarded(JobKind::Expire, expire),
        Spec { kind: JobKind::Mark, every: DAILY, for_server: false, run: Box::new(marking) },
        guarded(JobKind::Purge, purge),
        guarded(JobKind::Compact, compact),
    ]
}
