//! How fast are streams cut into chunks, and how long do the chunks become?
#![allow(missing_docs, clippy::print_stdout)]

use std::hint::black_box;

use agent::backup::split::{ChunkParams, Splitter};
use benches::limit::{measure, rate};
use benches::sample::{noise, text};
use benches::table::{Against, print_bytes, print_limits};
use common::keys::ScopeSecret;

fn main() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let limits = measure(scratch.path())?;
    print_limits(&limits);
    let splitter = Splitter::new(&ScopeSecret::new([1; 32]).keys(), ChunkParams::V1)?;
    for (what, bytes) in [("noise", noise(1, 64 << 20)), ("text", text(1, 64 << 20))] {
        let mut chunks = 0;
        let per_second = rate(bytes.len(), || {
            chunks = 0;
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                rest = &rest[black_box(splitter.cut(rest))..];
                chunks += 1;
            }
        });
        let average_kib = (bytes.len() / chunks) >> 10;
        print_bytes(
            &format!("cut {what}, {average_kib} KiB on average"),
            per_second,
            Against::new("memcpy", limits.memcpy),
        );
    }
    Ok(())
}
