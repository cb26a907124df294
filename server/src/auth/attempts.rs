//! Delays after failed logins: growing, per account and network, never for ever.
//!
//! In memory only: a restart forgets them, which frees nobody for long.
//!
//! Invariant: an attempt counts as failed before the password is looked at, so attempts at the same time count too.
//! Invariant: unknown identifiers are delayed as known ones are.

use std::collections::HashMap;
use std::net::IpAddr;

use common::limits::{LOGIN_ATTEMPTS_KEPT_MAX, LOGIN_DELAY_S_MAX, LOGIN_FREE_FAILURES};
use parking_lot::Mutex;

const SECOND_NS: i64 = 1_000_000_000;
/// Failures are forgotten this long after the last one, in nanoseconds.
const FORGET_NS: i64 = 2 * LOGIN_DELAY_S_MAX * SECOND_NS;

/// A part of the Internet: the /24 of an IPv4 address, the /64 of an IPv6 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network([u8; 8]);

impl Network {
    /// The network of an address.
    pub fn of(address: IpAddr) -> Self {
        let mut prefix = [0; 8];
        match address.to_canonical() {
            IpAddr::V4(v4) => prefix[5..].copy_from_slice(&v4.octets()[..3]),
            IpAddr::V6(v6) => prefix.copy_from_slice(&v6.octets()[..8]),
        }
        Self(prefix)
    }
}

/// Who tries, and from where; the identifier only as a digest, so that keys have one size.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttemptKey {
    identifier: [u8; 16],
    network: Network,
}

impl AttemptKey {
    /// The key of an identifier (in lower case) tried from an address.
    pub fn new(identifier: &str, address: IpAddr) -> Self {
        let mut short = [0; 16];
        short.copy_from_slice(&blake3::hash(identifier.as_bytes()).as_bytes()[..16]);
        Self { identifier: short, network: Network::of(address) }
    }
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last_ns: i64,
    open_ns: i64,
}

/// The recent failures.
#[derive(Default)]
pub struct Attempts {
    kept: Mutex<HashMap<AttemptKey, Failures>>,
}

impl Attempts {
    /// Counts an attempt as failed until [`Self::succeeded`] says otherwise.
    ///
    /// # Errors
    /// The seconds to wait, if one may not try yet; such an attempt is not counted.
    pub fn begin(&self, key: &AttemptKey, now_ns: i64) -> Result<(), u64> {
        let mut kept = self.kept.lock();
        let before = kept.get(key).copied().filter(|failures| now_ns - failures.last_ns < FORGET_NS);
        if let Some(failures) = before
            && failures.open_ns > now_ns
        {
            let wait_s = (failures.open_ns - now_ns + SECOND_NS - 1) / SECOND_NS;
            return Err(u64::try_from(wait_s).unwrap_or(1));
        }
        make_room(&mut kept, key, now_ns);
        let count = before.map_or(0, |failures| failures.count).saturating_add(1);
        kept.insert(key.clone(), Failures { count, last_ns: now_ns, open_ns: now_ns + delay_s(count) * SECOND_NS });
        Ok(())
    }

    /// Forgets the failures of a key whose owner gave the right password.
    pub fn succeeded(&self, key: &AttemptKey) {
        self.kept.lock().remove(key);
    }
}

/// The delay after the `count`-th failure in a row, in seconds.
fn delay_s(count: u32) -> i64 {
    let Some(past) = count.checked_sub(LOGIN_FREE_FAILURES) else { return 0 };
    1i64.checked_shl(past).filter(|delay| (1..LOGIN_DELAY_S_MAX).contains(delay)).unwrap_or(LOGIN_DELAY_S_MAX)
}

/// Keeps the table within its bound: forgets what is over, else the oldest.
fn make_room(kept: &mut HashMap<AttemptKey, Failures>, key: &AttemptKey, now_ns: i64) {
    if kept.len() < LOGIN_ATTEMPTS_KEPT_MAX || kept.contains_key(key) {
        return;
    }
    kept.retain(|_, failures| now_ns - failures.last_ns < FORGET_NS);
    if kept.len() < LOGIN_ATTEMPTS_KEPT_MAX {
        return;
    }
    // One pass frees a sixteenth, the least failed and oldest first, so that a flood of names pays for the pass.
    let mut order: Vec<_> =
        kept.iter().map(|(key, failures)| (failures.count, failures.last_ns, key.clone())).collect();
    let room = order.len() / 16 + 1;
    order.select_nth_unstable_by_key(room - 1, |(count, last_ns, _)| (*count, *last_ns));
    for (_, _, key) in &order[..room] {
        kept.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, address: &str) -> AttemptKey {
        AttemptKey::new(name, address.parse().unwrap())
    }

    #[test]
    fn the_delay_grows_from_one_second_to_fifteen_minutes() {
        let attempts = Attempts::default();
        let anna = key("anna", "192.0.2.7");
        let mut now_ns = 0;
        for _ in 0..4 {
            assert_eq!(attempts.begin(&anna, now_ns), Ok(()));
        }
        for delay_s in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
            assert_eq!(attempts.begin(&anna, now_ns), Ok(()), "{delay_s}");
            assert_eq!(attempts.begin(&anna, now_ns), Err(delay_s));
            now_ns += i64::try_from(delay_s).unwrap() * SECOND_NS;
            assert_eq!(attempts.begin(&anna, now_ns - 1), Err(1));
        }
        attempts.succeeded(&anna);
        assert_eq!(attempts.begin(&anna, now_ns), Ok(()));
    }

    #[test]
    fn accounts_and_networks_are_counted_apart() {
        let attempts = Attempts::default();
        let anna = key("anna", "192.0.2.7");
        while attempts.begin(&anna, 0).is_ok() {}
        assert!(attempts.begin(&key("anna", "192.0.2.200"), 0).is_err());
        assert!(attempts.begin(&key("anna", "::ffff:192.0.2.9"), 0).is_err());
        assert_eq!(attempts.begin(&key("anna", "192.0.3.7"), 0), Ok(()));
        assert_eq!(attempts.begin(&key("bruno", "192.0.2.7"), 0), Ok(()));
        let v6 = key("anna", "2001:db8:1:2::1");
        while attempts.begin(&v6, 0).is_ok() {}
        assert!(attempts.begin(&key("anna", "2001:db8:1:2:ffff::1"), 0).is_err());
        assert_eq!(attempts.begin(&key("anna", "2001:db8:1:3::1"), 0), Ok(()));
    }

    #[test]
    fn failures_are_forgotten_after_a_while() {
        let attempts = Attempts::default();
        let anna = key("anna", "192.0.2.7");
        while attempts.begin(&anna, 0).is_ok() {}
        assert_eq!(attempts.begin(&anna, FORGET_NS), Ok(()));
        assert_eq!(attempts.begin(&anna, FORGET_NS), Ok(()));
    }

    #[test]
    fn a_flood_of_names_stays_within_the_bound_and_frees_nobody_under_delay() {
        let attempts = Attempts::default();
        let anna = key("anna", "192.0.2.7");
        while attempts.begin(&anna, 0).is_ok() {}
        for number in 0..LOGIN_ATTEMPTS_KEPT_MAX + 100 {
            assert_eq!(attempts.begin(&key(&number.to_string(), "192.0.2.7"), 1), Ok(()));
        }
        assert!(attempts.kept.lock().len() <= LOGIN_ATTEMPTS_KEPT_MAX);
        assert!(attempts.begin(&anna, 2).is_err());
    }
}
