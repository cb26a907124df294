//! `dobaas-admin relocation`: consents to another place, and the relocations that they allow.
//!
//! It moves no data. What a server answers about its place stays what its own configuration declares: a record cannot move bytes,
//! and a customer must never read a place where the data is not. The list tells when a day has come and the data is not there yet.
//!
//! Invariant: a relocation is confirmed by typing the reference: its notice to the customer cannot be taken back.

use clap::{ArgMatches, Command};
use common::text::Texts;
use common::text::date::moment;
use proto::v1;
use proto::v1::places_client::PlacesClient;
use serde::Serialize;

use super::command::{Context, group};
use super::failure::AdminError;
use super::remote::answer;
use super::table::{self, figures, words};
use super::{confirm, day};
use crate::cli::arguments::{argument, option, subcommand, text};

#[derive(Serialize)]
struct Shown {
    declared: ShownPlace,
    consents: Vec<ShownConsent>,
    relocations: Vec<ShownRelocation>,
}

#[derive(Serialize)]
struct ShownPlace {
    site: String,
    country: String,
    owner: String,
}

#[derive(Serialize)]
struct ShownConsent {
    number: i64,
    kind: String,
    received_on: String,
    document: String,
    country: String,
    source: Option<String>,
    recorded_at: String,
    recorded_by: String,
}

#[derive(Serialize)]
struct ShownRelocation {
    number: i64,
    to: ShownPlace,
    source: Option<String>,
    moves_on: String,
    consent: Option<i64>,
    /// `planned`, `done` (this server is the place) or `due` (the day has come, and this server is another place).
    state: String,
    recorded_at: String,
    recorded_by: String,
}

/// The commands.
pub fn command(texts: Texts) -> Command {
    let reference = || argument("reference", "REFERENCE", texts);
    let source = || option("source", "NAME", texts).help(texts.say("help-option-relocation-source"));
    let country = || option("country", "CC", texts).help(texts.say("help-option-relocation-country")).required(true);
    let consent = subcommand("consent", "admin-relocation-consent", texts)
        .visible_alias("accord")
        .arg(reference())
        .arg(country())
        .arg(source())
        .arg(option("means", "MEANS", texts).value_parser(["email", "letter"]).required(true))
        .arg(option("received", "2026-11-22", texts).help(texts.say("help-option-consent-received")).required(true))
        .arg(option("document", "TEXT", texts).required(true));
    let moves = subcommand("move", "admin-relocation-move", texts)
        .visible_alias("deplacer")
        .arg(reference())
        .arg(option("site", "NAME", texts).required(true))
        .arg(country())
        .arg(option("owner", "NAME", texts).required(true))
        .arg(source())
        .arg(option("on", "2026-12-01", texts).required(true))
        .arg(confirm::argument(texts));
    group("relocation", "admin-relocation", texts)
        .visible_alias("lieu")
        .subcommand(consent)
        .subcommand(subcommand("list", "admin-relocation-list", texts).arg(reference()))
        .subcommand(moves)
}

/// Runs one of them.
///
/// # Errors
/// A value that cannot be used, what was not confirmed, or what the server refused.
pub async fn run(context: &Context, name: &str, matches: &ArgMatches) -> Result<(), AdminError> {
    match name {
        "consent" => consent(context, matches).await,
        "move" => relocate(context, matches).await,
        _ => list(context, matches).await,
    }
}

async fn consent(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let consent = v1::Consent {
        kind: part(matches, "means"),
        received_on: civil(matches, "received")?,
        document: part(matches, "document"),
        country: part(matches, "country").to_uppercase(),
        scope: part(matches, "source"),
        ..v1::Consent::default()
    };
    let remote = context.remote().await?;
    let request = v1::RecordConsentRequest { subscription: part(matches, "reference"), consent: Some(consent) };
    let reply = answer(PlacesClient::new(remote.channel()).record_consent(remote.request(request))).await?;
    context.output.document(&serde_json::json!({ "number": reply.number }))?;
    Ok(context.output.say("relocation-consent-recorded", &[("number", reply.number.to_string().into())])?)
}

async fn relocate(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let to = v1::Location {
        site: part(matches, "site"),
        country: part(matches, "country").to_uppercase(),
        owner: part(matches, "owner"),
    };
    let request = v1::RelocateRequest {
        subscription: part(matches, "reference"),
        to: Some(to),
        scope: part(matches, "source"),
        moves_on: civil(matches, "on")?,
    };
    confirm::confirm(context, matches, &request.subscription)?;
    let remote = context.remote().await?;
    let mut places = PlacesClient::new(remote.channel());
    let relocation = answer(places.relocate(remote.request(request))).await?.relocation.unwrap_or_default();
    let place = relocation.to.clone().unwrap_or_default();
    let texts = context.output.texts;
    let args = [
        ("number", relocation.number.to_string().into()),
        ("site", place.site.into()),
        ("country", place.country.into()),
        ("day", day_text(texts, &relocation.moves_on).into()),
    ];
    context.output.say("relocation-recorded", &args)?;
    Ok(context.output.document(&shown_relocation(relocation))?)
}

