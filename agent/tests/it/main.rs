//! End-to-end proofs: the real programs over loopback, judged by an oracle that shares no code with them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::disallowed_methods, missing_docs)]
#![allow(clippy::print_stderr, reason = "a proof that is skipped says why, and prints its seed")]

mod backup;
#[path = "../support/bind_mount.rs"]
mod bind_mount;
mod bombs;
mod browse;
mod churn;
mod command_line;
mod crafted;
mod daily;
mod damage;
mod decoders;
mod disks;
mod failing_line;
mod forged_clocks;
mod formats;
mod full_disk;
mod hostile;
mod identical;
mod killed;
mod ledger;
mod lossy_network;
mod lying_server;
mod moving_source;
mod new_disk;
mod new_machine;
mod oddities;
mod old_records;
mod oracle;
mod over_days;
mod own_files;
mod own_password;
mod power_cut;
mod process;
mod restore;
mod secrets;
mod service;
mod setup;
mod site;
mod soak;
mod starved;
#[path = "../../../common/tests/support/mod.rs"]
mod support;
mod two_sessions;
mod unique_keys;
mod unmounted;
mod verify;
mod whole;
mod world;
