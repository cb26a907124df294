//! Extents nodes and layers against a plain list of pages, and against hostile nodes.

use std::convert::Infallible;

use common::id::ChunkId;
use common::keys::ChunkKind;
use common::limits::{CONTENT_LAYERS_MAX, EXTENTS_PLAIN_BYTES_MAX};
use common::tree::TreeError;
use common::tree::content::{Content, Extent, Layer};
use common::tree::extents::{ContentWriter, LayerWriter, Piece};
use common::tree::layers::{ExtentReader, PieceReader, layers_to_merge};
use common::tree::node::Node;
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

use crate::forest::{Forest, NoSuchNode, chunk, mix};

fn extent(number: u64, bytes: u64) -> Extent {
    let hole = mix(number).is_multiple_of(9);
    let offset = if hole || number.is_multiple_of(4) { 0 } else { (mix(number) % 100_000) as u32 };
    Extent { chunk: (!hole).then(|| chunk(number / 4)), offset, bytes }
}

fn write(forest: &mut Forest, extents: &[Extent]) -> Content {
    let mut made = Vec::new();
    let sink = |node: Node| -> Result<(), Infallible> {
        made.push(node);
        Ok(())
    };
    let mut writer = ContentWriter::new(&forest.id_key, &forest.boundary, sink);
    extents.iter().for_each(|extent| writer.push(*extent).unwrap());
    let content = writer.finish().unwrap();
    forest.nodes.extend(made.into_iter().map(|node| (node.id, node)));
    content
}

fn write_layer(forest: &mut Forest, pieces: impl IntoIterator<Item = Piece>) -> Option<Layer> {
    let mut made = Vec::new();
    let sink = |node: Node| -> Result<(), Infallible> {
        made.push(node);
        Ok(())
    };
    let mut writer = LayerWriter::new(&forest.id_key, &forest.boundary, sink);
    pieces.into_iter().for_each(|piece| writer.push(piece).unwrap());
    let layer = writer.finish().unwrap();
    forest.nodes.extend(made.into_iter().map(|node| (node.id, node)));
    layer
}

/// The file as one (chunk, offset) per byte-sized page: the plain form of extents.
fn flat(extents: &[Extent]) -> Vec<(Option<ChunkId>, u32)> {
    let page =
        |extent: &Extent, at: u64| (extent.chunk, if extent.chunk.is_some() { extent.offset + at as u32 } else { 0 });
    extents.iter().flat_map(|extent| (0..extent.bytes).map(|at| page(extent, at))).collect()
}

