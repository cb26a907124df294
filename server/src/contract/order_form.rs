//! The order form (bon de commande): what an operator writes, checked and completed with the contract's defaults.
//!
//! It does not store anything; amendments and prices are other modules'.

use common::source_kind::SourceKind;

/// Daily change rate of the contract, in thousandths.
pub const PER_MILLE_DEFAULT: u32 = 2;
/// Hard volume in hundredths of the contracted volume, unless the order form says otherwise.
pub const HARD_VOLUME_PERCENT: u64 = 110;
/// Most sources of one order form.
pub const SOURCES_MAX: usize = 256;
/// Longest history, in days.
pub const HISTORY_DAYS_MAX: u32 = 3_660;
/// Largest volume, in bytes: 1 exabyte.
pub const VOLUME_BYTES_MAX: u64 = 1_000_000_000_000_000_000;
/// Longest reference or name, in characters.
pub const NAME_CHARS_MAX: usize = 100;

/// Who can read what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMode {
    /// The customer alone.
    CustomerHeld,
    /// The provider too.
    ProviderHeld,
}

impl KeyMode {
    /// The name used in records and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CustomerHeld => "customer_held",
            Self::ProviderHeld => "provider_held",
        }
    }

    /// The mode of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::CustomerHeld, Self::ProviderHeld].into_iter().find(|mode| mode.name() == name)
    }
}

/// A source as ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderedSource {
    /// Its name, unique on the order form.
    pub name: String,
    /// Its kind.
    pub kind: SourceKind,
}

/// What an operator ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderForm {
    /// Unique reference.
    pub reference: String,
    /// Reference of the customer.
    pub customer: String,
    /// Contracted volume, in bytes.
    pub contracted_bytes: u64,
    /// History, in days.
    pub history_days: u32,
    /// Daily change, in thousandths of the first backup.
    pub per_mille: u32,
    /// Volume that is never exceeded, in bytes.
    pub hard_volume_bytes: u64,
    /// Who can read.
    pub key_mode: KeyMode,
    /// What may be backed up.
    pub sources: Vec<OrderedSource>,
    /// Whom a refusal tells to call.
    pub contact: String,
}

/// An order form that the contract does not allow: which field, and a stable English word for what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("order form field {field}: {reason}")]
pub struct InvalidOrderForm {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl OrderForm {
    /// Puts the contract's defaults where the operator left a zero, and checks everything.
    ///
    /// # Errors
    /// The first field that is not allowed.
    pub fn complete(mut self) -> Result<Self, InvalidOrderForm> {
        if self.per_mille == 0 {
            self.per_mille = PER_MILLE_DEFAULT;
        }
        let wrong = |field, reason| Err(InvalidOrderForm { field, reason });
        if !is_name(&self.reference) {
            return wrong("reference", "name");
        }
        if self.contracted_bytes == 0 || self.contracted_bytes > VOLUME_BYTES_MAX {
            return wrong("contracted_bytes", "range");
        }
        if self.history_days == 0 || self.history_days > HISTORY_DAYS_MAX {
            return wrong("history_days", "range");
        }
        if self.per_mille > 1_000 {
            return wrong("per_mille", "range");
        }
        if self.hard_volume_bytes == 0 {
            self.hard_volume_bytes = self.contracted_bytes / 100 * HARD_VOLUME_PERCENT
                + self.contracted_bytes % 100 * HARD_VOLUME_PERCENT / 100;
        }
        if self.hard_volume_bytes < self.contracted_bytes || self.hard_volume_bytes > 2 * VOLUME_BYTES_MAX {
            return wrong("hard_volume_bytes", "range");
        }
        if self.contact.chars().count() > NAME_CHARS_MAX || self.contact.chars().any(char::is_control) {
            return wrong("contact", "name");
        }
        if self.sources.is_empty() || self.sources.len() > SOURCES_MAX {
            return wrong("sources", "count");
        }
        for (at, source) in self.sources.iter().enumerate() {
            if !is_name(&source.name) {
                return wrong("sources", "name");
            }
            if self.sources[..at].iter().any(|other| other.name == source.name) {
                return wrong("sources", "duplicate");
            }
        }
        Ok(self)
    }
}

/// True for a reference or name that can be shown, pasted and compared: no control character, no space at its ends.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.chars().count() <= NAME_CHARS_MAX
        && text.trim() == text
        && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> OrderForm {
        OrderForm {
            reference: "BC-1".into(),
            customer: "acme".into(),
            contracted_bytes: 500_000_000_000,
            history_days: 30,
            per_mille: 0,
            hard_volume_bytes: 0,
            key_mode: KeyMode::CustomerHeld,
            sources: vec![OrderedSource { name: "bureautique".into(), kind: SourceKind::Files }],
            contact: "01 02 03 04 05".into(),
        }
    }

    #[test]
    fn zeros_become_the_contract_defaults() {
        let complete = form().complete().unwrap();
        assert_eq!(complete.per_mille, 2);
        assert_eq!(complete.hard_volume_bytes, 550_000_000_000);
        let odd = OrderForm { contracted_bytes: 101, ..form() }.complete().unwrap();
        assert_eq!(odd.hard_volume_bytes, 111);
    }

    #[test]
    fn what_the_contract_does_not_allow_is_refused_by_field() {
        let twice = vec![form().sources[0].clone(), form().sources[0].clone()];
        let rows: [(OrderForm, &str); 8] = [
            (OrderForm { reference: " BC".into(), ..form() }, "reference"),
            (OrderForm { contracted_bytes: 0, ..form() }, "contracted_bytes"),
            (OrderForm { contracted_bytes: u64::MAX, ..form() }, "contracted_bytes"),
            (OrderForm { history_days: 0, ..form() }, "history_days"),
            (OrderForm { per_mille: 1_001, ..form() }, "per_mille"),
            (OrderForm { hard_volume_bytes: 1, ..form() }, "hard_volume_bytes"),
            (OrderForm { sources: vec![], ..form() }, "sources"),
            (OrderForm { sources: twice, ..form() }, "sources"),
        ];
        for (form, field) in rows {
            assert_eq!(form.complete().map_err(|error| error.field), Err(field));
        }
    }
}
