//! The disk of a store loses its power at random moments of backups, expiry, mark, purge, compaction and scrub.
//!
//! What was promised is there when the power is back, and the start needs nobody. Skipped with a message where no loop device can be mounted.

use std::time::Duration;

use crate::scenario::{Days, Scenario};
use crate::support::campaign::Campaign;
use crate::support::loop_disk::LoopDisk;

const DISK_BYTES: u64 = 256 << 20;
const MOMENT_MAX: Duration = Duration::from_millis(1_500);

#[test]
fn no_promise_is_broken_by_power_cuts() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(disk) = LoopDisk::make(scratch.path(), DISK_BYTES) else { return };
    let mut campaign = Campaign::begin("C03", "store cut", 30);
    let mut dice = campaign.dice();
    let scenario = Scenario::in_folder(&disk.root().join("root"));
    // The folder itself is no promise of the store's.
    std::fs::File::open(disk.root()).unwrap().sync_all().unwrap();
    for _ in 0..campaign.rounds() {
        let mut child = scenario.process(1_000, &[]).spawn().unwrap();
        std::thread::sleep(dice.moment(MOMENT_MAX));
        disk.cut();
        campaign.count("cuts", 1);
        child.kill().unwrap();
        let ended = child.wait_with_output().unwrap();
        Days::of(ended.status.code(), &ended.stderr);
        disk.power_up();
        scenario.keeps_its_promises();
    }
    scenario.goes_on(2);
    campaign.count("receipts", scenario.keeps_its_promises());
    assert!(campaign.counted("receipts") * 8 > campaign.rounds(), "the store hardly ever came to an end of a day");
    campaign.pass();
}
