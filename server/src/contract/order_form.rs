//! The order form (bon de commande): what an operator writes, checked and completed with the contract's defaults.
//!
//! It does not store anything, and it does not compute with prices: they are printed as they were given.

use common::source_kind::SourceKind;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::quota::Policy;
use super::retention::History;
use super::term::Term;

/// Daily change rate of the contract, in thousandths.
pub const PER_MILLE_DEFAULT: u32 = 2;
/// Hard volume in hundredths of the contracted volume, unless the order form says otherwise.
pub const HARD_VOLUME_PERCENT: u64 = 110;
/// Hours between two backups of a source, unless the order form says otherwise.
pub const PERIOD_H_DEFAULT: u32 = 24;
/// Hours beyond the period after which a source is late, unless the order form says otherwise.
pub const TOLERANCE_H_DEFAULT: u32 = 2;
/// Minimum commitment in months, unless the order form says otherwise.
pub const COMMITMENT_MONTHS_DEFAULT: u32 = 36;
/// Notice before a renewal in months, unless the order form says otherwise.
pub const NOTICE_MONTHS_DEFAULT: u32 = 6;
/// Most sources of one order form.
pub const SOURCES_MAX: usize = 256;
/// Most prices of one order form.
pub const PRICES_MAX: usize = 64;
/// Most rules of thinning.
pub const THINNING_MAX: usize = 5;
/// Longest history, in days.
pub const HISTORY_DAYS_MAX: u32 = 3_660;
/// Longest period or tolerance, in hours.
pub const HOURS_MAX: u32 = 24 * 366;
/// Longest commitment, renewal or notice, in months.
pub const MONTHS_MAX: u32 = 240;
/// Largest volume, in bytes: 1 exabyte.
pub const VOLUME_BYTES_MAX: u64 = 1_000_000_000_000_000_000;
/// Largest price, in cents.
pub const CENTS_MAX: u64 = 100_000_000_000;
/// Longest reference or name, in characters.
pub const NAME_CHARS_MAX: usize = 100;

/// Who can read what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyMode {
    /// The customer alone.
    #[default]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderedSource {
    /// Its name, unique on the order form.
    pub name: String,
    /// Its kind.
    #[serde(with = "kind_name")]
    pub kind: SourceKind,
}

/// A price, excluding VAT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// What is charged.
    pub label: String,
    /// Integer cents.
    pub cents: u64,
    /// Per what, for example `mois` or `Go et par mois`; empty for once.
    pub per: String,
}

