//! The machine of the server is lost: from the disk of the store, the configuration and the identity that was kept elsewhere, everything
//! comes back on another one, in the steps of the operators' guide.

use crate::ledger::Ledger;
use crate::oddities::noise;
use crate::world::World;

#[test]
fn from_store_configuration_and_identity_everything_comes_back() {
    let mut world = World::new();
    let mut ledger = Ledger::new(world.scratch());
    let second = world.second_machine();
    std::fs::write(second.source().join("a"), "de l'autre machine").unwrap();
    second.backup().expect(&[0]);
    std::fs::write(world.machine().source().join("large"), noise(7, 2 << 20)).unwrap();
    // Little enough that no guard but that of older records has a reason.
    for day in 1..=3 {
        std::fs::write(world.machine().source().join(format!("day-{day}")), format!("text of day {day}\n")).unwrap();
        ledger.add(world.machine(), &world.machine().backup().expect(&[0]));
    }
    world.server_command("backup-control").expect(&[0]);
    world.kill_server();
    let lost = world.scratch().join("lost");
    std::fs::rename(world.server_folder(), &lost).unwrap();
    std::fs::create_dir(world.server_folder()).unwrap();
    for kept in ["server.toml", "identity", "store"] {
        std::fs::rename(lost.join(kept), world.server_folder().join(kept)).unwrap();
    }
    std::fs::remove_dir_all(world.store().join("staging")).unwrap();

    let refused = world.server_command("serve").expect(&[1]);
    assert!(refused.stderr.contains("restore-control"), "{refused:?}");
    world.server_command("restore-control").expect(&[0]);
    // Whoever forgets the catalogs serves nothing wrong: the subscription waits.
    world.start_server();
    assert_ne!(world.machine().backup().code(), 0);
    world.stop_server();
    world.server_command("rebuild").expect(&[0]);
    world.server_command("scrub").expect(&[0]);
    world.start_server();
    ledger.all_restore(&world);
    for (job, outcome) in world.night().into_iter().filter(|(job, _)| *job != "scrub") {
        assert_eq!(outcome, "rebuilt refused", "{job}");
    }
    world.operator(&["upkeep", "allow", "--reason", "nouvelle machine"]).expect(&[0]);
    world.operator(&["upkeep", "allow", "BC1", "--reason", "nouvelle machine"]).expect(&[0]);
    std::fs::write(world.machine().source().join("c"), "après").unwrap();
    for machine in [world.machine(), &second] {
        machine.backup().expect(&[0]);
    }
    for (job, outcome) in world.night() {
        assert_eq!(outcome, "done", "{job}");
    }
    ledger.all_restore(&world);
}
