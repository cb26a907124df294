//! Where a customer's data may go: consents, relocations, and what stays said of this server's own place.

use proto::code::{ErrorCode, Failure};
use proto::v1;
use proto::v1::places_client::PlacesClient;
use server::contract::calendar::day_of;

use crate::harness::{Client, GOOD_PASSWORD, TestServer, outcome, refusal};

const DAY_S: i64 = 86_400;

struct Places {
    server: TestServer,
    operator: Client,
}

impl Places {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let operator = server.operator().await;
        server.subscribe(&operator, "BC-1").await;
        server.subscribe(&operator, "BC-2").await;
        Self { server, operator }
    }

    /// The civil day so many days from now.
    fn day(&self, days: i64) -> String {
        day_of(common::text::date::moment(self.server.now_ns() + days * DAY_S * 1_000_000_000)).to_string()
    }

    async fn consent(&self, reference: &str, country: &str, days: i64) -> Result<i64, Failure> {
        self.consent_to(reference, country, (days, "")).await
    }

    async fn consent_to(&self, reference: &str, country: &str, (days, scope): (i64, &str)) -> Result<i64, Failure> {
        let consent = v1::Consent {
            kind: "letter".into(),
            received_on: self.day(days),
            document: "Lettre 7".into(),
            country: country.into(),
            scope: scope.into(),
            ..v1::Consent::default()
        };
        let request = v1::RecordConsentRequest { subscription: reference.into(), consent: Some(consent) };
        let mut places = PlacesClient::new(self.operator.0.channel());
        outcome(places.record_consent(self.operator.0.request(request)).await).map(|reply| reply.number)
    }

    async fn relocate(&self, reference: &str, country: &str, days: i64) -> Result<v1::Relocation, Failure> {
        self.relocate_to(reference, (country, "provider"), days).await
    }

    async fn relocate_to(
        &self,
        reference: &str,
        (country, owner): (&str, &str),
        days: i64,
    ) -> Result<v1::Relocation, Failure> {
        let to = v1::Location { site: "Ailleurs".into(), country: country.into(), owner: owner.into() };
        let request = v1::RelocateRequest {
            subscription: reference.into(),
            to: Some(to),
            scope: String::new(),
            moves_on: self.day(days),
        };
        let mut places = PlacesClient::new(self.operator.0.channel());
        outcome(places.relocate(self.operator.0.request(request)).await).map(|reply| reply.relocation.unwrap())
    }

    async fn list(&self, operator: &Client, reference: &str) -> v1::ListPlacesReply {
        let request = operator.0.request(v1::ListPlacesRequest { subscription: reference.into() });
        PlacesClient::new(operator.0.channel()).list_places(request).await.unwrap().into_inner()
    }
}

/// What a refused move says, in French.
#[track_caller]
fn said(result: Result<v1::Relocation, Failure>) -> String {
    let failure = result.unwrap_err();
    assert_eq!(failure.code, ErrorCode::LocationRefused);
    failure.text(common::text::Texts::FRENCH.plain())
}

#[tokio::test]
async fn a_move_abroad_needs_a_consent_of_that_customer_received_before_that_day() {
    let places = Places::start().await;
    let missing = "aucun accord écrit du client pour BE";
    assert!(said(places.relocate("BC-1", "BE", 2).await).contains(missing));
    places.consent("BC-2", "BE", 0).await.unwrap();
    assert!(said(places.relocate("BC-1", "BE", 2).await).contains(missing), "another customer's consent");
    places.consent("BC-1", "DE", 0).await.unwrap();
    assert!(said(places.relocate("BC-1", "BE", 2).await).contains(missing), "another country");
    places.consent_to("BC-1", "BE", (0, "bureautique")).await.unwrap();
    assert!(said(places.relocate("BC-1", "BE", 2).await).contains(missing), "another scope");
    let number = places.consent("BC-1", "BE", 0).await.unwrap();
    assert!(said(places.relocate("BC-1", "BE", 0).await).contains(missing), "received on the very day is not before");
    let moved = places.relocate("BC-1", "BE", 1).await.unwrap();
    assert_eq!((moved.consent, moved.state.as_str()), (number, "planned"));
    assert_eq!(refusal(places.consent("BC-1", "IT", 1).await), ErrorCode::InvalidArgument, "received tomorrow");
    assert_eq!(refusal(places.relocate("BC-1", "BE", -1).await), ErrorCode::InvalidArgument, "moved yesterday");
    assert_eq!(refusal(places.consent_to("BC-1", "BE", (0, "compta")).await), ErrorCode::NotFound, "no such source");
}

#[tokio::test]
async fn outside_the_union_and_with_a_third_party_no_consent_helps() {
    let places = Places::start().await;
    for country in ["US", "CH", "GB"] {
        places.consent("BC-1", country, -10).await.unwrap();
        let said = said(places.relocate("BC-1", country, 5).await);
        assert!(said.contains(country) && said.contains("hors de l'Union européenne"), "{said}");
    }
    places.consent("BC-1", "BE", -10).await.unwrap();
    for country in ["FR", "BE", "US"] {
        let said = said(places.relocate_to("BC-1", (country, "third_party"), 5).await);
        assert!(said.contains("les machines d'un tiers sont exclues"), "{said}");
    }
    let said = said(places.relocate("BC-1", "", 5).await);
    assert!(said.contains("n'est pas déclaré"), "{said}");
    let refused = places.server.running.control().audit(100).unwrap();
    let refused: Vec<String> =
        refused.into_iter().filter(|row| row.action == "relocate").map(|row| row.result).collect();
    assert_eq!(refused.len(), 7, "each refusal is in the trail: {refused:?}");
    assert!(refused.iter().all(|result| result != "done"), "{refused:?}");
    assert_eq!(places.list(&places.operator, "BC-1").await.relocations, []);
}

#[tokio::test]
async fn this_server_says_where_it_is_and_the_list_says_what_is_still_to_be_moved() {
    let places = Places::start().await;
    let anna = places.server.member(&places.operator, "anna", "BC-1", v1::Role::Admin).await;
    let here = anna.whoami().await.unwrap().location.unwrap();
    assert_eq!((here.site.as_str(), here.country.as_str()), ("Lyon", "FR"));
    places.relocate("BC-1", "FR", 2).await.unwrap();
    let states = |listed: &v1::ListPlacesReply| -> Vec<String> {
        listed.relocations.iter().map(|relocation| relocation.state.clone()).collect()
    };
    let listed = places.list(&places.operator, "BC-1").await;
    assert_eq!(
        (listed.declared, states(&places.list(&places.operator, "BC-1").await)),
        (Some(here.clone()), vec!["planned".to_owned()])
    );
    places.server.pass(3 * DAY_S);
    let client = places.server.connect().await;
    let operator = client.with(&client.login("admin", GOOD_PASSWORD).await.unwrap().token);
    assert_eq!(states(&places.list(&operator, "BC-1").await), ["due"], "the day has come and the data is here");
    let anna = client.with(&client.login("anna", GOOD_PASSWORD).await.unwrap().token);
    assert_eq!(anna.whoami().await.unwrap().location.unwrap(), here, "a record moves no data");
    let request = anna.0.request(v1::OperatorAccessesRequest { limit: 100, ..Default::default() });
    let told = anna.account().operator_accesses(request).await.unwrap().into_inner().notices;
    assert_eq!(told.iter().map(|notice| notice.kind.as_str()).collect::<Vec<_>>(), ["relocation"]);
}
