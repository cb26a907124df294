//! `dobaas-admin alarm`: what is wrong, since when, and whether it can be said.

use clap::{ArgMatches, Command};
use common::text::Texts;
use common::text::date::moment;
use proto::v1;
use proto::v1::monitor_client::MonitorClient;
use serde::Serialize;

use super::command::{Context, group};
use super::failure::AdminError;
use super::remote::answer;
use crate::cli::arguments::subcommand;
use crate::monitor::alarm::{Kind, Measures};
use crate::monitor::text::{about, sentence, title};

#[derive(Serialize)]
struct AlarmLine {
    kind: String,
    subscription: String,
    subject: String,
    since: String,
    said_at: String,
    used: u64,
    allowed: u64,
    at: Option<String>,
}

#[derive(Serialize)]
struct ChannelLine {
    channel: String,
    delivered_at: Option<String>,
    failing_since: Option<String>,
    failures: u64,
    dropped: u64,
    queued: u64,
    error: String,
}

#[derive(Serialize)]
struct Listed {
    alarms: Vec<AlarmLine>,
    channels: Vec<ChannelLine>,
}

#[derive(Serialize)]
struct TestLine {
    channel: String,
    recipient: String,
    delivered: bool,
    error: String,
}

/// The command.
pub fn command(texts: Texts) -> Command {
    group("alarm", "admin-alarm", texts)
        .subcommand(subcommand("list", "admin-alarm-list", texts))
        .subcommand(subcommand("test", "admin-alarm-test", texts))
}

/// Lists the alarms and the channels.
///
/// # Errors
/// What the server refused.
pub async fn list(context: &Context, _: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let request = remote.request(v1::ListAlarmsRequest {});
    let v1::ListAlarmsReply { alarms, channels } =
        answer(MonitorClient::new(remote.channel()).list_alarms(request)).await?;
    let output = context.output;
    let texts = output.texts;
    if alarms.is_empty() {
        output.say("alarm-none", &[])?;
    } else {
        let head = ["kind", "subscription", "subject", "since", "detail"].map(|name| head(name, texts));
        output.table(&head, &alarms.iter().map(|alarm| alarm_row(alarm, texts)).collect::<Vec<_>>())?;
    }
    if !output.json {
        output.line("")?;
    }
    if channels.is_empty() {
        output.say("alarm-no-channel", &[])?;
    } else {
        let head = ["channel", "delivered", "queued", "error"].map(|name| head(name, texts));
        output.table(&head, &channels.iter().map(|channel| channel_row(channel, texts)).collect::<Vec<_>>())?;
    }
    let alarms = alarms.into_iter().map(alarm_line).collect();
    let channels = channels.into_iter().map(channel_line).collect();
    Ok(output.document(&Listed { alarms, channels })?)
}

/// Tries every channel.
///
/// # Errors
/// What the server refused, or that a channel failed.
pub async fn test(context: &Context, _: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let request = remote.request(v1::TestAlarmsRequest {});
    let results = answer(MonitorClient::new(remote.channel()).test_alarms(request)).await?.results;
    let output = context.output;
    let texts = output.texts;
    if results.is_empty() {
        output.say("alarm-no-channel", &[])?;
    } else {
        let head = ["channel", "recipient", "result"].map(|name| head(name, texts));
        let row = |result: &v1::TestedAlarmChannel| {
            let told = match result.error.as_str() {
                "" => texts.say("alarm-delivered"),
                cause => texts.say_with("alarm-failed", &[("cause", cause.into())]),
            };
            vec![channel_name(&result.channel, texts), result.recipient.clone(), told]
        };
        output.table(&head, &results.iter().map(row).collect::<Vec<_>>())?;
    }
    let failed = results.iter().filter(|result| !result.error.is_empty()).count();
    let line = |result: v1::TestedAlarmChannel| TestLine {
        channel: result.channel,
        recipient: result.recipient,
        delivered: result.error.is_empty(),
        error: result.error,
    };
    output.document(&results.into_iter().map(line).collect::<Vec<_>>())?;
    if failed == 0 { Ok(()) } else { Err(AdminError::NotDelivered) }
}

fn head(name: &str, texts: Texts) -> String {
    texts.say(&format!("alarm-head-{name}"))
}

fn channel_name(word: &str, texts: Texts) -> String {
    let key = format!("alarm-channel-{word}");
    if texts.has(&key) { texts.say(&key) } else { word.to_owned() }
}

fn alarm_row(alarm: &v1::Alarm, texts: Texts) -> Vec<String> {
    let measures = Measures { used: alarm.used, allowed: alarm.allowed, at_ns: alarm.at_ns };
    // A newer server may know kinds that this program does not.
    let (title, detail) = Kind::named(&alarm.kind).map_or_else(
        || (alarm.kind.clone(), String::new()),
        |kind| (title(kind, texts), sentence(kind, &alarm.subject, &measures, texts)),
    );
    let subject =
        Kind::named(&alarm.kind).map_or_else(|| alarm.subject.clone(), |kind| about(kind, &alarm.subject, texts));
    vec![title, alarm.subscription.clone(), subject, texts.date(moment(alarm.since_ns)), detail]
}

fn channel_row(channel: &v1::AlarmChannel, texts: Texts) -> Vec<String> {
    let delivered = match channel.delivered_at_ns {
        0 => texts.say("alarm-never"),
        at_ns => texts.date(moment(at_ns)),
    };
    vec![channel_name(&channel.channel, texts), delivered, texts.count(channel.queued), channel.error.clone()]
}

fn alarm_line(alarm: v1::Alarm) -> AlarmLine {
    AlarmLine {
        since: moment(alarm.since_ns).to_string(),
        said_at: moment(alarm.said_at_ns).to_string(),
        at: optional(alarm.at_ns),
        kind: alarm.kind,
        subscription: alarm.subscription,
        subject: alarm.subject,
        used: alarm.used,
        allowed: alarm.allowed,
    }
}

fn channel_line(channel: v1::AlarmChannel) -> ChannelLine {
    ChannelLine {
        channel: channel.channel,
        delivered_at: optional(channel.delivered_at_ns),
        failing_since: optional(channel.failing_since_ns),
        failures: channel.failures,
        dropped: channel.dropped,
        queued: channel.queued,
        error: channel.error,
    }
}

fn optional(at_ns: i64) -> Option<String> {
    (at_ns != 0).then(|| moment(at_ns).to_string())
}
