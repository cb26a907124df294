//! Re-evaluation files: what opened each, its days, and how an operator closed it; and the refusals that feed them.
//!
//! It does not judge a day (`upkeep::judge` does) and changes neither volume nor price.
//!
//! Invariant: a subscription has at most one open file; the days, the notice and the audit row of a file are one transaction.
//! Invariant: what an operator closed is not opened again by a day that had come before.

use common::id::SubscriptionId;
use common::text::date::moment;
use common::text::{Arg, Texts};
use jiff::civil::Date;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::audit::{self, Action, Event, Trace};
use super::{Control, ControlError, amendments, integer, notices, subscriptions, unsigned};
use crate::contract::calendar::day_of;
use crate::contract::reevaluation::{Cause, File, OverDay};
use crate::session::subscription::DayRefusal;

/// The statements of these tables.
pub(super) const TABLES: &str = "
CREATE TABLE reevaluation (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  subscription BLOB NOT NULL REFERENCES subscription,
  opened_at_ns INTEGER NOT NULL,
  price_from TEXT NOT NULL,
  closed_at_ns INTEGER,
  closed_by TEXT,
  outcome TEXT,
  document TEXT
) STRICT;
CREATE UNIQUE INDEX reevaluation_open ON reevaluation (subscription) WHERE closed_at_ns IS NULL;
CREATE TABLE reevaluation_day (
  reevaluation INTEGER NOT NULL REFERENCES reevaluation,
  day TEXT NOT NULL,
  cause TEXT NOT NULL,
  measured_bytes INTEGER NOT NULL,
  allowed_bytes INTEGER NOT NULL,
  baseline_bytes INTEGER NOT NULL,
  PRIMARY KEY (reevaluation, day, cause)
) STRICT, WITHOUT ROWID;
CREATE TABLE judged (
  subscription BLOB NOT NULL PRIMARY KEY REFERENCES subscription,
  day TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE refusal (
  subscription BLOB NOT NULL REFERENCES subscription,
  day TEXT NOT NULL,
  first_at_ns INTEGER NOT NULL,
  wanted_bytes INTEGER NOT NULL,
  allowed_bytes INTEGER NOT NULL,
  PRIMARY KEY (subscription, day)
) STRICT, WITHOUT ROWID;
";

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reevaluation {
    /// 1, 2, 3 … over all subscriptions.
    pub number: i64,
    /// Whose.
    pub subscription: SubscriptionId,
    /// Its days.
    pub file: File,
    /// When it was opened, in nanoseconds since 1970.
    pub opened_at_ns: i64,
    /// The day from which a new price may apply.
    pub price_from: Date,
    /// How it ended, if it did.
    pub closing: Option<Closing>,
}

/// How a file ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// When, in nanoseconds since 1970.
    pub at_ns: i64,
    /// Who recorded it.
    pub by: String,
    /// What was agreed.
    pub outcome: Outcome,
    /// Reference of the writing that says so; may be empty.
    pub document: String,
}

/// What a re-evaluation led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The scope or the price changes by amendment.
    Amended,
    /// Nothing changes: the excess was accepted once.
    Waived,
    /// The customer changes what is backed up.
    Reduced,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Amended, Self::Waived, Self::Reduced];

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amended => "amended",
            Self::Waived => "waived",
            Self::Reduced => "reduced",
        }
    }

    /// The outcome of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

const COLUMNS: &str = "number, subscription, opened_at_ns, price_from, closed_at_ns, closed_by, outcome, document";

