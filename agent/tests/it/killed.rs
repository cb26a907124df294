//! `kill -9` at random moments, of the server and of the agent: no receipt is lost, a start needs nobody, and what was acknowledged
//! is not sent again.
//!
//! 30 kills of each; `DOBAAS_TEST_ROUNDS` makes more. The page cache survives a kill: `power_cut` is for what is durable.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::churn;
use crate::ledger::Ledger;
use crate::support::campaign::Campaign;
use crate::world::World;

/// Longest time that a kill waits: a backup of this tree takes less.
const MOMENT_MAX: Duration = Duration::from_secs(4);

#[test]
fn no_receipt_is_lost_when_the_server_is_killed_at_random() {
    let mut world = World::new();
    let mut campaign = Campaign::begin("C01", "server killed", 10);
    let mut dice = campaign.dice();
    let mut ledger = Ledger::new(world.scratch());
    churn::make(&world.machine().source(), &mut dice, 10 << 20);
    for _ in 0..campaign.rounds() {
        churn::one_day(&world.machine().source(), &mut dice);
        let mut run = world.machine().start_backup();
        run.ends_within(dice.moment(MOMENT_MAX));
        world.kill_server();
        campaign.count("kills", 1);
        world.start_server();
        // A run that had begun goes on with the server that came back; one that had not says that nobody answers.
        let mut ended = run.wait().expect(&[0, 1]);
        if ended.code() == 1 {
            ended = world.machine().backup().expect(&[0]);
        } else {
            campaign.count("runs that went on by themselves", 1);
        }
        ledger.add(world.machine(), &ended);
    }
    ledger.all_restore(&world);
    world.stop_server();
    world.server_command("scrub").expect(&[0]);
    campaign.count("chunks, each stored once", no_chunk_is_stored_twice(&world.store()));
    campaign.count("receipts restored", ledger.receipts());
    campaign.pass();
}

#[test]
fn no_receipt_is_lost_when_the_agent_is_killed_at_random() {
    let mut world = World::new();
    let mut campaign = Campaign::begin("C01", "agent killed", 10);
    let mut dice = campaign.dice();
    let mut ledger = Ledger::new(world.scratch());
    churn::make(&world.machine().source(), &mut dice, 10 << 20);
    for _ in 0..campaign.rounds() {
        churn::one_day(&world.machine().source(), &mut dice);
        let mut run = world.machine().start_backup();
        run.ends_within(dice.moment(MOMENT_MAX));
        let cut = run.kill();
        campaign.count("kills", 1);
        if cut.code() == 0 {
            ledger.add(world.machine(), &cut);
        }
        ledger.add(world.machine(), &world.machine().backup().expect(&[0]));
    }
    ledger.all_restore(&world);
    world.stop_server();
    world.server_command("scrub").expect(&[0]);
    campaign.count("chunks, each stored once", no_chunk_is_stored_twice(&world.store()));
    campaign.count("receipts restored", ledger.receipts());
    campaign.pass();
}

/// What was acknowledged before a kill and sent again after it would stand in two packs.
fn no_chunk_is_stored_twice(folder: &Path) -> u64 {
    let mut seen = BTreeSet::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.components().any(|part| part.as_os_str() == "packs") {
            let (_, tail) = common::pack::parse(&std::fs::read(&path).unwrap()).unwrap();
            for entry in tail.entries {
                assert!(seen.insert(entry.id), "chunk {} is stored twice, again in {}", entry.id, path.display());
            }
        }
    }
    seen.len() as u64
}
