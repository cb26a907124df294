//! Amendments of order forms: recorded with before and after, applied when their day has come.
//!
//! Invariant: an amendment that shortens the history applies only once its request of two persons may be carried out.
//! Invariant: two waiting amendments never change the same field, so that the order in which they apply changes nothing.
//! Invariant: the form, its sources, the amendment's mark and the audit row change in one transaction.

use common::id::SubscriptionId;
use common::text::date::moment;
use jiff::civil::Date;
use rusqlite::{Row, Transaction, params};

use super::approvals::{self, ApprovalKind};
use super::audit::{self, Action, Event, Trace};
use super::subscriptions::{self, Subscription};
use super::{Control, ControlError, copy, notices, reevaluations};
use crate::contract::amendment::{FieldChange, FormChange};
use crate::contract::calendar::{day_of, next_quarter, price_change_date, start_ns};
use crate::contract::guards::TWO_PERSON_DELAY;
use crate::contract::reevaluation::{Cause, OverDay};

/// The statements of this table.
pub(super) const TABLES: &str = "
CREATE TABLE amendment (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  subscription BLOB NOT NULL REFERENCES subscription,
  change TEXT NOT NULL,
  fields TEXT NOT NULL,
  document TEXT NOT NULL,
  signed_on TEXT NOT NULL,
  applies_from_ns INTEGER NOT NULL,
  recorded_at_ns INTEGER NOT NULL,
  recorded_by TEXT NOT NULL,
  approval INTEGER REFERENCES approval,
  price_from TEXT,
  applied_at_ns INTEGER,
  withdrawn_at_ns INTEGER
) STRICT;
CREATE INDEX amendment_of_subscription ON amendment (subscription, number);
";

/// What an operator records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAmendment {
    /// Whose.
    pub subscription: SubscriptionId,
    /// What changes.
    pub change: FormChange,
    /// Reference of the signed writing.
    pub document: String,
    /// Day of its signature.
    pub signed_on: Date,
    /// First day of the change; at once if none.
    pub applies_on: Option<Date>,
}

/// An amendment.
#[derive(Debug, Clone, PartialEq)]
pub struct Amendment {
    /// 1, 2, 3 … over all subscriptions.
    pub number: i64,
    /// Whose.
    pub subscription: SubscriptionId,
    /// What changes.
    pub change: FormChange,
    /// Every field before and after, as it was when it was recorded.
    pub fields: Vec<FieldChange>,
    /// Reference of the signed writing.
    pub document: String,
    /// Day of its signature.
    pub signed_on: Date,
    /// From when it applies, in nanoseconds since 1970.
    pub applies_from_ns: i64,
    /// When it was recorded, in nanoseconds since 1970.
    pub recorded_at_ns: i64,
    /// Who recorded it.
    pub recorded_by: String,
    /// The request of two persons that it waits for.
    pub approval: Option<i64>,
    /// The day from which a new price may apply, because the scope grew.
    pub price_from: Option<Date>,
    /// When it began to apply, in nanoseconds since 1970.
    pub applied_at_ns: Option<i64>,
    /// When it was withdrawn, or its request was, in nanoseconds since 1970.
    pub withdrawn_at_ns: Option<i64>,
}

impl Amendment {
    /// It neither applies nor was withdrawn.
    pub fn is_waiting(&self) -> bool {
        self.applied_at_ns.is_none() && self.withdrawn_at_ns.is_none()
    }
}

const COLUMNS: &str = "number, subscription, change, fields, document, signed_on, applies_from_ns, recorded_at_ns, \
                       recorded_by, approval, price_from, applied_at_ns, withdrawn_at_ns";

impl Control {
    /// Records an amendment, asks for the second operator if it shortens the history, and applies it if nothing is waited for.
    ///
    /// # Errors
    /// [`ControlError::Form`] if the form would not be allowed, [`ControlError::Exists`] if another one that waits changes the
    /// same field, [`ControlError::NotFound`] without such a subscription.
    pub fn amend(&self, new: &NewAmendment, trace: &Trace) -> Result<Amendment, ControlError> {
        self.write(|transaction| {
            let known = subscription(transaction, &new.subscription)?;
            let after = new.change.apply(&known.form)?;
            let fields = FormChange::fields(&known.form, &after);
            check_waiting(transaction, &new.subscription, &fields)?;
            let mut amendment = Amendment {
                number: 0,
                subscription: new.subscription,
                change: new.change.clone(),
                fields,
                document: new.document.clone(),
                signed_on: new.signed_on,
                applies_from_ns: new.applies_on.map_or(trace.at_ns, start_ns).max(trace.at_ns),
                recorded_at_ns: trace.at_ns,
                recorded_by: trace.who.clone(),
                approval: None,
                price_from: None,
                applied_at_ns: None,
                withdrawn_at_ns: None,
            };
            if new.change.shortens_history(&known.form) {
                let detail = format!("{} → {} j ({})", known.form.history.days, after.history.days, new.document);
                let kind = ApprovalKind::ShortenHistory;
                amendment.approval = Some(approvals::propose(transaction, kind, &new.subscription, &detail, trace)?);
                let delay_ns = i64::try_from(TWO_PERSON_DELAY.as_nanos()).unwrap_or(i64::MAX);
                amendment.applies_from_ns = amendment.applies_from_ns.max(trace.at_ns.saturating_add(delay_ns));
            }
            if new.change.grows(&known.form) {
                amendment.price_from = Some(price_from(&known, day_of(moment(amendment.applies_from_ns))));
            }
            insert(transaction, &mut amendment)?;
            notices::add(transaction, &new.subscription, "amendment", &told(&amendment), trace.at_ns)?;
            record(transaction, &amendment, Action::Amend, trace)?;
            if amendment.approval.is_none() && amendment.applies_from_ns <= trace.at_ns {
                apply(transaction, &mut amendment, trace)?;
            }
            Ok(amendment)
        })
    }

