//! Where each customer's data is: consents to another place, and relocations.
//!
//! It moves no data; it judges and records that somebody does.
//!
//! Invariant: a relocation that the contract does not allow is never recorded, and its refusal is (B-031).

use common::id::SubscriptionId;
use jiff::civil::Date;
use rusqlite::{Row, Transaction, params};

use super::audit::{self, Action, Event, Trace};
use super::{Control, ControlError, notices};
use crate::contract::location::{Consent, ConsentKind, Location, check_move};

/// The statements of these tables.
pub(super) const TABLES: &str = "
CREATE TABLE consent (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  subscription BLOB NOT NULL REFERENCES subscription,
  kind TEXT NOT NULL,
  received_on TEXT NOT NULL,
  document TEXT NOT NULL,
  country TEXT NOT NULL,
  scope TEXT NOT NULL,
  recorded_at_ns INTEGER NOT NULL,
  recorded_by TEXT NOT NULL
) STRICT;
CREATE INDEX consent_of_subscription ON consent (subscription, number);
CREATE TABLE relocation (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  subscription BLOB NOT NULL REFERENCES subscription,
  site TEXT NOT NULL,
  country TEXT NOT NULL,
  owner TEXT NOT NULL,
  scope TEXT NOT NULL,
  moves_on TEXT NOT NULL,
  consent INTEGER REFERENCES consent,
  recorded_at_ns INTEGER NOT NULL,
  recorded_by TEXT NOT NULL
) STRICT;
CREATE INDEX relocation_of_subscription ON relocation (subscription, number);
";

/// A consent as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedConsent {
    /// 1, 2, 3 …; 0 before it is recorded.
    pub number: i64,
    /// What was consented to.
    pub consent: Consent,
    /// Who recorded it.
    pub recorded_by: String,
    /// When, in nanoseconds since 1970.
    pub recorded_at_ns: i64,
}

/// A relocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relocation {
    /// 1, 2, 3 …; 0 before it is recorded.
    pub number: i64,
    /// Where to.
    pub to: Location,
    /// What moves: a source's name, or everything.
    pub scope: String,
    /// On which day.
    pub moves_on: Date,
    /// The consent that allows it, if it needs one.
    pub consent: Option<i64>,
    /// Who recorded it.
    pub recorded_by: String,
    /// When, in nanoseconds since 1970.
    pub recorded_at_ns: i64,
}

