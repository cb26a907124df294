//! A tree of small files of which 0.2 % of the bytes are created, changed or deleted each day.
//!
//! Contents are laid end to end in walk order, in groups that end at directories chosen by their names. A day's work falls into
//! some directories, picked again and again by popularity (`clustered`), or into files anywhere.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;

use common::tree::builder::TreeBuilder;
use common::tree::content::Content;
use common::tree::entry::{Entry, EntryKind, FileContent, Owner};
use common::tree::node::Node;
use common::tree::path::EntryKey;
use common::tree::xattrs::Xattrs;

use crate::report::{Day, Run};
use crate::store::{Dice, Placed, Store, Use, mix};

/// What is simulated.
#[derive(Clone, Copy)]
pub struct Churn {
    pub directories: u64,
    pub days: u64,
    pub clustered: bool,
}

/// A directory and a number that is a file's name in it.
type Place = (u64, u64);

struct File {
    size: u64,
    version: u64,
    extents: Vec<Placed>,
}

struct SmallFiles {
    store: Store,
    files: BTreeMap<Place, File>,
    live: HashMap<usize, u64>,
    next_name: u64,
}

const FILES_PER_DIRECTORY: u64 = 12;

impl Churn {
    pub fn simulate(&self, mut run: Run) -> Run {
        let mut tree = SmallFiles { store: Store::new(5), files: BTreeMap::new(), live: HashMap::new(), next_name: 0 };
        let mut touched = BTreeSet::new();
        for directory in 0..self.directories {
            for _ in 0..FILES_PER_DIRECTORY {
                touched.insert(tree.create(directory));
            }
        }
        tree.lay(&touched);
        tree.write_tree(self.directories);
        for _ in 0..self.days {
            let before = tree.store.node_bytes;
            let touched = self.work(&mut tree);
            let changed_bytes = tree.lay(&touched);
            let relaid_bytes = tree.lay_again(changed_bytes);
            tree.write_tree(self.directories);
            let reached_bytes = tree.live.keys().map(|number| tree.store.chunk_bytes[*number]).sum();
            let size = tree.size();
            let node_bytes = tree.store.node_bytes - before;
            run.add(Day { true_bytes: changed_bytes, changed_bytes, relaid_bytes, node_bytes, reached_bytes, size }, 0);
        }
        run
    }

    /// Creates, changes and deletes until 0.2 % of the bytes are new; gives the places to lay.
    fn work(&self, tree: &mut SmallFiles) -> BTreeSet<Place> {
        let budget = tree.size() / 500;
        let (mut touched, mut new_bytes) = (BTreeSet::new(), 0);
        while new_bytes < budget {
            let operations = if self.clustered { 8 } else { 1 };
            let directory = self.pick_directory(&mut tree.store.dice);
            for _ in 0..operations {
                let names: Vec<Place> =
                    tree.files.range((directory, 0)..(directory + 1, 0)).map(|(at, _)| *at).collect();
                let die = tree.store.dice.below(4);
                let chosen = names.get(tree.store.dice.below(names.len().max(1) as u64) as usize).copied();
                let place = match (die, chosen) {
                    (0, Some(place)) => {
                        tree.remove(place);
                        touched.remove(&place);
                        continue;
                    }
                    (2 | 3, Some(place)) => tree.change(place),
                    _ => tree.create(directory),
                };
                new_bytes += tree.files[&place].size;
                touched.insert(place);
            }
        }
        touched
    }

    fn pick_directory(&self, dice: &mut Dice) -> u64 {
        if !self.clustered {
            return dice.below(self.directories);
        }
        let rank = (self.directories as f64).powf(dice.unit()) as u64;
        mix(rank) % self.directories
    }
}

impl SmallFiles {
    fn size(&self) -> u64 {
        self.files.values().map(|file| file.size).sum()
    }

    /// Log-normal like a source tree: half of the files under 5 KB, 16 KB in the mean.
    fn roll_size(&mut self) -> u64 {
        let normal: f64 = (0..12).map(|_| self.store.dice.unit()).sum::<f64>() - 6.0;
        ((8.5 + 1.65 * normal).exp() as u64).clamp(1, (256 << 10) - 1)
    }

    fn create(&mut self, directory: u64) -> Place {
        self.next_name += 1;
        let place = (directory, mix(self.next_name) >> 40);
        let size = self.roll_size();
        self.remove(place);
        self.files.insert(place, File { size, version: self.next_name, extents: Vec::new() });
        place
    }

    fn change(&mut self, place: Place) -> Place {
        self.remove(place);
        self.next_name += 1;
        let size = self.roll_size();
        self.files.insert(place, File { size, version: self.next_name, extents: Vec::new() });
        place
    }

    fn remove(&mut self, place: Place) {
        if let Some(file) = self.files.remove(&place) {
            file.extents.iter().for_each(|placed| self.count(placed, false));
        }
    }

    fn count(&mut self, placed: &Placed, added: bool) {
        let Some(id) = placed.extent.chunk else { return };
        let live = self.live.entry(Store::number(id)).or_insert(0);
        *live = if added { *live + placed.extent.bytes } else { *live - placed.extent.bytes };
        if *live == 0 {
            self.live.remove(&Store::number(id));
        }
    }

