//! A tree with every oddity of metadata comes back identical, today's and yesterday's, and a second backup reads nothing again.

use std::ffi::OsStr;
use std::fs;

use crate::oddities;
use crate::oracle::{assert_same, listing};
use crate::world::{Committed, World};

#[test]
fn a_tree_of_oddities_comes_back_identical_at_each_date() {
    let world = World::new();
    let machine = world.machine();
    oddities::make(&machine.source());
    let first = listing(&machine.source());
    let monday = Committed::of(&machine.backup().expect(&[0]));
    assert_same("a backup changes nothing", &first, &listing(&machine.source()));

    fs::remove_dir_all(machine.source().join("deep")).unwrap();
    fs::write(machine.source().join("sizes/255"), "changed").unwrap();
    fs::rename(machine.source().join("names/..."), machine.source().join("names/....")).unwrap();
    xattr::set(machine.source().join("xattrs/file"), "user.origin", b"elsewhere").unwrap();
    fs::remove_file(machine.source().join("links/hard-a")).unwrap();
    let second = listing(&machine.source());
    let tuesday = Committed::of(&machine.backup().expect(&[0]));

    for (what, snapshot, wanted) in [("monday", &monday, &first), ("tuesday", &tuesday, &second)] {
        let target = world.scratch().join(what);
        machine.restore(&snapshot.snapshot, &target).expect(&[0]);
        // A socket belongs to the program that listens; the restore says so and does not make it.
        let mut wanted = wanted.clone();
        assert!(wanted.remove(OsStr::new("specials/socket")).is_some());
        assert_same(what, &wanted, &listing(&machine.restored(&target)));
    }
}

#[test]
fn an_unchanged_tree_is_soon_not_read_again_and_sends_no_content() {
    let world = World::new();
    let machine = world.machine();
    oddities::make(&machine.source());
    // A time that lies ahead says nothing about what happens next: such files are read every time.
    for ahead in ["after-2038", "after-2106"] {
        fs::remove_file(machine.source().join("times").join(ahead)).unwrap();
    }
    Committed::of(&machine.backup().expect(&[0]));
    // What changed within two seconds of being read is read once more: some run is the first that reads nothing.
    let mut runs = (0..100).map(|_| Committed::of(&machine.backup().expect(&[0])));
    let quiet = runs.find(|run| run.read_bytes == 0).expect("files that are old enough are not read");
    assert_eq!((quiet.laid_bytes, quiet.changed_bytes), (0, 0), "{quiet:?}");
}
