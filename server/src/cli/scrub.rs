//! `dobaas-server scrub`: reads everything that is stored and says what is damaged, with the server stopped and without a key.

use clap::ArgMatches;
use serde::Serialize;

use super::exit::Exit;
use super::maintenance;
use super::output::Output;
use crate::app::CONTROL_FILE;
use crate::store::control_copies::ControlCopies;
use crate::upkeep::scrub::{Scrubbed, scrub};

#[derive(Serialize)]
struct Line {
    subscription: String,
    reference: String,
    objects: u64,
    bytes: u64,
    damaged: Vec<String>,
    unknown: Vec<String>,
    damaged_chunks: u64,
    affected_snapshots: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// If a catalog or a listing fails; damage is no error, it ends with code 3.
pub fn run(matches: &ArgMatches, output: Output) -> anyhow::Result<Exit> {
    let work = maintenance::open(matches)?;
    let mut lines = Vec::new();
    for (subscription, reference) in &work.wanted {
        let open = work.subscriptions.get(subscription)?;
        let scrubbed = scrub(&open, work.now_ns, |_| true)?;
        lines.push(line(subscription.to_string(), reference.clone(), scrubbed));
    }
    lines.push(control_copies(&work.subscriptions.objects().control_copies())?);
    output.document(&lines)?;
    let texts = output.texts;
    let head = ["subscription", "objects", "bytes", "damaged-objects", "unknown", "chunks", "affected"]
        .map(|name| texts.say(&format!("server-head-{name}")));
    let row = |line: &Line| {
        let count = |list: &[String]| texts.integer(list.len() as u64);
        vec![
            line.reference.clone(),
            texts.integer(line.objects),
            texts.size(line.bytes),
            count(&line.damaged),
            count(&line.unknown),
            texts.integer(line.damaged_chunks),
            count(&line.affected_snapshots),
        ]
    };
    output.table(&head, &lines.iter().map(row).collect::<Vec<_>>())?;
    for line in &lines {
        for object in &line.damaged {
            output.say("server-damaged-object", &[("object", object.into())])?;
        }
        for object in &line.unknown {
            output.say("server-unknown-object", &[("object", object.into())])?;
        }
        for snapshot in &line.affected_snapshots {
            output.say("server-affected-snapshot", &[("snapshot", snapshot.into())])?;
        }
    }
    let clean = lines.iter().all(|line| line.damaged.is_empty() && line.unknown.is_empty() && line.damaged_chunks == 0);
    output.say(if clean { "server-scrub-clean" } else { "server-scrub-damaged" }, &[])?;
    Ok(if clean { Exit::Done } else { Exit::Incomplete })
}

/// The copies of the control store, each against the digest in its name.
fn control_copies(copies: &ControlCopies) -> anyhow::Result<Line> {
    let mut line = line(String::new(), CONTROL_FILE.to_owned(), Scrubbed::default());
    for name in copies.list()? {
        line.objects += 1;
        match copies.check(&name) {
            Ok(path) => line.bytes += path.metadata()?.len(),
            Err(_) => line.damaged.push(name.file()),
        }
    }
    Ok(line)
}

fn line(subscription: String, reference: String, scrubbed: Scrubbed) -> Line {
    Line {
        subscription,
        reference,
        objects: scrubbed.objects,
        bytes: scrubbed.bytes,
        damaged_chunks: scrubbed.damaged_chunks.len() as u64,
        affected_snapshots: scrubbed.affected_snapshots.iter().map(ToString::to_string).collect(),
        damaged: scrubbed.damaged,
        unknown: scrubbed.unknown,
    }
}