fn read(forest: &Forest, content: &Content, size: u64, from: u64) -> Result<Vec<Extent>, TreeError<NoSuchNode>> {
    let mut reader = ExtentReader::new(content, size, from, |id: &ChunkId| forest.fetch(id));
    std::iter::from_fn(|| reader.next_extent().transpose()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn extents_come_back_from_any_position(count in 0u64..6_000, seed in any::<u32>(), from in any::<u64>()) {
        let mut forest = Forest::new();
        let extents: Vec<_> = (0..count).map(|at| extent(u64::from(seed) + at, 1 + mix(at) % 9)).collect();
        let size = extents.iter().map(|extent| extent.bytes).sum();
        let content = write(&mut forest, &extents);
        prop_assert_eq!(flat(&read(&forest, &content, size, 0).unwrap()), flat(&extents));
        let from = from % (size + 1);
        prop_assert_eq!(&flat(&read(&forest, &content, size, from).unwrap())[..], &flat(&extents)[from as usize..]);
        prop_assert!(read(&forest, &content, size + 1, 0).is_err() || matches!(content, Content::Inline(_)));
        prop_assert!(forest.nodes.values().all(|node| node.plaintext.len() <= EXTENTS_PLAIN_BYTES_MAX));
    }

    #[test]
    fn layers_read_as_the_newest_that_speaks(
        base in 100u64..3_000,
        changes in prop::collection::vec(prop::collection::vec((0u64..3_200, 1u64..40), 1..30), 1..8),
        merged in any::<bool>(),
    ) {
        let mut forest = Forest::new();
        let extents: Vec<_> = (0..base).map(|at| extent(at, 1)).collect();
        let mut pages = flat(&extents);
        let mut layers = vec![write_layer(&mut forest, extents.into_iter().map(Piece::Extent)).unwrap()];
        for (round, ranges) in changes.iter().enumerate() {
            let (mut at, mut pieces) = (0, Vec::new());
            let mut sorted = ranges.clone();
            sorted.sort_unstable();
            for (start, length) in &sorted {
                if *start < at || *start > pages.len() as u64 {
                    continue;
                }
                let new = Extent { chunk: Some(chunk(round as u64 + 9_000)), offset: *start as u32, bytes: *length };
                if *start > at {
                    pieces.push(Piece::Below(start - at));
                }
                pieces.push(Piece::Extent(new));
                pages.resize(pages.len().max((start + length) as usize), (None, 0));
                pages.splice(*start as usize..(start + length) as usize, flat(&[new]));
                at = start + length;
            }
            layers.extend(write_layer(&mut forest, pieces));
            if merged {
                let top = layers.pop().unwrap();
                let count = layers_to_merge(&layers, top.extents);
                let mut swallowed = layers.split_off(layers.len() - count);
                swallowed.push(top);
                let content = Content::Layers(swallowed);
                let mut reader = PieceReader::new(&content, pages.len() as u64, 0, |id: &ChunkId| forest.fetch(id));
                let pieces: Vec<_> = std::iter::from_fn(|| reader.next_piece().unwrap()).collect();
                layers.extend(write_layer(&mut forest, pieces));
                prop_assert!(layers.len() <= CONTENT_LAYERS_MAX);
                prop_assert!(layers.windows(2).all(|pair| pair[0].extents / 2 > pair[1].extents));
            }
        }
        let content = Content::Layers(layers);
        prop_assert_eq!(flat(&read(&forest, &content, pages.len() as u64, 0).unwrap()), pages);
    }

    #[test]
    fn a_wrong_bit_in_an_extents_node_is_an_error_or_another_list(count in 200u64..3_000, flips in prop::collection::vec(any::<u64>(), 40)) {
        let mut forest = Forest::new();
        let extents: Vec<_> = (0..count).map(|at| extent(at, 1 + mix(at) % 9)).collect();
        let size = extents.iter().map(|extent| extent.bytes).sum();
        let Content::Layers(layers) = write(&mut forest, &extents) else { panic!("over 64 extents that do not touch") };
        let good = Content::Layers(layers.clone());
        let root = forest.nodes[&layers[0].root].clone();
        for flip in flips {
            let mut wrong = root.clone();
            let at = (flip >> 8) as usize % wrong.plaintext.len();
            wrong.plaintext[at] ^= 1 << (flip % 8);
            let whole = forest.add(wrong.clone());
            wrong.plaintext.truncate(at);
            let cut = forest.add(wrong);
            for root in [whole, cut] {
                let content = Content::Layers(vec![Layer { root, extents: count }]);
                // A last extent that became longer shows only behind the end: a file may have been truncated.
                let differs = |size| read(&forest, &content, size, 0).ok() != read(&forest, &good, size, 0).ok();
                prop_assert!(differs(size) || differs(size + 1), "byte {at}");
            }
        }
    }

    #[test]
    fn hostile_extents_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), level in 0u8..3, size in any::<u64>()) {
        let mut forest = Forest::new();
        let mut plaintext = b"DBN\x01".to_vec();
        plaintext.push(level);
        plaintext.extend(&bytes);
        let children = (0..4).map(chunk).collect();
        let root = forest.add(Node { kind: ChunkKind::Extents, id: chunk(0), children, plaintext });
        let content = Content::Layers(vec![Layer { root, extents: 1 }]);
        let mut reader = ExtentReader::new(&content, size, 0, |id: &ChunkId| forest.fetch(id));
        while let Ok(Some(_)) = reader.next_extent() {}
    }
}

#[test]
fn a_change_near_the_start_leaves_the_nodes_after_it_alone() {
    let mut forest = Forest::new();
    let mut extents: Vec<_> =
        (0..40_000).map(|at| Extent { chunk: Some(chunk(at)), offset: 0, bytes: 500_000 }).collect();
    write(&mut forest, &extents);
    let before = forest.nodes.len();
    extents.splice(10..12, (0..5).map(|at| Extent { chunk: Some(chunk(at + 100_000)), offset: 0, bytes: 400_000 }));
    write(&mut forest, &extents);
    let made = forest.nodes.len() - before;
    assert!(made <= 4, "{made} nodes of {before} written again");
}

#[test]
fn sixty_four_extents_stay_in_the_entry_and_the_next_moves_them_out() {
    let mut forest = Forest::new();
    let extents: Vec<_> = (0..65).map(|at| Extent { chunk: Some(chunk(at)), offset: 0, bytes: 5 }).collect();
    assert_eq!(write(&mut forest, &extents[..64]), Content::Inline(extents[..64].to_vec()));
    let Content::Layers(layers) = write(&mut forest, &extents) else { panic!("65 extents are too many for an entry") };
    assert_eq!((layers.len(), layers[0].extents), (1, 65));
    let touching = [extents[0], Extent { offset: 5, ..extents[0] }];
    assert_eq!(write(&mut forest, &touching), Content::Inline(vec![Extent { bytes: 10, ..extents[0] }]));
}

#[test]
fn a_byte_that_no_layer_speaks_of_is_an_error() {
    let mut forest = Forest::new();
    let layer = write_layer(&mut forest, [Piece::Below(3), Piece::Extent(extent(4, 3))]).unwrap();
    assert!(read(&forest, &Content::Layers(vec![layer]), 6, 0).is_err());
    assert!(read(&forest, &Content::Layers(vec![layer]), 6, 3).is_ok());
    assert!(read(&forest, &Content::Layers(vec![layer]), 7, 3).is_err());
}
