//! Ids of another subscription, and of another scope of the same one, get the answer of ids that do not exist, byte for byte.
//!
//! The rows follow from the wire schema: a call or an id field without a row fails.

use std::collections::BTreeSet;

use bytes::Bytes;
use common::id::SessionId;
use prost::Message;
use proto::v1;
use protox::prost_reflect::Kind;
use tonic::Status;

use crate::forge::{calls, path};
use crate::line::call;
use crate::station::{Customer, Station};
use crate::support::campaign::Campaign;

/// Who makes the call.
#[derive(Clone, Copy, PartialEq)]
enum Caller {
    Person,
    Agent,
}

/// A field that takes an id, in a call that a customer's credential may make.
struct Row {
    call: &'static str,
    field: &'static str,
    caller: Caller,
    /// The request around the field, as the caller would rightly send it.
    around: fn(&Customer) -> Vec<u8>,
}

const fn row(call: &'static str, field: &'static str, caller: Caller, around: fn(&Customer) -> Vec<u8>) -> Row {
    Row { call, field, caller, around }
}

const ROWS: &[Row] = &[
    row("Account/Enroll", "scope", Caller::Person, |_| {
        v1::EnrollRequest { host: "h".into(), ..Default::default() }.encode_to_vec()
    }),
    row("Account/Enroll", "replace", Caller::Person, |_| {
        v1::EnrollRequest { host: "h".into(), ..Default::default() }.encode_to_vec()
    }),
    row("Account/RevokeAgent", "agent", Caller::Person, |_| Vec::new()),
    row("Backup/Abort", "session", Caller::Agent, |_| Vec::new()),
    row("Backup/Commit", "session", Caller::Agent, |_| Vec::new()),
    row("Backup/Open", "source", Caller::Agent, |own| own.agent.open_request(SessionId::new([77; 16])).encode_to_vec()),
    row("Backup/Open", "parent", Caller::Agent, |own| own.agent.open_request(SessionId::new([78; 16])).encode_to_vec()),
    row("Backup/Transfer", "session", Caller::Agent, |_| Vec::new()),
    row("Restore/Dates", "source", Caller::Person, |_| Vec::new()),
    row("Restore/Fetch", "scope", Caller::Person, |own| fetch_request(own, true)),
    row("Restore/Fetch", "ids", Caller::Person, |own| fetch_request(own, false)),
    row("Restore/Fetch", "ids", Caller::Agent, |own| fetch_request(own, false)),
    row("Restore/ReportVerified", "session", Caller::Person, |_| Vec::new()),
    row("Restore/Snapshots", "source", Caller::Person, |_| Vec::new()),
    row("Sets/Get", "source", Caller::Person, |_| Vec::new()),
    row("Sets/Get", "source", Caller::Agent, |_| Vec::new()),
    // The last: it opens sessions of these ids.
    row("Backup/Open", "session", Caller::Agent, |own| {
        own.agent.open_request(SessionId::new([79; 16])).encode_to_vec()
    }),
];

/// Fields of bytes that hold no id.
const NO_IDS: &[&str] = &[
    "Account/AppendKeyring.generation",
    "Backup/Commit.agent_part",
    "Backup/Commit.mac",
    "Backup/Commit.sealed_part",
    "Backup/Open.envelope",
];

fn fetch_request(own: &Customer, without_scope: bool) -> Vec<u8> {
    let scope = if without_scope { Bytes::new() } else { Bytes::copy_from_slice(own.agent.scope.as_bytes()) };
    let ids = if without_scope { Bytes::from_static(&[7; 32]) } else { Bytes::new() };
    v1::FetchRequest { scope, ids }.encode_to_vec()
}

#[test]
fn every_id_field_that_a_customer_can_send_has_a_row() {
    let mut missing: BTreeSet<String> = BTreeSet::new();
    for shape in
        calls().iter().filter(|shape| ![".Admin/", ".Monitor/"].iter().any(|operators| path(shape).contains(operators)))
    {
        let name = path(shape).replace("/dobaas.v1.", "");
        for field in shape.input().fields().filter(|field| matches!(field.kind(), Kind::Bytes)) {
            let known = ROWS.iter().any(|row| row.call == name && row.field == field.name());
            let full = format!("{name}.{}", field.name());
            if !known && !NO_IDS.contains(&full.as_str()) {
                missing.insert(full);
            }
        }
    }
    assert!(missing.is_empty(), "without a row: {missing:?}");
}

