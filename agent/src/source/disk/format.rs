//! Formats of disk images, told by name and first bytes together.
//!
//! Who writes in a virtual machine writes the first bytes of a raw image, so bytes alone never decide; an image under another
//! name is a file like any other, kept bit for bit.

use std::fs::File;

use serde::{Deserialize, Serialize};

use crate::backup::read::read_exact_at;

/// How an image holds its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Byte for byte.
    Raw,
    /// QEMU.
    Qcow2,
    /// VMware, one sparse file.
    Vmdk,
    /// Hyper-V.
    Vhdx,
}

impl Format {
    /// The formats that are more than the bytes of the disk.
    pub const CONTAINERS: [Self; 3] = [Self::Qcow2, Self::Vmdk, Self::Vhdx];

    /// As the QEMU tools name it, and as files end.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
            Self::Vhdx => "vhdx",
        }
    }

    const fn magic(self) -> &'static [u8] {
        match self {
            Self::Raw => b"",
            Self::Qcow2 => b"QFI\xfb",
            Self::Vmdk => b"KDMV",
            Self::Vhdx => b"vhdxfile",
        }
    }

    /// The container that a name ends in, whatever its case.
    pub fn of_name(name: &[u8]) -> Option<Self> {
        let end = name.rsplit(|byte| *byte == b'.').next().filter(|end| end.len() < name.len())?;
        Self::CONTAINERS.into_iter().find(|format| end.eq_ignore_ascii_case(format.name().as_bytes()))
    }

    /// True if the file begins as this format does.
    ///
    /// # Errors
    /// Those of reading.
    pub fn begins(self, file: &File) -> std::io::Result<bool> {
        let mut start = [0; 8];
        let read = read_exact_at(file, 0, &mut start)?;
        Ok(start[..read].starts_with(self.magic()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]
    use super::*;

    #[test]
    fn name_and_first_bytes_must_agree() {
        for (name, format) in [
            (&b"vm.qcow2"[..], Some(Format::Qcow2)),
            (b"VM.VHDX", Some(Format::Vhdx)),
            (b"a.b.vmdk", Some(Format::Vmdk)),
            (b"disk.img", None),
            (b"qcow2", None),
            (b"vm.qcow2.bak", None),
        ] {
            assert_eq!(Format::of_name(name), format);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        for (bytes, is_qcow2) in [(&b"QFI\xfb\0\0\0\x03"[..], true), (b"QFI", false), (b"KDMV\0\0\0\0", false)] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(Format::Qcow2.begins(&File::open(&path).unwrap()).unwrap(), is_qcow2);
        }
    }
}
