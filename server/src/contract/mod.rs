//! The contract as pure rules: values in, decision out.

pub mod terms;
