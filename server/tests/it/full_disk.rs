//! The disk of a store is full to its last bytes: restores work, what does not fit is refused, the night's jobs do not break anything, and once there is
//! room again backups go on by themselves.
//!
//! Skipped with a message where no loop device can be mounted.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use rustix::fs::statvfs;

use crate::scenario::Scenario;
use crate::support::campaign::Campaign;
use crate::support::loop_disk::LoopDisk;

const DISK_BYTES: u64 = 96 << 20;
/// More than the reserve of this disk (2 %), so that some days begin and do not fit.
const FREE_BYTES_MAX: u64 = 4 << 20;
/// What opening the stores takes; a server that starts on less gives its ballast up first (`agent/tests/it/full_disk.rs`).
const FREE_BYTES_MIN: u64 = 512 << 10;

#[test]
fn a_full_disk_refuses_and_loses_nothing_and_goes_on_when_there_is_room() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(disk) = LoopDisk::make(scratch.path(), DISK_BYTES) else { return };
    let mut campaign = Campaign::begin("C07", "full disk", 10);
    let scenario = Scenario::in_folder(&disk.root().join("root")).with_content(2 << 20);
    scenario.goes_on(12);
    let filler = disk.root().join("filler");
    for step in 0..campaign.rounds() {
        let free_bytes = FREE_BYTES_MIN + (FREE_BYTES_MAX - FREE_BYTES_MIN) * step / campaign.rounds();
        fill(disk.root(), &filler, free_bytes);
        let before = scenario.receipts();
        let ended = scenario.run(1, &[]);
        campaign.count("refused and said so", u64::from(ended.was_refused()));
        campaign.count("days that fitted", scenario.receipts() - before);
        // Read while the disk is as full as it was.
        scenario.keeps_its_promises();
        std::fs::remove_file(&filler).unwrap();
        scenario.goes_on(1);
        scenario.keeps_its_promises();
        campaign.count("levels", 1);
    }
    assert!(campaign.counted("refused and said so") > 0, "the disk was never full");
    campaign.pass();
}

/// Leaves so many bytes free on the disk of `root`.
fn fill(root: &Path, filler: &Path, free_bytes: u64) {
    let mut file = File::create(filler).unwrap();
    let zeros = vec![0; 4 << 10];
    loop {
        let disk = statvfs(root).unwrap();
        if disk.f_bavail * disk.f_frsize <= free_bytes || file.write_all(&zeros).is_err() {
            break;
        }
        // Big steps while there is much: statvfs for each page would take long.
        let more = (disk.f_bavail * disk.f_frsize).saturating_sub(free_bytes + (1 << 20));
        let _ = file.write_all(&vec![0; usize::try_from(more).unwrap()]);
        // Delayed allocation would tell of room that is taken.
        let _ = file.sync_all();
    }
}
