//! `dobaas-admin subscription` (order forms): create, list, show.

use clap::ArgMatches;
use common::id::SubscriptionId;
use common::source_kind::SourceKind;
use common::text::date::moment;
use proto::convert::source_kind;
use proto::v1;
use proto::v1::admin_client::AdminClient;
use serde::Serialize;

use super::command::Context;
use super::failure::AdminError;
use super::remote::{Remote, answer};
use super::table::{self, figures, words};
use super::volume;
use crate::cli::arguments::text;

#[derive(Serialize)]
struct Shown {
    subscription: String,
    reference: String,
    customer: String,
    contracted_bytes: u64,
    hard_volume_bytes: u64,
    history_days: u32,
    per_mille: u32,
    key_mode: &'static str,
    sources: Vec<ShownSource>,
    contact: String,
    state: &'static str,
    created_at: String,
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

/// Records an order form and makes its subscription.
///
/// # Errors
/// A value that cannot be used, or what the server refused.
pub async fn create(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let form = order_form(matches)?;
    let remote = context.remote().await?;
    let request = v1::CreateSubscriptionRequest { order_form: Some(form) };
    let reply = answer(AdminClient::new(remote.channel()).create_subscription(remote.request(request))).await?;
    let shown = shown(reply.subscription.unwrap_or_default());
    context.output.document(&shown)?;
    Ok(context.output.say("admin-subscription-created", &[("reference", shown.reference.into())])?)
}

/// Lists the subscriptions, or those of one customer.
///
/// # Errors
/// What the server refused.
pub async fn list(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let customer = text(matches, "customer").unwrap_or_default().to_owned();
    let all: Vec<Shown> = read(&remote, customer).await?.into_iter().map(shown).collect();
    context.output.document(&all)?;
    let texts = context.output.texts;
    let known = |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), |bytes| texts.size(bytes));
    let row = |shown: &Shown| {
        vec![
            shown.reference.clone(),
            shown.customer.clone(),
            texts.size(shown.contracted_bytes),
            known(shown.used_bytes),
            known(shown.changed_today_bytes),
            shown.snapshots.to_string(),
            texts.say(&format!("subscription-state-{}", shown.state)),
        ]
    };
    let columns = [
        words("reference"),
        words("customer"),
        figures("volume"),
        figures("used"),
        figures("changed"),
        figures("snapshots"),
        words("state"),
    ];
    Ok(table::print(context, &columns, &all.iter().map(row).collect::<Vec<_>>())?)
}

/// Shows one subscription whole.
///
/// # Errors
/// What the server refused; not found if there is no such reference.
pub async fn show(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let wanted = text(matches, "reference").unwrap_or_default();
    let all = read(&remote, String::new()).await?;
    let found = all.into_iter().map(shown).find(|shown| shown.reference == wanted);
    let shown = found.ok_or_else(|| AdminError::Refused(crate::grpc::status::not_found(wanted)))?;
    context.output.document(&shown)?;
    let texts = context.output.texts;
    let sources: Vec<String> =
        shown.sources.iter().map(|source| format!("{}:{} ({})", source.kind, source.name, source.source)).collect();
    let key_mode = texts.say(&format!("key-mode-{}", shown.key_mode.replace('_', "-")));
    let lines = [
        ("reference", shown.reference),
        ("customer", shown.customer),
        ("subscription", shown.subscription),
        ("state", texts.say(&format!("subscription-state-{}", shown.state))),
        ("volume", texts.size(shown.contracted_bytes)),
        ("hard-volume", texts.size(shown.hard_volume_bytes)),
        ("history", texts.integer(u64::from(shown.history_days))),
        ("per-mille", texts.percent(u64::from(shown.per_mille), 1_000)),
        ("key-mode", key_mode),
        ("sources", sources.join(", ")),
        ("contact", shown.contact),
        ("used", shown.used_bytes.map_or_else(|| "?".to_owned(), |bytes| texts.size(bytes))),
        ("changed", shown.changed_today_bytes.map_or_else(|| "?".to_owned(), |bytes| texts.size(bytes))),
        ("snapshots", texts.integer(shown.snapshots)),
    ];
    let pairs: Vec<(String, String)> =
        lines.into_iter().map(|(name, value)| (texts.say(&format!("admin-head-{name}")), value)).collect();
    Ok(context.output.pairs(&pairs)?)
}

