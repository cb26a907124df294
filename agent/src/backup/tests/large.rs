//! Large files: whatever happens to them, they come back identical, and what is laid is what changed.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use common::limits::{PAGE_BYTES, WINDOW_BYTES};
use common::tree::content::Content;
use common::tree::entry::EntryKind;

use super::{Scene, noise};
use crate::backup::run::Outcome;
use crate::state::pages::PageFolder;

const PAGE: u64 = PAGE_BYTES as u64;

/// Numbers without pattern, from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 20) % sides
    }
}

fn open(scene: &Scene, name: &str) -> File {
    OpenOptions::new().read(true).write(true).open(scene.tree().join(name)).unwrap()
}

/// Overwrites `count` different pages of a file of `pages` pages; the bytes that changed.
fn overwrite(scene: &Scene, name: &str, (pages, count): (u64, usize), dice: &mut Dice) -> u64 {
    let file = open(scene, name);
    let mut chosen = std::collections::BTreeSet::new();
    while chosen.len() < count {
        chosen.insert(dice.below(pages));
    }
    for page in &chosen {
        file.write_all_at(&noise(dice.0 ^ page, PAGE_BYTES), page * PAGE).unwrap();
    }
    chosen.len() as u64 * PAGE
}

/// What a run put: changed, laid again, reseeded.
fn put(scene: &mut Scene) -> ([u64; 3], Outcome) {
    scene.now_ns += 86_400_000_000_000;
    let before = scene.state.lock().put_plain;
    let (outcome, _) = scene.run_and_compare();
    let after = scene.state.lock().put_plain;
    (std::array::from_fn(|class| after[class] - before[class]), outcome)
}

#[test]
fn of_overwritten_pages_just_those_are_laid_day_after_day() {
    let mut scene = Scene::new();
    let pages = 16 * 256;
    scene.write("image", noise(1, pages * PAGE_BYTES));
    assert_eq!(put(&mut scene).0, [(pages * PAGE_BYTES) as u64, 0, 0]);
    let mut dice = Dice(7);
    for day in 0..12 {
        // 5 % a day: after some days hardly any window is as it was laid.
        let changed = overwrite(&scene, "image", (pages as u64, pages / 20), &mut dice);
        let ([laid, relaid, reseeded], _) = put(&mut scene);
        assert!(laid >= changed && laid <= changed / 20 * 21, "day {day}: {laid} laid of {changed}");
        assert!(relaid <= laid && reseeded == 0, "day {day}: {relaid} laid again");
    }
    assert!(scene.state.lock().put_plain[1] > 0, "nothing was ever laid again");
    assert_eq!(put(&mut scene).0, [0; 3]);
}

