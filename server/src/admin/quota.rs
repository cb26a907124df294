//! `dobaas-admin quota`: who changes how much of what the contract allows.

use clap::{ArgMatches, Command, value_parser};
use common::text::Texts;
use proto::v1;
use proto::v1::quotas_client::QuotasClient;
use serde::Serialize;

use super::command::{Context, group};
use super::failure::AdminError;
use super::remote::{Remote, answer};
use super::table::{self, figures, words};
use crate::cli::arguments::{argument, flag, option, subcommand, text};

/// What a list can be sorted by; all but the reference and the forecast begin with the largest.
const KEYS: [&str; 6] = ["rate", "mean", "peak", "days-over", "forecast", "reference"];

#[derive(Serialize)]
struct Shown {
    subscription: String,
    readable: bool,
    day: String,
    state: &'static str,
    since: String,
    counted_bytes: u64,
    allowed_bytes: u64,
    baseline_bytes: u64,
    used_bytes: u64,
    contracted_bytes: u64,
    mean_7_bytes: u64,
    mean_30_bytes: u64,
    peak: Option<ShownDay>,
    days_over: u32,
    days_near: u32,
    until_over_days: Option<u32>,
    sources: Vec<ShownSource>,
}

/// One day.
#[derive(Serialize)]
pub struct ShownDay {
    /// Which.
    pub day: String,
    /// Bytes that count against the allowance.
    pub counted_bytes: u64,
    /// Bytes that may change.
    pub allowed_bytes: u64,
    /// Its state, a stable word.
    pub state: &'static str,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes stored.
    pub stored_bytes: u64,
    /// Complete snapshots.
    pub complete: u32,
    /// Partial ones.
    pub partial: u32,
}

#[derive(Serialize)]
struct ShownSource {
    name: String,
    changed_bytes: u64,
    sent_bytes: u64,
}

/// One subscription with its last days.
#[derive(Serialize)]
pub struct ShownOne {
    quota: Shown,
    /// Days with a snapshot, newest first.
    pub days: Vec<ShownDay>,
}

/// The commands.
pub fn command(texts: Texts) -> Command {
    let list = subcommand("list", "admin-quota-list", texts)
        .arg(flag("over", texts))
        .arg(option("above", "80", texts).value_parser(value_parser!(u32).range(1..=1_000)))
        .arg(option("sort", "KEY", texts).value_parser(KEYS).default_value("rate"));
    let show = subcommand("show", "admin-quota-show", texts).arg(argument("reference", "REFERENCE", texts));
    group("quota", "admin-quota", texts).subcommand(list).subcommand(show)
}

/// Runs one of them.
///
/// # Errors
/// What the server refused.
pub async fn run(context: &Context, name: &str, matches: &ArgMatches) -> Result<(), AdminError> {
    if name == "show" { show(context, matches).await } else { list(context, matches).await }
}

async fn list(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let above_percent = matches.get_one::<u32>("above").copied().unwrap_or(0);
    let request = v1::ListQuotasRequest { over: matches.get_flag("over"), above_percent };
    let reply = answer(QuotasClient::new(remote.channel()).list_quotas(remote.request(request))).await?;
    let mut quotas: Vec<Shown> = reply.quotas.into_iter().map(shown).collect();
    sort(&mut quotas, text(matches, "sort").unwrap_or("rate"));
    context.output.document(&quotas)?;
    let rows: Vec<_> = quotas.iter().map(|quota| row(quota, context.output.texts)).collect();
    let columns = [
        words("reference"),
        words("state"),
        figures("changed"),
        figures("allowed"),
        figures("share"),
        figures("mean-7"),
        figures("mean-30"),
        figures("peak"),
        figures("days-over"),
        figures("forecast"),
        words("responsible"),
    ];
    Ok(table::print(context, &columns, &rows)?)
}

async fn show(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let one = get(&context.remote().await?, text(matches, "reference").unwrap_or_default()).await?;
    context.output.document(&one)?;
    print_one(context, &one)
}

