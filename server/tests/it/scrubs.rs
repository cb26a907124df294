//! Scrubbing on a schedule: what is read when, what a stop leaves, and what damage does to snapshots and to the next backup.

use std::fs;
use std::path::{Path, PathBuf};

use server::session::memory::Memory;
use server::session::subscription::Subscription;
use server::subscriptions::Subscriptions;
use server::upkeep::jobs::JobError;
use server::upkeep::recount::recount;
use server::upkeep::repair::repair;
use server::upkeep::scrub::{Scrubbed, scrub};
use server::upkeep::scrub_round::{Pace, ScrubState, round, state};
use server::upkeep::token::Token;

use crate::engine::{Agent, DAY_NS, NOON_NS, SUBSCRIPTION, files, server};
use crate::site::Site;

const AT_ONCE: Pace = Pace { bytes_per_second: 0 };

fn rounds(open: &Subscription, now_ns: i64) -> Scrubbed {
    round(open, now_ns, AT_ONCE, &Token::default()).unwrap()
}

fn state_at(open: &Subscription, now_ns: i64) -> ScrubState {
    open.read(|catalog| Ok(state(catalog, now_ns)?)).unwrap()
}

fn packs(root: &Path) -> Vec<PathBuf> {
    files(&root.join("store/subscriptions").join(SUBSCRIPTION.to_string()).join("packs"))
}

fn damage(file: &Path) {
    damage_at(file, usize::try_from(fs::metadata(file).unwrap().len()).unwrap() / 4);
}

fn damage_at(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// One backup; its packs are a data pack and a node pack.
fn backed_up(server: &Subscriptions) -> Agent {
    let mut agent = Agent::new(1, 1);
    agent.back_up(server, &[&[1; 30_000], &[2; 30_000]]);
    agent
}

#[test]
fn new_packs_are_read_at_once_and_again_within_thirty_days() {
    let root = tempfile::tempdir().unwrap();
    {
        let server = server(root.path());
        let agent = backed_up(&server);
        let open = server.get(&SUBSCRIPTION).unwrap();
        assert_eq!(state_at(&open, NOON_NS).unread, 2);
        let first = rounds(&open, NOON_NS);
        assert!(first.is_clean());
        let stored: u64 = files(&root.path().join("store")).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        assert_eq!(first.bytes, stored, "packs and small objects, all of them");
        assert_eq!(rounds(&open, NOON_NS + 60).bytes, 0, "nothing is due");
        Agent::new(1, 2).after(&agent).back_up(&server, &[&[3; 10_000]]);
    }
    // What was read is remembered across a restart.
    let server = server(root.path());
    let open = server.get(&SUBSCRIPTION).unwrap();
    let now_ns = NOON_NS + DAY_NS;
    assert_eq!(state_at(&open, now_ns), ScrubState { unread: 2, late_since_ns: None, ..state_at(&open, now_ns) });
    let second = rounds(&open, now_ns);
    assert!(second.is_clean() && second.objects > 2);
    assert_eq!(state_at(&open, now_ns).unread, 0);
    assert_eq!(state_at(&open, NOON_NS + 30 * DAY_NS).late_since_ns, None);
    assert_eq!(state_at(&open, NOON_NS + 31 * DAY_NS).late_since_ns, Some(NOON_NS + 30 * DAY_NS));
    let again = rounds(&open, NOON_NS + 25 * DAY_NS);
    let of_first: u64 = open.read(|catalog| Ok(catalog.packs()?)).unwrap().iter().take(2).map(|pack| pack.bytes).sum();
    assert!(again.is_clean() && again.bytes > of_first);
    assert_eq!(state_at(&open, NOON_NS + 31 * DAY_NS).late_since_ns, None);
}

#[test]
fn a_stopped_round_goes_on_where_it_was() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    backed_up(&server);
    let open = server.get(&SUBSCRIPTION).unwrap();
    let token = Token::default();
    token.stop();
    assert!(matches!(round(&open, NOON_NS, AT_ONCE, &token), Err(JobError::Stopped(_))));
    assert_eq!(state_at(&open, NOON_NS).unread, 2);
    // A slow round reads one pack, then the budget of a round is used up.
    let slow = Pace { bytes_per_second: 1 };
    let token = Token::default();
    let scrubbed = round(&open, NOON_NS, slow, &token).unwrap();
    assert!(scrubbed.is_clean());
    assert_eq!(state_at(&open, NOON_NS).unread, 1, "one pack in this round");
    assert_eq!(token.progress().unit, "bytes");
    rounds(&open, NOON_NS);
    assert_eq!(state_at(&open, NOON_NS).unread, 0);
}

