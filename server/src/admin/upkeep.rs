//! `dobaas-admin upkeep`: the jobs, what pauses or stops them, and what is damaged.

use clap::{Arg, ArgMatches, Command};
use common::text::Texts;
use common::text::date::moment;
use proto::v1;
use proto::v1::upkeep_client::UpkeepClient;
use serde_json::{Value, json};

use super::command::{Context, group};
use super::failure::AdminError;
use super::remote::answer;
use super::table::{self, figures, words};
use crate::cli::arguments::{argument, option, subcommand, text};
use crate::upkeep::jobs::JobKind;

/// The commands.
pub fn command(texts: Texts) -> Command {
    let place = || argument("reference", "REFERENCE", texts).required(false).help(texts.say("help-argument-place"));
    let job = argument("job", "JOB", texts).value_parser(JobKind::ALL.map(JobKind::name));
    let of_place = |name: &'static str, alias: &'static str, path: &str| {
        subcommand(name, path, texts).visible_alias(alias).arg(place())
    };
    let reason: Arg = option("reason", "TEXT", texts).required(true).help(texts.say("help-option-looked"));
    group("upkeep", "admin-upkeep", texts)
        .visible_alias("entretien")
        .subcommand(of_place("status", "etat", "admin-upkeep-status"))
        .subcommand(subcommand("run", "admin-upkeep-run", texts).visible_alias("lancer").arg(job).arg(place()))
        .subcommand(of_place("pause", "suspendre", "admin-upkeep-pause"))
        .subcommand(of_place("resume", "reprendre", "admin-upkeep-resume"))
        .subcommand(of_place("stop", "arreter", "admin-upkeep-stop"))
        .subcommand(of_place("allow", "autoriser", "admin-upkeep-allow").arg(reason))
        .subcommand(subcommand("damage", "admin-upkeep-damage", texts).visible_alias("degats").arg(argument(
            "reference",
            "REFERENCE",
            texts,
        )))
}

/// Runs one of them.
///
/// # Errors
/// What the server refused.
pub async fn run(context: &Context, name: &str, matches: &ArgMatches) -> Result<(), AdminError> {
    let subscription = text(matches, "reference").unwrap_or_default().to_owned();
    match name {
        "status" => status(context, subscription).await,
        "damage" => damage(context, subscription).await,
        _ => act(context, name, matches, subscription).await,
    }
}

async fn act(context: &Context, name: &str, matches: &ArgMatches, subscription: String) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let mut upkeep = UpkeepClient::new(remote.channel());
    let given = |name| text(matches, name).unwrap_or_default().to_owned();
    let place = place_name(&subscription, context.output.texts);
    let mut document = json!({ "subscription": shown_place(&subscription), "done": name });
    let said = match name {
        "run" => {
            let request = v1::RunUpkeepRequest { job: given("job"), subscription };
            answer(upkeep.run(remote.request(request))).await?;
            document["job"] = given("job").into();
            "upkeep-asked"
        }
        "pause" => {
            answer(upkeep.pause(remote.request(v1::PauseUpkeepRequest { subscription }))).await?;
            "upkeep-paused"
        }
        "resume" => {
            answer(upkeep.resume(remote.request(v1::ResumeUpkeepRequest { subscription }))).await?;
            "upkeep-resumed"
        }
        "stop" => {
            let reply = answer(upkeep.stop(remote.request(v1::StopUpkeepRequest { subscription }))).await?;
            document["stopped"] = reply.stopped.into();
            if reply.stopped { "upkeep-stopped" } else { "upkeep-nothing-ran" }
        }
        _ => {
            let request = v1::AllowPruningRequest { subscription, reason: given("reason") };
            let stopped = answer(upkeep.allow_pruning(remote.request(request))).await?.stopped;
            document["stopped_by"] = stopped.clone().into();
            if stopped.is_empty() { "upkeep-nothing-stopped" } else { "upkeep-allowed" }
        }
    };
    context.output.document(&document)?;
    // Only one of them names a job.
    let job = if name == "run" { job_name(&given("job"), context.output.texts) } else { String::new() };
    Ok(context.output.say(said, &[("place", place.into()), ("job", job.into())])?)
}

