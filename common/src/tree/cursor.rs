//! Reads a snapshot tree in key order: everything, a range, or one entry, through a function that fetches nodes.
//!
//! It keeps one node per level. It does not fetch ahead, open frames or check ids: `fetch` gives nodes whose id was verified.
//!
//! Invariant: each node is checked against what the branch above says of it (level, first and last key, counts), so a hostile
//! tree ends in an error: never in a loop, never in a wrong order, never deeper than [`crate::limits::TREE_LEVELS_MAX`].

use std::collections::VecDeque;

use crate::id::ChunkId;
use crate::keys::ChunkKind;
use crate::tree::TreeError;
use crate::tree::entry::Entry;
use crate::tree::node::{BranchItem, LeafReader, LeafSummary, Node, read_branch};
use crate::tree::path::{EntryKey, KeyRange};
use crate::tree::wire::Malformed;

/// What the node above says of a node.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    /// Its id, first key and counts.
    pub(crate) item: BranchItem,
    /// Its level.
    pub(crate) level: u8,
    /// First key after it, if any.
    pub(crate) upper: Option<Vec<u8>>,
}

/// A node that was fetched and fits what the node above says.
pub(crate) enum Opened {
    /// A leaf; its entries are checked by [`read_leaf`].
    Leaf(Node),
    /// What a branch expects of each child.
    Branch(Vec<Expected>),
}

/// Fetches and checks one node; `expected` is `None` for the root.
pub(crate) fn open_node<E: std::error::Error + 'static>(
    id: ChunkId,
    expected: Option<&Expected>,
    fetch: &mut impl FnMut(&ChunkId) -> Result<Node, E>,
) -> Result<Opened, TreeError<E>> {
    let node = fetch(&id).map_err(|source| TreeError::Fetch { id, source })?;
    if node.kind == ChunkKind::Leaf {
        return match expected {
            Some(expected) if expected.level != 0 => Err(TreeError::Malformed { id, what: "leaf at a wrong level" }),
            _ => Ok(Opened::Leaf(node)),
        };
    }
    let children = branch_children(&node, expected).map_err(|Malformed(what)| TreeError::Malformed { id, what })?;
    Ok(Opened::Branch(children))
}

fn branch_children(node: &Node, expected: Option<&Expected>) -> Result<Vec<Expected>, Malformed> {
    let (level, items) = read_branch(node)?;
    let upper = expected.and_then(|expected| expected.upper.clone());
    let last = items.last().ok_or(Malformed("branch without children"))?;
    if upper.as_ref().is_some_and(|upper| *upper <= last.first_key) {
        return Err(Malformed("keys beyond the next node"));
    }
    if let Some(expected) = expected {
        let sum = |of: fn(&BranchItem) -> u64| items.iter().try_fold(0u64, |sum, item| sum.checked_add(of(item)));
        let counts = sum(|item| item.entries) == Some(expected.item.entries)
            && sum(|item| item.bytes) == Some(expected.item.bytes);
        if expected.level != level || items[0].first_key != expected.item.first_key || !counts {
            return Err(Malformed("branch is not what the node above says"));
        }
    }
    let mut uppers: VecDeque<_> = items.iter().skip(1).map(|item| Some(item.first_key.clone())).collect();
    uppers.push_back(upper);
    Ok(items.into_iter().zip(uppers).map(|(item, upper)| Expected { item, level: level - 1, upper }).collect())
}

/// Decodes the entries of a leaf that lie in `range`, after checking the leaf against the node above.
pub(crate) fn read_leaf(
    leaf: &Node,
    expected: Option<&Expected>,
    range: &KeyRange,
) -> Result<Vec<(EntryKey, Entry)>, Malformed> {
    let (mut reader, mut entries) = (LeafReader::open(leaf)?, Vec::new());
    while let Some(view) = reader.advance()? {
        if range.contains(reader.key()) {
            let key = EntryKey::from_encoded(reader.key()).map_err(|_| Malformed("not a key"))?;
            entries.push((key, view.to_entry(&leaf.children)?));
        }
    }
    if let Some(expected) = expected {
        check_leaf(&reader.summary(), expected)?;
    }
    Ok(entries)
}

