//! The provider's records are lost and an older copy of them comes back: what was withdrawn since stays withdrawn.

use crate::process::Ended;
use crate::world::World;

fn copy_records(world: &mut World) {
    world.stop_server();
    world.server_command("backup-control").expect(&[0]);
    world.start_server();
}

/// The records go, and the newest copy of them comes back.
fn lose_records(world: &mut World) {
    world.kill_server();
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(world.server_folder().join(format!("control.db{suffix}")));
    }
    world.server_command("restore-control").expect(&[0]);
    world.start_server();
}

#[test]
fn an_agent_that_was_revoked_does_not_come_back_with_older_records() {
    let mut world = World::new();
    std::fs::write(world.machine().source().join("a"), "a").unwrap();
    world.machine().backup().expect(&[0]);
    copy_records(&mut world);
    let agents = world.operator(&["agent", "list", "BC1"]).expect(&[0]).document();
    let agent = agents[0]["agent"].as_str().expect("one machine").to_owned();
    world.operator(&["agent", "revoke", "BC1", &agent, "--confirm", "BC1"]).expect(&[0]);
    let refused = |ended: &Ended| ended.stdout.contains("unauthenticated");
    let ended = world.machine().backup();
    assert!(ended.code() != 0 && refused(&ended), "{}", ended.stdout);

    lose_records(&mut world);
    let ended = world.machine().backup();
    assert!(ended.code() != 0 && refused(&ended), "{}", ended.stdout);
    let log = world.stop_server();
    assert!(log.contains("came back with an older control store"), "{log}");
    // Said once: from then on both agree.
    world.start_server();
    assert!(!world.stop_server().contains("came back"));
}

#[test]
fn a_password_that_was_replaced_does_not_come_back_with_older_records() {
    const OLD: &str = "trombone lilas virage 42";
    const NEW: &str = "agrafe muguet detour 43";
    let mut world = World::new();
    std::fs::write(world.machine().source().join("a"), "a").unwrap();
    world.machine().backup().expect(&[0]);
    let mut targets = 0;
    let mut restore = |world: &World| {
        targets += 1;
        world.machine().restore("latest", &world.scratch().join(format!("restored-{targets}"))).code()
    };
    world.machine().remember_password(OLD);
    assert_eq!(restore(&world), 0);
    copy_records(&mut world);
    world.reset_password(NEW);
    assert_eq!(restore(&world), 0, "the default password is changed by the restore");

    lose_records(&mut world);
    assert_eq!(restore(&world), 12, "the records are older than this password");
    world.machine().remember_password(OLD);
    assert_eq!(restore(&world), 12, "this one was replaced");
    let log = world.stop_server();
    assert!(log.contains("came back with an older control store"), "{log}");
    world.start_server();
    assert!(!world.stop_server().contains("came back"), "said once: from then on both agree");
    world.start_server();
    world.reset_password(NEW);
    assert_eq!(restore(&world), 0);
}
