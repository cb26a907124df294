//! The snapshot tree against a plain sorted map, and against hostile nodes.

use std::collections::BTreeSet;

use common::id::ChunkId;
use common::keys::ChunkKind;
use common::limits::NODE_BYTES_MAX;
use common::tree::TreeError;
use common::tree::cursor::{Cursor, find};
use common::tree::diff::{Change, Diff};
use common::tree::entry::EntryKind;
use common::tree::node::{LeafReader, Node, read_branch};
use common::tree::path::{EntryKey, KeyRange};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

use crate::forest::{Forest, Model, NoSuchNode, entry, key, mix, model};

fn edited(old: &Model, edits: &[(u64, u64)]) -> Model {
    let mut new = old.clone();
    for (number, what) in edits {
        match what % 3 {
            0 => drop(new.remove(&key(*number))),
            1 => drop(new.insert(key(*number), entry(mix(*what)))),
            _ => {
                for number in *number..number + what % 300 {
                    new.remove(&key(number));
                }
            }
        }
    }
    new
}

fn differences(old: &Model, new: &Model) -> Vec<Change> {
    let keys: BTreeSet<&EntryKey> = old.keys().chain(new.keys()).collect();
    let change = |key: &EntryKey| Change { key: key.clone(), old: old.get(key).cloned(), new: new.get(key).cloned() };
    keys.into_iter().map(change).filter(|change| change.old != change.new).collect()
}

