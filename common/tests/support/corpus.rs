//! The corpus of each decoder, and random changes of it, are given to it: it accepts or refuses, and never more.

use std::path::PathBuf;

use super::campaign::{Campaign, Dice};

/// A decoder: its name, which is also that of its corpus, and what is done with bytes.
type Decoder = (&'static str, fn(&[u8]));

/// Longest input that is made, in bytes.
const BYTES_MAX: usize = 64 << 10;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../common/tests/corpus").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    let read = |file: &PathBuf| std::fs::read(file).unwrap();
    files
        .iter()
        .flat_map(|file| if file.ends_with("found") { unpacked(&read(file)) } else { vec![read(file)] })
        .collect()
}

/// What `deploy/fuzz` found: for each input its length, four bytes, the lowest first.
fn unpacked(mut found: &[u8]) -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    while let Some((length, rest)) = found.split_first_chunk() {
        let (input, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        inputs.push(input.to_vec());
        found = rest;
    }
    assert!(found.is_empty(), "a length is cut");
    inputs
}

/// Plays the corpora in `common/tests/corpus` and changes of them, as many for each decoder as the campaign has rounds.
pub fn play(proof: &'static str, decoders: &[Decoder]) {
    let mut campaign = Campaign::begin("C16", proof, 2_000);
    for (name, decode) in decoders {
        let corpus = corpus(name);
        corpus.iter().for_each(|bytes| decode(bytes));
        campaign.count("inputs of the corpus", corpus.len() as u64);
        let mut dice = campaign.dice();
        for _ in 0..campaign.rounds() {
            let mut bytes = corpus[dice.index(corpus.len())].clone();
            for _ in 0..=dice.roll(4) {
                change(&mut bytes, &corpus, &mut dice);
            }
            bytes.truncate(BYTES_MAX);
            decode(&bytes);
        }
        campaign.count("changed inputs", campaign.rounds());
        campaign.count("decoders", 1);
    }
    campaign.pass();
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut Dice) {
    if bytes.is_empty() {
        bytes.push(0);
    }
    let at = dice.index(bytes.len());
    match dice.roll(7) {
        0 => bytes[at] ^= 1 << dice.roll(8),
        1 => bytes[at] = dice.pick(&[0, 1, 0x7f, 0x80, 0xff]),
        2 => bytes.truncate(at),
        3 => drop(bytes.remove(at)),
        4 => bytes.insert(at, dice.pick(&[0, 0x80, 0xff])),
        5 => {
            // A number of four bytes, as lengths are.
            let number = dice.pick(&[0_u32, 1, 0xffff, 0x7fff_ffff, u32::MAX]).to_le_bytes();
            bytes.iter_mut().skip(at).zip(number).for_each(|(byte, new)| *byte = new);
        }
        _ => {
            let other = &corpus[dice.index(corpus.len())];
            let from = dice.index(other.len().max(1)).min(other.len());
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
    }
}
