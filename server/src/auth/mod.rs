//! Authentication: passwords, tokens, and the layer that turns a credential into a principal.

pub mod access;
pub mod attempts;
pub mod layer;
pub mod logins;
pub mod older_records;
pub mod password;
pub mod policy;
pub mod principal;
pub mod rate;
pub mod replaced;
pub mod revoked;
pub mod token;
