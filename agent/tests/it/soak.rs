//! Random days against plain copies: changes, backups, restores of any date, kills, restarts, lost catalogs, scrubs, one after the other as they come.
//!
//! The model of a snapshot is the listing of its source when it was made. Any date may be restored at any time; all are at the end.

use crate::churn;
use crate::ledger::Ledger;
use crate::support::campaign::Campaign;
use crate::world::World;

#[test]
fn whatever_happens_in_whatever_order_each_date_comes_back() {
    let mut world = World::new();
    let mut campaign = Campaign::begin("C12", "soak", 20);
    let mut dice = campaign.dice();
    let mut ledger = Ledger::new(world.scratch());
    churn::make(&world.machine().source(), &mut dice, 2 << 20);
    ledger.add(world.machine(), &world.machine().backup().expect(&[0]));
    for _ in 0..campaign.rounds() {
        match dice.roll(12) {
            0..=3 => churn::one_day(&world.machine().source(), &mut dice),
            4..=6 => drop(ledger.add(world.machine(), &world.machine().backup().expect(&[0]))),
            7 | 8 => {
                ledger.one_restores(&world, &mut dice);
                campaign.count("restores of a random date", 1);
            }
            9 => {
                let mut run = world.machine().start_backup();
                run.ends_within(dice.moment(std::time::Duration::from_secs(2)));
                let cut = run.kill();
                campaign.count("agents killed", 1);
                if cut.code() == 0 {
                    ledger.add(world.machine(), &cut);
                }
            }
            10 => {
                world.kill_server();
                world.start_server();
                campaign.count("servers killed", 1);
            }
            _ => {
                world.stop_server();
                if dice.roll(2) == 0 {
                    std::fs::remove_dir_all(world.catalogs()).unwrap();
                    world.server_command("rebuild").expect(&[0]);
                    campaign.count("catalogs lost and rebuilt", 1);
                }
                world.server_command("scrub").expect(&[0]);
                world.start_server();
            }
        }
        campaign.count("operations", 1);
    }
    ledger.add(world.machine(), &world.machine().backup().expect(&[0]));
    ledger.all_restore(&world);
    campaign.count("receipts restored", ledger.receipts());
    campaign.pass();
}
