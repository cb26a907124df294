//! `dobaas-server rebuild`: makes catalogs again from packs and objects, with the server stopped.

use clap::ArgMatches;
use serde::Serialize;

use super::exit::Exit;
use super::maintenance;
use super::output::Output;
use crate::upkeep::rebuild::Rebuilt;

#[derive(Serialize)]
struct Line {
    subscription: String,
    reference: String,
    packs: u64,
    frames: u64,
    snapshots: u64,
    salvaged_packs: Vec<String>,
    incomplete_snapshots: Vec<String>,
    damaged_snapshots: Vec<String>,
    damaged_tombstones: Vec<String>,
    damaged_facts: Vec<String>,
    holds: u64,
    protections: u64,
}

/// Runs the command.
///
/// # Errors
/// The first subscription that could not be rebuilt; those before it are.
pub fn run(matches: &ArgMatches, output: Output) -> anyhow::Result<Exit> {
    let work = maintenance::open(matches)?;
    let mut lines = Vec::new();
    for (subscription, reference) in &work.wanted {
        let rebuilt = work.subscriptions.rebuild(subscription)?;
        lines.push(line(subscription.to_string(), reference.clone(), &rebuilt));
    }
    output.document(&lines)?;
    let texts = output.texts;
    let head =
        ["subscription", "packs", "frames", "snapshots", "salvaged", "incomplete", "damaged", "holds", "protections"]
            .map(|name| texts.say(&format!("server-head-{name}")));
    let row = |line: &Line| {
        let counts = [line.packs, line.frames, line.snapshots];
        let found = [&line.salvaged_packs, &line.incomplete_snapshots, &line.damaged_snapshots].map(|list| list.len());
        let facts = [line.holds, line.protections];
        let counts =
            counts.into_iter().chain(found.map(|count| count as u64)).chain(facts).map(|count| texts.integer(count));
        std::iter::once(line.reference.clone()).chain(counts).collect()
    };
    output.table(&head, &lines.iter().map(row).collect::<Vec<_>>())?;
    let named = lines.iter().flat_map(|line| {
        let snapshots = line.incomplete_snapshots.iter().chain(&line.damaged_snapshots);
        let others = line.damaged_tombstones.iter().chain(&line.damaged_facts);
        line.salvaged_packs.iter().chain(snapshots).chain(others)
    });
    let mut whole = true;
    for name in named {
        whole = false;
        output.say("server-damaged-object", &[("object", name.into())])?;
    }
    Ok(if whole { Exit::Done } else { Exit::Incomplete })
}

fn line(subscription: String, reference: String, rebuilt: &Rebuilt) -> Line {
    let snapshots = |ids: &[common::id::SessionId]| ids.iter().map(|id| format!("snapshots/{id}")).collect();
    Line {
        subscription,
        reference,
        packs: rebuilt.packs,
        frames: rebuilt.frames,
        snapshots: rebuilt.snapshots,
        salvaged_packs: rebuilt.salvaged_packs.iter().map(|id| format!("packs/{id}")).collect(),
        incomplete_snapshots: snapshots(&rebuilt.incomplete_snapshots),
        damaged_snapshots: snapshots(&rebuilt.damaged_snapshots),
        damaged_tombstones: rebuilt.damaged_tombstones.iter().map(|id| format!("tombstones/{id}")).collect(),
        damaged_facts: rebuilt.damaged_facts.clone(),
        holds: rebuilt.holds,
        protections: rebuilt.protections,
    }
}
