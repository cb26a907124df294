//! Stores of every format that was ever released: whatever the present programs become, they read what is in `agent/tests/formats`, add to it and make its
//! catalogs again.
//!
//! An archive holds a whole site: the server's folder, a machine's state, secrets, and `promises.jsonl`, the listings of the sources as they were. Archives
//! are never made again. A new format gets a new one: `DOBAAS_FORMAT=agent/tests/formats/NAME.tar.gz cargo nextest run --workspace formats::`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::oddities::noise;
use crate::oracle::{Facts, Listing, listing};
use crate::support::campaign::{Campaign, Dice};
use crate::world::{Committed, World};

const PROMISES: &str = "secrets/promises.jsonl";
const DAYS: u32 = 3;

/// One line for an entry, which no change of this test's types changes.
fn line(facts: &Facts) -> String {
    let Facts { kind, mode, uid, gid, mtime_ns, size, rdev, content, data, link_target, linked_to, xattrs } = facts;
    // Only root gives files to others.
    let owner = match rustix::process::geteuid().is_root() {
        true => format!("{uid}:{gid}"),
        false => String::new(),
    };
    let content = content.map_or_else(String::new, |hash| hash.to_hex().to_string());
    let text = |name: &Option<std::ffi::OsString>| name.as_ref().map_or_else(String::new, |name| escaped(name));
    let xattrs: Vec<String> =
        xattrs.iter().map(|(name, value)| format!("{}={}", escaped(name), value.escape_ascii())).collect();
    let (target, linked_to) = (text(link_target), text(linked_to));
    format!("{kind} {mode:o} {owner} {mtime_ns} {size} {rdev} {content} {data:?} {target:?} {linked_to:?} {xattrs:?}")
}

fn escaped(name: &std::ffi::OsStr) -> String {
    name.as_bytes().escape_ascii().to_string()
}

fn lines(listing: &Listing) -> BTreeMap<String, String> {
    listing.iter().map(|(path, facts)| (escaped(path), line(facts))).collect()
}

/// Some of everything that the formats know how to keep.
fn make_source(source: &Path, dice: &mut Dice) {
    for number in 0..30 {
        fs::write(source.join(format!("fichier-{number}")), noise(number, dice.index(4_000))).unwrap();
    }
    // Large enough for a memory of its pages.
    let text: String = (0..60_000).map(|line| format!("ligne {line} d'un grand fichier\n")).collect();
    fs::write(source.join("grand"), text).unwrap();
    fs::write(source.join("été \u{1f4be}"), "accents").unwrap();
    fs::write(source.join("vide"), "").unwrap();
    fs::hard_link(source.join("grand"), source.join("grand bis")).unwrap();
    symlink("../ailleurs", source.join("lien")).unwrap();
    fs::create_dir(source.join("dossier vide")).unwrap();
    let sparse = fs::File::create(source.join("creux")).unwrap();
    sparse.set_len(40 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, &noise(1, 4_096), 20 << 20).unwrap();
    // Kept by most file systems; where it is not, the listing has none.
    let _ = xattr::set(source.join("vide"), "user.dobaas", b"attribut");
    let _ = xattr::set(source.join("vide"), "user.long", &noise(2, 3_000));
}

/// Some pages of the large file, one file more and one less.
fn one_day(source: &Path, dice: &mut Dice) {
    let grand = fs::OpenOptions::new().write(true).open(source.join("grand")).unwrap();
    for _ in 0..5 {
        std::os::unix::fs::FileExt::write_all_at(&grand, &noise(2, 4_096), dice.roll(300) * 4_096).unwrap();
    }
    fs::write(source.join(format!("ajout-{}", dice.roll(1_000))), noise(3, 2_000)).unwrap();
    let _ = fs::remove_file(source.join(format!("fichier-{}", dice.roll(30))));
}