    /// The amendments of a subscription, newest first.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn amendments(&self, subscription: &SubscriptionId) -> Result<Vec<Amendment>, ControlError> {
        self.read(|transaction| select(transaction, "subscription = ?1 ORDER BY number DESC", subscription.as_bytes()))
    }

    /// Withdraws an amendment that waits, with its request of two persons.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] if none of that number waits.
    pub fn withdraw_amendment(&self, number: i64, trace: &Trace) -> Result<(), ControlError> {
        self.write(|transaction| {
            let found = select(transaction, "number = ?1", &number)?.pop();
            let amendment = found.filter(Amendment::is_waiting).ok_or(ControlError::NotFound { what: "amendment" })?;
            if let Some(approval) = amendment.approval
                && let Ok(standing) = approvals::find_standing(transaction, approval, trace.at_ns)
            {
                approvals::close(transaction, &standing, false, trace)?;
            }
            withdraw(transaction, &amendment, trace)
        })
    }

    /// Applies every amendment whose day has come and whose request, if it needs one, may be carried out; how many.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn apply_amendments(&self, trace: &Trace) -> Result<u64, ControlError> {
        self.write(|transaction| {
            let due = select(
                transaction,
                "applied_at_ns IS NULL AND withdrawn_at_ns IS NULL AND applies_from_ns <= ?1 ORDER BY number",
                &trace.at_ns,
            )?;
            let mut applied = 0;
            for mut amendment in due {
                match apply_due(transaction, &mut amendment, trace) {
                    Ok(done) => applied += u64::from(done),
                    // Another amendment took its ground: it waits until an operator withdraws it.
                    Err(ControlError::Form(error)) => {
                        tracing::error!(%error, amendment.number, "an amendment does not apply")
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(applied)
        })
    }
}

/// Applies one whose day has come, if nothing more is waited for.
fn apply_due(transaction: &Transaction<'_>, amendment: &mut Amendment, trace: &Trace) -> Result<bool, ControlError> {
    let Some(number) = amendment.approval else {
        return apply(transaction, amendment, trace).map(|()| true);
    };
    // It may have been withdrawn after the copy was taken that the store was restored from: an operator looks first.
    if copy::restored_from(transaction)?.is_some() {
        return Ok(false);
    }
    match approvals::find_standing(transaction, number, trace.at_ns) {
        Ok(approval) if approval.check(moment(trace.at_ns)).is_ok() => {
            apply(transaction, amendment, trace)?;
            approvals::close(transaction, &approval, true, trace).map(|()| true)
        }
        Ok(_) => Ok(false),
        // Withdrawn or expired: what it was asked for goes with it.
        Err(ControlError::NotFound { .. }) => withdraw(transaction, amendment, trace).map(|()| false),
        Err(error) => Err(error),
    }
}

fn apply(transaction: &Transaction<'_>, amendment: &mut Amendment, trace: &Trace) -> Result<(), ControlError> {
    let known = subscription(transaction, &amendment.subscription)?;
    let after = amendment.change.apply(&known.form)?;
    subscriptions::store_form(transaction, &amendment.subscription, &after)?;
    for added in &amendment.change.added_sources {
        subscriptions::insert_source(
            transaction,
            &amendment.subscription,
            (&added.source, &added.ordered),
            trace.at_ns,
        )?;
    }
    if amendment.price_from.is_some() {
        let growth = OverDay {
            day: day_of(moment(amendment.applies_from_ns)),
            cause: Cause::Growth,
            measured_bytes: after.contracted_bytes,
            allowed_bytes: known.form.contracted_bytes,
            baseline_bytes: 0,
        };
        reevaluations::feed(transaction, &amendment.subscription, &[growth], trace)?;
    }
    amendment.applied_at_ns = Some(trace.at_ns);
    transaction
        .execute("UPDATE amendment SET applied_at_ns = ?2 WHERE number = ?1", params![amendment.number, trace.at_ns])?;
    record(transaction, amendment, Action::ApplyAmendment, trace)
}

fn withdraw(transaction: &Transaction<'_>, amendment: &Amendment, trace: &Trace) -> Result<(), ControlError> {
    transaction.execute(
        "UPDATE amendment SET withdrawn_at_ns = ?2 WHERE number = ?1",
        params![amendment.number, trace.at_ns],
    )?;
    notices::add(transaction, &amendment.subscription, "amendment_withdrawn", &told(amendment), trace.at_ns)?;
    record(transaction, amendment, Action::WithdrawAmendment, trace)
}

/// Refuses a field that another waiting amendment changes.
fn check_waiting(
    transaction: &Transaction<'_>,
    subscription: &SubscriptionId,
    fields: &[FieldChange],
) -> Result<(), ControlError> {
    let all = select(transaction, "subscription = ?1", subscription.as_bytes())?;
    let waiting = all.iter().filter(|amendment| amendment.is_waiting()).flat_map(|amendment| &amendment.fields);
    let taken = |waiting: &FieldChange| fields.iter().any(|change| change.field == waiting.field);
    if waiting.into_iter().any(taken) { Err(ControlError::Exists { what: "amendment" }) } else { Ok(()) }
}

/// From when what began on a day may be priced: the earlier of the next due date and the next civil quarter (B-301).
pub(super) fn price_from(known: &Subscription, day: Date) -> Date {
    let due = known.term().standing(day).map_or_else(|| next_quarter(day), |standing| standing.commitment_end);
    price_change_date(day, due)
}

fn told(amendment: &Amendment) -> String {
    let fields: Vec<&str> = amendment.fields.iter().map(|change| change.field.as_str()).collect();
    format!("{} ({}) : {}", amendment.number, amendment.document, fields.join(", "))
}

fn record(
    transaction: &Transaction<'_>,
    amendment: &Amendment,
    action: Action,
    trace: &Trace,
) -> Result<(), ControlError> {
    let object = told(amendment);
    let event = Event { action, subscription: Some(amendment.subscription), object: &object, result: "done" };
    audit::append(transaction, trace, &event)
}

fn subscription(transaction: &Transaction<'_>, id: &SubscriptionId) -> Result<Subscription, ControlError> {
    subscriptions::by_id(transaction, id)?.ok_or(ControlError::NotFound { what: "subscription" })
}

fn insert(transaction: &Transaction<'_>, amendment: &mut Amendment) -> Result<(), ControlError> {
    let json = "names, numbers and dates are always valid JSON";
    transaction.execute(
        "INSERT INTO amendment (subscription, change, fields, document, signed_on, applies_from_ns, recorded_at_ns,
                                recorded_by, approval, price_from)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            amendment.subscription.as_bytes(),
            serde_json::to_string(&amendment.change).expect(json),
            serde_json::to_string(&amendment.fields).expect(json),
            amendment.document,
            amendment.signed_on.to_string(),
            amendment.applies_from_ns,
            amendment.recorded_at_ns,
            amendment.recorded_by,
            amendment.approval,
            amendment.price_from.map(|day| day.to_string()),
        ],
    )?;
    amendment.number = transaction.last_insert_rowid();
    Ok(())
}

