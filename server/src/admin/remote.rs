//! The connection of `dobaas-admin`: TLS 1.3, the provider's root recognised by its fingerprint, one credential.
//!
//! Invariant: the presented chain must lead to a certificate with the pinned fingerprint; no other trust exists.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use common::id::read_hex;
use common::limits::{CONNECT_MS, HANDSHAKE_MS, UNARY_DEADLINE_MS};
use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};

/// Why the server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address is not `https://host:port`.
    #[error("{0} is not https://host:port")]
    Address(String),
    /// The fingerprint is not 64 hexadecimal digits.
    #[error("the fingerprint needs 64 hexadecimal digits")]
    Fingerprint,
    /// The token cannot be sent.
    #[error("the token cannot be sent")]
    Token,
    /// No trusted connection.
    #[error("connect to {server}")]
    Connect {
        /// Where to.
        server: String,
        /// Why not.
        #[source]
        source: tonic::transport::Error,
    },
    /// TLS cannot be set up.
    #[error("set up TLS")]
    Tls(#[from] rustls::Error),
}

/// A connection with a credential, or without one before the login.
#[derive(Clone)]
pub struct Remote {
    channel: Channel,
    authorization: Option<AsciiMetadataValue>,
}

impl Remote {
    /// Connects to `https://host:port`, whose chain must lead to the root with this SHA-256 fingerprint.
    ///
    /// # Errors
    /// As [`RemoteError`].
    pub async fn connect(server: &str, fingerprint: &str) -> Result<Self, RemoteError> {
        let (host, port) = parse_address(server).ok_or_else(|| RemoteError::Address(server.to_owned()))?;
        let name = ServerName::try_from(host.clone()).map_err(|_| RemoteError::Address(server.to_owned()))?;
        let fingerprint = parse_fingerprint(fingerprint).ok_or(RemoteError::Fingerprint)?;
        let connector = Connector { host, port, name, config: client_config(fingerprint)? };
        // tonic insists on TLS of its own for https://; the connector encrypts whatever the scheme says.
        let endpoint = Endpoint::from_static("http://server").timeout(Duration::from_millis(2 * UNARY_DEADLINE_MS));
        let failed = |source| RemoteError::Connect { server: server.to_owned(), source };
        let channel = endpoint.connect_with_connector(connector).await.map_err(failed)?;
        Ok(Self { channel, authorization: None })
    }

    /// The same connection with a credential.
    ///
    /// # Errors
    /// [`RemoteError::Token`] if it cannot be a header.
    pub fn with_token(&self, token: &str) -> Result<Self, RemoteError> {
        let mut value = AsciiMetadataValue::try_from(format!("Bearer {token}")).map_err(|_| RemoteError::Token)?;
        value.set_sensitive(true);
        Ok(Self { channel: self.channel.clone(), authorization: Some(value) })
    }

    /// What generated clients are made of.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A request with the credential.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(value) = &self.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        request
    }
}

/// The message of an answer.
///
/// # Errors
/// The status.
pub async fn answer<T>(call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T, Status> {
    call.await.map(tonic::Response::into_inner)
}

fn parse_address(server: &str) -> Option<(String, u16)> {
    let uri: Uri = server.parse().ok()?;
    if uri.scheme_str() != Some("https") || !matches!(uri.path(), "" | "/") {
        return None;
    }
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), uri.port_u16()?))
}

fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.chars().filter(|letter| !matches!(letter, ':' | ' ')).collect();
    let mut bytes = [0; 32];
    read_hex(&digits, &mut bytes).then_some(bytes)
}

fn client_config(fingerprint: [u8; 32]) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(PinnedRoot { fingerprint, provider: provider.clone() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

#[derive(Clone)]
struct Connector {
    host: String,
    port: u16,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl Connector {
    async fn connect(self) -> io::Result<TlsStream<TcpStream>> {
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let tcp = TcpStream::connect((self.host.as_str(), self.port));
        let tcp = tokio::time::timeout(Duration::from_millis(CONNECT_MS), tcp).await.map_err(late)??;
        tcp.set_nodelay(true)?;
        let tls = TlsConnector::from(self.config).connect(self.name, tcp);
        tokio::time::timeout(Duration::from_millis(HANDSHAKE_MS), tls).await.map_err(late)?
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect().await.map(TokioIo::new) })
    }
}

/// Verifies a chain as usual, with the presented certificate of the pinned fingerprint as its only root.
#[derive(Debug)]
struct PinnedRoot {
    fingerprint: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl PinnedRoot {
    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        use ::aws_lc_rs::{constant_time, digest};
        let digest = digest::digest(&digest::SHA256, certificate);
        constant_time::verify_slices_are_equal(digest.as_ref(), &self.fingerprint).is_ok()
    }
}

impl ServerCertVerifier for PinnedRoot {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let root = intermediates.iter().find(|certificate| self.is_pinned(certificate));
        let root = root.ok_or_else(|| rustls::Error::General("no presented root has this fingerprint".into()))?;
        let mut roots = RootCertStore::empty();
        roots.add(root.clone())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is refused".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_with_a_port_and_nothing_else() {
        assert_eq!(parse_address("https://backup.example:7443"), Some(("backup.example".into(), 7443)));
        assert_eq!(parse_address("https://[::1]:7443/"), Some(("::1".into(), 7443)));
        for bad in ["", "backup.example:7443", "http://a:1", "https://a", "https://a:1/x", "https://a:99999"] {
            assert_eq!(parse_address(bad), None, "{bad}");
        }
    }
}
