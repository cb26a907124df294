//! `dobaas status`: what is protected, since when, where, and how today stands against the contract.
//!
//! Invariant: a run that was killed is not shown as running.
//! Invariant: a server that cannot show the newest receipt of this machine is reported, and the exit code says so.

use std::path::Path;

use common::receipt::verify;
use common::text::date::moment;
use common::text::{Arg, Texts};
use serde::Serialize;

use super::context::Context;
use super::failure::{CliError, Exit};
use super::output::{Table, note};
use super::standing::{Standing, StandingDocument};
use super::today;
use crate::remote::account::{DayUse, SubscriptionState, Who};
use crate::remote::restore::{ListedSnapshot, SourceInfo};
use crate::remote::sets::SetList;
use crate::state::identity::Identity;
use crate::state::journal::RunLock;
use crate::state::receipts::Receipts;
use crate::state::runs::Runs;
use crate::state::source_folder;

/// What `--json` prints; bytes are integers, times RFC 3339.
#[derive(Serialize)]
struct StatusDocument {
    customer: String,
    reference: String,
    state: &'static str,
    /// Why backups are suspended, while they are.
    suspension: Option<String>,
    suspended_until: Option<String>,
    /// Maintenance under way, or the next announced one.
    maintenance_from: Option<String>,
    maintenance_until: Option<String>,
    location: String,
    agent: String,
    sources: Vec<SourceDocument>,
    today: DayUse,
}

#[derive(Serialize)]
struct SourceDocument {
    source: String,
    name: String,
    paths: Vec<String>,
    snapshots: u64,
    newest_at: Option<String>,
    newest_state: Option<&'static str>,
    /// The newest snapshot made its day exceed what the contract guarantees.
    newest_outside_guarantee: bool,
    /// The newest snapshot looks as if its data had been encrypted or deleted.
    newest_suspect: bool,
    newest_receipt: Option<String>,
    plain_bytes: u64,
    verified_at: Option<String>,
    rolled_back: bool,
    #[serde(flatten)]
    standing: StandingDocument,
}

/// A source with what the server and this machine know of it.
struct SourceRow {
    info: SourceInfo,
    paths: Vec<String>,
    schedule: Option<String>,
    runs: Option<Runs>,
    newest: Option<ListedSnapshot>,
    /// This machine holds a receipt that the server's newest snapshot does not reach.
    rolled_back: bool,
}

/// Runs `status`.
pub fn run(context: &Context) -> Result<Exit, CliError> {
    let identity = context.identity()?;
    let remote = context.connect(&identity.address, Some(identity.token.clone()))?;
    let who = context.wait(remote.whoami())?;
    let sets = context.wait(remote.sets())?;
    let mut rows = Vec::new();
    for info in context.wait(remote.sources())? {
        let newest = context.wait(remote.snapshots(Some(&info.source), None, 1))?.snapshots.into_iter().next();
        let rolled_back = is_rolled_back(&identity, &info, newest.as_ref(), context)?;
        let own = sets.sets.iter().find(|set| set.source == info.source && set.agent == identity.agent);
        let schedule = own.map(|set| set.schedule.clone());
        let runs = runs(&source_folder(&context.state, &info.source))?;
        rows.push(SourceRow { paths: paths(&sets, &info), schedule, runs, info, newest, rolled_back });
    }
    let document = document(&who, &rows, &identity.agent.to_string(), context);
    context.output.answer(&document, || text(&who, &rows, context))?;
    if rows.iter().any(|row| row.rolled_back) {
        note(&context.output.texts.say("backup-rolled-back"));
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}

/// What the runs of a source left. A run that was killed could not say that it ended: the lock tells.
fn runs(folder: &Path) -> Result<Option<Runs>, CliError> {
    let mut runs = Runs::load(folder)?;
    if let Some(runs) = runs.as_mut().filter(|runs| runs.running_since.is_some() && !RunLock::is_held(folder)) {
        runs.running_since = None;
    }
    Ok(runs)
}

/// True if this machine was given a receipt for a later snapshot than the server shows, or for another one of that number.
fn is_rolled_back(
    identity: &Identity,
    info: &SourceInfo,
    newest: Option<&ListedSnapshot>,
    context: &Context,
) -> Result<bool, CliError> {
    let folder = source_folder(&context.state, &info.source);
    if !folder.is_dir() {
        return Ok(false);
    }
    let receipts = Receipts::open(&folder)?;
    let Some(ours) = receipts.newest() else { return Ok(false) };
    let receipt = identity.signers.iter().find_map(|signer| verify(ours, &signer.public_key).ok());
    let Some(receipt) = receipt else { return Ok(false) };
    Ok(newest.is_none_or(|newest| {
        let sequence = newest.stored.head.sequence;
        sequence < receipt.sequence || (sequence == receipt.sequence && newest.receipt != ours)
    }))
}

fn paths(sets: &SetList, info: &SourceInfo) -> Vec<String> {
    let set = sets.sets.iter().find(|set| set.source == info.source);
    set.map_or_else(Vec::new, |set| set.files.paths.iter().map(|path| path.display().to_string()).collect())
}

impl SourceRow {
    fn standing(&self, context: &Context) -> Standing<'_> {
        let Self { info, schedule, runs, .. } = self;
        Standing { info, schedule: schedule.as_deref(), runs: runs.as_ref(), now: context.now() }
    }
}