/// A site of a few days; its archive.
fn make_archive(archive: &Path, dice: &mut Dice) {
    let mut world = World::new();
    let source = world.machine().source();
    make_source(&source, dice);
    let mut promises = fs::File::create(world.scratch().join(PROMISES)).unwrap();
    for day in 0..DAYS {
        if day > 0 {
            one_day(&source, dice);
        }
        let committed = Committed::of(&world.machine().backup().expect(&[0]));
        let promise = json!({"snapshot": committed.snapshot, "source": source, "listing": lines(&listing(&source))});
        writeln!(promises, "{promise}").unwrap();
    }
    world.stop_server();
    world.archive(archive);
}

/// Reads everything in an archive with the programs as they are, and goes on from it.
fn check(archive: &Path, campaign: &mut Campaign) {
    let mut world = World::of_archive(archive);
    let promises = fs::read_to_string(world.scratch().join(PROMISES)).unwrap();
    let promises: Vec<Value> = promises.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!promises.is_empty());
    world.start_server();
    let name = archive.file_name().unwrap().to_string_lossy().into_owned();
    let mut restore = |world: &World, promise: &Value| {
        let target = world.scratch().join("restored");
        let (snapshot, source) = (promise["snapshot"].as_str().unwrap(), promise["source"].as_str().unwrap());
        let ended = world.machine().restore_path(&[], snapshot, &target, Path::new(source));
        // Somebody who is not root restores all but the owners, and is told so.
        let codes: &[i32] = if rustix::process::geteuid().is_root() { &[0] } else { &[0, 3] };
        ended.expect(codes);
        let wanted: BTreeMap<String, String> = serde_json::from_value(promise["listing"].clone()).unwrap();
        let found = lines(&listing(&world.machine().restored(&target)));
        for (path, wanted) in &wanted {
            let wanted = match rustix::process::geteuid().is_root() {
                true => wanted.clone(),
                false => without_owner(wanted),
            };
            assert_eq!(found.get(path), Some(&wanted), "{name}: {path}");
        }
        assert_eq!(found.len(), wanted.len(), "{name}");
        fs::remove_dir_all(&target).unwrap();
        campaign.count("snapshots restored", 1);
    };
    promises.iter().for_each(|promise| restore(&world, promise));

    // A machine that was set up then goes on now, where its source was.
    let source = PathBuf::from(promises[0]["source"].as_str().unwrap());
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("nouveau"), "aujourd'hui").unwrap();
    let committed = Committed::of(&world.machine().backup().expect(&[0]));
    let new = json!({"snapshot": committed.snapshot, "source": source, "listing": lines(&listing(&source))});
    fs::remove_dir_all(source.parent().and_then(Path::parent).unwrap()).unwrap();
    restore(&world, &new);

    // Without its catalogs.
    world.stop_server();
    fs::remove_dir_all(world.catalogs()).unwrap();
    world.server_command("rebuild").expect(&[0]);
    world.start_server();
    promises.iter().chain([&new]).for_each(|promise| restore(&world, promise));
    assert!(!world.stop_server().contains("panicked at"));
}

/// A line with an empty owner, as [`line`] writes it for somebody who is not root.
fn without_owner(line: &str) -> String {
    let mut words: Vec<&str> = line.splitn(4, ' ').collect();
    words[2] = "";
    words.join(" ")
}

#[test]
fn stores_of_every_format_are_read_added_to_and_rebuilt() {
    let mut campaign = Campaign::begin("C31", "formats", 1);
    let made = tempfile::tempdir().unwrap();
    // The present format each time, so that what makes archives works when the next one is needed.
    let present = std::env::var_os("DOBAAS_FORMAT").map_or_else(|| made.path().join("present.tar.gz"), PathBuf::from);
    let present = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(present);
    assert!(!present.exists(), "an archive is never made again");
    make_archive(&present, &mut campaign.dice());
    check(&present, &mut campaign);
    let mut archives: Vec<PathBuf> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| *path != present)
        .collect();
    archives.sort();
    assert!(!archives.is_empty() || std::env::var_os("DOBAAS_FORMAT").is_some(), "no archive of a released format");
    for archive in archives {
        check(&archive, &mut campaign);
        campaign.count("released formats", 1);
    }
    campaign.pass();
}
