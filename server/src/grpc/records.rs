//! What the operators' services share: subscriptions by reference, and the trail of who looked at what.
//!
//! Invariant: an operator who reads something of one subscription leaves a row that its customer can read.

use std::collections::HashMap;
use std::sync::Arc;

use common::id::SubscriptionId;
use proto::code::Failure;

use super::caller::with_control;
use super::status;
use crate::control::Control;
use crate::control::audit::{Action, Event, Trace};
use crate::control::subscriptions::Subscription;

/// The subscription of an order form's reference.
///
/// # Errors
/// `NotFound`.
pub async fn find(control: &Arc<Control>, reference: String) -> Result<Subscription, Failure> {
    let find = move |control: &Control| control.subscription_by_reference(&reference);
    with_control(control, find).await?.ok_or_else(|| status::not_found("subscription"))
}

/// The subscription of a reference, with a row that tells its customer that `what` was looked at.
///
/// # Errors
/// `NotFound`.
pub async fn look(
    control: &Arc<Control>,
    reference: String,
    what: &'static str,
    trace: &Trace,
) -> Result<Subscription, Failure> {
    let found = find(control, reference).await?;
    let (id, trace) = (found.subscription, trace.clone());
    let record = move |control: &Control| {
        let event = Event { action: Action::Read, subscription: Some(id), object: what, result: "done" };
        control.record(&trace, &event)
    };
    with_control(control, record).await?;
    Ok(found)
}

/// Notes that an overview of all subscriptions was looked at; every customer can read that row.
///
/// # Errors
/// If the control store fails.
pub async fn overview(control: &Arc<Control>, what: &'static str, trace: &Trace) -> Result<(), Failure> {
    let trace = trace.clone();
    let record = move |control: &Control| {
        control.record(&trace, &Event { action: Action::List, subscription: None, object: what, result: "done" })
    };
    with_control(control, record).await
}

/// As [`look`] for one reference, as [`overview`] for none.
///
/// # Errors
/// `NotFound`.
pub async fn look_or_overview(
    control: &Arc<Control>,
    reference: String,
    what: &'static str,
    trace: &Trace,
) -> Result<Option<Subscription>, Failure> {
    if reference.is_empty() {
        overview(control, what, trace).await.map(|()| None)
    } else {
        look(control, reference, what, trace).await.map(Some)
    }
}

/// The references of all order forms.
///
/// # Errors
/// If the control store fails.
pub async fn references(control: &Arc<Control>) -> Result<HashMap<SubscriptionId, String>, Failure> {
    with_control(control, Control::references).await
}