fn all_changes(forest: &Forest, old: Option<ChunkId>, new: Option<ChunkId>) -> Vec<Change> {
    let mut diff = Diff::new(old, new, KeyRange::all(), |id: &ChunkId| forest.fetch(id));
    std::iter::from_fn(|| diff.next_change().unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_tree_of_any_history_is_the_tree_of_its_content(
        count in 0u64..4_000,
        history in prop::collection::vec(prop::collection::vec((0u64..4_500, any::<u64>()), 0..6), 1..4),
    ) {
        let mut forest = Forest::new();
        let mut content = model(0..count);
        let mut built = forest.build(&content);
        for edits in &history {
            content = edited(&content, edits);
            built = forest.rebuild(built.root, &content).0;
            prop_assert_eq!(built, forest.build(&content));
        }
        prop_assert_eq!(built.entries, content.len() as u64);
        prop_assert_eq!(built.bytes, content.values().map(|entry| entry.size()).sum::<u64>());
        prop_assert_eq!(forest.read(built.root, KeyRange::all()), content.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_range_of_a_tree_is_the_range_of_a_map(count in 0u64..3_000, from in 0u64..3_000, to in 0u64..3_000, start in 0u64..3_000) {
        let mut forest = Forest::new();
        let content = model((0..count).map(|number| number * 3));
        let root = forest.build(&content).root;
        let directory = key(from).parent().unwrap();
        let (low, high) = (key(from).min(key(to)), key(from).max(key(to)));
        let ranges = [
            KeyRange { from: low.as_bytes().to_vec(), to: Some(high.as_bytes().to_vec()) },
            KeyRange { from: low.as_bytes().to_vec(), to: None },
            KeyRange::directory(Some(&directory)),
            KeyRange::directory(None),
            KeyRange::below(&directory.parent().unwrap()),
        ];
        for range in ranges {
            let inside = |key: &EntryKey| range.contains(key.as_bytes());
            let wanted: Vec<_> = content.clone().into_iter().filter(|(key, _)| inside(key)).collect();
            prop_assert_eq!(forest.read(root, range.clone()), wanted.clone());
            let mut cursor = Cursor::new(root, range, |id: &ChunkId| forest.fetch(id));
            let first = cursor.next_entry().unwrap();
            cursor.skip_to(&key(start));
            let after = wanted.iter().skip(usize::from(first.is_some())).find(|(at, _)| *at >= key(start));
            prop_assert_eq!(cursor.next_entry().unwrap(), after.cloned());
        }
        prop_assert_eq!(find(root, &key(from), |id: &ChunkId| forest.fetch(id)).unwrap(), content.get(&key(from)).cloned());
    }

    #[test]
    fn differences_of_trees_are_differences_of_maps(count in 0u64..4_000, edits in prop::collection::vec((0u64..4_500, any::<u64>()), 0..6)) {
        let mut forest = Forest::new();
        let old = model(0..count);
        let new = edited(&old, &edits);
        let roots = [forest.build(&old).root, forest.build(&new).root];
        prop_assert_eq!(all_changes(&forest, Some(roots[0]), Some(roots[1])), differences(&old, &new));
        prop_assert_eq!(all_changes(&forest, None, Some(roots[1])), differences(&Model::new(), &new));
        prop_assert_eq!(all_changes(&forest, Some(roots[0]), None), differences(&old, &Model::new()));
    }

    #[test]
    fn a_wrong_bit_in_a_node_is_an_error_or_another_value(count in 1u64..900, flips in prop::collection::vec(any::<u64>(), 60)) {
        let mut forest = Forest::new();
        let root = forest.build(&model(0..count)).root;
        let nodes: Vec<Node> = forest.nodes.values().cloned().collect();
        for flip in flips {
            let node = &nodes[flip as usize % nodes.len()];
            let mut wrong = node.clone();
            let at = (flip >> 8) as usize % wrong.plaintext.len();
            wrong.plaintext[at] ^= 1 << (flip % 8);
            prop_assert!(decoded(&wrong) != decoded(node) || decoded(node).is_none(), "byte {at}");
            wrong.plaintext.truncate(at);
            prop_assert!(decoded(&wrong) != decoded(node), "cut at {at}");
        }
        prop_assert!(forest.nodes.contains_key(&root));
    }

    #[test]
    fn hostile_plaintexts_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), level in 0u8..3) {
        let mut plaintext = b"DBN\x01".to_vec();
        plaintext.push(level);
        plaintext.extend(&bytes);
        let kind = if level == 0 { ChunkKind::Leaf } else { ChunkKind::Branch };
        let children = (0..4).map(crate::forest::chunk).collect();
        let _ = decoded(&Node { kind, id: ChunkId::new([0; 32]), children, plaintext });
    }
}

/// Everything that a node says, or `None` if it is malformed.
fn decoded(node: &Node) -> Option<String> {
    if node.kind == ChunkKind::Branch {
        return read_branch(node).ok().map(|branch| format!("{branch:?}"));
    }
    let (mut reader, mut text) = (LeafReader::open(node).ok()?, String::new());
    while let Some(view) = reader.advance().ok()? {
        text += &format!("{:?} {:?}\n", reader.key(), view.to_entry(&node.children).ok()?);
    }
    Some(text)
}

#[test]
fn every_flipped_bit_of_a_small_leaf_shows() {
    let mut forest = Forest::new();
    let root = forest.build(&model(0..12)).root;
    let leaf = forest.nodes[&root].clone();
    let good = decoded(&leaf).unwrap();
    for at in 0..leaf.plaintext.len() {
        for bit in 0..8 {
            let mut wrong = leaf.clone();
            wrong.plaintext[at] ^= 1 << bit;
            assert_ne!(decoded(&wrong).as_ref(), Some(&good), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn the_tree_of_nothing_is_one_empty_leaf() {
    let mut forest = Forest::new();
    let built = forest.build(&Model::new());
    assert_eq!((built.entries, forest.nodes[&built.root].plaintext.len()), (0, 5));
    assert_eq!(forest.read(built.root, KeyRange::all()), []);
}

#[test]
fn an_unchanged_tree_is_taken_over_leaf_by_leaf_and_one_change_costs_one_path() {
    let mut forest = Forest::new();
    let content = model(0..40_000);
    let root = forest.build(&content).root;
    let leaves = forest.nodes.values().filter(|node| node.kind == ChunkKind::Leaf).count();
    let (same, taken) = forest.rebuild(root, &content);
    assert_eq!(same.root, root);
    assert!(taken * 10 >= leaves * 9, "{taken} of {leaves}");
    let mut changed = content.clone();
    changed.insert(key(20_000), entry(99_999_999));
    let before = forest.nodes.len();
    let (other, _) = forest.rebuild(root, &changed);
    let made = forest.nodes.len() - before;
    assert!(made <= 5, "{made} nodes written for one entry");
    forest.fetched.set(0);
    assert_eq!(all_changes(&forest, Some(root), Some(other.root)), differences(&content, &changed));
    assert!(forest.fetched.get() <= 10, "{} nodes fetched for one difference", forest.fetched.get());
    forest.fetched.set(0);
    assert_eq!(find(root, &key(20_000), |id: &ChunkId| forest.fetch(id)).unwrap(), content.get(&key(20_000)).cloned());
    assert!(forest.fetched.get() <= 3, "{} nodes fetched for one entry", forest.fetched.get());
    forest.fetched.set(0);
    assert_eq!(all_changes(&forest, Some(root), Some(root)), []);
    assert_eq!(forest.fetched.get(), 0);
}

#[test]
fn long_names_make_neither_large_nodes_nor_deep_trees() {
    let long = |number: u64| {
        let path = (0..7).map(|part| format!("{:04}", mix(number + part)).repeat(200)).collect::<Vec<_>>().join("/");
        EntryKey::from_path(path.as_bytes()).unwrap()
    };
    let content: Model = (0..300).map(|number| (long(number), entry(number))).collect();
    let mut forest = Forest::new();
    let root = forest.build(&content).root;
    assert!(forest.nodes.values().all(|node| node.plaintext.len() + node.children.len() * 32 <= NODE_BYTES_MAX));
    assert_eq!(forest.read(root, KeyRange::all()), content.into_iter().collect::<Vec<_>>());
}

#[test]
fn a_branch_that_lies_about_its_children_is_an_error() {
    let mut forest = Forest::new();
    let root = forest.build(&model(0..3_000)).root;
    let good = forest.nodes[&root].clone();
    assert_eq!(good.kind, ChunkKind::Branch);
    let reads = |forest: &Forest, root: ChunkId| {
        let mut cursor = Cursor::new(root, KeyRange::all(), |id: &ChunkId| forest.fetch(id));
        while cursor.next_entry()?.is_some() {}
        Ok::<(), TreeError<NoSuchNode>>(())
    };
    assert!(reads(&forest, root).is_ok());
    for at in 4..good.plaintext.len() {
        let mut lie = good.clone();
        lie.plaintext[at] ^= 1;
        let lie = forest.add(lie);
        assert!(matches!(reads(&forest, lie), Err(TreeError::Malformed { .. })), "byte {at}");
    }
    let mut swapped = good.clone();
    swapped.children.swap(0, 1);
    let swapped = forest.add(swapped);
    assert!(matches!(reads(&forest, swapped), Err(TreeError::Malformed { .. })));
    let mut missing = good;
    missing.children[1] = crate::forest::chunk(5);
    let missing = forest.add(missing);
    assert!(matches!(reads(&forest, missing), Err(TreeError::Fetch { .. })));
}

#[test]
fn a_node_that_is_missing_costs_what_is_below_it_and_nothing_else() {
    let mut forest = Forest::new();
    let content = model(0..3_000);
    let root = forest.build(&content).root;
    let leaves = forest.nodes.values().filter(|node| node.kind == ChunkKind::Leaf);
    let lost = leaves.map(|leaf| leaf.id).max().unwrap();
    let gone = forest.read(lost, KeyRange::all());
    forest.nodes.remove(&lost);
    let mut cursor = Cursor::new(root, KeyRange::all(), |id: &ChunkId| forest.fetch(id));
    let (mut read, mut errors) = (Vec::new(), 0);
    loop {
        match cursor.next_entry() {
            Ok(None) => break,
            Ok(Some(entry)) => read.push(entry),
            Err(_) => errors += 1,
        }
    }
    assert_eq!(errors, 1);
    assert_eq!(read, content.into_iter().filter(|entry| !gone.contains(entry)).collect::<Vec<_>>());
}

#[test]
fn entries_that_the_format_cannot_hold_are_refused() {
    let mut wrong_mode = entry(0);
    wrong_mode.mode = 0o10000;
    let mut no_target = entry(0);
    no_target.kind = EntryKind::Symlink { target: Vec::new() };
    for wrong in [wrong_mode, no_target] {
        let forest = Forest::new();
        let sink = |_: Node| Ok::<(), NoSuchNode>(());
        let mut builder = common::tree::builder::TreeBuilder::new(&forest.id_key, &forest.boundary, sink);
        assert!(builder.push(&key(1), &wrong).is_err());
    }
    let forest = Forest::new();
    let mut builder =
        common::tree::builder::TreeBuilder::new(&forest.id_key, &forest.boundary, |_: Node| Ok::<(), NoSuchNode>(()));
    builder.push(&key(2), &entry(1)).unwrap();
    assert!(builder.push(&key(2), &entry(1)).is_err());
}
