//! How many chunks a second does a catalog take, one durable transaction per 64, and how many does it find again?
#![allow(missing_docs, clippy::print_stdout)]

use std::hint::black_box;

use benches::limit::{durable_calls, rate};
use benches::table::{Against, print_count};
use common::id::{ChunkId, ScopeId};
use common::keys::ChunkKind;
use common::pack::{FrameClass, PackEntry};
use server::catalog::chunks::StagedChunk;
use server::catalog::error::CatalogError;
use server::catalog::file::Catalog;

/// Chunks of one transaction: about what arrives between two durable points.
const CHUNKS_PER_TRANSACTION: u64 = 64;
const TRANSACTIONS: u64 = 100;
const CHUNKS: u64 = CHUNKS_PER_TRANSACTION * TRANSACTIONS;

fn main() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let durable = durable_calls(scratch.path())?.0;
    println!("{:<44} {durable:>10.0} calls/s", "limit of this disk: write 4 KiB, fdatasync");
    let catalog = Catalog::create(&scratch.path().join("catalog.db"))?;
    let scope = catalog.atomically(|catalog| catalog.scope_row(&ScopeId::new([1; 16])))?;
    let mut next_row = catalog.next_chunk_row()?;
    let mut next = 0;
    let transactions = rate(usize::try_from(TRANSACTIONS)?, || {
        for _ in 0..TRANSACTIONS {
            let stored = catalog.atomically(|catalog| {
                for number in next..next + CHUNKS_PER_TRANSACTION {
                    catalog.store_chunk(&staged(scope, number), &mut next_row)?;
                }
                Ok::<_, CatalogError>(())
            });
            stored.expect("the catalog takes the chunks");
            next += CHUNKS_PER_TRANSACTION;
        }
    });
    print_count(
        "durable transactions of 64 chunks",
        "transactions",
        transactions,
        Against::new("durable calls", durable),
    );
    let per_transaction = CHUNKS_PER_TRANSACTION as f64;
    print_count(
        "the same, in chunks",
        "chunks",
        transactions * per_transaction,
        Against::new("64 per durable call", durable * per_transaction),
    );
    let found = rate(usize::try_from(CHUNKS)?, || {
        for number in 0..CHUNKS {
            black_box(
                catalog.chunk(scope, &id(number)).expect("the catalog can be read").expect("the chunk is stored"),
            );
        }
    });
    print_count("chunks found by id", "chunks", found, Against::new("the 415,000/s of plain SQLite", 415e3));
    Ok(())
}

fn id(number: u64) -> ChunkId {
    ChunkId::new(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

fn staged(scope: u32, number: u64) -> StagedChunk {
    let entry = PackEntry {
        id: id(number),
        kind: ChunkKind::Data,
        class: FrameClass::Changed,
        offset: 0,
        frame_bytes: 200 << 10,
        plain_bytes: 500 << 10,
        checksum: [0; 16],
    };
    StagedChunk { scope, session: 1, pack: 1, entry, children: Vec::new() }
}
