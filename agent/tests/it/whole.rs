//! A tree with every metadata oddity, through the real programs and back.

use crate::oddities;
use crate::oracle::{assert_same, listing};
use crate::site::{IDENTIFIER, SOURCE, Site};

#[test]
fn every_oddity_comes_back_identical_and_again_without_writing() {
    let site = Site::start();
    let machine = site.machine("a");
    let tree = site.path("tree");
    oddities::make(&tree);
    let wanted = listing(&tree);
    site.set_up(&machine, &["--source", SOURCE, "--path", tree.to_str().unwrap()]);
    let backup = machine.dobaas(&["backup"]).output().unwrap();
    assert!(backup.status.success(), "{}", String::from_utf8_lossy(&backup.stderr));

    let (password, passphrase) = (site.path("password"), site.path("passphrase"));
    let target = site.path("back");
    let restore = |overwrite: &str| {
        let mut typed = vec!["restore", "--json", "--devices", "--privileges", "--overwrite", overwrite];
        typed.extend(["--to", target.to_str().unwrap(), "--identifier", IDENTIFIER]);
        typed.extend(["--password-file", password.to_str().unwrap()]);
        typed.extend(["--passphrase-file", passphrase.to_str().unwrap()]);
        let output = machine.dobaas(&typed).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str::<serde_json::Value>(text.lines().last().unwrap()).unwrap()
    };
    let back = target.join(tree.strip_prefix("/").unwrap());
    let first = restore("never");
    // A socket is made by the program that listens on it, and by nobody else.
    let without_sockets = |mut listing: crate::oracle::Listing| {
        listing.retain(|_, facts| facts.kind != "socket");
        listing
    };
    assert_same("restored", &without_sockets(wanted.clone()), &without_sockets(listing(&back)));
    let second = restore("never");
    assert_eq!(second["files"], 0, "{second}");
    assert_eq!(second["files_present"], first["files"], "{first} {second}");
    assert_same("restored twice", &without_sockets(wanted.clone()), &without_sockets(listing(&back)));
    let third = restore("always");
    assert_eq!(third["files"], 0, "{third}");
    assert_same("restored over itself", &without_sockets(wanted), &without_sockets(listing(&back)));
}
