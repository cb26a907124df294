//! Looking into crafted snapshots.

use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use agent::browse::contents::{BrowseError, Browser, Pattern};
use agent::restore::fetch::Fetcher;
use common::tree::path::EntryKey;

use crate::crafted::Crafted;

fn key(path: &str) -> EntryKey {
    EntryKey::from_path(path.as_bytes()).unwrap()
}

fn with_browser<T>(store: &Crafted, look: impl FnOnce(&Browser<'_>) -> T) -> T {
    let (unlock, stop) = (store.unlock(), AtomicBool::new(false));
    let fetcher = Fetcher { source: store, unlock: &unlock, threads: 1, stop: &stop };
    look(&Browser { fetcher: &fetcher })
}

fn sample() -> Crafted {
    let mut store = Crafted::new();
    for directory in ["srv", "srv/a", "srv/a/deep", "etc"] {
        store.directory(directory);
    }
    store.solid(&[
        ("srv/a/Rapport.pdf", b"1"),
        ("srv/a/deep/rapport.txt", b"2"),
        ("etc/hosts", b"3"),
        ("top.pdf", b"4"),
    ]);
    store
}

#[test]
fn directories_are_listed_and_names_found() {
    let mut store = sample();
    let root = store.root();
    with_browser(&store, |browser| {
        let list = |directory: Option<&str>, recursive| {
            let (directory, mut names) = (directory.map(key), Vec::new());
            let lost = browser.list(root, directory.as_ref(), recursive, &mut |key, _| {
                names.push(String::from_utf8(key.path()).unwrap());
                ControlFlow::Continue(())
            });
            lost.map(|lost| (names.join(" "), lost))
        };
        assert_eq!(list(None, false).unwrap(), ("etc srv top.pdf".into(), 0));
        assert_eq!(list(Some("srv/a"), false).unwrap().0, "srv/a/Rapport.pdf srv/a/deep");
        assert_eq!(list(Some("srv"), true).unwrap().0.split(' ').count(), 4);
        assert!(matches!(list(Some("nowhere"), false), Err(BrowseError::NotFound(_))));
        assert!(matches!(list(Some("top.pdf"), false), Err(BrowseError::NotADirectory(_))));
        let find = |pattern: &str, below: Option<&str>| {
            let (below, mut names, pattern) = (below.map(key), Vec::new(), Pattern::parse(pattern).unwrap());
            let each = &mut |key: &EntryKey, _: &_| {
                names.push(String::from_utf8(key.path()).unwrap());
                ControlFlow::Continue(())
            };
            browser.find(root, below.as_ref(), &pattern, each).unwrap();
            names.join(" ")
        };
        assert_eq!(find("rapport", None), "srv/a/Rapport.pdf srv/a/deep/rapport.txt");
        assert_eq!(find("*.pdf", None), "top.pdf srv/a/Rapport.pdf");
        assert_eq!(find("*.pdf", Some("srv")), "srv/a/Rapport.pdf");
        assert_eq!(find("srv/**/*.txt", None), "srv/a/deep/rapport.txt");
        assert_eq!(find("deep/", None), "srv/a/deep");
        assert!(Pattern::parse("[z-a]").is_err());
    });
}

#[test]
fn versions_and_differences_name_what_changed() {
    let mut store = sample();
    let first = store.root();
    store.solid(&[("etc/hosts", b"33")]);
    let second = store.root();
    store.entries.remove(&key("etc/hosts"));
    store.solid(&[("etc/new", b"5")]);
    let third = store.root();
    with_browser(&store, |browser| {
        let versions = browser.versions(&[first, first, second, second, third], &key("etc/hosts")).unwrap();
        let found: Vec<_> =
            versions.iter().map(|version| (version.index, version.entry.as_ref().map(|entry| entry.size()))).collect();
        assert_eq!(found, [(0, Some(1)), (2, Some(2)), (4, None)]);
        let mut changes = Vec::new();
        let mut each = |change: &common::tree::diff::Change| {
            changes.push((String::from_utf8(change.key.path()).unwrap(), change.old.is_some(), change.new.is_some()));
            ControlFlow::Continue(())
        };
        browser.diff((first, third), None, &mut each).unwrap();
        assert_eq!(changes, [("etc/hosts".into(), true, false), ("etc/new".into(), false, true)]);
    });
}
