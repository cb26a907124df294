//! Every byte of a store that holds every kind of object, flipped: a scrub finds it, and no read gives a wrong byte out.
//!
//! The rounds of the campaign are the step from one byte to the next; 1 is every byte.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use common::id::ChunkId;
use common::keyring::holder::{Lock, NewHolder, Passphrase};
use common::keyring::{self, Keyring, Rotation};
use common::keys::WritingSecret;
use server::catalog::packs::PackState;
use server::contract::hold::{Observation, Signal};
use server::keyrings;
use server::session::error::SessionError;
use server::session::fetch::{Fetched, Right};
use server::session::writer::Writer;
use server::store::name::{FactKind, Folder, ObjectName};
use server::upkeep::facts::{self, Lift, NewHold, NewProtection};
use server::upkeep::scrub::{Wanted, scrub, scrub_these};

use crate::engine::{SOURCE, SUBSCRIPTION, files};
use crate::site::Site;
use crate::support::campaign::{Campaign, Dice};

const BYTES_MIN: u64 = 256 << 10;
const DAYS: u32 = 6;
const CHUNKS_A_DAY: usize = 16;
/// Nothing writes these yet.
const ABSENT: [FactKind; 2] = [FactKind::Revocation, FactKind::PasswordEpoch];

type WriterJob = Box<dyn FnOnce(&Writer) -> Result<(), SessionError> + Send>;

/// A site whose oldest snapshots expired, with everything in it that a store can hold; and its content.
fn full_store(root: &Path, dice: &mut Dice) -> (Site, Vec<ChunkId>) {
    let site = Site::new(root, 3);
    let mut ids = Vec::new();
    for day in 1..=DAYS {
        let mut contents = vec![vec![0; 3_000]; CHUNKS_A_DAY];
        contents.iter_mut().for_each(|content| dice.fill(content));
        let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        site.back_up(day, &contents);
        let mut agent = site.agent(day);
        ids.extend(contents.iter().map(|content| agent.data(content).id));
        site.pass_days(1);
    }
    site.expire().unwrap();
    keyring_of_two_generations(&site);
    let (newest, now_ns) = (site.newest().unwrap(), site.now_ns());
    site.open.report_verified(newest, "marie".into(), now_ns).unwrap();
    let write = |job: WriterJob| {
        site.open.writer().run(move |writer| job(writer)).unwrap();
    };
    write(Box::new(move |writer| {
        let (until_ns, by) = (now_ns + 1_000, "anne".to_owned());
        let new = NewProtection { snapshot: newest, until_ns, reason: "litige".into(), by, at_ns: now_ns };
        facts::protect(&writer.shared.objects, &SUBSCRIPTION, &writer.catalog, &new).map(|_| ())
    }));
    write(Box::new(move |writer| {
        let (signals, seen) = (vec![Signal::Change], Observation::default());
        let new = NewHold { snapshot: newest, source: SOURCE, clean: None, at_ns: now_ns, signals, seen };
        facts::hold(&writer.shared.objects, &SUBSCRIPTION, &writer.catalog, &new)
    }));
    let hold = site.open.read(facts::known).unwrap().holds[0].id;
    write(Box::new(move |writer| {
        let [reason, asked_by, approved_by] = ["vu", "alice", "bruno"].map(str::to_owned);
        let lift = Lift { at_ns: now_ns, reason, asked_by, approved_by };
        facts::lift(&writer.shared.objects, &SUBSCRIPTION, &writer.catalog, (&hold, &lift))
    }));
    // A frame that was damaged once leaves its fact.
    let pack = files(&root.join("store")).into_iter().find(|file| object(file).is_some_and(|(_, is_pack)| is_pack));
    let pack = pack.unwrap();
    let good = fs::read(&pack).unwrap();
    overwrite(&pack, &flipped(&good, good.len() / 2));
    assert!(!scrub(&site.open, now_ns, |_| true).unwrap().is_clean());
    overwrite(&pack, &good);
    (site, ids)
}

fn keyring_of_two_generations(site: &Site) {
    let objects = &site.open.shared().objects;
    let holders = || {
        let lock = Lock::Passphrase(Passphrase::chosen("seize caractères au moins").unwrap(), 4);
        [NewHolder { label: "marie".into(), lock }]
    };
    let (first, keys) = keyring::create(WritingSecret::new([7; 32]), &holders()).unwrap();
    let second = Keyring::verify(std::slice::from_ref(&first), None).unwrap();
    let (second, _) = second.change(&keys, &holders(), Rotation::NewIdentity).unwrap();
    for generation in [first, second] {
        keyrings::append(objects, &SUBSCRIPTION, &generation, false).unwrap();
    }
}

fn flipped(good: &[u8], at: usize) -> Vec<u8> {
    let mut wrong = good.to_vec();
    wrong[at] ^= 0x10;
    wrong
}

