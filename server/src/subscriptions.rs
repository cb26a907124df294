//! All subscriptions of this server: opened when first used, one catalog and one writer each.
//!
//! It knows the folders; what is in them is `session::recover`'s and `store`'s.
//!
//! Invariant: a catalog is never made where the store holds packs or snapshots: a lost index is not an empty one (P6).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::signature::Ed25519KeyPair;
use common::id::{AgentId, ScopeId, SourceId, SubscriptionId};
use jiff::Timestamp;
use parking_lot::Mutex;
use proto::v1::SourceKind;

use crate::catalog::file::Catalog;
use crate::clock::{Clock, Random};
use crate::contract::hold::Thresholds;
use crate::contract::location::Location;
use crate::contract::terms::Terms;
use crate::session::budget::Budget;
use crate::session::error::SessionError;
use crate::session::recover::{lock, recover};
use crate::session::subscription::{RefusalNote, SharedParts, Subscription, TermsLookup};
use crate::store::durable;
use crate::store::error::StoreError;
use crate::store::name::Folder;
use crate::store::objects::Objects;
use crate::upkeep::rebuild::{Rebuilt, fill};

/// Name of a catalog's file in its folder.
const CATALOG_FILE: &str = "catalog.db";
/// Name under which a catalog is made.
const NEW_CATALOG_FILE: &str = "catalog.new";

/// A source as the control store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSource {
    /// Its id.
    pub source: SourceId,
    /// Its name on the order form.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
    /// The agent that reads it, if one does.
    pub agent: Option<AgentId>,
    /// That agent's scope.
    pub scope: Option<ScopeId>,
    /// That agent's machine.
    pub host: String,
    /// From when its first complete snapshot is waited for; none if it is not yet.
    pub due_from: Option<Timestamp>,
}

/// Asks for the sources of a subscription.
pub type SourcesLookup = Arc<dyn Fn(&SubscriptionId) -> Result<Vec<KnownSource>, SessionError> + Send + Sync>;

/// Where things are, and who is asked about the contract.
#[derive(Clone)]
pub struct Settings {
    /// Folder of the catalogs.
    pub catalogs: PathBuf,
    /// Folder of the staging files; on the file system of the store.
    pub staging: PathBuf,
    /// The declared place of the store.
    pub location: Location,
    /// Signs receipts.
    pub key: Arc<Ed25519KeyPair>,
    /// The contract.
    pub terms: TermsLookup,
    /// Names of sources.
    pub sources: SourcesLookup,
    /// Where refusals of the daily change are remembered.
    pub refusals: RefusalNote,
    /// When a snapshot is suspect.
    pub hold: Thresholds,
    /// Tells the time.
    pub clock: Clock,
    /// Salts of packs.
    pub random: Random,
}

type Slot = Arc<Mutex<Option<Arc<Subscription>>>>;

/// All subscriptions of this server.
pub struct Subscriptions {
    settings: Settings,
    objects: Objects,
    slots: Mutex<HashMap<SubscriptionId, Slot>>,
}

impl Subscriptions {
    /// Opens nothing yet.
    ///
    /// # Errors
    /// [`StoreError`] if the folders can't be made.
    pub fn new(settings: Settings, objects: Objects) -> Result<Self, StoreError> {
        durable::make_folder(objects.health(), &settings.catalogs)?;
        durable::make_folder(objects.health(), &settings.staging)?;
        Ok(Self { settings, objects, slots: Mutex::default() })
    }

    /// The object store.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Where things are, and who is asked about the contract.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The terms of a subscription.
    ///
    /// # Errors
    /// [`SessionError::NoSubscription`] if there are none.
    pub fn terms(&self, subscription: &SubscriptionId) -> Result<Terms, SessionError> {
        (self.settings.terms)(subscription)?.ok_or(SessionError::NoSubscription)
    }

