//! The jobs that keep the history to its length: expire, mark, purge, compact, once a day and subscription; and what announces
//! what is to go and what saves good frames of damaged packs, which remove nothing and go on while nothing may be removed.
//!
//! They run in this order; each leaves the next one something that is safe to find, also if it ends in the middle.

use std::sync::Arc;

use jiff::SignedDuration;

use crate::session::error::SessionError;
use crate::session::subscription::Subscription;
use crate::subscriptions::Subscriptions;
use crate::upkeep::compact::compact;
use crate::upkeep::expire::{announce_coming, expire};
use crate::upkeep::guard::Guards;
use crate::upkeep::jobs::{Context, Counts, JobError, JobKind, Spec};
use crate::upkeep::mark::{MarkSettings, mark};
use crate::upkeep::purge::purge;
use crate::upkeep::remove::Pass;
use crate::upkeep::repair::repair;
use crate::upkeep::token::Token;

/// How long a day's upkeep waits for the next.
const DAILY: SignedDuration = SignedDuration::from_hours(24);

type Work = fn(&Subscription, &Pass<'_>, &Token) -> Result<Counts, JobError>;

/// The jobs. `memory_bytes_max` bounds what mark holds.
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
    let announcing = {
        let (guards, subscriptions) = (guards.clone(), subscriptions.clone());
        move |context: &Context<'_>| announce_all(&guards, &subscriptions, context)
    };
    let repairing = {
        let subscriptions = subscriptions.clone();
        move |context: &Context<'_>| {
            repair(&*subscriptions.get(context.subscription()?)?, context.now_ns(), context.token)
        }
    };
    vec![
        // For the server: it must not be paused with the subscription whose jobs are.
        Spec { kind: JobKind::Announce, every: DAILY, for_server: true, run: Box::new(announcing) },
        Spec { kind: JobKind::Repair, every: DAILY, for_server: false, run: Box::new(repairing) },
        guarded(JobKind::Expire, expire),
        Spec { kind: JobKind::Mark, every: DAILY, for_server: false, run: Box::new(marking) },
        guarded(JobKind::Purge, purge),
        guarded(JobKind::Compact, compact),
    ]
}

/// Announces what is to go of every subscription. One that cannot be opened does not keep the others.
fn announce_all(guards: &Guards, subscriptions: &Subscriptions, context: &Context<'_>) -> Result<Counts, JobError> {
    let now = guards.tick(context.now)?;
    let (mut announced, mut failed) = (0, 0);
    for id in subscriptions.stored().map_err(SessionError::from)? {
        context.token.go_on()?;
        let open = subscriptions.get(&id).map_err(JobError::from);
        match open.and_then(|open| announce_coming(&open, guards, now)) {
            Ok(count) => announced += count,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, subscription = %id, "nothing was announced");
                failed += 1;
            }
        }
    }
    Ok(vec![("announced", announced), ("failed", failed)])
}
