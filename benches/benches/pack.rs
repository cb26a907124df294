//! How fast do frames become durable packs, and how fast are packs read again and proved whole?
#![allow(missing_docs, clippy::print_stdout)]

use std::hint::black_box;
use std::path::Path;

use benches::limit::{measure, rate};
use benches::sample::noise;
use benches::table::{Against, print_bytes, print_limits};
use common::frame::checksum;
use common::id::{ChunkId, PackId, SubscriptionId};
use common::keys::ChunkKind;
use common::pack::{FrameClass, PackEntry, PackHeader, PackKind, name, parse};
use server::store::objects::Objects;
use server::store::packer::OpenPack;

const SUBSCRIPTION: SubscriptionId = SubscriptionId::new([1; 16]);
const FRAME_BYTES: usize = 256 << 10;
const PACKS: usize = 4;
const PACK_BYTES: usize = 32 << 20;

fn main() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let limits = measure(scratch.path())?;
    print_limits(&limits);
    let objects = Objects::open(&scratch.path().join("store"), 0)?;
    let bytes = noise(1, PACK_BYTES);
    let mut salt = 0;
    let written = rate(PACKS * PACK_BYTES, || {
        for _ in 0..PACKS {
            salt += 1;
            store_pack(&objects, scratch.path(), &bytes, salt).expect("the disk takes a pack");
        }
    });
    let durable = Against::new("write and fdatasync", limits.durable_write);
    print_bytes("checksum, append, name, fsync, publish", written, durable);
    let pack = scratch.path().join("again");
    let id = fill(&pack, &bytes, 0)?.finish(objects.health(), Vec::new())?.name;
    let whole = std::fs::read(&pack)?;
    let proved = rate(whole.len(), || {
        assert_eq!(name(black_box(&whole)), id);
        black_box(parse(&whole).expect("the pack was just made"));
    });
    print_bytes("name again and read the directory", proved, Against::new("BLAKE3", limits.blake3));
    Ok(())
}

fn store_pack(objects: &Objects, scratch: &Path, bytes: &[u8], salt: u8) -> anyhow::Result<PackId> {
    let staging = scratch.join(format!("staging-{salt}"));
    let finished = fill(&staging, bytes, salt)?.finish(objects.health(), Vec::new())?;
    objects.adopt_pack(&SUBSCRIPTION, &finished.path, &finished.name)?;
    Ok(finished.name)
}

fn fill(path: &Path, bytes: &[u8], salt: u8) -> anyhow::Result<OpenPack> {
    let header = PackHeader { kind: PackKind::Data, subscription: SUBSCRIPTION, salt: [salt; 16] };
    let mut pack = OpenPack::create(path, &header)?;
    for (number, frame) in (0u64..).zip(bytes.chunks(FRAME_BYTES)) {
        let mut id = [salt; 32];
        id[..8].copy_from_slice(&number.to_le_bytes());
        let length = u32::try_from(frame.len())?;
        let entry = PackEntry {
            id: ChunkId::new(id),
            kind: ChunkKind::Data,
            class: FrameClass::Changed,
            offset: 0,
            frame_bytes: length,
            plain_bytes: length,
            checksum: checksum(frame),
        };
        pack.append(frame, entry)?;
    }
    Ok(pack)
}
