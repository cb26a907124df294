//! The printable annex of an order form: every parameter in words, for both parties to sign; as a page for A4 or as plain text.
//!
//! It computes nothing: prices are printed as they were given, dates as the server gave them.
//!
//! Invariant: whatever a customer or an operator typed is escaped; the page loads nothing from anywhere.

use std::fmt::Write as _;

use common::text::Texts;
use proto::convert::source_kind;
use proto::v1;

use super::shown::{key_mode_name, period_name, policy_name, state_name};

/// How the page looks: one column, black on white, ready for A4.
const STYLE: &str = "@page{size:A4;margin:18mm}body{font:11pt/1.45 serif;color:#000;background:#fff;max-width:174mm;margin:auto}\
h1{font-size:16pt;margin:0 0 2mm}h2{font-size:12pt;margin:6mm 0 1mm;border-bottom:.3mm solid #000;break-after:avoid}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.6mm 3mm .6mm 0}\
th{font-weight:normal;width:62mm}td.n{text-align:right;white-space:nowrap}p{margin:1mm 0}\
.sign{display:flex;gap:10mm;margin-top:8mm;break-inside:avoid}.sign div{flex:1;border:.3mm solid #000;height:34mm;padding:2mm}";

/// First backup that the rule of the daily change is explained with.
const EXAMPLE_BYTES: u64 = 1_000_000_000;

/// What the annex is made from.
pub struct Annex<'a> {
    /// The subscription with its order form.
    pub subscription: &'a v1::Subscription,
    /// Who signs.
    pub customer: &'a v1::Customer,
    /// Where the data is.
    pub location: &'a v1::Location,
}

/// A part of the annex.
struct Section {
    title: String,
    /// Names and values.
    rows: Vec<(String, String)>,
    /// Sentences behind them.
    sentences: Vec<String>,
}

impl Annex<'_> {
    /// A page of its own, in French, ready to print.
    pub fn html(&self) -> String {
        let texts = Texts::FRENCH;
        let title = escaped(&self.title(texts));
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"fr\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        );
        for section in self.sections(texts) {
            let _ = writeln!(page, "<h2>{}</h2>", escaped(&section.title));
            if !section.rows.is_empty() {
                page.push_str("<table>\n");
                for (name, value) in &section.rows {
                    let _ = writeln!(page, "<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(value));
                }
                page.push_str("</table>\n");
            }
            for sentence in &section.sentences {
                let _ = writeln!(page, "<p>{}</p>", escaped(sentence));
            }
        }
        let (provider, customer) = (texts.say("annex-sign-provider"), texts.say("annex-sign-customer"));
        let _ = writeln!(
            page,
            "<div class=\"sign\"><div>{}</div><div>{}</div></div>\n</body>\n</html>",
            escaped(&provider),
            escaped(&customer)
        );
        page
    }

    /// The same as plain text.
    pub fn text(&self, texts: Texts) -> String {
        let title = self.title(texts);
        let mut page = format!("{title}\n{}\n", "=".repeat(title.chars().count()));
        for section in self.sections(texts) {
            let _ = write!(page, "\n{}\n{}\n", section.title, "-".repeat(section.title.chars().count()));
            let width = section.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
            for (name, value) in &section.rows {
                let _ = writeln!(page, "{name:width$}  {value}");
            }
            for sentence in &section.sentences {
                let _ = writeln!(page, "{sentence}");
            }
        }
        let _ = write!(page, "\n{}\n\n\n\n{}\n", texts.say("annex-sign-provider"), texts.say("annex-sign-customer"));
        page
    }

    fn form(&self) -> v1::OrderForm {
        self.subscription.order_form.clone().unwrap_or_default()
    }

    fn title(&self, texts: Texts) -> String {
        texts.say_with("annex-title", &[("reference", self.form().reference.into())])
    }

    fn sections(&self, texts: Texts) -> Vec<Section> {
        let form = self.form();
        let title = |key: &str| texts.say(&format!("annex-part-{key}"));
        let rows = |key: &str, rows| Section { title: title(key), rows, sentences: Vec::new() };
        vec![
            rows("parties", self.parties(texts, &form)),
            Section {
                title: title("sources"),
                rows: form.sources.iter().map(|source| source_row(texts, source)).collect(),
                sentences: vec![texts.say("annex-sources-closed")],
            },
            rows("volume", volume_rows(texts, &form)),
            Section { title: title("change"), rows: Vec::new(), sentences: change_rule(texts, &form) },
            Section {
                title: title("history"),
                rows: history_rows(texts, &form),
                sentences: vec![texts.say("annex-history")],
            },
            Section {
                title: title("place"),
                rows: vec![
                    (texts.say("annex-site"), self.location.site.clone()),
                    (texts.say("annex-country"), self.location.country.clone()),
                    (texts.say("annex-owner"), self.location.owner.clone()),
                ],
                sentences: vec![texts.say("annex-place")],
            },
            Section {
                title: title("keys"),
                rows: Vec::new(),
                sentences: vec![texts.say(match form.key_mode() {
                    v1::KeyMode::ProviderHeld => "annex-keys-provider",
                    v1::KeyMode::CustomerHeld | v1::KeyMode::Unspecified => "annex-keys-customer",
                })],
            },
            rows("prices", form.prices.iter().map(|price| price_row(texts, price)).collect()),
            rows("dates", date_rows(texts, self.subscription, &form)),
        ]
    }

    fn parties(&self, texts: Texts, form: &v1::OrderForm) -> Vec<(String, String)> {
        let customer = format!("{} ({})", self.customer.name, self.customer.reference);
        vec![
            (head(texts, "reference"), form.reference.clone()),
            (head(texts, "customer"), customer),
            (head(texts, "contact"), form.contact.clone()),
        ]
    }
}