/// What an operator ordered; zeros stand for the contract's defaults until it is completed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderForm {
    /// Unique reference.
    pub reference: String,
    /// Reference of the customer.
    pub customer: String,
    /// Contracted volume, in bytes.
    pub contracted_bytes: u64,
    /// Volume that is never exceeded, in bytes.
    pub hard_volume_bytes: u64,
    /// Daily change, in thousandths of the first backup.
    pub per_mille: u32,
    /// Floor of a day's allowance, in bytes.
    pub min_daily_allowance_bytes: u64,
    /// What happens above the allowance.
    pub policy: Policy,
    /// How long snapshots are kept.
    pub history: History,
    /// Hours between two complete snapshots of a source.
    pub period_h: u32,
    /// Hours beyond which a source is late.
    pub tolerance_h: u32,
    /// Who can read.
    pub key_mode: KeyMode,
    /// What may be backed up.
    pub sources: Vec<OrderedSource>,
    /// Prices, in the order in which they are printed.
    pub prices: Vec<Price>,
    /// Day of the signature.
    pub signed_on: Option<Date>,
    /// Minimum commitment, in months.
    pub commitment_months: u32,
    /// Length of each renewal, in months.
    pub renewal_months: u32,
    /// Notice before a renewal, in months.
    pub notice_months: u32,
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
        let default = |field: &mut u32, value: u32| {
            if *field == 0 {
                *field = value;
            }
        };
        default(&mut self.per_mille, PER_MILLE_DEFAULT);
        default(&mut self.period_h, PERIOD_H_DEFAULT);
        default(&mut self.tolerance_h, TOLERANCE_H_DEFAULT);
        default(&mut self.commitment_months, COMMITMENT_MONTHS_DEFAULT);
        default(&mut self.renewal_months, self.commitment_months);
        default(&mut self.notice_months, NOTICE_MONTHS_DEFAULT);
        if self.hard_volume_bytes == 0 && self.contracted_bytes <= VOLUME_BYTES_MAX {
            self.hard_volume_bytes = self.contracted_bytes / 100 * HARD_VOLUME_PERCENT
                + self.contracted_bytes % 100 * HARD_VOLUME_PERCENT / 100;
        }
        self.check_ranges()?;
        self.check_texts()?;
        self.check_sources()?;
        Ok(self)
    }

    fn check_ranges(&self) -> Result<(), InvalidOrderForm> {
        let hard = self.contracted_bytes..=2 * VOLUME_BYTES_MAX;
        let rows = [
            ("contracted_bytes", (1..=VOLUME_BYTES_MAX).contains(&self.contracted_bytes)),
            ("hard_volume_bytes", hard.contains(&self.hard_volume_bytes)),
            ("min_daily_allowance_bytes", self.min_daily_allowance_bytes <= self.contracted_bytes),
            ("history_days", (1..=HISTORY_DAYS_MAX).contains(&self.history.days)),
            ("thinning", self.is_thinning_possible()),
            ("per_mille", self.per_mille <= 1_000),
            ("period_h", self.period_h <= HOURS_MAX),
            ("tolerance_h", self.tolerance_h <= HOURS_MAX),
            ("commitment_months", self.commitment_months <= MONTHS_MAX),
            ("renewal_months", self.renewal_months <= MONTHS_MAX),
            ("notice_months", self.notice_months <= self.commitment_months),
        ];
        match rows.into_iter().find(|(_, allowed)| !allowed) {
            Some((field, _)) => Err(InvalidOrderForm { field, reason: "range" }),
            None => Ok(()),
        }
    }

    /// Each period once, and no rule that reaches beyond the history.
    fn is_thinning_possible(&self) -> bool {
        let rules = &self.history.thinning;
        let once = |at: usize| rules[..at].iter().all(|other| other.every != rules[at].every);
        rules.len() <= THINNING_MAX
            && rules.iter().enumerate().all(|(at, rule)| once(at) && (1..=self.history.days).contains(&rule.days))
    }

    fn check_texts(&self) -> Result<(), InvalidOrderForm> {
        let line = |text: &str| text.is_empty() || is_name(text);
        let price = |price: &Price| is_name(&price.label) && line(&price.per) && price.cents <= CENTS_MAX;
        let wrong = |field, reason| Err(InvalidOrderForm { field, reason });
        if !is_name(&self.reference) {
            wrong("reference", "name")
        } else if !line(&self.contact) {
            wrong("contact", "name")
        } else if self.prices.len() > PRICES_MAX {
            wrong("prices", "count")
        } else if !self.prices.iter().all(price) {
            wrong("prices", "range")
        } else {
            Ok(())
        }
    }

    fn check_sources(&self) -> Result<(), InvalidOrderForm> {
        let wrong = |reason| Err(InvalidOrderForm { field: "sources", reason });
        if self.sources.is_empty() || self.sources.len() > SOURCES_MAX {
            return wrong("count");
        }
        for (at, source) in self.sources.iter().enumerate() {
            if !is_name(&source.name) {
                return wrong("name");
            }
            if self.sources[..at].iter().any(|other| other.name == source.name) {
                return wrong("duplicate");
            }
        }
        Ok(())
    }

    /// Its term, with the two dates that the service itself finds out.
    pub fn term(&self, first_login: Option<Date>, commissioned: Option<Date>) -> Term {
        let months = |months: u32| i32::try_from(months).unwrap_or(i32::MAX / 64);
        Term {
            signed: self.signed_on,
            first_login,
            commissioned,
            commitment_months: months(self.commitment_months),
            renewal_months: months(self.renewal_months),
            notice_months: months(self.notice_months),
        }
    }
}