#[test]
fn whatever_is_done_to_a_file_it_comes_back_identical() {
    let seed = std::env::var("DOBAAS_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(11);
    let rounds = std::env::var("DOBAAS_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(24);
    eprintln!("seed {seed}, {rounds} rounds");
    let mut dice = Dice(seed);
    let mut scene = Scene::new();
    scene.write("file", noise(seed, 6 * WINDOW_BYTES + 1_234));
    scene.run_and_compare();
    for round in 0..rounds {
        let name = scene.tree().join("file");
        let mut bytes = std::fs::read(&name).unwrap();
        let size = bytes.len();
        let at = usize::try_from(dice.below(size as u64)).unwrap();
        let some = 1 + usize::try_from(dice.below(300_000)).unwrap();
        let end = (at + some).min(size);
        let what = dice.below(9);
        match what {
            0 => drop(overwrite(&scene, "file", (size as u64 / PAGE, 5), &mut dice)),
            1 => drop(bytes.splice(at..at, noise(round, some))),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.extend(noise(round, some)),
            4 => bytes.truncate(at.max(WINDOW_BYTES / 2)),
            5 => {
                let hole = (at as u64 / PAGE * PAGE, (some as u64).div_ceil(PAGE) * PAGE);
                let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
                rustix::fs::fallocate(open(&scene, "file"), flags, hole.0, hole.1).unwrap();
            }
            6 => {
                let half = size / 2 / PAGE_BYTES * PAGE_BYTES;
                bytes.rotate_left(half);
            }
            7 => {
                // Replaced by rename, as databases and editors do, with one page changed.
                let from = at.min(size - 1) / PAGE_BYTES * PAGE_BYTES;
                let to = (from + PAGE_BYTES).min(size);
                bytes[from..to].copy_from_slice(&noise(round, to - from));
                let new = scene.tree().join("file.new");
                std::fs::write(&new, &bytes).unwrap();
                std::fs::rename(&new, &name).unwrap();
            }
            _ => open(&scene, "file").set_len(size as u64 + some as u64).unwrap(),
        }
        if matches!(what, 1..=4 | 6) {
            std::fs::write(&name, &bytes).unwrap();
        }
        scene.now_ns += 86_400_000_000_000;
        scene.run_and_compare();
        eprintln!("round {round}: {what}, {} bytes", std::fs::metadata(&name).unwrap().len());
    }
}

#[test]
fn a_touched_file_sends_nothing_with_its_hashes_and_without_them() {
    let mut scene = Scene::new();
    scene.write("file", noise(3, 5 * WINDOW_BYTES + 77));
    scene.run_and_compare();
    let mut dice = Dice(3);
    let changed = overwrite(&scene, "file", (5 * 256, 20), &mut dice);
    assert_eq!(put(&mut scene).0, [changed, 0, 0]);
    let touch = |scene: &Scene| {
        let file = open(scene, "file");
        let byte = &mut [0];
        file.read_exact_at(byte, 9).unwrap();
        file.write_all_at(byte, 9).unwrap();
    };
    touch(&scene);
    assert_eq!(put(&mut scene).0, [0; 3]);
    // The hashes are lost: the whole content is compared, and they are made again.
    std::fs::remove_dir_all(scene.folder.path().join("state/pages")).unwrap();
    touch(&scene);
    assert_eq!(put(&mut scene).0, [0; 3]);
    assert!(PageFolder::of(&scene.folder.path().join("state")).exists());
    let changed = overwrite(&scene, "file", (5 * 256, 20), &mut dice);
    assert_eq!(put(&mut scene).0, [changed, 0, 0]);
}

#[test]
fn a_damaged_hash_costs_its_window_and_a_lost_memory_nothing() {
    let mut scene = Scene::new();
    scene.write("file", noise(4, 8 * WINDOW_BYTES));
    scene.run_and_compare();
    let mut dice = Dice(4);
    // One wrong byte in the record of the first window.
    let pages = scene.folder.path().join("state/pages");
    let folder = std::fs::read_dir(&pages).unwrap().next().unwrap().unwrap().path();
    let path = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    open_at(&path).write_all_at(&[0xff; 16], 100).unwrap();
    let changed = overwrite(&scene, "file", (8 * 256, 8), &mut dice);
    let [laid, relaid, _] = put(&mut scene).0;
    assert!(laid >= changed && laid <= changed + (4 * WINDOW_BYTES) as u64 && relaid == 0, "{laid} of {changed}");
    let changed = overwrite(&scene, "file", (8 * 256, 8), &mut dice);
    assert_eq!(put(&mut scene).0, [changed, 0, 0], "the hashes are whole again");
    // The tree is fetched from the server; the hashes belong to the content, not to the memory.
    for name in ["head", "table", "tree"] {
        std::fs::remove_file(scene.folder.path().join("state").join(name)).unwrap();
    }
    let changed = overwrite(&scene, "file", (8 * 256, 8), &mut dice);
    assert_eq!(put(&mut scene).0, [changed, 0, 0]);
}

fn open_at(path: &std::path::Path) -> File {
    OpenOptions::new().write(true).open(path).unwrap()
}

#[test]
fn fragmented_content_is_kept_in_layers_and_the_memory_holds_them_all() {
    let mut scene = Scene::new();
    scene.write("a/image", noise(5, 12 * WINDOW_BYTES));
    scene.write("b/other", b"small");
    scene.run_and_compare();
    let mut dice = Dice(5);
    for day in 0..6u64 {
        let changed = overwrite(&scene, "a/image", (12 * 256, 100), &mut dice);
        assert_eq!(put(&mut scene).0, [changed, 0, 0], "day {day}");
        // A day on which only another file changes: the layers of the image stay known.
        scene.write("b/other", day.to_string());
        assert!(put(&mut scene).0[0] <= 1);
    }
    let stored = scene.stored();
    let layers = stored.values().filter_map(|(entry, _)| match &entry.kind {
        EntryKind::File(file) => match &file.content {
            Content::Layers(layers) => Some(layers.len()),
            Content::Inline(_) => None,
        },
        _ => None,
    });
    assert!(layers.max().is_some_and(|layers| layers >= 1));
}

#[test]
fn a_chunk_that_the_server_lost_is_laid_again_and_the_rest_of_its_file_is_not() {
    let mut scene = Scene::new();
    scene.write("file", noise(6, 20 * WINDOW_BYTES));
    scene.run_and_compare();
    let mut dice = Dice(6);
    overwrite(&scene, "file", (20 * 256, 200), &mut dice);
    scene.run_and_compare();
    let lost = {
        let mut state = scene.state.lock();
        let data: Vec<_> = state
            .frames
            .iter()
            .filter_map(|(id, frame)| {
                let header = common::frame::FrameHeader::parse_whole(frame).unwrap();
                (!header.kind.is_node()).then_some((header.plain_bytes, *id))
            })
            .collect();
        let (bytes, id) = data.into_iter().max().unwrap();
        state.frames.remove(&id);
        state.except.push(id);
        state.has_losses = true;
        u64::from(bytes)
    };
    let (laid, _) = put(&mut scene);
    let window = WINDOW_BYTES as u64;
    assert!(laid[0] > 0 && laid[0] <= lost + 4 * window, "{laid:?} for {lost} lost bytes");
}

#[test]
fn a_machine_that_lost_its_state_lays_changed_files_whole_and_says_that_it_is_no_change() {
    let mut scene = Scene::new();
    scene.write("changing", noise(7, 4 * WINDOW_BYTES));
    scene.write("still", noise(8, 4 * WINDOW_BYTES));
    scene.run_and_compare();
    let mut dice = Dice(8);
    // Fragmented, so that cutting it again finds no chunk that is stored.
    overwrite(&scene, "changing", (4 * 256, 300), &mut dice);
    scene.run_and_compare();
    std::fs::remove_dir_all(scene.folder.path().join("state")).unwrap();
    overwrite(&scene, "changing", (4 * 256, 1), &mut dice);
    scene.write("new", noise(9, 2 * WINDOW_BYTES));
    let ([changed, relaid, reseeded], _) = put(&mut scene);
    assert_eq!((changed, relaid, reseeded), (2 * WINDOW_BYTES as u64, 0, 4 * WINDOW_BYTES as u64));
    let kind = scene.state.lock().opens.last().unwrap().kind;
    assert_eq!(kind, i32::from(common::stored::SnapshotKind::Reseed).unsigned_abs());
    let changed = overwrite(&scene, "changing", (4 * 256, 3), &mut dice);
    assert_eq!(put(&mut scene).0, [changed, 0, 0], "the next day is as any other");
}

#[test]
fn a_fragmented_file_that_is_moved_or_copied_is_laid_only_where_it_changed() {
    let mut scene = Scene::new();
    let pages = 16 * 256;
    scene.write("image", noise(1, pages * PAGE_BYTES));
    let mut dice = Dice(9);
    for _ in 0..6 {
        overwrite(&scene, "image", (pages as u64, pages / 20), &mut dice);
        put(&mut scene);
    }
    let at = |scene: &Scene, name: &str| scene.tree().join(name);
    std::fs::rename(at(&scene, "image"), at(&scene, "a moved image")).unwrap();
    assert_eq!(put(&mut scene).0, [0; 3], "moved");
    std::fs::create_dir(at(&scene, "folder")).unwrap();
    std::fs::rename(at(&scene, "a moved image"), at(&scene, "folder/image")).unwrap();
    let changed = overwrite(&scene, "folder/image", (pages as u64, 3), &mut dice);
    assert_eq!(put(&mut scene).0, [changed, 0, 0], "moved and changed");
    // As a copy that keeps times has it, or a move to another file system.
    std::fs::copy(at(&scene, "folder/image"), at(&scene, "copy")).unwrap();
    let modified = std::fs::metadata(at(&scene, "folder/image")).unwrap().modified().unwrap();
    open(&scene, "copy").set_modified(modified).unwrap();
    assert_eq!(put(&mut scene).0, [0; 3], "copied");
    std::fs::remove_file(at(&scene, "folder/image")).unwrap();
    let changed = overwrite(&scene, "copy", (pages as u64, 5), &mut dice);
    assert_eq!(put(&mut scene).0, [changed, 0, 0], "the copy has hashes of its own");
    // What takes over an inode has nothing to do with what was there: a rename over a name, or a number used again.
    std::fs::rename(at(&scene, "copy"), at(&scene, "log.1")).unwrap();
    scene.write("copy", noise(5, 3 * WINDOW_BYTES));
    assert_eq!(put(&mut scene).0, [3 * WINDOW_BYTES as u64, 0, 0], "another file under the old name");
}

#[test]
fn hashes_of_files_that_are_gone_go_too() {
    let mut scene = Scene::new();
    scene.write("one", noise(1, 2 * WINDOW_BYTES));
    scene.write("two", noise(2, 2 * WINDOW_BYTES));
    scene.run_and_compare();
    let count = |scene: &Scene| {
        let folders = std::fs::read_dir(scene.folder.path().join("state/pages")).unwrap();
        folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum::<usize>()
    };
    assert_eq!(count(&scene), 2);
    std::fs::remove_file(scene.tree().join("one")).unwrap();
    std::fs::rename(scene.tree().join("two"), scene.tree().join("three")).unwrap();
    put(&mut scene);
    assert_eq!(count(&scene), 1);
}

#[test]
fn a_hole_at_the_end_that_grows_is_not_taken_from_the_old_content() {
    let mut scene = Scene::new();
    scene.write("file", noise(1, WINDOW_BYTES));
    let file = open(&scene, "file");
    file.set_len(WINDOW_BYTES as u64 + 10 * PAGE).unwrap();
    scene.run_and_compare();
    file.set_len(2 * WINDOW_BYTES as u64).unwrap();
    file.write_all_at(&noise(2, PAGE_BYTES), WINDOW_BYTES as u64 + 5 * PAGE).unwrap();
    assert_eq!(put(&mut scene).0, [PAGE, 0, 0]);
}
