//! Amendments of an order form: what changes, whether it shortens the history, whether it grows the scope.
//!
//! It does not store or apply anything by itself. Reference, customer and key mode never change by amendment: they make another
//! subscription.
//!
//! Invariant: the form after a change passes every check that a form passed when it was ordered.

use common::id::SourceId;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::order_form::{HARD_VOLUME_PERCENT, InvalidOrderForm, OrderForm, OrderedSource, Price};
use super::quota::Policy;
use super::retention::History;

/// What an amendment changes; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormChange {
    /// Contracted volume, in bytes; the hard volume follows if it was the default.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub contracted_bytes: Option<u64>,
    /// Volume that is never exceeded, in bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hard_volume_bytes: Option<u64>,
    /// Daily change, in thousandths.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub per_mille: Option<u32>,
    /// Floor of a day's allowance, in bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub min_daily_allowance_bytes: Option<u64>,
    /// What happens above the allowance.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy: Option<Policy>,
    /// How long snapshots are kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub history: Option<History>,
    /// Hours between two complete snapshots of a source.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub period_h: Option<u32>,
    /// Hours beyond which a source is late.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tolerance_h: Option<u32>,
    /// Further sources, with the ids that they get.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub added_sources: Vec<AddedSource>,
    /// All prices.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prices: Option<Vec<Price>>,
    /// Day of the order form's signature.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signed_on: Option<Date>,
    /// Minimum commitment, in months.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub commitment_months: Option<u32>,
    /// Length of each renewal, in months.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub renewal_months: Option<u32>,
    /// Notice before a renewal, in months.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub notice_months: Option<u32>,
    /// Whom a refusal tells to call.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub contact: Option<String>,
}

/// A source that an amendment adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddedSource {
    /// Its id, 32 hexadecimal digits.
    #[serde(with = "id_text")]
    pub source: SourceId,
    /// What is ordered.
    pub ordered: OrderedSource,
}

/// One field before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Its name in the stored form.
    pub field: String,
    /// As it was.
    pub before: Value,
    /// As it will be.
    pub after: Value,
}

/// The key of the text that names a field of the stored form; none if the field is unknown.
pub fn name_key(field: &str) -> Option<&'static str> {
    Some(match field {
        "contracted_bytes" => "admin-head-volume",
        "hard_volume_bytes" => "admin-head-hard-volume",
        "per_mille" => "admin-head-per-mille",
        "min_daily_allowance_bytes" => "admin-head-min-daily",
        "policy" => "admin-head-policy",
        "history" => "admin-head-history-rule",
        "period_h" => "admin-head-period",
        "tolerance_h" => "admin-head-tolerance",
        "key_mode" => "admin-head-key-mode",
        "sources" => "admin-head-sources",
        "prices" => "admin-head-prices",
        "signed_on" => "admin-head-signed",
        "commitment_months" => "admin-head-commitment",
        "renewal_months" => "admin-head-renewal",
        "notice_months" => "admin-head-notice",
        "contact" => "admin-head-contact",
        _ => return None,
    })
}

impl FormChange {
    /// The form with the change, completed and checked.
    ///
    /// # Errors
    /// The first field that the contract does not allow.
    pub fn apply(&self, form: &OrderForm) -> Result<OrderForm, InvalidOrderForm> {
        let was_default = form.hard_volume_bytes == default_hard_volume(form.contracted_bytes);
        let follows = self.contracted_bytes.is_some() && was_default;
        let mut after = form.clone();
        set(&mut after.contracted_bytes, self.contracted_bytes);
        set(&mut after.hard_volume_bytes, self.hard_volume_bytes.or(follows.then_some(0)));
        set(&mut after.per_mille, self.per_mille);
        set(&mut after.min_daily_allowance_bytes, self.min_daily_allowance_bytes);
        set(&mut after.policy, self.policy);
        set(&mut after.history, self.history.clone());
        set(&mut after.period_h, self.period_h);
        set(&mut after.tolerance_h, self.tolerance_h);
        set(&mut after.prices, self.prices.clone());
        set(&mut after.signed_on, self.signed_on.map(Some));
        set(&mut after.commitment_months, self.commitment_months);
        set(&mut after.renewal_months, self.renewal_months);
        set(&mut after.notice_months, self.notice_months);
        set(&mut after.contact, self.contact.clone());
        after.sources.extend(self.added_sources.iter().map(|added| added.ordered.clone()));
        after.complete()
    }

    /// True if snapshots would go earlier than before: fewer days, or other rules of thinning.
    pub fn shortens_history(&self, form: &OrderForm) -> bool {
        let shorter = |after: &History| {
            after.days < form.history.days || (!after.thinning.is_empty() && after.thinning != form.history.thinning)
        };
        self.history.as_ref().is_some_and(shorter)
    }