/// A kind is stored under its name.
mod kind_name {
    use common::source_kind::SourceKind;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(kind: &SourceKind, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(kind.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SourceKind, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
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
    use super::super::retention::{Period, Thinning};
    use super::*;

    fn form() -> OrderForm {
        OrderForm {
            reference: "BC-1".into(),
            customer: "acme".into(),
            contracted_bytes: 500_000_000_000,
            history: History { days: 30, thinning: Vec::new() },
            sources: vec![OrderedSource { name: "bureautique".into(), kind: SourceKind::Files }],
            prices: vec![Price { label: "Forfait".into(), cents: 4_990, per: "mois".into() }],
            contact: "01 02 03 04 05".into(),
            ..OrderForm::default()
        }
    }

    #[test]
    fn zeros_become_the_contract_defaults() {
        let complete = form().complete().unwrap();
        assert_eq!((complete.per_mille, complete.period_h, complete.tolerance_h), (2, 24, 2));
        assert_eq!((complete.commitment_months, complete.renewal_months, complete.notice_months), (36, 36, 6));
        assert_eq!(complete.hard_volume_bytes, 550_000_000_000);
        let odd = OrderForm { contracted_bytes: 101, ..form() }.complete().unwrap();
        assert_eq!(odd.hard_volume_bytes, 111);
        let year = OrderForm { commitment_months: 12, ..form() }.complete().unwrap();
        assert_eq!(year.renewal_months, 12);
    }

    #[test]
    fn what_the_contract_does_not_allow_is_refused_by_field() {
        let twice = vec![form().sources[0].clone(), form().sources[0].clone()];
        let thinning = |rules: &[(Period, u32)]| History {
            days: 30,
            thinning: rules.iter().map(|(every, days)| Thinning { every: *every, days: *days }).collect(),
        };
        let free = vec![Price { label: String::new(), cents: 1, per: String::new() }];
        let rows: [(OrderForm, &str); 15] = [
            (OrderForm { reference: " BC".into(), ..form() }, "reference"),
            (OrderForm { contracted_bytes: 0, ..form() }, "contracted_bytes"),
            (OrderForm { contracted_bytes: u64::MAX, ..form() }, "contracted_bytes"),
            (OrderForm { history: History { days: 0, thinning: Vec::new() }, ..form() }, "history_days"),
            (OrderForm { history: thinning(&[(Period::Day, 31)]), ..form() }, "thinning"),
            (OrderForm { history: thinning(&[(Period::Day, 7), (Period::Day, 9)]), ..form() }, "thinning"),
            (OrderForm { per_mille: 1_001, ..form() }, "per_mille"),
            (OrderForm { hard_volume_bytes: 1, ..form() }, "hard_volume_bytes"),
            (OrderForm { min_daily_allowance_bytes: u64::MAX, ..form() }, "min_daily_allowance_bytes"),
            (OrderForm { period_h: u32::MAX, ..form() }, "period_h"),
            (OrderForm { notice_months: 37, ..form() }, "notice_months"),
            (OrderForm { prices: free, ..form() }, "prices"),
            (OrderForm { contact: "a\nb".into(), ..form() }, "contact"),
            (OrderForm { sources: vec![], ..form() }, "sources"),
            (OrderForm { sources: twice, ..form() }, "sources"),
        ];
        for (form, field) in rows {
            assert_eq!(form.complete().map_err(|error| error.field), Err(field));
        }
    }

    #[test]
    fn the_stored_form_keeps_its_shape() {
        let form = OrderForm {
            history: History { days: 90, thinning: vec![Thinning { every: Period::Week, days: 60 }] },
            signed_on: Some(jiff::civil::date(2026, 11, 22)),
            ..form()
        };
        let form = form.complete().unwrap();
        let stored = serde_json::to_string(&form).unwrap();
        assert_eq!(
            stored,
            concat!(
                r#"{"reference":"BC-1","customer":"acme","contracted_bytes":500000000000,"hard_volume_bytes":550000000000,"#,
                r#""per_mille":2,"min_daily_allowance_bytes":0,"policy":"flag","#,
                r#""history":{"days":90,"thinning":[{"every":"week","days":60}]},"period_h":24,"tolerance_h":2,"#,
                r#""key_mode":"customer_held","sources":[{"name":"bureautique","kind":"files"}],"#,
                r#""prices":[{"label":"Forfait","cents":4990,"per":"mois"}],"signed_on":"2026-11-22","#,
                r#""commitment_months":36,"renewal_months":36,"notice_months":6,"contact":"01 02 03 04 05"}"#
            )
        );
        assert_eq!(serde_json::from_str::<OrderForm>(&stored).unwrap(), form);
    }
}