impl Control {
    /// Records a customer's consent; its number.
    ///
    /// # Errors
    /// SQLite's.
    pub fn record_consent(
        &self,
        subscription: &SubscriptionId,
        consent: &Consent,
        trace: &Trace,
    ) -> Result<i64, ControlError> {
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO consent (subscription, kind, received_on, document, country, scope, recorded_at_ns,
                                      recorded_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    subscription.as_bytes(),
                    consent.kind.name(),
                    consent.received_on.to_string(),
                    consent.document,
                    consent.country,
                    consent.scope,
                    trace.at_ns,
                    trace.who,
                ],
            )?;
            let number = transaction.last_insert_rowid();
            let object = format!("{number} {} {} ({})", consent.country, consent.scope, consent.document);
            record(transaction, Action::RecordConsent, subscription, (&object, "done"), trace)?;
            Ok(number)
        })
    }

    /// Records a relocation that the contract allows.
    ///
    /// # Errors
    /// [`ControlError::Place`] if it does not; the refusal is in the trail.
    pub fn relocate(
        &self,
        subscription: &SubscriptionId,
        relocation: &Relocation,
        trace: &Trace,
    ) -> Result<Relocation, ControlError> {
        self.write(|transaction| {
            let consents = consents_of(transaction, subscription)?;
            let known: Vec<Consent> = consents.iter().map(|recorded| recorded.consent.clone()).collect();
            let object = format!("{} {} ({})", relocation.to.country, relocation.to.site, relocation.scope);
            let consent = match check_move(&relocation.to, &relocation.scope, relocation.moves_on, &known) {
                Ok(consent) => consent.map(|at| consents[at].number),
                Err(refused) => {
                    record(transaction, Action::Relocate, subscription, (&object, refused.name()), trace)?;
                    return Ok(Err(ControlError::Place(refused)));
                }
            };
            transaction.execute(
                "INSERT INTO relocation (subscription, site, country, owner, scope, moves_on, consent, recorded_at_ns,
                                         recorded_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    subscription.as_bytes(),
                    relocation.to.site,
                    relocation.to.country,
                    relocation.to.owner,
                    relocation.scope,
                    relocation.moves_on.to_string(),
                    consent,
                    trace.at_ns,
                    trace.who,
                ],
            )?;
            let number = transaction.last_insert_rowid();
            notices::add(transaction, subscription, "relocation", &object, trace.at_ns)?;
            record(transaction, Action::Relocate, subscription, (&object, "done"), trace)?;
            Ok(Ok(Relocation {
                number,
                consent,
                recorded_at_ns: trace.at_ns,
                recorded_by: trace.who.clone(),
                ..relocation.clone()
            }))
        })?
    }

    /// The consents and relocations of a subscription, oldest first.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn places(
        &self,
        subscription: &SubscriptionId,
    ) -> Result<(Vec<RecordedConsent>, Vec<Relocation>), ControlError> {
        self.read(|transaction| {
            let consents = consents_of(transaction, subscription)?;
            let mut statement = transaction.prepare_cached(
                "SELECT number, site, country, owner, scope, moves_on, consent, recorded_at_ns, recorded_by
                 FROM relocation WHERE subscription = ?1 ORDER BY number",
            )?;
            let mut rows = statement.query([subscription.as_bytes()])?;
            let mut relocations = Vec::new();
            while let Some(row) = rows.next()? {
                relocations.push(relocation_of(row)?);
            }
            Ok((consents, relocations))
        })
    }
}

fn record(
    transaction: &Transaction<'_>,
    action: Action,
    subscription: &SubscriptionId,
    (object, result): (&str, &str),
    trace: &Trace,
) -> Result<(), ControlError> {
    audit::append(transaction, trace, &Event { action, subscription: Some(*subscription), object, result })
}

fn consents_of(
    transaction: &Transaction<'_>,
    subscription: &SubscriptionId,
) -> Result<Vec<RecordedConsent>, ControlError> {
    let mut statement = transaction.prepare_cached(
        "SELECT number, kind, received_on, document, country, scope, recorded_at_ns, recorded_by
         FROM consent WHERE subscription = ?1 ORDER BY number",
    )?;
    let mut rows = statement.query([subscription.as_bytes()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let kind = ConsentKind::from_name(row.get_ref(1)?.as_str().unwrap_or_default());
        let consent = Consent {
            kind: kind.ok_or(ControlError::Damaged { what: "consent" })?,
            received_on: day_of(row, 2)?,
            document: row.get(3)?,
            country: row.get(4)?,
            scope: row.get(5)?,
        };
        let (recorded_at_ns, recorded_by) = (row.get(6)?, row.get(7)?);
        found.push(RecordedConsent { number: row.get(0)?, consent, recorded_by, recorded_at_ns });
    }
    Ok(found)
}

fn relocation_of(row: &Row<'_>) -> Result<Relocation, ControlError> {
    Ok(Relocation {
        number: row.get(0)?,
        to: Location { site: row.get(1)?, country: row.get(2)?, owner: row.get(3)? },
        scope: row.get(4)?,
        moves_on: day_of(row, 5)?,
        consent: row.get(6)?,
        recorded_at_ns: row.get(7)?,
        recorded_by: row.get(8)?,
    })
}

fn day_of(row: &Row<'_>, column: usize) -> Result<Date, ControlError> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| ControlError::Damaged { what: "day" })
}
