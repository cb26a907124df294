//! The table that a bench prints: each figure with the limit that it is held against, and its share of it.

use crate::limit::Limits;

/// A limit with its name.
#[derive(Debug, Clone, Copy)]
pub struct Against {
    name: &'static str,
    per_second: f64,
}

impl Against {
    /// A limit in the unit of the figures that are held against it.
    pub fn new(name: &'static str, per_second: f64) -> Self {
        Self { name, per_second }
    }
}

/// Prints the limits in bytes per second, before the figures.
pub fn print_limits(limits: &Limits) {
    println!("{:<44} {:>10}", "limit of this machine, one core", "MB/s");
    for (name, rate) in [
        ("memcpy", limits.memcpy),
        ("BLAKE3 keyed, 256 KiB", limits.blake3),
        ("AES-256-GCM, new key per 256 KiB", limits.aes_gcm),
        ("pread, cached, 1 MiB", limits.pread),
        ("write and fdatasync, 32 MiB", limits.durable_write),
    ] {
        println!("{name:<44} {:>10.0}", rate / 1e6);
    }
    println!("\n{:<44} {:>10}   share of the limit", "stage", "MB/s");
}

/// Prints a figure in bytes per second.
pub fn print_bytes(name: &str, per_second: f64, against: Against) {
    let share = 100.0 * per_second / against.per_second;
    println!("{name:<44} {:>10.0}   {share:>5.1} % of {}", per_second / 1e6, against.name);
}

/// Prints a figure in `unit` per second.
pub fn print_count(name: &str, unit: &str, per_second: f64, against: Against) {
    let share = 100.0 * per_second / against.per_second;
    println!("{name:<44} {per_second:>10.0} {unit}/s   {share:>5.1} % of {}", against.name);
}