fn select(
    transaction: &Transaction<'_>,
    condition: &str,
    parameter: &dyn rusqlite::ToSql,
) -> Result<Vec<Amendment>, ControlError> {
    let mut statement = transaction.prepare_cached(&format!("SELECT {COLUMNS} FROM amendment WHERE {condition}"))?;
    let mut rows = statement.query([parameter])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(amendment_of(row)?);
    }
    Ok(found)
}

fn amendment_of(row: &Row<'_>) -> Result<Amendment, ControlError> {
    let damaged = || ControlError::Damaged { what: "amendment" };
    let text = |column: usize| row.get::<_, String>(column);
    let price_from: Option<String> = row.get(10)?;
    Ok(Amendment {
        number: row.get(0)?,
        subscription: SubscriptionId::new(row.get(1)?),
        change: serde_json::from_str(&text(2)?).map_err(|_| damaged())?,
        fields: serde_json::from_str(&text(3)?).map_err(|_| damaged())?,
        document: row.get(4)?,
        signed_on: text(5)?.parse().map_err(|_| damaged())?,
        applies_from_ns: row.get(6)?,
        recorded_at_ns: row.get(7)?,
        recorded_by: row.get(8)?,
        approval: row.get(9)?,
        price_from: price_from.map(|day| day.parse().map_err(|_| damaged())).transpose()?,
        applied_at_ns: row.get(11)?,
        withdrawn_at_ns: row.get(12)?,
    })
}
