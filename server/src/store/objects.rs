//! The object store of all subscriptions: a directory.
//!
//! It does not hold staging files ([`crate::store::packer`]) and does not decide what goes: callers do, by the deletion rules.
//!
//! Invariant: I1 — nothing overwrites a stored object.
//! Invariant: an object is absent or whole; it is durable, name included, when `publish` returns.
//! Invariant: an error while listing is an error, never "empty" (G5).

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::id::{PackId, SubscriptionId};

use crate::store::control_copies::ControlCopies;
use crate::store::durable;
use crate::store::error::StoreError;
use crate::store::health::Health;
use crate::store::name::{Folder, ObjectName};
use crate::upkeep::remove::Warrant;

/// The file by which a store is known, and what it holds.
const MARK_FILE: &str = "dobaas-store";
const MARK: &[u8] = b"object store of Do'BaaS, version 1\n";

/// A directory of objects; cheap to clone.
#[derive(Debug, Clone)]
pub struct Objects {
    root: Arc<PathBuf>,
    health: Arc<Health>,
}

impl Objects {
    /// Opens the store below `root` to serve from it: it must be one that [`Self::mark`] marked. A folder that is not mounted is
    /// not an empty store.
    ///
    /// # Errors
    /// [`StoreError::NoStore`] without the mark; nothing was then made.
    pub fn find(root: &Path, reserve_bytes_min: u64) -> Result<Self, StoreError> {
        let path = root.join(MARK_FILE);
        let none = || StoreError::NoStore(root.display().to_string());
        let file = match File::open(&path).map_err(|error| StoreError::from_io("open", path.display(), error)) {
            Err(StoreError::NotFound(_)) => return Err(none()),
            file => file?,
        };
        let (mut found, bytes_max) = (Vec::new(), MARK.len() as u64 + 1);
        let read = file.take(bytes_max).read_to_end(&mut found);
        read.map_err(|error| StoreError::from_io("read", path.display(), error))?;
        if found == MARK { Self::open(root, reserve_bytes_min) } else { Err(none()) }
    }

    /// Marks a store that was just made, so that [`Self::find`] knows it.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if it is marked.
    pub fn mark(&self) -> Result<(), StoreError> {
        durable::publish(&self.health, &self.root, MARK_FILE, MARK)
    }

    /// Opens the store below `root`, which is made if need be. Below `reserve_bytes_min` free bytes (or
    /// [`common::limits::RESERVE_PERCENT`], whichever is more) no session begins.
    ///
    /// # Errors
    /// If the folder can't be made.
    pub fn open(root: &Path, reserve_bytes_min: u64) -> Result<Self, StoreError> {
        let health = Arc::new(Health::new(root.to_owned(), reserve_bytes_min));
        durable::make_folder(&health, root)?;
        Ok(Self { root: Arc::new(root.to_owned()), health })
    }

    /// Whether it may be written to.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Stores a small object for good.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the name is taken; the stored object is then as it was.
    pub fn publish(&self, subscription: &SubscriptionId, name: &ObjectName, bytes: &[u8]) -> Result<(), StoreError> {
        durable::publish(&self.health, &self.folder(subscription, &name.folder()), &name.file(), bytes)
    }

    /// Turns a staging file, finished and durable, into the pack of that name. The staging folder is synced by the caller's
    /// next durable point at the latest: until then a crash may show the file under both names or the new one only.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the pack is there.
    pub fn adopt_pack(&self, subscription: &SubscriptionId, staging: &Path, pack: &PackId) -> Result<(), StoreError> {
        self.health.check()?;
        let name = ObjectName::Pack(*pack);
        let folder = self.folder(subscription, &name.folder());
        durable::make_folder(&self.health, &folder)?;
        durable::move_new(staging, &folder.join(name.file()))?;
        durable::sync_folder(&self.health, &folder)
    }

    /// Reads a whole object of at most `bytes_max`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::TooLong`], or what the system says.
    pub fn read(
        &self,
        subscription: &SubscriptionId,
        name: &ObjectName,
        bytes_max: usize,
    ) -> Result<Vec<u8>, StoreError> {
        let file = self.file(subscription, name)?;
        let failed = |error| StoreError::from_io("read", name, error);
        let mut bytes = Vec::new();
        file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > bytes_max { Err(StoreError::TooLong(name.to_string())) } else { Ok(bytes) }
    }

    /// Opens an object for ranged reads.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or what the system says.
    pub fn file(&self, subscription: &SubscriptionId, name: &ObjectName) -> Result<File, StoreError> {
        File::open(self.path(subscription, name)).map_err(|error| StoreError::from_io("open", name, error))
    }

