//! A network that loses packets both ways: a backup and a restore come to their end, and what comes back is identical.
//!
//! In a network namespace of its own, whose loopback drops packets at random by a rule of nftables; so the proof runs itself once more inside. The rounds
//! of the campaign are the rates of loss, one after the other. Skipped with a message where namespaces or nftables are missing.

use std::process::{Command, Output};

use crate::churn;
use crate::ledger::Ledger;
use crate::support::campaign::Campaign;
use crate::world::World;

/// Of a hundred packets.
const LOST: [u32; 4] = [1, 5, 10, 20];
const LARGE_BYTES: usize = 8 << 20;
/// Says inside how many packets are lost.
const INSIDE: &str = "DOBAAS_LOST_PACKETS";
const TABLE: &str = "table ip loss { chain in { type filter hook input priority 0; }; }";

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn nft(rule: &str) -> Output {
    Command::new("nft").arg(rule).output().unwrap()
}

#[test]
fn a_backup_and_a_restore_come_to_their_end_on_a_network_that_loses_packets() {
    if let Ok(lost) = std::env::var(INSIDE) {
        inside(lost.parse().unwrap());
        return;
    }
    let try_it = ["--net", "sh", "-c", "ip link set lo up && nft list ruleset"];
    if !Command::new("unshare").args(try_it).output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no lost packets without root, unshare, ip and nft");
        return;
    }
    let mut campaign = Campaign::begin("C13", "lossy network", 2);
    for round in 0..campaign.rounds() {
        let lost = LOST[usize::try_from(round).unwrap() % LOST.len()];
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", r#"ip link set lo up && exec "$@""#, "sh"]);
        command.arg(std::env::current_exe().unwrap()).args(["lossy_network::", "--nocapture", "--test-threads=1"]);
        command.env(INSIDE, lost.to_string()).env("DOBAAS_TEST_SEED", (campaign.seed() + round).to_string());
        let output = command.env_remove("DOBAAS_CAMPAIGNS").output().unwrap();
        assert!(output.status.success(), "{lost} of 100 packets lost: {}", said(&output));
        let text = said(&output);
        let dropped = text.split("dropped packets: ").nth(1).and_then(|rest| rest.split_whitespace().next());
        let dropped: u64 = dropped.unwrap().parse().unwrap();
        assert!(dropped > 0, "nothing was lost");
        campaign.count("packets lost", dropped);
        campaign.count("restores", 2);
    }
    campaign.pass();
}

fn inside(lost: u32) {
    let world = World::new();
    let machine = world.machine();
    let campaign = Campaign::begin("C13", "inside", 1);
    let mut dice = campaign.dice();
    let mut ledger = Ledger::new(world.scratch());
    churn::make(&machine.source(), &mut dice, LARGE_BYTES);
    for rule in [TABLE.to_owned(), format!("add rule ip loss in numgen random mod 100 < {lost} counter drop")] {
        let added = nft(&rule);
        assert!(added.status.success(), "{rule}: {}", said(&added));
    }
    for _ in 0..2 {
        ledger.add(machine, &machine.backup().expect(&[0]));
        ledger.newest_restores(&world);
        churn::one_day(&machine.source(), &mut dice);
    }
    let listed = said(&nft("list chain ip loss in"));
    let dropped = listed.split("counter packets ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    eprintln!("dropped packets: {dropped}");
    campaign.pass();
}
