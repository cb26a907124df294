//! Judges finished days: each one that was over, or on which the daily change was refused, goes into the re-evaluation file; so
//! does a volume above the contracted one.
//!
//! It tells of today nothing but the volume: a day is judged finally when it is over.
//!
//! Invariant: a day is judged once, in its order; a job that did not run for a month judges every day of it.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, ToSpan};

use super::jobs::{Context, Counts, JobError, JobKind, Spec};
use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::contract::calendar::day_of;
use crate::contract::quota::Level;
use crate::contract::reevaluation::{Cause, OverDay};
use crate::contract::terms::Terms;
use crate::control::Control;
use crate::control::audit::Trace;
use crate::subscriptions::Subscriptions;
use crate::usage::day;

/// Judges every hour.
pub fn spec(control: Arc<Control>, subscriptions: Arc<Subscriptions>) -> Spec {
    Spec {
        kind: JobKind::Judge,
        every: SignedDuration::from_hours(1),
        for_server: false,
        run: Box::new(move |context| judge(&control, &subscriptions, context)),
    }
}

/// Judges the finished days of one subscription that were not judged yet, and its volume as it stands.
///
/// # Errors
/// The catalog's or the control store's; the days are then judged at the next run.
pub fn judge(control: &Control, subscriptions: &Subscriptions, context: &Context<'_>) -> Result<Counts, JobError> {
    let id = context.subscription()?;
    let terms = subscriptions.terms(id)?;
    let today = day_of(context.now);
    let from = match control.judged_until(id)? {
        Some(judged) => judged.saturating_add(1.day()),
        None => Date::MIN,
    };
    let mut over: Vec<OverDay> = Vec::new();
    let finished = from..today;
    let refusals = control.refusals(id, from)?;
    subscriptions.peek(id, |catalog, _| {
        catalog.at_once(|catalog| {
            for line in catalog.days(Some(from), None)?.iter().rev().filter(|line| finished.contains(&line.day)) {
                if day(line).level() == Level::Over {
                    over.push(OverDay {
                        day: line.day,
                        cause: Cause::DailyChange,
                        measured_bytes: line.counted_bytes,
                        allowed_bytes: line.allowed_bytes.unwrap_or(0),
                        baseline_bytes: baseline_bytes(catalog, &terms, line.day)?,
                    });
                }
            }
            for refusal in refusals.iter().filter(|refusal| finished.contains(&refusal.day)) {
                over.push(OverDay {
                    day: refusal.day,
                    cause: Cause::Refused,
                    measured_bytes: refusal.wanted_bytes,
                    allowed_bytes: refusal.allowed_bytes,
                    baseline_bytes: baseline_bytes(catalog, &terms, refusal.day)?,
                });
            }
            let (measured_bytes, allowed_bytes) = (catalog.used_bytes()?, terms.contracted_bytes);
            if measured_bytes > allowed_bytes {
                let cause = Cause::Volume;
                over.push(OverDay { day: today, cause, measured_bytes, allowed_bytes, baseline_bytes: 0 });
            }
            Ok::<_, CatalogError>(())
        })?;
        Ok(())
    })?;
    let trace = Trace { who: "server".to_owned(), address: "local".to_owned(), at_ns: context.now_ns() };
    control.judge(id, &over, today.yesterday().unwrap_or(Date::MIN), &trace)?;
    Ok(vec![("over", over.len() as u64)])
}

/// The baseline that a day's allowance came from.
fn baseline_bytes(catalog: &Catalog, terms: &Terms, day: Date) -> Result<u64, CatalogError> {
    Ok(terms.rate().baseline_bytes(&catalog.ledger(day)?.shares(terms, None)))
}
