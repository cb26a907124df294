//! The catalog: the index of one subscription, in one SQLite file. All SQL of the storage engine is in this folder.
//!
//! It decides nothing: sessions and upkeep do. It holds nothing that packs and objects do not hold too: `upkeep::rebuild`
//! makes it again.
//!
//! Invariant: I7 — with the control store, the only home of `rusqlite`.
//! Invariant: a change is one transaction, durable (`synchronous=FULL`) when it returns.
//! Invariant: I6 — every counter can be recomputed from the other rows.

pub mod children;
pub mod chunks;
pub mod compare;
pub mod damage;
pub mod days;
pub mod error;
pub mod facts;
pub mod file;
pub mod garbage;
pub mod ledger;
pub mod nodes;
pub mod packs;
pub mod reachable;
pub mod reached;
pub mod recounts;
pub mod schema;
pub mod scrubs;
pub mod sessions;
pub mod snapshots;
pub mod totals;
pub mod trash;
