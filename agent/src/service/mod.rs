//! The service: every source of this machine backed up by its schedule, for as long as the machine runs.
//!
//! `daemon` is the loop; what it waits for and what it calls are given to it. `ending` says of a run how it ended, for the schedule and
//! for people. The command line around it is `cli::service`.

pub mod daemon;
pub mod ending;
