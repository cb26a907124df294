//! Every frame is sealed under a key of its own: over all that a store holds, no two frames share session and salt.

use std::collections::BTreeSet;

use common::frame::FrameHeader;

use crate::churn;
use crate::support::campaign::Campaign;
use crate::world::World;

#[test]
fn no_two_frames_of_a_store_share_a_key() {
    let mut world = World::new();
    let mut campaign = Campaign::begin("C26", "unique keys", 4);
    let mut dice = campaign.dice();
    churn::make(&world.machine().source(), &mut dice, 24 << 20);
    for _ in 0..campaign.rounds() {
        world.machine().backup().expect(&[0]);
        churn::one_day(&world.machine().source(), &mut dice);
    }
    world.stop_server();
    let mut keys = BTreeSet::new();
    let mut folders = vec![world.store()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.components().any(|part| part.as_os_str() == "packs") {
                let bytes = std::fs::read(&path).unwrap();
                let (_, tail) = common::pack::parse(&bytes).unwrap();
                for entry in tail.entries {
                    let range = entry.offset as usize..usize::try_from(entry.end()).unwrap();
                    let header = FrameHeader::parse_whole(&bytes[range]).unwrap();
                    assert!(keys.insert((header.session, header.salt)), "a key is used twice in {}", path.display());
                }
            }
        }
    }
    assert!(keys.len() > 50, "{} frames", keys.len());
    campaign.count("frames, each with its own key", keys.len() as u64);
    campaign.pass();
}