    /// An open subscription; blocks while it recovers. The caller has made sure that it exists.
    ///
    /// # Errors
    /// [`SessionError`]; the next call tries again.
    pub fn get(&self, subscription: &SubscriptionId) -> Result<Arc<Subscription>, SessionError> {
        let slot = Arc::clone(self.slots.lock().entry(*subscription).or_default());
        let mut slot = slot.lock();
        if let Some(open) = &*slot {
            return Ok(Arc::clone(open));
        }
        let open = Arc::new(self.open(subscription)?);
        *slot = Some(Arc::clone(&open));
        Ok(open)
    }

    /// Reads the catalog of a subscription without opening the subscription if nobody uses it; `None` if nothing is stored of it.
    /// `read` also gets the account of an open one.
    ///
    /// The place of the subscription is held meanwhile: a catalog must not be replaced under a reader, whose closing would remove the
    /// log of the other one.
    ///
    /// # Errors
    /// That of `read`, or [`SessionError`] if the catalog is missing or held by another process.
    pub fn peek<T>(
        &self,
        subscription: &SubscriptionId,
        read: impl FnOnce(&Catalog, Option<Budget>) -> Result<T, SessionError>,
    ) -> Result<Option<T>, SessionError> {
        let slot = Arc::clone(self.slots.lock().entry(*subscription).or_default());
        let slot = slot.lock();
        if let Some(open) = slot.as_ref().map(Arc::clone) {
            drop(slot);
            let account = open.account();
            return open.read(|catalog| read(catalog, Some(account))).map(Some);
        }
        let folder = self.catalog_folder(subscription);
        let file = self.parts(subscription).catalog_file;
        if !file.try_exists().map_err(|error| StoreError::from_io("look for", file.display(), error))? {
            self.check_empty(subscription)?;
            return Ok(None);
        }
        let _lock = lock(&folder)?;
        read(&Catalog::open_reader(&file)?, None).map(Some)
    }

