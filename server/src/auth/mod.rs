//! Authentication: passwords, tokens, and the layer that turns a credential into a principal.

pub mod principal;