/// Every parameter and date of a subscription, for people.
pub fn parameters(texts: Texts, subscription: &v1::Subscription) -> Vec<(String, String)> {
    let form = subscription.order_form.clone().unwrap_or_default();
    let id: String = subscription.subscription.iter().map(|byte| format!("{byte:02x}")).collect();
    let state = texts.say(&format!("subscription-state-{}", state_name(subscription.state())));
    let key_mode = texts.say(&format!("key-mode-{}", key_mode_name(form.key_mode()).replace('_', "-")));
    let sources = form.sources.iter().map(|source| source_row(texts, source));
    let sources: Vec<String> = sources.map(|(name, kind)| format!("{name} ({kind})")).collect();
    let mut pairs = vec![
        (head(texts, "reference"), form.reference.clone()),
        (head(texts, "customer"), form.customer.clone()),
        (head(texts, "subscription"), id),
        (head(texts, "state"), state),
        (head(texts, "sources"), sources.join(", ")),
    ];
    pairs.extend(volume_rows(texts, &form));
    pairs.push((head(texts, "per-mille"), texts.percent(u64::from(form.per_mille), 1_000)));
    pairs.push((head(texts, "policy"), texts.say(&format!("policy-{}", policy_name(form.policy())))));
    pairs.extend(history_rows(texts, &form));
    pairs.push((head(texts, "key-mode"), key_mode));
    pairs.push((head(texts, "contact"), form.contact.clone()));
    pairs.extend(form.prices.iter().map(|price| price_row(texts, price)));
    pairs.extend(date_rows(texts, subscription, &form));
    pairs
}

fn head(texts: Texts, name: &str) -> String {
    texts.say(&format!("admin-head-{name}"))
}

fn source_row(texts: Texts, source: &v1::OrderedSource) -> (String, String) {
    let kind = source_kind::from_wire(source.kind);
    let kind = kind.map(|kind| texts.say(&format!("source-kind-{}", kind.name().replace('_', "-"))));
    (source.name.clone(), kind.unwrap_or_default())
}

fn volume_rows(texts: Texts, form: &v1::OrderForm) -> Vec<(String, String)> {
    let hours = |hours: u32| texts.duration(u64::from(hours) * 3_600_000);
    vec![
        (head(texts, "volume"), texts.size(form.contracted_bytes)),
        (head(texts, "hard-volume"), texts.size(form.hard_volume_bytes)),
        (head(texts, "period"), hours(form.period_h)),
        (head(texts, "tolerance"), hours(form.tolerance_h)),
    ]
}

fn change_rule(texts: Texts, form: &v1::OrderForm) -> Vec<String> {
    let rate = texts.percent(u64::from(form.per_mille), 1_000);
    let share = |bytes: u64| {
        let share = u128::from(bytes) * u128::from(form.per_mille) / 1_000;
        texts.size(u64::try_from(share).unwrap_or(u64::MAX))
    };
    let example = [
        ("baseline", texts.size(EXAMPLE_BYTES).into()),
        ("allowed", share(EXAMPLE_BYTES).into()),
        ("volume", texts.size(form.contracted_bytes).into()),
        ("total", share(form.contracted_bytes).into()),
    ];
    let mut sentences = vec![
        texts.say_with("annex-change-rule", &[("rate", rate.into())]),
        texts.say_with("annex-change-example", &example),
        texts.say(&format!("annex-policy-{}", policy_name(form.policy()))),
    ];
    if form.min_daily_allowance_bytes > 0 {
        let floor = texts.size(form.min_daily_allowance_bytes);
        sentences.push(texts.say_with("annex-change-floor", &[("floor", floor.into())]));
    }
    sentences
}

