//! The hard volume against many sessions at once, and the frames that do not count.

use server::session::error::SessionError;

use crate::engine::{Agent, Made, NOON_NS, OTHER_SOURCE, SOURCE, SUBSCRIPTION, server_with};

#[test]
fn thirty_two_sessions_at_once_never_exceed_the_hard_volume_by_one_byte() {
    let root = tempfile::tempdir().unwrap();
    let hard_volume_bytes = 1_100_000;
    let server = server_with(root.path(), hard_volume_bytes);
    let accepted: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=32u8)
            .map(|number| {
                let server = &server;
                scope.spawn(move || {
                    let mut agent = Agent::new(number, number).of(if number % 2 == 0 { SOURCE } else { OTHER_SOURCE });
                    let (open, _) = agent.open(server).unwrap();
                    let mut accepted = 0;
                    for round in 0..40u16 {
                        let plain = [&[number][..], &round.to_le_bytes(), &[0; 1_494]].concat();
                        let made: Made = agent.data(&plain);
                        match agent.put(&open, &[&made]) {
                            Ok(_) => accepted += 1_497,
                            Err(SessionError::Quota { exceeded, .. }) => {
                                assert_eq!(exceeded.allowed, hard_volume_bytes);
                                assert!(exceeded.used <= exceeded.allowed);
                            }
                            Err(other) => panic!("{other}"),
                        }
                        if round % 8 == 0 {
                            open.flush_and_wait(NOON_NS).unwrap();
                        }
                    }
                    accepted
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(accepted, hard_volume_bytes / 1_497 * 1_497, "the volume is used to the last batch that fits");
    let open = server.get(&SUBSCRIPTION).unwrap();
    open.flush_and_wait(NOON_NS).unwrap();
    let counted = open.read(|catalog| Ok(catalog.uncommitted()?)).unwrap();
    assert_eq!(counted.data_bytes(), accepted);
    assert_eq!(open.account().uncommitted, counted, "the account is what the catalog adds up to");
}

#[test]
fn a_refused_batch_is_refused_whole_and_known_chunks_never_are() {
    let root = tempfile::tempdir().unwrap();
    let server = server_with(root.path(), 1_100);
    let mut agent = Agent::new(1, 1);
    let (open, _) = agent.open(&server).unwrap();
    let (first, small, large) = (agent.data(&[1; 1_000]), agent.data(&[2; 50]), agent.data(&[3; 101]));
    agent.put(&open, &[&first]).unwrap();
    assert!(matches!(agent.put(&open, &[&small, &large]), Err(SessionError::Quota { .. })));
    agent.put(&open, &[&first]).unwrap();
    agent.put(&open, &[&small]).unwrap();
    open.flush_and_wait(NOON_NS).unwrap();
    assert_eq!(open.have(&agent.who.scope, &[first.id, small.id, large.id]).unwrap(), [true, true, false]);
    assert!(matches!(agent.put(&open, &[&large]), Err(SessionError::Quota { .. })));
    agent.put(&open, &[&first, &small]).unwrap();
    assert_eq!(open.account().uncommitted.data_bytes(), 1_050);
}
