//! The provider's records are lost and an older copy of them comes back: what was withdrawn since stays withdrawn.

use crate::process::Ended;
use crate::world::World;

#[test]
fn an_agent_that_was_revoked_does_not_come_back_with_older_records() {
    let mut world = World::new();
    std::fs::write(world.machine().source().join("a"), "a").unwrap();
    world.machine().backup().expect(&[0]);
    world.stop_server();
    world.server_command("backup-control").expect(&[0]);
    world.start_server();
    let agents = world.operator(&["agent", "list", "BC1"]).expect(&[0]).document();
    let agent = agents[0]["agent"].as_str().expect("one machine").to_owned();
    world.operator(&["agent", "revoke", "BC1", &agent, "--confirm", "BC1"]).expect(&[0]);
    let refused = |ended: &Ended| ended.stdout.contains("unauthenticated");
    let ended = world.machine().backup();
    assert!(ended.code() != 0 && refused(&ended), "{}", ended.stdout);

    world.kill_server();
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(world.server_folder().join(format!("control.db{suffix}")));
    }
    world.server_command("restore-control").expect(&[0]);
    world.start_server();
    let ended = world.machine().backup();
    assert!(ended.code() != 0 && refused(&ended), "{}", ended.stdout);
    let log = world.stop_server();
    assert!(log.contains("came back with an older control store"), "{log}");
    // Said once: from then on both agree.
    world.start_server();
    assert!(!world.stop_server().contains("came back"));
}
