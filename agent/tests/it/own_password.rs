//! A person changes their own password, without the provider.

use crate::world::World;

const OLD: &str = "trombone lilas virage 42";
const NEW: &str = "agrafe muguet detour 43";

#[test]
fn a_person_changes_the_password_and_the_old_one_is_worth_nothing() {
    let world = World::new();
    let machine = world.machine();
    std::fs::write(machine.source().join("a"), "a").unwrap();
    machine.backup().expect(&[0]);
    machine.remember_password(OLD);
    machine.restore("latest", &world.scratch().join("first")).expect(&[0]);
    let weak = machine.change_password("court").expect(&[1]);
    assert!(weak.stdout.contains("weak_password"), "{weak:?}");
    let same = machine.change_password(OLD).expect(&[1]);
    assert!(same.stdout.contains("weak_password"), "{same:?}");
    assert_eq!(machine.change_password(NEW).expect(&[0]).document(), serde_json::json!({ "changed": true }));
    machine.restore("latest", &world.scratch().join("second")).expect(&[0]);
    machine.remember_password(OLD);
    machine.restore("latest", &world.scratch().join("third")).expect(&[12]);
    machine.change_password("une autre encore 44").expect(&[12]);
    machine.backup().expect(&[0]);
}
