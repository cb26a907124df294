//! End-to-end proofs: the real programs over loopback, judged by an oracle that shares no code with them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::disallowed_methods, missing_docs)]
#![allow(clippy::print_stderr, reason = "a proof that is skipped says why, and prints its seed")]

mod backup;
mod browse;
mod churn;
mod command_line;
mod crafted;
mod cut_line;
mod daily;
mod damage;
mod disks;
mod hostile;
mod identical;
mod killed;
mod ledger;
mod loop_disk;
mod new_disk;
mod oddities;
mod oracle;
mod over_days;
mod power_cut;
mod process;
mod restore;
mod service;
mod setup;
mod site;
mod two_sessions;
mod verify;
mod whole;
mod world;
