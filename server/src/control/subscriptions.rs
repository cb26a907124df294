//! Subscriptions as their order forms made them, and the terms that sessions are held to.

use std::collections::HashMap;

use common::id::{SourceId, SubscriptionId};
use common::source_kind::SourceKind;
use common::text::date::moment;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::audit::{self, Action, Event, Trace};
use super::{Control, ControlError, is_taken, notices, windows};
use crate::contract::calendar::day_of;
use crate::contract::order_form::{OrderForm, OrderedSource};
use crate::contract::service::{SuspensionReason, Window};
use crate::contract::term::Term;
use crate::contract::terms::{State, Terms, TermsSource};

/// A source of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its id.
    pub source: SourceId,
    /// Its name on the order form.
    pub name: String,
    /// Its kind.
    pub kind: SourceKind,
}

/// A subscription and its order form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub subscription: SubscriptionId,
    /// What was ordered, with the amendments that apply.
    pub form: OrderForm,
    /// The ordered sources with their ids, in order.
    pub sources: Vec<Source>,
    /// When it was made, in nanoseconds since 1970.
    pub created_at_ns: i64,
    /// First login of a person or enrolment of an agent, in nanoseconds since 1970.
    pub first_login_at_ns: Option<i64>,
    /// When every source had a complete snapshot, in nanoseconds since 1970.
    pub commissioned_at_ns: Option<i64>,
    /// When it ends or ended, in nanoseconds since 1970.
    pub ended_at_ns: Option<i64>,
    /// Past, present and announced suspensions.
    pub suspensions: Vec<Window<SuspensionReason>>,
    /// Past, present and announced maintenance, of the server and of this subscription.
    pub maintenance: Vec<Window<()>>,
}

impl Subscription {
    /// A subscription that was just ordered.
    pub fn new(subscription: SubscriptionId, form: OrderForm, sources: Vec<Source>, created_at_ns: i64) -> Self {
        Self {
            subscription,
            form,
            sources,
            created_at_ns,
            first_login_at_ns: None,
            commissioned_at_ns: None,
            ended_at_ns: None,
            suspensions: Vec::new(),
            maintenance: Vec::new(),
        }
    }

    /// What its sessions and upkeep jobs are held to.
    pub fn terms(&self) -> Terms {
        let form = &self.form;
        let source = |source: &Source| TermsSource { source: source.source, name: source.name.clone() };
        Terms {
            subscription: self.subscription,
            contracted_bytes: form.contracted_bytes,
            hard_volume_bytes: form.hard_volume_bytes,
            per_mille: form.per_mille,
            min_daily_allowance_bytes: form.min_daily_allowance_bytes,
            policy: form.policy,
            history: form.history.clone(),
            period_h: form.period_h,
            tolerance_h: form.tolerance_h,
            sources: self.sources.iter().map(source).collect(),
            suspensions: self.suspensions.clone(),
            maintenance: self.maintenance.clone(),
            ended_at: self.ended_at_ns.map(moment),
            contact: form.contact.clone(),
        }
    }

    /// Whether it takes backups at `now`.
    pub fn state(&self, now: Timestamp) -> State {
        self.terms().state(now)
    }

    /// Its dates and lengths.
    pub fn term(&self) -> Term {
        let day = |ns: Option<i64>| ns.map(|ns| day_of(moment(ns)));
        self.form.term(day(self.first_login_at_ns), day(self.commissioned_at_ns))
    }
}

const COLUMNS: &str = "id, form, created_at_ns, first_login_at_ns, commissioned_at_ns, ended_at_ns";

