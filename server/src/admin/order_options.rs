//! The options that describe an order form, for a new one and for an amendment.
//!
//! Invariant: prices are read to the cent or refused; nothing is rounded.

use clap::{ArgAction, ArgMatches, Command, value_parser};
use common::source_kind::SourceKind;
use common::text::Texts;
use proto::convert::source_kind;
use proto::v1;

use super::failure::AdminError;
use super::{day, volume};
use crate::cli::arguments::{option, text};

/// Adds the options that both take.
pub fn options(command: Command, texts: Texts) -> Command {
    let number = |name| option(name, "N", texts).value_parser(value_parser!(u32));
    command
        .arg(option("volume", "500Go", texts))
        .arg(option("history", "DAYS", texts).value_parser(value_parser!(u32)))
        .arg(option("source", "KIND:NAME", texts).action(ArgAction::Append))
        .arg(option("per-mille", "2", texts).value_parser(value_parser!(u32)))
        .arg(option("policy", "POLICY", texts).value_parser(["flag", "defer", "refuse"]))
        .arg(option("min-daily", "1Go", texts))
        .arg(option("hard-volume", "550Go", texts))
        .arg(option("thinning", "PERIOD:DAYS", texts).action(ArgAction::Append))
        .arg(number("period"))
        .arg(number("tolerance"))
        .arg(option("price", "LABEL=49,90/mois", texts).action(ArgAction::Append))
        .arg(option("signed", "2026-11-22", texts))
        .arg(number("commitment"))
        .arg(number("renewal"))
        .arg(number("notice"))
        .arg(option("contact", "TEXT", texts))
}

/// The order form of a command that makes one.
///
/// # Errors
/// The first value that cannot be used.
pub fn order_form(matches: &ArgMatches) -> Result<v1::OrderForm, AdminError> {
    let part = |name| text(matches, name).unwrap_or_default().to_owned();
    let number = |name| matches.get_one::<u32>(name).copied().unwrap_or_default();
    let key_mode = match text(matches, "key-mode") {
        Some("provider_held") => v1::KeyMode::ProviderHeld,
        _ => v1::KeyMode::CustomerHeld,
    };
    Ok(v1::OrderForm {
        reference: part("reference"),
        customer: part("customer"),
        contracted_bytes: bytes(matches, "volume")?.unwrap_or_default(),
        history_days: number("history"),
        per_mille: number("per-mille"),
        hard_volume_bytes: bytes(matches, "hard-volume")?.unwrap_or_default(),
        key_mode: key_mode.into(),
        sources: sources(matches)?,
        contact: part("contact"),
        policy: policy(matches).into(),
        min_daily_allowance_bytes: bytes(matches, "min-daily")?.unwrap_or_default(),
        thinning: thinning(matches)?,
        period_h: number("period"),
        tolerance_h: number("tolerance"),
        prices: prices(matches)?,
        signed_on: signed_on(matches)?,
        commitment_months: number("commitment"),
        renewal_months: number("renewal"),
        notice_months: number("notice"),
    })
}

/// What a command that amends changes; what is not given stays.
///
/// # Errors
/// The first value that cannot be used.
pub fn form_change(matches: &ArgMatches) -> Result<v1::FormChange, AdminError> {
    let number = |name| matches.get_one::<u32>(name).copied();
    Ok(v1::FormChange {
        contracted_bytes: bytes(matches, "volume")?,
        hard_volume_bytes: bytes(matches, "hard-volume")?,
        per_mille: number("per-mille"),
        min_daily_allowance_bytes: bytes(matches, "min-daily")?,
        policy: policy(matches).into(),
        history_days: number("history"),
        thinning: thinning(matches)?,
        without_thinning: matches.get_flag("without-thinning"),
        period_h: number("period"),
        tolerance_h: number("tolerance"),
        added_sources: sources(matches)?,
        prices: prices(matches)?,
        signed_on: signed_on(matches)?,
        commitment_months: number("commitment"),
        renewal_months: number("renewal"),
        notice_months: number("notice"),
        contact: text(matches, "contact").map(str::to_owned),
    })
}

fn bytes(matches: &ArgMatches, name: &'static str) -> Result<Option<u64>, AdminError> {
    let read = |given| volume::parse(given).ok_or_else(|| AdminError::value(name, given));
    text(matches, name).map(read).transpose()
}