fn history_rows(texts: Texts, form: &v1::OrderForm) -> Vec<(String, String)> {
    let mut rows = vec![(head(texts, "history"), texts.integer(u64::from(form.history_days)))];
    rows.extend(form.thinning.iter().map(|rule| {
        let days = texts.integer(u64::from(rule.days));
        let every = texts.say(&format!("thinning-{}", period_name(rule.every())));
        (head(texts, "thinning"), texts.say_with("annex-thinning", &[("every", every.into()), ("days", days.into())]))
    }));
    rows
}

/// A price: its label and its amount.
pub fn price_row(texts: Texts, price: &v1::Price) -> (String, String) {
    let amount = texts.euros(price.cents);
    let value = match price.per.as_str() {
        "" => texts.say_with("annex-price-once", &[("amount", amount.into())]),
        per => texts.say_with("annex-price", &[("amount", amount.into()), ("per", per.into())]),
    };
    (price.label.clone(), value)
}

fn date_rows(texts: Texts, subscription: &v1::Subscription, form: &v1::OrderForm) -> Vec<(String, String)> {
    let day = |text: &str| text.parse().map_or_else(|_| "—".to_owned(), |day| texts.day(day));
    let months = |months: u32| texts.say_with("annex-months", &[("months", u64::from(months).into())]);
    let mut rows = vec![
        (head(texts, "signed"), day(&form.signed_on)),
        (head(texts, "first-login"), day(&subscription.first_login_on)),
        (head(texts, "effective"), day(&subscription.effective_on)),
        (head(texts, "commissioned"), day(&subscription.commissioned_on)),
        (head(texts, "commitment"), months(form.commitment_months)),
        (head(texts, "renewal"), months(form.renewal_months)),
        (head(texts, "notice"), months(form.notice_months)),
        (head(texts, "commitment-end"), day(&subscription.commitment_end)),
        (head(texts, "last-notice"), day(&subscription.last_notice)),
    ];
    if subscription.ended_at_ns != 0 {
        let ended = texts.date(common::text::date::moment(subscription.ended_at_ns));
        rows.push((head(texts, "ended"), ended));
    }
    rows
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annex_says_every_parameter_of_the_contract() {
        let source = |name: &str, kind: v1::SourceKind| v1::OrderedSource {
            name: name.into(),
            kind: kind.into(),
            ..v1::OrderedSource::default()
        };
        let form = v1::OrderForm {
            reference: "BC-2026-117".into(),
            customer: "C-042".into(),
            contracted_bytes: 500_000_000_000,
            hard_volume_bytes: 550_000_000_000,
            history_days: 90,
            per_mille: 2,
            key_mode: v1::KeyMode::CustomerHeld.into(),
            sources: vec![source("bureautique", v1::SourceKind::Files), source("compta", v1::SourceKind::Mysql)],
            contact: "support, 01 23 45 67 89".into(),
            policy: v1::ChangePolicy::Defer.into(),
            min_daily_allowance_bytes: 1_000_000_000,
            thinning: vec![v1::Thinning { every: v1::Period::Week.into(), days: 60 }],
            period_h: 24,
            tolerance_h: 2,
            prices: vec![
                v1::Price { label: "Forfait".into(), cents: 4_990, per: "mois".into() },
                v1::Price { label: "Mise en service".into(), cents: 15_000, per: String::new() },
            ],
            signed_on: "2026-11-02".into(),
            commitment_months: 36,
            renewal_months: 12,
            notice_months: 6,
        };
        let subscription = v1::Subscription {
            order_form: Some(form),
            first_login_on: "2026-11-03".into(),
            commissioned_on: "2026-11-04".into(),
            effective_on: "2026-11-02".into(),
            commitment_end: "2029-11-04".into(),
            last_notice: "2029-05-04".into(),
            ..v1::Subscription::default()
        };
        let customer =
            v1::Customer { reference: "C-042".into(), name: "Menuiserie Duval".into(), ..v1::Customer::default() };
        let location = v1::Location { site: "Lyon 1".into(), country: "FR".into(), owner: "provider".into() };
        let annex = Annex { subscription: &subscription, customer: &customer, location: &location };
        insta::assert_snapshot!("text", annex.text(Texts::FRENCH.plain()));
        insta::assert_snapshot!("text_in_english", annex.text(Texts::ENGLISH));
        insta::assert_snapshot!("page", annex.html());
    }

    #[test]
    fn what_people_typed_is_escaped() {
        let form = v1::OrderForm { reference: "<BC>&\"1'".into(), ..v1::OrderForm::default() };
        let subscription = v1::Subscription { order_form: Some(form), ..v1::Subscription::default() };
        let (customer, location) = (v1::Customer::default(), v1::Location::default());
        let annex = Annex { subscription: &subscription, customer: &customer, location: &location };
        let page = annex.html();
        assert!(page.contains("&lt;BC&gt;&amp;&quot;1&#39;") && !page.contains("<BC>"), "{page}");
        assert!(!page.contains("http"), "nothing is loaded");
    }
}
