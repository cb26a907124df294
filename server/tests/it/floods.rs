//! Floods of HTTP/2 frames by somebody without a credential: the server lives, its memory stays bounded, honest callers are served during and after.
//!
//! The floods are those of the advisories: rapid resets, endless CONTINUATION, PING and SETTINGS to be answered, empty DATA, tiny window updates, and
//! connections that never finish their handshake.

use std::time::{Duration, Instant};

use proto::v1;
use proto::v1::server_client::ServerClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::http2::{
    CONTINUATION, DATA, END_HEADERS, HEADERS, PING, PRIORITY, RESET, SETTINGS, WINDOW, frame, headers, preface,
};
use crate::station::Station;
use crate::support::campaign::Campaign;

/// What the server may grow by in all floods together.
const MEMORY_KIB_MAX: u64 = 128 << 10;
/// Longest time that an honest call may take beside or after a flood.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Connections that say nothing.
const SILENT: usize = 300;

fn call_headers() -> Vec<u8> {
    headers("/dobaas.v1.Server/Describe", "")
}

/// Frames of flood number `at`; a name, and what comes once before them.
type Flood = (&'static str, fn() -> Vec<u8>, fn(u32) -> Vec<u8>);

const FLOODS: &[Flood] = &[
    ("rapid resets", Vec::new, |at| {
        let stream = at * 2 + 1;
        let mut both = frame(HEADERS, END_HEADERS, stream, &call_headers());
        both.extend(frame(RESET, 0, stream, &8_u32.to_be_bytes()));
        both
    }),
    (
        "endless CONTINUATION",
        || frame(HEADERS, 0, 1, &call_headers()),
        |_| frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b\x00\x01a\x01b"),
    ),
    ("PING", Vec::new, |at| frame(PING, 0, 0, &u64::from(at).to_be_bytes())),
    ("SETTINGS", Vec::new, |_| frame(SETTINGS, 0, 0, &[])),
    ("empty DATA", || frame(HEADERS, END_HEADERS, 1, &call_headers()), |_| frame(DATA, 0, 1, &[])),
    ("window updates", || frame(HEADERS, END_HEADERS, 1, &call_headers()), |_| frame(WINDOW, 0, 1, &[0, 0, 0, 1])),
    ("PRIORITY", Vec::new, |at| frame(PRIORITY, 0, at * 2 + 1, &[0, 0, 0, 0, 16])),
    ("open calls without a message", Vec::new, |at| frame(HEADERS, END_HEADERS, at * 2 + 1, &call_headers())),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_frames_leave_the_server_alive_and_small() {
    let station = Station::start().await;
    let customer = station.customer("honnête").await;
    let mut campaign = Campaign::begin("C15", "floods", 20_000);
    let before = station.memory_kib();
    let mut largest = before;
    for (name, opening, each) in FLOODS {
        let mut flood = station.raw().await.unwrap();
        let begin = [preface(&[]), opening()].concat();
        let rounds = u32::try_from(campaign.rounds()).unwrap();
        let sent = tokio::spawn(async move {
            let mut sent = 0;
            let mut answers = vec![0; 64 << 10];
            flood.write_all(&begin).await.ok()?;
            while sent < rounds {
                let piece: Vec<u8> = (sent..rounds.min(sent + 500)).flat_map(each).collect();
                // A server that closed the connection has defended itself.
                let written = tokio::time::timeout(Duration::from_secs(5), flood.write_all(&piece)).await;
                if !matches!(written, Ok(Ok(()))) {
                    break;
                }
                sent += 500;
                // Its answers are read only now and then: it has to bear that too.
                if sent % 5_000 == 0 {
                    let _ = tokio::time::timeout(Duration::from_millis(50), flood.read(&mut answers)).await;
                }
            }
            Some(sent)
        });
        is_served(&station, name).await;
        campaign.count("frames taken in before the connection was closed", sent.await.unwrap().unwrap_or(0).into());
        campaign.count("kinds of floods", 1);
        largest = largest.max(station.memory_kib());
        is_served(&station, name).await;
    }
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        if let Ok(connection) = station.silent().await {
            silent.push(connection);
        }
    }
    campaign.count("connections without a handshake", silent.len() as u64);
    largest = largest.max(station.memory_kib());
    drop(silent);
    customer.agent.back_up(&served_channel(&station).await, 1, b"honest").await.unwrap();
    let grown = largest - before;
    assert!(grown < MEMORY_KIB_MAX, "the server grew by {grown} KiB");
    campaign.count("KiB that the server grew by", grown);
    station.stop();
    campaign.pass();
}

/// An honest call is answered in time.
async fn is_served(station: &Station, beside: &str) {
    let started = Instant::now();
    let channel = served_channel(station).await;
    ServerClient::new(channel).describe(v1::DescribeRequest {}).await.unwrap();
    assert!(started.elapsed() < ANSWER_MAX, "{beside}: an honest call took {:?}", started.elapsed());
}

/// A connection as soon as the server has a place for one: strangers of one address share a few.
async fn served_channel(station: &Station) -> tonic::transport::Channel {
    let until = Instant::now() + ANSWER_MAX;
    loop {
        match station.raw().await {
            Ok(_) => return station.channel().await,
            Err(error) => assert!(Instant::now() < until, "no connection: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
