//! What `qemu-img info` says of an image, and whether its disk can be read without losing anything of the image.
//!
//! Values in, decisions out. What it does not know is not decided upon: unknown fields are left aside.

use common::limits::{DISK_BYTES_MAX, PAGED_FILE_BYTES};
use serde::Deserialize;

use super::format::Format;
use super::label::Label;

/// The description of an image.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Info {
    format: String,
    virtual_size: u64,
    cluster_size: Option<u64>,
    backing_filename: Option<String>,
    #[serde(default)]
    encrypted: bool,
    #[serde(default)]
    snapshots: Vec<serde_json::Value>,
    format_specific: Option<Specific>,
}

#[derive(Debug, Clone, Deserialize)]
struct Specific {
    data: Data,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Data {
    compat: Option<String>,
    compression_type: Option<String>,
    lazy_refcounts: Option<bool>,
    refcount_bits: Option<u64>,
    extended_l2: Option<bool>,
    corrupt: bool,
    data_file: Option<String>,
    encrypt: Option<serde_json::Value>,
    create_type: Option<String>,
    parent_cid: Option<u64>,
    extents: Vec<serde_json::Value>,
    bitmaps: Vec<Bitmap>,
}

/// A bitmap of changes that an image holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Bitmap {
    /// Its name.
    pub name: String,
    /// What it is: `auto` records, `in-use` was not closed and lies.
    #[serde(default)]
    pub flags: Vec<String>,
}

impl Bitmap {
    /// True if every write since it was made is in it.
    pub fn is_sound(&self) -> bool {
        self.flags == ["auto"]
    }
}

/// Why an image is kept as the file that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsFile {
    /// The tools are not installed.
    NoTools,
    /// It has no name or start of a container.
    Plain,
    /// Its disk is that of another image, with changes.
    Backing,
    /// Its content is elsewhere.
    DataFile,
    /// Its content is encrypted.
    Encrypted,
    /// It holds snapshots of its own.
    Snapshots,
    /// It is marked as damaged.
    Corrupt,
    /// A variant of the format that is not read.
    Variant,
    /// Too small or too large for a disk.
    Size,
    /// There are too many images.
    Many,
    /// The tools cannot read it.
    Unreadable,
}

