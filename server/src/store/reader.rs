//! Reading frames back: ranges that stand close together are read at once.
//!
//! It does not look up where a frame is (the catalog does) and does not open it: it checks the 16-byte checksum only.
//!
//! Invariant: no byte leaves the store whose checksum was not compared after the read.

use std::fs::File;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

/// Where a frame stands in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRange {
    /// First byte.
    pub offset: u64,
    /// Length, in bytes.
    pub frame_bytes: u32,
    /// First 16 bytes of the BLAKE3 of the frame.
    pub checksum: [u8; 16],
}

impl FrameRange {
    fn end(&self) -> u64 {
        self.offset + u64::from(self.frame_bytes)
    }
}

/// A gap that is cheaper to read than to skip, in bytes.
const GAP_BYTES_MAX: u64 = 64 << 10;
/// Around how much is read at once, in bytes.
const READ_BYTES_TARGET: u64 = 1 << 20;

/// Splits ranges sorted by offset into runs that are read at once; each run is a range of indexes.
pub fn plan_runs(ranges: &[FrameRange]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, range) in ranges.iter().enumerate() {
        match runs.last_mut() {
            Some(run)
                if range.offset >= ranges[at - 1].offset
                    && range.offset <= ranges[at - 1].end() + GAP_BYTES_MAX
                    && range.end().saturating_sub(ranges[run.start].offset) <= READ_BYTES_TARGET =>
            {
                run.end = at + 1;
            }
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// Reads one run of [`plan_runs`]; for each of its frames the bytes, or `None` if they are not those that were stored.
pub fn read_run(file: &File, run: &[FrameRange]) -> Vec<Option<Bytes>> {
    let Some(start) = run.first().map(|range| range.offset) else { return Vec::new() };
    let end = run.iter().map(FrameRange::end).max().unwrap_or(start);
    let mut buffer = vec![0; usize::try_from(end - start).unwrap_or(0)];
    if file.read_exact_at(&mut buffer, start).is_err() {
        // A cut pack or a bad sector: find out which frames it touches.
        return run.iter().map(|range| read_one(file, range)).collect();
    }
    let buffer = Bytes::from(buffer);
    let frame = |range: &FrameRange| {
        let at = usize::try_from(range.offset - start).ok()?;
        let frame = buffer.slice(at..at + range.frame_bytes as usize);
        (common::frame::checksum(&frame) == range.checksum).then_some(frame)
    };
    run.iter().map(frame).collect()
}

fn read_one(file: &File, range: &FrameRange) -> Option<Bytes> {
    let mut buffer = vec![0; range.frame_bytes as usize];
    file.read_exact_at(&mut buffer, range.offset).ok()?;
    (common::frame::checksum(&buffer) == range.checksum).then(|| Bytes::from(buffer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn range(offset: u64, frame_bytes: u32) -> FrameRange {
        FrameRange { offset, frame_bytes, checksum: [0; 16] }
    }

    #[test]
    fn close_ranges_are_one_run_and_far_or_large_ones_are_not() {
        let near = [range(0, 100), range(100, 100), range(60_000, 100), range(200_000, 100)];
        assert_eq!(plan_runs(&near), [0..3, 3..4]);
        let large = [range(0, 900_000), range(900_000, 900_000), range(1_800_000, 10)];
        assert_eq!(plan_runs(&large), [0..1, 1..3]);
        assert!(plan_runs(&[]).is_empty());
    }

    #[test]
    fn a_wrong_or_missing_byte_hides_only_its_own_frame() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 300]).unwrap();
        let checksum = common::frame::checksum(&[1; 100]);
        let good = FrameRange { offset: 0, frame_bytes: 100, checksum };
        let wrong = FrameRange { offset: 100, frame_bytes: 100, checksum: [9; 16] };
        let cut = FrameRange { offset: 250, frame_bytes: 100, checksum };
        let found: Vec<_> = read_run(&file, &[good, wrong, cut]).iter().map(Option::is_some).collect();
        assert_eq!(found, [true, false, false]);
        assert_eq!(read_run(&file, &[good, wrong])[0].as_deref(), Some(&[1; 100][..]));
    }
}
