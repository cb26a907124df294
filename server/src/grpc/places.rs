//! The `Places` service: consents and relocations.
//!
//! It tells where data is to go; where it is, every answer of this server says from its own configuration (`declared`), whatever was
//! recorded: data that has moved is served by the server of the other place.

use std::sync::Arc;

use common::text::date::moment;
use jiff::civil::Date;
use proto::code::Failure;
use proto::v1;
use tonic::{Request, Response, Status};

use super::caller::{self, with_control};
use super::form::optional_day;
use super::server::wire_location;
use super::{records, status};
use crate::contract::calendar::day_of;
use crate::contract::location::{Consent, ConsentKind, Location, Progress, progress};
use crate::contract::order_form::is_name;
use crate::control::Control;
use crate::control::audit::Trace;
use crate::control::places::{RecordedConsent, Relocation};

/// Where data is.
#[derive(Clone)]
pub struct PlacesService {
    /// The provider's records.
    pub control: Arc<Control>,
    /// The declared place of this server's store.
    pub declared: Location,
}

#[tonic::async_trait]
impl v1::places_server::Places for PlacesService {
    async fn record_consent(
        &self,
        request: Request<v1::RecordConsentRequest>,
    ) -> Result<Response<v1::RecordConsentReply>, Status> {
        let trace = caller::trace(&request);
        let number = self.consent(request.into_inner(), trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::RecordConsentReply { number }))
    }

    async fn relocate(&self, request: Request<v1::RelocateRequest>) -> Result<Response<v1::RelocateReply>, Status> {
        let trace = caller::trace(&request);
        let today = day_of(moment(trace.at_ns));
        let relocation = self.relocation(request.into_inner(), trace).await.map_err(status::of_failure)?;
        let progress = progress(&relocation.to, &self.declared, relocation.moves_on, today);
        Ok(Response::new(v1::RelocateReply { relocation: Some(wire_relocation(relocation, progress)) }))
    }

    async fn list_places(
        &self,
        request: Request<v1::ListPlacesRequest>,
    ) -> Result<Response<v1::ListPlacesReply>, Status> {
        let trace = caller::trace(&request);
        let reference = request.into_inner().subscription;
        let known = records::look(&self.control, reference, "places", &trace).await.map_err(status::of_failure)?;
        let read = move |control: &Control| control.places(&known.subscription);
        let (consents, relocations) = with_control(&self.control, read).await.map_err(status::of_failure)?;
        let today = day_of(moment(trace.at_ns));
        let progress: Vec<Progress> =
            (0..relocations.len()).map(|at| self.progress(&relocations[at..], today)).collect();
        Ok(Response::new(v1::ListPlacesReply {
            declared: Some(wire_location(&self.declared)),
            consents: consents.into_iter().map(wire_consent).collect(),
            relocations: relocations.into_iter().zip(progress).map(|(to, state)| wire_relocation(to, state)).collect(),
        }))
    }
}

impl PlacesService {
    /// How far the first of these relocations is, which later ones of the same scope may have overtaken.
    fn progress(&self, relocations: &[Relocation], today: Date) -> Progress {
        let [first, later @ ..] = relocations else { return Progress::Planned };
        if later.iter().any(|other| other.scope == first.scope && other.moves_on <= today) {
            return Progress::Done;
        }
        progress(&first.to, &self.declared, first.moves_on, today)
    }

    async fn consent(&self, request: v1::RecordConsentRequest, trace: Trace) -> Result<i64, Failure> {
        let consent = request.consent.unwrap_or_default();
        let known = records::find(&self.control, request.subscription).await?;
        let received_on = day("received_on", &consent.received_on)?;
        if received_on > day_of(moment(trace.at_ns)) {
            return Err(status::invalid("received_on", "future"));
        }
        if !is_name(&consent.document) {
            return Err(status::invalid("document", "name"));
        }
        if consent.country.len() != 2 || !consent.country.bytes().all(|letter| letter.is_ascii_uppercase()) {
            return Err(status::invalid("country", "name"));
        }
        check_scope(&consent.scope, &known.form)?;
        let consent = Consent {
            kind: ConsentKind::from_name(&consent.kind).ok_or_else(|| status::invalid("kind", "unknown"))?,
            received_on,
            document: consent.document,
            country: consent.country,
            scope: consent.scope,
        };
        let id = known.subscription;
        with_control(&self.control, move |control| control.record_consent(&id, &consent, &trace)).await
    }

    async fn relocation(&self, request: v1::RelocateRequest, trace: Trace) -> Result<Relocation, Failure> {
        let known = records::find(&self.control, request.subscription).await?;
        let to = request.to.unwrap_or_default();
        let moves_on = day("moves_on", &request.moves_on)?;
        if moves_on < day_of(moment(trace.at_ns)) {
            return Err(status::invalid("moves_on", "past"));
        }
        check_scope(&request.scope, &known.form)?;
        let relocation = Relocation {
            number: 0,
            to: Location { site: to.site, country: to.country, owner: to.owner },
            scope: request.scope,
            moves_on,
            consent: None,
            recorded_by: String::new(),
            recorded_at_ns: 0,
        };
        let id = known.subscription;
        with_control(&self.control, move |control| control.relocate(&id, &relocation, &trace)).await
    }
}

/// A scope is everything, or a source of the order form.
fn check_scope(scope: &str, form: &crate::contract::order_form::OrderForm) -> Result<(), Failure> {
    let known = scope.is_empty() || form.sources.iter().any(|source| source.name == scope);
    if known { Ok(()) } else { Err(status::not_found("source")) }
}

fn day(field: &str, text: &str) -> Result<Date, Failure> {
    optional_day(field, text)?.ok_or_else(|| status::invalid(field, "missing"))
}

fn wire_consent(recorded: RecordedConsent) -> v1::Consent {
    let consent = recorded.consent;
    v1::Consent {
        number: recorded.number,
        kind: consent.kind.name().to_owned(),
        received_on: consent.received_on.to_string(),
        document: consent.document,
        country: consent.country,
        scope: consent.scope,
        recorded_at_ns: recorded.recorded_at_ns,
        recorded_by: recorded.recorded_by,
    }
}

fn wire_relocation(relocation: Relocation, progress: Progress) -> v1::Relocation {
    v1::Relocation {
        number: relocation.number,
        to: Some(wire_location(&relocation.to)),
        scope: relocation.scope,
        moves_on: relocation.moves_on.to_string(),
        consent: relocation.consent.unwrap_or_default(),
        state: progress.name().to_owned(),
        recorded_at_ns: relocation.recorded_at_ns,
        recorded_by: relocation.recorded_by,
    }
}
