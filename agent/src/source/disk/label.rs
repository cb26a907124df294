//! What a snapshot says of an image whose disk it holds: the format, and how to make an image like it again.
//!
//! It stands among the extended attributes of the entry, under a name that no file of the system can have. A snapshot is hostile
//! until proven otherwise, so keys and values are bounded by what they can be, and none of them is a path.
//!
//! Invariant: no label makes a tool open anything but what it is given.

use common::limits::DISK_LABEL_BYTES_MAX;
use common::tree::xattrs::Xattr;
use serde::{Deserialize, Serialize};

use super::format::Format;

/// Name of the attribute: the kernel knows no such namespace.
pub const ATTRIBUTE: &[u8] = b"dobaas.disk";
const VERSION: u32 = 1;
const VALUE_BYTES_MAX: usize = 32;
const KEYS: [&str; 8] = [
    "compat",
    "cluster_size",
    "refcount_bits",
    "lazy_refcounts",
    "extended_l2",
    "compression_type",
    "subformat",
    "block_size",
];

/// How to make an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    version: u32,
    /// Its format.
    pub format: Format,
    options: Vec<(String, String)>,
}

/// A label that cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the description of a disk image cannot be used")]
pub struct InvalidLabel;

impl Label {
    /// An image of this format, with nothing special.
    pub const fn new(format: Format) -> Self {
        Self { version: VERSION, format, options: Vec::new() }
    }

    /// Adds an option.
    ///
    /// # Errors
    /// If it is none that an image can be made with.
    pub fn set(&mut self, key: &str, value: String) -> Result<(), InvalidLabel> {
        self.options.push((key.to_owned(), value));
        self.check()
    }

    /// Reads the label of an entry.
    ///
    /// # Errors
    /// If it is none of this version.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidLabel> {
        if bytes.len() > DISK_LABEL_BYTES_MAX {
            return Err(InvalidLabel);
        }
        let label: Self = serde_json::from_slice(bytes).map_err(|_| InvalidLabel)?;
        label.check()?;
        Ok(label)
    }

    fn check(&self) -> Result<(), InvalidLabel> {
        let is_value = |value: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.';
            !value.is_empty() && value.len() <= VALUE_BYTES_MAX && value.bytes().all(allowed)
        };
        let is_option = |(key, value): &(String, String)| KEYS.contains(&key.as_str()) && is_value(value);
        let is_whole =
            self.version == VERSION && self.options.len() <= KEYS.len() && self.options.iter().all(is_option);
        if is_whole { Ok(()) } else { Err(InvalidLabel) }
    }

    /// As an attribute of the entry.
    pub fn attribute(&self) -> Xattr {
        let value = serde_json::to_vec(self).unwrap_or_default();
        Xattr { name: ATTRIBUTE.to_vec(), value }
    }

    /// Takes the label out of the attributes of an entry, if it has one.
    ///
    /// # Errors
    /// If it has one that cannot be used.
    pub fn take(xattrs: &mut Vec<Xattr>) -> Result<Option<Self>, InvalidLabel> {
        let Some(at) = xattrs.iter().position(|xattr| xattr.name == ATTRIBUTE) else { return Ok(None) };
        Self::parse(&xattrs.remove(at).value).map(Some)
    }

    /// The options as the QEMU tools take them after `-o`; empty if there are none.
    pub fn options_of_tool(&self) -> String {
        let options: Vec<String> = self.options.iter().map(|(key, value)| format!("{key}={value}")).collect();
        options.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bytes_of_version_1_are_golden() {
        let mut label = Label::new(Format::Qcow2);
        label.set("cluster_size", "65536".into()).unwrap();
        let golden = br#"{"version":1,"format":"qcow2","options":[["cluster_size","65536"]]}"#;
        assert_eq!(label.attribute().value, golden);
        let mut xattrs = vec![Xattr { name: b"user.x".to_vec(), value: vec![1] }, label.attribute()];
        assert_eq!((Label::take(&mut xattrs), xattrs.len()), (Ok(Some(label)), 1));
        assert_eq!(Label::take(&mut xattrs), Ok(None));
    }

    #[test]
    fn a_label_names_no_file_and_no_option_of_another_kind() {
        for hostile in [
            r#"{"version":1,"format":"qcow2","options":[["backing_file","/etc/shadow"]]}"#,
            r#"{"version":1,"format":"qcow2","options":[["data_file","x"]]}"#,
            r#"{"version":1,"format":"qcow2","options":[["compat","1.1,backing_file=x"]]}"#,
            r#"{"version":1,"format":"qcow2","options":[["compat",""]]}"#,
            r#"{"version":1,"format":"nbd","options":[]}"#,
            r#"{"version":2,"format":"raw","options":[]}"#,
            r#"{"version":1,"format":"raw","options":[],"more":1}"#,
            "",
        ] {
            assert_eq!(Label::parse(hostile.as_bytes()), Err(InvalidLabel), "{hostile}");
        }
        assert_eq!(Label::parse(&vec![b' '; DISK_LABEL_BYTES_MAX + 1]), Err(InvalidLabel));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Label::parse(&bytes);
        }
    }
}
