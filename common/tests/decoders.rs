//! Any bytes, given to a decoder of this crate, are accepted or refused: no panic, no endless loop, no more memory than the bytes are worth.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::disallowed_methods, missing_docs)]
#![allow(clippy::print_stderr, reason = "a proof prints its seed and its counts")]

#[allow(dead_code, reason = "other crates use the rest")]
#[path = "support/campaign.rs"]
mod campaign;
#[path = "support/corpus.rs"]
mod corpus;
#[path = "support/decoders.rs"]
mod decoders;

/// The rounds are changed inputs for each decoder.
#[test]
fn any_bytes_are_accepted_or_refused() {
    corpus::play("decoders", decoders::DECODERS);
}