impl Control {
    /// Records a checked order form and makes its subscription.
    ///
    /// # Errors
    /// [`ControlError::Exists`] if the reference is taken, [`ControlError::NotFound`] without such a customer.
    pub fn create_subscription(&self, subscription: &Subscription, trace: &Trace) -> Result<(), ControlError> {
        self.write(|transaction| {
            insert(transaction, subscription)?;
            for source in &subscription.sources {
                let ordered = OrderedSource { name: source.name.clone(), kind: source.kind };
                let (id, at_ns) = (&subscription.subscription, subscription.created_at_ns);
                insert_source(transaction, id, (&source.source, &ordered), at_ns)?;
            }
            let (id, object) = (Some(subscription.subscription), &subscription.form.reference);
            audit::append(
                transaction,
                trace,
                &Event { action: Action::CreateSubscription, subscription: id, object, result: "done" },
            )
        })
    }

    /// Every subscription, or those of one customer, by reference.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn subscriptions(&self, customer: Option<&str>) -> Result<Vec<Subscription>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM subscription WHERE ?1 IS NULL OR customer = ?1 ORDER BY reference"
            ))?;
            let mut rows = statement.query([customer])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(subscription_of(transaction, row)?);
            }
            Ok(found)
        })
    }

    /// One subscription.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn subscription(&self, id: &SubscriptionId) -> Result<Option<Subscription>, ControlError> {
        self.read(|transaction| by_id(transaction, id))
    }

    /// The references of all order forms.
    ///
    /// # Errors
    /// SQLite's.
    pub fn references(&self) -> Result<HashMap<SubscriptionId, String>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached("SELECT id, reference FROM subscription")?;
            let rows = statement.query_map([], |row| Ok((SubscriptionId::new(row.get(0)?), row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// One subscription by the reference of its order form.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn subscription_by_reference(&self, reference: &str) -> Result<Option<Subscription>, ControlError> {
        self.read(|transaction| {
            let id = transaction
                .query_row("SELECT id FROM subscription WHERE reference = ?1", [reference], |row| row.get(0))
                .optional()?;
            id.map_or(Ok(None), |id| by_id(transaction, &SubscriptionId::new(id)))
        })
    }

    /// What the sessions of a subscription are held to.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn terms(&self, id: &SubscriptionId) -> Result<Option<Terms>, ControlError> {
        Ok(self.subscription(id)?.map(|subscription| subscription.terms()))
    }
}

impl Control {
    /// Notes when every source had a complete snapshot, from which the commitment runs; a later note changes nothing (B-021).
    ///
    /// # Errors
    /// SQLite's.
    pub fn note_commissioned(&self, id: &SubscriptionId, at_ns: i64) -> Result<(), ControlError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE subscription SET commissioned_at_ns = ?2 WHERE id = ?1 AND commissioned_at_ns IS NULL",
                params![id.as_bytes(), at_ns],
            )?;
            Ok(())
        })
    }

    /// Records when a subscription ends; `None` takes it back while it has not ended.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] without such a subscription.
    pub fn end_subscription(
        &self,
        id: &SubscriptionId,
        ended_at_ns: Option<i64>,
        detail: &str,
        trace: &Trace,
    ) -> Result<(), ControlError> {
        self.write(|transaction| {
            let changed = transaction.execute(
                "UPDATE subscription SET ended_at_ns = ?2 WHERE id = ?1",
                params![id.as_bytes(), ended_at_ns],
            )?;
            if changed == 0 {
                return Err(ControlError::NotFound { what: "subscription" });
            }
            notices::add(transaction, id, "end", detail, trace.at_ns)?;
            let event =
                Event { action: Action::EndSubscription, subscription: Some(*id), object: detail, result: "done" };
            audit::append(transaction, trace, &event)
        })
    }
}

/// Notes the first login of a person or enrolment of an agent; later ones change nothing (B-020).
pub(super) fn note_first_login(
    transaction: &Transaction<'_>,
    id: &SubscriptionId,
    at_ns: i64,
) -> Result<(), ControlError> {
    transaction
        .prepare_cached("UPDATE subscription SET first_login_at_ns = ?2 WHERE id = ?1 AND first_login_at_ns IS NULL")?
        .execute(params![id.as_bytes(), at_ns])?;
    Ok(())
}

