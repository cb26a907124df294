//! Malformed messages for every call of the schema: no panic, bounded memory, and an honest agent is served afterwards.
//!
//! The rounds of the campaign are messages per call. `DOBAAS_TEST_CALL` tries the calls only whose path contains it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proto::v1;
use proto::v1::account_client::AccountClient;
use proto::v1::closures_client::ClosuresClient;
use server::auth::access::{self, Access};
use tonic::Code;

use crate::forge::{Dice, Known, calls, message, path};
use crate::line::{call, with_token};
use crate::station::Station;
use crate::support::campaign::Campaign;

/// Growth of the server's memory that a run may cause: password hashes and receive windows are in it.
const MEMORY_KIB_MAX: u64 = 160 << 10;
/// A login that is not used for a quarter of an hour ends: those whose turn is later use theirs more often than that.
const AWAKE_EVERY: Duration = Duration::from_secs(300);
/// Two for many messages, so that the limit of requests per second of a subscription lets more through. Making one takes as long as hundreds of messages.
fn customers_per_call(rounds: u64) -> usize {
    if rounds < 1_000 { 1 } else { 2 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_messages_of_every_call_leave_the_server_alive() {
    let station = Station::start().await;
    let mut campaign = Campaign::begin("C14", "malformed messages", 200);
    let (seed, rounds) = (campaign.seed(), campaign.rounds());
    let customers_per_call = customers_per_call(rounds);
    let wanted = std::env::var("DOBAAS_TEST_CALL").unwrap_or_default();
    let calls: Vec<_> = calls().into_iter().filter(|call| path(call).contains(&wanted)).collect();
    assert!(!calls.is_empty(), "no call is called {wanted}");
    let mut known = Known::new();
    let (mut customers, mut operators) = (Vec::new(), Vec::new());
    // Some messages do what they ask: end a login, revoke an agent, exhaust the attempts to log in. So each call has callers of its own,
    // and all log in before the first message.
    for name in 0..customers_per_call * calls.len() {
        let customer = station.customer(&format!("client-{name}")).await;
        known.extend(customer.known());
        customers.push(customer);
    }
    // Two calls share one: an account has so many logins at once.
    for _ in 0..calls.len().div_ceil(2) {
        operators.push(station.operator_login().await);
    }
    let late = station.customer("tardif").await;
    let last_operator = station.operator_login().await;
    let stored = customers[0].agent.back_up(&station.channel().await, 1, b"honest").await.unwrap();
    known.extend([stored.root, stored.data].map(|id| id.as_bytes().to_vec()));
    known.push(stored.session.as_bytes().to_vec());
    let before = station.memory_kib();
    let mut answers: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let mut awake_at = Instant::now();
    let mut customers_of_calls = customers.chunks(customers_per_call);
    for (at, shape) in calls.iter().enumerate() {
        let customers = customers_of_calls.next().expect("each call has customers of its own");
        let operator = &operators[at / 2];
        let channel = station.channel().await;
        let before = station.memory_kib();
        for round in 0..rounds {
            if awake_at.elapsed() > AWAKE_EVERY {
                let people = customers_of_calls.clone().flatten().chain([&late]).map(|customer| &customer.person);
                keep_awake(&station, people, operators[at / 2 + 1..].iter().chain([&last_operator])).await;
                awake_at = Instant::now();
            }
            let mut dice = Dice::new(seed, round);
            let customer = &customers[usize::try_from(round).unwrap() % customers_per_call];
            let token = match dice.roll(8) {
                0 => "",
                1 | 2 => &customer.person,
                3 => operator,
                _ => match access::of_path(&path(shape)) {
                    Access::Only { agent: true, .. } => &customer.agent.token,
                    Access::Only { operator: Some(_), .. } => operator,
                    _ => &customer.person,
                },
            };
            let count = if shape.is_client_streaming() { 1 + dice.roll(4) } else { 1 };
            let messages = (0..count).map(|_| message(&shape.input(), &mut dice, &known)).collect();
            let code = call(channel.clone(), &path(shape), token, messages)
                .await
                .map_or_else(|status| status.code(), |_| Code::Ok);
            *answers.entry(path(shape)).or_default().entry(format!("{code:?}")).or_default() += 1;
        }
        eprintln!("{}: {:+} KiB", path(shape), station.memory_kib().cast_signed() - before.cast_signed());
    }
    for (path, codes) in &answers {
        eprintln!("{path}: {codes:?}");
    }
    assert_eq!(answers.len(), calls.len());
    // One message in eight comes without a token.
    let at_the_door =
        |codes: &BTreeMap<String, u64>| codes.get("Unauthenticated").is_some_and(|refused| refused * 8 > rounds * 3);
    let unheard = answers.iter().filter(|(path, codes)| !path.ends_with("/Logout") && at_the_door(codes));
    let unheard: Vec<&String> = unheard.map(|(path, _)| path).collect();
    assert!(unheard.is_empty(), "calls whose messages mostly end at the door are not tried: {unheard:?}");
    let grown = station.memory_kib().saturating_sub(before);
    assert!(grown < MEMORY_KIB_MAX, "the server grew by {grown} KiB");
    campaign.count("calls of the schema", answers.len() as u64);
    campaign.count("messages", rounds * answers.len() as u64);
    campaign.count("KiB that the server grew by", grown);
    // Some of what an operator may say closes the server to backups.
    station.end_maintenance(&last_operator).await;
    late.agent.back_up(&station.channel().await, 2, b"honest still").await.unwrap();
    station.stop();
    campaign.pass();
}

/// Uses logins.
async fn keep_awake(
    station: &Station,
    people: impl Iterator<Item = &String>,
    operators: impl Iterator<Item = &String>,
) {
    let mut account = AccountClient::new(station.channel().await);
    for token in people {
        account.whoami(with_token(token, v1::WhoamiRequest {})).await.expect("a login that nobody ended");
    }
    let mut closures = ClosuresClient::new(station.channel().await);
    for token in operators {
        let list = with_token(token, v1::ListMaintenanceRequest { all: false });
        closures.list_maintenance(list).await.expect("a login that nobody ended");
    }
}
