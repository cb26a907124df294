//! The contract as pure rules: values in, decision out.

pub mod admission;
pub mod amendment;
pub mod backup_set;
pub mod calendar;
pub mod claim;
pub mod day;
pub mod guards;
pub mod hold;
pub mod late;
pub mod ledger;
pub mod location;
pub mod order_form;
pub mod quota;
pub mod reevaluation;
pub mod retention;
pub mod service;
pub mod term;
pub mod terms;
