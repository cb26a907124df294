//! The account against which each batch is checked and added in one step.
//!
//! Only the hard volume is enforced here. It compares plain bytes that the newest snapshots reach, plus what was accepted and not
//! yet reached by any, plus the batch. Node bytes count beyond an allowance, and so does the number of chunks, so that frames of
//! a few bytes cannot fill a disk.
//!
//! Invariant: the account lives under the intake's lock; check and addition are one step, so any number of sessions together
//! never exceed the ceiling by one byte. Nothing is reserved when a session opens.
//! Invariant: I6 — it is the sum of `closures` and `uncommitted` in the catalog, plus what is staged; opening recomputes it.

use crate::catalog::ledger::Uncommitted;

/// Node bytes that are free of charge, whatever the contract, in bytes.
const NODE_ALLOWANCE_BYTES_MIN: u64 = 1 << 30;
/// Share of the contracted volume that is free of charge for nodes, in per cent.
const NODE_ALLOWANCE_PERCENT: u64 = 2;
/// Uncommitted chunks that are always allowed.
const CHUNKS_MIN: u64 = 1 << 20;
/// Further uncommitted chunks: one per so many bytes of the hard volume.
const CHUNK_BYTES_MEAN_MIN: u64 = 16 << 10;

/// What the contract allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceiling {
    /// Volume of the order form, in bytes.
    pub contracted_bytes: u64,
    /// Volume that is never exceeded, in bytes.
    pub hard_volume_bytes: u64,
}

/// Which bound a batch would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Its name.
    pub limit: &'static str,
    /// What is used already.
    pub used: u64,
    /// What is allowed.
    pub allowed: u64,
}

/// What is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Plain bytes that the newest snapshots reach.
    pub used_bytes: u64,
    /// Accepted, not yet reached by a snapshot.
    pub uncommitted: Uncommitted,
}

impl Account {
    /// Adds a batch, or says why not and leaves the account as it was.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn try_add(&mut self, batch: &Uncommitted, ceiling: &Ceiling) -> Result<(), Exceeded> {
        let next = Uncommitted {
            data_bytes: self.uncommitted.data_bytes.saturating_add(batch.data_bytes),
            node_bytes: self.uncommitted.node_bytes.saturating_add(batch.node_bytes),
            chunks: self.uncommitted.chunks.saturating_add(batch.chunks),
        };
        let charged = |uncommitted: &Uncommitted| {
            let nodes = uncommitted.node_bytes.saturating_sub(node_allowance(ceiling));
            self.used_bytes.saturating_add(uncommitted.data_bytes).saturating_add(nodes)
        };
        let (used, allowed) = (charged(&self.uncommitted), ceiling.hard_volume_bytes);
        if charged(&next) > allowed {
            return Err(Exceeded { limit: "hard_volume", used, allowed });
        }
        let chunks_max = CHUNKS_MIN + ceiling.hard_volume_bytes / CHUNK_BYTES_MEAN_MIN;
        if next.chunks > chunks_max {
            return Err(Exceeded { limit: "uncommitted_chunks", used: self.uncommitted.chunks, allowed: chunks_max });
        }
        self.uncommitted = next;
        Ok(())
    }

    /// Takes back what was added for frames that were not stored after all.
    pub fn release(&mut self, batch: &Uncommitted) {
        let uncommitted = &mut self.uncommitted;
        uncommitted.data_bytes = uncommitted.data_bytes.saturating_sub(batch.data_bytes);
        uncommitted.node_bytes = uncommitted.node_bytes.saturating_sub(batch.node_bytes);
        uncommitted.chunks = uncommitted.chunks.saturating_sub(batch.chunks);
    }
}

/// What a chunk adds to the uncommitted account.
pub fn charge(is_node: bool, plain_bytes: u32, frame_bytes: u32) -> Uncommitted {
    // The children of a node are stored too, but are no plaintext.
    let (data, node) = if is_node { (0, plain_bytes.max(frame_bytes)) } else { (plain_bytes, 0) };
    Uncommitted { data_bytes: data.into(), node_bytes: node.into(), chunks: 1 }
}

/// Adds up charges.
pub fn total(charges: impl Iterator<Item = Uncommitted>) -> Uncommitted {
    charges.fold(Uncommitted::default(), |sum, charge| Uncommitted {
        data_bytes: sum.data_bytes.saturating_add(charge.data_bytes),
        node_bytes: sum.node_bytes.saturating_add(charge.node_bytes),
        chunks: sum.chunks.saturating_add(charge.chunks),
    })
}

fn node_allowance(ceiling: &Ceiling) -> u64 {
    (ceiling.contracted_bytes / 100 * NODE_ALLOWANCE_PERCENT).max(NODE_ALLOWANCE_BYTES_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILING: Ceiling = Ceiling { contracted_bytes: 1_000, hard_volume_bytes: 1_100 };

    fn data(data_bytes: u64) -> Uncommitted {
        Uncommitted { data_bytes, node_bytes: 0, chunks: 1 }
    }

    #[test]
    fn the_hard_volume_is_reached_and_never_passed() {
        let mut account = Account { used_bytes: 1_000, ..Account::default() };
        account.try_add(&data(99), &CEILING).unwrap();
        let exceeded = Exceeded { limit: "hard_volume", used: 1_099, allowed: 1_100 };
        assert_eq!(account.try_add(&data(2), &CEILING), Err(exceeded));
        assert_eq!(account.uncommitted, data(99), "a refusal changes nothing");
        account.try_add(&data(1), &CEILING).unwrap();
        account.release(&data(1));
        assert_eq!(account.uncommitted.data_bytes, 99);
    }

    #[test]
    fn nodes_count_beyond_their_allowance() {
        let mut account = Account { used_bytes: 1_100, ..Account::default() };
        let nodes = |node_bytes| Uncommitted { data_bytes: 0, node_bytes, chunks: 1 };
        account.try_add(&nodes(1 << 30), &CEILING).unwrap();
        assert!(account.try_add(&nodes(1), &CEILING).is_err());
    }

    #[test]
    fn frames_of_nothing_are_bounded_by_their_number() {
        let mut account = Account::default();
        let many = Uncommitted { chunks: 1 << 20, ..Uncommitted::default() };
        account.try_add(&many, &CEILING).unwrap();
        assert_eq!(account.try_add(&data(0), &CEILING).unwrap_err().limit, "uncommitted_chunks");
    }
}
