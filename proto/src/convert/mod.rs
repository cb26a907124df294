//! Conversions between generated types and domain types.

pub mod source_kind;
