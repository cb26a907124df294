//! The disk of a server is full to its last byte, by whatever else writes to it: the server starts, restores are served, a backup says why it is refused,
//! and once there is room backups go on.
//!
//! What is refused at each level of room is shown in `server/tests/it/full_disk.rs`.

use std::io::{Seek, SeekFrom, Write};

use crate::churn;
use crate::ledger::Ledger;
use crate::support::campaign::Campaign;
use crate::support::loop_disk::LoopDisk;
use crate::world::World;

/// Sparse: the server wants a reserve of at least 1 GiB.
const DISK_BYTES: u64 = 3 << 30;

#[test]
fn a_server_on_a_full_disk_restores_and_refuses_and_goes_on() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(disk) = LoopDisk::make(scratch.path(), DISK_BYTES) else { return };
    let mut campaign = Campaign::begin("C07", "server on a full disk", 1);
    let mut dice = campaign.dice();
    let mut world = World::with_server_in(&disk.root().join("server"));
    let mut ledger = Ledger::new(scratch.path());
    churn::make(&world.machine().source(), &mut dice, 2 << 20);
    let filler = disk.root().join("filler");
    for round in 0..campaign.rounds() {
        ledger.add(world.machine(), &world.machine().backup().expect(&[0]));
        // Full while it runs, and full when it starts.
        if round % 2 == 0 {
            world.stop_server();
        }
        let mut file = std::fs::File::create(&filler).unwrap();
        // The file system takes some for itself, so the last bit is filled by writing.
        let most = free_bytes(&disk).saturating_sub(8 << 20);
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, most).unwrap();
        file.seek(SeekFrom::Start(most)).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        assert!(free_bytes(&disk) < 64 << 10, "{} bytes are free", free_bytes(&disk));
        if round % 2 == 0 {
            world.start_server();
        }
        while disk.root().join("server/ballast").exists() {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        ledger.all_restore(&world);
        churn::one_day(&world.machine().source(), &mut dice);
        let refused = world.machine().backup();
        assert!(refused.code() != 0 && !refused.stderr.contains("panicked at"), "{}", refused.stderr);
        campaign.count("backups refused", 1);
        drop(file);
        std::fs::remove_file(&filler).unwrap();
        // Its blocks are free once the journal says so.
        std::fs::File::open(disk.root()).unwrap().sync_all().unwrap();
        ledger.add(world.machine(), &world.machine().backup().expect(&[0]));
        world.stop_server();
        world.start_server();
    }
    ledger.all_restore(&world);
    campaign.count("receipts restored", ledger.receipts());
    campaign.pass();
}

fn free_bytes(disk: &LoopDisk) -> u64 {
    let room = rustix::fs::statvfs(disk.root()).unwrap();
    room.f_bavail * room.f_frsize
}
