//! The snapshots of one source as the server lists them, held against what only the customer and the server's key can make.
//!
//! It decides which can be trusted; it fetches nothing and opens no content.
//!
//! Invariant: a snapshot with a wrong mac is never offered, only counted as refused.
//! Invariant: a break in the chain of receipts is shown, never passed over.

use common::id::{ScopeId, SessionId};
use common::keys::SnapshotMacKey;
use common::receipt::{digest, verify};
use common::stored::Receipt;

use super::address::Candidate;
use crate::remote::restore::{ListedSnapshot, SnapshotList};

/// What the server's receipt for a snapshot is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptState {
    /// Signed by a known key, for exactly this object, and the one before it is the one that it names.
    Good,
    /// Signed by a known key for exactly this object, but it names another receipt before it than the one listed.
    ChainBroken,
    /// Not signed by a known key, or for another object.
    NotAuthentic,
}

/// A snapshot that can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The object and what belongs to it.
    pub listed: ListedSnapshot,
    /// What its receipt is worth.
    pub receipt: ReceiptState,
}

impl Point {
    /// Its id.
    pub fn session(&self) -> SessionId {
        self.listed.stored.head.session
    }

    /// First digits of its receipt's hash, as `status` and the daily report show it.
    pub fn receipt_short(&self) -> String {
        digest(&self.listed.receipt)[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The snapshots of a source.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Those that can be read, newest first.
    pub points: Vec<Point>,
    /// Those whose mac is wrong or whose scope is unknown.
    pub refused: Vec<SessionId>,
    /// Objects that are no snapshots at all.
    pub unreadable: usize,
}

impl History {
    /// Holds a listing against the mac key of each scope and the public keys that sign receipts.
    pub fn check(
        list: SnapshotList,
        mac_key: impl Fn(&ScopeId) -> Option<SnapshotMacKey>,
        signers: &[Vec<u8>],
    ) -> Self {
        let mut history = Self { unreadable: list.unreadable, ..Self::default() };
        for listed in list.snapshots {
            let key = mac_key(&listed.stored.head.scope);
            if key.is_some_and(|key| listed.stored.is_authentic(&key)) {
                let receipt = match receipt_of(&listed, signers) {
                    Some(_) => ReceiptState::Good,
                    None => ReceiptState::NotAuthentic,
                };
                history.points.push(Point { listed, receipt });
            } else {
                history.refused.push(listed.stored.head.session);
            }
        }
        history.points.sort_by_key(|point| std::cmp::Reverse(point.listed.stored.server.received_at_ns));
        history.check_chain(signers);
        history
    }

    /// Each receipt names the one before it of its source; where that one is listed too, it must be the one.
    fn check_chain(&mut self, signers: &[Vec<u8>]) {
        for newer in 0..self.points.len() {
            let Some(receipt) = receipt_of(&self.points[newer].listed, signers) else { continue };
            let head = &self.points[newer].listed.stored.head;
            let (source, before) = (head.source, head.sequence.checked_sub(1));
            let older = self.points.iter().find(|point| {
                let head = &point.listed.stored.head;
                head.source == source && Some(head.sequence) == before
            });
            if older.is_some_and(|older| receipt.previous != digest(&older.listed.receipt)) {
                self.points[newer].receipt = ReceiptState::ChainBroken;
            }
        }
    }

    /// What an address is resolved against.
    pub fn candidates(&self) -> Vec<Candidate> {
        let candidate = |point: &Point| Candidate {
            session: point.session(),
            received_at_ns: point.listed.stored.server.received_at_ns,
        };
        self.points.iter().map(candidate).collect()
    }
}

fn receipt_of(listed: &ListedSnapshot, signers: &[Vec<u8>]) -> Option<Receipt> {
    let receipt = signers.iter().find_map(|signer| verify(&listed.receipt, signer).ok())?;
    let head = &listed.stored.head;
    let fits = receipt.snapshot == listed.object_hash
        && receipt.session == head.session.as_bytes()
        && receipt.source == head.source.as_bytes()
        && receipt.sequence == head.sequence;
    fits.then_some(receipt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use common::id::{AgentId, ChunkId, SourceId, SubscriptionId};
    use common::receipt::sign;
    use common::snapshot::{SnapshotHead, StoredSnapshot};
    use common::stored::{Counts, ServerPart, SnapshotKind, SnapshotState};

    fn mac_key() -> SnapshotMacKey {
        SnapshotMacKey::new([8; 32])
    }

    fn listed(sequence: u8, previous: Option<&ListedSnapshot>, signer: &Ed25519KeyPair) -> ListedSnapshot {
        let head = SnapshotHead {
            session: SessionId::new([sequence; 16]),
            subscription: SubscriptionId::new([1; 16]),
            scope: ScopeId::new([2; 16]),
            agent: AgentId::new([3; 16]),
            source: SourceId::new([4; 16]),
            set_version: 1,
            kind: SnapshotKind::Regular,
            sequence: sequence.into(),
            root: ChunkId::new([5; 32]),
            parent: None,
            started_at_ns: 1,
            state: SnapshotState::Complete,
            counts: Counts::default(),
            claimed_plain_bytes: 0,
            replaces: None,
        };
        let (agent_part, sealed_part) = (head.encode(), vec![7; 40]);
        let mac = mac_key().mac(&agent_part, &sealed_part);
        let server = ServerPart { version: 1, received_at_ns: sequence.into(), ..ServerPart::default() };
        let object = StoredSnapshot::encode(agent_part, sealed_part, mac, &server, Vec::new());
        let receipt = Receipt {
            snapshot: blake3::hash(&object).as_bytes().to_vec(),
            session: head.session.as_bytes().to_vec(),
            source: head.source.as_bytes().to_vec(),
            sequence: head.sequence,
            previous: previous.map_or(Vec::new(), |previous| digest(&previous.receipt).to_vec()),
            ..Receipt::default()
        };
        ListedSnapshot {
            object_hash: *blake3::hash(&object).as_bytes(),
            stored: StoredSnapshot::decode(&object).unwrap(),
            receipt: sign(receipt, signer),
            verified_at_ns: None,
            suspect: false,
            outside_guarantee: false,
        }
    }

    fn check(snapshots: &[ListedSnapshot], signer: &Ed25519KeyPair) -> History {
        let list = SnapshotList { snapshots: snapshots.to_vec(), unreadable: 0 };
        History::check(list, |_| Some(mac_key()), &[signer.public_key().as_ref().to_vec()])
    }

    fn states(history: &History) -> Vec<ReceiptState> {
        history.points.iter().map(|point| point.receipt).collect()
    }

    #[test]
    fn a_chain_of_receipts_holds_and_each_break_shows() {
        let signer = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let other = Ed25519KeyPair::from_seed_unchecked(&[2; 32]).unwrap();
        let first = listed(1, None, &signer);
        let second = listed(2, Some(&first), &signer);
        let third = listed(3, Some(&second), &signer);
        use ReceiptState::{ChainBroken, Good, NotAuthentic};
        let all = [third.clone(), second.clone(), first.clone()];
        assert_eq!(states(&check(&all, &signer)), [Good, Good, Good]);
        // What expired leaves a gap, which is no break.
        assert_eq!(states(&check(&[third.clone(), first.clone()], &signer)), [Good, Good]);
        let replaced = listed(2, None, &signer);
        assert_eq!(
            states(&check(&[third.clone(), replaced, first.clone()], &signer)),
            [ChainBroken, ChainBroken, Good]
        );
        assert_eq!(states(&check(&all, &other)), [NotAuthentic, NotAuthentic, NotAuthentic]);
        let swapped = ListedSnapshot { receipt: first.receipt.clone(), ..second };
        assert_eq!(states(&check(&[swapped, first], &signer)), [NotAuthentic, Good]);
    }

    #[test]
    fn a_wrong_mac_or_an_unknown_scope_is_refused() {
        let signer = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let good = listed(1, None, &signer);
        let mut forged = listed(2, Some(&good), &signer);
        forged.stored.object.mac[0] ^= 1;
        let history = check(&[forged, good.clone()], &signer);
        assert_eq!((history.points.len(), history.refused.len()), (1, 1));
        assert_eq!(history.candidates()[0].session, good.stored.head.session);
        let list = SnapshotList { snapshots: vec![good], unreadable: 2 };
        let unknown = History::check(list, |_| None, &[]);
        assert_eq!((unknown.points.len(), unknown.refused.len(), unknown.unreadable), (0, 1, 2));
    }
}
