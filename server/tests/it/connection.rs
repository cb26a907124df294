//! What the listener and the HTTP/2 limits refuse.

use std::process::{Command, Stdio};

use common::limits::{CONNECTIONS_PER_ADDRESS_UNAUTHENTICATED_MAX, UNARY_MESSAGE_BYTES_MAX};
use proto::v1;
use server::admin::remote::{Remote, RemoteError};
use tonic::Code;

use crate::harness::TestServer;

#[tokio::test]
async fn anyone_may_ask_what_the_server_is() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    let reply = client.server().describe(v1::DescribeRequest {}).await.unwrap().into_inner();
    assert_eq!(reply.location.unwrap().country, "FR");
    assert_eq!((reply.protocol_min, reply.protocol_max), (1, 1));
    let root = std::fs::read(server.folder.path().join("server/identity/root.pem")).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&root).unwrap();
    let root = pem.parse_x509().unwrap();
    let point = &root.public_key().subject_public_key.data;
    let signer = &reply.signers[0];
    assert!(common::receipt::is_certified(&signer.public_key, &signer.certificate, point));
}

#[tokio::test]
async fn another_root_is_not_trusted() {
    let server = TestServer::start().await;
    let address = format!("https://{}", server.running.address());
    let wrong = "00".repeat(32);
    assert!(matches!(Remote::connect(&address, &wrong).await, Err(RemoteError::Connect { .. })));
    assert!(matches!(Remote::connect(&address, "00").await, Err(RemoteError::Fingerprint)));
}

#[tokio::test]
async fn unknown_calls_and_calls_without_a_credential_end_at_the_door() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    let status = client.account().whoami(client.0.request(v1::WhoamiRequest {})).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(status.message().contains("reconnue"), "{}", status.message());
    for credential in ["", "dbl_", "dba_00", "nonsense"] {
        let client = client.with(credential);
        let status = client.account().whoami(client.0.request(v1::WhoamiRequest {})).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{credential}");
    }
}

#[tokio::test]
async fn oversized_messages_and_headers_are_refused_and_the_server_goes_on() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    let password = "x".repeat(UNARY_MESSAGE_BYTES_MAX + 1);
    let request = v1::LoginRequest { identifier: "a".into(), password };
    let status = client.account().login(client.0.request(request)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    let mut request = client.0.request(v1::DescribeRequest {});
    request.metadata_mut().insert("x-filler", "y".repeat(16 << 10).parse().unwrap());
    assert!(client.server().describe(request).await.is_err());
    let again = server.connect().await;
    again.server().describe(v1::DescribeRequest {}).await.unwrap();
}

#[tokio::test]
async fn an_address_gets_few_connections_before_it_authenticates() {
    let server = TestServer::start().await;
    let address = format!("https://{}", server.running.address());
    let connect = || Remote::connect(&address, server.running.fingerprint());
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_PER_ADDRESS_UNAUTHENTICATED_MAX {
        open.push(connect().await.unwrap());
    }
    assert!(connect().await.is_err());
    drop(open);
    // The places come back as soon as the server has seen the ends.
    while connect().await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let server = TestServer::start().await;
    let address = server.running.address().to_string();
    let run = move |version: &str| {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &address, version, "-alpn", "h2"])
            .stdin(Stdio::null())
            .output();
        output.ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let outputs = tokio::task::spawn_blocking(move || (run("-tls1_2"), run("-tls1_3"))).await.unwrap();
    let (Some(old), Some(new)) = outputs else {
        println!("skipped: there is no openssl here");
        return;
    };
    assert!(!old.contains("BEGIN CERTIFICATE"), "{old}");
    assert!(new.contains("BEGIN CERTIFICATE") && new.contains("ALPN protocol: h2"), "{new}");
}

#[tokio::test]
async fn a_stopped_server_ends_its_connections() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    client.server().describe(v1::DescribeRequest {}).await.unwrap();
    server.running.stop().await.unwrap();
    assert!(client.server().describe(v1::DescribeRequest {}).await.is_err());
}

#[tokio::test]
async fn a_peer_that_never_finishes_its_handshake_is_cut() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = TestServer::start().await;
    let mut silent = tokio::net::TcpStream::connect(server.running.address()).await.unwrap();
    silent.write_all(&[0x16, 0x03]).await.unwrap();
    let mut answer = [0; 64];
    let limit = std::time::Duration::from_millis(3 * common::limits::HANDSHAKE_MS);
    let cut = tokio::time::timeout(limit, silent.read(&mut answer)).await.expect("it is cut in time");
    assert!(matches!(cut, Ok(0) | Err(_)), "{cut:?}");
}

#[tokio::test]
async fn health_is_for_anyone() {
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let server = TestServer::start().await;
    let client = server.connect().await;
    let mut health = HealthClient::new(client.0.channel());
    let reply = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(reply.status(), ServingStatus::Serving);
    let unknown = HealthCheckRequest { service: "nothing".into() };
    assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);
}
