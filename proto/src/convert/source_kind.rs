//! The closed list of source kinds on the wire.

use common::source_kind::SourceKind;

use crate::v1;

/// The wire number of a kind.
pub fn to_wire(kind: SourceKind) -> v1::SourceKind {
    match kind {
        SourceKind::Files => v1::SourceKind::Files,
        SourceKind::NetworkShare => v1::SourceKind::NetworkShare,
        SourceKind::Mysql => v1::SourceKind::Mysql,
        SourceKind::SqlDatabase => v1::SourceKind::SqlDatabase,
        SourceKind::VirtualDisk => v1::SourceKind::VirtualDisk,
        SourceKind::SystemState => v1::SourceKind::SystemState,
        SourceKind::VmwareSnapshot => v1::SourceKind::VmwareSnapshot,
        SourceKind::HypervSnapshot => v1::SourceKind::HypervSnapshot,
        SourceKind::Oracle => v1::SourceKind::Oracle,
        SourceKind::Sharepoint => v1::SourceKind::Sharepoint,
        SourceKind::ExchangeStore => v1::SourceKind::ExchangeStore,
    }
}

/// The kind of a wire number; `None` for one that is not on the list.
pub fn from_wire(number: i32) -> Option<SourceKind> {
    SourceKind::ALL.into_iter().find(|kind| i32::from(to_wire(*kind)) == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_crosses_the_wire() {
        for kind in SourceKind::ALL {
            assert_eq!(from_wire(to_wire(kind).into()), Some(kind));
        }
        assert_eq!(from_wire(0), None);
        assert_eq!(from_wire(99), None);
    }
}