#[test]
fn damage_is_found_in_the_first_round_and_an_unchanged_backup_heals_it() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let agent = backed_up(&server);
    let open = server.get(&SUBSCRIPTION).unwrap();
    rounds(&open, NOON_NS);
    packs(root.path()).iter().for_each(|pack| damage(pack));
    assert!(rounds(&open, NOON_NS + DAY_NS).is_clean(), "packs are not due yet, and nobody suspects them");
    let now_ns = NOON_NS + 26 * DAY_NS;
    let found = rounds(&open, now_ns);
    assert_eq!(found.damaged.len(), 2);
    assert_eq!(found.affected_snapshots, [agent.session]);
    let mut next = Agent::new(1, 2).after(&agent);
    let (_, opened) = next.open(&server).unwrap();
    let Memory::ValidExcept(except) = &opened.memory else { panic!("{:?}", opened.memory) };
    assert!(!except.is_empty());
    next.back_up(&server, &[&[1; 30_000], &[2; 30_000]]);
    let damaged = open.read(|catalog| Ok(catalog.damaged_rows()?)).unwrap();
    assert!(damaged.is_empty(), "what was damaged is laid again");
}

#[test]
fn a_pack_that_cannot_be_opened_is_damaged_and_the_round_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let agent = backed_up(&server);
    let open = server.get(&SUBSCRIPTION).unwrap();
    // Opening it fails as a disk error does: neither "not there" nor a matter of rights.
    let first = open.read(|catalog| Ok(catalog.packs()?)).unwrap()[0].name.unwrap().to_string();
    let file = packs(root.path()).into_iter().find(|file| file.ends_with(&first)).unwrap();
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&file, &file).unwrap();
    let found = rounds(&open, NOON_NS);
    assert_eq!((found.damaged.len(), found.affected_snapshots), (1, vec![agent.session]));
    assert_eq!(state_at(&open, NOON_NS).unread, 0, "the other one was read, and this one does not come first for ever");
    let counts = open.read(|catalog| Ok(catalog.pack_totals()?)).unwrap();
    assert_eq!(counts.damaged, 1);
}

#[test]
fn a_damaged_pack_is_salvaged_healed_by_the_next_backup_and_goes() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 30);
    let contents: [&[u8]; 3] = [&[1; 30_000], &[2; 30_000], &[3; 30_000]];
    let mut first = site.back_up(1, &contents);
    let ids: Vec<_> = contents.iter().map(|content| first.data(content).id).collect();
    let location = site.open.read(|catalog| Ok(catalog.location(1, &ids[0])?)).unwrap().unwrap();
    let name = location.name.unwrap().to_string();
    let file = packs(root.path()).into_iter().find(|file| file.ends_with(&name)).unwrap();
    damage_at(&file, usize::try_from(location.range.offset).unwrap() + 500);
    let found = rounds(&site.open, site.now_ns());
    assert_eq!((&found.damaged_chunks[..], &found.affected_snapshots[..]), (&ids[..1], &[first.session][..]));

    let counts = repair(&site.open, site.now_ns(), &Token::default()).unwrap();
    assert_eq!((Site::count(&counts, "written"), Site::count(&counts, "damaged_chunks")), (1, 1));
    assert_eq!(
        Site::count(&repair(&site.open, site.now_ns(), &Token::default()).unwrap(), "written"),
        0,
        "once is enough"
    );
    let stays_good = |pack: &Path| {
        damage(pack);
        let readable = site.readable(&first.who.scope, &ids[1..]);
        damage(pack);
        readable
    };
    assert_eq!(stays_good(&file), 2, "nothing good depends on the damaged pack any more");
    assert!(
        site.purge().is_ok() && file.exists(),
        "what is damaged may read well again: its pack stays until it is healed"
    );

    site.pass_days(1);
    site.back_up(2, &contents);
    assert!(site.open.read(|catalog| Ok(catalog.damaged_rows()?)).unwrap().is_empty());
    site.purge().unwrap();
    site.jump(3_600_000_000_000);
    site.purge().unwrap();
    assert!(!file.exists());
    assert!(scrub(&site.open, site.now_ns(), |_| true).unwrap().is_clean());
    assert_eq!(site.readable(&first.who.scope, &ids), 3, "both snapshots reach these");
    assert!(site.open.read(recount).unwrap().is_empty());
}
