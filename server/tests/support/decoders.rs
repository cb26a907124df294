//! The server's decoders of its own rows, objects and settings, each as one function from bytes that are anything.

use common::id::SessionId;
use server::auth::token;
use server::catalog::children;
use server::config::Config;
use server::upkeep::tombstone;

/// What is done with bytes.
type Decoder = fn(&[u8]);

/// All of them: a name, which is also that of the corpus, and the decoder.
pub const DECODERS: &[(&str, Decoder)] = &[
    ("children", |bytes| drop(children::decode(bytes))),
    ("tombstone", |bytes| drop(tombstone::decode(bytes, &SessionId::new([0x22; 16])))),
    ("settings", |bytes| drop(Config::parse(&String::from_utf8_lossy(bytes)))),
    ("token", |bytes| {
        let _ = token::parse(&String::from_utf8_lossy(bytes));
    }),
];
