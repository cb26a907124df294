//! The networks that an operator may call from: an optional list per account.
//!
//! Invariant: an operator without a list may call from anywhere; one with a list from nowhere else, whatever the password.

use std::net::IpAddr;

use ipnet::IpNet;
use rusqlite::{Transaction, params};

use super::audit::{self, Action, Event, Trace};
use super::{Control, ControlError};

/// The statements of this table.
pub(super) const TABLES: &str = "
CREATE TABLE operator_network (
  identifier TEXT NOT NULL REFERENCES account,
  network TEXT NOT NULL,
  PRIMARY KEY (identifier, network)
) STRICT, WITHOUT ROWID;
";

impl Control {
    /// The networks of an operator; none means anywhere.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn networks(&self, identifier: &str) -> Result<Vec<IpNet>, ControlError> {
        self.read(|transaction| networks_of(transaction, identifier))
    }

    /// Replaces the networks of an operator.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] without such an operator.
    pub fn set_networks(&self, identifier: &str, networks: &[IpNet], trace: &Trace) -> Result<(), ControlError> {
        self.write(|transaction| {
            let known: bool = transaction.query_row(
                "SELECT EXISTS (SELECT 1 FROM account WHERE identifier = ?1 AND subscription IS NULL)",
                [identifier],
                |row| row.get(0),
            )?;
            if !known {
                return Err(ControlError::NotFound { what: "account" });
            }
            transaction.execute("DELETE FROM operator_network WHERE identifier = ?1", [identifier])?;
            for network in networks {
                transaction.execute(
                    "INSERT OR IGNORE INTO operator_network (identifier, network) VALUES (?1, ?2)",
                    params![identifier, network.trunc().to_string()],
                )?;
            }
            let list: Vec<String> = networks.iter().map(|network| network.trunc().to_string()).collect();
            let object = format!("{identifier} [{}]", list.join(" "));
            let event = Event { action: Action::SetNetworks, subscription: None, object: &object, result: "done" };
            audit::append(transaction, trace, &event)
        })
    }
}

/// True if an operator with these networks may call from `address`.
pub fn admits(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.is_empty() || networks.iter().any(|network| network.contains(&address))
}

fn networks_of(transaction: &Transaction<'_>, identifier: &str) -> Result<Vec<IpNet>, ControlError> {
    let mut statement =
        transaction.prepare_cached("SELECT network FROM operator_network WHERE identifier = ?1 ORDER BY network")?;
    let mut rows = statement.query([identifier])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        found.push(text.parse().map_err(|_| ControlError::Damaged { what: "network" })?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_admits_its_networks_only_and_no_list_admits_all() {
        let networks: Vec<IpNet> = ["192.0.2.0/24", "2001:db8::/32"].map(|text| text.parse().unwrap()).to_vec();
        for (address, admitted) in [
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("192.0.3.7", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
            ("127.0.0.1", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(admits(&networks, address), admitted, "{address}");
            assert!(admits(&[], address));
        }
    }
}
