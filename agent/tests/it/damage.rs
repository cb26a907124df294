//! Damage of the store, each object in each way: the scrub or the restore finds it, and a restore gives the right bytes or an error.
//!
//! That the scrub finds each single byte is shown without a network in `server/tests/it/upkeep.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::churn;
use crate::oracle::{Facts, Listing, differences, listing};
use crate::support::campaign::{Campaign, Dice};
use crate::world::{Committed, World};

/// A way to damage an object; false if it does not apply.
type Harm = fn(&Path, &mut Dice, &[PathBuf]) -> bool;

const HARMS: &[(&str, Harm)] = &[
    ("flip a bit", |path, dice, _| {
        let mut bytes = fs::read(path).unwrap();
        let at = usize::try_from(dice.roll(bytes.len() as u64)).unwrap();
        bytes[at] ^= 1 << dice.roll(8);
        fs::write(path, bytes).unwrap();
        true
    }),
    ("truncate", |path, dice, _| {
        let bytes = fs::read(path).unwrap();
        let kept = usize::try_from(dice.roll(bytes.len() as u64)).unwrap();
        fs::write(path, &bytes[..kept]).unwrap();
        true
    }),
    ("zero a page", |path, dice, _| {
        let mut bytes = fs::read(path).unwrap();
        let at = usize::try_from(dice.roll(bytes.len() as u64)).unwrap();
        let end = bytes.len().min(at + 4096);
        let changes = bytes[at..end].iter().any(|byte| *byte != 0);
        bytes[at..end].fill(0);
        fs::write(path, bytes).unwrap();
        changes
    }),
    ("append", |path, _, _| {
        let mut bytes = fs::read(path).unwrap();
        bytes.push(0);
        fs::write(path, bytes).unwrap();
        true
    }),
    ("remove", |path, _, _| {
        fs::remove_file(path).unwrap();
        true
    }),
    ("put another of its kind in its place", |path, _, all| {
        let other = all
            .iter()
            .find(|other| *other != path && other.parent().unwrap().parent() == path.parent().unwrap().parent());
        other.is_some_and(|other| fs::copy(other, path).is_ok())
    }),
];

#[test]
fn each_object_damaged_in_each_way_is_found_and_gives_no_wrong_byte() {
    let mut world = World::new();
    let mut campaign = Campaign::begin("C09", "damaged objects restored", 1);
    let mut dice = campaign.dice();
    churn::make(&world.machine().source(), &mut dice, 300 << 10);
    let mut wanted: Vec<(String, Listing)> = Vec::new();
    for _ in 0..2 {
        let snapshot = Committed::of(&world.machine().backup().expect(&[0])).snapshot;
        wanted.push((snapshot, listing(&world.machine().source())));
        churn::one_day(&world.machine().source(), &mut dice);
    }
    world.stop_server();
    world.keep();
    let objects = files_below(&world.store().join("subscriptions"));
    for object in &objects {
        for (what, harm) in HARMS {
            if harm(object, &mut dice, &objects) {
                campaign.count("damages", 1);
                let what = format!("{what}: {}", object.display());
                let by_scrub = world.server_command("scrub").code() != 0;
                let by_restore = restores_nothing_wrong(&mut world, &what, &wanted);
                assert!(by_scrub || by_restore, "not found: {what}");
                campaign.count("found by the scrub", u64::from(by_scrub));
                if !by_scrub {
                    eprintln!("found by the restore only: {what}");
                }
            }
            world.put_back();
        }
    }
    assert_eq!(world.server_command("scrub").code(), 0);
    // Copies of the control store are no part of a restore: the scrub reads them.
    for copy in files_below(&world.store().join("control")) {
        assert!(HARMS[0].1(&copy, &mut dice, &objects));
        assert_ne!(world.server_command("scrub").code(), 0, "not found: {}", copy.display());
        world.put_back();
    }
    campaign.count("objects", objects.len() as u64);
    campaign.pass();
}

/// Restores each snapshot from a damaged store: right bytes, or an error that says so. True if an error did.
fn restores_nothing_wrong(world: &mut World, what: &str, wanted: &[(String, Listing)]) -> bool {
    world.start_server();
    let mut said = false;
    for (snapshot, wanted) in wanted {
        let target = world.scratch().join("target");
        let ended = world.machine().restore(snapshot, &target);
        assert!(!ended.stderr.contains("panicked at"), "{what}\n{}", ended.stderr);
        said |= ended.code() != 0;
        if target.exists() {
            let found = listing(&world.machine().restored(&target));
            assert!(ended.code() != 0 || differences(wanted, &found).is_empty(), "{what}: wrong and not said");
            for (path, facts) in &found {
                let right = |wanted: &Facts| facts.content.is_none() || wanted.content == facts.content;
                assert!(wanted.get(path).is_some_and(right), "{what}: wrong bytes in {path:?}");
            }
            fs::remove_dir_all(&target).unwrap();
        }
    }
    world.stop_server();
    said
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
