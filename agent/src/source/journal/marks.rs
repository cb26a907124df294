//! Which directories are watched, and which of them something happened in: a set of marks in the order of the snapshot tree.
//!
//! Values only: it watches nothing and knows no clock. A directory is *known* while it has a watch, *dirty* if the next run must list
//! it. Keys are components with a zero after each, so a directory and all below it are one range.
//!
//! Invariant: a directory is settled only if the run that remembered its entries listed it after its watch was set, and nothing
//! happened in it since. Who is listed by a run that fails becomes dirty again.
//! Invariant: what replaces a directory makes it, and all below it, unknown; a directory that becomes known begins with nothing known
//! below it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::source::paths::components;

/// What of a directory may be taken over from the last tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing: it is listed.
    Listed,
    /// Its own entries, but something is dirty further down.
    Own,
    /// It and everything below it.
    Whole,
}

/// What was found when a directory was about to be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visited {
    /// It had no watch.
    pub is_new: bool,
    /// It was settled: nothing in it should differ.
    pub was_settled: bool,
}

/// The marks of one source.
#[derive(Debug, Default)]
pub struct Marks {
    /// Directories with a watch, and the pass that came by last.
    known: BTreeMap<Vec<u8>, u32>,
    /// Those that must be listed.
    dirty: BTreeSet<Vec<u8>>,
    /// Those that the pass at work has listed.
    listed: BTreeSet<Vec<u8>>,
    /// Those that will be dirty after the pass at work, whatever happens.
    uneasy: BTreeSet<Vec<u8>>,
    pass: u32,
}

impl Marks {
    /// Begins a pass; one that did not succeed has failed.
    pub fn begin(&mut self) {
        self.fail();
        self.pass = self.pass.wrapping_add(1);
    }

    /// How many directories are known.
    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// True if the directory has a watch.
    pub fn is_known(&self, path: &[u8]) -> bool {
        self.known.contains_key(&key(path))
    }

    /// True if the directory is known and something happened in it.
    pub fn is_dirty(&self, path: &[u8]) -> bool {
        self.dirty.contains(&key(path))
    }

    /// What may be taken over of a directory.
    pub fn standing(&self, path: &[u8]) -> Standing {
        let key = key(path);
        if !self.known.contains_key(&key) || self.dirty.contains(&key) {
            return Standing::Listed;
        }
        let next = self.dirty.range::<[u8], _>((Bound::Excluded(key.as_slice()), Bound::Unbounded)).next();
        if next.is_some_and(|next| next.starts_with(&key)) { Standing::Own } else { Standing::Whole }
    }

    /// Names of the known directories right below one, in order.
    pub fn below(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let (prefix, mut names) = (key(path), Vec::new());
        let mut from = Bound::Excluded(prefix.clone());
        while let Some((next, _)) = self.known.range((from, Bound::Unbounded)).next() {
            let Some(rest) = next.strip_prefix(prefix.as_slice()) else { break };
            let name = rest.split(|byte| *byte == 0).next().unwrap_or_default();
            // Behind all that begins with this name and its zero.
            from = Bound::Included([&prefix, name, &[1]].concat());
            names.push(name.to_vec());
        }
        names
    }

    /// The pass takes over a directory, with everything below it or without.
    pub fn keep(&mut self, path: &[u8], standing: Standing) {
        let (key, pass) = (key(path), self.pass);
        for (known, last) in self.known.range_mut::<[u8], _>((Bound::Included(key.as_slice()), Bound::Unbounded)) {
            if !known.starts_with(&key) || (standing != Standing::Whole && *known != key) {
                break;
            }
            *last = pass;
        }
    }

    /// The pass is about to list a directory, whose watch is set before that if it is new.
    pub fn visit(&mut self, path: &[u8]) -> Visited {
        let key = key(path);
        let is_new = !self.known.contains_key(&key);
        if is_new {
            self.forget(&key);
        }
        let was_settled = !self.dirty.remove(&key) && !is_new;
        self.known.insert(key.clone(), self.pass);
        self.listed.insert(key);
        Visited { is_new, was_settled }
    }

    /// Something happened in a directory, or to it: to be listed, and so is the one that holds its entry.
    pub fn changed(&mut self, path: &[u8]) {
        self.mark(&key(path));
        self.mark(parent(&key(path)));
    }

    /// An item appeared, went away, or was replaced.
    pub fn replaced(&mut self, path: &[u8]) {
        let key = key(path);
        self.forget(&key);
        // Its directory's own times changed with it, and they are an entry of the one above.
        self.mark(parent(&key));
        self.mark(parent(parent(&key)));
    }

    /// Whatever happens, the next run lists this directory.
    pub fn distrust(&mut self, path: &[u8]) {
        self.uneasy.insert(key(path));
    }

    /// The pass became the memory of the source. Paths of the directories that it did not come by: they are known no more.
    pub fn succeed(&mut self) -> Vec<Vec<u8>> {
        let (known, gone) = std::mem::take(&mut self.known).into_iter().partition(|(_, last)| *last == self.pass);
        self.known = known;
        self.dirty.retain(|key| self.known.contains_key(key));
        self.listed.clear();
        self.settle_uneasy();
        let gone: BTreeMap<Vec<u8>, u32> = gone;
        gone.into_keys().map(|key| path(&key)).collect()
    }

    /// The pass became nothing.
    pub fn fail(&mut self) {
        let listed = std::mem::take(&mut self.listed);
        self.dirty.extend(listed.into_iter().filter(|key| self.known.contains_key(key)));
        self.settle_uneasy();
    }

    fn settle_uneasy(&mut self) {
        let uneasy = std::mem::take(&mut self.uneasy);
        self.dirty.extend(uneasy.into_iter().filter(|key| self.known.contains_key(key)));
    }