    /// Lays the contents of these files, one stream per group of directories; gives their bytes.
    fn lay(&mut self, places: &BTreeSet<Place>) -> u64 {
        let mut streams: Vec<(u64, Vec<Place>)> = Vec::new();
        for place in places.iter().filter(|place| self.files.contains_key(place)) {
            let group = (0..=place.0).rev().find(|directory| mix(*directory).is_multiple_of(64)).unwrap_or(0);
            match streams.last_mut() {
                Some((last, stream)) if *last == group => stream.push(*place),
                _ => streams.push((group, vec![*place])),
            }
        }
        let mut laid_bytes = 0;
        for (_, stream) in streams {
            let starts: Vec<u64> = stream
                .iter()
                .scan(0, |at, place| {
                    let start = *at;
                    *at += self.files[place].size;
                    Some(start)
                })
                .collect();
            let ranges: Vec<_> =
                stream.iter().zip(&starts).map(|(place, start)| (*start, self.files[place].size)).collect();
            laid_bytes += ranges.iter().map(|(_, bytes)| bytes).sum::<u64>();
            for placed in self.store.lay(&ranges) {
                self.count(&placed, true);
                let owner = starts.partition_point(|start| *start <= placed.at) - 1;
                let file = self.files.get_mut(&stream[owner]).expect("it was just listed");
                file.extents.push(Placed { at: placed.at - starts[owner], extent: placed.extent });
            }
        }
        laid_bytes
    }

    /// Lays the live parts of sparse chunks again; gives their bytes.
    fn lay_again(&mut self, budget: u64) -> u64 {
        let all = self.files.values().flat_map(|file| file.extents.iter().copied());
        let sparse: BTreeSet<usize> = Use::of(all).worth_laying_again(&self.store, budget).into_iter().collect();
        let is_sparse = |placed: &Placed| placed.extent.chunk.is_some_and(|id| sparse.contains(&Store::number(id)));
        let holders: Vec<Place> =
            self.files.iter().filter(|(_, file)| file.extents.iter().any(is_sparse)).map(|(place, _)| *place).collect();
        let (mut parts, mut ranges, mut at) = (Vec::new(), Vec::new(), 0);
        for place in holders {
            let file = self.files.get_mut(&place).expect("it was just listed");
            let gone: Vec<Placed> = file.extents.extract_if(.., |placed| is_sparse(placed)).collect();
            for placed in gone {
                self.count(&placed, false);
                ranges.push((at, placed.extent.bytes));
                parts.push((at, place, placed.at));
                at += placed.extent.bytes;
            }
        }
        for placed in self.store.lay(&ranges) {
            self.count(&placed, true);
            let (start, place, file_at) = parts[parts.partition_point(|(start, ..)| *start <= placed.at) - 1];
            let file = self.files.get_mut(&place).expect("it was just listed");
            file.extents.push(Placed { at: file_at + placed.at - start, extent: placed.extent });
            file.extents.sort_unstable_by_key(|placed| placed.at);
        }
        at
    }

    fn write_tree(&mut self, directories: u64) {
        let mut entries: Vec<(EntryKey, Entry)> =
            self.files.iter().map(|(place, file)| file_entry(place, file)).collect();
        entries.extend((0..directories).map(|directory| (directory_key(directory), entry(EntryKind::Directory, 0))));
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut made = Vec::new();
        let sink = |node: Node| -> Result<(), Infallible> {
            made.push(node);
            Ok(())
        };
        let mut builder = TreeBuilder::new(&self.store.id_key, &self.store.boundary, sink);
        entries.iter().for_each(|(key, entry)| builder.push(key, entry).expect("entries are valid"));
        builder.finish().expect("entries are valid");
        let new: BTreeSet<_> = made.iter().map(|node| node.id).collect();
        self.store.keep_all(made);
        self.store.nodes.retain(|id, _| new.contains(id));
    }
}

fn directory_key(directory: u64) -> EntryKey {
    let path = format!("srv/data/{:03}/project-{:05}", directory / 40, directory);
    EntryKey::from_path(path.as_bytes()).expect("a path of names")
}

fn file_entry(place: &Place, file: &File) -> (EntryKey, Entry) {
    let key = directory_key(place.0).child(format!("document-{}.odt", place.1).as_bytes()).expect("a name");
    let mut digest = [0; 32];
    digest.chunks_exact_mut(8).zip(1..).for_each(|(part, salt)| {
        part.copy_from_slice(&mix(file.version.wrapping_mul(5) + salt).to_le_bytes());
    });
    let content = Content::Inline(file.extents.iter().map(|placed| placed.extent).collect());
    let kind = EntryKind::File(FileContent { size: file.size, digest, fuzzy: false, content });
    (key, entry(kind, mix(file.version) as i64))
}

fn entry(kind: EntryKind, mtime_ns: i64) -> Entry {
    let owner = Owner { uid: 1000, gid: 1000, user: b"marie".to_vec(), group: b"marie".to_vec() };
    Entry { kind, mode: 0o644, owner, mtime_ns, xattrs: Xattrs::none() }
}
