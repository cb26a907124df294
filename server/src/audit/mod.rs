//! The audit log: who did what, when, from where, on what, with which result; append-only and tamper-evident.

pub mod chain;
