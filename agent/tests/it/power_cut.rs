//! The server's disk loses its power at random moments: every receipt that an agent holds can be restored, and the server starts by
//! itself on what is left.
//!
//! Skipped with a message where no loop device can be mounted.

use std::time::Duration;

use crate::churn;
use crate::ledger::Ledger;
use crate::support::campaign::Campaign;
use crate::support::loop_disk::LoopDisk;
use crate::world::World;

/// Sparse: the server wants a reserve of at least 1 GiB.
const DISK_BYTES: u64 = 6 << 30;
const MOMENT_MAX: Duration = Duration::from_secs(4);

#[test]
fn every_receipt_survives_the_power_cuts_of_the_server() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(disk) = LoopDisk::make(scratch.path(), DISK_BYTES) else { return };
    let mut world = World::with_server_in(&disk.root().join("server"));
    let mut campaign = Campaign::begin("C03", "power cut", 8);
    let mut dice = campaign.dice();
    let mut ledger = Ledger::new(scratch.path());
    churn::make(&world.machine().source(), &mut dice, 10 << 20);
    for _ in 0..campaign.rounds() {
        churn::one_day(&world.machine().source(), &mut dice);
        let mut run = world.machine().start_backup();
        run.ends_within(dice.moment(MOMENT_MAX));
        disk.cut();
        campaign.count("cuts", 1);
        world.kill_server();
        disk.power_up();
        world.start_server();
        let mut ended = run.wait().expect(&[0, 1]);
        if ended.code() == 1 {
            ended = world.machine().backup().expect(&[0]);
        }
        ledger.add(world.machine(), &ended);
        ledger.newest_restores(&world);
    }
    ledger.all_restore(&world);
    world.stop_server();
    world.server_command("scrub").expect(&[0]);
    campaign.count("receipts restored", ledger.receipts());
    campaign.pass();
}
