//! What the server shows of itself: a look every minute, alarms and the channels that carry them, metrics.
//!
//! ```text
//! look (values) → observe (what is wrong) → alarm (what to say) → outbox (queue) → deliver (mail, webhook, command)
//!       └───────→ metrics (text) → listen
//! ```

pub mod alarm;
pub mod deliver;
pub mod listen;
pub mod look;
pub mod metrics;
pub mod notice;
pub mod observe;
pub mod outbox;
pub mod process;
pub mod settings;
pub mod text;
pub mod traffic;
pub mod watch;
