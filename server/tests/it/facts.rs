//! Holds and protections as facts: what they keep, what survives, and that a doubt keeps everything.

use std::fs;
use std::path::Path;

use common::id::{FactId, SessionId};
use server::contract::hold::{Observation, Signal};
use server::session::error::SessionError;
use server::session::subscription::Subscription;
use server::store::name::{FactKind, Folder, ObjectName};
use server::subscriptions::Subscriptions;
use server::upkeep::facts::{self, Frozen, Lift, NewHold, NewProtection};
use server::upkeep::scrub::scrub;

use crate::engine::{Agent, NOON_NS, SOURCE, SUBSCRIPTION, server};

const SNAPSHOTS: [SessionId; 2] = [SessionId::new([1; 16]), SessionId::new([2; 16])];

fn frozen(open: &Subscription) -> Result<Frozen, SessionError> {
    open.read(|catalog| facts::frozen(&open.shared().objects, &SUBSCRIPTION, catalog))
}

/// Two snapshots; the second is suspect, the first is protected for a day.
fn held(server: &Subscriptions) -> FactId {
    let mut first = Agent::new(1, 1);
    first.back_up(server, &[b"one"]);
    Agent::new(1, 2).after(&first).back_up(server, &[b"one"]);
    let open = server.get(&SUBSCRIPTION).unwrap();
    let run = |place: fn(&server::session::writer::Writer) -> Result<(), SessionError>| {
        open.writer().run(move |writer| place(writer)).unwrap();
    };
    run(|writer| {
        let new = NewHold {
            snapshot: SNAPSHOTS[1],
            source: SOURCE,
            clean: Some(SNAPSHOTS[0]),
            at_ns: NOON_NS,
            signals: vec![Signal::Change, Signal::Gone],
            seen: Observation { changed_bytes: 7, ..Observation::default() },
        };
        facts::hold(&writer.shared.objects, &SUBSCRIPTION, &writer.catalog, &new)
    });
    run(|writer| {
        let (snapshot, until_ns) = (SNAPSHOTS[0], NOON_NS + 1_000);
        let new = NewProtection { snapshot, until_ns, reason: "litige".into(), by: "op".into(), at_ns: NOON_NS };
        facts::protect(&writer.shared.objects, &SUBSCRIPTION, &writer.catalog, &new).map(|_| ())
    });
    frozen(&open).unwrap().holds[0].id
}

fn lift(open: &Subscription, ended: FactId) {
    let text = str::to_owned;
    let lift = Lift { at_ns: NOON_NS, reason: text("vu"), asked_by: text("alice"), approved_by: text("bruno") };
    let lift = move |writer: &mut server::session::writer::Writer| {
        facts::lift(&writer.shared.objects, &SUBSCRIPTION, &writer.catalog, (&ended, &lift))
    };
    open.writer().run(lift).unwrap();
}

fn check_held(frozen: &Frozen) {
    assert_eq!((frozen.holds.len(), frozen.protections.len()), (1, 1));
    assert!(frozen.is_held());
    assert!(SNAPSHOTS.iter().all(|snapshot| frozen.keeps(snapshot, NOON_NS + 1_000)), "suspect and last clean");
    assert_eq!(frozen.holds[0].signals, [Signal::Change, Signal::Gone]);
    assert_eq!(frozen.holds[0].seen.changed_bytes, 7);
    assert_eq!(frozen.protections[0].reason, "litige");
}

fn fact_file(root: &Path, kind: FactKind) -> std::path::PathBuf {
    let folder = root.join("store/subscriptions").join(SUBSCRIPTION.to_string()).join(Folder::Facts(kind).path());
    fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn holds_and_protections_stand_until_they_are_lifted_or_over() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let id = held(&server);
    let open = server.get(&SUBSCRIPTION).unwrap();
    check_held(&frozen(&open).unwrap());
    lift(&open, id);
    let rest = frozen(&open).unwrap();
    assert!(!rest.is_held());
    assert!(rest.keeps(&SNAPSHOTS[0], NOON_NS + 999) && !rest.keeps(&SNAPSHOTS[0], NOON_NS + 1_000));
    assert!(!rest.keeps(&SNAPSHOTS[1], NOON_NS));
    let all = open.read(facts::known).unwrap();
    assert_eq!(all.holds[0].lifted.as_ref().map(|lift| lift.approved_by.as_str()), Some("bruno"));
}

