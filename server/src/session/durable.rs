//! The durable point: staged frames become durable, get their rows, and may be acknowledged. Then full packs are published.
//!
//! ```text
//! fdatasync of each staging file, fsync of the folder if a file is new
//!   → one transaction: rows of packs (acknowledged length), chunks, nodes, sessions
//!   → acknowledgement
//!   → each full pack: directory, fdatasync, rename into packs/aa/, fsync of that folder → one transaction: its name
//! ```
//! Crash before the transaction: the bytes stand after the acknowledged length and are cut. After it: they are adopted. Between
//! rename and its transaction: the staging file is gone, and recovery finds the pack by the salt of its header.
//!
//! Invariant: I2. Invariant: a failed fsync is final (see `store::health`); only a transaction is tried again.

use common::id::PackId;
use roaring::RoaringBitmap;

use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::catalog::nodes::NewNode;
use crate::catalog::packs::{PackFacts, PackState};
use crate::session::error::SessionError;
use crate::session::intake::{DurableBatch, Growing};
use crate::session::subscription::Shared;
use crate::session::writer::Writer;
use crate::store::durable::sync_folder;
use crate::store::error::StoreError;
use crate::store::packer::{discard, sync_data};

impl Writer {
    /// Makes everything durable that was staged before the call, of all sessions.
    ///
    /// # Errors
    /// [`SessionError`]; nothing of it may then be acknowledged.
    pub fn make_durable(&mut self, now_ns: i64) -> Result<(), SessionError> {
        let shared = self.shared.clone();
        shared.objects.health().check()?;
        let batch = shared.intake.lock().take();
        if batch.is_empty() {
            return Ok(());
        }
        self.sync(&batch)?;
        let mut next_row = self.next_chunk_row;
        let stored = self.catalog.atomically(|catalog| store_rows(catalog, &batch, &mut next_row, now_ns));
        let referred = match stored {
            Ok(referred) => referred,
            Err(error) => {
                shared.intake.lock().put_back(batch);
                return Err(self.catalog_failed(error));
            }
        };
        self.next_chunk_row = next_row;
        if let Some(all) = &mut self.referred {
            *all |= referred;
        }
        shared.intake.lock().settle(&batch.chunks);
        self.retired.extend(batch.retired);
        Ok(())
    }

    fn sync(&self, batch: &DurableBatch) -> Result<(), SessionError> {
        let health = self.shared.objects.health();
        for target in &batch.targets {
            sync_data(health, &target.file, &target.path)?;
        }
        if batch.new_file {
            sync_folder(health, &self.shared.staging)?;
        }
        Ok(())
    }

    /// Publishes the packs that take no more frames and whose frames are durable.
    ///
    /// # Errors
    /// [`SessionError`]; a pack that was not published is tried again next time.
    pub fn publish_retired(&mut self) -> Result<(), SessionError> {
        while let Some(mut growing) = self.retired.pop_front() {
            if growing.pack.is_empty() {
                discard(&growing.path)?;
                let forgotten = self.catalog.atomically(|catalog| catalog.forget_pack(growing.facts.row));
                forgotten.map_err(|error| self.catalog_failed(error))?;
                continue;
            }
            match publish(&self.shared, &mut growing) {
                Ok((name, bytes)) => {
                    let facts =
                        PackFacts { name: Some(name), state: PackState::Published, bytes, ..growing.facts.clone() };
                    let stored = self.catalog.atomically(|catalog| catalog.store_pack(&facts));
                    stored.map_err(|error| self.catalog_failed(error))?;
                }
                Err(error) => {
                    self.retired.push_front(growing);
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Turns an error of the catalog into the session's, and makes the store suspect if it may not be on disk.
    pub fn catalog_failed(&self, error: CatalogError) -> SessionError {
        if error.is_io() {
            self.shared.objects.health().suspect(&format!("write to a catalog: {error:?}"));
        }
        match error {
            CatalogError::Full => SessionError::Store(StoreError::Full),
            error => SessionError::Catalog(error),
        }
    }
}

fn publish(shared: &Shared, growing: &mut Growing) -> Result<(PackId, u64), StoreError> {
    let finished = growing.pack.finish(shared.objects.health(), vec![growing.session.clone()])?;
    shared.objects.adopt_pack(&shared.subscription, &finished.path, &finished.name)?;
    Ok((finished.name, finished.bytes))
}

/// Gives the frames of a batch their rows; which rows it refers to. What of these is in trash comes back.
fn store_rows(
    catalog: &Catalog,
    batch: &DurableBatch,
    next_row: &mut u32,
    now_ns: i64,
) -> Result<RoaringBitmap, CatalogError> {
    let epoch = catalog.closure_epoch()?;
    let mut referred = RoaringBitmap::new();
    for target in &batch.targets {
        catalog.store_pack(&target.facts)?;
    }
    for chunk in &batch.chunks {
        let row = catalog.store_chunk(chunk, next_row)?;
        referred.insert(row);
        if chunk.entry.kind.is_node() {
            let node = NewNode { row, scope: chunk.scope, children: &chunk.children, epoch };
            referred.extend(catalog.store_node(node, next_row)?);
        }
    }
    for (session, bytes) in &batch.sent_bytes {
        catalog.touch_session(*session, now_ns, *bytes)?;
    }
    catalog.bring_back_reached(&referred)?;
    Ok(referred)
}
