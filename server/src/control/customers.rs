//! Customers: the legal entities that sign order forms.

use rusqlite::params;

use super::audit::{self, Action, Event, Trace};
use super::{Control, ControlError, is_taken};

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// Chosen by the operator, unique.
    pub reference: String,
    /// As people call it.
    pub name: String,
    /// When it was recorded, in nanoseconds since 1970.
    pub created_at_ns: i64,
}

impl Control {
    /// Records a customer.
    ///
    /// # Errors
    /// [`ControlError::Exists`] if the reference is taken.
    pub fn create_customer(&self, customer: &Customer, trace: &Trace) -> Result<(), ControlError> {
        self.write(|transaction| {
            transaction
                .execute(
                    "INSERT INTO customer (reference, name, created_at_ns) VALUES (?1, ?2, ?3)",
                    params![customer.reference, customer.name, customer.created_at_ns],
                )
                .map_err(
                    |error| if is_taken(&error) { ControlError::Exists { what: "customer" } } else { error.into() },
                )?;
            let object = &customer.reference;
            audit::append(
                transaction,
                trace,
                &Event { action: Action::CreateCustomer, subscription: None, object, result: "done" },
            )
        })
    }

    /// Every customer, by reference.
    ///
    /// # Errors
    /// SQLite's.
    pub fn customers(&self) -> Result<Vec<Customer>, ControlError> {
        self.read(|transaction| {
            let mut statement =
                transaction.prepare_cached("SELECT reference, name, created_at_ns FROM customer ORDER BY reference")?;
            let rows = statement.query_map([], |row| {
                Ok(Customer { reference: row.get(0)?, name: row.get(1)?, created_at_ns: row.get(2)? })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// One customer.
    ///
    /// # Errors
    /// SQLite's.
    pub fn customer(&self, reference: &str) -> Result<Option<Customer>, ControlError> {
        Ok(self.customers()?.into_iter().find(|customer| customer.reference == reference))
    }
}
