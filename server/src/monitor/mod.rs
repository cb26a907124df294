//! What the server shows of itself: alarms, and the channels that carry them.

pub mod alarm;
pub mod deliver;
pub mod notice;
pub mod outbox;
pub mod settings;
pub mod text;