fn policy(matches: &ArgMatches) -> v1::ChangePolicy {
    match text(matches, "policy") {
        Some("flag") => v1::ChangePolicy::Flag,
        Some("defer") => v1::ChangePolicy::Defer,
        Some("refuse") => v1::ChangePolicy::Refuse,
        _ => v1::ChangePolicy::Unspecified,
    }
}

fn signed_on(matches: &ArgMatches) -> Result<String, AdminError> {
    text(matches, "signed").map_or_else(|| Ok(String::new()), |given| Ok(day::parse("signed", given)?.to_string()))
}

fn sources(matches: &ArgMatches) -> Result<Vec<v1::OrderedSource>, AdminError> {
    given(matches, "source").map(ordered_source).collect()
}

fn thinning(matches: &ArgMatches) -> Result<Vec<v1::Thinning>, AdminError> {
    let rule = |given: &str| read_thinning(given).ok_or_else(|| AdminError::value("thinning", given));
    given(matches, "thinning").map(rule).collect()
}

fn prices(matches: &ArgMatches) -> Result<Vec<v1::Price>, AdminError> {
    let price = |given: &str| read_price(given).ok_or_else(|| AdminError::value("price", given));
    given(matches, "price").map(price).collect()
}

fn given<'a>(matches: &'a ArgMatches, name: &str) -> impl Iterator<Item = &'a str> {
    matches.get_many::<String>(name).into_iter().flatten().map(String::as_str)
}

/// A source as `files:bureautique`.
fn ordered_source(given: &str) -> Result<v1::OrderedSource, AdminError> {
    let (kind, name) = given.split_once(':').ok_or_else(|| AdminError::value("source", given))?;
    let kind: SourceKind = kind.parse().map_err(|_| AdminError::Kind { name: kind.to_owned() })?;
    Ok(v1::OrderedSource { name: name.to_owned(), kind: source_kind::to_wire(kind).into(), ..Default::default() })
}

/// A rule as `week:60`: the newest of each week, for 60 days.
fn read_thinning(given: &str) -> Option<v1::Thinning> {
    let (every, days) = given.split_once(':')?;
    let every = match every {
        "hour" => v1::Period::Hour,
        "day" => v1::Period::Day,
        "week" => v1::Period::Week,
        "month" => v1::Period::Month,
        "year" => v1::Period::Year,
        _ => return None,
    };
    Some(v1::Thinning { every: every.into(), days: days.parse().ok()? })
}

/// A price as `Forfait=49,90/mois`, or `Mise en service=150` once.
fn read_price(given: &str) -> Option<v1::Price> {
    let (label, amount) = given.rsplit_once('=')?;
    let (amount, per) = amount.split_once('/').unwrap_or((amount, ""));
    let (euros, cents) = amount.trim().split_once([',', '.']).unwrap_or((amount.trim(), "00"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(euros) || !digits(cents) || cents.len() != 2 {
        return None;
    }
    let cents = euros.parse::<u64>().ok()?.checked_mul(100)?.checked_add(cents.parse().ok()?)?;
    Some(v1::Price { label: label.trim().to_owned(), cents, per: per.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact_cents() {
        let price = |given| read_price(given).map(|price| (price.label, price.cents, price.per));
        assert_eq!(price("Forfait=49,90/mois"), Some(("Forfait".into(), 4_990, "mois".into())));
        assert_eq!(price("Mise en service = 150"), Some(("Mise en service".into(), 15_000, String::new())));
        assert_eq!(price("a=b=1.05/Go et par mois"), Some(("a=b".into(), 105, "Go et par mois".into())));
        for bad in ["49,90", "x=", "x=4,9", "x=4,999", "x=-1,00", "x=1 000,00", "x=99999999999999999999"] {
            assert_eq!(price(bad), None, "{bad}");
        }
    }

    #[test]
    fn thinning_names_a_period_and_days() {
        assert_eq!(read_thinning("week:60").map(|rule| (rule.every(), rule.days)), Some((v1::Period::Week, 60)));
        for bad in ["week", "week:", "semaine:60", "week:-1"] {
            assert_eq!(read_thinning(bad), None, "{bad}");
        }
    }
}
