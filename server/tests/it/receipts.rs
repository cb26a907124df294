//! What a receipt rests on: published packs only, whoever sent what is in them.

use std::fs;
use std::path::Path;

use common::id::ChunkId;
use server::session::commit::CommitAnswer;
use server::upkeep::scrub::scrub;

use crate::engine::{OTHER_SOURCE, SUBSCRIPTION, files, receipt, server};
use crate::site::Site;

/// Another source of the same machine sends `content` and stays open; then a whole backup of the first source that holds it.
fn committed_beside(site: &Site, content: &[u8], session: u32) -> Vec<ChunkId> {
    let mut open_one = site.agent(session).of(OTHER_SOURCE);
    let (open, _) = open_one.open(&site.server).unwrap();
    let sent = open_one.data(content);
    open_one.put(&open, &[&sent]).unwrap();
    open.flush_and_wait(site.now_ns()).unwrap();
    let mut second = site.agent(session + 1);
    second.parent = site.newest();
    let (open, opened) = second.open(&site.server).unwrap();
    assert_eq!(open.have(&second.who.scope, &[sent.id]).unwrap(), [true], "it need not be sent again");
    let leaf = second.leaf(&[&sent], b"by reference");
    second.put(&open, &[&leaf]).unwrap();
    let answer = second.commit(&open, &opened, &leaf).unwrap();
    assert!(matches!(answer, CommitAnswer::Committed { .. }));
    receipt(answer);
    vec![sent.id, leaf.id]
}

/// Loses the index with everything in staging, and makes it again from the store.
fn lose_the_catalog(root: &Path, site: Site) -> Site {
    let world = site.world.clone();
    drop(site);
    fs::remove_dir_all(root.join("catalogs")).unwrap();
    fs::remove_dir_all(root.join("staging")).unwrap();
    server(root).rebuild(&SUBSCRIPTION).unwrap();
    Site::start(root, &world)
}

#[test]
fn a_receipt_does_not_rest_on_a_damaged_chunk_in_the_staging_of_another_session() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 30);
    let mut first = site.back_up(1, &[b"shared and damaged"]);
    let shared = first.data(b"shared and damaged");
    let location = site.open.read(|catalog| Ok(catalog.location(1, &shared.id)?)).unwrap().unwrap();
    let name = location.name.unwrap().to_string();
    let file = files(&root.path().join("store")).into_iter().find(|file| file.ends_with(&name)).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[usize::try_from(location.range.offset).unwrap() + 100] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert_eq!(scrub(&site.open, site.now_ns(), |_| true).unwrap().damaged_chunks, [shared.id]);
    site.jump(3_600_000_000_000);
    let ids = committed_beside(&site, b"shared and damaged", 2);
    assert_eq!(site.readable(&first.who.scope, &ids), 2);
    let site = lose_the_catalog(root.path(), site);
    assert_eq!(site.readable(&first.who.scope, &ids), 2);
}

#[test]
fn a_receipt_does_not_rest_on_a_trashed_chunk_in_the_staging_of_another_session() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    let first = site.back_up(1, &[b"shared and trashed"]);
    for session in [2, 3] {
        site.pass_days(1);
        site.back_up(session, &[b"other"]);
    }
    site.pass_days(3);
    site.expire().unwrap();
    site.mark().unwrap();
    let ids = committed_beside(&site, b"shared and trashed", 4);
    assert_eq!(site.readable(&first.who.scope, &ids), 2);
    // The pack that held it first holds nothing any more, and goes.
    site.purge().unwrap();
    site.jump(3_600_000_000_000);
    assert!(Site::count(&site.purge().unwrap(), "packs") > 0);
    let site = lose_the_catalog(root.path(), site);
    assert_eq!(site.readable(&first.who.scope, &ids), 2);
}
