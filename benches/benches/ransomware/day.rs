//! The days: attacks of each size, and ordinary days that look a little like one.

use common::stored::HoldSignal;

/// What happens to the tree between two backups. Parts are thousandths of the files.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    /// Files are encrypted under their names.
    EncryptInPlace(u64),
    /// Files are encrypted under further names, and the originals removed.
    EncryptAndRename(u64),
    /// Files get further versions of their own kind.
    Edit(u64),
    /// Text files get further versions that compress as well, as a system upgrade does.
    Upgrade(u64),
    /// Files that do not compress come in, a share of the volume.
    Import(u64),
    /// One file that compresses comes in, a share of the volume.
    Dump(u64),
    /// Files move to another folder.
    Move(u64),
    /// Files go.
    Delete(u64),
}

/// What must fire.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// Whatever does: the table says what.
    Anything,
    /// Nothing at all.
    Nothing,
    /// This at least.
    Among(HoldSignal),
    /// Anything but this.
    Without(HoldSignal),
}

/// A day with its name.
#[derive(Debug, Clone)]
pub struct Day {
    /// For the table.
    pub name: String,
    /// What happens.
    pub change: Change,
    /// What must fire.
    pub expected: Expected,
}

impl Day {
    /// Every day, on a share whose content compresses or not.
    pub fn all(compresses: bool) -> Vec<Self> {
        use Change::{Delete, Dump, Edit, EncryptAndRename, EncryptInPlace, Import, Move, Upgrade};
        use Expected::{Among, Anything, Nothing, Without};
        let day = |name: String, change, expected| Self { name, change, expected };
        let mut days = Vec::new();
        for part in [10, 50, 200, 500, 1_000] {
            // Content that never compressed tells nothing by not compressing: there the change itself must be seen.
            let seen = if compresses { HoldSignal::Incompressible } else { HoldSignal::Change };
            let expected = if part >= 200 { Among(seen) } else { Anything };
            days.push(day(format!("{} % encrypted in place", part / 10), EncryptInPlace(part), expected));
            let expected = if part >= 500 { Among(HoldSignal::Gone) } else { expected };
            days.push(day(format!("{} % encrypted to .locked", part / 10), EncryptAndRename(part), expected));
        }
        days.push(day("quiet day: 0.1 % of the files edited".into(), Edit(1), Nothing));
        days.push(day("busy day: 1 % of the files edited".into(), Edit(10), Nothing));
        if compresses {
            let seen = HoldSignal::Incompressible;
            days.push(day("system upgrade: 4 % of the files replaced".into(), Upgrade(40), Without(seen)));
            days.push(day("system upgrade: 20 % of the files replaced".into(), Upgrade(200), Without(seen)));
        }
        days.push(day("photo import: 4 % more volume".into(), Import(40), Without(HoldSignal::Incompressible)));
        days.push(day("photo import: 20 % more volume".into(), Import(200), Anything));
        days.push(day("database dump: 4 % more volume".into(), Dump(40), Without(HoldSignal::Incompressible)));
        days.push(day("database dump: 20 % more volume".into(), Dump(200), Without(HoldSignal::Incompressible)));
        days.push(day("a folder with 20 % of the files moved".into(), Move(200), Nothing));
        days.push(day("a folder with 40 % of the files moved".into(), Move(400), Anything));
        days.push(day("20 % of the files deleted".into(), Delete(200), Nothing));
        days.push(day("40 % of the files deleted".into(), Delete(400), Among(HoldSignal::Gone)));
        days
    }
}
