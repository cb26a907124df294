//! Any bytes, given to a decoder of the server, are accepted or refused: no panic, no endless loop, no more memory than the bytes are worth.

use crate::support::corpus;

#[path = "../support/decoders.rs"]
mod list;

/// The rounds are changed inputs for each decoder.
#[test]
fn any_bytes_are_accepted_or_refused() {
    corpus::play("decoders of the server", list::DECODERS);
}
