//! What the benches share: the machine's own limits, measured in the same run, and the table that compares with them.
//!
//! A bench answers one question and is a plain program (`cargo bench -p benches --bench NAME`). Its figures mean something only
//! beside the limits printed with them, on a machine that does nothing else.

#![allow(clippy::print_stdout, reason = "a bench prints its table")]

pub mod limit;
pub mod sample;
pub mod site;
pub mod table;
