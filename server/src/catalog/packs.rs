//! Rows of packs: from staging file to published object.
//!
//! Invariant: a staging pack's row says how many of its bytes are acknowledged; whatever stands after them was never promised.

use rusqlite::{OptionalExtension, Row};

use common::id::PackId;
use common::pack::PackKind;

use crate::catalog::error::CatalogError;
use crate::catalog::file::{Catalog, count, stored};

/// Where a pack is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PackState {
    /// A staging file.
    Staging,
    /// An object.
    Published,
    /// An object of which a frame did not read back well; the next scrub begins with it.
    Suspect,
    /// An object of which some frames are known to be damaged.
    Quarantined,
    /// An object that is gone.
    Lost,
    /// An object of which a rebuild could not read everything: what it holds beyond its rows is not known, so it never goes.
    Unread,
    /// An object of compaction that may not be there yet; no chunk points to it.
    Arriving,
}

impl PackState {
    const fn code(self) -> u8 {
        match self {
            Self::Staging => 0,
            Self::Published => 1,
            Self::Suspect => 2,
            Self::Quarantined => 3,
            Self::Lost => 4,
            Self::Arriving => 5,
            Self::Unread => 6,
        }
    }

    pub(in crate::catalog) fn from_code(code: u8) -> Result<Self, CatalogError> {
        match code {
            0 => Ok(Self::Staging),
            1 => Ok(Self::Published),
            2 => Ok(Self::Suspect),
            3 => Ok(Self::Quarantined),
            4 => Ok(Self::Lost),
            5 => Ok(Self::Arriving),
            6 => Ok(Self::Unread),
            _ => Err(CatalogError::Inconsistent("unknown state of a pack")),
        }
    }
}

/// What a pack's row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFacts {
    /// Its row, and the number of its staging file.
    pub row: u32,
    /// Its name; none while staging.
    pub name: Option<PackId>,
    /// What its frames hold.
    pub kind: PackKind,
    /// Where it is on its way.
    pub state: PackState,
    /// The random bytes of its header.
    pub salt: [u8; 16],
    /// Length; while staging, how much of it is acknowledged.
    pub bytes: u64,
    /// Row of the session that filled it; 0 if several did.
    pub session: u32,
    /// Since when no chunk points to it, in nanoseconds since 1970; 0 while one does.
    pub emptied_at_ns: i64,
}

fn facts(row: &Row<'_>) -> Result<PackFacts, CatalogError> {
    Ok(PackFacts {
        row: row.get(0)?,
        name: row.get::<_, Option<[u8; 32]>>(1)?.map(PackId::new),
        kind: PackKind::from_code(row.get(2)?).ok_or(CatalogError::Inconsistent("unknown kind of a pack"))?,
        state: PackState::from_code(row.get(3)?)?,
        salt: row.get(4)?,
        bytes: count(row.get(5)?),
        session: row.get(6)?,
        emptied_at_ns: row.get(7)?,
    })
}

const FACTS: &str = "SELECT row, name, kind, state, salt, bytes, session, emptied_at_ns FROM packs";

impl Catalog {
    /// What published packs take, in bytes.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn stored_bytes(&self) -> Result<u64, CatalogError> {
        let sql = "SELECT coalesce(sum(bytes), 0) FROM packs WHERE name IS NOT NULL AND state <> ?1";
        let lost = PackState::Lost.code();
        Ok(count(self.connection.prepare_cached(sql)?.query_row([lost], |row| row.get(0))?))
    }

    /// The next free row number of a pack.
    ///
    /// # Errors
    /// [`CatalogError::Exhausted`].
    pub fn next_pack_row(&self) -> Result<u32, CatalogError> {
        self.next_row("packs")
    }

    /// Stores a pack's row, or what it says from now on.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn store_pack(&self, pack: &PackFacts) -> Result<(), CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO packs (row, name, kind, state, salt, bytes, session, emptied_at_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (row) DO UPDATE SET name = ?2, state = ?4, bytes = ?6",
        )?;
        statement.execute((
            pack.row,
            pack.name.map(|name| *name.as_bytes()),
            pack.kind.code(),
            pack.state.code(),
            pack.salt,
            stored(pack.bytes),
            pack.session,
            pack.emptied_at_ns,
        ))?;
        Ok(())
    }

    /// Changes where a pack is on its way.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn set_pack_state(&self, row: u32, state: PackState) -> Result<(), CatalogError> {
        let mut statement = self.connection.prepare_cached("UPDATE packs SET state = ?2 WHERE row = ?1")?;
        statement.execute((row, state.code()))?;
        Ok(())
    }

    /// Forgets a staging pack of which nothing was acknowledged.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction.
    pub fn forget_pack(&self, row: u32) -> Result<(), CatalogError> {
        if self.connection.execute("DELETE FROM packs WHERE row = ?1 AND state = 0", [row])? == 1 {
            self.forget_scrub(row)?;
        }
        Ok(())
    }

    /// The pack of a row.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn pack(&self, row: u32) -> Result<Option<PackFacts>, CatalogError> {
        let mut statement = self.connection.prepare_cached(&format!("{FACTS} WHERE row = ?1"))?;
        statement.query_row([row], |row| Ok(facts(row))).optional()?.transpose()
    }

    /// The pack of a name.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn pack_named(&self, name: &PackId) -> Result<Option<PackFacts>, CatalogError> {
        let mut statement = self.connection.prepare_cached(&format!("{FACTS} WHERE name = ?1"))?;
        statement.query_row([name.as_bytes()], |row| Ok(facts(row))).optional()?.transpose()
    }

    /// All packs, by row.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn packs(&self) -> Result<Vec<PackFacts>, CatalogError> {
        let mut statement = self.connection.prepare_cached(&format!("{FACTS} ORDER BY row"))?;
        statement.query_map([], |row| Ok(facts(row)))?.map(|row| row?).collect()
    }

    /// The packs that are still staging files, by row.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn staging_packs(&self) -> Result<Vec<PackFacts>, CatalogError> {
        let mut statement =
            self.connection.prepare_cached(&format!("{FACTS} WHERE state <> 1 AND state = 0 ORDER BY row"))?;
        statement.query_map([], |row| Ok(facts(row)))?.map(|row| row?).collect()
    }
}
