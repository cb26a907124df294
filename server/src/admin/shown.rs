//! A subscription as `--json` shows it: every parameter of its order form, its dates and its use.

use common::id::SubscriptionId;
use common::text::date::moment;
use proto::convert::source_kind;
use proto::v1;
use serde::Serialize;

/// A subscription for programs.
#[derive(Serialize)]
pub struct Shown {
    subscription: String,
    /// Reference of the order form.
    pub reference: String,
    customer: String,
    contracted_bytes: u64,
    hard_volume_bytes: u64,
    history_days: u32,
    thinning: Vec<ShownThinning>,
    per_mille: u32,
    policy: &'static str,
    min_daily_allowance_bytes: u64,
    period_h: u32,
    tolerance_h: u32,
    key_mode: &'static str,
    sources: Vec<ShownSource>,
    prices: Vec<ShownPrice>,
    contact: String,
    /// Stable name of its state.
    pub state: &'static str,
    created_at: String,
    signed_on: Option<String>,
    first_login_on: Option<String>,
    effective_on: Option<String>,
    commissioned_on: Option<String>,
    commitment_months: u32,
    renewal_months: u32,
    notice_months: u32,
    commitment_end: Option<String>,
    last_notice: Option<String>,
    ended_at: Option<String>,
    used_bytes: Option<u64>,
    changed_today_bytes: Option<u64>,
    snapshots: u64,
    newest_at: Option<String>,
}

#[derive(Serialize)]
struct ShownSource {
    source: String,
    kind: String,
    name: String,
}

#[derive(Serialize)]
struct ShownThinning {
    every: &'static str,
    days: u32,
}

#[derive(Serialize)]
struct ShownPrice {
    label: String,
    cents: u64,
    per: String,
}

/// What programs read of a subscription.
pub fn shown(subscription: &v1::Subscription) -> Shown {
    let form = subscription.order_form.clone().unwrap_or_default();
    let thinning = |rule: &v1::Thinning| ShownThinning { every: period_name(rule.every()), days: rule.days };
    let (key_mode, policy) = (key_mode_name(form.key_mode()), policy_name(form.policy()));
    let thinning = form.thinning.iter().map(thinning).collect();
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let at = |ns: i64| (ns != 0).then(|| moment(ns).to_string());
    let id = SubscriptionId::try_from(&subscription.subscription[..]);
    Shown {
        subscription: id.map_or_else(|_| String::new(), |id| id.to_string()),
        contracted_bytes: form.contracted_bytes,
        hard_volume_bytes: form.hard_volume_bytes,
        history_days: form.history_days,
        thinning,
        per_mille: form.per_mille,
        policy,
        min_daily_allowance_bytes: form.min_daily_allowance_bytes,
        period_h: form.period_h,
        tolerance_h: form.tolerance_h,
        key_mode,
        state: state_name(subscription.state()),
        created_at: moment(subscription.created_at_ns).to_string(),
        signed_on: given(&form.signed_on),
        first_login_on: given(&subscription.first_login_on),
        effective_on: given(&subscription.effective_on),
        commissioned_on: given(&subscription.commissioned_on),
        commitment_months: form.commitment_months,
        renewal_months: form.renewal_months,
        notice_months: form.notice_months,
        commitment_end: given(&subscription.commitment_end),
        last_notice: given(&subscription.last_notice),
        ended_at: at(subscription.ended_at_ns),
        used_bytes: subscription.today.as_ref().map(|today| today.used_bytes),
        changed_today_bytes: subscription.today.as_ref().map(|today| today.changed_bytes),
        snapshots: subscription.snapshots,
        newest_at: at(subscription.newest_at_ns),
        sources: form.sources.into_iter().map(shown_source).collect(),
        prices: form.prices.into_iter().map(shown_price).collect(),
        reference: form.reference,
        customer: form.customer,
        contact: form.contact,
    }
}

fn shown_source(source: v1::OrderedSource) -> ShownSource {
    ShownSource {
        source: source.source.iter().map(|byte| format!("{byte:02x}")).collect(),
        kind: source_kind::from_wire(source.kind).map_or_else(String::new, |kind| kind.to_string()),
        name: source.name,
    }
}

fn shown_price(price: v1::Price) -> ShownPrice {
    ShownPrice { label: price.label, cents: price.cents, per: price.per }
}

/// Stable name of a state.
pub const fn state_name(state: v1::SubscriptionState) -> &'static str {
    match state {
        v1::SubscriptionState::Suspended => "suspended",
        v1::SubscriptionState::Ended => "ended",
        v1::SubscriptionState::Active | v1::SubscriptionState::Unspecified => "active",
    }
}

/// Stable name of a key mode.
pub const fn key_mode_name(mode: v1::KeyMode) -> &'static str {
    match mode {
        v1::KeyMode::ProviderHeld => "provider_held",
        v1::KeyMode::CustomerHeld | v1::KeyMode::Unspecified => "customer_held",
    }
}

/// Stable name of a policy.
pub const fn policy_name(policy: v1::ChangePolicy) -> &'static str {
    match policy {
        v1::ChangePolicy::Flag | v1::ChangePolicy::Unspecified => "flag",
        v1::ChangePolicy::Defer => "defer",
        v1::ChangePolicy::Refuse => "refuse",
    }
}

/// Stable name of a period.
pub const fn period_name(period: v1::Period) -> &'static str {
    match period {
        v1::Period::Hour => "hour",
        v1::Period::Day => "day",
        v1::Period::Week => "week",
        v1::Period::Month => "month",
        v1::Period::Year | v1::Period::Unspecified => "year",
    }
}
