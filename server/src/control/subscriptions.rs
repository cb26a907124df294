//! Subscriptions as their order forms made them, and the terms that sessions are held to.

use common::id::{SourceId, SubscriptionId};
use common::source_kind::SourceKind;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::audit::{self, Action, Event, Trace};
use super::{Control, ControlError, integer, is_taken, unsigned};
use crate::contract::order_form::{KeyMode, OrderForm, OrderedSource};
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
    /// What was ordered.
    pub form: OrderForm,
    /// The ordered sources with their ids, in order.
    pub sources: Vec<Source>,
    /// Whether it takes backups.
    pub state: State,
    /// When it was made, in nanoseconds since 1970.
    pub created_at_ns: i64,
}

const COLUMNS: &str = "id, reference, customer, contracted_bytes, hard_volume_bytes, per_mille, history_days, key_mode, \
                       contact, state, created_at_ns";

impl Control {
    /// Records a checked order form and makes its subscription.
    ///
    /// # Errors
    /// [`ControlError::Exists`] if the reference is taken, [`ControlError::NotFound`] without such a customer.
    pub fn create_subscription(&self, subscription: &Subscription, trace: &Trace) -> Result<(), ControlError> {
        self.write(|transaction| {
            insert(transaction, subscription)?;
            for source in &subscription.sources {
                transaction.execute(
                    "INSERT INTO source (id, subscription, name, kind) VALUES (?1, ?2, ?3, ?4)",
                    params![
                        source.source.as_bytes(),
                        subscription.subscription.as_bytes(),
                        source.name,
                        source.kind.name()
                    ],
                )?;
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
        Ok(self.subscription(id)?.map(|subscription| Terms {
            subscription: subscription.subscription,
            contracted_bytes: subscription.form.contracted_bytes,
            hard_volume_bytes: subscription.form.hard_volume_bytes,
            per_mille: subscription.form.per_mille,
            history_days: subscription.form.history_days,
            sources: subscription
                .sources
                .into_iter()
                .map(|source| TermsSource { source: source.source, name: source.name })
                .collect(),
            state: subscription.state,
            contact: subscription.form.contact,
        }))
    }
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
            &format!("INSERT INTO subscription ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"),
            params![
                subscription.subscription.as_bytes(),
                form.reference,
                form.customer,
                integer(form.contracted_bytes),
                integer(form.hard_volume_bytes),
                form.per_mille,
                form.history_days,
                form.key_mode.name(),
                form.contact,
                state_name(subscription.state),
                subscription.created_at_ns,
            ],
        )
        .map_err(|error| if is_taken(&error) { ControlError::Exists { what: "subscription" } } else { error.into() })?;
    Ok(())
}

fn by_id(transaction: &Transaction<'_>, id: &SubscriptionId) -> Result<Option<Subscription>, ControlError> {
    let mut statement = transaction.prepare_cached(&format!("SELECT {COLUMNS} FROM subscription WHERE id = ?1"))?;
    let mut rows = statement.query([id.as_bytes()])?;
    rows.next()?.map_or(Ok(None), |row| subscription_of(transaction, row).map(Some))
}

fn subscription_of(transaction: &Transaction<'_>, row: &Row<'_>) -> Result<Subscription, ControlError> {
    let subscription = SubscriptionId::new(row.get(0)?);
    let sources = sources_of(transaction, &subscription)?;
    let form = OrderForm {
        reference: row.get(1)?,
        customer: row.get(2)?,
        contracted_bytes: unsigned("volume", row.get(3)?)?,
        hard_volume_bytes: unsigned("volume", row.get(4)?)?,
        per_mille: row.get(5)?,
        history_days: row.get(6)?,
        key_mode: KeyMode::from_name(row.get_ref(7)?.as_str().unwrap_or_default())
            .ok_or(ControlError::Damaged { what: "key mode" })?,
        contact: row.get(8)?,
        sources: sources.iter().map(|source| OrderedSource { name: source.name.clone(), kind: source.kind }).collect(),
    };
    let state = state_of(row.get_ref(9)?.as_str().unwrap_or_default())?;
    Ok(Subscription { subscription, form, sources, state, created_at_ns: row.get(10)? })
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

const fn state_name(state: State) -> &'static str {
    match state {
        State::Active => "active",
        State::Suspended => "suspended",
        State::Ended => "ended",
    }
}

fn state_of(name: &str) -> Result<State, ControlError> {
    [State::Active, State::Suspended, State::Ended]
        .into_iter()
        .find(|state| state_name(*state) == name)
        .ok_or(ControlError::Damaged { what: "subscription state" })
}
