//! Time zones as the program knows them, whatever the machine has: days of the contract must not depend on files that others change, or that
//! cannot be opened at the moment.

use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// The name of the contract's zone, and of every schedule that names none.
pub const DEFAULT_ZONE: &str = "Europe/Paris";

static COMPILED_IN: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A zone by its name; `None` if there is none of it.
pub fn named(name: &str) -> Option<TimeZone> {
    COMPILED_IN.get(name).ok()
}

/// The contract's time zone.
pub fn paris() -> TimeZone {
    named(DEFAULT_ZONE).expect("it is compiled in")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_come_from_the_program_itself() {
        // The system's own database cannot be had: this one does not look.
        assert!(!COMPILED_IN.is_definitively_empty());
        let noon: jiff::civil::DateTime = "2026-07-01T12:00".parse().expect("a date");
        assert_eq!(noon.to_zoned(paris()).expect("a moment").offset().seconds(), 7_200);
        assert!(named("Europe/Nowhere").is_none());
    }
}
