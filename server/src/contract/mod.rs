//! The contract as pure rules: values in, decision out.

pub mod calendar;
pub mod terms;
