//! The storage server: sessions, packs, catalog, contract rules, upkeep jobs.
//!
//! Invariant: I4 — no plaintext, no file name and no reading key is ever here; what is sealed is stored and sent as it came.
//! Invariant: I5 — nothing that a committed snapshot or an open session can reach is removed. Published objects are removed
//! in `upkeep::remove` and nowhere else; staging files go only once they are published or hold nothing acknowledged
//! (`session::recover`).
//!
//! # Why nothing in use is ever collected
//!
//! A chunk is *referred to* if the root of a snapshot that is not expired reaches it, if it was sent in a session that is
//! open or was touched within the last day, or if it lies in a pack that is still in staging. Garbage is the rest. The
//! argument has five steps.
//!
//! 1. **One writer.** Each subscription has one thread that changes its catalog (`session::writer`). Whatever changes rows is
//!    a closure that this thread runs to its end: two changes never overlap, only their order varies. Readers see whole
//!    transactions.
//! 2. **Mark sees every reference.** The writer begins to note what is referred to (`Writer::referred`), and only then the
//!    view is taken that mark walks (`upkeep::mark`). A reference made before the view is in the view. One made after it went
//!    through the writer, so it is in the note, and the last step of mark, which the writer runs too, leaves out everything
//!    that the note reaches among the candidates. So when mark's transaction is durable, no reference leads into the new
//!    trash.
//! 3. **Trash is upward-closed** (`catalog::trash`): no node outside of it has a child in it. Mark keeps it so, since what it
//!    leaves out, it leaves out with its closure. Afterwards there are four ways to refer to a row in trash, and each brings
//!    the row back with all that it reaches, in the transaction that makes the reference or before its answer: sending the
//!    frame again, naming it as a child (`session::durable`), asking whether it is there (`have`), and committing a root
//!    above it (`session::commit`). Hence "present and complete" is enough to refer to a chunk, and no backup needs to look
//!    at the whole graph.
//! 4. **What an agent knows without asking.** An agent may rely on its memory of the parent's tree and on answers that it got
//!    earlier in its session. A memory is only called valid if the parent is the newest snapshot of its source, which never
//!    expires (`contract::retention`). What became trash later is not purged while a session goes on that was there when it
//!    became trash (`trash_epochs.newest_session`), nor within seven days (`upkeep::purge`). A session that begins afterwards
//!    has to ask.
//! 5. **Rows before bytes.** Purge deletes rows of the trash, each after all that name it, and checks in each transaction
//!    that the row is still in trash. An object goes when no row has pointed to it for an hour; the writer is asked again at
//!    that moment, and so are the guards (`upkeep::guard`). A crash between two steps leaves an object too many, never a row
//!    without its object (`session::recover` takes up each case).
//!
//! A snapshot is removed before what it reaches becomes garbage: tombstone, object, row, and only a later mark finds what
//! nothing reaches any more. A chunk that is damaged stays in use as long as something names it: damage is no garbage.
//!
//! # What makes each pair of operations safe
//!
//! The upkeep jobs of one subscription (expire, mark, purge, compact, scrub, recount) never run beside each other:
//! `upkeep::jobs` runs one job at a place, so those pairs need no other reason. That leaves what runs at any time beside
//! them.
//!
//! | | send (`put`, `have`) | commit | restore (`fetch`) | end of a session |
//! |---|---|---|---|---|
//! | **send** | one writer; the first frame of a chunk gets the row, the second finds it | the commit publishes every staging pack that holds a part of its closure, whoever sent it | rows appear after their frames are durable | what was acknowledged keeps its row and is published; a batch that comes later is refused |
//! | **commit** | as beside | one writer; the sequence of the source decides, the second is refused | a snapshot is shown after its row is durable, and its closure is published before | a session that is committing ends by it; a later abort finds it committed |
//! | **expire** | a session may base on the snapshot that goes: step 4 | the newest and the last complete one of a source never go; a root that was committed is in the next mark | the tree that is being read stays for seven days at least; what is gone then is `NotFound`, never other bytes | none: it reads snapshots only |
//! | **mark** | steps 2 and 3 | steps 2 and 3: the closure comes back before its packs are looked for | reads no trash mark; a trashed chunk is read as any other | what it sent stays a root for a day after it was last touched |
//! | **purge** | the row is looked for again in the purging transaction; what came back stays; what comes later is sent anew and gets another row | the same; a commit that comes first brought its closure back, one that comes after finds chunks missing and asks for them | a chunk whose row went is `NotFound`; a pack goes an hour after its last row | it lets trash go that waited for it |
//! | **compact** | a row is swapped only if it still points to the copied frame; what was laid again stays | the copy is an object before the swap; both packs are whole meanwhile | a reader that planned with the old pack has an hour, and then looks once more | only published packs are rewritten |
//! | **scrub** | a damaged row is laid again by whoever sends it | damage starts a closure epoch: what was found complete is looked at again, and the missing chunk is asked for | a frame is given out only if its checksum fits | none |
//! | **recount** | one view of the catalog | one view of the catalog | reads only | one view of the catalog |
//!
//! Three more run alone. **Opening** a subscription (`session::recover`) ends before anything else begins, and a catalog that
//! cannot explain the store is not written (`rebuild` is asked for). **Rebuild** holds the subscription's place and the lock
//! of its folder and is refused while anybody uses it; it writes no object; afterwards the numbers of runs differ between
//! catalog and control store, so nothing is removed until an operator looked (G2). **Copies of the control store** touch no
//! subscription; one that was restored counts fewer runs, with the same effect.
//!
//! Holds, protections, suspensions and the two-person rule are not part of this argument: they are asked in `upkeep::remove`
//! before each object, against what is durable at that moment, and each only ever makes less go.

pub mod admin;
pub mod app;
pub mod audit;
pub mod auth;
pub mod ballast;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod contract;
pub mod control;
pub mod durable;
pub mod folder_lock;
pub mod grpc;
pub mod identity;
pub mod keyrings;
pub mod listen;
pub mod lookups;
pub mod monitor;
pub mod session;
pub mod setup;
pub mod store;
pub mod subscriptions;
pub mod tls;
pub mod upkeep;
pub mod usage;
