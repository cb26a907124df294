//! A server or an agent that is given too little: few open files, little memory. What cannot be done is said with its exit
//! code, nothing panics, and once there is enough everything goes on.

use crate::churn;
use crate::ledger::Ledger;
use crate::process::Ended;
use crate::support::campaign::{Campaign, Dice};
use crate::world::World;

/// Limits as `prlimit` takes them.
const SERVER: &[&[&str]] =
    &[&["--nofile=24"], &["--nofile=32"], &["--nofile=48"], &["--nofile=64"], &["--data=60000000"]];
const AGENT: &[&[&str]] = &[
    &["--nofile=12"],
    &["--nofile=16"],
    &["--nofile=24"],
    &["--nofile=40"],
    &["--data=16000000"],
    &["--data=64000000"],
];

/// What is refused is said. Memory is another matter: without it there is no thread and no sentence, and a process that ends is all that can be had.
fn says_why(ended: &Ended, limits: &[&str]) {
    let of_memory = limits.iter().any(|limit| limit.starts_with("--data"));
    assert!(of_memory || !ended.stderr.contains("panicked at"), "{limits:?}: {}", ended.stderr);
    assert!(
        ended.code() == 0 || !(ended.stdout.is_empty() && ended.stderr.is_empty()),
        "{limits:?}: ends without a word"
    );
}

#[test]
fn whoever_is_starved_says_so_and_loses_nothing() {
    let mut world = World::new();
    let mut campaign = Campaign::begin("C29", "starved", 2);
    let mut dice = campaign.dice();
    let mut ledger = Ledger::new(world.scratch());
    churn::make(&world.machine().source(), &mut dice, 4 << 20);
    ledger.add(world.machine(), &world.machine().backup().expect(&[0]));
    for round in 0..campaign.rounds() {
        // Each limit in its turn, from anywhere on.
        let turn = usize::try_from(campaign.seed() % 30 + round).unwrap();
        starve_agent(&world, AGENT[turn % AGENT.len()], (&mut campaign, &mut ledger, &mut dice));
        starve_server(&mut world, SERVER[turn % SERVER.len()], (&mut campaign, &mut ledger, &mut dice));
    }
    ledger.all_restore(&world);
    campaign.count("receipts restored", ledger.receipts());
    campaign.pass();
}

fn starve_agent(world: &World, limits: &[&str], (campaign, ledger, dice): (&mut Campaign, &mut Ledger, &mut Dice)) {
    churn::one_day(&world.machine().source(), dice);
    let ended = world.machine().backup_under(limits);
    says_why(&ended, limits);
    campaign.count("agents starved", 1);
    campaign.count("agents that managed all the same", u64::from(ended.code() == 0));
    if ended.code() == 0 {
        ledger.add(world.machine(), &ended);
    }
    ledger.add(world.machine(), &world.machine().backup().expect(&[0]));
}

fn starve_server(
    world: &mut World,
    limits: &[&str],
    (campaign, ledger, dice): (&mut Campaign, &mut Ledger, &mut Dice),
) {
    churn::one_day(&world.machine().source(), dice);
    world.stop_server();
    campaign.count("servers starved", 1);
    if let Some(ended) = world.start_server_under(limits) {
        says_why(&ended, limits);
    } else {
        let ended = world.machine().backup();
        says_why(&ended, limits);
        if ended.code() == 0 {
            campaign.count("servers that managed all the same", 1);
            ledger.add(world.machine(), &ended);
        }
        world.kill_server();
    }
    world.start_server();
    ledger.add(world.machine(), &world.machine().backup().expect(&[0]));
}
