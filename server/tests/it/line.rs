//! A connection to a running server, and calls with bytes of any shape: no code of the agent.

use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status};

/// Connects to `127.0.0.1:port`, trusting `root_pem` and nothing else.
pub async fn connect(port: u16, root_pem: &str) -> Channel {
    let dialer = Dialer { port, tls: tls(root_pem) };
    Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap().connect_with_connector(dialer).await.unwrap()
}

/// The same without a protocol above TLS, from this address of loopback.
pub async fn connect_raw(from: Ipv4Addr, port: u16, root_pem: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
    tls(root_pem).connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await
}

fn tls(root_pem: &str) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(root_pem.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

#[derive(Clone)]
struct Dialer {
    port: u16,
    tls: TlsConnector,
}

type Dialed = Pin<Box<dyn Future<Output = std::io::Result<TokioIo<TlsStream<TcpStream>>>> + Send>>;

impl tower::Service<Uri> for Dialer {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = std::io::Error;
    type Future = Dialed;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { port, tls } = self.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(tls.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await?))
        })
    }
}

/// Adds a credential to a request; an empty one adds nothing.
pub fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty() {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

/// How often a call is made again on a new connection before it counts as never answered.
pub const CONNECTIONS_MAX: usize = 5;

/// True for a code that stands for the end of a connection before any answer.
pub fn is_no_answer(code: Code) -> bool {
    matches!(code, Code::Cancelled | Code::Unknown | Code::Unavailable)
}

/// Longest time that any answer may take, refused or not.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Sends `messages` to a call as they are, on one stream, and reads its answer to the end. The outer error is silence.
pub async fn call(channel: Channel, path: &str, token: &str, messages: Vec<Bytes>) -> Result<Vec<Bytes>, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    let path = path.parse().unwrap();
    let answer = async {
        client.ready().await.unwrap();
        let request = with_token(token, tokio_stream::iter(messages));
        let mut replies = client.streaming(request, path, AsTheyAre).await?.into_inner();
        let mut found = Vec::new();
        while let Some(reply) = replies.message().await? {
            found.push(reply);
        }
        Ok(found)
    };
    tokio::time::timeout(ANSWER_MAX, answer).await.expect("the server answers in time")
}

struct AsTheyAre;

impl Codec for AsTheyAre {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for AsTheyAre {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, target: &mut EncodeBuf<'_>) -> Result<(), Status> {
        target.put(item);
        Ok(())
    }
}

impl Decoder for AsTheyAre {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(source.copy_to_bytes(source.remaining())))
    }
}
