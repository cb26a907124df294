//! The catalogs are lost after any number of days: what they said is made again from the store, every promise holds.

use server::store::objects::Objects;
use server::subscriptions::Subscriptions;

use crate::engine::{SUBSCRIPTION, settings};
use crate::scenario::Scenario;
use crate::support::campaign::Campaign;

#[test]
fn whenever_the_catalogs_are_lost_they_are_made_again() {
    let mut campaign = Campaign::begin("C32", "catalogs lost", 8);
    let mut dice = campaign.dice();
    let days: Vec<u32> = (0..campaign.rounds()).map(|_| u32::try_from(dice.roll(4)).unwrap() + 1).collect();
    let living = Scenario::new();
    for days in days {
        living.goes_on(days);
        let scenario = living.copied();
        std::fs::remove_dir_all(scenario.root.join("catalogs")).unwrap();
        let objects = Objects::open(&scenario.root.join("store"), 0).unwrap();
        let server = Subscriptions::new(settings(&scenario.root, 1 << 40), objects).unwrap();
        let rebuilt = server.rebuild(&SUBSCRIPTION).unwrap();
        assert!(rebuilt.incomplete_snapshots.is_empty() && rebuilt.salvaged_packs.is_empty(), "{rebuilt:?}");
        drop(server);
        campaign.count("receipts looked at", scenario.keeps_its_promises());
        campaign.count("rebuilds", 1);
    }
    campaign.pass();
}
