//! Whole programs by wrong clocks: of the server, of the machine, of both. What is received meanwhile is promised as ever; what cannot be done is said;
//! no night makes anything go; once the clock is right, backups go on without a person, and the nights once an operator looked.
//!
//! The same of the engine alone, with far more moments: `server/tests/it/clocks.rs`.

use crate::churn;
use crate::ledger::Ledger;
use crate::support::campaign::Campaign;
use crate::world::World;

/// How far a clock is from the true one.
const SHIFTS: &[&str] = &["+1h", "+26h", "-1d", "+40d", "-400d", "+400d", "-3650d", "+3650d"];
const HISTORY_DAYS: u32 = 7;

/// The rounds are shifts, each of the server's clock, of the machine's, and of both.
#[test]
fn wrong_clocks_lose_nothing_and_right_ones_go_on() {
    let mut campaign = Campaign::begin("C11", "forged clocks of programs", 1);
    let mut dice = campaign.dice();
    let mut world = World::with_history(HISTORY_DAYS);
    let mut ledger = Ledger::new(world.scratch());
    churn::make(&world.machine().source(), &mut dice, 2 << 20);
    ledger.add(world.machine(), &world.machine().backup().expect(&[0]));
    let first = usize::try_from(campaign.seed()).unwrap() % SHIFTS.len();
    // Little enough that no guard but that of the clock has a reason.
    let mut day = 0;
    let mut one_day = |world: &World| {
        day += 1;
        std::fs::write(world.machine().source().join(format!("day-{day}")), format!("text of day {day}\n")).unwrap();
    };
    for round in 0..usize::try_from(campaign.rounds()).unwrap() {
        let shift = SHIFTS[(first + round) % SHIFTS.len()];
        for (of_server, of_machine) in [(shift, "+0"), ("+0", shift), (shift, shift)] {
            let case = format!("server {of_server}, machine {of_machine}");
            world.stop_server();
            let refused = world.start_server_at(of_server);
            assert!(refused.is_none(), "{case}: the server does not start: {}", refused.unwrap().stderr);
            one_day(&world);
            let ended = world.machine().backup_at(of_machine);
            assert!(!ended.stderr.contains("panicked at"), "{case}: {}", ended.stderr);
            // A machine that is not within the certificate's time says that it is the clock.
            let is_told = ended.stdout.contains("cli-out-of-date");
            assert!(ended.code() == 0 || is_told, "{case}: exit {}, {}{}", ended.code(), ended.stdout, ended.stderr);
            if ended.code() == 0 {
                ledger.add(world.machine(), &ended);
                campaign.count("backups by a wrong clock", 1);
            } else {
                campaign.count("backups refused", 1);
            }
            for (job, outcome) in world.night() {
                eprintln!("{case}: {job} {outcome}");
                let is_stopped = outcome.ends_with("refused");
                assert!(outcome == "done" || is_stopped, "{case}: {job} {outcome}");
                campaign.count("jobs by a wrong clock", 1);
                campaign.count("jobs that a guard stopped", u64::from(is_stopped));
            }
            let log = world.stop_server();
            assert!(!log.contains("panicked at"), "{case}: {log}");
            // The clock is right again.
            world.start_server();
            one_day(&world);
            ledger.add(world.machine(), &world.machine().backup().expect(&[0]));
            // What a guard stopped waits until somebody looked; then the next case has to stop it anew.
            for place in [&[][..], &["BC1"]] {
                world.operator(&[&["upkeep", "allow", "--reason", "heure juste"][..], place].concat());
            }
            for (job, outcome) in world.night() {
                assert_eq!(outcome, "done", "{case}, and right again: {job}");
            }
            ledger.all_restore(&world);
            campaign.count("cases", 1);
        }
    }
    campaign.count("receipts restored", ledger.receipts());
    campaign.pass();
}
