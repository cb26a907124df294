//! A source that changes while it is read: files grow, shrink, are replaced, moved and removed under the agent's hands.
//!
//! What stood still comes back identical. What moved comes back as it was at some moment, or is listed; nothing of it is passed over in silence.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::oddities::noise;
use crate::oracle::listing;
use crate::support::campaign::{Campaign, Dice};
use crate::world::{Committed, World};

const STILL_FILES: u64 = 40;
const MOVING_FILES: u64 = 12;
const MOVING_BYTES: usize = 400_000;

#[test]
fn what_moves_is_listed_and_what_stands_still_is_exact() {
    let world = World::new();
    let mut campaign = Campaign::begin("C30", "moving source", 4);
    let source = world.machine().source();
    for folder in ["still", "moving"] {
        fs::create_dir(source.join(folder)).unwrap();
    }
    for file in 0..STILL_FILES {
        fs::write(source.join(format!("still/{file}")), noise(file, 50_000)).unwrap();
    }
    for round in 0..campaign.rounds() {
        let stop = Arc::new(AtomicBool::new(false));
        let (folder, mut dice, until) = (source.join("moving"), campaign.dice_of(round), Arc::clone(&stop));
        let mover = std::thread::spawn(move || {
            let mut moves = 0;
            while !until.load(Ordering::Relaxed) {
                change(&folder, &mut dice);
                moves += 1;
            }
            moves
        });
        let ended = world.machine().backup().expect(&[0, 3]);
        stop.store(true, Ordering::Relaxed);
        campaign.count("changes while it was read", mover.join().unwrap());
        let listed = ended.events().iter().filter(|event| event["event"] == "item_error").count();
        campaign.count("items listed", listed as u64);
        let summary = ended.events().into_iter().find(|event| event["event"] == "summary").unwrap();
        campaign.count("files read while they moved", summary["files_fuzzy"].as_u64().unwrap());
        let target = world.scratch().join(format!("restored-{round}"));
        world.machine().restore(&Committed::of(&ended).snapshot, &target).expect(&[0, 3]);
        let restored = world.machine().restored(&target);
        let contents = |listing: crate::oracle::Listing| -> Vec<_> {
            listing.into_iter().map(|(path, facts)| (path, facts.size, facts.content)).collect()
        };
        assert_eq!(
            contents(listing(&source.join("still"))),
            contents(listing(&restored.join("still"))),
            "round {round}"
        );
        // Each moving file is made of pieces that some version of some file had.
        for entry in fs::read_dir(restored.join("moving")).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            // An append that was under way may have left the last one short.
            let all_known = bytes.chunks_exact(PIECE).all(is_made_here);
            assert!(all_known, "round {round}: bytes that no version had");
            campaign.count("moving files restored", 1);
        }
    }
    assert!(campaign.counted("changes while it was read") > campaign.rounds());
    campaign.pass();
}

/// Every word of the busy file says that it was written here, and by which write.
const WORD: u64 = 0xd0ba_a5d0;
const BUSY_WORDS: usize = 3 << 20;

fn words(number: u64, count: usize) -> Vec<u8> {
    (WORD << 32 | number & 0xffff_ffff).to_le_bytes().repeat(count)
}

#[test]
fn a_file_that_is_written_all_the_time_is_kept_marked_and_comes_back_as_it_was_read() {
    let world = World::new();
    let mut campaign = Campaign::begin("C30", "busy file", 2);
    let path = world.machine().source().join("base");
    fs::write(&path, words(0, BUSY_WORDS)).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (until, mut dice) = (Arc::clone(&stop), campaign.dice());
    let writer = std::thread::spawn(move || {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        let mut writes = 0;
        while !until.load(Ordering::Relaxed) {
            writes += 1;
            let at = dice.roll(BUSY_WORDS as u64) * 8;
            std::os::unix::fs::FileExt::write_all_at(&file, &words(writes, 16), at).unwrap();
            // Leaves the processor to who reads.
            std::thread::sleep(std::time::Duration::from_micros(50));
        }
        writes
    });
    for round in 0..campaign.rounds() {
        // Complete but for what is marked: the customer is told, with the exit code for it.
        let ended = world.machine().backup().expect(&[3]);
        let summary = ended.events().into_iter().find(|event| event["event"] == "summary").unwrap();
        assert_eq!(summary["files_fuzzy"], 1, "{summary}");
        campaign.count("files read while they moved", 1);
        let target = world.scratch().join(format!("restored-{round}"));
        world.machine().restore(&Committed::of(&ended).snapshot, &target).expect(&[0]);
        let restored = fs::read(world.machine().restored(&target).join("base")).unwrap();
        assert!(restored.len() >= BUSY_WORDS * 8, "{} bytes", restored.len());
        let is_ours = |word: &[u8]| u64::from_le_bytes(word.try_into().unwrap()) >> 32 == WORD;
        assert!(restored.chunks(8).all(is_ours), "round {round}: bytes that nobody wrote");
        fs::remove_dir_all(target).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    campaign.count("changes while it was read", writer.join().unwrap());
    campaign.pass();
}

/// Files are written in pieces that say what they are.
const PIECE: usize = 100;

fn piece(number: u64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend(noise(number, PIECE - 8));
    bytes
}

fn is_made_here(bytes: &[u8]) -> bool {
    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    bytes == piece(number) || bytes.iter().all(|byte| *byte == 0)
}

fn change(folder: &Path, dice: &mut Dice) {
    let path = folder.join(dice.roll(MOVING_FILES).to_string());
    let other = folder.join(dice.roll(MOVING_FILES).to_string());
    let content = |dice: &mut Dice| -> Vec<u8> {
        let first = dice.roll(1 << 40);
        let pieces = dice.roll((MOVING_BYTES / PIECE) as u64);
        (0..pieces).flat_map(|number| piece(first + number)).collect()
    };
    // A file that another change took away is no failure.
    let _ = match dice.roll(5) {
        0 => fs::remove_file(path),
        1 => fs::rename(path, other),
        2 => fs::OpenOptions::new()
            .append(true)
            .open(path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, &piece(7))),
        3 => fs::OpenOptions::new().write(true).open(path).and_then(|file| {
            let pieces = file.metadata()?.len() / PIECE as u64;
            file.set_len(pieces / 2 * PIECE as u64)
        }),
        _ => fs::write(path, content(dice)),
    };
}
