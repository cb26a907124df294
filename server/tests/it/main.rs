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
mod closures;
mod connection;
mod dashboards;
mod engine;
mod facts;
mod forge;
mod garbage;
mod harness;
mod honest;
mod hostile;
mod isolation;
mod jobs;
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
mod protections;
mod provider;
mod quotas;
mod receipts;
mod recounts;
mod recovery;
mod reevaluation;
mod retention;
mod scrubs;
mod sessions;
mod sessions_end;
mod site;
mod station;
mod steering;
mod streams;
mod trail;
mod upkeep;
mod year;