impl Control {
    /// The files of one subscription or of all, newest first; closed ones too if `closed`.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn reevaluations(
        &self,
        subscription: Option<&SubscriptionId>,
        closed: bool,
    ) -> Result<Vec<Reevaluation>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM reevaluation WHERE (?1 IS NULL OR subscription = ?1)
                 AND (?2 OR closed_at_ns IS NULL) ORDER BY number DESC"
            ))?;
            let mut rows = statement.query(params![subscription.map(SubscriptionId::as_bytes), closed])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(with_days(transaction, row)?);
            }
            Ok(found)
        })
    }

    /// Records what a file led to.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] if no file of that number is open.
    pub fn close_reevaluation(
        &self,
        number: i64,
        (outcome, document): (Outcome, &str),
        trace: &Trace,
    ) -> Result<Reevaluation, ControlError> {
        self.write(|transaction| {
            let sql = format!("SELECT {COLUMNS} FROM reevaluation WHERE number = ?1 AND closed_at_ns IS NULL");
            let mut statement = transaction.prepare_cached(&sql)?;
            let mut rows = statement.query([number])?;
            let row = rows.next()?.ok_or(ControlError::NotFound { what: "reevaluation" })?;
            let mut known = with_days(transaction, row)?;
            transaction.execute(
                "UPDATE reevaluation SET closed_at_ns = ?2, closed_by = ?3, outcome = ?4, document = ?5 WHERE number = ?1",
                params![number, trace.at_ns, trace.who, outcome.name(), document],
            )?;
            let told = Texts::FRENCH.say_with(
                "notice-reevaluation-closed",
                &[("number", Arg::from(number.to_string())), ("outcome", outcome.name().into())],
            );
            notices::add(transaction, &known.subscription, "reevaluation_closed", &told, trace.at_ns)?;
            record(transaction, &known.subscription, (Action::CloseReevaluation, number), trace)?;
            let (at_ns, by, document) = (trace.at_ns, trace.who.clone(), document.to_owned());
            known.closing = Some(Closing { at_ns, by, outcome, document });
            Ok(known)
        })
    }

    /// The last finished day of a subscription that was judged.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn judged_until(&self, subscription: &SubscriptionId) -> Result<Option<Date>, ControlError> {
        self.read(|transaction| {
            let sql = "SELECT day FROM judged WHERE subscription = ?1";
            let found: Option<String> =
                transaction.prepare_cached(sql)?.query_row([subscription.as_bytes()], |row| row.get(0)).optional()?;
            found.map(|day| date(&day)).transpose()
        })
    }

    /// Puts days into the open file of a subscription, opening one if there is a day and no file, and notes that every day up to
    /// `until` was judged.
    ///
    /// # Errors
    /// SQLite's, or [`ControlError::NotFound`] without such a subscription.
    pub fn judge(
        &self,
        subscription: &SubscriptionId,
        days: &[OverDay],
        until: Date,
        trace: &Trace,
    ) -> Result<(), ControlError> {
        self.write(|transaction| {
            feed(transaction, subscription, days, trace)?;
            let sql = "INSERT INTO judged VALUES (?1, ?2) ON CONFLICT DO UPDATE SET day = max(day, ?2)";
            transaction.execute(sql, params![subscription.as_bytes(), until.to_string()])?;
            Ok(())
        })
    }

    /// Remembers that the daily change was refused: the day's first time, and the most that was wanted.
    ///
    /// # Errors
    /// SQLite's.
    pub fn note_refusal(&self, subscription: &SubscriptionId, refusal: &DayRefusal) -> Result<(), ControlError> {
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO refusal VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET
                 allowed_bytes = iif(?4 > wanted_bytes, ?5, allowed_bytes), wanted_bytes = max(wanted_bytes, ?4)",
                params![
                    subscription.as_bytes(),
                    refusal.day.to_string(),
                    refusal.at_ns,
                    integer(refusal.wanted_bytes),
                    integer(refusal.allowed_bytes)
                ],
            )?;
            Ok(())
        })
    }

    /// The refusals of a subscription from a day on, oldest first.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn refusals(&self, subscription: &SubscriptionId, since: Date) -> Result<Vec<DayRefusal>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT day, first_at_ns, wanted_bytes, allowed_bytes FROM refusal
                 WHERE subscription = ?1 AND day >= ?2 ORDER BY day",
            )?;
            let mut rows = statement.query(params![subscription.as_bytes(), since.to_string()])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(DayRefusal {
                    day: date(&row.get::<_, String>(0)?)?,
                    at_ns: row.get(1)?,
                    wanted_bytes: unsigned("refusal", row.get(2)?)?,
                    allowed_bytes: unsigned("refusal", row.get(3)?)?,
                });
            }
            Ok(found)
        })
    }
}

/// Puts days into the open file of a subscription, and opens one if there is none.
pub(super) fn feed(
    transaction: &Transaction<'_>,
    subscription: &SubscriptionId,
    days: &[OverDay],
    trace: &Trace,
) -> Result<(), ControlError> {
    let closed: Option<i64> = transaction
        .prepare_cached("SELECT max(closed_at_ns) FROM reevaluation WHERE subscription = ?1")?
        .query_row([subscription.as_bytes()], |row| row.get(0))?;
    let closed_on = closed.map(|ns| day_of(moment(ns)));
    let news = |over: &&OverDay| over.cause == Cause::Growth || closed_on.is_none_or(|closed| over.day > closed);
    let days: Vec<&OverDay> = days.iter().filter(news).collect();
    let Some(first) = days.iter().min_by_key(|over| over.day) else { return Ok(()) };
    let number = match open_number(transaction, subscription)? {
        Some(number) => number,
        None => open(transaction, subscription, first, trace)?,
    };
    let mut statement =
        transaction.prepare_cached("INSERT OR REPLACE INTO reevaluation_day VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for over in days {
        statement.execute(params![
            number,
            over.day.to_string(),
            over.cause.name(),
            integer(over.measured_bytes),
            integer(over.allowed_bytes),
            integer(over.baseline_bytes)
        ])?;
    }
    Ok(())
}

