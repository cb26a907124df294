//! A server that lies: frames altered, cut, swapped, left out, answered twice, under another's name, envelopes exchanged. A restore writes right bytes or
//! says what is missing, and ends.

use std::ops::ControlFlow;

use agent::remote::RemoteError;
use agent::remote::restore::{Absence, Arrival};
use agent::restore::fetch::FrameSource;
use agent::restore::outcome::Progress;
use agent::restore::{Snapshot, restore};
use bytes::Bytes;
use common::frame::FrameHeader;
use common::id::{ChunkId, SessionId};
use parking_lot::Mutex;

use crate::crafted::Crafted;
use crate::oddities::noise;
use crate::restore::{contents, options, scratch};
use crate::support::campaign::{Campaign, Dice};

/// What is done to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// A bit of the frame, of its header or of what is sealed.
    Flip,
    /// The frame ends early.
    Cut,
    /// Bytes after the frame.
    Longer,
    /// The frame of another chunk.
    Another,
    /// What another frame seals, under the header of the one that was asked for.
    Renamed,
    /// No answer.
    Nothing,
    /// An envelope of the session that holds noise, before the frame.
    Envelope,
}

const LIES: &[Lie] = &[Lie::Flip, Lie::Cut, Lie::Longer, Lie::Another, Lie::Renamed, Lie::Nothing, Lie::Envelope];

struct Liar<'a> {
    honest: &'a Crafted,
    /// Lies about one answer in so many.
    one_in: u64,
    dice: Mutex<Dice>,
    told: Mutex<Vec<Lie>>,
}

impl Liar<'_> {
    /// What comes instead of a frame, through what the connection itself lets pass: whole frames of the id that was asked for. What it does not let
    /// pass counts as damaged (`agent/src/remote/restore.rs`).
    fn lie(&self, header: FrameHeader, frame: &Bytes, lie: Lie) -> Arrival {
        let mut bytes = frame.to_vec();
        let (at, bit, other) = {
            let mut dice = self.dice.lock();
            let mut others: Vec<&Vec<u8>> = self.honest.frames.values().collect();
            others.sort();
            (dice.index(bytes.len()), dice.roll(8), others[dice.index(others.len())].clone())
        };
        match lie {
            Lie::Flip => bytes[at] ^= 1 << bit,
            Lie::Cut | Lie::Nothing => bytes.truncate(at),
            Lie::Longer => bytes.extend(&other),
            Lie::Another => bytes = other,
            // The header that was parsed goes with the frame: it is the sealed bytes that do not belong to it.
            Lie::Renamed => return Arrival::Frame(header, other.into()),
            Lie::Envelope => {}
        }
        match FrameHeader::parse_whole(&bytes) {
            Ok(found) if found.id == header.id => Arrival::Frame(found, bytes.into()),
            _ => Arrival::Absent(header.id, Absence::Damaged),
        }
    }
}

impl FrameSource for Liar<'_> {
    fn fetch(&self, ids: &[ChunkId], sink: &mut dyn FnMut(Arrival) -> ControlFlow<()>) -> Result<(), RemoteError> {
        self.honest.fetch(ids, &mut |arrival| {
            let Arrival::Frame(header, frame) = arrival else { return sink(arrival) };
            let (lie, noise) = {
                let mut dice = self.dice.lock();
                let mut noise = vec![0; 200];
                dice.fill(&mut noise);
                ((dice.roll(self.one_in) == 0).then(|| dice.pick(LIES)), noise)
            };
            let Some(lie) = lie else { return sink(Arrival::Frame(header, frame)) };
            self.told.lock().push(lie);
            if lie == Lie::Envelope {
                let _ = sink(Arrival::Envelope(SessionId::new([2; 16]), noise.into()));
            }
            sink(self.lie(header, &frame, lie))
        })
    }
}

#[test]
fn a_lying_server_gets_no_wrong_byte_written() {
    let mut store = Crafted::new();
    store.directory("d");
    let small: Vec<(String, Vec<u8>)> = (0..40).map(|number| (format!("d/s{number}"), noise(number, 300))).collect();
    store.solid(&small.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect::<Vec<_>>());
    store.file("d/large", &noise(900, 200_000), 9_000);
    store.symlink("d/link", "large");
    let root = store.root();
    let honest = scratch();
    assert!(crate::restore::run(&store, root, honest.path(), &options()).is_complete());
    let wanted = contents(honest.path());

    let mut campaign = Campaign::begin("C21", "lying server", 200);
    for round in 0..campaign.rounds() {
        let dice = Mutex::new(campaign.dice_of(round));
        let liar = Liar { honest: &store, one_in: 1 + round % 12, dice, told: Mutex::new(Vec::new()) };
        let target = scratch();
        let (unlock, stop) = (store.unlock(), std::sync::atomic::AtomicBool::new(false));
        let snapshot = Snapshot { frames: &liar, unlock: &unlock, root };
        let outcome = restore(snapshot, target.path(), &options(), &Progress::default(), &stop);
        let found = contents(target.path());
        for (path, content) in &found {
            let right = wanted.get(path).unwrap_or_else(|| panic!("round {round}: {path} is not in the snapshot"));
            assert!(right == content, "round {round}: wrong bytes in {path} after {:?}", liar.told.lock());
        }
        let complete = outcome.is_ok_and(|outcome| outcome.is_complete());
        assert!(!complete || found.len() == wanted.len(), "round {round}: missing and not said");
        campaign.count("lies", liar.told.lock().len() as u64);
        campaign.count("restores that said what is missing", u64::from(!complete));
        campaign.count("files written, all right", found.len() as u64);
    }
    campaign.pass();
}
