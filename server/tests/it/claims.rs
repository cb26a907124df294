//! What an agent claims, against what came in.

use common::snapshot::SnapshotHead;
use server::session::commit::CommitAnswer;

use crate::engine::{Agent, SOURCE, SUBSCRIPTION, server};

/// Content of this many distinct chunks of 4 MiB.
fn contents(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|byte| vec![byte; 4 << 20]).collect()
}

#[test]
fn a_snapshot_that_claims_less_than_half_of_what_came_in_is_told_until_an_honest_one_follows() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let contents = contents(17);
    let mut agent = Agent::new(1, 1);
    let (open, opened) = agent.open(&server).unwrap();
    let data: Vec<_> = contents.iter().map(|content| agent.data(content)).collect();
    let data: Vec<_> = data.iter().collect();
    data.iter().for_each(|made| agent.put(&open, &[made]).map(|_| ()).unwrap());
    let leaf = agent.leaf(&data, b"entries");
    agent.put(&open, &[&leaf]).unwrap();
    let committed = agent.commit(&open, &opened, &leaf).unwrap();
    assert!(matches!(committed, CommitAnswer::Committed { .. }));
    let claim = || {
        let totals = server.peek(&SUBSCRIPTION, |catalog, _| Ok(catalog.source_totals()?)).unwrap().unwrap();
        totals[&SOURCE].claim
    };
    let told = claim();
    assert_eq!((told.claimed_bytes, told.laid_bytes), (0, 17 * (4 << 20)));
    assert!(told.is_impossible());
    let again = Agent::new(1, 2).after(&agent);
    let (open, opened) = again.open(&server).unwrap();
    let head = SnapshotHead { claimed_plain_bytes: 17 * (4 << 20), ..again.head(&opened, leaf.id) };
    open.commit(again.who, again.commit_request(&head), again.now_ns()).unwrap();
    let honest = claim();
    assert_eq!((honest.claimed_bytes, honest.laid_bytes), (17 * (4 << 20), 0));
    assert!(!honest.is_impossible());
}
