//! What was promised: each snapshot that got a receipt, with the listing of its source at that moment, kept outside the store.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::oracle::{Listing, assert_same, listing};
use crate::process::Ended;
use crate::support::campaign::Dice;
use crate::world::{Committed, Machine, World};

/// Promises to be kept.
pub struct Ledger {
    file: File,
    promises: Vec<(Committed, Listing)>,
}

impl Ledger {
    /// An empty ledger, also written to `receipts.jsonl` below `folder`.
    pub fn new(folder: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(folder.join("receipts.jsonl")).unwrap();
        Self { file, promises: Vec::new() }
    }

    /// Adds the snapshot that a backup ended with; the source must be as it was during the backup.
    pub fn add(&mut self, machine: &Machine, ended: &Ended) -> Committed {
        let committed = Committed::of(ended);
        let known = |promise: &(Committed, Listing)| promise.0.receipt == committed.receipt;
        assert!(!self.promises.iter().any(known), "one receipt for two snapshots");
        writeln!(self.file, "{committed:?}").unwrap();
        self.file.sync_all().unwrap();
        self.promises.push((committed.clone(), listing(&machine.source())));
        committed
    }

    /// How many receipts it holds.
    pub fn receipts(&self) -> u64 {
        self.promises.len() as u64
    }

    /// Restores each of them and compares.
    pub fn all_restore(&self, world: &World) {
        for (number, (committed, wanted)) in self.promises.iter().enumerate() {
            self.restores(world, number, committed, wanted);
        }
    }

    /// Restores the newest and compares.
    pub fn newest_restores(&self, world: &World) {
        if let Some((committed, wanted)) = self.promises.last() {
            self.restores(world, self.promises.len() - 1, committed, wanted);
        }
    }

    /// Restores any one of them and compares.
    pub fn one_restores(&self, world: &World, dice: &mut Dice) {
        let number = dice.index(self.promises.len());
        let (committed, wanted) = &self.promises[number];
        self.restores(world, number, committed, wanted);
    }

    fn restores(&self, world: &World, number: usize, committed: &Committed, wanted: &Listing) {
        let target = world.scratch().join(format!("restored-{number}"));
        world.machine().restore(&committed.snapshot, &target).expect(&[0]);
        assert_same(&format!("promise {number}"), wanted, &listing(&world.machine().restored(&target)));
        std::fs::remove_dir_all(&target).unwrap();
    }
}
