//! The disk of the store is replaced: nothing is taken for a store that nobody declared, and an empty one begins anew.

use crate::ledger::Ledger;
use crate::oracle::{assert_same, listing};
use crate::world::{Committed, World};

fn fill(world: &World, edition: u8) {
    for name in ["un.txt", "deux.txt"] {
        std::fs::write(world.machine().source().join(name), vec![edition; 300_000]).unwrap();
    }
}

#[test]
fn an_empty_disk_is_a_store_only_once_declared_and_begins_anew() {
    let mut world = World::new();
    fill(&world, 1);
    world.machine().backup().expect(&[0]);
    fill(&world, 2);
    world.machine().backup().expect(&[0]);
    world.stop_server();
    let (store, aside) = (world.store(), world.scratch().join("old-disk"));
    std::fs::rename(&store, &aside).unwrap();
    std::fs::create_dir(&store).unwrap();

    let refused = world.server_command("serve").expect(&[1]);
    assert!(refused.stderr.contains("mark-store"), "{}", refused.stderr);
    assert_eq!(std::fs::read_dir(&store).unwrap().count(), 0, "nothing was made");
    let path = store.display().to_string();
    let refused = world.server_command("mark-store").expect(&[2]);
    assert!(refused.stderr.contains(&format!("--confirm {path}")), "{}", refused.stderr);
    assert_eq!(std::fs::read_dir(&store).unwrap().count(), 0, "nothing was made");
    // Somebody at work on the folder: the catalogs stay where they are, and the disk stays undeclared.
    let at_work = std::fs::File::options().write(true).open(world.server_folder().join("lock")).unwrap();
    at_work.lock().unwrap();
    world.server_command_with("mark-store", &["--confirm", &path]).expect(&[11]);
    assert!(world.catalogs().is_dir(), "the catalogs were moved");
    assert!(!store.join("dobaas-store").exists(), "the disk was declared");
    drop(at_work);
    world.server_command_with("mark-store", &["--confirm", &path]).expect(&[0]);
    let again = world.server_command("mark-store").expect(&[2]);
    assert!(again.stderr.contains(&path), "{}", again.stderr);

    world.start_server();
    // The keyring went with the disk: an agent that knew it does not go on as if nothing had happened, one that is set up makes a new one.
    let refused = world.machine().backup().expect(&[1]);
    assert!(refused.stderr.contains("trousseau"), "{}", refused.stderr);
    let machine = world.second_machine();
    std::fs::write(machine.source().join("un.txt"), vec![3; 300_000]).unwrap();
    let after = Committed::of(&machine.backup().expect(&[0]));
    let target = world.scratch().join("restored");
    machine.restore(&after.snapshot, &target).expect(&[0]);
    assert_same("the new store", &listing(&machine.source()), &listing(&machine.restored(&target)));
    world.stop_server();
    world.server_command("scrub").expect(&[0]);
}

#[test]
fn what_was_copied_to_a_new_disk_without_its_mark_serves_again_once_declared() {
    let mut world = World::new();
    let mut ledger = Ledger::new(world.scratch());
    fill(&world, 1);
    ledger.add(world.machine(), &world.machine().backup().expect(&[0]));
    world.stop_server();
    std::fs::remove_file(world.store().join("dobaas-store")).unwrap();
    world.server_command("serve").expect(&[1]);
    world.server_command("mark-store").expect(&[0]);
    world.start_server();
    ledger.newest_restores(&world);
}
