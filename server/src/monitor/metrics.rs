//! Metrics in the text format of Prometheus: counts of traffic and of the store, and the values of the last look.
//!
//! A scrape reads memory only: it opens no catalog and asks no disk. Every name is in the tables below or in `registry`.
//!
//! Invariant: labels are references of order forms, names of contracted sources, and closed lists of words. No file name, snapshot or
//! agent is ever one.

use std::fmt::Error;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;

use super::alarm::{Active, Key, Kind};
use super::look::{Look, SourceLook, StoredLook, SubscriptionLook};
use super::traffic::Traffic;
use crate::contract::quota::Level;
use crate::contract::terms::State;
use crate::control::alarms::ChannelState;
use crate::control::upkeep::JobRecord;
use crate::store::activity::Activity;

/// What the last look found.
#[derive(Debug, Default)]
pub struct View {
    /// All values.
    pub look: Look,
    /// The alarms that go on.
    pub active: Vec<(Key, Active)>,
}

/// The last look, replaced whole by the next one.
pub type Shown = Arc<RwLock<Arc<View>>>;

type Labels = Vec<(&'static str, String)>;
/// A counter of a channel: name, help, value.
type CountRow = (&'static str, &'static str, fn(&ChannelState) -> u64);
/// Name, help, value; a value that is not known is not shown.
type Row<T> = (&'static str, &'static str, fn(&T) -> Option<f64>);

/// Everything that a scrape shows.
pub fn registry(traffic: &Traffic, activity: &Activity, shown: Shown) -> Registry {
    let mut all = Registry::default();
    let ours = all.sub_registry_with_prefix("dobaas");
    ours.register("grpc_calls", "Calls answered, by service, method and code", traffic.calls.clone());
    ours.register("grpc_seconds", "Time until the answer of a call begins", traffic.seconds.clone());
    ours.register("connections", "Open connections", traffic.connections.clone());
    ours.register("received_bytes", "Bytes of frames accepted", activity.received_bytes.clone());
    ours.register("stored_bytes", "Bytes of frames first reached by a snapshot", activity.stored_bytes.clone());
    ours.register("commits", "Snapshots committed", activity.commits.clone());
    ours.register("receipts", "Receipts given, repeated ones included", activity.receipts.clone());
    ours.register("restored_bytes", "Bytes of frames sent to restores", activity.restored_bytes.clone());
    ours.register("fsync_seconds", "Time of each fsync of the store", activity.fsync_seconds.clone());
    all.register_collector(Box::new(Values(shown)));
    all
}

/// The metrics of a registry as `text/plain; version=0.0.4`.
///
/// # Errors
/// None that can happen: writing to a string does not fail.
pub fn text(registry: &Registry) -> Result<String, Error> {
    let mut open = String::new();
    encode_registry(&mut open, registry)?;
    // OpenMetrics leaves `_total` out of the head of a counter, and has a line for units.
    let mut text = String::with_capacity(open.len());
    let mut help = "";
    for line in open.lines() {
        let counter = line.strip_prefix("# TYPE ").and_then(|rest| rest.strip_suffix(" counter"));
        if line.starts_with("# HELP ") {
            help = line;
            continue;
        }
        if let Some(name) = counter {
            let help = help.strip_prefix("# HELP ").and_then(|rest| rest.strip_prefix(name)).unwrap_or_default();
            text.push_str(&format!("# HELP {name}_total{help}\n# TYPE {name}_total counter\n"));
        } else if line.starts_with("# TYPE ") {
            text.push_str(&format!("{help}\n{line}\n"));
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(text)
}

#[derive(Debug)]
struct Values(Shown);

const SERVER: &[Row<View>] = &[
    ("process_start_time_seconds", "Start of the process", |view| Some(seconds(view.look.started_at))),
    ("process_resident_memory_bytes", "Resident memory", |view| Some(view.look.process.resident_bytes as f64)),
    ("process_open_fds", "Open files", |view| Some(view.look.process.open_files as f64)),
    ("process_max_fds", "Files that may be open", |view| Some(view.look.process.files_max as f64)),
    ("dobaas_look_timestamp_seconds", "When these values were gathered", |view| Some(seconds(view.look.at))),
    ("dobaas_store_size_bytes", "Size of the disk of the store", |view| Some(view.look.room?.total_bytes as f64)),
    ("dobaas_store_free_bytes", "Free space of the disk", |view| Some(view.look.room?.free_bytes as f64)),
    ("dobaas_store_reserve_bytes", "Below this much free space no session begins", |view| {
        Some(view.look.room?.reserve_bytes as f64)
    }),
    ("dobaas_store_suspect", "1 if a write failed and nothing is written since", |view| flag(view.look.is_suspect)),
    ("dobaas_pruning_stopped", "1 if a guard stops pruning everywhere until an operator looks", |view| {
        flag(view.look.pruning_stop.is_some())
    }),
    ("dobaas_upkeep_paused", "1 while the server's own upkeep is paused", |view| {
        flag(view.look.paused_since.is_some())
    }),
    ("dobaas_sessions_open", "Backup sessions that are open", |view| Some(sum(view, |stored| stored.sessions))),
    ("dobaas_staging_bytes", "Bytes accepted whose pack is not published yet", |view| {
        Some(sum(view, |stored| stored.packs.staging_bytes))
    }),
    ("dobaas_control_copy_timestamp_seconds", "Until when the control store is copied; 0 if it never was", |view| {
        Some(view.look.copied_at.map_or(0.0, seconds))
    }),
];

fn of_subscription<'a>() -> Vec<Row<(&'a SubscriptionLook, Timestamp)>> {
    vec![
        ("contracted_bytes", "Volume of the order form", |(one, _)| Some(one.terms.contracted_bytes as f64)),
        ("hard_volume_bytes", "Volume that is never exceeded", |(one, _)| Some(one.terms.hard_volume_bytes as f64)),
        ("history_seconds", "Length of the history", |(one, _)| Some(f64::from(one.terms.history.days) * 86_400.0)),
        ("active", "1 if backups are taken", |(one, now)| flag(one.state(*now) == State::Active)),
        ("readable", "1 if its catalog can be read", |(one, _)| flag(one.stored.is_some())),
        ("used_bytes", "Plain bytes of the newest snapshots", |(one, _)| Some(stored(one)?.used_bytes as f64)),
        ("stored_bytes", "Bytes of its packs", |(one, _)| Some(stored(one)?.packs.bytes as f64)),
        ("staging_bytes", "Bytes accepted whose pack is not published yet", |(one, _)| {
            Some(stored(one)?.packs.staging_bytes as f64)
        }),
        ("uncommitted_bytes", "Plain bytes accepted and not committed", |(one, _)| {
            Some(stored(one)?.uncommitted_bytes as f64)
        }),
        ("baseline_bytes", "Plain bytes of the first complete snapshots", |(one, _)| {
            Some(stored(one)?.day.baseline_bytes as f64)
        }),
        ("changed_bytes", "Plain bytes changed today", |(one, _)| Some(stored(one)?.day.changed_bytes as f64)),
        ("allowed_bytes", "Plain bytes that may change today", |(one, _)| Some(stored(one)?.day.allowed_bytes as f64)),
        ("change_ratio", "Bytes changed today in proportion to the first snapshots", |(one, _)| {
            let day = &stored(one)?.day;
            (day.baseline_bytes > 0).then(|| day.changed_bytes as f64 / day.baseline_bytes as f64)
        }),
        ("over", "1 if today is over the daily change", |(one, _)| flag(stored(one)?.day.level == Level::Over)),
        ("near", "1 if today is from 80 % to exactly 100 % of the daily change", |(one, _)| {
            flag(stored(one)?.day.level == Level::Near)
        }),
        ("near_of_last_30", "Days from 80 % to 100 % of the daily change among the last 30", |(one, _)| {
            Some(f64::from(stored(one)?.day.outlook?.days_near))
        }),
        (
            "peak_ratio",
            "Largest share of its allowance that a day of the last 30 used; above 1 it was over",
            |(one, _)| {
                let peak = stored(one)?.day.outlook?.peak?;
                Some(peak.counted_bytes as f64 / peak.allowed_bytes?.max(1) as f64)
            },
        ),
        ("reevaluation_open", "1 if a re-evaluation file waits for its outcome", |(one, _)| {
            flag(one.reevaluation.is_some())
        }),
        ("over_of_last_30", "Days over the daily change among the last 30", |(one, _)| {
            Some(f64::from(stored(one)?.day.outlook?.days_over))
        }),
        ("mean_7_bytes", "Bytes changed a day in the mean of the last 7 days", |(one, _)| {
            Some(stored(one)?.day.outlook?.mean_7_bytes as f64)
        }),
        ("mean_30_bytes", "Bytes changed a day in the mean of the last 30 days", |(one, _)| {
            Some(stored(one)?.day.outlook?.mean_30_bytes as f64)
        }),
        ("until_over_seconds", "Time until a day is over at the present slope, if one is in sight", |(one, _)| {
            Some(f64::from(stored(one)?.day.outlook?.until_over_days?) * 86_400.0)
        }),
        ("snapshots", "Snapshots kept", |(one, _)| {
            stored(one)?;
            Some(one.sources.iter().map(|source| source.totals.snapshots).sum::<u64>() as f64)
        }),
        ("sessions_open", "Backup sessions that are open", |(one, _)| Some(stored(one)?.sessions as f64)),
        ("packs", "Objects of many frames", |(one, _)| Some(stored(one)?.packs.packs as f64)),
        ("chunks", "Chunks known, counted once an hour", |(one, _)| Some(stored(one)?.chunks.chunks as f64)),
        ("trashed_chunks", "Chunks in the trash, counted once an hour", |(one, _)| {
            Some(stored(one)?.chunks.trashed as f64)
        }),
        ("scrub_unread_packs", "Packs that were not read again yet", |(one, _)| Some(stored(one)?.scrub.unread as f64)),
        ("scrub_oldest_timestamp_seconds", "When the pack that was read longest ago was read", |(one, _)| {
            let oldest = stored(one)?.scrub.oldest_read_at_ns;
            (oldest != 0).then(|| oldest as f64 / 1e9)
        }),
        ("scrub_late", "1 if a pack was not read in its time", |(one, _)| {
            flag(stored(one)?.scrub.late_since_ns.is_some())
        }),
        ("pruning_stopped", "1 if a guard stops pruning until an operator looks", |(one, _)| {
            stored(one)?;
            flag(one.pruning_stop.is_some())
        }),
        ("upkeep_paused", "1 while its upkeep is paused", |(one, _)| flag(one.paused_since.is_some())),
        ("damaged_objects", "Small objects that are damaged or gone", |(one, _)| {
            Some(stored(one)?.damaged_objects as f64)
        }),
        ("damaged_packs", "Packs of which something is damaged or gone", |(one, _)| {
            Some(stored(one)?.packs.damaged as f64)
        }),
        ("holds", "Suspect snapshots that nobody looked at", |(one, _)| Some(stored(one)?.holds.len() as f64)),
    ]
}

fn of_source<'a>() -> Vec<Row<(&'a SubscriptionLook, &'a SourceLook, Timestamp)>> {
    vec![
        ("late", "1 if there is no complete snapshot in the period", |(one, source, now)| {
            flag(one.late_since(source, *now).is_some())
        }),
        ("changed_bytes", "Plain bytes that its snapshots of today changed", |(one, source, _)| {
            stored(one)?;
            Some(source.changed_bytes as f64)
        }),
        (
            "claim_impossible",
            "1 if its newest snapshot claims to be smaller than what came in with it",
            |(one, source, _)| {
                stored(one)?;
                flag(source.totals.claim.is_impossible())
            },
        ),
        ("snapshots", "Snapshots kept", |(one, source, _)| {
            stored(one)?;
            Some(source.totals.snapshots as f64)
        }),
        ("complete_timestamp_seconds", "When the newest complete snapshot was received", |(_, source, _)| {
            Some(source.totals.complete_at_ns? as f64 / 1e9)
        }),
        (
            "unverified_since_timestamp_seconds",
            "Last check by a key holder; the first snapshot if none was",
            |(_, source, _)| {
                let totals = &source.totals;
                (totals.snapshots > 0).then(|| totals.verified_at_ns.max(totals.oldest_at_ns) as f64 / 1e9)
            },
        ),
    ]
}

const JOB: &[Row<JobRecord>] = &[
    ("ended_timestamp_seconds", "When the job last ended", |job| Some(job.ended_at_ns as f64 / 1e9)),
    ("duration_seconds", "How long its last run took", |job| Some((job.ended_at_ns - job.started_at_ns) as f64 / 1e9)),
    ("failed", "1 if its last run failed", |job| flag(job.outcome == "failed")),
    ("refused", "1 if a guard refused its last run", |job| flag(job.outcome == "refused")),
];

const CHANNEL: &[Row<ChannelState>] = &[
    ("delivered_timestamp_seconds", "Last delivery that was accepted; 0 if none", |channel| {
        Some(channel.delivered_at_ns.unwrap_or_default() as f64 / 1e9)
    }),
    ("failing", "1 while deliveries fail", |channel| flag(channel.failing_since_ns.is_some())),
    ("queued", "Messages that wait", |channel| Some(channel.queued as f64)),
];

const CHANNEL_COUNTS: &[CountRow] = &[
    ("failures", "Deliveries that failed", |channel| channel.failures),
    ("dropped", "Messages given up", |channel| channel.dropped),
];

impl Collector for Values {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let view = Arc::clone(&self.0.read());
        let look = &view.look;
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        gauge(&mut encoder, "dobaas_build_info", "1; the version is a label", [(version, 1.0)].into_iter())?;
        for (name, help, value) in SERVER {
            gauge(&mut encoder, name, help, value(&view).map(|value| (Labels::new(), value)).into_iter())?;
        }
        let certificates = look.certificates.iter();
        let ends = certificates.map(|(name, ends)| (vec![("certificate", (*name).to_owned())], seconds(*ends)));
        gauge(&mut encoder, "dobaas_certificate_end_timestamp_seconds", "When a presented certificate ends", ends)?;
        let ones =
            || look.subscriptions.iter().map(|one| (vec![("subscription", one.reference.clone())], (one, look.at)));
        table(&mut encoder, "dobaas_subscription_", &of_subscription(), ones)?;
        let sources = || {
            look.subscriptions.iter().flat_map(|one| {
                one.sources.iter().map(move |source| {
                    let labels = vec![("subscription", one.reference.clone()), ("source", source.name.clone())];
                    (labels, (one, source, look.at))
                })
            })
        };
        table(&mut encoder, "dobaas_source_", &of_source(), sources)?;
        let jobs = || {
            let of_one = |reference: String| {
                move |job: &JobRecord| {
                    (vec![("subscription", reference.clone()), ("job", job.job.clone())], job.clone())
                }
            };
            let ones = look.subscriptions.iter();
            let jobs = ones.flat_map(move |one| one.jobs.iter().map(of_one(one.reference.clone())));
            jobs.chain(look.jobs.iter().map(of_one(String::new())))
        };
        table(&mut encoder, "dobaas_job_", JOB, jobs)?;
        let counts = jobs().flat_map(|(labels, job)| {
            job.counts.into_iter().map(move |(count, number)| {
                let mut labels = labels.clone();
                labels.push(("count", count));
                (labels, number as f64)
            })
        });
        gauge(&mut encoder, "dobaas_job_counted", "What the last run counted", counts)?;
        let alarms = Kind::ALL.into_iter().map(|kind| {
            let count = view.active.iter().filter(|(key, _)| key.kind == kind).count();
            (vec![("kind", kind.word().to_owned())], count as f64)
        });
        gauge(&mut encoder, "dobaas_alarms", "Alarms that go on", alarms)?;
        let channels =
            || look.channels.iter().map(|one| (vec![("channel", one.channel.word().to_owned())], one.clone()));
        table(&mut encoder, "dobaas_alarm_channel_", CHANNEL, channels)?;
        for (name, help, value) in CHANNEL_COUNTS {
            let name = format!("dobaas_alarm_channel_{name}");
            let mut metric = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            for (labels, channel) in channels() {
                ConstCounter::new(value(&channel)).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// One metric for each row of a table, with a value for each of `all`.
fn table<T, I: Iterator<Item = (Labels, T)>>(
    encoder: &mut DescriptorEncoder<'_>,
    prefix: &str,
    rows: &[Row<T>],
    all: impl Fn() -> I,
) -> Result<(), Error> {
    for (name, help, value) in rows {
        let values = all().filter_map(|(labels, one)| Some((labels, value(&one)?)));
        gauge(encoder, &format!("{prefix}{name}"), help, values)?;
    }
    Ok(())
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl Iterator<Item = (Labels, f64)>,
) -> Result<(), Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        if labels.is_empty() {
            metric.encode_gauge(&value)?;
        } else {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
    }
    Ok(())
}

fn stored(one: &SubscriptionLook) -> Option<&StoredLook> {
    one.stored.as_ref()
}

fn sum(view: &View, value: fn(&StoredLook) -> u64) -> f64 {
    view.look.subscriptions.iter().filter_map(stored).map(value).sum::<u64>() as f64
}

fn seconds(at: Timestamp) -> f64 {
    at.as_nanosecond() as f64 / 1e9
}

fn flag(is: bool) -> Option<f64> {
    Some(f64::from(u8::from(is)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_written_as_prometheus_reads_them() {
        let traffic = Traffic::default();
        traffic.call(("dobaas.v1.Backup", "Open"), "ok", 0.002);
        let registry = registry(&traffic, &Activity::default(), Shown::default());
        let text = text(&registry).unwrap();
        for line in [
            "# HELP dobaas_grpc_calls_total Calls answered, by service, method and code.",
            "# TYPE dobaas_grpc_calls_total counter",
            r#"dobaas_grpc_calls_total{service="dobaas.v1.Backup",method="Open",code="ok"} 1"#,
            "# TYPE dobaas_fsync_seconds histogram",
            r#"dobaas_alarms{kind="late"} 0.0"#,
            "dobaas_store_suspect 0.0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "{text}");
    }
}