impl AsFile {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NoTools,
        Self::Plain,
        Self::Backing,
        Self::DataFile,
        Self::Encrypted,
        Self::Snapshots,
        Self::Corrupt,
        Self::Variant,
        Self::Size,
        Self::Many,
        Self::Unreadable,
    ];

    /// The stable English word that is stored.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoTools => "no_tools",
            Self::Plain => "plain",
            Self::Backing => "backing_file",
            Self::DataFile => "data_file",
            Self::Encrypted => "encrypted",
            Self::Snapshots => "internal_snapshots",
            Self::Corrupt => "corrupt",
            Self::Variant => "variant",
            Self::Size => "size",
            Self::Many => "too_many",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Info {
    /// Reads a description.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// The bitmaps of the image.
    pub fn bitmaps(&self) -> &[Bitmap] {
        self.format_specific.as_ref().map_or(&[], |specific| &specific.data.bitmaps)
    }

    /// Size of its disk, in bytes.
    pub fn virtual_size(&self) -> u64 {
        self.virtual_size
    }

    /// What is needed to make an image like this one from the content of its disk; or why that would not be this image.
    ///
    /// # Errors
    /// Why it stays a file.
    pub fn plan(&self, format: Format) -> Result<Label, AsFile> {
        let none = Data::default();
        let data = self.format_specific.as_ref().map_or(&none, |specific| &specific.data);
        let orphan_cid = u64::from(u32::MAX);
        for (is_so, why) in [
            (self.format != format.name(), AsFile::Variant),
            (self.backing_filename.is_some(), AsFile::Backing),
            (data.parent_cid.is_some_and(|parent| parent != orphan_cid), AsFile::Backing),
            (data.data_file.is_some(), AsFile::DataFile),
            (self.encrypted || data.encrypt.is_some(), AsFile::Encrypted),
            (!self.snapshots.is_empty(), AsFile::Snapshots),
            (data.corrupt, AsFile::Corrupt),
            (self.virtual_size <= PAGED_FILE_BYTES || self.virtual_size > DISK_BYTES_MAX, AsFile::Size),
        ] {
            if is_so {
                return Err(why);
            }
        }
        let mut label = Label::new(format);
        let number = |value: Option<u64>| value.map(|value| value.to_string());
        let switch = |value: Option<bool>| value.map(|is_on| if is_on { "on" } else { "off" }.to_owned());
        let options = match format {
            Format::Raw => Vec::new(),
            Format::Qcow2 => vec![
                ("compat", data.compat.clone()),
                ("cluster_size", number(self.cluster_size)),
                ("refcount_bits", number(data.refcount_bits)),
                ("lazy_refcounts", switch(data.lazy_refcounts.filter(|is_on| *is_on))),
                ("extended_l2", switch(data.extended_l2.filter(|is_on| *is_on))),
                ("compression_type", data.compression_type.clone().filter(|kind| kind != "zlib")),
            ],
            Format::Vmdk => {
                let kind = data.create_type.clone().unwrap_or_default();
                // The others are several files.
                if !["monolithicSparse", "streamOptimized"].contains(&kind.as_str()) || data.extents.len() > 1 {
                    return Err(AsFile::Variant);
                }
                vec![("subformat", Some(kind))]
            }
            Format::Vhdx => vec![("block_size", number(self.cluster_size))],
        };
        for (key, value) in options {
            if let Some(value) = value {
                label.set(key, value).map_err(|_| AsFile::Variant)?;
            }
        }
        Ok(label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(format: Format, json: &str) -> Result<Label, AsFile> {
        Info::parse(json.as_bytes()).unwrap().plan(format)
    }

    fn qcow2(more: &str, data: &str) -> String {
        format!(
            r#"{{"virtual-size": 67108864, "format": "qcow2", "cluster-size": 65536, {more} "actual-size": 1,
                "format-specific": {{"type": "qcow2", "data": {{"compat": "1.1", "refcount-bits": 16, {data}
                "lazy-refcounts": false, "corrupt": false}}}}}}"#
        )
    }

    #[test]
    fn an_image_that_is_more_than_its_disk_stays_a_file() {
        for (more, data, why) in [
            (r#""backing-filename": "/etc/shadow","#, "", AsFile::Backing),
            (r#""encrypted": true,"#, "", AsFile::Encrypted),
            (r#""snapshots": [{"id": "1"}],"#, "", AsFile::Snapshots),
            ("", r#""data-file": "x","#, AsFile::DataFile),
            ("", r#""encrypt": {"format": "luks"},"#, AsFile::Encrypted),
            ("", r#""extended-l2": true, "compression-type": "a,b=c","#, AsFile::Variant),
        ] {
            assert_eq!(plan(Format::Qcow2, &qcow2(more, data)), Err(why));
        }
        assert_eq!(plan(Format::Vmdk, &qcow2("", "")), Err(AsFile::Variant));
        let vmdk = |kind, parent: u64| {
            format!(
                r#"{{"virtual-size": 67108864, "format": "vmdk", "format-specific": {{"type": "vmdk",
                    "data": {{"cid": 1, "parent-cid": {parent}, "create-type": "{kind}", "extents": [{{}}]}}}}}}"#
            )
        };
        assert_eq!(plan(Format::Vmdk, &vmdk("monolithicFlat", 4_294_967_295)), Err(AsFile::Variant));
        assert_eq!(plan(Format::Vmdk, &vmdk("monolithicSparse", 7)), Err(AsFile::Backing));
        assert!(plan(Format::Vmdk, &vmdk("streamOptimized", 4_294_967_295)).is_ok());
        for size in [0, 1_048_576, u64::MAX] {
            let json = format!(r#"{{"virtual-size": {size}, "format": "vhdx"}}"#);
            assert_eq!(plan(Format::Vhdx, &json), Err(AsFile::Size));
        }
        assert!(Info::parse(b"{}").is_err() && Info::parse(b"[").is_err());
    }

    #[test]
    fn what_is_needed_to_make_it_again_is_kept() {
        let data = r#""bitmaps": [{"name": "b", "flags": ["in-use", "auto"], "granularity": 65536}],"#;
        let info = Info::parse(qcow2("", data).as_bytes()).unwrap();
        let label = info.plan(Format::Qcow2).unwrap();
        assert_eq!(label.options_of_tool(), "compat=1.1,cluster_size=65536,refcount_bits=16");
        assert_eq!((info.bitmaps().len(), info.bitmaps()[0].is_sound()), (1, false));
    }
}