fn open_number(transaction: &Transaction<'_>, subscription: &SubscriptionId) -> Result<Option<i64>, ControlError> {
    let sql = "SELECT number FROM reevaluation WHERE subscription = ?1 AND closed_at_ns IS NULL";
    Ok(transaction.prepare_cached(sql)?.query_row([subscription.as_bytes()], |row| row.get(0)).optional()?)
}

fn open(
    transaction: &Transaction<'_>,
    subscription: &SubscriptionId,
    first: &OverDay,
    trace: &Trace,
) -> Result<i64, ControlError> {
    let known = subscriptions::by_id(transaction, subscription)?;
    let known = known.ok_or(ControlError::NotFound { what: "subscription" })?;
    let price_from = amendments::price_from(&known, first.day);
    transaction.execute(
        "INSERT INTO reevaluation (subscription, opened_at_ns, price_from) VALUES (?1, ?2, ?3)",
        params![subscription.as_bytes(), trace.at_ns, price_from.to_string()],
    )?;
    let number = transaction.last_insert_rowid();
    let texts = Texts::FRENCH;
    let args = [
        ("number", Arg::from(number.to_string())),
        ("cause", first.cause.name().into()),
        ("day", texts.day(first.day).into()),
        ("measured", texts.size(first.measured_bytes).into()),
        ("allowed", texts.size(first.allowed_bytes).into()),
    ];
    let told = texts.say_with("notice-reevaluation-opened", &args);
    notices::add(transaction, subscription, "reevaluation_opened", &told, trace.at_ns)?;
    record(transaction, subscription, (Action::OpenReevaluation, number), trace)?;
    Ok(number)
}

fn record(
    transaction: &Transaction<'_>,
    subscription: &SubscriptionId,
    (action, number): (Action, i64),
    trace: &Trace,
) -> Result<(), ControlError> {
    let object = number.to_string();
    let event = Event { action, subscription: Some(*subscription), object: &object, result: "done" };
    audit::append(transaction, trace, &event)
}

fn with_days(transaction: &Transaction<'_>, row: &Row<'_>) -> Result<Reevaluation, ControlError> {
    let damaged = || ControlError::Damaged { what: "reevaluation" };
    let number: i64 = row.get(0)?;
    let closing = match row.get::<_, Option<i64>>(4)? {
        None => None,
        Some(at_ns) => Some(Closing {
            at_ns,
            by: row.get::<_, Option<String>>(5)?.unwrap_or_default(),
            outcome: Outcome::from_name(&row.get::<_, String>(6)?).ok_or_else(damaged)?,
            document: row.get::<_, Option<String>>(7)?.unwrap_or_default(),
        }),
    };
    Ok(Reevaluation {
        number,
        subscription: SubscriptionId::new(row.get(1)?),
        file: File { days: days_of(transaction, number)? },
        opened_at_ns: row.get(2)?,
        price_from: date(&row.get::<_, String>(3)?)?,
        closing,
    })
}

fn days_of(transaction: &Transaction<'_>, number: i64) -> Result<Vec<OverDay>, ControlError> {
    let mut statement = transaction.prepare_cached(
        "SELECT day, cause, measured_bytes, allowed_bytes, baseline_bytes FROM reevaluation_day
         WHERE reevaluation = ?1 ORDER BY day, cause",
    )?;
    let mut rows = statement.query([number])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let cause = Cause::from_name(&row.get::<_, String>(1)?);
        found.push(OverDay {
            day: date(&row.get::<_, String>(0)?)?,
            cause: cause.ok_or(ControlError::Damaged { what: "cause of a reevaluation" })?,
            measured_bytes: unsigned("day of a reevaluation", row.get(2)?)?,
            allowed_bytes: unsigned("day of a reevaluation", row.get(3)?)?,
            baseline_bytes: unsigned("day of a reevaluation", row.get(4)?)?,
        });
    }
    Ok(found)
}

fn date(text: &str) -> Result<Date, ControlError> {
    text.parse().map_err(|_| ControlError::Damaged { what: "day of a reevaluation" })
}
