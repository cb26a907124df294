//! What an amendment changes, in words: the name of each field and its value before and after.
//!
//! It reads the stored form's own names and values; one that it does not know is shown as it is.
//!
//! Invariant: two values that differ are shown differently.

use common::text::Texts;
use proto::v1;
use serde_json::Value;

use super::annex::price_row;
use crate::contract::amendment::name_key;

/// A field's name for people.
pub fn name(texts: Texts, field: &str) -> String {
    name_key(field).map_or_else(|| field.to_owned(), |key| texts.say(key))
}

/// A field's value for people, from its JSON in the stored form.
pub fn value(texts: Texts, field: &str, json: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(json) else { return json.to_owned() };
    match (field, &value) {
        (_, Value::Null) => "—".to_owned(),
        (_, Value::String(text)) if text.is_empty() => "—".to_owned(),
        (_, Value::Number(number)) => {
            number.as_u64().map_or_else(|| json.to_owned(), |count| figure(texts, field, count))
        }
        ("policy", Value::String(name)) => texts.say(&format!("policy-{name}")),
        ("signed_on", Value::String(day)) => day.parse().map_or_else(|_| day.clone(), |day| texts.day(day)),
        (_, Value::String(text)) => text.clone(),
        ("sources", Value::Array(sources)) => joined(sources, |source| named_source(texts, source)),
        ("prices", Value::Array(prices)) => joined(prices, |price| named_price(texts, price)),
        ("history", Value::Object(_)) => history(texts, &value),
        _ => json.to_owned(),
    }
}

fn figure(texts: Texts, field: &str, count: u64) -> String {
    match field {
        "per_mille" => texts.percent(count, 1_000),
        "period_h" | "tolerance_h" => texts.duration(count.saturating_mul(3_600_000)),
        _ if field.ends_with("_bytes") => texts.size(count),
        _ if field.ends_with("_months") => texts.say_with("annex-months", &[("months", count.into())]),
        _ => texts.integer(count),
    }
}

fn joined(items: &[Value], word: impl Fn(&Value) -> String) -> String {
    if items.is_empty() { "—".to_owned() } else { items.iter().map(word).collect::<Vec<_>>().join(", ") }
}

fn named_source(texts: Texts, source: &Value) -> String {
    let (name, kind) = (text(source, "name"), text(source, "kind"));
    if kind.is_empty() {
        return name;
    }
    format!("{name} ({})", texts.say(&format!("source-kind-{}", kind.replace('_', "-"))))
}

fn named_price(texts: Texts, price: &Value) -> String {
    let cents = price["cents"].as_u64().unwrap_or_default();
    let (label, amount) = price_row(texts, &v1::Price { label: text(price, "label"), cents, per: text(price, "per") });
    format!("{label} {amount}")
}

fn history(texts: Texts, value: &Value) -> String {
    let days = |value: &Value| value["days"].as_u64().unwrap_or_default();
    let mut parts = vec![texts.say_with("amended-days", &[("days", days(value).into())])];
    for rule in value["thinning"].as_array().into_iter().flatten() {
        let every = texts.say(&format!("thinning-{}", text(rule, "every")));
        let days = texts.integer(days(rule));
        parts.push(texts.say_with("annex-thinning", &[("every", every.into()), ("days", days.into())]));
    }
    parts.join(", ")
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::amendment::FormChange;
    use crate::contract::order_form::{OrderForm, OrderedSource, Price};
    use crate::contract::quota::Policy;
    use crate::contract::retention::{History, Period, Thinning};
    use common::source_kind::SourceKind;

    #[test]
    fn every_change_of_a_form_can_be_seen_in_words() {
        let before = OrderForm {
            reference: "BC-1".into(),
            customer: "acme".into(),
            contracted_bytes: 500_000_000_000,
            history: History { days: 30, thinning: Vec::new() },
            sources: vec![OrderedSource { name: "bureautique".into(), kind: SourceKind::Files }],
            prices: vec![Price { label: "Forfait".into(), cents: 4_990, per: "mois".into() }],
            ..OrderForm::default()
        };
        let before = before.complete().unwrap();
        let mut after = before.clone();
        after.contracted_bytes = 1_000_000_000_000;
        after.hard_volume_bytes = 1_100_000_000_000;
        after.per_mille = 5;
        after.min_daily_allowance_bytes = 1_000_000_000;
        after.policy = Policy::Defer;
        after.history.thinning = vec![Thinning { every: Period::Week, days: 20 }];
        after.period_h = 12;
        after.tolerance_h = 4;
        after.sources.push(OrderedSource { name: "compta".into(), kind: SourceKind::Mysql });
        after.prices[0].cents = 5_990;
        after.signed_on = Some(jiff::civil::date(2026, 11, 22));
        after.commitment_months = 12;
        after.renewal_months = 12;
        after.notice_months = 3;
        after.contact = "01 02 03 04 05".into();
        let fields = FormChange::fields(&before, &after);
        let mut lines = Vec::new();
        for texts in [Texts::FRENCH.plain(), Texts::ENGLISH] {
            for change in &fields {
                let shown = |json: &Value| value(texts, &change.field, &json.to_string());
                let (before, after) = (shown(&change.before), shown(&change.after));
                assert_ne!(before, after, "{}", change.field);
                assert_ne!(name(texts, &change.field), change.field);
                lines.push(format!("{} : {before} → {after}", name(texts, &change.field)));
            }
        }
        insta::assert_snapshot!(lines.join("\n"));
    }
}
