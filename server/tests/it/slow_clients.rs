//! Clients that take their time: strangers who hand in a byte now and then, and a customer who asks for everything and reads nothing. Other customers are
//! served meanwhile, and what waits for the slow ones is bounded.
//!
//! The rounds of the campaign are connections of the first kind. That strangers leave is shown in `server/src/connection.rs`.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes};
use prost::Message;
use proto::v1;
use proto::v1::restore_client::RestoreClient;
use tokio::io::AsyncWriteExt;

use crate::http2::{DATA, END_HEADERS, END_STREAM, HEADERS, WINDOW, frame, headers, preface};
use crate::line::with_token;
use crate::station::{Customer, Station};
use crate::support::campaign::Campaign;

/// What the server may grow by for each connection that hands in crumbs.
const CRUMBS_KIB_MAX: u64 = 256;
/// What the server may grow by for all answers that nobody reads.
const UNREAD_KIB_MAX: u64 = 96 << 10;
/// Longest time that an honest caller waits beside them.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Fewer than strangers of one address may have.
const CONNECTIONS_PER_ADDRESS: u64 = 30;
const READERS: u32 = 12;
const STREAMS_PER_READER: u32 = 8;
const SNAPSHOTS: u8 = 30;
const CONTENT_BYTES: usize = 700_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_hold_nobody_up_and_cost_little() {
    let station = Station::start().await;
    let customer = station.customer("lent").await;
    let neighbour = station.customer("honnête").await;
    let mut campaign = Campaign::begin("C15", "slow clients", 60);
    let mut dice = campaign.dice();
    let channel = station.channel().await;
    let mut ids = Vec::new();
    for number in 1..=SNAPSHOTS {
        let mut content = vec![0; CONTENT_BYTES];
        dice.fill(&mut content);
        ids.extend(customer.agent.back_up(&channel, number, &content).await.unwrap().data.as_bytes());
    }
    let mut content = vec![0; CONTENT_BYTES];
    dice.fill(&mut content);
    let of_neighbour = neighbour.agent.back_up(&channel, 1, &content).await.unwrap().data;
    let before = station.memory_kib();

    // Byte by byte, as far as a request that is never finished.
    let bytes = [
        preface(&[]),
        frame(HEADERS, END_HEADERS, 1, &headers("/dobaas.v1.Server/Describe", "")),
        frame(DATA, 0, 1, &[0, 0, 0, 1, 0])[..10].to_vec(),
    ]
    .concat();
    let mut slow = Vec::new();
    for number in 0..campaign.rounds() {
        let address = Ipv4Addr::from_bits(0x7f00_0002 + u32::try_from(number / CONNECTIONS_PER_ADDRESS).unwrap());
        slow.push(station.raw_from(address).await.unwrap());
    }
    campaign.count("connections of crumbs", slow.len() as u64);
    for (at, byte) in bytes.iter().enumerate() {
        for connection in &mut slow {
            // A server that closed it has defended itself.
            let _ = connection.write_all(&[*byte]).await;
        }
        if at % 32 == 0 {
            is_served(&station, &neighbour, of_neighbour.as_bytes()).await;
        }
    }
    let grown = station.memory_kib().saturating_sub(before);
    assert!(grown < CRUMBS_KIB_MAX * campaign.rounds().max(64), "the server grew by {grown} KiB for crumbs");
    campaign.count("KiB that the server grew by for crumbs", grown);
    drop(slow);

    // Everything asked for, many times, with all the room of the protocol, and nothing read.
    let before = station.memory_kib();
    let request = fetch(&customer, &ids).encode_to_vec();
    let mut message = vec![0];
    message.put_u32(u32::try_from(request.len()).unwrap());
    message.extend(request);
    let room = 0x7fff_ffff_u32;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut connection = station.raw().await.unwrap();
        let mut asked = preface(&[(4, room)]);
        asked.extend(frame(WINDOW, 0, 0, &(room - 65_535).to_be_bytes()));
        for stream in 0..STREAMS_PER_READER {
            let block = headers("/dobaas.v1.Restore/Fetch", &customer.person);
            asked.extend(frame(HEADERS, END_HEADERS, stream * 2 + 1, &block));
            asked.extend(frame(DATA, END_STREAM, stream * 2 + 1, &message));
        }
        connection.write_all(&asked).await.unwrap();
        readers.push(connection);
        campaign.count("answers that nobody reads", STREAMS_PER_READER.into());
    }
    let mut largest = 0;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        is_served(&station, &neighbour, of_neighbour.as_bytes()).await;
        largest = largest.max(station.memory_kib());
    }
    let grown = largest.saturating_sub(before);
    assert!(grown < UNREAD_KIB_MAX, "the server grew by {grown} KiB for answers that nobody reads");
    campaign.count("KiB that the server grew by for them", grown);
    drop(readers);
    station.stop();
    campaign.pass();
}

fn fetch(customer: &Customer, ids: &[u8]) -> v1::FetchRequest {
    v1::FetchRequest {
        scope: Bytes::copy_from_slice(customer.agent.scope.as_bytes()),
        ids: Bytes::copy_from_slice(ids),
    }
}

/// An honest restore comes to its end in time.
async fn is_served(station: &Station, customer: &Customer, ids: &[u8]) {
    let started = Instant::now();
    let mut restore = RestoreClient::new(station.channel().await);
    let request = with_token(&customer.person, fetch(customer, ids));
    let mut replies = restore.fetch(request).await.unwrap().into_inner();
    let mut bytes = 0;
    while let Some(reply) = replies.message().await.unwrap() {
        bytes += reply.encoded_len();
    }
    assert!(bytes > CONTENT_BYTES, "{bytes} bytes came");
    assert!(started.elapsed() < ANSWER_MAX, "an honest restore took {:?}", started.elapsed());
}