fn check_leaf(summary: &LeafSummary, expected: &Expected) -> Result<(), Malformed> {
    let BranchItem { first_key, entries, bytes, .. } = &expected.item;
    let beyond = expected.upper.as_ref().is_some_and(|upper| *upper <= summary.last_key);
    if beyond
        || summary.entries == 0
        || (&summary.first_key, &summary.entries, &summary.bytes) != (first_key, entries, bytes)
    {
        return Err(Malformed("leaf is not what the node above says"));
    }
    Ok(())
}

/// A position in a tree.
pub struct Cursor<F> {
    fetch: F,
    root: ChunkId,
    range: KeyRange,
    started: bool,
    branches: Vec<VecDeque<Expected>>,
    entries: VecDeque<(EntryKey, Entry)>,
}

impl<F, E> Cursor<F>
where
    F: FnMut(&ChunkId) -> Result<Node, E>,
    E: std::error::Error + 'static,
{
    /// Stands before the first entry of `range`. Fetches nothing yet.
    pub fn new(root: ChunkId, range: KeyRange, fetch: F) -> Self {
        Self { fetch, root, range, started: false, branches: Vec::new(), entries: VecDeque::new() }
    }

    /// The next entry of the range; `None` at its end.
    ///
    /// # Errors
    /// Any [`TreeError`]; the next call goes on with what follows the node that could not be read.
    pub fn next_entry(&mut self) -> Result<Option<(EntryKey, Entry)>, TreeError<E>> {
        while self.entries.is_empty() {
            let Some((leaf, expected)) = self.descend()? else { return Ok(None) };
            self.entries = read_leaf(&leaf, expected.as_ref(), &self.range)
                .map_err(|Malformed(what)| TreeError::Malformed { id: leaf.id, what })?
                .into();
        }
        Ok(self.entries.pop_front())
    }

    /// The next whole leaf that may hold entries of the range, for callers that read it themselves with
    /// [`LeafReader`]; entries of the current leaf that were not yet taken are passed over.
    ///
    /// # Errors
    /// As [`Self::next_entry`], but the leaf's own bytes are not checked.
    pub fn next_leaf(&mut self) -> Result<Option<Node>, TreeError<E>> {
        self.entries.clear();
        Ok(self.descend()?.map(|(leaf, _)| leaf))
    }

    /// Moves to the first entry of the range at or after `from`, forwards only: what is behind stays behind.
    pub fn skip_to(&mut self, from: &EntryKey) {
        if self.range.from.as_slice() < from.as_bytes() {
            self.range.from = from.as_bytes().to_vec();
            self.entries.retain(|(key, _)| key >= from);
        }
    }

    /// Goes down to the next leaf that the range touches.
    fn descend(&mut self) -> Result<Option<(Node, Option<Expected>)>, TreeError<E>> {
        let mut opened = None;
        if !self.started {
            self.started = true;
            opened = Some((open_node(self.root, None, &mut self.fetch)?, None));
        }
        loop {
            match opened.take() {
                Some((Opened::Leaf(leaf), expected)) => return Ok(Some((leaf, expected))),
                Some((Opened::Branch(children), _)) => self.branches.push(children.into()),
                None => {}
            }
            let Some(children) = self.branches.last_mut() else { return Ok(None) };
            let Some(child) = children.pop_front() else {
                self.branches.pop();
                continue;
            };
            if self.range.is_before(&child.item.first_key) {
                self.branches.clear();
            } else if child.upper.as_ref().is_none_or(|upper| *upper > self.range.from) {
                opened = Some((open_node(child.item.child, Some(&child), &mut self.fetch)?, Some(child)));
            }
        }
    }
}

/// The entry at `key`, if there is one: one node per level is fetched.
///
/// # Errors
/// Any [`TreeError`].
pub fn find<F, E>(root: ChunkId, key: &EntryKey, fetch: F) -> Result<Option<Entry>, TreeError<E>>
where
    F: FnMut(&ChunkId) -> Result<Node, E>,
    E: std::error::Error + 'static,
{
    let after = [key.as_bytes(), &[0]].concat();
    let range = KeyRange { from: key.as_bytes().to_vec(), to: Some(after) };
    Ok(Cursor::new(root, range, fetch).next_entry()?.map(|(_, entry)| entry))
}
