//! One fuzz target for each decoder: the name of the program is the name of the decoder.
#![no_main]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../tests/support/decoders.rs"]
mod decoders;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let decoder = decoders::DECODERS.iter().find(|(name, _)| *name == env!("CARGO_BIN_NAME"));
    (decoder.expect("a decoder has the name of this program").1)(bytes);
});