#[test]
fn they_survive_a_lost_catalog_and_so_does_their_end() {
    let root = tempfile::tempdir().unwrap();
    let id = held(&server(root.path()));
    for lifted in [false, true] {
        fs::remove_dir_all(root.path().join("catalogs")).unwrap();
        let again = server(root.path());
        let rebuilt = again.rebuild(&SUBSCRIPTION).unwrap();
        assert_eq!((rebuilt.holds, rebuilt.protections, rebuilt.damaged_facts.len()), (u64::from(!lifted), 1, 0));
        let open = again.get(&SUBSCRIPTION).unwrap();
        if !lifted {
            check_held(&frozen(&open).unwrap());
            lift(&open, id);
        }
        assert!(!frozen(&open).unwrap().is_held());
    }
}

#[test]
fn a_fact_that_is_lost_or_damaged_lets_nothing_go_and_stops_no_backup() {
    for how in ["lost", "damaged", "foreign file", "known to the store only"] {
        let root = tempfile::tempdir().unwrap();
        held(&server(root.path()));
        let file = fact_file(root.path(), FactKind::Hold);
        match how {
            "lost" => fs::remove_file(&file).unwrap(),
            "damaged" => {
                let mut bytes = fs::read(&file).unwrap();
                bytes[3] ^= 1;
                fs::File::create(&file).and_then(|mut file| std::io::Write::write_all(&mut file, &bytes)).unwrap();
            }
            "foreign file" => drop(fs::File::create(file.with_file_name("readme")).unwrap()),
            _ => {}
        }
        let server = server(root.path());
        let open = server.get(&SUBSCRIPTION).unwrap();
        assert_eq!(frozen(&open).is_err(), how != "known to the store only", "{how}");
        Agent::new(1, 3).after(&Agent::new(1, 2)).back_up(&server, &[b"three"]);
        if how != "foreign file" {
            let found = scrub(&open, NOON_NS, |_| true).unwrap();
            let ObjectName::Fact(_, id) = Folder::Facts(FactKind::Hold).object(&name(&file)).unwrap() else { panic!() };
            assert_eq!(
                found.damaged.iter().any(|damaged| damaged.ends_with(&id.to_string())),
                how != "known to the store only",
                "{how}"
            );
        }
    }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn a_sudden_change_is_committed_and_held() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let mut first = Agent::new(1, 1);
    first.back_up(&server, &[&[1; 10_000], &[2; 10_000]]);
    let mut quiet = Agent::new(1, 2).after(&first);
    quiet.back_up(&server, &[&[1; 10_000], &[2; 10_000], &[3; 900]]);
    let open = server.get(&SUBSCRIPTION).unwrap();
    assert!(!frozen(&open).unwrap().is_held(), "900 bytes are within 25 times 40");
    let mut sudden = Agent::new(1, 3).after(&quiet);
    sudden.back_up(&server, &[&[1; 10_000], &[4; 10_100]]);
    let held = frozen(&open).unwrap();
    let [hold] = &held.holds[..] else { panic!("{held:?}") };
    assert_eq!(hold.signals, [Signal::Change, Signal::Gone]);
    assert_eq!((hold.snapshot, hold.clean, hold.source), (sudden.session, Some(quiet.session), SOURCE));
    let Observation { changed_bytes, allowed_bytes, gone_bytes, previous_plain_bytes, .. } = hold.seen;
    assert_eq!((changed_bytes, allowed_bytes, gone_bytes, previous_plain_bytes), (10_100, 40, 10_900, 20_900));
    let mut after = Agent::new(1, 4).after(&sudden);
    after.back_up(&server, &[&[4; 10_100], &[5; 9_000]]);
    let held = frozen(&open).unwrap();
    assert_eq!(held.holds.len(), 2);
    assert_eq!(held.holds[1].clean, Some(quiet.session), "what follows a suspect snapshot is no cleaner");
    assert_eq!(open.read(|catalog| Ok(catalog.snapshots()?)).unwrap().len(), 4, "no backup is refused");
}
