//! Compares two snapshot trees and skips what they share: nodes of equal id are never fetched.
//!
//! It says what differs and not why: a rename is a removal and an addition.
//!
//! Invariant: fetches O(changed leaves × levels) nodes, whatever the size of the trees.

use std::cmp::Ordering;

use crate::id::ChunkId;
use crate::tree::TreeError;
use crate::tree::cursor::{Expected, Opened, open_node, read_leaf};
use crate::tree::entry::Entry;
use crate::tree::node::Node;
use crate::tree::path::{EntryKey, KeyRange};
use crate::tree::wire::Malformed;

/// One path that is not the same in both trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path.
    pub key: EntryKey,
    /// What the old tree has there.
    pub old: Option<Entry>,
    /// What the new tree has there.
    pub new: Option<Entry>,
}

/// What lies ahead on one side, the nearest last.
enum Ahead {
    Root(ChunkId),
    Node(Expected),
    Entry(EntryKey, Entry),
}

impl Ahead {
    const fn node_id(&self) -> Option<ChunkId> {
        match self {
            Self::Root(id) => Some(*id),
            Self::Node(expected) => Some(expected.item.child),
            Self::Entry(..) => None,
        }
    }

    /// Smallest key that it may hold; the root may hold any.
    fn first_key(&self) -> &[u8] {
        match self {
            Self::Root(_) => &[],
            Self::Node(expected) => &expected.item.first_key,
            Self::Entry(key, _) => key.as_bytes(),
        }
    }

    /// Entries stand below all nodes, the root above.
    fn height(&self) -> u16 {
        match self {
            Self::Root(_) => u16::MAX,
            Self::Node(expected) => u16::from(expected.level) + 1,
            Self::Entry(..) => 0,
        }
    }
}

/// A comparison under way.
pub struct Diff<F> {
    fetch: F,
    range: KeyRange,
    old: Vec<Ahead>,
    new: Vec<Ahead>,
}

/// Which side is to be taken next.
enum Side {
    Old,
    New,
    Both,
}

impl<F, E> Diff<F>
where
    F: FnMut(&ChunkId) -> Result<Node, E>,
    E: std::error::Error + 'static,
{
    /// Compares the entries of `range`; a root that is `None` stands for an empty tree. Fetches nothing yet.
    pub fn new(old: Option<ChunkId>, new: Option<ChunkId>, range: KeyRange, fetch: F) -> Self {
        let side = |root: Option<ChunkId>| root.map(Ahead::Root).into_iter().collect();
        Self { fetch, range, old: side(old), new: side(new) }
    }

    /// The next difference in key order; `None` when there is no more.
    ///
    /// # Errors
    /// Any [`TreeError`]; the comparison is of no use afterwards.
    pub fn next_change(&mut self) -> Result<Option<Change>, TreeError<E>> {
        loop {
            let side = match (self.old.last(), self.new.last()) {
                (None, None) => return Ok(None),
                (Some(_), None) => Side::Old,
                (None, Some(_)) => Side::New,
                (Some(old), Some(new)) => {
                    if old.node_id().is_some() && old.node_id() == new.node_id() {
                        self.old.pop();
                        self.new.pop();
                        continue;
                    }
                    match old.first_key().cmp(new.first_key()).then(new.height().cmp(&old.height())) {
                        Ordering::Less => Side::Old,
                        Ordering::Greater => Side::New,
                        Ordering::Equal => Side::Both,
                    }
                }
            };
            if let Some(change) = self.take(&side)? {
                return Ok(Some(change));
            }
        }
    }

    /// Expands nodes, or takes entries and says how they differ.
    fn take(&mut self, side: &Side) -> Result<Option<Change>, TreeError<E>> {
        let old = if matches!(side, Side::New) { None } else { self.old.pop() };
        let new = if matches!(side, Side::Old) { None } else { self.new.pop() };
        match (old, new) {
            (Some(Ahead::Entry(key, old)), Some(Ahead::Entry(_, new))) => {
                Ok((old != new).then_some(Change { key, old: Some(old), new: Some(new) }))
            }
            (Some(Ahead::Entry(key, old)), None) => Ok(Some(Change { key, old: Some(old), new: None })),
            (None, Some(Ahead::Entry(key, new))) => Ok(Some(Change { key, old: None, new: Some(new) })),
            (old, new) => {
                for (ahead, stack) in [(old, &mut self.old), (new, &mut self.new)] {
                    if let Some(ahead) = ahead {
                        expand(ahead, &self.range, &mut self.fetch, stack)?;
                    }
                }
                Ok(None)
            }
        }
    }
}

/// Puts what a node holds of the range on `stack`, the nearest last; an entry goes back as it is.
fn expand<E: std::error::Error + 'static>(
    ahead: Ahead,
    range: &KeyRange,
    fetch: &mut impl FnMut(&ChunkId) -> Result<Node, E>,
    stack: &mut Vec<Ahead>,
) -> Result<(), TreeError<E>> {
    let (id, expected) = match ahead {
        Ahead::Root(id) => (id, None),
        Ahead::Node(expected) => (expected.item.child, Some(expected)),
        Ahead::Entry(..) => {
            stack.push(ahead);
            return Ok(());
        }
    };
    match open_node(id, expected.as_ref(), fetch)? {
        Opened::Leaf(leaf) => {
            let entries = read_leaf(&leaf, expected.as_ref(), range)
                .map_err(|Malformed(what)| TreeError::Malformed { id, what })?;
            stack.extend(entries.into_iter().rev().map(|(key, entry)| Ahead::Entry(key, entry)));
        }
        Opened::Branch(children) => {
            let touches = |child: &Expected| {
                !range.is_before(&child.item.first_key) && child.upper.as_ref().is_none_or(|upper| *upper > range.from)
            };
            stack.extend(children.into_iter().filter(touches).rev().map(Ahead::Node));
        }
    }
    Ok(())
}