/// One subscription, by the reference of its order form.
///
/// # Errors
/// What the server refused.
pub async fn get(remote: &Remote, reference: &str) -> Result<ShownOne, AdminError> {
    let request = v1::GetQuotaRequest { subscription: reference.to_owned() };
    let reply = answer(QuotasClient::new(remote.channel()).get_quota(remote.request(request))).await?;
    let quota = shown(reply.quota.unwrap_or_default());
    Ok(ShownOne { quota, days: reply.days.into_iter().map(shown_day).collect() })
}

/// Prints one subscription and its days, unless JSON was asked for.
///
/// # Errors
/// If standard output is closed.
pub fn print_one(context: &Context, one: &ShownOne) -> Result<(), AdminError> {
    let (quota, texts) = (&one.quota, context.output.texts);
    let forecast =
        quota.until_over_days.map_or_else(|| texts.say("quota-no-forecast"), |days| texts.integer(days.into()));
    let pairs = [
        ("reference", quota.subscription.clone()),
        ("state", state_text(quota, texts)),
        ("since", day_text(&quota.since, texts)),
        ("changed", texts.size(quota.counted_bytes)),
        ("allowed", texts.size(quota.allowed_bytes)),
        ("share", share(quota.counted_bytes, quota.allowed_bytes, texts)),
        ("mean-7", texts.size(quota.mean_7_bytes)),
        ("mean-30", texts.size(quota.mean_30_bytes)),
        ("peak", peak_text(quota, texts)),
        ("days-over", quota.days_over.to_string()),
        ("forecast", forecast),
        ("responsible", responsible(quota, texts)),
    ];
    let pairs = pairs.map(|(key, value)| (texts.say(&format!("admin-head-{key}")), value));
    context.output.pairs(&pairs)?;
    let row = |day: &ShownDay| {
        vec![
            day_text(&day.day, texts),
            texts.say(&format!("quota-state-{}", day.state)),
            texts.size(day.counted_bytes),
            texts.size(day.allowed_bytes),
            share(day.counted_bytes, day.allowed_bytes, texts),
            texts.size(day.sent_bytes),
            texts.size(day.stored_bytes),
        ]
    };
    let rows: Vec<_> = one.days.iter().map(row).collect();
    let columns = [
        words("day"),
        words("state"),
        figures("day-changed"),
        figures("allowed"),
        figures("share"),
        figures("sent"),
        figures("stored"),
    ];
    Ok(table::print(context, &columns, &rows)?)
}

fn sort(quotas: &mut [Shown], key: &str) {
    let millionths = |counted: u64, allowed: u64| u128::from(counted) * 1_000_000 / u128::from(allowed.max(1));
    let of_allowed = |counted, allowed| if allowed == 0 { 0 } else { millionths(counted, allowed) };
    let largest = |quota: &Shown| match key {
        "mean" => u128::from(quota.mean_7_bytes),
        "peak" => quota.peak.as_ref().map_or(0, |peak| of_allowed(peak.counted_bytes, peak.allowed_bytes)),
        "days-over" => quota.days_over.into(),
        "forecast" => quota.until_over_days.map_or(0, |days| u128::MAX - u128::from(days)),
        "reference" => 0,
        _ => of_allowed(quota.counted_bytes, quota.allowed_bytes),
    };
    quotas.sort_by(|one, other| {
        largest(other).cmp(&largest(one)).then_with(|| one.subscription.cmp(&other.subscription))
    });
}

fn row(quota: &Shown, texts: Texts) -> Vec<String> {
    vec![
        quota.subscription.clone(),
        state_text(quota, texts),
        texts.size(quota.counted_bytes),
        texts.size(quota.allowed_bytes),
        share(quota.counted_bytes, quota.allowed_bytes, texts),
        texts.size(quota.mean_7_bytes),
        texts.size(quota.mean_30_bytes),
        peak_text(quota, texts),
        quota.days_over.to_string(),
        quota.until_over_days.map_or_else(String::new, |days| texts.integer(days.into())),
        responsible(quota, texts),
    ]
}

fn state_text(quota: &Shown, texts: Texts) -> String {
    let state = if quota.readable { quota.state } else { "unreadable" };
    texts.say(&format!("quota-state-{state}"))
}

