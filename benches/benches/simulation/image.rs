//! A disk image of which 0.2 % of the 4 KiB pages are overwritten each day, uniformly or most of them in one tenth.

use std::collections::BTreeSet;

use crate::paged::PagedFile;
use crate::report::{Day, Run};
use crate::store::{Placed, Store};

const PAGE_BYTES: u64 = 4 << 10;

/// How the overwritten pages are chosen.
#[derive(Clone, Copy)]
pub enum Spread {
    Uniform,
    /// 90 % in the first tenth.
    Hot,
}

/// What is simulated.
#[derive(Clone, Copy)]
pub struct Image {
    pub pages: u64,
    pub days: u64,
    pub spread: Spread,
    /// One tree of extents nodes, written again each day, instead of layers.
    pub single: bool,
}

impl Image {
    pub fn simulate(self, mut run: Run) -> Run {
        let mut store = Store::new(3);
        let first = store.lay(&[(0, self.pages * PAGE_BYTES)]);
        let mut file = PagedFile::first(&mut store, first, self.single);
        for number in 1..=self.days {
            let pages = self.overwritten(&mut store);
            let ranges: Vec<_> = pages.iter().map(|page| (page * PAGE_BYTES, PAGE_BYTES)).collect();
            let true_bytes = pages.len() as u64 * PAGE_BYTES;
            let changes: Vec<Placed> = store.lay(&ranges);
            let size = file.size;
            let day = file.back_up(&mut store, size, changes, true_bytes);
            run.add(Day { true_bytes, ..day }, file.layers());
            if number % 50 == 0 || number == self.days {
                file.check(&store);
            }
            file.forget_old_nodes(&mut store);
        }
        run
    }

    fn overwritten(self, store: &mut Store) -> BTreeSet<u64> {
        let wanted = (self.pages / 500) as usize;
        let mut chosen = BTreeSet::new();
        while chosen.len() < wanted {
            let in_tenth = matches!(self.spread, Spread::Hot) && store.dice.below(10) < 9;
            chosen.insert(store.dice.below(if in_tenth { self.pages / 10 } else { self.pages }));
        }
        chosen
    }
}
