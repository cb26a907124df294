//! The audit trail altered in every place: each record edited, removed, a forged one put before it, exchanged with the next, and the trail cut after it.

use aws_lc_rs::signature::Ed25519KeyPair;
use server::audit::chain::{Checkpoint, EMPTY, Link, link, verify};

use crate::support::campaign::Campaign;

type Log = Vec<(Vec<u8>, Link)>;

/// A way to alter a log at a record.
type Alteration = fn(&mut Log, usize);

const ALTERATIONS: &[Alteration] = &[
    |log, at| log[at].0[0] ^= 1,
    |log, at| drop(log.remove(at)),
    |log, at| log.insert(at, (b"forged".to_vec(), log[at].1)),
    |log, at| {
        let next = (at + 1) % log.len();
        log.swap(at, next);
    },
    |log, at| log.truncate(at),
];

fn chained(records: impl Iterator<Item = Vec<u8>>) -> Log {
    let mut last = EMPTY;
    records
        .map(|record| {
            last = link(&last, &record);
            (record, last)
        })
        .collect()
}

#[test]
fn every_alteration_of_every_record_is_found() {
    let mut campaign = Campaign::begin("C25", "trail altered", 200);
    let records = usize::try_from(campaign.rounds()).unwrap();
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let honest = chained((0..records).map(|number| format!("record {number}").into_bytes()));
    // A checkpoint now and then, and one over all: what comes after the last one is signed within the hour.
    let signed = |at: usize| Checkpoint::sign(at as u64 + 1, honest[at].1, 0, &key);
    let checkpoints: Vec<Checkpoint> =
        (0..records).filter(|at| at % 50 == 49 || at + 1 == records).map(signed).collect();
    assert_eq!(verify(honest.iter().cloned(), &checkpoints, &key), Ok(records as u64));
    for at in 0..records {
        for alter in ALTERATIONS {
            let mut log = honest.clone();
            alter(&mut log, at);
            assert!(verify(log.iter().cloned(), &checkpoints, &key).is_err(), "record {at}, with the old chain");
            // An intruder who writes the whole chain anew still has no key for the checkpoints.
            let anew = chained(log.into_iter().map(|(record, _)| record));
            assert!(verify(anew.into_iter(), &checkpoints, &key).is_err(), "record {at}, with a new chain");
            campaign.count("alterations found", 2);
        }
    }
    campaign.pass();
}