fn share(counted: u64, allowed: u64, texts: Texts) -> String {
    if allowed == 0 { String::new() } else { texts.percent(counted, allowed) }
}

fn peak_text(quota: &Shown, texts: Texts) -> String {
    let text = |peak: &ShownDay| share(peak.counted_bytes, peak.allowed_bytes, texts);
    quota.peak.as_ref().map_or_else(String::new, text)
}

fn responsible(quota: &Shown, texts: Texts) -> String {
    let changed = quota.sources.iter().filter(|source| source.changed_bytes > 0);
    changed
        .map(|source| format!("{} ({})", source.name, texts.size(source.changed_bytes)))
        .collect::<Vec<_>>()
        .join(", ")
}

fn day_text(day: &str, texts: Texts) -> String {
    day.parse().map_or_else(|_| day.to_owned(), |day| texts.day(day))
}

fn shown(quota: v1::Quota) -> Shown {
    let today = quota.today.unwrap_or_default();
    Shown {
        subscription: quota.subscription,
        readable: quota.readable,
        state: state_name(today.state()),
        day: today.day,
        since: today.since,
        counted_bytes: today.counted_bytes,
        allowed_bytes: today.allowed_bytes,
        baseline_bytes: today.baseline_bytes,
        used_bytes: today.used_bytes,
        contracted_bytes: today.contracted_bytes,
        mean_7_bytes: quota.mean_7_bytes,
        mean_30_bytes: quota.mean_30_bytes,
        peak: quota.peak.map(shown_day),
        days_over: quota.days_over,
        days_near: quota.days_near,
        until_over_days: quota.until_over_days,
        sources: quota.sources.into_iter().map(shown_source).collect(),
    }
}

fn shown_source(source: v1::QuotaSource) -> ShownSource {
    ShownSource { name: source.name, changed_bytes: source.changed_bytes, sent_bytes: source.sent_bytes }
}

fn shown_day(day: v1::QuotaDay) -> ShownDay {
    ShownDay {
        state: state_name(day.state()),
        day: day.day,
        counted_bytes: day.counted_bytes,
        allowed_bytes: day.allowed_bytes,
        sent_bytes: day.sent_bytes,
        stored_bytes: day.stored_bytes,
        complete: day.complete,
        partial: day.partial,
    }
}

const fn state_name(state: v1::DayState) -> &'static str {
    match state {
        v1::DayState::NotStarted | v1::DayState::Unspecified => "not_started",
        v1::DayState::Inside => "inside",
        v1::DayState::Near => "near",
        v1::DayState::Over => "over",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_sorted_by_every_key() {
        let day = |counted_bytes| v1::QuotaDay { counted_bytes, allowed_bytes: 100, ..v1::QuotaDay::default() };
        let quota = |name: &str, [counted, mean, peak]: [u64; 3], days_over, until_over_days| {
            let today = v1::DayUse { counted_bytes: counted, allowed_bytes: 100, ..v1::DayUse::default() };
            shown(v1::Quota {
                subscription: name.into(),
                readable: true,
                today: Some(today),
                mean_7_bytes: mean,
                peak: Some(day(peak)),
                days_over,
                until_over_days,
                ..v1::Quota::default()
            })
        };
        let all = || {
            vec![
                quota("b", [90, 10, 150], 1, Some(3)),
                quota("a", [120, 20, 120], 2, None),
                quota("c", [10, 30, 130], 0, Some(1)),
            ]
        };
        for (key, wanted) in [
            ("rate", "abc"),
            ("mean", "cab"),
            ("peak", "bca"),
            ("days-over", "abc"),
            ("forecast", "cba"),
            ("reference", "abc"),
        ] {
            let mut quotas = all();
            sort(&mut quotas, key);
            assert_eq!(quotas.iter().map(|quota| quota.subscription.as_str()).collect::<String>(), wanted, "{key}");
        }
        for state in ["not_started", "inside", "near", "over", "unreadable"] {
            for texts in [Texts::FRENCH, Texts::ENGLISH] {
                assert!(texts.has(&format!("quota-state-{state}")), "{state}");
            }
        }
    }
}