fn document(who: &Who, rows: &[SourceRow], agent: &str, context: &Context) -> StatusDocument {
    let time = |ns: i64| moment(ns).to_string();
    StatusDocument {
        customer: who.customer.clone(),
        reference: who.reference.clone(),
        state: state(who.state),
        suspension: who.suspension.clone(),
        suspended_until: who.suspended_until_ns.map(time),
        maintenance_from: who.maintenance_ns.map(|(from, _)| time(from)),
        maintenance_until: who.maintenance_ns.and_then(|(_, until)| until).map(time),
        location: format!("{}, {}", who.location.site, who.location.country),
        agent: agent.to_owned(),
        sources: rows
            .iter()
            .map(|row| SourceDocument {
                source: row.info.source.to_string(),
                name: row.info.name.clone(),
                paths: row.paths.clone(),
                snapshots: row.info.snapshots,
                newest_at: row.info.newest_at_ns.map(time),
                newest_state: row.newest.as_ref().map(|newest| snapshot_state(newest)),
                newest_outside_guarantee: row.newest.as_ref().is_some_and(|newest| newest.outside_guarantee),
                newest_suspect: row.newest.as_ref().is_some_and(|newest| newest.suspect),
                newest_receipt: row.newest.as_ref().map(receipt_hash),
                plain_bytes: row.info.latest_plain_bytes,
                verified_at: row.info.verified_at_ns.map(time),
                rolled_back: row.rolled_back,
                standing: row.standing(context).document(),
            })
            .collect(),
        today: who.today.clone(),
    }
}

fn text(who: &Who, rows: &[SourceRow], context: &Context) -> String {
    let (texts, now) = (context.output.texts, context.now());
    let place = format!("{}, {}", who.location.site, who.location.country);
    let head = [
        ("customer", Arg::from(&who.customer)),
        ("reference", Arg::from(&who.reference)),
        ("location", place.into()),
        ("state", texts.say(state_key(who.state)).into()),
    ];
    let headings =
        ["status-source", "status-newest", "status-state", "status-size", "status-verified", "status-receipt"];
    let mut table = Table::new(headings.iter().map(|key| texts.say(key)).collect(), &[3]);
    let date =
        |ns: Option<i64>| ns.map_or_else(|| texts.say("status-never"), |ns| texts.date_and_relative(moment(ns), now));
    for row in rows {
        table.row(vec![
            row.info.name.clone(),
            date(row.info.newest_at_ns),
            row.newest.as_ref().map_or_else(String::new, |newest| snapshot_words(newest, texts)),
            texts.size(row.info.latest_plain_bytes),
            date(row.info.verified_at_ns),
            row.newest.as_ref().map_or_else(String::new, |newest| receipt_hash(newest)[..8].to_owned()),
        ]);
    }
    let body = if rows.is_empty() { format!("{}\n", texts.say("status-no-source")) } else { table.text() };
    let standings = rows.iter().map(|row| row.standing(context).line(texts));
    let said: Vec<String> =
        closed(who, context).into_iter().chain(standings).chain(today::sentences(&who.today, texts)).collect();
    format!("{}\n\n{body}\n{}\n", texts.say_with("status-head", &head), said.join("\n"))
}

/// Suspension, and maintenance under way or announced.
fn closed(who: &Who, context: &Context) -> Vec<String> {
    let (texts, now) = (context.output.texts, context.now());
    let date = |ns: Option<i64>| ns.map_or_else(|| "none".to_owned(), |ns| texts.date_and_relative(moment(ns), now));
    let suspension = who.suspension.as_deref().map(|reason| {
        let args = [("reason", Arg::from(reason)), ("until", date(who.suspended_until_ns).into())];
        texts.say_with("status-suspended", &args)
    });
    let maintenance = who.maintenance_ns.map(|(from, until)| {
        let args = [("from", Arg::from(date(Some(from)))), ("until", date(until).into())];
        texts.say_with("status-maintenance", &args)
    });
    suspension.into_iter().chain(maintenance).collect()
}

/// What the newest receipt is called everywhere: BLAKE3 of its exact bytes, as the next receipt names it.
fn receipt_hash(snapshot: &ListedSnapshot) -> String {
    blake3::Hash::from_bytes(common::receipt::digest(&snapshot.receipt)).to_hex().to_string()
}

fn snapshot_state(snapshot: &ListedSnapshot) -> &'static str {
    match snapshot.stored.head.state {
        common::stored::SnapshotState::Complete => "complete",
        _ => "partial",
    }
}

/// How a snapshot stands: whole or not, and what the server thinks of it.
fn snapshot_words(snapshot: &ListedSnapshot, texts: Texts) -> String {
    let state = match snapshot.stored.head.state {
        common::stored::SnapshotState::Complete => "state-complete",
        _ => "state-partial",
    };
    let suspect = snapshot.suspect.then_some("state-suspect");
    let outside = snapshot.outside_guarantee.then_some("state-outside-guarantee");
    let words = [Some(state), suspect, outside].into_iter().flatten().map(|key| texts.say(key));
    words.collect::<Vec<_>>().join(", ")
}

const fn state(state: SubscriptionState) -> &'static str {
    match state {
        SubscriptionState::Active => "active",
        SubscriptionState::Suspended => "suspended",
        SubscriptionState::Ended => "ended",
        SubscriptionState::Unknown => "unknown",
    }
}

const fn state_key(state: SubscriptionState) -> &'static str {
    match state {
        SubscriptionState::Active => "subscription-active",
        SubscriptionState::Suspended => "subscription-suspended",
        SubscriptionState::Ended => "subscription-ended",
        SubscriptionState::Unknown => "subscription-unknown",
    }
}