async fn read(remote: &Remote, customer: String) -> Result<Vec<v1::Subscription>, AdminError> {
    let request = remote.request(v1::ListSubscriptionsRequest { customer });
    Ok(answer(AdminClient::new(remote.channel()).list_subscriptions(request)).await?.subscriptions)
}

fn order_form(matches: &ArgMatches) -> Result<v1::OrderForm, AdminError> {
    let part = |name| text(matches, name).unwrap_or_default().to_owned();
    let bytes = |name: &'static str| match text(matches, name) {
        None => Ok(0),
        Some(given) => volume::parse(given).ok_or_else(|| AdminError::value(name, given)),
    };
    let number = |name| matches.get_one::<u32>(name).copied().unwrap_or_default();
    let sources = matches.get_many::<String>("source").into_iter().flatten();
    let key_mode = match text(matches, "key-mode") {
        Some("provider_held") => v1::KeyMode::ProviderHeld,
        _ => v1::KeyMode::CustomerHeld,
    };
    Ok(v1::OrderForm {
        reference: part("reference"),
        customer: part("customer"),
        contracted_bytes: bytes("volume")?,
        history_days: number("history"),
        per_mille: number("per-mille"),
        hard_volume_bytes: bytes("hard-volume")?,
        key_mode: key_mode.into(),
        sources: sources.map(|text| ordered_source(text)).collect::<Result<_, _>>()?,
        contact: part("contact"),
        ..v1::OrderForm::default()
    })
}

/// A source as `files:bureautique`.
fn ordered_source(given: &str) -> Result<v1::OrderedSource, AdminError> {
    let (kind, name) = given.split_once(':').ok_or_else(|| AdminError::value("source", given))?;
    let kind: SourceKind = kind.parse().map_err(|_| AdminError::Kind { name: kind.to_owned() })?;
    Ok(v1::OrderedSource { name: name.to_owned(), kind: source_kind::to_wire(kind).into(), ..Default::default() })
}

fn shown(subscription: v1::Subscription) -> Shown {
    let state = match subscription.state() {
        v1::SubscriptionState::Suspended => "suspended",
        v1::SubscriptionState::Ended => "ended",
        v1::SubscriptionState::Active | v1::SubscriptionState::Unspecified => "active",
    };
    let form = subscription.order_form.unwrap_or_default();
    let key_mode = match form.key_mode() {
        v1::KeyMode::ProviderHeld => "provider_held",
        v1::KeyMode::CustomerHeld | v1::KeyMode::Unspecified => "customer_held",
    };
    let source = |source: v1::OrderedSource| ShownSource {
        source: hex(&source.source),
        kind: source_kind::from_wire(source.kind).map_or_else(String::new, |kind| kind.to_string()),
        name: source.name,
    };
    let id = SubscriptionId::try_from(&subscription.subscription[..]);
    Shown {
        subscription: id.map_or_else(|_| String::new(), |id| id.to_string()),
        reference: form.reference,
        customer: form.customer,
        contracted_bytes: form.contracted_bytes,
        hard_volume_bytes: form.hard_volume_bytes,
        history_days: form.history_days,
        per_mille: form.per_mille,
        key_mode,
        sources: form.sources.into_iter().map(source).collect(),
        contact: form.contact,
        state,
        created_at: moment(subscription.created_at_ns).to_string(),
        used_bytes: subscription.today.as_ref().map(|today| today.used_bytes),
        changed_today_bytes: subscription.today.as_ref().map(|today| today.changed_bytes),
        snapshots: subscription.snapshots,
        newest_at: (subscription.newest_at_ns != 0).then(|| moment(subscription.newest_at_ns).to_string()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