    /// The subscriptions that have a catalog here or objects in the store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stored(&self) -> Result<Vec<SubscriptionId>, StoreError> {
        let mut all = self.objects.subscriptions()?;
        for name in durable::list(&self.settings.catalogs)? {
            all.push(name.parse().map_err(|_| StoreError::Foreign(name))?);
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// Ends the sessions of all subscriptions that were left alone.
    pub fn end_left_alone(&self, now_ns: i64) {
        let stored = self.stored().unwrap_or_else(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "the stored subscriptions could not be listed");
            Vec::new()
        });
        for id in stored {
            // Most have none: opening all of them would list every pack of the store.
            let any = self.peek(&id, |catalog, _| Ok(!catalog.open_sessions()?.is_empty()));
            let ended = any.and_then(|any| match any {
                Some(true) => self.get(&id)?.expire_sessions(now_ns).map(|_| ()),
                _ => Ok(()),
            });
            if let Err(error) = ended {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, subscription = %id, "sessions left alone could not be ended");
            }
        }
    }

    /// The open subscriptions that nobody uses and that have no session are closed.
    pub fn close_idle(&self) {
        let slots: Vec<Slot> = self.slots.lock().values().cloned().collect();
        for slot in slots {
            let mut slot = slot.lock();
            let idle = |open: &Arc<Subscription>| Arc::strong_count(open) == 1 && open.shared().live.lock().is_empty();
            if slot.as_ref().is_some_and(idle) {
                *slot = None;
            }
        }
    }

    /// Where a subscription's catalog is.
    pub fn catalog_folder(&self, subscription: &SubscriptionId) -> PathBuf {
        self.settings.catalogs.join(subscription.to_string())
    }

    fn open(&self, subscription: &SubscriptionId) -> Result<Subscription, SessionError> {
        let folder = self.catalog_folder(subscription);
        let health = self.objects.health();
        durable::make_folder(health, &folder)?;
        let lock = lock(&folder)?;
        let parts = self.parts(subscription);
        durable::make_folder(health, &parts.staging)?;
        let has_catalog = parts.catalog_file.try_exists();
        if !has_catalog.map_err(|error| StoreError::from_io("look for", parts.catalog_file.display(), error))? {
            self.check_empty(subscription)?;
            make_catalog(&self.objects, &folder)?;
        }
        let catalog = Catalog::open(&parts.catalog_file)?;
        Subscription::start(recover(parts, catalog, self.settings.random.clone())?, lock)
    }

    /// Makes a subscription's catalog again from what the store holds. Nobody may use the subscription meanwhile.
    ///
    /// # Errors
    /// [`SessionError::InUse`] if somebody does; the old catalog is then as it was.
    pub fn rebuild(&self, subscription: &SubscriptionId) -> Result<Rebuilt, SessionError> {
        let slot = Arc::clone(self.slots.lock().entry(*subscription).or_default());
        let mut slot = slot.lock();
        if slot.as_ref().is_some_and(|open| Arc::strong_count(open) > 1) {
            return Err(SessionError::InUse);
        }
        *slot = None;
        // Opening adopts what staging holds. A catalog that cannot be opened has nothing to say.
        match self.open(subscription) {
            Err(SessionError::InUse) => return Err(SessionError::InUse),
            // A catalog made from nothing would say that nothing was ever stored.
            Err(error @ SessionError::StoreEmptied(_)) if self.check_empty(subscription).is_ok() => return Err(error),
            Err(error) => tracing::warn!(%error, %subscription, "the old catalog is left aside"),
            Ok(_) => {}
        }
        let folder = self.catalog_folder(subscription);
        let _lock = lock(&folder)?;
        let (parts, new) = (self.parts(subscription), new_catalog_file(&folder));
        discard_catalog(&new)?;
        let catalog = Catalog::create(&new)?;
        let rebuilt = fill(&parts, &catalog)?;
        catalog.checkpoint()?;
        drop(catalog);
        // A crash between these two leaves no catalog: opening then asks for a rebuild, and this is one.
        discard_catalog(&parts.catalog_file)?;
        install_catalog(&self.objects, &folder)?;
        Ok(rebuilt)
    }

    /// What the parts of a subscription work with.
    pub fn parts(&self, subscription: &SubscriptionId) -> SharedParts {
        SharedParts {
            subscription: *subscription,
            objects: self.objects.clone(),
            staging: self.settings.staging.join(subscription.to_string()),
            catalog_file: self.catalog_folder(subscription).join(CATALOG_FILE),
            key: Arc::clone(&self.settings.key),
            country: self.settings.location.country.clone(),
            thresholds: self.settings.hold,
            terms: Arc::clone(&self.settings.terms),
            note: Arc::clone(&self.settings.refusals),
        }
    }

    fn check_empty(&self, subscription: &SubscriptionId) -> Result<(), SessionError> {
        for folder in [Folder::Packs, Folder::Snapshots] {
            if !self.objects.list(subscription, folder)?.is_empty() {
                return Err(SessionError::NeedsRebuild("there is none, but the store is not empty".to_owned()));
            }
        }
        Ok(())
    }
}

/// Makes an empty catalog that is whole or absent.
fn make_catalog(objects: &Objects, folder: &Path) -> Result<(), SessionError> {
    let new = new_catalog_file(folder);
    discard_catalog(&new)?;
    Catalog::create(&new)?.checkpoint()?;
    install_catalog(objects, folder)
}

/// The file under which the catalog of a folder is made.
pub fn new_catalog_file(folder: &Path) -> PathBuf {
    folder.join(NEW_CATALOG_FILE)
}

/// Removes a catalog's file with its log.
///
/// # Errors
/// [`StoreError`].
pub fn discard_catalog(file: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        crate::store::packer::discard(Path::new(&path))?;
    }
    Ok(())
}

/// Gives a catalog that was made, checkpointed and closed its final name, which must be free.
///
/// # Errors
/// [`StoreError`].
pub fn install_catalog(objects: &Objects, folder: &Path) -> Result<(), SessionError> {
    durable::move_new(&new_catalog_file(folder), &folder.join(CATALOG_FILE))?;
    Ok(durable::sync_folder(objects.health(), folder)?)
}