    fn mark(&mut self, key: &[u8]) {
        if self.known.contains_key(key) {
            self.dirty.insert(key.to_vec());
        }
    }

    fn forget(&mut self, key: &[u8]) {
        let below = self.known.range((Bound::Included(key.to_vec()), Bound::Unbounded)).map(|(known, _)| known);
        let gone: Vec<Vec<u8>> = below.take_while(|known| known.starts_with(key)).cloned().collect();
        for known in &gone {
            self.known.remove(known);
            self.dirty.remove(known);
            self.listed.remove(known);
        }
    }
}

fn key(path: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(path.len() + 1);
    for component in components(path) {
        key.extend_from_slice(component);
        key.push(0);
    }
    key
}

/// The key of the directory above; the top is above itself.
fn parent(key: &[u8]) -> &[u8] {
    let body = key.strip_suffix(b"\0").unwrap_or(key);
    body.iter().rposition(|byte| *byte == 0).map_or(&[], |at| &key[..=at])
}

fn path(key: &[u8]) -> Vec<u8> {
    let body = key.strip_suffix(b"\0").unwrap_or(key);
    body.iter().map(|byte| if *byte == 0 { b'/' } else { *byte }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 6] = ["srv", "srv/a", "srv/a/x", "srv/a/y", "srv/a.b", "srv/b"];

    fn settled() -> Marks {
        let mut marks = Marks::default();
        marks.begin();
        for path in ALL {
            assert_eq!(marks.visit(path.as_bytes()), Visited { is_new: true, was_settled: false });
        }
        assert!(marks.succeed().is_empty());
        marks
    }

    fn standings(marks: &Marks) -> String {
        let letter = |path: &str| match marks.standing(path.as_bytes()) {
            Standing::Listed => 'L',
            Standing::Own => 'O',
            Standing::Whole => 'W',
        };
        ALL.into_iter().map(letter).collect()
    }

    #[test]
    fn an_event_makes_its_directory_and_the_one_that_holds_its_entry_dirty() {
        for (what, wanted) in
            [("nothing", "WWWWWW"), ("srv/a/x", "OLLWWW"), ("srv/a", "LLWWWW"), ("elsewhere", "WWWWWW")]
        {
            let mut marks = settled();
            marks.changed(what.as_bytes());
            assert_eq!(standings(&marks), wanted, "{what}");
        }
        for (what, wanted) in [("srv/a/x/file", "OLLWWW"), ("srv/b/file", "LWWWWL"), ("srv/a", "LLLLWW")] {
            let mut marks = settled();
            marks.replaced(what.as_bytes());
            assert_eq!(standings(&marks), wanted, "{what}");
        }
    }

    #[test]
    fn known_directories_below_one_come_in_order_and_once() {
        let mut marks = settled();
        assert_eq!(marks.below(b"srv"), [&b"a"[..], b"a.b", b"b"]);
        assert_eq!(marks.below(b"srv/a"), [b"x", b"y"]);
        assert!(marks.below(b"srv/b").is_empty() && marks.below(b"sr").is_empty());
        assert_eq!(marks.below(b""), [b"srv"]);
        marks.visit(b"srv/a\x01");
        assert_eq!(marks.below(b"srv"), [&b"a"[..], b"a\x01", b"a.b", b"b"]);
    }

    #[test]
    fn a_pass_that_failed_leaves_dirty_what_it_listed() {
        let mut marks = settled();
        marks.changed(b"srv/a/x");
        marks.begin();
        assert!(!marks.visit(b"srv/a").was_settled);
        assert!(marks.visit(b"srv/b").was_settled);
        marks.fail();
        assert_eq!(standings(&marks), "OLLWWL");
        marks.begin();
        marks.visit(b"srv/a");
        marks.begin();
        assert_eq!(standings(&marks), "OLLWWL", "a pass that another one follows has failed");
    }

    #[test]
    fn an_event_after_the_listing_belongs_to_the_next_run() {
        let mut marks = settled();
        marks.changed(b"srv/a/x");
        marks.begin();
        for path in ["srv", "srv/a", "srv/a/x"] {
            marks.visit(path.as_bytes());
        }
        marks.changed(b"srv/a/x");
        for path in ["srv/a/y", "srv/a.b", "srv/b"] {
            marks.keep(path.as_bytes(), Standing::Whole);
        }
        assert!(marks.succeed().is_empty());
        assert_eq!(standings(&marks), "OLLWWW");
    }

    #[test]
    fn what_a_pass_does_not_come_by_is_known_no_more() {
        let mut marks = settled();
        marks.begin();
        marks.visit(b"srv");
        marks.keep(b"srv/a", Standing::Own);
        marks.keep(b"srv/a/x", Standing::Whole);
        marks.keep(b"srv/b", Standing::Whole);
        assert_eq!(marks.succeed(), [&b"srv/a/y"[..], b"srv/a.b"]);
        assert_eq!((standings(&marks), marks.known()), ("WWWLLW".to_owned(), 4));
    }

    #[test]
    fn a_directory_in_the_place_of_another_begins_with_nothing_known_below_it() {
        let mut marks = settled();
        marks.replaced(b"srv/a");
        marks.begin();
        marks.visit(b"srv/a/x");
        assert!(marks.visit(b"srv/a").is_new);
        assert_eq!(marks.standing(b"srv/a/x"), Standing::Listed);
    }

    #[test]
    fn a_distrusted_directory_is_dirty_after_the_pass_and_only_then() {
        let mut marks = settled();
        marks.begin();
        marks.keep(b"srv", Standing::Whole);
        marks.distrust(b"srv/a/y");
        assert!(!marks.is_dirty(b"srv/a/y"));
        marks.succeed();
        assert_eq!(standings(&marks), "OOWLWW");
    }
}