    /// The objects of a folder, in the order of their names (numbers in theirs).
    ///
    /// # Errors
    /// [`StoreError::Foreign`] for a file that is no object, or what the system says.
    pub fn list(&self, subscription: &SubscriptionId, folder: Folder) -> Result<Vec<ObjectName>, StoreError> {
        let path = self.folder(subscription, &folder.path());
        let mut names = Vec::new();
        let mut add = |file: String| {
            let name = folder.object(&file).ok_or_else(|| StoreError::Foreign(format!("{}/{file}", folder.path())))?;
            names.push(name);
            Ok(())
        };
        if folder == Folder::Packs {
            for prefix in durable::list(&path)? {
                durable::list(&path.join(&prefix))?.into_iter().try_for_each(&mut add)?;
            }
        } else {
            durable::list(&path)?.into_iter().try_for_each(&mut add)?;
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Removes an object for good. Warrants are made by the deletion rules of upkeep, and nobody else.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub fn remove(
        &self,
        subscription: &SubscriptionId,
        name: &ObjectName,
        _warrant: &Warrant,
    ) -> Result<(), StoreError> {
        durable::remove(&self.health, &self.folder(subscription, &name.folder()), &name.file())
    }

    /// Removes what a crash left of unfinished publications.
    ///
    /// # Errors
    /// What the system says.
    pub fn sweep_temporaries(&self, subscription: &SubscriptionId) -> Result<(), StoreError> {
        Folder::all().try_for_each(|folder| durable::sweep_temporaries(&self.folder(subscription, &folder.path())))
    }

    /// Where copies of the control store are.
    pub fn control_copies(&self) -> ControlCopies {
        ControlCopies::new(Arc::clone(&self.health), self.root.join("control"))
    }

    /// The subscriptions that have a folder here.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] for a name that is no subscription's.
    pub fn subscriptions(&self) -> Result<Vec<SubscriptionId>, StoreError> {
        let names = durable::list(&self.root.join("subscriptions"))?;
        names.into_iter().map(|name| name.parse().map_err(|_| StoreError::Foreign(name))).collect()
    }

    /// Length of an object, in bytes.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or what the system says.
    pub fn bytes(&self, subscription: &SubscriptionId, name: &ObjectName) -> Result<u64, StoreError> {
        let metadata = fs::metadata(self.path(subscription, name));
        metadata.map(|metadata| metadata.len()).map_err(|error| StoreError::from_io("measure", name, error))
    }

    fn path(&self, subscription: &SubscriptionId, name: &ObjectName) -> PathBuf {
        self.folder(subscription, &name.folder()).join(name.file())
    }

    fn folder(&self, subscription: &SubscriptionId, folder: &str) -> PathBuf {
        self.root.join("subscriptions").join(subscription.to_string()).join(folder)
    }
}

#[cfg(test)]
mod tests {
    use common::id::FactId;

    use super::*;
    use crate::store::name::FactKind;

    const SUBSCRIPTION: SubscriptionId = SubscriptionId::new([1; 16]);

    #[test]
    fn what_was_published_is_read_and_listed() {
        let root = tempfile::tempdir().unwrap();
        let objects = Objects::open(root.path(), 0).unwrap();
        let names =
            [ObjectName::Keyring(10), ObjectName::Keyring(9), ObjectName::Fact(FactKind::Hold, FactId::new([2; 16]))];
        for name in &names {
            objects.publish(&SUBSCRIPTION, name, name.to_string().as_bytes()).unwrap();
            assert_eq!(objects.read(&SUBSCRIPTION, name, 100).unwrap(), name.to_string().as_bytes());
        }
        assert!(matches!(objects.read(&SUBSCRIPTION, &names[0], 3), Err(StoreError::TooLong(_))));
        assert_eq!(objects.list(&SUBSCRIPTION, Folder::Keyring).unwrap(), [names[1].clone(), names[0].clone()]);
        assert_eq!(objects.subscriptions().unwrap(), [SUBSCRIPTION]);
    }

    #[test]
    fn a_folder_without_the_mark_is_no_store_and_stays_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let store = root.path().join("store");
        assert!(matches!(Objects::find(&store, 0), Err(StoreError::NoStore(path)) if path.ends_with("store")));
        assert!(!store.exists(), "nothing is made in place of what is not mounted");
        Objects::open(&store, 0).unwrap().mark().unwrap();
        Objects::find(&store, 0).unwrap();
        fs::File::create(store.join(MARK_FILE)).unwrap();
        assert!(matches!(Objects::find(&store, 0), Err(StoreError::NoStore(_))), "an emptied mark is none");
    }

    #[test]
    fn a_foreign_file_makes_a_listing_fail() {
        let root = tempfile::tempdir().unwrap();
        let objects = Objects::open(root.path(), 0).unwrap();
        objects.publish(&SUBSCRIPTION, &ObjectName::Keyring(0), b"x").unwrap();
        fs::File::create(root.path().join(format!("subscriptions/{SUBSCRIPTION}/keyring/readme"))).unwrap();
        assert!(matches!(objects.list(&SUBSCRIPTION, Folder::Keyring), Err(StoreError::Foreign(_))));
    }
}
