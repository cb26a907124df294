//! Order forms and subscriptions as the wire carries them, and back.
//!
//! It does not judge: `contract::order_form` completes and checks what was asked for.

use jiff::Timestamp;
use jiff::civil::Date;
use proto::code::Failure;
use proto::convert::source_kind;
use proto::v1;

use super::caller::WireId;
use super::{convert, status};
use crate::contract::calendar::day_of;
use crate::contract::order_form::{KeyMode, OrderForm, OrderedSource, Price};
use crate::contract::quota::Policy;
use crate::contract::retention::{History, Period, Thinning};
use crate::control::subscriptions::{Source, Subscription};

/// A subscription at `now`, without what its catalog knows.
pub fn subscription(subscription: &Subscription, now: Timestamp) -> v1::Subscription {
    let term = subscription.term();
    let standing = term.standing(day_of(now));
    let day = |date: Option<Date>| date.map(|date| date.to_string()).unwrap_or_default();
    v1::Subscription {
        subscription: subscription.subscription.wire(),
        order_form: Some(order_form(&subscription.form, &subscription.sources)),
        state: convert::state(subscription.state(now)).into(),
        created_at_ns: subscription.created_at_ns,
        first_login_on: day(term.first_login),
        commissioned_on: day(term.commissioned),
        effective_on: day(term.effective()),
        commitment_end: day(standing.map(|standing| standing.commitment_end)),
        last_notice: day(standing.map(|standing| standing.last_notice)),
        ended_at_ns: subscription.ended_at_ns.unwrap_or_default(),
        ..v1::Subscription::default()
    }
}

/// An order form with the ids of its sources.
pub fn order_form(form: &OrderForm, sources: &[Source]) -> v1::OrderForm {
    let thinning = |rule: &Thinning| v1::Thinning { every: period(rule.every).into(), days: rule.days };
    let price = |price: &Price| v1::Price { label: price.label.clone(), cents: price.cents, per: price.per.clone() };
    v1::OrderForm {
        reference: form.reference.clone(),
        customer: form.customer.clone(),
        contracted_bytes: form.contracted_bytes,
        history_days: form.history.days,
        per_mille: form.per_mille,
        hard_volume_bytes: form.hard_volume_bytes,
        key_mode: key_mode(form.key_mode).into(),
        sources: sources.iter().map(ordered_source).collect(),
        contact: form.contact.clone(),
        policy: policy(form.policy).into(),
        min_daily_allowance_bytes: form.min_daily_allowance_bytes,
        thinning: form.history.thinning.iter().map(thinning).collect(),
        period_h: form.period_h,
        tolerance_h: form.tolerance_h,
        prices: form.prices.iter().map(price).collect(),
        signed_on: form.signed_on.map(|date| date.to_string()).unwrap_or_default(),
        commitment_months: form.commitment_months,
        renewal_months: form.renewal_months,
        notice_months: form.notice_months,
    }
}

/// An order form as asked for, completed and checked.
///
/// # Errors
/// `InvalidArgument` naming the first field that is not allowed.
pub fn order_form_from(form: v1::OrderForm) -> Result<OrderForm, Failure> {
    let (key_mode, policy) = (key_mode_from(form.key_mode()), policy_from(form.policy()));
    let thinning = form.thinning.iter().map(thinning_from).collect::<Result<_, Failure>>()?;
    let form = OrderForm {
        reference: form.reference,
        customer: form.customer,
        contracted_bytes: form.contracted_bytes,
        hard_volume_bytes: form.hard_volume_bytes,
        per_mille: form.per_mille,
        min_daily_allowance_bytes: form.min_daily_allowance_bytes,
        policy,
        history: History { days: form.history_days, thinning },
        period_h: form.period_h,
        tolerance_h: form.tolerance_h,
        key_mode,
        sources: form.sources.into_iter().map(source_from).collect::<Result<_, Failure>>()?,
        prices: form.prices.iter().map(price_from).collect(),
        signed_on: optional_day("signed_on", &form.signed_on)?,
        commitment_months: form.commitment_months,
        renewal_months: form.renewal_months,
        notice_months: form.notice_months,
        contact: form.contact,
    };
    form.complete().map_err(|error| status::of_order_form(&error))
}

/// A civil day of a request that may be left out.
///
/// # Errors
/// `InvalidArgument` naming the field.
pub fn optional_day(field: &str, text: &str) -> Result<Option<Date>, Failure> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| status::invalid(field, "date")),
    }
}

/// A source as asked for.
///
/// # Errors
/// `InvalidArgument` for a kind that is not on the closed list.
pub fn source_from(source: v1::OrderedSource) -> Result<OrderedSource, Failure> {
    let kind = source_kind::from_wire(source.kind).ok_or_else(|| status::invalid("sources", "kind"))?;
    Ok(OrderedSource { name: source.name, kind })
}

/// A rule of thinning as asked for.
///
/// # Errors
/// `InvalidArgument` without a period.
pub fn thinning_from(rule: &v1::Thinning) -> Result<Thinning, Failure> {
    let every = match rule.every() {
        v1::Period::Hour => Period::Hour,
        v1::Period::Day => Period::Day,
        v1::Period::Week => Period::Week,
        v1::Period::Month => Period::Month,
        v1::Period::Year => Period::Year,
        v1::Period::Unspecified => return Err(status::invalid("thinning", "missing")),
    };
    Ok(Thinning { every, days: rule.days })
}

fn ordered_source(source: &Source) -> v1::OrderedSource {
    v1::OrderedSource {
        source: source.source.wire(),
        name: source.name.clone(),
        kind: source_kind::to_wire(source.kind).into(),
    }
}

/// A price as asked for.
pub fn price_from(price: &v1::Price) -> Price {
    Price { label: price.label.clone(), cents: price.cents, per: price.per.clone() }
}

const fn key_mode(mode: KeyMode) -> v1::KeyMode {
    match mode {
        KeyMode::CustomerHeld => v1::KeyMode::CustomerHeld,
        KeyMode::ProviderHeld => v1::KeyMode::ProviderHeld,
    }
}

const fn key_mode_from(mode: v1::KeyMode) -> KeyMode {
    match mode {
        v1::KeyMode::ProviderHeld => KeyMode::ProviderHeld,
        v1::KeyMode::CustomerHeld | v1::KeyMode::Unspecified => KeyMode::CustomerHeld,
    }
}

/// What happens above a day's allowance.
pub const fn policy(policy: Policy) -> v1::ChangePolicy {
    match policy {
        Policy::Flag => v1::ChangePolicy::Flag,
        Policy::Defer => v1::ChangePolicy::Defer,
        Policy::Refuse => v1::ChangePolicy::Refuse,
    }
}

/// What happens above a day's allowance, as asked for.
pub const fn policy_from(policy: v1::ChangePolicy) -> Policy {
    match policy {
        v1::ChangePolicy::Flag | v1::ChangePolicy::Unspecified => Policy::Flag,
        v1::ChangePolicy::Defer => Policy::Defer,
        v1::ChangePolicy::Refuse => Policy::Refuse,
    }
}

const fn period(period: Period) -> v1::Period {
    match period {
        Period::Hour => v1::Period::Hour,
        Period::Day => v1::Period::Day,
        Period::Week => v1::Period::Week,
        Period::Month => v1::Period::Month,
        Period::Year => v1::Period::Year,
    }
}