async fn list(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let request = remote.request(v1::ListPlacesRequest { subscription: part(matches, "reference") });
    let reply = answer(PlacesClient::new(remote.channel()).list_places(request)).await?;
    print(context, &reply)?;
    Ok(context.output.document(&Shown {
        declared: shown_place(reply.declared),
        consents: reply.consents.into_iter().map(shown_consent).collect(),
        relocations: reply.relocations.into_iter().map(shown_relocation).collect(),
    })?)
}

fn print(context: &Context, reply: &v1::ListPlacesReply) -> Result<(), AdminError> {
    let texts = context.output.texts;
    let declared = reply.declared.clone().unwrap_or_default();
    let args = [
        ("site", declared.site.into()),
        ("country", declared.country.into()),
        ("owner", owner(texts, &declared.owner).into()),
    ];
    context.output.say("relocation-declared", &args)?;
    let scope = |name: &str| if name.is_empty() { texts.say("relocation-everything") } else { name.to_owned() };
    let consent = |consent: &v1::Consent| {
        vec![
            consent.number.to_string(),
            consent.country.clone(),
            scope(&consent.scope),
            day_text(texts, &consent.received_on),
            format!("{} ({})", consent.document, texts.say(&format!("consent-means-{}", consent.kind))),
            consent.recorded_by.trim_start_matches("operator:").to_owned(),
        ]
    };
    let columns = ["number", "country", "scope", "consented", "document", "recorded-by"];
    let columns = columns.map(|key| if key == "number" { figures(key) } else { words(key) });
    table::print(context, &columns, &reply.consents.iter().map(consent).collect::<Vec<_>>())?;
    let relocation = |relocation: &v1::Relocation| {
        let to = relocation.to.clone().unwrap_or_default();
        vec![
            relocation.number.to_string(),
            format!("{}, {} ({})", to.site, to.country, owner(texts, &to.owner)),
            scope(&relocation.scope),
            day_text(texts, &relocation.moves_on),
            if relocation.consent == 0 { "—".to_owned() } else { relocation.consent.to_string() },
            texts.say(&format!("relocation-state-{}", relocation.state)),
            relocation.recorded_by.trim_start_matches("operator:").to_owned(),
        ]
    };
    let columns = ["number", "to", "scope", "moves", "consent", "state", "recorded-by"];
    let columns = columns.map(|key| if matches!(key, "number" | "consent") { figures(key) } else { words(key) });
    Ok(table::print(context, &columns, &reply.relocations.iter().map(relocation).collect::<Vec<_>>())?)
}

/// Who runs a place, in words; one that the program does not know is shown as it is.
fn owner(texts: Texts, owner: &str) -> String {
    match owner {
        "provider" => texts.say("place-owner-provider"),
        "third_party" => texts.say("place-owner-third-party"),
        other => other.to_owned(),
    }
}

fn part(matches: &ArgMatches, name: &str) -> String {
    text(matches, name).unwrap_or_default().to_owned()
}

fn civil(matches: &ArgMatches, name: &'static str) -> Result<String, AdminError> {
    day::parse(name, text(matches, name).unwrap_or_default()).map(|day| day.to_string())
}

fn day_text(texts: Texts, day: &str) -> String {
    day.parse().map_or_else(|_| day.to_owned(), |day| texts.day(day))
}

fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn shown_place(place: Option<v1::Location>) -> ShownPlace {
    let v1::Location { site, country, owner } = place.unwrap_or_default();
    ShownPlace { site, country, owner }
}

fn shown_consent(consent: v1::Consent) -> ShownConsent {
    ShownConsent {
        number: consent.number,
        kind: consent.kind,
        received_on: consent.received_on,
        document: consent.document,
        country: consent.country,
        source: given(consent.scope),
        recorded_at: moment(consent.recorded_at_ns).to_string(),
        recorded_by: consent.recorded_by,
    }
}

fn shown_relocation(relocation: v1::Relocation) -> ShownRelocation {
    ShownRelocation {
        number: relocation.number,
        to: shown_place(relocation.to),
        source: given(relocation.scope),
        moves_on: relocation.moves_on,
        consent: Some(relocation.consent).filter(|number| *number != 0),
        state: relocation.state,
        recorded_at: moment(relocation.recorded_at_ns).to_string(),
        recorded_by: relocation.recorded_by,
    }
}