#[tokio::test]
async fn foreign_ids_get_the_answer_of_ids_that_do_not_exist() {
    let mut campaign = Campaign::begin("C19", "isolation matrix", 1);
    let station = Station::start().await;
    let channel = station.channel().await;
    let own = station.customer("un").await;
    let sibling = station.sibling(&own).await;
    let foreign = station.customer("deux").await;
    own.agent.back_up(&channel, 1, b"own").await.unwrap();
    for (pass, other) in [(0, &foreign), (1, &sibling)] {
        let stored = other.agent.back_up(&channel, 2 + pass, b"other's").await.unwrap();
        for row in ROWS {
            // A person sees every scope of the subscription; and a session's id is a name that its agent makes, so within one subscription
            // a taken one is refused.
            let makes_the_name = (row.call, row.field) == ("Backup/Open", "session");
            if other.agent.subscription == own.agent.subscription && (row.caller == Caller::Person || makes_the_name) {
                continue;
            }
            for id in candidates(row.field, other, &stored) {
                let absent = vec![0xe0 + pass; id.len()];
                let answers = [&id, &absent].map(|id| (request(row, &own, id), id.clone()));
                let mut normal = Vec::new();
                for (request, id) in answers {
                    let token = if row.caller == Caller::Person { &own.person } else { &own.agent.token };
                    let path = format!("/dobaas.v1.{}", row.call);
                    let answer = call(channel.clone(), &path, token, vec![request]).await;
                    normal.push(without(&id, answer));
                }
                assert_eq!(normal[0], normal[1], "{} tells by {} that an id exists", row.call, row.field);
                campaign.count("answers compared", 1);
            }
        }
    }
    station.stop();
    campaign.count("rows", ROWS.len() as u64);
    campaign.pass();
}

/// Ids of `other` that the field could be given.
fn candidates(field: &str, other: &Customer, stored: &crate::honest::Stored) -> Vec<Vec<u8>> {
    let agent = &other.agent;
    match field {
        "scope" => vec![agent.scope.as_bytes().to_vec()],
        "replace" | "agent" => vec![agent.agent.as_bytes().to_vec()],
        "session" | "parent" => vec![stored.session.as_bytes().to_vec()],
        "source" => vec![agent.source.as_bytes().to_vec()],
        "ids" => vec![stored.data.as_bytes().to_vec(), stored.root.as_bytes().to_vec()],
        other => panic!("no candidate for {other}"),
    }
}

/// The row's request with `id` in its field; the last value of a field wins.
fn request(row: &Row, own: &Customer, id: &[u8]) -> Bytes {
    let shape = calls().into_iter().find(|shape| path(shape) == format!("/dobaas.v1.{}", row.call)).unwrap();
    let number = shape.input().get_field_by_name(row.field).unwrap().number();
    let mut request = (row.around)(own);
    request.push(u8::try_from(number << 3 | 2).unwrap());
    request.push(u8::try_from(id.len()).unwrap());
    request.extend_from_slice(id);
    request.into()
}

/// An answer with the id, as bytes and as text, taken out.
fn without(id: &[u8], answer: Result<Vec<Bytes>, Status>) -> String {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let bytes = |bytes: &[u8]| {
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let hex_of_hex: String = hex.bytes().map(|byte| format!("{byte:02x}")).collect();
        text.replace(&hex, "ID").replace(&hex_of_hex, "ID")
    };
    match answer {
        Ok(messages) => format!("{:?}", messages.iter().map(|message| bytes(message)).collect::<Vec<_>>()),
        Err(status) => {
            format!("{:?} {} {}", status.code(), status.message().replace(&hex, "ID"), bytes(status.details()))
        }
    }
}
