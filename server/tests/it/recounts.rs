//! Counters that are wrong: found by the daily job, said in sentences, and an alarm.

use std::collections::BTreeMap;

use server::catalog::ledger::Reach;
use server::monitor::alarm::Kind;
use server::monitor::look::{Gatherer, Look};
use server::monitor::observe::observe;
use server::session::error::SessionError;
use server::upkeep::jobs::Jobs;
use server::upkeep::recount::{recount_open, spec};

use crate::engine::{Agent, SOURCE};
use crate::site::Site;

/// Makes a counter wrong behind everybody's back.
type Spoil = fn(&Site, &mut Agent);

const ROWS: [(&str, Spoil); 3] = [
    ("reach of source", |site, _| {
        site.open
            .writer()
            .run(|writer| {
                let Reach { chunks, plain_bytes } = writer.catalog.reach(&SOURCE)?.unwrap();
                Ok(writer.catalog.set_reach(&SOURCE, &Reach { chunks, plain_bytes: plain_bytes + 1 })?)
            })
            .unwrap();
    }),
    ("day ledger of", |site, agent| {
        let row = site.open.read(|catalog| Ok(catalog.snapshot(&agent.session)?)).unwrap().unwrap();
        let leaf = agent.leaf(&[], b"entries");
        let (head, part) = (agent.head_at(leaf.id), row.server);
        let again = move |writer: &mut server::session::writer::Writer| {
            writer.catalog.atomically::<_, SessionError>(|catalog| Ok(catalog.add_to_ledger(&head, &part)?))
        };
        site.open.writer().run(again).unwrap();
    }),
    ("live account", |site, _| {
        site.open.shared().intake.lock().budget(site.now_ns()).unwrap().uncommitted.chunks += 1;
    }),
];

#[test]
fn a_wrong_counter_is_found_by_the_daily_job_and_is_an_alarm() {
    for (what, spoil) in ROWS {
        let root = tempfile::tempdir().unwrap();
        let site = Site::new(root.path(), 30);
        let mut agent = site.back_up(1, &[b"one"]);
        let jobs = Jobs::new(site.control.clone(), site.server.clone(), vec![spec(site.server.clone())]).unwrap();
        let faults = || {
            assert_eq!(jobs.run_due(), 1);
            let gatherer =
                Gatherer { control: &site.control, subscriptions: &site.server, chunks: &BTreeMap::default() };
            let at = site.now();
            let subscriptions = gatherer.subscriptions(at).unwrap();
            let look = Look { at, started_at: at, subscriptions, ..Look::default() };
            let faults = observe(&look).wrong;
            faults.iter().filter(|fault| fault.key.kind == Kind::CounterDiffers).count()
        };
        assert_eq!(faults(), 0);
        spoil(&site, &mut agent);
        let wrong = recount_open(&site.open).unwrap();
        assert!(wrong.iter().any(|sentence| sentence.contains(what)), "{what}: {wrong:?}");
        site.pass_days(1);
        assert_eq!(faults(), 1, "{what}");
    }
}

#[test]
fn frames_of_an_open_session_are_on_the_account_and_differ_from_nothing() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 30);
    site.back_up(1, &[b"one"]);
    let mut agent = site.agent(2);
    agent.parent = site.newest();
    let (open, _) = agent.open(&site.server).unwrap();
    let (first, second) = (agent.data(b"durable"), agent.data(b"staged only"));
    agent.put(&open, &[&first]).unwrap();
    open.flush_and_wait(site.now_ns()).unwrap();
    agent.put(&open, &[&second]).unwrap();
    assert_eq!(recount_open(&open).unwrap(), Vec::<String>::new());
}
