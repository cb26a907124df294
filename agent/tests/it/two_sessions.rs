//! Two sessions of one subscription at once: each gets its receipt and its own bytes back.

use crate::churn;
use crate::oracle::{assert_same, listing};
use crate::support::campaign::Campaign;
use crate::world::{Committed, World};

#[test]
fn two_agents_of_one_subscription_back_up_at_once() {
    let world = World::new();
    let mut campaign = Campaign::begin("C12", "two sessions", 2);
    let mut dice = campaign.dice();
    let (machine, other) = (world.machine(), world.second_machine());
    churn::make(&machine.source(), &mut dice, 12 << 20);
    churn::make(&other.source(), &mut dice, 12 << 20);
    for day in 0..campaign.rounds() {
        let wanted = [listing(&machine.source()), listing(&other.source())];
        let (one, two) = (machine.start_backup(), other.start_backup());
        let ended = [one.wait().expect(&[0]), two.wait().expect(&[0])];
        for (agent, ended, wanted) in [(machine, &ended[0], &wanted[0]), (&other, &ended[1], &wanted[1])] {
            let target = world.scratch().join(format!("day-{day}"));
            agent.restore(&Committed::of(ended).snapshot, &target).expect(&[0]);
            assert_same("restored", wanted, &listing(&agent.restored(&target)));
            std::fs::remove_dir_all(target).unwrap();
            campaign.count("restores compared", 1);
        }
        churn::one_day(&machine.source(), &mut dice);
        churn::one_day(&other.source(), &mut dice);
    }
    campaign.pass();
}