fn insert(transaction: &Transaction<'_>, subscription: &Subscription) -> Result<(), ControlError> {
    let form = &subscription.form;
    let customer: bool = transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM customer WHERE reference = ?1)",
        [&form.customer],
        |row| row.get(0),
    )?;
    if !customer {
        return Err(ControlError::NotFound { what: "customer" });
    }
    transaction
        .execute(
            "INSERT INTO subscription (id, reference, customer, form, created_at_ns) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                subscription.subscription.as_bytes(),
                form.reference,
                form.customer,
                stored(form),
                subscription.created_at_ns
            ],
        )
        .map_err(|error| if is_taken(&error) { ControlError::Exists { what: "subscription" } } else { error.into() })?;
    Ok(())
}

pub(super) fn by_id(transaction: &Transaction<'_>, id: &SubscriptionId) -> Result<Option<Subscription>, ControlError> {
    let mut statement = transaction.prepare_cached(&format!("SELECT {COLUMNS} FROM subscription WHERE id = ?1"))?;
    let mut rows = statement.query([id.as_bytes()])?;
    rows.next()?.map_or(Ok(None), |row| subscription_of(transaction, row).map(Some))
}

fn subscription_of(transaction: &Transaction<'_>, row: &Row<'_>) -> Result<Subscription, ControlError> {
    let subscription = SubscriptionId::new(row.get(0)?);
    let sources = sources_of(transaction, &subscription)?;
    let mut form: OrderForm = serde_json::from_str(row.get_ref(1)?.as_str().unwrap_or_default())
        .map_err(|_| ControlError::Damaged { what: "order form" })?;
    form.sources =
        sources.iter().map(|source| OrderedSource { name: source.name.clone(), kind: source.kind }).collect();
    Ok(Subscription {
        subscription,
        form,
        sources,
        created_at_ns: row.get(2)?,
        first_login_at_ns: row.get(3)?,
        commissioned_at_ns: row.get(4)?,
        ended_at_ns: row.get(5)?,
        suspensions: windows::suspensions_of(transaction, &subscription)?,
        maintenance: windows::maintenance_of(transaction, &subscription)?,
    })
}

/// Adds a source that was ordered at `at_ns` to a subscription.
pub(super) fn insert_source(
    transaction: &Transaction<'_>,
    subscription: &SubscriptionId,
    (source, ordered): (&SourceId, &OrderedSource),
    at_ns: i64,
) -> Result<(), ControlError> {
    transaction.execute(
        "INSERT INTO source (id, subscription, name, kind, ordered_at_ns) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![source.as_bytes(), subscription.as_bytes(), ordered.name, ordered.kind.name(), at_ns],
    )?;
    Ok(())
}

/// Replaces the form of a subscription.
pub(super) fn store_form(
    transaction: &Transaction<'_>,
    subscription: &SubscriptionId,
    form: &OrderForm,
) -> Result<(), ControlError> {
    transaction
        .execute("UPDATE subscription SET form = ?2 WHERE id = ?1", params![subscription.as_bytes(), stored(form)])?;
    Ok(())
}

/// An order form as its column holds it.
fn stored(form: &OrderForm) -> String {
    serde_json::to_string(form).expect("strings, numbers and dates are always valid JSON")
}

fn sources_of(transaction: &Transaction<'_>, subscription: &SubscriptionId) -> Result<Vec<Source>, ControlError> {
    let mut statement =
        transaction.prepare_cached("SELECT id, name, kind FROM source WHERE subscription = ?1 ORDER BY rowid")?;
    let mut rows = statement.query([subscription.as_bytes()])?;
    let mut sources = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: String = row.get(2)?;
        let kind = kind.parse().map_err(|_| ControlError::Damaged { what: "source kind" })?;
        sources.push(Source { source: SourceId::new(row.get(0)?), name: row.get(1)?, kind });
    }
    Ok(sources)
}
