//! One fuzz target for each decoder: the name of the program is the name of the decoder.
#![no_main]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../agent/tests/support/decoders.rs"]
mod agents;
#[path = "../../tests/support/decoders.rs"]
mod decoders;
#[path = "../../../server/tests/support/decoders.rs"]
mod servers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut all = [decoders::DECODERS, agents::DECODERS, servers::DECODERS].into_iter().flatten();
    let decoder = all.find(|(name, _)| *name == env!("CARGO_BIN_NAME"));
    (decoder.expect("a decoder has the name of this program").1)(bytes);
});
