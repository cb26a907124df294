//! What differs between two folders, in pages of 4 KiB, by reading both.

use std::path::Path;

const PAGE_BYTES: usize = 4 << 10;

/// Bytes of the pages that differ; what is not there counts as zeros.
#[derive(Debug, Default, Clone, Copy)]
pub struct Changed {
    pub bytes: u64,
    /// Of them in the files that log changes.
    pub log_bytes: u64,
}

pub fn changed(old: &Path, new: &Path) -> anyhow::Result<Changed> {
    let mut changed = Changed::default();
    for entry in std::fs::read_dir(new)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let before = old.join(&name);
        if entry.file_type()?.is_dir() {
            let below = self::changed(&before, &path)?;
            changed.bytes += below.bytes;
            changed.log_bytes += below.log_bytes;
        } else if entry.file_type()?.is_file() {
            let bytes = differing(&std::fs::read(before).unwrap_or_default(), &std::fs::read(&path)?);
            let is_log = name.to_string_lossy().starts_with("ib_logfile") || new.ends_with("pg_wal");
            changed.bytes += bytes;
            changed.log_bytes += if is_log { bytes } else { 0 };
        }
    }
    Ok(changed)
}

fn differing(old: &[u8], new: &[u8]) -> u64 {
    let pages = new.chunks(PAGE_BYTES).enumerate();
    let differs = |(number, page): &(usize, &[u8])| {
        let start = number * PAGE_BYTES;
        let before = old.get(start..old.len().min(start + PAGE_BYTES)).unwrap_or_default();
        before != *page && !(before.is_empty() && page.iter().all(|byte| *byte == 0))
    };
    pages.filter(differs).map(|(_, page)| page.len() as u64).sum()
}

/// Bytes of all files below a folder.
pub fn bytes(path: &Path) -> anyhow::Result<u64> {
    let metadata = path.symlink_metadata()?;
    if metadata.is_dir() {
        return std::fs::read_dir(path)?.map(|entry| bytes(&entry?.path())).sum();
    }
    Ok(if metadata.is_file() { metadata.len() } else { 0 })
}