fn overwrite(file: &Path, bytes: &[u8]) {
    File::create(file).and_then(|mut file| file.write_all(bytes)).unwrap();
}

/// The object that a file is, and whether it is a pack; `None` for what belongs to the disk and not to a subscription.
fn object(file: &Path) -> Option<(ObjectName, bool)> {
    let name = file.file_name()?.to_str()?;
    let path = file.to_str()?;
    let folder = Folder::all().find(|folder| path.contains(&format!("/{}/{}/", SUBSCRIPTION, folder.path())))?;
    folder.object(name).map(|object| (object, folder == Folder::Packs))
}

/// The frames of these chunks, all of which can be had.
fn frames(site: &Site, ids: &[ChunkId]) -> HashSet<Bytes> {
    let mut frames = HashSet::new();
    let keep = |fetched| match fetched {
        Fetched::Frame { frame, .. } => frames.insert(frame),
        Fetched::Unavailable(id, why) => panic!("{id}: {why:?}"),
    };
    site.open.fetch(&site.agent(0).who.scope, ids, Right::Content, keep).unwrap();
    assert_eq!(frames.len(), ids.len());
    frames
}

#[test]
fn every_flipped_byte_of_every_kind_of_object_is_found_and_never_given_out() {
    let root = crate::engine::scratch();
    let mut campaign = Campaign::begin("C08", "flipped bytes", 64);
    let step = usize::try_from(campaign.rounds()).unwrap();
    let mut dice = campaign.dice();
    let (site, ids) = full_store(root.path(), &mut dice);
    let open = &site.open;
    let healed = || scrub(open, site.now_ns(), |_| true).unwrap();
    assert!(healed().is_clean() && healed().is_clean());
    let stored: Vec<PathBuf> =
        files(&root.path().join("store")).into_iter().filter(|file| object(file).is_some()).collect();
    for folder in Folder::all().filter(|folder| !ABSENT.map(Folder::Facts).contains(folder)) {
        let has_one = stored.iter().any(|file| object(file).unwrap().0.folder().starts_with(&folder.path()));
        assert!(has_one, "nothing in {}", folder.path());
    }
    let bytes: u64 = stored.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes >= BYTES_MIN, "the store has {bytes} bytes");
    let scope = site.agent(0).who.scope;
    let good_frames = frames(&site, &ids);
    let ids_of = |pack: &ObjectName| -> Vec<ChunkId> {
        let is_in = |id: &&ChunkId| {
            let location = open.read(|catalog| {
                let scope = catalog.find_scope(&scope)?.unwrap();
                Ok(catalog.location(scope, id)?)
            });
            location.unwrap().unwrap().name.is_some_and(|name| *pack == ObjectName::Pack(name))
        };
        ids.iter().filter(is_in).copied().collect()
    };
    for file in &stored {
        let (name, is_pack) = object(file).unwrap();
        let good = fs::read(file).unwrap();
        let offset = dice.index(step);
        // Reads first: what a scrub found is not read at all.
        if is_pack {
            let ids = ids_of(&name);
            for at in (offset..good.len()).step_by(step) {
                overwrite(file, &flipped(&good, at));
                let mut given = 0;
                let judge = |fetched| {
                    if let Fetched::Frame { frame, .. } = fetched {
                        assert!(good_frames.contains(&frame), "byte {at} of {name}: a wrong frame is given out");
                        given += 1;
                    }
                    true
                };
                open.fetch(&scope, &ids, Right::Content, judge).unwrap();
                assert!(given + 1 >= ids.len(), "byte {at} of {name} costs more than its frame");
                campaign.count("reads of a flipped pack that gave nothing wrong", 1);
            }
        }
        overwrite(file, &good);
        let packs = open.read(|catalog| Ok(catalog.packs()?)).unwrap();
        let packs = packs.into_iter().filter(|pack| pack.name.is_some_and(|id| name == ObjectName::Pack(id))).collect();
        let wanted = Wanted { packs, small_objects: !is_pack };
        for at in (offset..good.len()).step_by(step) {
            overwrite(file, &flipped(&good, at));
            let found = scrub_these(open, site.now_ns(), &wanted, |_| true).unwrap();
            assert!(found.damaged.contains(&name.to_string()), "byte {at} of {name}: {found:?}");
            campaign.count("bytes flipped and found", 1);
        }
        overwrite(file, &good);
    }
    campaign.count("objects", stored.len() as u64);
    campaign.count("bytes of the store", bytes);
    assert!(healed().is_clean());
    assert!(open.read(|catalog| Ok(catalog.packs()?)).unwrap().iter().all(|pack| pack.state == PackState::Published));
    frames(&site, &ids);
    campaign.pass();
}
