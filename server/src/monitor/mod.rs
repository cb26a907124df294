//! What the server shows of itself: alarms and metrics.

pub mod alarm;
