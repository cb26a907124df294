//! The closed list of what the contract allows to back up (sources.md).
//!
//! It names kinds; how a source of a kind is read belongs to the agent.

use std::fmt;
use std::str::FromStr;

/// A kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKind {
    /// Files and folders of a machine.
    Files,
    /// A mounted or user-space network share.
    NetworkShare,
    /// MySQL and MariaDB databases.
    Mysql,
    /// Microsoft SQL Server and PostgreSQL databases.
    SqlDatabase,
    /// Disk images.
    VirtualDisk,
    /// What a machine needs to be built again.
    SystemState,
    /// Snapshots of VMware ESX and ESXi.
    VmwareSnapshot,
    /// Checkpoints of Hyper-V.
    HypervSnapshot,
    /// Oracle databases.
    Oracle,
    /// SharePoint farms.
    Sharepoint,
    /// Exchange information stores.
    ExchangeStore,
}

/// A name that is not on the closed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no source kind is named {name}")]
pub struct UnknownSourceKind {
    /// What was given.
    pub name: String,
}

impl SourceKind {
    /// The whole list, in the order of the contract.
    pub const ALL: [Self; 11] = [
        Self::Files,
        Self::NetworkShare,
        Self::Mysql,
        Self::SqlDatabase,
        Self::VirtualDisk,
        Self::SystemState,
        Self::VmwareSnapshot,
        Self::HypervSnapshot,
        Self::Oracle,
        Self::Sharepoint,
        Self::ExchangeStore,
    ];

    /// The name used on command lines, in records and in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::NetworkShare => "network_share",
            Self::Mysql => "mysql",
            Self::SqlDatabase => "sql_database",
            Self::VirtualDisk => "virtual_disk",
            Self::SystemState => "system_state",
            Self::VmwareSnapshot => "vmware_snapshot",
            Self::HypervSnapshot => "hyperv_snapshot",
            Self::Oracle => "oracle",
            Self::Sharepoint => "sharepoint",
            Self::ExchangeStore => "exchange_store",
        }
    }
}

impl FromStr for SourceKind {
    type Err = UnknownSourceKind;

    fn from_str(name: &str) -> Result<Self, UnknownSourceKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownSourceKind { name: name.to_owned() })
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_back_from_its_name_and_nothing_else_is() {
        for kind in SourceKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("tape".parse::<SourceKind>().is_err());
        assert!("Files".parse::<SourceKind>().is_err());
    }
}
