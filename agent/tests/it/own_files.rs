//! What an agent keeps of itself is damaged, file by file: it is noticed and made again, or named as what is wrong; no snapshot is ever built on it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::churn;
use crate::ledger::Ledger;
use crate::process::Ended;
use crate::support::campaign::{Campaign, Dice};
use crate::world::World;

#[test]
fn an_agent_whose_own_files_are_damaged_says_so_or_makes_them_again() {
    let world = World::new();
    let machine = world.machine();
    let mut campaign = Campaign::begin("C09", "own files of the agent", 12);
    let mut dice = campaign.dice();
    let mut ledger = Ledger::new(world.scratch());
    // Large enough for a memory of its pages.
    churn::make(&machine.source(), &mut dice, 20 << 20);
    ledger.add(machine, &machine.backup().expect(&[0]));
    let kept = world.scratch().join("kept-state");
    for _ in 0..campaign.rounds() {
        churn::one_day(&machine.source(), &mut dice);
        copy(&machine.state(), &kept);
        let files = files(&machine.state());
        let file = &files[dice.index(files.len())];
        let how = damage(file, &files, &mut dice);
        campaign.count("files damaged", 1);
        let ended = machine.backup();
        let what = format!("{how} {}", file.strip_prefix(machine.state()).unwrap().display());
        assert!(!ended.stderr.contains("panicked at"), "{what}: {}", ended.stderr);
        if ended.code() == 0 {
            campaign.count("runs that managed all the same", 1);
            ledger.add(machine, &ended);
            ledger.newest_restores(&world);
            continue;
        }
        assert!(!ended.stderr.is_empty() || !ended.stdout.is_empty(), "{what}: no word");
        campaign.count("runs that were refused", 1);
        fs::remove_dir_all(machine.state()).unwrap();
        copy(&kept, &machine.state());
        ledger.add(machine, &machine.backup().expect(&[0]));
        ledger.newest_restores(&world);
    }
    campaign.count("receipts", ledger.receipts());
    campaign.pass();
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    Ended::of(Command::new("cp").arg("-a").args([from, to])).expect(&[0]);
}

/// Everything that is not empty, locks left out.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        match entry.metadata().unwrap() {
            meta if meta.is_dir() => found.extend(files(&entry.path())),
            meta if meta.is_file() && meta.len() > 0 => found.push(entry.path()),
            _ => {}
        }
    }
    found.sort();
    found
}

/// Damages a file; how.
fn damage(file: &Path, files: &[PathBuf], dice: &mut Dice) -> &'static str {
    let good = fs::read(file).unwrap();
    let at = dice.index(good.len());
    let (how, bytes) = match dice.roll(6) {
        0 | 1 => {
            let mut wrong = good;
            wrong[at] ^= 1 << dice.roll(8);
            ("a bit of", wrong)
        }
        2 => ("the end of", good[..at].to_vec()),
        3 => {
            let mut wrong = good;
            let end = wrong.len().min(at + 4_096);
            wrong[at..end].fill(0);
            ("a page of", wrong)
        }
        4 => ("all of", Vec::new()),
        _ => ("the place of", fs::read(&files[dice.index(files.len())]).unwrap()),
    };
    File::create(file).and_then(|mut file| file.write_all(&bytes)).unwrap();
    how
}
