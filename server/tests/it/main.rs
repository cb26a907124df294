//! Integration tests of the server: its parts driven directly, its calls over real TLS on loopback, and proofs against the program by
//! clients that need not be honest.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::disallowed_methods, missing_docs)]
#![allow(clippy::print_stderr, reason = "a proof prints its seed and its counts")]

mod account;
mod admin;
mod alarms;
mod allowance;
mod allowance_shared;
mod budget;
mod claims;
mod clocks;
mod closures;
mod connection;
mod dashboards;
mod engine;
mod facts;
mod faults;
mod floods;
mod forge;
mod full_disk;
mod garbage;
mod guesses;
mod harness;
mod honest;
mod hostile;
mod interleavings;
mod isolation;
mod jobs;
mod killed;
mod late;
mod line;
mod mailbox;
mod malformed;
mod model;
mod networks;
mod notices;
mod operators;
mod orders;
mod places;
mod power_cut;
mod protections;
mod provider;
mod quotas;
mod rebuilt;
mod receipts;
mod recounts;
mod recovery;
mod reevaluation;
mod retention;
mod scenario;
mod scrubs;
mod sessions;
mod sessions_end;
mod site;
mod station;
mod steering;
mod stolen_agent;
mod streams;
#[path = "../../../common/tests/support/mod.rs"]
mod support;
mod trail;
mod trail_altered;
mod upkeep;
mod year;
