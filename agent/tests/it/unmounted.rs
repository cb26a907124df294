//! A file system that is not mounted any more is not an empty folder: neither at a folder of the set nor below one.

use tempfile::TempDir;

use crate::bind_mount::{BindMount, disk};
use crate::oracle::{assert_same, listing};
use crate::process::Ended;
use crate::world::{Committed, World};

fn missed(ended: &Ended) -> Vec<String> {
    let events = ended.events();
    let errors = events.iter().filter(|event| event["event"] == "item_error" && event["reason"] == "not_mounted");
    errors.map(|event| event["path"].as_str().unwrap().to_owned()).collect()
}

/// Two folders with content, the second of which can be mounted somewhere.
fn scene() -> (World, TempDir) {
    let (world, disk) = (World::new(), disk());
    std::fs::write(disk.path().join("base"), vec![7; 400_000]).unwrap();
    std::fs::write(world.machine().source().join("a"), "a").unwrap();
    (world, disk)
}

#[test]
fn below_a_folder_it_is_named_until_it_is_back_or_its_folder_is_gone() {
    let (world, disk) = scene();
    let machine = world.machine();
    let at = machine.source().join("data");
    std::fs::create_dir(&at).unwrap();
    let Some(mounted) = BindMount::new(disk.path(), &at) else { return };
    let first = Committed::of(&machine.backup().expect(&[0]));
    let before = listing(&machine.source());
    drop(mounted);
    for _ in 0..2 {
        assert_eq!(missed(&machine.backup().expect(&[3])), [at.display().to_string()], "named each time");
    }
    std::fs::write(at.join("written-below"), "x").unwrap();
    assert_eq!(missed(&machine.backup().expect(&[3])).len(), 1, "also if something was written there meanwhile");
    std::fs::remove_file(at.join("written-below")).unwrap();
    let target = world.scratch().join("restored");
    machine.restore(&first.snapshot, &target).expect(&[0]);
    assert_same("the date before", &before, &listing(&machine.restored(&target)));
    let mounted = BindMount::new(disk.path(), &at).unwrap();
    assert_eq!(missed(&machine.backup().expect(&[0])).len(), 0);
    drop(mounted);
    std::fs::remove_dir(&at).unwrap();
    assert_eq!(missed(&machine.backup().expect(&[0])).len(), 0, "whoever removes the folder means it");
}

#[test]
fn at_a_folder_of_the_set_nothing_is_recorded() {
    let (world, disk) = scene();
    let machine = world.machine();
    let source = machine.source();
    std::fs::remove_file(source.join("a")).unwrap();
    let Some(mounted) = BindMount::new(disk.path(), &source) else { return };
    machine.backup().expect(&[0]);
    drop(mounted);
    let failed = machine.backup().expect(&[1]);
    assert!(failed.stderr.contains("n'y est plus"), "{failed:?}");
    assert!(!failed.stdout.contains("\"summary\""), "{}", failed.stdout);
    std::fs::write(source.join("written-below"), "x").unwrap();
    assert_eq!(
        missed(&machine.backup().expect(&[3])),
        [source.display().to_string()],
        "what stands there is backed up"
    );
    let _mounted = BindMount::new(disk.path(), &source).unwrap();
    machine.backup().expect(&[0]);
}