async fn status(context: &Context, subscription: String) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let request = remote.request(v1::UpkeepStatusRequest { subscription });
    let reply = answer(UpkeepClient::new(remote.channel()).status(request)).await?;
    let texts = context.output.texts;
    for stop in &reply.stops {
        let since = if stop.since_ns == 0 { String::new() } else { texts.date(moment(stop.since_ns)) };
        let args = [
            ("place", stop_place(&stop.subscription, texts).into()),
            ("reason", stop_reason(&stop.reason, texts).into()),
            ("since", if since.is_empty() { "none".into() } else { since.into() }),
            ("allow", if stop.can_be_allowed { "yes".into() } else { "no".into() }),
        ];
        context.output.say("upkeep-stop", &args)?;
    }
    let rows: Vec<_> = reply.jobs.iter().map(|job| job_row(job, texts)).collect();
    let columns = [words("reference"), words("job"), words("state"), words("next"), words("last"), words("result")];
    table::print(context, &columns, &rows)?;
    let stop = |stop: &v1::PruningStop| {
        json!({
            "subscription": shown_place(&stop.subscription),
            "reason": stop.reason,
            "since": time(stop.since_ns),
            "can_be_allowed": stop.can_be_allowed,
        })
    };
    let document = json!({
        "jobs": reply.jobs.iter().map(job_document).collect::<Vec<_>>(),
        "stops": reply.stops.iter().map(stop).collect::<Vec<_>>(),
    });
    Ok(context.output.document(&document)?)
}

async fn damage(context: &Context, subscription: String) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let request = remote.request(v1::DamageRequest { subscription });
    let reply = answer(UpkeepClient::new(remote.channel()).damage(request)).await?;
    let texts = context.output.texts;
    if reply.objects.is_empty() && reply.damaged_chunks == 0 {
        context.output.say("upkeep-undamaged", &[])?;
    } else {
        let row = |object: &v1::DamagedObject| {
            let state = texts.say(&format!("upkeep-object-{}", object.state));
            vec![object.object.clone(), state, texts.count(object.damaged_chunks)]
        };
        let rows: Vec<_> = reply.objects.iter().map(row).collect();
        table::print(context, &[words("object"), words("state"), figures("damaged")], &rows)?;
        let key = if reply.snapshots.is_empty() { "upkeep-unaffected" } else { "upkeep-affected" };
        context.output.say(key, &[("chunks", reply.damaged_chunks.into())])?;
    }
    if !reply.snapshots.is_empty() {
        let row = |snapshot: &v1::AffectedSnapshot| {
            let received = texts.date(moment(snapshot.received_at_ns));
            vec![short(&snapshot.snapshot), snapshot.source.clone(), received, texts.count(snapshot.damaged_chunks)]
        };
        let rows: Vec<_> = reply.snapshots.iter().map(row).collect();
        table::print(context, &[words("snapshot"), words("source"), words("received"), figures("damaged")], &rows)?;
    }
    let object = |object: &v1::DamagedObject| json!({ "object": object.object, "state": object.state, "damaged_chunks": object.damaged_chunks });
    let snapshot = |snapshot: &v1::AffectedSnapshot| {
        json!({
            "snapshot": snapshot.snapshot,
            "source": snapshot.source,
            "received_at": time(snapshot.received_at_ns),
            "damaged_chunks": snapshot.damaged_chunks,
        })
    };
    let document = json!({
        "objects": reply.objects.iter().map(object).collect::<Vec<_>>(),
        "snapshots": reply.snapshots.iter().map(snapshot).collect::<Vec<_>>(),
        "damaged_chunks": reply.damaged_chunks,
        "objects_read_at": time(reply.objects_read_at_ns),
    });
    Ok(context.output.document(&document)?)
}

