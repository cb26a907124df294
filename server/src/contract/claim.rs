//! The size that an agent claims for a snapshot, against what the server saw come in with it (contract, 0.2 % rule).
//!
//! Nothing is enforced by a claim: volume and quota are measured by the server. A claim that can't be true says that a machine, or
//! whoever speaks in its name, misreports; people see claimed sizes in lists of dates.
//!
//! Only a claim that is too small can be told: holes, copies and unchanged files make any larger one possible. What a snapshot is the
//! first to reach was laid for files of its tree; a little of it may belong to files that vanished before the commit, so only
//! twice the claim and more is impossible.

/// Bytes that may come in beyond a claim: solid chunks of small files of which most were deleted before the commit.
const SLACK_BYTES: u64 = 64 << 20;
/// Times the claim that may come in.
const CLAIMS: u64 = 2;

/// What a snapshot says of itself, and what came in with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Claim {
    /// Bytes of all files of its tree, as the agent says.
    pub claimed_bytes: u64,
    /// Plain bytes of the data that it was the first to reach.
    pub laid_bytes: u64,
    /// When it was received, in nanoseconds since 1970.
    pub at_ns: i64,
}

impl Claim {
    /// True if more came in than a tree of that size can hold.
    pub const fn is_impossible(&self) -> bool {
        self.laid_bytes > self.claimed_bytes.saturating_mul(CLAIMS).saturating_add(SLACK_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_claim_below_half_of_what_came_in_is_impossible() {
        const GIB: u64 = 1 << 30;
        for (claimed_bytes, laid_bytes, impossible) in [
            (0, 0, false),
            (0, SLACK_BYTES, false),
            (0, SLACK_BYTES + 1, true),
            (GIB, GIB, false),
            (GIB, 0, false),
            (GIB, 2 * GIB + SLACK_BYTES, false),
            (GIB, 2 * GIB + SLACK_BYTES + 1, true),
            (u64::MAX, u64::MAX, false),
        ] {
            let claim = Claim { claimed_bytes, laid_bytes, at_ns: 0 };
            assert_eq!(claim.is_impossible(), impossible, "{claim:?}");
        }
    }
}
