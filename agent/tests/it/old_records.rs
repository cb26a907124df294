//! The provider's records are lost and an older copy of them comes back: what was withdrawn since stays withdrawn.

use crate::process::Ended;
use crate::world::{OPERATOR, PERSON, World};

/// A world with one backup.
fn backed_up() -> World {
    let world = World::new();
    std::fs::write(world.machine().source().join("a"), "a").unwrap();
    world.machine().backup().expect(&[0]);
    world
}

fn copy_records(world: &mut World) {
    world.stop_server();
    world.server_command("backup-control").expect(&[0]);
    world.start_server();
}

fn remove_records(world: &World) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(world.server_folder().join(format!("control.db{suffix}")));
    }
}

/// The records go, and the newest copy of them comes back.
fn lose_records(world: &mut World) {
    world.kill_server();
    remove_records(world);
    world.server_command("restore-control").expect(&[0]);
    world.start_server();
}

#[test]
fn an_agent_that_was_revoked_does_not_come_back_with_older_records() {
    let mut world = backed_up();
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
    let mut world = backed_up();
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

#[test]
fn an_account_that_ended_does_not_come_back_with_older_records() {
    let mut world = backed_up();
    copy_records(&mut world);
    world.operator(&["account", "end", PERSON, "--reason", "départ"]).expect(&[0]);
    lose_records(&mut world);
    assert_eq!(world.machine().restore("latest", &world.scratch().join("restored")).code(), 12);
    world.reset_password("agrafe muguet detour 43");
    assert_eq!(
        world.machine().restore("latest", &world.scratch().join("restored")).code(),
        0,
        "an operator may open it"
    );
}

#[test]
fn a_server_whose_records_are_lost_makes_no_empty_ones_and_says_how_to_get_them_back() {
    let mut world = backed_up();
    copy_records(&mut world);
    world.stop_server();
    remove_records(&world);
    for empty in [false, true] {
        if empty {
            std::fs::write(world.server_folder().join("control.db"), "").unwrap();
        }
        let options = |command| if command == "reset-operator" { &["--operator", OPERATOR][..] } else { &[] };
        for command in ["serve", "scrub", "rebuild", "reset-operator", "backup-control"] {
            let refused = world.server_command_with(command, options(command)).expect(&[1]);
            assert!(refused.stderr.contains("control.db") && refused.stderr.contains("restore-control"), "{refused:?}");
        }
        assert_eq!(world.server_folder().join("control.db").exists(), empty, "none is made");
    }
    std::fs::write(world.server_folder().join("control.db"), vec![7; 8_192]).unwrap();
    let refused = world.server_command("serve").expect(&[1]);
    assert!(refused.stderr.contains("abîmés") && refused.stderr.contains("restore-control"), "{refused:?}");
    remove_records(&world);
    world.server_command("restore-control").expect(&[0]);
    world.start_server();
    world.machine().backup().expect(&[0]);
}

#[test]
fn an_operator_who_is_locked_out_is_let_in_again_by_whoever_has_the_machine() {
    let world = World::new();
    world.operator(&["account", "create", "lea", "--operator", "--role", "operator"]).expect(&[0]);
    world.operator(&["account", "networks", "lea", "192.0.2.0/24"]).expect(&[0]);
    world.operator(&["account", "end", "lea", "--reason", "départ"]).expect(&[0]);
    for other in [PERSON, "nobody"] {
        let refused = world.server_command_with("reset-operator", &["--operator", other]).expect(&[2]);
        assert!(refused.stderr.contains(OPERATOR) && refused.stderr.contains("lea"), "{refused:?}");
    }
    let told = world.server_command_with("reset-operator", &["--operator", "Lea"]).expect(&[0]);
    assert!(told.stdout.contains("lea") && told.stdout.contains("30 jours"), "{told:?}");
    let people = world.operator(&["account", "list"]).expect(&[0]).document();
    let lea = people.as_array().unwrap().iter().find(|person| person["identifier"] == "lea").unwrap();
    assert_eq!((&lea["ends_at"], &lea["networks"]), (&serde_json::Value::Null, &serde_json::json!([])));
    assert_eq!(lea["must_change_password"], true);
    let told = world.server_command_with("reset-operator", &["--operator", OPERATOR, "--json"]).expect(&[0]).document();
    world.first_login(told["default_password"].as_str().unwrap());
    world.operator(&["audit", "verify"]).expect(&[0]);
}
