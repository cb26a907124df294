//! The contract as pure rules: values in, decision out.

pub mod backup_set;
pub mod calendar;
pub mod location;
pub mod order_form;
pub mod quota;
pub mod terms;