fn job_row(job: &v1::UpkeepJob, texts: Texts) -> Vec<String> {
    let state = if job.running {
        let (done, total) = match job.unit.as_str() {
            "bytes" => (texts.size(job.done), texts.size(job.total)),
            _ => (texts.count(job.done), texts.count(job.total)),
        };
        let total = if job.total == 0 { "none".to_owned() } else { total };
        texts.say_with("upkeep-running", &[("done", done.into()), ("total", total.into())])
    } else if job.paused {
        texts.say("upkeep-is-paused")
    } else {
        texts.say("upkeep-waits")
    };
    let date = |ns: i64, none: &str| if ns == 0 { texts.say(none) } else { texts.date(moment(ns)) };
    vec![
        place_name(&job.subscription, texts),
        job_name(&job.job, texts),
        state,
        if job.paused || job.running { String::new() } else { date(job.due_at_ns, "upkeep-at-once") },
        date(job.started_at_ns, "upkeep-never"),
        result(job, texts),
    ]
}

/// How the last run ended, with what it counted.
fn result(job: &v1::UpkeepJob, texts: Texts) -> String {
    let count = |count: &v1::UpkeepCount| {
        let number = if count.name.ends_with("bytes") { texts.size(count.count) } else { texts.count(count.count) };
        let key = format!("upkeep-count-{}", count.name.replace('_', "-"));
        // A newer server may count what this program does not know.
        let name = if texts.has(&key) { texts.say(&key) } else { count.name.clone() };
        texts.say_with("upkeep-counted", &[("name", name.into()), ("number", number.into())])
    };
    match job.outcome.as_str() {
        "" => String::new(),
        "refused" => stop_reason(&job.error, texts),
        "failed" => texts.say_with("upkeep-failed", &[("cause", job.error.clone().into())]),
        "stopped" => texts.say("upkeep-was-stopped"),
        _ if job.counts.is_empty() => texts.say("upkeep-done"),
        _ => job.counts.iter().map(count).collect::<Vec<_>>().join(", "),
    }
}

fn job_document(job: &v1::UpkeepJob) -> Value {
    let counts: serde_json::Map<String, Value> =
        job.counts.iter().map(|count| (count.name.clone(), count.count.into())).collect();
    json!({
        "subscription": shown_place(&job.subscription),
        "job": job.job,
        "due_at": time(job.due_at_ns),
        "running": job.running,
        "done": job.done,
        "total": job.total,
        "unit": job.unit,
        "paused": job.paused,
        "started_at": time(job.started_at_ns),
        "ended_at": time(job.ended_at_ns),
        "outcome": job.outcome,
        "counts": counts,
        "error": job.error,
    })
}

/// Why pruning stands still, in words.
pub fn stop_reason(word: &str, texts: Texts) -> String {
    let key = format!("pruning-stop-{}", word.replace('_', "-"));
    if texts.has(&key) { texts.say(&key) } else { word.to_owned() }
}

/// A snapshot's id as people type it.
pub fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

/// A moment in a document; none for 0.
pub fn time(at_ns: i64) -> Option<String> {
    (at_ns != 0).then(|| moment(at_ns).to_string())
}

fn job_name(job: &str, texts: Texts) -> String {
    let key = format!("upkeep-job-{job}");
    if texts.has(&key) { texts.say(&key) } else { job.to_owned() }
}

fn place_name(subscription: &str, texts: Texts) -> String {
    if subscription.is_empty() { texts.say("upkeep-server") } else { subscription.to_owned() }
}

fn stop_place(subscription: &str, texts: Texts) -> String {
    if subscription.is_empty() { texts.say("upkeep-everywhere") } else { subscription.to_owned() }
}

fn shown_place(subscription: &str) -> Option<&str> {
    (!subscription.is_empty()).then_some(subscription)
}
