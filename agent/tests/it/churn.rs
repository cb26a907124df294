//! Days in the life of a small tree: changes that follow from a seed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::oddities::{noise, set_mtime};
use crate::support::campaign::Dice;

/// Makes a tree of a few folders, small files and one of `large_bytes`.
pub fn make(root: &Path, dice: &mut Dice, large_bytes: usize) {
    fs::create_dir_all(root).unwrap();
    for folder in 0..8 {
        fs::create_dir(root.join(format!("dossier-{folder}"))).unwrap();
    }
    for _ in 0..60 {
        add(root, dice);
    }
    fs::write(root.join("grand"), noise(dice.roll(u64::MAX), large_bytes)).unwrap();
}

/// One day: files added, rewritten, appended to, renamed and deleted, and a stretch of the large file overwritten.
pub fn one_day(root: &Path, dice: &mut Dice) {
    for _ in 0..3 {
        add(root, dice);
    }
    for _ in 0..4 {
        let Some(path) = any(root, dice) else { continue };
        match dice.roll(4) {
            0 => fs::remove_file(path).unwrap(),
            1 => fs::rename(&path, path.with_file_name(format!("renommé-{}", dice.roll(1 << 40)))).unwrap(),
            2 => fs::write(&path, noise(dice.roll(u64::MAX), size(dice))).unwrap(),
            _ => {
                let mut bytes = fs::read(&path).unwrap();
                bytes.extend(noise(dice.roll(u64::MAX), size(dice) / 4));
                fs::write(&path, bytes).unwrap();
            }
        }
    }
    let path = root.join("grand");
    let mut bytes = fs::read(&path).unwrap();
    let stretch = bytes.len() / 10;
    let at = usize::try_from(dice.roll((bytes.len() - stretch) as u64)).unwrap();
    bytes[at..at + stretch].copy_from_slice(&noise(dice.roll(u64::MAX), stretch));
    fs::write(&path, bytes).unwrap();
}

fn add(root: &Path, dice: &mut Dice) {
    let path = root.join(format!("dossier-{}/fichier-{}", dice.roll(8), dice.roll(1 << 40)));
    fs::write(&path, noise(dice.roll(u64::MAX), size(dice))).unwrap();
    let seconds = i64::try_from(1_500_000_000 + dice.roll(100_000_000)).unwrap();
    set_mtime(&path, seconds, u32::try_from(dice.roll(1_000_000_000)).unwrap());
}

fn size(dice: &mut Dice) -> usize {
    let largest = [100, 4_000, 30_000, 300_000][usize::try_from(dice.roll(4)).unwrap()];
    usize::try_from(dice.roll(largest)).unwrap()
}

fn any(root: &Path, dice: &mut Dice) -> Option<PathBuf> {
    let folder = root.join(format!("dossier-{}", dice.roll(8)));
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let index = usize::try_from(dice.roll(paths.len().max(1) as u64)).unwrap();
    (!paths.is_empty()).then(|| paths.swap_remove(index))
}