    /// True if volume, history or frequency grow: a new price is due (B-301).
    pub fn grows(&self, form: &OrderForm) -> bool {
        self.contracted_bytes.is_some_and(|bytes| bytes > form.contracted_bytes)
            || self.history.as_ref().is_some_and(|history| history.days > form.history.days)
            || self.period_h.is_some_and(|hours| hours < form.period_h)
    }

    /// The fields that differ, in the order of the form.
    pub fn fields(before: &OrderForm, after: &OrderForm) -> Vec<FieldChange> {
        let (Value::Object(before), Value::Object(mut after)) = (value(before), value(after)) else {
            return Vec::new();
        };
        let changed = |(field, before): (String, Value)| {
            let after = after.remove(&field).unwrap_or_default();
            (before != after).then_some(FieldChange { field, before, after })
        };
        before.into_iter().filter_map(changed).collect()
    }
}

fn value(form: &OrderForm) -> Value {
    serde_json::to_value(form).expect("strings, numbers and dates are always valid JSON")
}

fn set<T>(field: &mut T, change: Option<T>) {
    if let Some(change) = change {
        *field = change;
    }
}

fn default_hard_volume(contracted_bytes: u64) -> u64 {
    contracted_bytes / 100 * HARD_VOLUME_PERCENT + contracted_bytes % 100 * HARD_VOLUME_PERCENT / 100
}

/// An id is stored as its text.
mod id_text {
    use common::id::SourceId;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &SourceId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SourceId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|_| D::Error::custom("an id has 32 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::retention::{Period, Thinning};
    use super::*;
    use common::source_kind::SourceKind;

    fn form() -> OrderForm {
        let form = OrderForm {
            reference: "BC-1".into(),
            customer: "acme".into(),
            contracted_bytes: 500_000_000_000,
            history: History { days: 90, thinning: Vec::new() },
            sources: vec![OrderedSource { name: "bureautique".into(), kind: SourceKind::Files }],
            ..OrderForm::default()
        };
        form.complete().unwrap()
    }

    #[test]
    fn only_what_changes_is_told_before_and_after() {
        let added = AddedSource {
            source: SourceId::new([7; 16]),
            ordered: OrderedSource { name: "compta".into(), kind: SourceKind::Mysql },
        };
        let change = FormChange {
            contracted_bytes: Some(1_000_000_000_000),
            added_sources: vec![added],
            ..FormChange::default()
        };
        let after = change.apply(&form()).unwrap();
        let fields = FormChange::fields(&form(), &after);
        let names: Vec<&str> = fields.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(names, ["contracted_bytes", "hard_volume_bytes", "sources"]);
        assert_eq!((&fields[1].before, &fields[1].after), (&550_000_000_000u64.into(), &1_100_000_000_000u64.into()));
        assert!(change.grows(&form()) && !change.shortens_history(&form()));
        let stored = serde_json::to_string(&change).unwrap();
        assert_eq!(
            stored,
            concat!(
                r#"{"contracted_bytes":1000000000000,"added_sources":[{"source":"07070707070707070707070707070707","#,
                r#""ordered":{"name":"compta","kind":"mysql"}}]}"#
            )
        );
        assert_eq!(serde_json::from_str::<FormChange>(&stored).unwrap(), change);
    }

    #[test]
    fn a_hard_volume_of_its_own_does_not_follow() {
        let own = FormChange { hard_volume_bytes: Some(600_000_000_000), ..FormChange::default() };
        let form = own.apply(&form()).unwrap();
        let volume = |bytes| FormChange { contracted_bytes: Some(bytes), ..FormChange::default() }.apply(&form);
        assert_eq!(volume(550_000_000_000).unwrap().hard_volume_bytes, 600_000_000_000);
        assert_eq!(volume(700_000_000_000).unwrap_err().field, "hard_volume_bytes");
    }

    #[test]
    fn fewer_days_and_thinning_shorten_the_history() {
        let week = Thinning { every: Period::Week, days: 60 };
        let history = |days, thinning: &[Thinning]| FormChange {
            history: Some(History { days, thinning: thinning.to_vec() }),
            ..FormChange::default()
        };
        for (change, shortens, grows) in [
            (history(89, &[]), true, false),
            (history(90, &[]), false, false),
            (history(91, &[]), false, true),
            (history(91, &[week]), true, true),
            (FormChange { period_h: Some(12), ..FormChange::default() }, false, true),
            (FormChange { period_h: Some(48), ..FormChange::default() }, false, false),
            (FormChange { policy: Some(Policy::Defer), ..FormChange::default() }, false, false),
        ] {
            assert_eq!((change.shortens_history(&form()), change.grows(&form())), (shortens, grows), "{change:?}");
        }
    }
}
