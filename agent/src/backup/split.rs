//! Where chunks end: FastCDC over a gear table made from the scope secret.
//!
//! It sees one stream at a time, in memory, and copies nothing. Cut points are a format: golden ones are tested, the crate's
//! version is pinned.
//!
//! Invariant: equal bytes from the start of a chunk give equal cut points, whatever stands before.

use common::keys::ScopeKeys;
use common::limits::FRAME_PLAIN_BYTES_MAX;
use fastcdc::v2020::{AVERAGE_MAX, AVERAGE_MIN, MAXIMUM_MAX, MINIMUM_MIN, Normalization, cut_gear, select_masks};

/// Sizes of chunks, in bytes; chosen once per scope and never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkParams {
    /// No chunk is shorter, except the last one of a stream.
    pub bytes_min: usize,
    /// Around which chunks end; a power of two.
    pub bytes_average: usize,
    /// No chunk is longer.
    pub bytes_max: usize,
}

/// Sizes that would not give the same cut points everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("chunk sizes {0:?} cannot be used")]
pub struct InvalidParams(ChunkParams);

impl ChunkParams {
    /// Those of version 1 of the formats.
    pub const V1: Self = Self { bytes_min: 256 << 10, bytes_average: 512 << 10, bytes_max: 2 << 20 };

    /// Refuses sizes that the algorithm treats in unspecified ways.
    ///
    /// # Errors
    /// [`InvalidParams`].
    pub fn validate(self) -> Result<Self, InvalidParams> {
        let even = [self.bytes_min, self.bytes_average, self.bytes_max].iter().all(|bytes| bytes.is_multiple_of(2));
        let ordered = self.bytes_min < self.bytes_average && self.bytes_average < self.bytes_max;
        let inside = self.bytes_min >= MINIMUM_MIN
            && (AVERAGE_MIN..=AVERAGE_MAX).contains(&self.bytes_average)
            && self.bytes_max <= MAXIMUM_MAX.min(FRAME_PLAIN_BYTES_MAX);
        let valid = even && ordered && inside && self.bytes_average.is_power_of_two();
        if valid { Ok(self) } else { Err(InvalidParams(self)) }
    }
}

/// Cuts streams of one scope.
pub struct Splitter {
    params: ChunkParams,
    gear: Box<[u64; 256]>,
    gear_shifted: Box<[u64; 256]>,
    mask_short: u64,
    mask_long: u64,
}

impl Splitter {
    /// The splitter of a scope.
    ///
    /// # Errors
    /// [`InvalidParams`].
    pub fn new(keys: &ScopeKeys, params: ChunkParams) -> Result<Self, InvalidParams> {
        let params = params.validate()?;
        let gear = keys.gear_table();
        let mut gear_shifted = gear.clone();
        gear_shifted.iter_mut().for_each(|word| *word <<= 1);
        // Level 1 keeps chunks near the average without moving most cuts away from where content asks for them.
        let (mask_short, mask_long) = select_masks(params.bytes_average, Normalization::Level1);
        Ok(Self { params, gear, gear_shifted, mask_short, mask_long })
    }

    /// Most bytes that one cut looks at.
    pub fn lookahead_bytes(&self) -> usize {
        self.params.bytes_max
    }

    /// Length of the first chunk of `stream`. Unless the stream ends here, at least [`Self::lookahead_bytes`] must be given.
    pub fn cut(&self, stream: &[u8]) -> usize {
        let ChunkParams { bytes_min, bytes_average, bytes_max } = self.params;
        let (_, bytes) = cut_gear(
            stream,
            bytes_min,
            bytes_average,
            bytes_max,
            self.mask_short,
            self.mask_long,
            self.mask_short << 1,
            self.mask_long << 1,
            &self.gear[..],
            &self.gear_shifted[..],
        );
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::keys::ScopeSecret;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    /// The same bytes on every machine: BLAKE3's output stream.
    fn stream(seed: u8, bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut out);
        out
    }

    fn splitter(secret: u8) -> Splitter {
        Splitter::new(&ScopeSecret::new([secret; 32]).keys(), ChunkParams::V1).unwrap()
    }

    fn cuts(splitter: &Splitter, mut rest: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        while !rest.is_empty() {
            lengths.push(splitter.cut(rest));
            rest = &rest[lengths[lengths.len() - 1]..];
        }
        lengths
    }

    #[test]
    fn cut_points_of_version_1_are_golden() {
        let text: Vec<String> = cuts(&splitter(1), &stream(7, 8 << 20)).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(text.join(" "), @"764184 583177 1305509 1030233 604759 915857 642013 1404062 379907 329911 371340 57656");
    }

    #[test]
    fn another_scope_cuts_elsewhere() {
        let stream = stream(7, 8 << 20);
        assert_ne!(cuts(&splitter(1), &stream), cuts(&splitter(2), &stream));
    }

    #[test]
    fn sizes_that_are_odd_unordered_or_no_power_of_two_are_refused() {
        let wrong = |min, average, max| {
            let params = ChunkParams { bytes_min: min, bytes_average: average, bytes_max: max };
            params.validate().is_err()
        };
        assert!(ChunkParams::V1.validate().is_ok());
        assert!(wrong(255, 512, 2_048) && wrong(256, 511, 2_048) && wrong(256, 512, 2_049));
        assert!(wrong(512, 512, 2_048) && wrong(256, 768, 2_048) && wrong(256, 512, 512));
        assert!(wrong(256 << 10, 512 << 10, 8 << 20));
    }

    proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(16))]
        #[test]
        fn chunks_cover_the_stream_within_their_bounds_and_insertions_move_few(bytes in 1usize..3_000_000, at in 0usize..3_000_000) {
            let splitter = splitter(3);
            let before = stream(9, bytes);
            let lengths = cuts(&splitter, &before);
            prop_assert_eq!(lengths.iter().sum::<usize>(), bytes);
            let (last, others) = lengths.split_last().unwrap();
            prop_assert!(others.iter().all(|length| (ChunkParams::V1.bytes_min..=ChunkParams::V1.bytes_max).contains(length)));
            prop_assert!(*last <= ChunkParams::V1.bytes_max);
            let mut after = before;
            after.insert(at % bytes, 0);
            // What comes before the insertion is cut as it was.
            let unchanged = |lengths: &[usize]| {
                let mut end = 0;
                lengths.iter().copied().take_while(|length| { end += length; end <= at % bytes }).collect::<Vec<_>>()
            };
            let (old, new) = (unchanged(&lengths), unchanged(&cuts(&splitter, &after)));
            prop_assert!(new.starts_with(&old[..old.len().min(new.len())]));
        }
    }
}
