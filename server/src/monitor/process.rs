//! The process as the system sees it: memory, open files.
//!
//! Invariant: what cannot be read is 0; nothing depends on it.

use rustix::process::{Resource, getrlimit};

/// The process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Process {
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
    /// Open files.
    pub open_files: u64,
    /// How many it may open.
    pub files_max: u64,
}

impl Process {
    /// Looks at `/proc/self`.
    pub fn look() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib =
            resident.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
        let files = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
        Self {
            resident_bytes: kib.unwrap_or_default() << 10,
            // The listing itself holds one.
            open_files: files.saturating_sub(1),
            files_max: getrlimit(Resource::Nofile).current.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_memory_and_open_files() {
        let process = Process::look();
        assert!(process.resident_bytes > 1 << 20 && process.open_files >= 3 && process.files_max > 3, "{process:?}");
    }
}
